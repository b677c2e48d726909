package edit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/configs"
)

// item finds the entry of a list by the text of its first key.
func item(tb testing.TB, l *List, key, value string) *Item {
	tb.Helper()
	for _, i := range l.Items() {
		if got, _ := i.Get(key); got == value {
			return i
		}
	}
	tb.Fatalf("no entry with %s: %s", key, value)
	return nil
}

const annotated = `# The file.
accounts:   # all of them

  # Claire.
  # She is first.
  - address: claire@a.fr   # the identifier
    kind: per              # a person
    # her names
    nom: Durand
    structure:
      finess: "1"   # a number
    # admin: true

  - {address: noemie@a.fr, kind: med} # short

  # Paul.
  -
    address: paul@a.fr
    note: |
      several
      lines

    kind: 'per'
# The end.
`

func TestEdit(t *testing.T) {
	tests := map[string]struct {
		text   string
		change func(tb testing.TB, l *List)
		from   string // what becomes, in text,
		to     string // this
	}{
		"value before a comment": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Set("kind", Text("suspended"))
		}, "kind: per              # a person", "kind: suspended        # a person"},
		"long value before a comment": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Set("address", Text("claire.of.the.very.long.name@a.fr"))
		}, "claire@a.fr   # the", "claire.of.the.very.long.name@a.fr # the"},
		"new key": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Set("prenom", Text("Claire: ou \"Clé\""))
		}, "# a number\n", "# a number\n    prenom: \"Claire: ou \\\"Clé\\\"\"\n"},
		"block becomes braces": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Set("structure", Value{Fields: []Field{{"siren", Text("123")}}})
		}, "structure:\n      finess: \"1\"   # a number", "structure: {siren: \"123\"}   # a number"},
		"key with its comment": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Unset("nom")
		}, "    # her names\n    nom: Durand\n", ""},
		"first key": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "claire@a.fr").Unset("address")
		}, "address: claire@a.fr   # the identifier\n    kind", "kind"},
		"first and second key": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			i := item(tb, l, "address", "claire@a.fr")
			i.Unset("address")
			i.Unset("kind")
		}, "address: claire@a.fr   # the identifier\n    kind: per              # a person\n    # her names\n    nom", "nom"},
		"braces": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			i := item(tb, l, "address", "noemie@a.fr")
			i.Set("kind", Text("per"))
			i.Set("rpps", Text("100"))
			i.Set("nom", Text("d'Or, née"))
		}, "kind: med}", `kind: per, rpps: "100", nom: "d'Or, née"}`},
		"last in braces": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "noemie@a.fr").Unset("kind")
		}, ", kind: med}", "}"},
		"first in braces": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "noemie@a.fr").Unset("address")
		}, "address: noemie@a.fr, ", ""},
		"text of several lines": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "paul@a.fr").Set("note", Text("one"))
		}, "note: |\n      several\n      lines\n", "note: one\n"},
		"text of several lines away": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "paul@a.fr").Unset("note")
		}, "    note: |\n      several\n      lines\n", ""},
		"quoted": {annotated, func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "paul@a.fr").Set("kind", Text("med"))
		}, "kind: 'per'", "kind: med"},
		"append": {annotated, func(_ testing.TB, l *List) {
			l.Append(true, Field{"address", Text("x@a.fr")}, Field{"kind", Text("med")}, Field{"structure", Value{Fields: []Field{{"finess", Text("12")}}}})
		}, "kind: 'per'\n", "kind: 'per'\n\n  - address: x@a.fr\n    kind: med\n    structure: {finess: \"12\"}\n"},
		"remove the first": {
			annotated, func(tb testing.TB, l *List) {
				tb.Helper()
				item(tb, l, "address", "claire@a.fr").Remove()
			},
			annotated[strings.Index(annotated, "  # Claire."):strings.Index(annotated, "  - {add")], "",
		},
		"remove the second": {
			annotated, func(tb testing.TB, l *List) {
				tb.Helper()
				item(tb, l, "address", "noemie@a.fr").Remove()
			},
			"  - {address: noemie@a.fr, kind: med} # short\n\n", "",
		},
		"remove the last": {
			annotated, func(tb testing.TB, l *List) {
				tb.Helper()
				item(tb, l, "address", "paul@a.fr").Remove()
			},
			annotated[strings.Index(annotated, "\n  # Paul."):strings.Index(annotated, "# The end.")], "",
		},
		"remove all and append": {annotated, func(_ testing.TB, l *List) {
			for _, i := range l.Items() {
				i.Remove()
			}
			l.Append(false, Field{"address", Text("x@a.fr")})
		}, annotated[strings.Index(annotated, "  # Claire."):strings.Index(annotated, "# The end.")], "\n  - address: x@a.fr\n"},
		"windows": {"accounts:\r\n- address: a\r\n  kind: b\r\n", func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "a").Set("nom", Text("Zoé"))
			l.Append(false, Field{"address", Text("x")}, Field{"kind", Text("y")})
		}, "kind: b\r\n", "kind: b\r\n  nom: Zoé\r\n- address: x\r\n  kind: y\r\n"},
		"no final newline": {"accounts:\n- address: a\n  kind: b", func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "a").Set("nom", Text("n"))
			l.Append(false, Field{"address", Text("x")})
		}, "kind: b", "kind: b\n  nom: n\n- address: x"},
		"byte order mark": {"\ufeffaccounts:\n- address: é\n", func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "é").Set("address", Text("à"))
		}, "é", "à"},
		"empty file": {"# nothing yet\n", appendX, "nothing yet\n", "nothing yet\naccounts:\n  - address: x\n"},
		"empty list": {"accounts: [] # none\nrest: 1\n", appendX, "accounts: [] # none\n", "accounts: # none\n  - address: x\n"},
		"nothing":    {"accounts: # none\n  # - address: c\n", appendX, "# none\n", "# none\n  - address: x\n"},
		"brackets":   {"accounts: [{address: a}]\n", appendX, "a}", "a}, {address: x}"},
		"out of brackets": {"accounts: [{address: a}, {address: b}]\n", func(tb testing.TB, l *List) {
			tb.Helper()
			item(tb, l, "address", "a").Remove()
		}, "{address: a}, ", ""},
		"no value": {"accounts:\n  - address: a\n    nom:\n    kind: b\n", func(tb testing.TB, l *List) {
			tb.Helper()
			item(tb, l, "address", "a").Set("nom", Text("n"))
		}, "nom:", "nom: n"},
		"folded text": {"accounts:\n  - address: a\n    nom: one\n      two\n\n      three # c\n", func(tb testing.TB, l *List) {
			tb.Helper()
			item(tb, l, "address", "a").Set("nom", Text("n"))
		}, "one\n      two\n\n      three # c", "n # c"},
		"list in an entry": {"accounts:\n  - address: a\n    accounts:\n      - {account: b} # keep\n      - {account: c}\n", func(tb testing.TB, l *List) {
			tb.Helper()

			inner := item(tb, l, "address", "a").List("accounts")
			item(tb, inner, "account", "b").Set("send", Text("no"))
			item(tb, inner, "account", "c").Remove()
			inner.Append(false, Field{"account", Text("d")}, Field{"send", Text("as")})
		}, "{account: b} # keep\n      - {account: c}\n", "{account: b, send: no} # keep\n      - {account: d, send: as}\n"},
		"new list in an entry": {"accounts:\n  - address: a\n", func(tb testing.TB, l *List) {
			tb.Helper()

			item(tb, l, "address", "a").List("accounts").Append(true, Field{"account", Text("d")}, Field{"on", Text("true")})
		}, "a\n", "a\n    accounts:\n      - {account: d, on: true}\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if strings.Count(tt.text, tt.from) != 1 {
				t.Fatalf("the text holds %q not once", tt.from)
			}
			want := strings.Replace(tt.text, tt.from, tt.to, 1)
			d, err := Open(configs.File{Name: "f.yaml", Data: []byte(tt.text)})
			if err != nil {
				t.Fatal(err)
			}
			tt.change(t, d.List("accounts"))
			got, err := d.Text()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func appendX(_ testing.TB, l *List) { l.Append(false, Field{"address", Text("x")}) }

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"accounts:\n- &a {address: b}\n":             "f.yaml:2:3: anchors (&a) are not allowed",
		"accounts:\n- address: &x a\n  nom: *x\n":    "f.yaml:2:12: anchors (&x) are not allowed\nf.yaml:3:8: aliases (*x) are not allowed (hint: repeat the value)",
		"{accounts: [{address: a}]}\n":               "f.yaml:1:1: the file cannot be edited: it is no block of keys (hint: write its keys on lines of their own)",
		"accounts:\r- address: a\r":                  "f.yaml:1:1: the file cannot be edited: it has line ends of several kinds (hint: save it with the line ends of Unix or of Windows)",
		"accounts:\n- a: [\n":                        "f.yaml:",
		"accounts:\n- - address: a\n":                "f.yaml:2:3: the entry cannot be edited: it is no block of keys",
		"accounts:\n- address: a\n---\naccounts: []": "f.yaml:3:",
	} {
		d, err := Open(configs.File{Name: "f.yaml", Data: []byte(text)})
		if err == nil {
			for _, i := range d.List("accounts").Items() {
				i.Set("nom", Text("n"))
			}
			_, err = d.Text()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestEntryWithoutKeys(t *testing.T) {
	d, err := Open(configs.File{Name: "f.yaml", Data: []byte("accounts:\n- address: a\n")})
	if err != nil {
		t.Fatal(err)
	}
	d.List("accounts").Items()[0].Unset("address")
	if text, err := d.Text(); err == nil {
		t.Errorf("made %q", text)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(file, []byte("before"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("other"), []byte("after")); !errors.Is(err, ErrChanged) {
		t.Errorf("a file that has changed: %v", err)
	}
	if err := Replace(link, []byte("before"), []byte("after")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != "after" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is one no more: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

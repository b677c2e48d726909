package configs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"balorg/configs"

	"github.com/google/go-cmp/cmp"
)

type colour string

func (c *colour) UnmarshalText(text []byte) error {
	if string(text) != "red" {
		return fmt.Errorf("%q is no colour", text)
	}
	*c = colour(text)
	return nil
}

type part struct {
	Pos  configs.Pos
	Name string `yaml:"name,required"`
}

type shared struct {
	Flag bool `yaml:"flag"`
}

type settings struct {
	shared
	pos configs.Pos // the package's own: not Decode's to fill

	Host    configs.Value[string]     `yaml:"host"`
	Count   int8                      `yaml:"count"`
	Share   float64                   `yaml:"share"`
	Wait    time.Duration             `yaml:"wait_time"`
	Size    configs.Size              `yaml:"size"`
	Listen  configs.OneOrMore[string] `yaml:"listen"`
	Parts   []part                    `yaml:"parts"`
	Stores  map[string]part           `yaml:"stores"`
	Colour  configs.Value[colour]     `yaml:"colour"`
	Ignored string                    `yaml:"-"`
	Keep    time.Duration             `yaml:"keep,positive"`
	Limit   int                       `yaml:"limit,positive"`
}

func TestDecode(t *testing.T) {
	got := settings{Count: 7, Size: 3, pos: configs.Pos{Line: 9}}
	problems := configs.Decode("a.yaml", []byte(`
flag: true
host: "a"
share: 0.2
wait_time: 30d
listen: ":25"
parts:
  - name: 0123
  - {name: no}
stores:
  local: {name: x}
colour: red
size: 2GB
`), &got)
	if problems != nil {
		t.Fatalf("problems: %v", problems)
	}
	at := func(line, column int) configs.Pos { return configs.Pos{File: "a.yaml", Line: line, Column: column} }
	want := settings{
		shared: shared{Flag: true}, pos: configs.Pos{Line: 9},
		Host:  configs.Value[string]{V: "a", Pos: at(3, 7), Set: true},
		Count: 7, Share: 0.2, Wait: 30 * 24 * time.Hour, Size: 2e9,
		Listen: configs.OneOrMore[string]{":25"},
		Parts:  []part{{at(8, 5), "0123"}, {at(9, 5), "no"}},
		Stores: map[string]part{"local": {at(11, 10), "x"}},
		Colour: configs.Value[colour]{V: "red", Pos: at(12, 9), Set: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty file", "", ""},
		{"comment only", "# nothing\n", ""},
		{"document mark", "---\n", ""},
		{"empty list and block", "parts:\nstores:\n", ""},
		{"unknown key, near", "hots: a", `a.yaml:1:1: unknown key "hots" in the file (hint: did you mean host?)`},
		{"hyphen for underscore", "wait-time: 5m", `a.yaml:1:1: unknown key "wait-time" in the file (hint: did you mean wait_time?)`},
		{
			"unknown key, far", "frobnicate: a",
			`a.yaml:1:1: unknown key "frobnicate" in the file (hint: known keys: colour, count, flag, host, keep, limit, listen, parts, share, size, stores, wait_time)`,
		},
		{"ignored field has no key", `"-": a`, `a.yaml:1:1: unknown key "-" in the file (hint: known keys: colour, count, flag, host, keep, limit, listen, parts, share, size, stores, wait_time)`},
		{"repeated key", "host: a\nhost: b", `a.yaml:2:1: host stands twice in the file; first at line 1`},
		{"repeated map key", "stores:\n  a: {name: x}\n  a: {name: y}", `a.yaml:3:3: a stands twice in stores; first at line 2`},
		{"key no word", "? [a]\n: 1", `a.yaml:1:3: a key of the file is a list; it must be a single word`},
		{"merge key", "<<: {host: a}", `a.yaml:1:1: unknown key "<<" in the file (hint: known keys: colour, count, flag, host, keep, limit, listen, parts, share, size, stores, wait_time)`},
		{"missing value", "host:", `a.yaml:1:6: host has no value (hint: remove the key, or write a value after the colon)`},
		{"missing key", "parts:\n  - {}", `a.yaml:2:5: an entry of parts has no name`},
		{"list for text", "host: [a]", `a.yaml:1:7: host is a list; it must be a text`},
		{"block for list", "parts: {name: a}", `a.yaml:1:8: parts is a block of keys; it must be a list (hint: start each entry with "- ")`},
		{"text for block", "stores: a", `a.yaml:1:9: stores is a single value; it must be a block of keys`},
		{"file is a list", "- a", `a.yaml:1:1: the file is a list; it must be a block of keys`},
		{"bool in words", "flag: yes", `a.yaml:1:7: flag: "yes" is neither true nor false (hint: write true or false)`},
		{"octal", "count: 010", `a.yaml:1:8: count: "010" is not a whole number in range`},
		{"int out of range", "count: 128", `a.yaml:1:8: count: "128" is not a whole number in range`},
		{"negative int", "count: -1", `a.yaml:1:8: count: "-1" is not a whole number in range`},
		{"int with sign", "count: +1", `a.yaml:1:8: count: "+1" is not a whole number in range`},
		{"negative share", "share: -1", `a.yaml:1:8: share: "-1" is not a positive number`},
		{"share not a number", "share: .nan", `a.yaml:1:8: share: ".nan" is not a positive number`},
		{"duration", "wait_time: 5", `a.yaml:1:12: wait_time: "5" is not a duration; write 30s, 5m, 12h or 30d`},
		{"negative duration", "wait_time: -5s", `a.yaml:1:12: wait_time: duration -5s is negative`},
		{"size", "size: 5 MO", `a.yaml:1:7: size: "5 MO" is not a size; write 500MB or 2GB`},
		{"size too large", "size: 99999999999GB", `a.yaml:1:7: size: size 99999999999GB is too large`},
		{"size empty number", "size: MB", `a.yaml:1:7: size: "MB" is not a size; write 500MB or 2GB`},
		{"text unmarshaler", "colour: blue", `a.yaml:1:9: colour: "blue" is no colour`},
		{"alias", "host: &x a\nsize: *x", "a.yaml:1:7: anchors (&x) are not allowed\na.yaml:2:7: aliases (*x) are not allowed (hint: repeat the value)"},
		{"tag", "host: !!str 5", `a.yaml:1:7: tags (!!str) are not allowed (hint: write the plain value)`},
		{"two documents", "host: a\n---\nhost: b", `a.yaml:2:1: a second document starts here; a file holds one (hint: remove the --- line)`},
		{"not YAML", "host: [a\nsize: 1", `a.yaml:2:5: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence (hint: check indentation and quotes here and on the line above)`},
		{"tab", "parts:\n\t- x", `a.yaml:2:1: not valid YAML: found character that cannot start any token while scanning for the next token (hint: check indentation and quotes here and on the line above)`},
		{"not UTF-8", "host: a\nsize: \xe9", `a.yaml:2:7: the file is not UTF-8 text (hint: save the file as UTF-8)`},
		{"control character", "host: a\nsize: é\x00", `a.yaml:2:8: the file holds the control character U+0000 (hint: remove it)`},
		{"escape", "host: \x1b[1m", `a.yaml:1:7: the file holds the control character U+001B (hint: remove it)`},
		{"zero where it means a default", "keep: 0d\nlimit: 0", "a.yaml:1:7: keep is 0; it must be more (hint: leave the key out for the default)\n" +
			"a.yaml:2:8: limit is 0; it must be more (hint: leave the key out for the default)"},
		{"no number where one must be more than 0", "keep: x\nlimit: -1", "a.yaml:1:7: keep: \"x\" is not a duration; write 30s, 5m, 12h or 30d\n" +
			"a.yaml:2:8: limit: \"-1\" is not a whole number in range"},
		{"all at once, in order", "size: x\nhost: []\nflg: true", "a.yaml:1:7: size: \"x\" is not a size; write 500MB or 2GB\n" +
			"a.yaml:2:7: host is a list; it must be a text\na.yaml:3:1: unknown key \"flg\" in the file (hint: did you mean flag?)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var into settings
			got := configs.Decode("a.yaml", []byte(test.in), &into)
			if diff := cmp.Diff(test.want, got.Error()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProblemsErr(t *testing.T) {
	var p configs.Problems
	if p.Err() != nil {
		t.Error("no problems are an error")
	}
	p.Warn(configs.Pos{File: "b"}, "", "odd")
	if p.Err() != nil {
		t.Error("a warning is an error")
	}
	p.Add(configs.Pos{File: "a", Line: 3}, "fix", "bad %d", 1)
	p.Add(configs.Pos{}, "", "nowhere")
	want := "nowhere\na:3: bad 1 (hint: fix)\nb: warning: odd"
	if err := p.Err(); err == nil || err.Error() != want {
		t.Errorf("Err() = %v, want %s", err, want)
	}
	var problems configs.Problems
	if !errors.As(fmt.Errorf("reading: %w", p.Err()), &problems) || len(problems) != 3 {
		t.Errorf("errors.As found %v", problems)
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[configs.Size]string{0: "0", 1: "1", 25e6: "25MB", 1 << 20: "1MiB", 3000: "3KB", 2e9: "2GB", 1001: "1001"} {
		if got := size.String(); got != want {
			t.Errorf("Size(%d) = %s, want %s", size, got, want)
		}
		var back configs.Size
		if err := back.UnmarshalText([]byte(want)); err != nil || back != size {
			t.Errorf("%s reads as %d, %v", want, back, err)
		}
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"b.yaml": "b", "a.yaml": "a", "c.yml": "c", "a.yaml~": "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What Emacs leaves beside a file that is being edited: a link to nowhere.
	if err := os.Symlink("somebody@host.1234", filepath.Join(dir, ".#a.yaml")); err != nil {
		t.Fatal(err)
	}
	files, problems := configs.ReadFiles(dir)
	want := []configs.File{
		{Name: filepath.Join(dir, "a.yaml"), Data: []byte("a")},
		{Name: filepath.Join(dir, "b.yaml"), Data: []byte("b")},
	}
	if diff := cmp.Diff(want, files); diff != "" || problems.Err() != nil {
		t.Errorf("folder (-want +got):\n%s%v", diff, problems)
	}
	if want := filepath.Join(dir, "c.yml") + ": warning: not read: of a folder, only files *.yaml are (hint: rename it to *.yaml)"; problems.Error() != want {
		t.Errorf("said of the folder: %s\nwant %s", problems, want)
	}
	if files, problems := configs.ReadFiles(filepath.Join(dir, "c.yml")); len(files) != 1 || problems != nil {
		t.Errorf("a file by name: %v, %v", files, problems)
	}
	missing := filepath.Join(dir, "none.yaml")
	if _, problems := configs.ReadFiles(missing); problems.Err() == nil ||
		problems.Error() != missing+": no such file or directory" {
		t.Errorf("missing file: %v", problems)
	}
	if _, problems := configs.ReadFiles(t.TempDir()); problems.Err() == nil {
		t.Error("a folder without *.yaml is no problem")
	}
}

// TestExamplesAreText holds what every embedded example promises by itself; the packages that own the keys decode them.
func TestExamplesAreText(t *testing.T) {
	count := 0
	err := fs.WalkDir(configs.Examples, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		count++
		data, err := fs.ReadFile(configs.Examples, path)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s does not open with a comment that says what it is", path)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if strings.ContainsRune(line, '\t') || len(line) > 140 {
				t.Errorf("%s:%d: a tab, or longer than 140 octets", path, i+1)
			}
		}
		return nil
	})
	if err != nil || count != 6 {
		t.Errorf("%d examples, %v", count, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"host: a\nparts:\n  - name: x\n", "a: &x [*x]", "? {a: b}\n: c", "<<: {}", "- - - -", "{{{{", "--- |\n a\n...\n---\n", "!!binary x",
		"stores: {a: {name: 1}, a: ~}", "count: 0x10", "\"\\u0000\": 1", "\ufeffhost: a", "%YAML 1.1\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second settings
		problems := configs.Decode("f", data, &first)
		if again := configs.Decode("f", data, &second); again.Error() != problems.Error() {
			t.Errorf("two readings differ:\n%v\n%v", problems, again)
		}
		for _, p := range problems {
			if p.Pos.File != "f" || p.What == "" {
				t.Errorf("problem without place or text: %+v", p)
			}
		}
	})
}

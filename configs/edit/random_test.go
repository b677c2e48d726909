package edit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"balorg/configs"
)

// written is an entry as a file holds it, for the model.
type written struct {
	Address string `yaml:"address"`
	Nom     string `yaml:"nom"`
	Note    string `yaml:"note"`
	Grants  []struct {
		Account string `yaml:"account"`
		Send    string `yaml:"send"`
	} `yaml:"grants"`
}

type writtenFile struct {
	Accounts []written `yaml:"accounts"`
}

var words = rapid.OneOf(
	rapid.SampledFrom([]string{"a", "Zoé", "no", "null", "~", "- x", "a: b", "c #d", "#", "1", "1.5", "{", "'", `"`, `\`, "x\ty", "é\u2028", "[a, b]", "*x", "&y", "!t", "true", "?", " ", "a ", "\u0085", "\ufeff", "% x", "`", "@a"}),
	rapid.StringMatching(`[a-zA-Z0-9éà'": ,#{}\[\]-]{1,12}`),
)

// layout writes an entry in one of the ways people do.
func layout(t *rapid.T, indent string, w map[string]string, keys, grants []string) string {
	style := rapid.SampledFrom([]string{"block", "braces", "apart"}).Draw(t, "style")
	comment := func() string {
		return rapid.SampledFrom([]string{"", "", " # comment", "   # é"}).Draw(t, "comment")
	}
	var b strings.Builder
	if style == "braces" {
		var parts []string
		for _, k := range keys {
			parts = append(parts, k+": "+quote(w[k]))
		}
		if grants != nil {
			parts = append(parts, "grants: [{account: "+strings.Join(grants, "}, {account: ")+"}]")
		}
		separator := rapid.SampledFrom([]string{", ", ",", " ,\n" + indent + "      "}).Draw(t, "separator")
		b.WriteString(indent + "- {" + strings.Join(parts, separator) + "}" + comment() + "\n")
		return b.String()
	}
	b.WriteString(indent + "-")
	if style == "apart" {
		b.WriteString(comment() + "\n" + indent + " ")
	}
	for n, k := range keys {
		if n > 0 {
			b.WriteString(rapid.SampledFrom([]string{"", indent + "  # above\n", "\n"}).Draw(t, "above") + indent + " ")
		}
		value := quote(w[k])
		if rapid.Bool().Draw(t, "single") && !strings.ContainsAny(w[k], "\t\u2028\u0085\ufeff") {
			value = "'" + strings.ReplaceAll(w[k], "'", "''") + "'"
		}
		b.WriteString(" " + k + ": " + value + comment() + "\n")
	}
	if grants != nil {
		b.WriteString(indent + "  grants:" + comment() + "\n")
		for _, g := range grants {
			b.WriteString(indent + "  " + rapid.SampledFrom([]string{"- {account: " + g + "}", "- account: " + g}).Draw(t, "grant") + comment() + "\n")
		}
	}
	return b.String()
}

// TestRandom: what a file says after changes is what the changes say, and what was not changed stays, comments at the top and end too.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indent := rapid.SampledFrom([]string{"", "  ", "    "}).Draw(t, "indent")
		var text strings.Builder
		text.WriteString("# top\naccounts:\n")
		for n := range rapid.IntRange(0, 5).Draw(t, "entries") {
			w := map[string]string{"address": fmt.Sprintf("a%d", n), "nom": words.Draw(t, "nom"), "note": words.Draw(t, "note")}
			keys := rapid.Permutation([]string{"address", "nom", "note"}).Draw(t, "keys")
			var grants []string
			if rapid.Bool().Draw(t, "grants") {
				grants = []string{"g1", "g2"}
			}
			text.WriteString(rapid.SampledFrom([]string{"", "\n", indent + "# one\n", "\n" + indent + "# two\n"}).Draw(t, "before"))
			text.WriteString(layout(t, indent, w, keys, grants))
		}
		text.WriteString(rapid.SampledFrom([]string{"", "# end\n", "\n# end"}).Draw(t, "after"))
		source := text.String()
		if rapid.Bool().Draw(t, "windows") {
			source = strings.ReplaceAll(source, "\n", "\r\n")
		}
		if rapid.Bool().Draw(t, "cut") {
			source = strings.TrimRight(source, "\r\n")
		}
		before := decode(t, source)
		d, err := Open(configs.File{Name: "f.yaml", Data: []byte(source)})
		if err != nil {
			t.Fatal(err)
		}
		want := changeBoth(t, d.List("accounts"), before.Accounts)
		after, err := d.Text()
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		if diff := cmp.Diff(want, decode(t, string(after)).Accounts); diff != "" {
			t.Fatalf("%s\nfrom\n%s\nto\n%s", diff, source, after)
		}
		for _, comment := range []string{"# top", "# end"} {
			if strings.Contains(source, comment) && !strings.Contains(string(after), comment) {
				t.Fatalf("%s is lost:\n%s\nfrom\n%s", comment, after, source)
			}
		}
	})
}

func decode(t *rapid.T, text string) writtenFile {
	var f writtenFile
	if problems := configs.Decode("f.yaml", []byte(text), &f); len(problems) > 0 {
		t.Fatalf("%v in\n%s", problems, text)
	}
	return f
}

// changeBoth makes the same random changes to the list and to the model.
func changeBoth(t *rapid.T, l *List, model []written) []written {
	var out []written
	items := l.Items()
	for n := range model {
		m := model[n]
		m.Grants = slices.Clone(m.Grants)
		switch rapid.SampledFrom([]string{"keep", "keep", "set", "unset", "remove", "grant", "ungrant"}).Draw(t, "change") {
		case "set":
			m.Nom = words.Draw(t, "value")
			items[n].Set("nom", Text(m.Nom))
		case "unset":
			items[n].Unset("nom")
			items[n].Set("note", Text("new"))
			m.Nom, m.Note = "", "new"
		case "remove":
			items[n].Remove()
			continue
		case "grant":
			items[n].List("grants").Append(true, Field{"account", Text("added")}, Field{"send", Text("as")})
			m.Grants = append(m.Grants, struct {
				Account string `yaml:"account"`
				Send    string `yaml:"send"`
			}{"added", "as"})
		case "ungrant":
			if len(m.Grants) > 0 {
				items[n].List("grants").Items()[0].Remove()
				m.Grants = m.Grants[1:]
			}
		}
		out = append(out, m)
	}
	for range rapid.IntRange(0, 2).Draw(t, "added") {
		w := written{Address: "new", Nom: words.Draw(t, "value")}
		l.Append(rapid.Bool().Draw(t, "braces"), Field{"address", Text(w.Address)}, Field{"nom", Text(w.Nom)})
		out = append(out, w)
	}
	return out
}

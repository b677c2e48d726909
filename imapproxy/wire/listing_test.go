package wire

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMatchList(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true},
		{"%", "a/b", false},
		{"%", "a", true},
		{"%/b", "a/b", true},
		{"a*", "a", true},
		{"a%", "a/b", false},
		{"*b", "a/b", true},
		{"%*", "a/b", true},
		{"*%", "a/b", true},
		{"a/%/c", "a/b/c", true},
		{"a/%/c", "a/b/x/c", false},
		{"a/*/c", "a/b/x/c", true},
		{"", "", true},
		{"", "a", false},
		{"inbox", "INBOX", true},
		{"in%", "INBOX", false},
		{"INB*", "INBOX", true},
		{"a", "A", false},
		{"*a%b*c", "xaybzzc", true},
		{"%%%", "abc", true},
		{"*/", "a/b", false},
	} {
		if got := MatchList(tt.pattern, tt.name, '/'); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.pattern, tt.name, got)
		}
	}
	start := time.Now()
	MatchList(strings.Repeat("*a%", 300), strings.Repeat("a", 500), '/')
	if d := time.Since(start); d > time.Second {
		t.Errorf("a hard pattern took %v", d)
	}
}

func TestListAnswers(t *testing.T) {
	folders := []Folder{
		{Name: "INBOX", Subscribed: true},
		{Name: "Sent", Attrs: []string{`\Sent`}, Subscribed: true},
		{Name: "a/b", Subscribed: true},
		{Name: "a/c/d"},
		{Name: "n", Attrs: []string{`\Noselect`}},
		{Name: "n/x", Attrs: []string{`\Junk`}},
		{Name: "gone/y", Subscribed: true, Missing: true},
	}
	for _, tt := range []struct{ command, want string }{
		{`LIST "" ""`, `(\Noselect) ""`},
		{`LIST "" ("")`, ``},
		{`LIST "" %`, `(\HasNoChildren) INBOX|(\Sent \HasNoChildren) Sent|(\Noselect \HasChildren) a|(\Noselect \HasChildren) n`},
		{`LIST "" *`, `(\HasNoChildren) INBOX|(\Sent \HasNoChildren) Sent|(\Noselect \HasChildren) a|(\HasNoChildren) a/b|` +
			`(\Noselect \HasChildren) a/c|(\HasNoChildren) a/c/d|(\Noselect \HasChildren) n|(\Junk \HasNoChildren) n/x`},
		{`LIST a/ %`, `(\HasNoChildren) a/b|(\Noselect \HasChildren) a/c`},
		{`LIST "" a RETURN (CHILDREN)`, `(\NonExistent \HasChildren) a`},
		{`LIST "" (in% sent Sent inbox) RETURN (SUBSCRIBED)`, `(\HasNoChildren \Subscribed) INBOX|(\Sent \HasNoChildren \Subscribed) Sent`},
		{`LIST (SUBSCRIBED) "" *`, `(\HasNoChildren \Subscribed) INBOX|(\Sent \HasNoChildren \Subscribed) Sent|(\HasNoChildren \Subscribed) a/b|(\NonExistent \Subscribed) gone/y`},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`, `(\HasNoChildren \Subscribed) INBOX|(\Sent \HasNoChildren \Subscribed) Sent|` +
			`(\NonExistent \HasChildren) a ("CHILDINFO" ("SUBSCRIBED"))|(\NonExistent) gone ("CHILDINFO" ("SUBSCRIBED"))`},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" a*`, `(\HasNoChildren \Subscribed) a/b`},
		{`LIST (SPECIAL-USE) "" *`, `(\Sent \HasNoChildren) Sent|(\Junk \HasNoChildren) n/x`},
		{`LIST (SPECIAL-USE RECURSIVEMATCH) "" %`, `(\Sent \HasNoChildren) Sent|(\Noselect \HasChildren) n ("CHILDINFO" ("SPECIAL-USE"))`},
		{`LSUB "" *`, `() INBOX|() Sent|() a/b|() gone/y`},
		{`LSUB "" %`, `() INBOX|() Sent|(\Noselect) a|(\Noselect) gone`},
		{`LSUB "" a`, ``},
		{`LSUB "" "gon%"`, `(\Noselect) gone`},
	} {
		name, args, _ := strings.Cut(tt.command, " ")
		l, err := ParseList(name, []byte(args), UTF7)
		if err != nil {
			t.Errorf("%s: %v", tt.command, err)
			continue
		}
		var got []string
		for _, found := range l.Answer(folders, '/') {
			line := string(found.Append(nil, name, '/'))
			line = strings.TrimSuffix(strings.TrimPrefix(line, "* "+name+" "), "\r\n")
			got = append(got, strings.Replace(line, `"/" `, "", 1))
		}
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.command, strings.Join(got, "|"), tt.want)
		}
	}
}

// FuzzListing: a pattern matches what it stands for, and every answer can be read again.
func FuzzListing(f *testing.F) {
	for _, s := range []string{`"" %`, `"" *`, `a "*%b"`, `(SUBSCRIBED RECURSIVEMATCH) "" (% "a*")`, `"" "" RETURN (STATUS (SIZE))`, `a/ "%/%"`} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, args, name string) {
		for _, command := range []string{"LIST", "LSUB"} {
			l, err := ParseList(command, []byte(args), UTF7)
			if err != nil {
				continue
			}
			for _, found := range l.Answer([]Folder{{Name: "INBOX", Subscribed: true}, {Name: name, Subscribed: true, Missing: true}, {Name: "a/b/c"}}, '/') {
				line := found.Append(nil, command, '/')
				p := NewParser(line[strings.IndexByte(string(line), ')')+len(`) "/" `):])
				if got, err := p.AString(); err != nil || got != strings.ReplaceAll(found.Name, "\x00", "\x80") {
					t.Errorf("%s %q: %q is read as %q, %v", command, args, line, got, err)
				}
			}
			for _, pattern := range l.Patterns {
				if strings.EqualFold(name, "INBOX") || len(pattern) > 100 {
					continue
				}
				e := strings.NewReplacer(`\*`, "(?s:.*)", "%", "[^/]*").Replace(regexp.QuoteMeta(latin(pattern)))
				if want := regexp.MustCompile("^" + e + "$").MatchString(latin(name)); MatchList(pattern, name, '/') != want {
					t.Errorf("%q matches %q: %v", pattern, name, !want)
				}
			}
		}
	})
}

// latin makes a character of each octet.
func latin(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

// TestListRecursive is example 9 of RFC 5258, 5: a level is told of only for what is subscribed below and not told itself.
func TestListRecursive(t *testing.T) {
	folders := []Folder{{Name: "foo2"}, {Name: "baz2"}}
	for _, name := range []string{"foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2", "eps2/mamba", "qux2/bar2"} {
		folders = append(folders, Folder{Name: name, Subscribed: true})
	}
	l, err := ParseList("LIST", []byte(`(RECURSIVEMATCH SUBSCRIBED) "" "*2"`), UTF7)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, found := range l.Answer(folders, '/') {
		got = append(got, strings.Join(append([]string{found.Name}, found.ChildInfo...), " "))
	}
	want := "foo2 SUBSCRIBED|foo2/bar2|baz2/bar2|baz2/bar22|baz2/bar222|eps2 SUBSCRIBED|qux2/bar2"
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
}

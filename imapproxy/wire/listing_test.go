package wire

import (
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
		l, err := ParseList(name, []byte(args))
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

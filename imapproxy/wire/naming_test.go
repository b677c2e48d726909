package wire

import (
	"bytes"
	"strings"
	"testing"
)

// TestNamesBothWays: a name is one name, whichever way a connection writes it.
func TestNamesBothWays(t *testing.T) {
	const bad = "BAD"
	for _, tt := range []struct{ written, utf7, utf8 string }{
		{"INBOX", "INBOX", "INBOX"},
		{"inbox", "INBOX", "INBOX"},
		{"Archives", "Archives", "Archives"},
		{`"R&D"`, bad, "R&-D"},
		{`"R&-D"`, "R&-D", "R&--D"},
		{`"&AOk-"`, "&AOk-", "&-AOk-"},
		{`"é"`, "&AOk-", "&AOk-"},
		{`"R&D é"`, "R&-D &AOk-", "R&-D &AOk-"}, // octets beyond ASCII: no modified UTF-7 in any case
		{`"a\"b\\é"`, `a"b\&AOk-`, `a"b\&AOk-`},
		{"{2}\r\né", "&AOk-", "&AOk-"},
		{`"😀/日本語"`, "&2D3eAA-/&ZeVnLIqe-", "&2D3eAA-/&ZeVnLIqe-"},
		{"\"e\u0301\"", "e&AwE-", "e&AwE-"}, // decomposed: another name than é
		{"\"\xe9\"", bad, bad},
		{"\"\xc3(\"", bad, bad},
		{"\"\xed\xa0\x80\"", bad, bad}, // a surrogate
		{"\"\xc0\xaf\"", bad, bad},     // longer than need be
		{"é", bad, bad},                // an atom is ASCII
	} {
		for naming, want := range map[Naming]string{UTF7: tt.utf7, UTF8: tt.utf8} {
			p := naming.NewParser([]byte(tt.written))
			got, err := p.Mailbox()
			if err != nil {
				got = bad
			}
			if got != want {
				t.Errorf("%q as %d: %q, want %q", tt.written, naming, got, want)
			}
			if err != nil {
				continue
			}
			back, err := naming.NewParser(naming.Append(nil, got)).Mailbox()
			if err != nil || back != got {
				t.Errorf("%q as %d is written %q, which is %q, %v", got, naming, naming.Append(nil, got), back, err)
			}
		}
	}
	for name, want := range map[string]string{
		"INBOX": "INBOX", "&AOk-t&AOk-": `"été"`, "R&-D": "R&D", "a b": `"a b"`, `a"&AOk-\`: `"a\"é\\"`, "&AOkADQAK-": "{4}\r\né\r\n", "&-(": `"&("`, "": `""`,
	} {
		if got := string(UTF8.Append(nil, name)); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if got := UTF7.Append(nil, name); bytes.ContainsAny(got, "é") {
			t.Errorf("%q: %q is not ASCII", name, got)
		}
	}
}

// TestListInUTF8: wildcards stand for characters, also amid those that modified UTF-7 writes as one.
func TestListInUTF8(t *testing.T) {
	folders := []Folder{{Name: "INBOX"}, {Name: "&AOkA6Q-"}, {Name: "&AOk-t&AOk-/Juin"}, {Name: "R&-D"}}
	for args, want := range map[string]string{
		`"" "é*"`:       `"éé" "été" "été/Juin"`,
		`"" "%é"`:       `"éé" "été"`,
		`"ét" "é/%"`:    `"été/Juin"`,
		`"" "R&D"`:      `R&D`,
		`"" "R&-D"`:     ``,
		`"" "&AOkA6Q-"`: ``,
	} {
		l, err := ParseList("LIST", []byte(args), UTF8)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range l.Answer(folders, '/') {
			line := string(f.Append(nil, "LIST", '/'))
			_, name, _ := strings.Cut(line, `"/" `)
			got = append(got, strings.TrimSuffix(name, "\r\n"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", args, got, want)
		}
	}
	for _, args := range []string{"\"\" \"\xe9*\"", "\"\xff\" *"} {
		for _, n := range []Naming{UTF7, UTF8} {
			if _, err := ParseList("LIST", []byte(args), n); err == nil {
				t.Errorf("%q is taken", args)
			}
		}
	}
	if l, err := ParseList("LIST", []byte(`"" "é*"`), UTF7); err != nil || l.Patterns[0] != "&AOk-*" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestMessageInParentheses: APPEND … UTF8 (~{n}…) (RFC 6855, 4) leaves the reader at the next command, whatever stands behind the message.
func TestMessageInParentheses(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		sizes    []int64
		bad      bool
	}{
		{"one", "a APPEND INBOX UTF8 (~{2+}\r\nhi)\r\n", []int64{2}, false},
		{"several", "a APPEND \"é\" (x) UTF8 (~{2+}\r\nhi) \"01-Feb-2026 10:00:00 +0100\" UTF8 (~{1+}\r\nx) {3+}\r\nxyz\r\n", []int64{2, 1, 3}, false},
		{"no parenthesis", "a APPEND INBOX UTF8 (~{2+}\r\nhi\r\n", []int64{2}, true},
		{"no parenthesis, another", "a APPEND INBOX UTF8 (~{2+}\r\nhi {3+}\r\nxyz\r\n", []int64{2}, true},
		{"a parenthesis too many", "a APPEND INBOX {2+}\r\nhi)\r\n", []int64{2}, true},
		{"text behind it", "a APPEND INBOX UTF8 (~{2+}\r\nhi) x\r\n", []int64{2}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in+"b NOOP\r\n"), Limits{UTF8: true})
			proceed := func() error { return nil }
			cmd, err := r.ReadCommand(proceed)
			if err != nil {
				t.Fatal(err)
			}
			more := true
			for i := 0; more; i++ {
				if i == len(tt.sizes) || cmd.Message.Size != tt.sizes[i] || cmd.Message.Wrapped != bytes.HasSuffix(cmd.Args, []byte("UTF8 (")) {
					t.Fatalf("message %d: %+v behind %q", i, cmd.Message, cmd.Args)
				}
				if _, err = r.AcceptLiteral(proceed); err != nil {
					t.Fatal(err)
				}
				more, err = r.EndAppend()
			}
			if (err != nil) != tt.bad {
				t.Errorf("end: %v", err)
			}
			if cmd, err := r.ReadCommand(proceed); err != nil || cmd.Name != "NOOP" {
				t.Errorf("then %+v, %v", cmd, err)
			}
		})
	}
}

// TestLinesInUTF8: where UTF-8 may be quoted, other octets beyond ASCII make a command a fault (RFC 9755, 3).
func TestLinesInUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"a SEARCH SUBJECT \"é\"\r\n":              "SEARCH",
		"a SEARCH SUBJECT {1+}\r\n\xe9\r\n":       "SEARCH", // a literal may hold any octets
		"a SEARCH SUBJECT \"\xe9\"\r\n":           "",
		"a SEARCH {1+}\r\nx SUBJECT \"\xe9\"\r\n": "",
	} {
		r := NewReader(strings.NewReader(in), Limits{UTF8: true})
		cmd, err := r.ReadCommand(func() error { return nil })
		if (err == nil) != (want != "") || err == nil && cmd.Name != want {
			t.Errorf("%q: %+v, %v", in, cmd, err)
		}
		if _, err := NewReader(strings.NewReader(in), Limits{}).ReadCommand(func() error { return nil }); err != nil {
			t.Errorf("without: %q: %v", in, err)
		}
	}
}

// TestFoundNumbers: ESEARCH tells a set, of which no mail store makes more than there is memory for.
func TestFoundNumbers(t *testing.T) {
	for line, want := range map[string]string{
		`* ESEARCH (TAG "p1") UID ALL 2,4:6 MODSEQ 9`: "1:2,4:6",
		`* ESEARCH (TAG "p1") UID`:                    "1",
		`* ESEARCH (TAG "p1") UID ALL 7`:              "1,7",
		`* ESEARCH UID ALL 4:2`:                       "",
		`* ESEARCH UID ALL *`:                         "",
		`* ESEARCH UID ALL 1:4294967295`:              "",
		`* ESEARCH UID ALL x`:                         "",
	} {
		got, err := AppendFound([]uint32{1}, []byte(line))
		if (err != nil) != (want == "") || err == nil && FormatNumbers(got) != want {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
}

func TestOldName(t *testing.T) {
	l := Listed{Name: "INBOX/&AOk-", OldName: "inbox/&AOk-", ChildInfo: []string{"SUBSCRIBED"}, Naming: UTF8}
	if got, want := string(l.Append(nil, "LIST", '/')), "* LIST () \"/\" \"INBOX/é\" (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"inbox/é\"))\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

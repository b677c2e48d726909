package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParserWords(t *testing.T) {
	for _, tt := range []struct {
		in, method, want string
	}{
		{"abc d", "Atom", "abc"},
		{"a]b", "Atom", "a"},
		{"(", "Atom", "BAD"},
		{"", "Atom", "BAD"},
		{"a\x80", "Atom", "a"},
		{"a]b", "AString", "a]b"},
		{`"a\"\\b"`, "AString", `a"\b`},
		{"{3}\r\na\nb", "AString", "a\nb"},
		{"{1+}\r\n(", "AString", "("},
		{`"a`, "AString", "BAD"},
		{`"a\b"`, "AString", "BAD"},
		{"\"a\r\n\"", "AString", "BAD"},
		{"\"\xc3\xa9\"", "AString", "é"},
		{"{4}\r\nabc", "AString", "BAD"},
		{"{3}abc", "AString", "BAD"},
		{"x{3}\r\nabc", "AString", "x"},
		{"{99999999999999999999}\r\n", "AString", "BAD"},
		{"abc", "String", "BAD"},
		{"~{1}\r\na", "String", "a"},
		{"nil", "NString", "NIL"},
		{`"nil"`, "NString", "nil"},
		{"nill", "NString", "BAD"},
		{"4294967295", "Number", "4294967295"},
		{"4294967296", "Number", "BAD"},
		{"-1", "Number", "BAD"},
		{"007", "Number", "7"},
		{"9223372036854775807", "Number64", "9223372036854775807"},
		{"9223372036854775808", "Number64", "BAD"},
		{`\Seen`, "Flag", `\Seen`},
		{`\*`, "Flag", `\*`},
		{"$Junk", "Flag", "$Junk"},
		{`\`, "Flag", "BAD"},
		{`(\Seen a)`, "FlagList", `[\Seen a]`},
		{"()", "FlagList", "[]"},
		{"(a  b)", "FlagList", "BAD"},
		{"(a", "FlagList", "BAD"},
		{"a", "FlagList", "BAD"},
		{"inBox", "Mailbox", "INBOX"},
		{`"inbox"`, "Mailbox", "INBOX"},
		{"inbox/x", "Mailbox", "inbox/x"},
		{"Envoy&AOk-s", "Mailbox", "Envoy&AOk-s"},
		{"a&b", "Mailbox", "BAD"},
		{"{3}\r\na\nb", "Mailbox", "BAD"},
		{"\"\xc3\xa9\"", "Mailbox", "&AOk-"},
		{"a*%]", "ListMailbox", "a*%]"},
		{`"*"`, "ListMailbox", "*"},
		{strings.Repeat("*", 1025), "ListMailbox", "BAD"},
		{`" 1-Feb-2026 10:00:00 +0100"`, "DateTime", " 1-Feb-2026 10:00:00 +0100"},
		{`"01-feb-2026 10:00:00 +0100"`, "DateTime", "01-feb-2026 10:00:00 +0100"},
		{`"31-Feb-2026 10:00:00 +0100"`, "DateTime", "BAD"},
		{`"1-Feb-2026 10:00:00 +0100"`, "DateTime", "BAD"},
		{`"01-Feb-2026 10:00:00 CET"`, "DateTime", "BAD"},
		{"1-Feb-2026", "Date", "2026-02-01"},
		{`"01-Feb-2026"`, "Date", "2026-02-01"},
		{"30-Feb-2026", "Date", "BAD"},
		{"1-Feb-26", "Date", "BAD"},
	} {
		p := NewParser([]byte(tt.in))
		var got any
		var err error
		switch tt.method {
		case "Atom":
			got, err = p.Atom()
		case "AString":
			got, err = p.AString()
		case "String":
			got, err = p.String()
		case "NString":
			var ok bool
			if got, ok, err = p.NString(); err == nil && !ok {
				got = "NIL"
			}
		case "Number":
			got, err = p.Number()
		case "Number64":
			got, err = p.Number64()
		case "Flag":
			got, err = p.Flag()
		case "FlagList":
			got, err = p.FlagList()
		case "Mailbox":
			got, err = p.Mailbox()
		case "ListMailbox":
			got, err = p.ListMailbox()
		case "DateTime":
			got, err = p.DateTime()
		case "Date":
			var d time.Time
			d, err = p.Date()
			got = d.Format(time.DateOnly)
		}
		text := fmt.Sprint(got)
		if err != nil {
			text = "BAD"
			if e := new(SyntaxError); !errors.As(err, &e) {
				t.Errorf("%s of %q: %v is no SyntaxError", tt.method, tt.in, err)
			}
		}
		if text != tt.want {
			t.Errorf("%s of %q: %q, want %q", tt.method, tt.in, text, tt.want)
		}
	}
}

func TestNumSet(t *testing.T) {
	for _, tt := range []struct {
		in      string
		highest uint32
		want    string // resolved; BAD: refused
	}{
		{"1", 9, "[{1 1}]"},
		{"1:3,2:5", 9, "[{1 5}]"},
		{"5,3,4", 9, "[{3 5}]"},
		{"*", 9, "[{9 9}]"},
		{"7:*", 9, "[{7 9}]"},
		{"12:*", 9, "[{9 12}]"},
		{"*:*", 9, "[{9 9}]"},
		{"*", 0, "[]"},
		{"3:*", 0, "[{1 3}]"},
		{"1,3", 9, "[{1 1} {3 3}]"},
		{"4294967295,4294967294", 9, "[{4294967294 4294967295}]"},
		{"0", 9, "BAD"},
		{"1:", 9, "BAD"},
		{",1", 9, "BAD"},
		{"1,", 9, "BAD"},
		{"1:2:3", 9, "BAD"},
		{"4294967296", 9, "BAD"},
		{"", 9, "BAD"},
		{"a", 9, "BAD"},
	} {
		set, err := ParseNumSet(tt.in)
		got := "BAD"
		if err == nil {
			got = fmt.Sprint(set.Resolve(tt.highest))
			if set.String() != tt.in && tt.in != "*:*" {
				t.Errorf("%q is written %q", tt.in, set)
			}
			for n := uint32(1); n < 14; n++ {
				in := false
				for _, r := range set.Resolve(tt.highest) {
					in = in || r.First <= n && n <= r.Last
				}
				if tt.highest > 0 && set.Contains(n, tt.highest) != in {
					t.Errorf("%q contains %d: %v", tt.in, n, !in)
				}
			}
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
	if set, err := ParseNumSet("$"); err != nil || !set.Saved || set.String() != "$" {
		t.Errorf("$: %v, %v", set, err)
	}
}

func TestFetchFacts(t *testing.T) {
	for _, tt := range []struct {
		in                    string
		content, header, seen bool
		name                  string // of the first item
	}{
		{"1 FLAGS", false, false, false, "FLAGS"},
		{"1 ALL", false, false, false, "FLAGS"},
		{"1 (UID BODYSTRUCTURE ENVELOPE BODY)", false, false, false, "UID"},
		{"1 BODY[]", true, false, true, "BODY[]"},
		{"1 BODY.PEEK[]<0.10>", true, false, false, "BODY[]<0>"},
		{"1 (FLAGS BODY.PEEK[2.1])", true, false, false, "FLAGS"},
		{"1 body.peek[header.fields (to \"a b\")]", false, true, false, `BODY[HEADER.FIELDS (to "a b")]`},
		{"1 BODY[HEADER]", false, true, true, "BODY[HEADER]"},
		{"1 BODY.PEEK[1.2.MIME]", false, true, false, "BODY[1.2.MIME]"},
		{"1 BODY.PEEK[1.HEADER.FIELDS.NOT (a)]", false, true, false, "BODY[1.HEADER.FIELDS.NOT (a)]"},
		{"1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])", true, false, false, "BODY[HEADER]"},
		{"1 RFC822", true, false, true, "RFC822"},
		{"1 RFC822.TEXT", true, false, true, "RFC822.TEXT"},
		{"1 RFC822.HEADER", false, true, false, "RFC822.HEADER"},
		{"1 BINARY[1]", true, false, true, "BINARY[1]"},
		{"1 BINARY.SIZE[1]", false, false, false, "BINARY.SIZE[1]"},
	} {
		f, err := ParseFetch([]byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if f.ReadsContent() != tt.content || f.ReadsHeader() != tt.header || f.SetsSeen() != tt.seen {
			t.Errorf("%s: content %v, header %v, seen %v", tt.in, f.ReadsContent(), f.ReadsHeader(), f.SetsSeen())
		}
		if got := string(f.Items[0].AppendName(nil)); got != tt.name {
			t.Errorf("%s: named %s", tt.in, got)
		}
	}
	f, err := ParseFetch([]byte("1 (FLAGS) (CHANGEDSINCE 12 VANISHED)"))
	if err != nil || f.ChangedSince != 12 || !f.Vanished {
		t.Errorf("modifiers: %+v, %v", f, err)
	}
}

// TestManyNames: names without wildcards cost little, so that many of them may be asked for.
func TestManyNames(t *testing.T) {
	l, err := ParseList("LIST", []byte(`"" (`+strings.Repeat(strings.Repeat("n", 100)+" ", 31)+"a*) RETURN (STATUS (MESSAGES))"), UTF7)
	if err != nil || len(l.Patterns) != 32 {
		t.Errorf("%d patterns, %v", len(l.Patterns), err)
	}
}

func TestCommands(t *testing.T) {
	set := NumSet{Ranges: []NumRange{{1, 2}}}
	for _, tt := range []struct {
		parse func() (any, error)
		want  any
	}{
		{func() (any, error) { return ParseStore([]byte(`1:2 +flags.silent (\Seen x)`)) }, Store{Set: set, Op: StoreAdd, Silent: true, Flags: []string{`\Seen`, "x"}}},
		{func() (any, error) { return ParseStore([]byte(`1:2 (UNCHANGEDSINCE 5) -FLAGS a b`)) }, Store{Set: set, Op: StoreRemove, Flags: []string{"a", "b"}, Conditional: true, UnchangedSince: 5}},
		{func() (any, error) { return ParseCopy([]byte(`1:2 {3}`+"\r\na b"), UTF7) }, Copy{set, "a b"}},
		{func() (any, error) { return ParseAppend([]byte(`inbox (a) "01-Feb-2026 10:00:00 +0100"`), UTF7) }, Append{Mailbox: "INBOX", Flags: []string{"a"}, Date: "01-Feb-2026 10:00:00 +0100"}},
		{func() (any, error) { return ParseAppend([]byte(`x`), UTF7) }, Append{Mailbox: "x"}},
		{func() (any, error) { return ParseAppend([]byte(`"é" (a) utf8 (`), UTF8) }, Append{Mailbox: "&AOk-", Flags: []string{"a"}, UTF8: true}},
		{func() (any, error) { return ParseAppend([]byte(`"&" "01-Feb-2026 10:00:00 +0100" UTF8 (`), UTF8) }, Append{Mailbox: "&-", Date: "01-Feb-2026 10:00:00 +0100", UTF8: true}},
		{func() (any, error) { return ParseNextAppend([]byte(`(a)`)) }, Append{Flags: []string{"a"}}},
		{func() (any, error) { return ParseNextAppend([]byte(`UTF8 (`)) }, Append{UTF8: true}},
		{func() (any, error) { return ParseStatus([]byte(`x (messages SIZE messages)`), UTF7) }, Status{"x", []string{"MESSAGES", "SIZE"}}},
		{func() (any, error) { return ParseSelect([]byte(`x (CONDSTORE QRESYNC (1 2 3:4 (5 6)))`), UTF7) }, Select{"x", true, []byte("1 2 3:4 (5 6)")}},
		{func() (any, error) { return ParseList("LSUB", []byte(`"" %`), UTF7) }, List{LSub: true, Patterns: []string{"%"}}},
		{
			func() (any, error) {
				return ParseList("LIST", []byte(`(SUBSCRIBED RECURSIVEMATCH) a (b c*) RETURN (CHILDREN STATUS (UNSEEN))`), UTF7)
			},
			List{
				Reference: "a", Patterns: []string{"b", "c*"}, Extended: true, SelectSubscribed: true, RecursiveMatch: true,
				ReturnSubscribed: true, ReturnChildren: true, ReturnStatus: []string{"UNSEEN"},
			},
		},
		{func() (any, error) { return ParseSearch([]byte(`RETURN (COUNT) CHARSET utf-8 NOT (1 FROM a)`)) }, Search{
			Extended: true, Count: true, Charset: "UTF-8", Key: SearchKey{Keys: []SearchKey{{Op: SearchNot, Keys: []SearchKey{{Keys: []SearchKey{
				{Op: SearchSet, Set: NumSet{Ranges: []NumRange{{1, 1}}}}, {Op: SearchHeader, Field: "From", Text: "a"},
			}}}}}},
		}},
	} {
		got, err := tt.parse()
		if err != nil {
			t.Errorf("want %+v: %v", tt.want, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// parsers are all of them, for what no input may do.
var parsers = map[string]func([]byte) error{
	"FETCH":  func(b []byte) error { _, err := ParseFetch(b); return err },
	"STORE":  func(b []byte) error { _, err := ParseStore(b); return err },
	"COPY":   func(b []byte) error { _, err := ParseCopy(b, UTF7); return err },
	"APPEND": func(b []byte) error { _, err := ParseAppend(b, UTF7); return err },
	"NEXT":   func(b []byte) error { _, err := ParseNextAppend(b); return err },
	"REPL":   func(b []byte) error { _, err := ParseReplace(b, UTF7); return err },
	"CREATE": func(b []byte) error { _, err := ParseCreate(b, UTF7); return err },
	"STATUS": func(b []byte) error { _, err := ParseStatus(b, UTF7); return err },
	"SELECT": func(b []byte) error { _, err := ParseSelect(b, UTF7); return err },
	"SEARCH": func(b []byte) error { _, err := ParseSearch(b); return err },
	"RETURN": func(b []byte) error { _, _, err := ParseReturns(b); return err },
	"TAGS":   func(b []byte) error { _, err := ParseTags(b); return err },
	"SORT":   func(b []byte) error { _, err := ParseSort(b); return err },
	"THREAD": func(b []byte) error { _, err := ParseThread(b); return err },
	"LIST":   func(b []byte) error { _, err := ParseList("LIST", b, UTF7); return err },
	"LSUB":   func(b []byte) error { _, err := ParseList("LSUB", b, UTF7); return err },
	"ACROSS": func(b []byte) error { _, err := ParseCopyAcross(b, UTF7); return err },
	"LIST8":  func(b []byte) error { _, err := ParseList("LIST", b, UTF8); return err },
	"COPY8":  func(b []byte) error { _, err := ParseCopy(b, UTF8); return err },
	"RESYNC": func(b []byte) error { _, err := ParseQResync(b); return err },
	"META":   func(b []byte) error { _, err := ParseMetadata(b, UTF7); return err },
}

func TestRefusedCommands(t *testing.T) {
	for _, tt := range []struct{ command, args string }{
		{"ACROSS", "1 INBOX"},
		{"ACROSS", "id x 1 INBOX"},
		{"ACROSS", "id 5 1 INBOX x"},
		{"META", "INBOX"},
		{"META", "INBOX "},
		{"META", "(DEPTH 1 INBOX (/private/comment)"},
		{"META", "(DEPTH 1)"},
		{"FETCH", ""},
		{"FETCH", "1"},
		{"FETCH", "1 X"},
		{"FETCH", "1 X[]"},
		{"FETCH", "1 UID[1]"},
		{"FETCH", "1 (UID"},
		{"FETCH", "1 UID x"},
		{"FETCH", "1 BODY[1.1"},
		{"FETCH", "1 BINARY[TEXT]"},
		{"FETCH", "1 BODY[" + strings.Repeat("1.", 101) + "1]"},
		{"FETCH", "1 (" + strings.Repeat("UID ", 201) + "UID)"},
		{"FETCH", "1 (UID) (CHANGEDSINCE 0)"},
		{"FETCH", "1 (" + strings.Repeat("BODY[HEADER.FIELDS (a b c)] ", 167) + "UID)"},
		{"FETCH", "1 (UID) (X)"},
		{"STORE", "1 FLAG (a)"},
		{"STORE", "1 +FLAGS"},
		{"STORE", `1 FLAGS (\*)`},
		{"STORE", "1 (X 1) FLAGS (a)"},
		{"COPY", "1"},
		{"COPY", "1 a b"},
		{"APPEND", ""},
		{"APPEND", "a "},
		{"APPEND", "a () "},
		{"APPEND", "a x"},
		{"STATUS", "a"},
		{"STATUS", "a ()"},
		{"STATUS", "a (X)"},
		{"SELECT", "a (X)"},
		{"SELECT", "a (QRESYNC x)"},
		{"SELECT", "a (QRESYNC (1)"},
		{"SEARCH", ""},
		{"SEARCH", "()"},
		{"SEARCH", "ALL "},
		{"SEARCH", "OR ALL"},
		{"SEARCH", "FROM"},
		{"SEARCH", "CHARSET utf-8"},
		{"SEARCH", "RETURN (X) ALL"},
		{"SEARCH", "CHARSET x-none ALL"},
		{"SEARCH", strings.Repeat("NOT ", 1000) + "ALL"},
		{"SEARCH", strings.Repeat("ALL ", 5000) + "ALL"},
		{"SEARCH", strings.Repeat("(", 101) + "ALL" + strings.Repeat(")", 101)},
		{"LIST", `""`},
		{"LIST", `(X) "" *`},
		{"LIST", `"" ()`},
		{"LIST", `"" * RETURN`},
		{"LIST", `"" * RETURN (X)`},
		{"LIST", `(RECURSIVEMATCH) "" *`},
		{"LSUB", `"" * RETURN ()`},
		{"LSUB", `() "" *`},
		{"LIST", `"" (` + strings.Repeat("a ", 32) + "a)"},
		{"LIST", `"" (` + strings.Repeat(strings.Repeat("*a", 40)+" ", 13) + "a)"},
		{"LIST", strings.Repeat("r", 500) + " (*a *b *c)"},
	} {
		err := parsers[tt.command]([]byte(tt.args))
		if fault := new(SyntaxError); !errors.As(err, &fault) {
			t.Errorf("%s %.40s: %v", tt.command, tt.args, err)
		}
	}
}

// FuzzParsers: no input breaks a parser, and what it refuses is a SyntaxError.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{
		"1:*,4 (UID BODY.PEEK[1.HEADER.FIELDS (a {1}\r\nb)]<1.2>)", `1 +FLAGS.SILENT (\Seen)`, "1 INBOX", `INBOX (\Seen) " 1-Feb-2026 10:00:00 +0100"`,
		"INBOX (MESSAGES)", "x (QRESYNC (1 2))", `RETURN (ALL) CHARSET UTF-8 OR NOT SEEN (FROM "a" SINCE 1-Feb-2026) HEADER x {1+}` + "\r\ny",
		`(SUBSCRIBED) "" (a % "*") RETURN (STATUS (SIZE))`, "$", "", "(((((", `"`, "{5}\r\n", "1 (PREVIEW (LAZY) MODSEQ) (CHANGEDSINCE 5)", `MODSEQ "/flags/\\draft" all 5`,
		"(DEPTH 1) INBOX (/private/comment {1}\r\nx)", "abcdef 1000 1:3 INBOX", "RETURN (MIN) (REVERSE DATE SUBJECT) UTF-8 ALL", "REFERENCES US-ASCII YOUNGER 5",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, parse := range parsers {
			err := parse(in)
			if fault := new(SyntaxError); err != nil && !errors.As(err, &fault) {
				t.Errorf("%s %q: %v", name, in, err)
			}
		}
		NamesModSeq(in)
		if uid, ok := FetchedUID(in); ok && uid == 0 {
			t.Errorf("%q holds the UID 0", in)
		}
		if set, err := ParseNumSet(string(in)); err == nil {
			last := uint64(0)
			for i, r := range set.Resolve(1000) {
				if r.First == 0 || r.First > r.Last || i > 0 && uint64(r.First) <= last+1 {
					t.Errorf("%q: resolved %v", in, set.Resolve(1000))
				}
				last = uint64(r.Last)
			}
			again, err := ParseNumSet(set.String())
			if diff := cmp.Diff(set, again); err != nil || diff != "" {
				t.Errorf("%q written and read: %v %s", in, err, diff)
			}
		}
		if s, err := NewParser(AppendAString(nil, string(in))).AString(); err != nil || s != strings.ReplaceAll(string(in), "\x00", "\x80") {
			t.Errorf("%q written and read: %q, %v", in, s, err)
		}
	})
}

func TestMailboxNames(t *testing.T) {
	for _, tt := range []struct{ wire, name string }{
		{"INBOX", "INBOX"}, {"a&-b", "a&b"}, {"Envoy&AOk-s", "Envoyés"}, {"&ZeVnLIqe-", "日本語"}, {"&2D3eAA-", "😀"}, {"&AOkA6Q-", "éé"}, {"&AOk-&-&AOk-", "é&é"}, {"", ""}, {"~/x", "~/x"},
	} {
		if got, err := DecodeMailbox(tt.wire); got != tt.name || err != nil {
			t.Errorf("decode %q: %q, %v", tt.wire, got, err)
		}
		if got := EncodeMailbox(tt.name); got != tt.wire {
			t.Errorf("encode %q: %q", tt.name, got)
		}
	}
	for _, wire := range []string{
		"&", "&AOk", "a&AOk/", "é", "\x01", "&AGE-", "&AOk-&AOk-", "&AO-", "&AOkA-", "&AOk-x&", "&2D0-", "&3gA-", "&AOk=-", "&A Ok-", "&AOl-",
	} {
		if got, err := DecodeMailbox(wire); err == nil {
			t.Errorf("decode %q: %q", wire, got)
		}
	}
}

// FuzzMailboxNames: a name has one wire form, and a wire form one name.
func FuzzMailboxNames(f *testing.F) {
	for _, s := range []string{"INBOX", "Envoy&AOk-s", "a&-b", "Envoyés", "😀", "&2D0-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := DecodeMailbox(s); err == nil && EncodeMailbox(name) != s {
			t.Errorf("%q is %q, which is written %q", s, name, EncodeMailbox(name))
		}
		name := strings.ToValidUTF8(s, "\uFFFD")
		if got, err := DecodeMailbox(EncodeMailbox(name)); err != nil || got != name {
			t.Errorf("%q is written %q and read %q, %v", name, EncodeMailbox(name), got, err)
		}
	})
}

package order_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/order"
)

func TestBaseSubject(t *testing.T) {
	for _, tt := range []struct {
		subject, base string
		reply         bool
	}{
		{"Résultats", "Résultats", false},
		{"", "", false},
		{" \t ", "", false},
		{"Re: a", "a", true},
		{"RE:re: fw : FWD:a", "a", true},
		{"Re", "Re", false},
		{"Re a", "Re a", false},
		{"Ré: a", "Ré: a", false},
		{"Rex: a", "Rex: a", false},
		{"Re[2]: a", "a", true},
		{"Re [2] : a", "a", true},
		{"Re [2]: a", "a", true},
		{"[liste] Re: a", "a", true},
		{"[liste] [autre] a", "a", false},
		{"[liste]", "[liste]", false},
		{"[liste] [autre]", "[autre]", false},
		{"Re: [liste]", "[liste]", true},
		{"[liste", "[liste", false},
		{"[a [b] Re: c", "[a [b] Re: c", false},
		{"a (fwd)", "a", true},
		{"a (FWD)(fwd) ", "a", true},
		{"(fwd)", "", true},
		{"[fwd: a]", "a", true},
		{"[FWD: Re: [x] a (fwd)] (fwd)", "a", true},
		{"[fwd: a", "[fwd: a", false},
		{"[fwd: [fwd: a]]", "a", true},
		{"[fwd:]", "", true},
		{"a\t\t b\r\n  c", "a b c", false},
		{"Re: Re: ", "", true},
		{"[x]Re:[y]Re[z]:(fwd)a", "(fwd)a", true},
	} {
		if base, reply := order.BaseSubject(tt.subject); base != tt.base || reply != tt.reply {
			t.Errorf("%q: %q, %v", tt.subject, base, reply)
		}
	}
}

func TestCollate(t *testing.T) {
	for s, want := range map[string]string{
		"abcXYZ[]{}": "ABCXYZ[]{}", "é": "E\u0301", "É": "E\u0301", "e\u0301": "E\u0301", "ß": "ß", "ﬁ": "fi", "ǆ": "Dz\u030c",
		"한": "\u1112\u1161\u11ab", "ｒｅ：": "RE:", "\u0161": "S\u030c", "": "", strings.Repeat("é", 512): strings.Repeat("E\u0301", 512/3),
		strings.Repeat("a", 600): strings.Repeat("A", 512),
	} {
		if got := order.Collate(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestSentDate(t *testing.T) {
	for s, want := range map[string]string{
		"Mon, 2 Nov 2026 09:30:00 +0100":           "2026-11-02T08:30:00Z",
		"31 Dec 2000 16:01:33 -0800":               "2001-01-01T00:01:33Z", // the example of RFC 5256, 2.2
		"Fri, 1 Jan 99 00:00 EST (hiver (dur))":    "1999-01-01T05:00:00Z",
		"1 Jan 03 10:20:30":                        "2003-01-01T10:20:30Z",
		"1 Jan 103 10:20:30 GMT":                   "2003-01-01T10:20:30Z",
		"Lun, 2 november 2026 9.05 +0100":          "2026-11-02T08:05:00Z",
		"2 Nov 2026 25:61:00 +0100":                "2026-11-02T00:00:00Z",
		"2 Nov 2026 10:00:60 +9900":                "2026-11-02T10:01:00Z",
		"2 Nov 2026 10:00:00 quelque part":         "2026-11-02T10:00:00Z",
		"Mon (x), 2(y)Nov 2026 00:00:00 \"-0100\"": "2026-11-02T00:00:00Z",
		"2 Nov 2026":                               "2026-11-02T00:00:00Z",
		"32 Nov 2026 10:00:00 +0100":               "",
		"31 Feb 2026 10:00:00 +0100":               "",
		"hier":                                     "",
		"":                                         "",
		"2026-11-02 10:00":                         "",
		"2 (Nov 2026":                              "",
		"-1 Nov 2026":                              "",
		"2 Nov 20266":                              "",
	} {
		got, ok := order.SentDate(s)
		if text := got.Format(time.RFC3339); ok != (want != "") || ok && text != want {
			t.Errorf("%q: %s, %v, want %q", s, text, ok, want)
		}
	}
}

func TestIDs(t *testing.T) {
	for field, want := range map[string]string{
		"<a@b>": "a@b", "<a@b> hier <c d@e> \"x\"": "a@b cd@e", "<a@b><c@d>\t<e@f": "a@b c@d", "a@b": "", "<a>": "", "<@b>": "", "<a@>": "",
		`<"01KF8JCEOCBS0045PS"@xxx.yyy.com>`: "01KF8JCEOCBS0045PS@xxx.yyy.com", `<"a b"@c>`: "ab@c", `<"a\"@x>b"@c>`: `a"@x>b@c`, "<x<a@b>": "a@b",
		"<" + strings.Repeat("a", 1000) + "@b> <c@d>": "c@d", "<>": "", "<": "", `<"@b> <c@d>`: "c@d", "": "",
	} {
		if got := strings.Join(order.IDs(nil, field, 100), " "); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
		if first, _, _ := strings.Cut(want, " "); order.ID(field) != first {
			t.Errorf("%q: first %q", field, order.ID(field))
		}
	}
	if got := order.IDs(nil, "<a@b> <c@d> <e@f>", 2); strings.Join(got, " ") != "c@d e@f" {
		t.Errorf("the last two: %q", got)
	}
}

func TestSort(t *testing.T) {
	text := func(by order.By, s string) (text [len(order.Message{}.Text)]string) {
		text[by] = order.Collate(s)
		return text
	}
	messages := []order.Message{
		{Seq: 1, Size: 5, Sent: 9, Text: text(order.Subject, "b")},
		{Seq: 2, Size: 5, Sent: 8, Text: text(order.Subject, "A")},
		{Seq: 3, Size: 1, Sent: 7, Text: text(order.Subject, "a")},
		{Seq: 4, Size: 1, Sent: 7, Text: text(order.Subject, "É")},
	}
	for _, tt := range []struct {
		criteria []order.Criterion
		want     string
	}{
		{nil, "1 2 3 4"},
		{[]order.Criterion{{By: order.Subject}}, "2 3 1 4"},
		{[]order.Criterion{{By: order.Subject, Reverse: true}}, "4 1 2 3"},
		{[]order.Criterion{{By: order.Size}, {By: order.Subject}}, "3 4 2 1"},
		{[]order.Criterion{{By: order.Size, Reverse: true}, {By: order.Subject}}, "2 1 3 4"},
		{[]order.Criterion{{By: order.Date}}, "3 4 2 1"},
		{[]order.Criterion{{By: order.From}, {By: order.Date, Reverse: true}}, "1 2 3 4"},
	} {
		sorted := slices.Clone(messages)
		slices.Reverse(sorted)
		if got := strings.Trim(fmt.Sprint(order.Sort(sorted, tt.criteria)), "[]"); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.criteria, got, tt.want)
		}
	}
}

// message is one of a test: its id is its letter, and it is sent in the order of the list unless it says otherwise.
func message(id, subject string, references ...string) order.Threaded {
	base, reply := order.BaseSubject(subject)
	return order.Threaded{ID: id, Subject: order.Collate(base), Reply: reply, References: references}
}

// draw writes threads as the response does, messages by their ids.
func draw(messages []order.Threaded, nodes []*order.Node) string {
	var b strings.Builder
	for _, n := range nodes {
		inner := draw(messages, n.Children)
		if len(n.Children) == 1 {
			inner = inner[1 : len(inner)-1]
		}
		if n.Message >= 0 {
			if inner != "" {
				inner = " " + inner
			}
			inner = messages[n.Message].ID + inner
		}
		b.WriteString("(" + inner + ")")
	}
	return b.String()
}

func TestThreads(t *testing.T) {
	for _, tt := range []struct {
		name                         string
		messages                     []order.Threaded
		references, latest, subjects string
	}{
		{"alone", []order.Threaded{message("a", "x"), message("b", "y")}, "(a)(b)", "(a)(b)", "(a)(b)"},
		{"none", nil, "", "", ""},
		{
			"a conversation",
			[]order.Threaded{message("a", "x"), message("b", "Re: x", "a"), message("c", "Re: x", "a", "b"), message("d", "Re: x", "a")},
			"(a (b c)(d))", "(a (b c)(d))", "(a (b)(c)(d))",
		},
		{
			"what is not there stays away",
			[]order.Threaded{message("b", "x", "a"), message("d", "y", "a", "c"), message("e", "z", "a", "c")},
			"((b)(d)(e))", "((b)(d)(e))", "(b)(d)(e)",
		},
		{"one below what is not there", []order.Threaded{message("c", "x", "a", "b")}, "(c)", "(c)", "(c)"},
		{"a reply before its message", []order.Threaded{message("b", "Re: x", "a"), message("a", "x")}, "(a b)", "(a b)", "(b a)"},
		{"itself", []order.Threaded{message("a", "x", "a")}, "(a)", "(a)", "(a)"},
		{"a loop", []order.Threaded{message("a", "x", "b"), message("b", "y", "a")}, "(b a)", "(b a)", "(a)(b)"},
		{
			"twice the same id",
			[]order.Threaded{message("a", "x"), message("a", "y"), message("c", "z", "a")},
			"(a c)(a)", "(a)(a c)", "(a)(a)(c)",
		},
		{"no ids", []order.Threaded{message("", "x"), message("", "y")}, "()()", "()()", "()()"},
		{
			"cut short",
			[]order.Threaded{message("c", "x", "a", "b"), message("b", "y"), message("a", "z")},
			"(b c)(a)", "(b c)(a)", "(c)(b)(a)",
		},
		{
			"subjects bring together: reply and message",
			[]order.Threaded{message("a", "Re: x"), message("b", "x")},
			"(b a)", "(a)(b)", "(a b)",
		},
		{
			"subjects bring together: equals",
			[]order.Threaded{message("a", "x"), message("b", "x"), message("c", "X"), message("d", "Re: x")},
			"((a)(b)(c)(d))", "(a)(b)(c)(d)", "(a (b)(c)(d))",
		},
		{
			"subjects bring together: what is not there",
			[]order.Threaded{message("b", "x", "a"), message("c", "x", "a"), message("d", "x"), message("f", "x", "e"), message("g", "x", "e")},
			"((b)(c)(d)(f)(g))", "((b)(c))(d)((f)(g))", "(b (c)(d)(f)(g))",
		},
		{
			"a table with what is not there second",
			[]order.Threaded{message("d", "x"), message("b", "x", "a"), message("c", "x", "a")},
			"((d)(b)(c))", "(d)((b)(c))", "(d (b)(c))",
		},
		{"empty subjects do not", []order.Threaded{message("a", ""), message("b", "Re:")}, "(a)(b)", "(a)(b)", "(a b)"},
		{
			"the last word",
			[]order.Threaded{message("a", "x"), message("b", "y"), message("c", "Re: x", "a")},
			"(a c)(b)", "(b)(a c)", "(a c)(b)",
		},
	} {
		for i := range tt.messages {
			tt.messages[i].Seq, tt.messages[i].Sent = uint32(i+1), int64(i)
		}
		references, err := order.ByReferences(tt.messages, nil)
		if got := draw(tt.messages, references); err != nil || got != tt.references {
			t.Errorf("%s: REFERENCES %s, %v, want %s", tt.name, got, err, tt.references)
		}
		latest, err := order.ByLatest(tt.messages, nil)
		if got := draw(tt.messages, latest); err != nil || got != tt.latest {
			t.Errorf("%s: REFS %s, %v, want %s", tt.name, got, err, tt.latest)
		}
		if got := draw(tt.messages, order.BySubject(tt.messages)); got != tt.subjects {
			t.Errorf("%s: ORDEREDSUBJECT %s, want %s", tt.name, got, tt.subjects)
		}
	}
}

// TestHostileThreads: a hundred thousand messages that make one thread are threaded in no time whichever way they stand, and what would take
// for ever is given up.
func TestHostileThreads(t *testing.T) {
	const many = 100_000
	id := func(i int) string { return fmt.Sprint(i) }
	up, down := make([]order.Threaded, many), make([]order.Threaded, many)
	for i := range many {
		up[i] = order.Threaded{Seq: uint32(i + 1), Sent: int64(i), ID: id(i), References: []string{id(i - 1)}}
		down[i] = order.Threaded{Seq: uint32(i + 1), Sent: int64(i), ID: id(i), References: []string{id(i + 1)}}
	}
	for _, messages := range [][]order.Threaded{up, down} {
		roots, err := order.ByReferences(messages, nil)
		depth := 0
		for nodes := roots; len(nodes) == 1; nodes = nodes[0].Children {
			depth++
		}
		if err != nil || depth != many {
			t.Errorf("one thread %d deep, %v", depth, err)
		}
	}
	// Pairs that are joined to the end of a chain make each look whether the chain is below them.
	knot := slices.Clone(up[:many/2])
	for i := range many / 2 {
		y := "y" + id(i)
		knot = append(knot, order.Threaded{ID: "x" + id(i), References: []string{y}}, order.Threaded{ID: "z" + id(i), References: []string{id(many/2 - 1), y}})
	}
	calls := 0
	_, err := order.ByReferences(knot, func() error {
		calls++
		return nil
	})
	if !errors.Is(err, order.ErrTooTangled) || calls == 0 {
		t.Errorf("a knot: %v after %d questions", err, calls)
	}
	gone := errors.New("gone")
	if _, err := order.ByReferences(knot, func() error { return gone }); !errors.Is(err, gone) {
		t.Errorf("nobody waits: %v", err)
	}
}

// FuzzOrder: nothing that a header may hold breaks any of it, and every message is in its threads once.
func FuzzOrder(f *testing.F) {
	f.Add("Re: [x] a (fwd)", "<a@b> <c@d>", "2 Nov 2026 10:00:00 +0100")
	f.Add("[fwd: [fwd: ]]", "<\"a\\\"@b> <", "(")
	f.Fuzz(func(t *testing.T, subject, references, date string) {
		base, _ := order.BaseSubject(subject)
		if again, _ := order.BaseSubject(base); len(again) > len(base) || len(base) > len(subject) {
			t.Errorf("%q: %q, then %q", subject, base, again)
		}
		order.SentDate(date)
		ids := order.IDs(nil, references, 10)
		messages := []order.Threaded{{Seq: 1, ID: order.ID(references), References: ids, Subject: order.Collate(base)}, {Seq: 2, References: ids}, {Seq: 3, ID: "a@b", Subject: order.Collate(subject)}}
		for i, id := range ids {
			messages = append(messages, order.Threaded{Seq: uint32(i + 4), ID: id, References: ids[i:]})
		}
		roots, err := order.ByReferences(messages, nil)
		seen := map[int]int{}
		var walk func([]*order.Node)
		walk = func(nodes []*order.Node) {
			for _, n := range nodes {
				if n.Message < 0 && len(n.Children) < 2 {
					t.Errorf("a node without message and %d children", len(n.Children))
				}
				seen[n.Message]++
				walk(n.Children)
			}
		}
		walk(roots)
		delete(seen, -1)
		if err != nil || len(seen) != len(messages) {
			t.Errorf("%d of %d messages, %v", len(seen), len(messages), err)
		}
		for m, n := range seen {
			if n != 1 {
				t.Errorf("message %d stands %d times", m, n)
			}
		}
	})
}

package structure

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(msg string, lim Limits, chunk int) Result {
	p := NewParser(lim)
	for b := []byte(msg); len(b) > 0; {
		n := min(chunk, len(b))
		p.Write(b[:n])
		b = b[n:]
	}
	return p.Finish()
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const noExt = "NIL NIL NIL NIL"

func TestBodyStructure(t *testing.T) {
	plain := func(size, lines int) string {
		return fmt.Sprintf(`("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d %s)`, size, lines, noExt)
	}
	emptyEnvelope := "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
	for _, tt := range []struct {
		name, msg, want string
	}{
		{"empty", "", plain(0, 0)},
		{"header only", "Subject: x\r\n", plain(0, 0)},
		{"no header", "\r\nhello\r\n", plain(7, 1)},
		{"no final line end", "\r\nhello", plain(5, 0)},
		{"bare LF", "Subject: x\n\na\nb\n", plain(4, 2)},
		{"bare CR is content", "Subject: x\r\r\n\r\na\rb\r\n", plain(5, 1)},
		{"NUL and 8 bit", "\r\n\x00\xff\r\n", plain(4, 1)},
		{"html without charset", "Content-Type: TEXT/html\r\n\r\n", `("TEXT" "html" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)`},
		{"unusable type", "Content-Type: text\r\n\r\n", plain(0, 0)},
		{"no subtype", "Content-Type: text/;x=y\r\n\r\n", plain(0, 0)},
		{"multipart without boundary", "Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\n", `("application" "octet-stream" NIL NIL NIL "7bit" 7 NIL NIL NIL NIL)`},
		{"multipart without parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\nhello", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)`},
		{
			"all fields", crlf("Content-Type: application/pdf; name=\"a \\\"b\\\".pdf\"; x=y z ; (c;d) w=\"é\"\nContent-ID: <1@x>\nContent-Description: ordonnance\n" +
				"Content-Transfer-Encoding: (c) BASE64\nContent-MD5: abc==\nContent-Disposition: attachment; filename*0*=utf-8''a; filename*1=b\n" +
				"Content-Language: fr, en-GB\nContent-Location: http://x/\n\nAAAA\n"),
			`("application" "pdf" ("name" "a \"b\".pdf" "x" "y z" "w" {2}` + "\r\n" + `é) "<1@x>" "ordonnance" "BASE64" 6 "abc==" ` +
				`("attachment" ("filename*0*" "utf-8''a" "filename*1" "b")) ("fr" "en-GB") "http://x/")`,
		},
		{"one language", "Content-Type: a/b\r\nContent-Language: fr\r\n\r\n", `("a" "b" NIL NIL NIL "7bit" 0 NIL NIL "fr" NIL)`},
		{
			"mixed", crlf("Content-Type: multipart/mixed; boundary=\"b b\"\n\npreamble\n--b b\n\none\n--b b  \nContent-Type: text/plain; charset=utf-8\n\ntwo\nlines\n--b b--\nepilogue\n--b b\n\nthree\n"),
			"(" + plain(3, 0) + `("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 10 1 NIL NIL NIL NIL) "mixed" ("boundary" "b b") NIL NIL NIL)`,
		},
		{
			"bare LF delimiters", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
			"(" + plain(3, 0) + ` "mixed" ("boundary" "b") NIL NIL NIL)`,
		},
		{
			"no closing delimiter", crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n"),
			"(" + plain(5, 1) + ` "mixed" ("boundary" "b") NIL NIL NIL)`,
		},
		{
			"empty parts", crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\nSubject: x\n--b--\n"),
			"(" + plain(0, 0) + plain(0, 0) + plain(0, 0) + ` "mixed" ("boundary" "b") NIL NIL NIL)`,
		},
		{
			"boundary in pieces", crlf("Content-Type: multipart/mixed; boundary*0*=us-ascii'en'a%20; boundary*1=\"%b\"\n\n--a %b\n\none\n--a %b--\n"),
			"(" + plain(3, 0) + ` "mixed" ("boundary*0*" "us-ascii'en'a%20" "boundary*1" "%b") NIL NIL NIL)`,
		},
		{
			"boundary encoded", crlf("Content-Type: multipart/mixed; boundary*=''%62%\n\n--b%\n\none\n--b%--\n"),
			"(" + plain(3, 0) + ` "mixed" ("boundary*" "''%62%") NIL NIL NIL)`,
		},
		{
			"inner boundary begins with the outer", crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n"),
			"((" + plain(3, 0) + ` "alternative" ("boundary" "bb") NIL NIL NIL)` + plain(3, 0) + ` "mixed" ("boundary" "b") NIL NIL NIL)`,
		},
		{
			"outer delimiter ends the inner parts", crlf("Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o\n\ntwo\n--o--\n"),
			"((" + plain(3, 0) + ` "mixed" ("boundary" "i") NIL NIL NIL)` + plain(3, 0) + ` "mixed" ("boundary" "o") NIL NIL NIL)`,
		},
		{
			"digest", crlf("Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: a\n\nbody\n--d\n--d--\n"),
			`(("message" "rfc822" NIL NIL NIL "7bit" 18 (NIL "a" NIL NIL NIL NIL NIL NIL NIL NIL) ` + plain(4, 0) + " 2 " + noExt + ")" +
				`("message" "rfc822" NIL NIL NIL "7bit" 0 ` + emptyEnvelope + " " + plain(0, 0) + " 0 " + noExt + ")" +
				` "digest" ("boundary" "d") NIL NIL NIL)`,
		},
		{
			"message in message", crlf("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: deep\n\nx\n"),
			`("message" "rfc822" NIL NIL NIL "7bit" 52 ` + emptyEnvelope + ` ("message" "rfc822" NIL NIL NIL "7bit" 20 (NIL "deep" NIL NIL NIL NIL NIL NIL NIL NIL) ` +
				plain(3, 1) + " 3 " + noExt + ") 5 " + noExt + ")",
		},
		{"message/global is opaque", "Content-Type: message/global\r\n\r\nx", `("message" "global" NIL NIL NIL "7bit" 1 NIL NIL NIL NIL)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(tt.msg, Limits{}, 1<<20)
			if diff := cmp.Diff(tt.want, string(got.BodyStructure)); diff != "" {
				t.Errorf("BODYSTRUCTURE (-want +got):\n%s", diff)
			}
			checkResult(t, tt.msg, got)
		})
	}
}

func TestBodyHasNoExtensionData(t *testing.T) {
	got := parse(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n"), Limits{}, 1<<20)
	want := `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0) "mixed")`
	if string(got.Body) != want {
		t.Errorf("BODY is %s, want %s", got.Body, want)
	}
}

func TestEnvelope(t *testing.T) {
	msg := crlf("Date: Mon, 2 Nov 2026 10:00:00 +0100\nSubject: =?utf-8?q?Ordonnance?=\n\tfor a\n  b\nFrom: Dr D <a@b>\nTo: x@y\nTo: z@y\n" +
		"Message-ID: <1@b>\nIn-Reply-To: \nSubject: second\nbroken line\n\n")
	want := `("Mon, 2 Nov 2026 10:00:00 +0100" "=?utf-8?q?Ordonnance?= for a  b" (("Dr D" NIL "a" "b")) (("Dr D" NIL "a" "b")) (("Dr D" NIL "a" "b")) ` +
		`((NIL NIL "x" "y")(NIL NIL "z" "y")) NIL NIL "" "<1@b>")`
	got := parse(msg, Limits{}, 1<<20)
	if diff := cmp.Diff(want, string(got.Envelope)); diff != "" {
		t.Errorf("ENVELOPE (-want +got):\n%s", diff)
	}
	if string(got.Header) != msg {
		t.Errorf("header block is %q", got.Header)
	}
}

// TestEmptyReplyTo: a Sender or Reply-To that names nobody is as good as none.
func TestEmptyReplyTo(t *testing.T) {
	want := `(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`
	for _, fields := range []string{"", "Sender:\nReply-To: \n", "Sender: (nobody)\nReply-To: ,\n"} {
		if got := parse(crlf("From: a@b\n"+fields+"\n"), Limits{}, 1<<20); string(got.Envelope) != want {
			t.Errorf("%q: ENVELOPE is %s", fields, got.Envelope)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "NIL"},
		{" , ,", "NIL"},
		{"a@b", `((NIL NIL "a" "b"))`},
		{"a@b (Ann \\) (x))", `(("Ann ) (x)" NIL "a" "b"))`},
		{"Ann B <a@b>", `(("Ann B" NIL "a" "b"))`},
		{`"B, \"Ann\"" <a@b>, c@d`, `(("B, \"Ann\"" NIL "a" "b")(NIL NIL "c" "d"))`},
		{`Ann "x" . y <a . b @ c . d>`, `(("Ann x . y" NIL "a.b" "c.d"))`},
		{"<@r1,@r2:a@b>", `((NIL "@r1,@r2" "a" "b"))`},
		{"team: a@b, C <c@d>;, e@f", `((NIL NIL "team" NIL)(NIL NIL "a" "b")("C" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f"))`},
		{"undisclosed-recipients:;", `((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))`},
		{"open: a@b", `((NIL NIL "open" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))`},
		{"user", `((NIL NIL "user" "MISSING_DOMAIN"))`},
		{"<>", `((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
		{"@b", `((NIL NIL "MISSING_MAILBOX" "b"))`},
		{"<@b>", `((NIL NIL "MISSING_MAILBOX" "b"))`},
		{"a@b <c@d>", `(("a@b" NIL "c" "d"))`},
		{"a@[1.2.3.4]", `((NIL NIL "a" "[1.2.3.4]"))`},
		{`"a b"@c`, `((NIL NIL "a b" "c"))`},
		{"=?utf-8?q?L=C3=A9a?= <a@b>", `(("=?utf-8?q?L=C3=A9a?=" NIL "a" "b"))`},
		{"Léa <a@b>", "(({4}\r\nLéa NIL \"a\" \"b\"))"},
		{"<a@b", `((NIL NIL "a" "b"))`},
		{`"open`, `((NIL NIL "open" "MISSING_DOMAIN"))`},
		{"a@b c@d, e@f (x) g.h, i@j . (y) k", `((NIL NIL "a" "b")("x" NIL "e" "f")("y" NIL "i" "j.k"))`},
		{"a@b>, <c@d e>", `((NIL NIL "a" "b")(NIL NIL "c" "d"))`},
		{"a@\" x \"", `((NIL NIL "a" "x"))`},
		{"g: a@b c;, d@e", `((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "d" "e"))`},
		{"Service des urgences", `(("Service des urgences" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`},
		{"A <a@b> trailing, c@d", `(("A" NIL "a" "b")(NIL NIL "c" "d"))`},
		{"a: b: c@d; ;", `((NIL NIL "a" NIL)(NIL NIL "b" "MISSING_DOMAIN")(NIL NIL "c" "d")(NIL NIL NIL NIL))`},
	} {
		if got := string(appendAddresses(nil, parseAddresses(tt.in))); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	msg := crlf("Subject: top\nContent-Type: multipart/mixed; boundary=b\n\n--b\nX: 1\n\none\n--b\nContent-Type: message/rfc822\n\n" +
		"Subject: in\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nalpha\n--c\n\nbeta\n--c--\n--b\nContent-Type: message/rfc822\n\nSubject: leaf\n\ntext\n--b--\n")
	parts := parse(msg, Limits{}, 1<<20).Parts
	type found struct {
		text string
		ok   bool
	}
	for _, tt := range []struct {
		path string
		what Section
		want found
	}{
		{"", All, found{msg, true}},
		{"", Header, found{crlf("Subject: top\nContent-Type: multipart/mixed; boundary=b\n\n"), true}},
		{"", MIME, found{}},
		{"1", All, found{"one", true}},
		{"1", MIME, found{"X: 1\r\n\r\n", true}},
		{"1", Header, found{}},
		{"1.1", All, found{}},
		{"2.HEADER", Header, found{crlf("Subject: in\nContent-Type: multipart/mixed; boundary=c\n\n"), true}},
		{"2.1", All, found{"alpha", true}},
		{"2.2", All, found{"beta", true}},
		{"2.3", All, found{}},
		{"3", Text, found{"text", true}},
		{"3", MIME, found{"Content-Type: message/rfc822\r\n\r\n", true}},
		{"3.1", All, found{"text", true}},
		{"3.1", MIME, found{"Subject: leaf\r\n\r\n", true}},
		{"3.2", All, found{}},
		{"3.1.1", All, found{}},
		{"4", All, found{}},
		{"0", All, found{}},
	} {
		var path []int
		for s := range strings.SplitSeq(tt.path, ".") {
			if n, err := strconv.Atoi(s); err == nil {
				path = append(path, n)
			}
		}
		off, n, ok := Find(parts, path, tt.what)
		if got := (found{msg[off : off+n], ok}); got != tt.want {
			t.Errorf("%s of kind %d: got %+v, want %+v", tt.path, tt.what, got, tt.want)
		}
	}
	single := parse("Subject: x\r\n\r\nhi", Limits{}, 9).Parts
	if off, n, ok := Find(single, []int{1}, All); !ok || off != 14 || n != 2 {
		t.Errorf("part 1 of a message that is no multipart: %d+%d %v", off, n, ok)
	}
	if _, _, ok := Find(nil, nil, All); ok {
		t.Error("a message without parts has a section")
	}
}

func TestLimits(t *testing.T) {
	var deep strings.Builder
	for i := range 300 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d_\r\n\r\n--b%d_\r\n", i, i)
	}
	res := parse(deep.String(), Limits{}, 1<<20)
	if got := len(res.Parts); got != maxNesting {
		t.Errorf("a message nested 300 deep has %d parts, want %d", got, maxNesting)
	}
	checkResult(t, deep.String(), res)

	many := "Content-Type: multipart/digest; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n\r\n", 30_000)
	res = parse(many, Limits{}, 1<<20)
	if got := len(res.Parts); got < maxParts || got > maxParts+1 {
		t.Errorf("a message of 30 000 parts has %d, want %d", got, maxParts)
	}
	checkResult(t, many, res)
	if n := len(res.Body) + len(res.BodyStructure) + len(AppendParts(nil, res.Parts)); n > 3<<20 {
		t.Errorf("its texts take %d octets", n)
	}

	rcpt := "From: " + strings.Repeat("a,", 20_000) + "\r\nTo: " + strings.Repeat("b,", 500_000) + "\r\n"
	huge := rcpt + "Subject: " + strings.Repeat("x", 1<<20) + "\r\nX: " + strings.Repeat(" y\r\n", 1<<18) + "\r\nbody"
	res = parse(huge, Limits{}, 1<<20)
	if res.Header != nil || len(res.Envelope) > 1<<20 {
		t.Errorf("a huge header is kept: %d octets, ENVELOPE of %d", len(res.Header), len(res.Envelope))
	}
	checkResult(t, huge, res)
}

// TestMemory streams 64 MB without line ends and with: what is kept of it stays small.
func TestMemory(t *testing.T) {
	p := NewParser(Limits{})
	io.WriteString(p, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n")
	block := bytes.Repeat([]byte("x"), 1<<16)
	allocs := testing.AllocsPerRun(1000, func() {
		p.Write(block)
		p.Write([]byte("\r\n"))
	})
	if allocs > 1 || cap(p.line) > 4<<10 {
		t.Errorf("a body line costs %.1f allocations, and %d octets are kept", allocs, cap(p.line))
	}
}

func TestPartsRoundTrip(t *testing.T) {
	parts := parse(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n\n--b--\n"), Limits{}, 7).Parts
	b := AppendParts(nil, parts)
	got, err := DecodeParts(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parts, got); diff != "" {
		t.Errorf("parts change in the store (-want +got):\n%s", diff)
	}
	for i := range b {
		if _, err := DecodeParts(b[:i]); err == nil {
			t.Errorf("parts cut at %d of %d are read", i, len(b))
		}
	}
}

// checkResult reports what is never true of a result, whatever the message.
func checkResult(t *testing.T, msg string, res Result) {
	t.Helper()
	if res.Size != int64(len(msg)) {
		t.Errorf("size %d of %d octets", res.Size, len(msg))
	}
	for name, text := range map[string][]byte{"ENVELOPE": res.Envelope, "BODY": res.Body, "BODYSTRUCTURE": res.BodyStructure} {
		if rest, err := value(text); err != nil || len(rest) > 0 {
			t.Errorf("%s is not grammatical (%v, %d octets left): %.200q", name, err, len(rest), text)
		}
	}
	if res.Header != nil && !strings.HasPrefix(msg, string(res.Header)) {
		t.Errorf("header block %.100q is no prefix of the message", res.Header)
	}
	var open []Part
	for i, p := range res.Parts {
		if p.Header > p.Body || p.Body > p.End || p.End > res.Size {
			t.Errorf("part %d lies at %d, %d, %d of %d", i, p.Header, p.Body, p.End, res.Size)
		}
		if p.Depth > len(open) || i > 0 && p.Depth == 0 {
			t.Fatalf("part %d has depth %d below %d", i, p.Depth, len(open))
		}
		open = append(open[:p.Depth], p)
		if p.Depth > 0 {
			if up := open[p.Depth-1]; p.Header < up.Body || p.End > up.End {
				t.Errorf("part %d (%d-%d) is not within its parent (%d-%d)", i, p.Header, p.End, up.Body, up.End)
			}
		}
	}
}

// value reads one NIL, number, string or list off b.
func value(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, io.ErrUnexpectedEOF
	case b[0] == '(':
		b = b[1:]
		for first := true; len(b) > 0 && b[0] != ')'; first = false {
			if !first && b[0] == ' ' {
				b = b[1:]
			}
			var err error
			if b, err = value(b); err != nil {
				return nil, err
			}
		}
		if len(b) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return b[1:], nil
	case b[0] == '"':
		for i := 1; i < len(b); i++ {
			switch c := b[i]; {
			case c == '"':
				return b[i+1:], nil
			case c == '\\':
				i++
			case c == 0 || c >= 0x80 || c == '\r' || c == '\n':
				return nil, fmt.Errorf("octet %#x in a quoted string", c)
			}
		}
		return nil, io.ErrUnexpectedEOF
	case b[0] == '{':
		head, rest, ok := bytes.Cut(b[1:], []byte("}\r\n"))
		n, err := strconv.Atoi(string(head))
		if !ok || err != nil || n > len(rest) {
			return nil, fmt.Errorf("literal %q", head)
		}
		if bytes.IndexByte(rest[:n], 0) >= 0 {
			return nil, fmt.Errorf("NUL in a literal")
		}
		return rest[n:], nil
	case bytes.HasPrefix(b, []byte("NIL")):
		return b[3:], nil
	default:
		i := 0
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i == 0 {
			return nil, fmt.Errorf("octet %q", b[0])
		}
		return b[i:], nil
	}
}

// FuzzParser: any message is parsed, the same in any pieces, and the result is sound.
func FuzzParser(f *testing.F) {
	f.Add("Subject: x\r\n\r\nbody\r\n", 3)
	f.Add("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nTo: g:a@b;\r\n\r\nx\r\n--b--\r\n", 1)
	f.Add("Content-Type: multipart/digest; boundary=\"a\"\n\n--a\n--a\n\n--a--\n--a", 5)
	f.Add("From: \"a\\\"<@r:b@c>, (x(y)) é <\r\n\tz@[1]>\r\nContent-Disposition: attachment; filename*=a;;b=\r\nContent-Language: a,b\r\n\r\n\x00", 2)
	f.Fuzz(func(t *testing.T, msg string, chunk int) {
		lim := Limits{Nesting: 5, Parts: 20, Field: 200, Fields: 2000, Header: 300}
		whole := parse(msg, lim, len(msg)+1)
		checkResult(t, msg, whole)
		pieces := parse(msg, lim, max(1, chunk%50))
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Errorf("the result depends on the pieces (-whole +pieces):\n%s", diff)
		}
		got, err := DecodeParts(AppendParts(nil, whole.Parts))
		if diff := cmp.Diff(whole.Parts, got); err != nil || diff != "" {
			t.Errorf("parts change in the store: %v\n%s", err, diff)
		}
	})
}

// TestGlobal: asked to, the parser takes message/global for what message/rfc822 is, wherever it stands.
func TestGlobal(t *testing.T) {
	for _, msg := range []string{
		"Content-Type: message/rfc822\n\nSubject: a\n\nb\n",
		"Content-Type: message/rfc822\n\n",
		"Content-Type: message/rfc822",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: é\nContent-Type: message/rfc822\n\nTo: a@b\n\n--b\n\nx\n--b--\n",
	} {
		msg = crlf(msg)
		swap := func(s string) string { return strings.ReplaceAll(s, "/rfc822", "/global") }
		want := parse(msg, Limits{}, 7)
		got := parse(swap(msg), Limits{Global: true}, 7)
		if a, b := strings.ReplaceAll(string(want.BodyStructure), `"rfc822"`, `"global"`), string(got.BodyStructure); a != b {
			t.Errorf("%q:\n%s\n%s", msg, b, a)
		}
		if len(got.Parts) != len(want.Parts) || got.Parts[0].Kind != want.Parts[0].Kind {
			t.Errorf("%q: %+v", msg, got.Parts)
		}
	}
}

package embedded_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/embedded"
	"balorg/mail"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
	"balorg/store/subscription"
)

const (
	claire = mail.AccountID("claireclaireclai")
	noemie = mail.AccountID("noemienoemienoem")
)

const mb = 1 << 20

// newServer answers a server on a store in memory, whose invariants are checked when the test ends.
func newServer(tb testing.TB) *embedded.Server {
	tb.Helper()
	return newServerTaking(tb, 8*mb)
}

// newServerTaking is newServer with another limit of one message.
func newServerTaking(tb testing.TB, maxMessage int64) *embedded.Server {
	tb.Helper()
	return newServerWith(tb, mailbox.Options{MaxMessage: maxMessage})
}

// newServerWith is newServer with options of the mail store; its clock stands still.
func newServerWith(tb testing.TB, opt mailbox.Options) *embedded.Server {
	tb.Helper()
	return newServerLogging(tb, opt, nil)
}

func newServerLogging(tb testing.TB, opt mailbox.Options, log *slog.Logger) *embedded.Server {
	tb.Helper()
	st := storetest.New(tb)
	bodies, err := body.New(st, tb.TempDir(), body.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	opt.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	boxes := mailbox.New(st, bodies, opt)
	storetest.CheckAtEnd(tb, st, boxes, body.Checker{Bodies: bodies, Referrers: []body.Referrer{boxes}})
	return embedded.New(boxes, embedded.Options{Logger: log, Subscriptions: subscription.New(st)})
}

// client is a mail client that says lines and hears lines.
type client struct {
	t    testing.TB
	conn *embedded.Conn
	br   *bufio.Reader
	tags int
}

func dial(tb testing.TB, srv *embedded.Server, who embedded.Who) *client {
	tb.Helper()
	if who.Account == "" {
		who.Account = claire
	}
	if who.Person == "" {
		who.Person = noemie
	}
	conn, err := srv.Open(tb.Context(), who)
	if err != nil {
		tb.Fatal(err)
	}
	return greeted(tb, conn)
}

// greeted is a client on a connection that has just been opened.
func greeted(tb testing.TB, conn *embedded.Conn) *client {
	tb.Helper()
	tb.Cleanup(func() { conn.Close() })
	c := &client{t: tb, conn: conn, br: bufio.NewReader(conn)}
	if greeting := c.line(); !strings.HasPrefix(greeting, "* PREAUTH [CAPABILITY IMAP4rev1 ") {
		tb.Fatalf("greeting: %s", greeting)
	}
	return c
}

// say writes text as it is.
func (c *client) say(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// hear reads one response with its literals, without its last line end; at the end of the connection io.EOF.
func (c *client) hear() (string, error) {
	var all strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return all.String() + line, err
		}
		all.WriteString(line)
		text := strings.TrimSuffix(line, "\r\n")
		open := strings.LastIndexByte(text, '{')
		if !strings.HasSuffix(text, "}") || open < 0 {
			return strings.TrimSuffix(all.String(), "\r\n"), nil
		}
		n, err := strconv.Atoi(text[open+1 : len(text)-1])
		if err != nil {
			return all.String(), err
		}
		if _, err := io.CopyN(&all, c.br, int64(n)); err != nil {
			return all.String(), err
		}
	}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.hear()
	if err != nil {
		c.t.Fatalf("read: %v (after %q)", err, line)
	}
	return line
}

// until reads responses up to the one with the tag, which is the last answered, without its tag.
func (c *client) until(tag string) []string {
	c.t.Helper()
	var all []string
	for {
		line := c.line()
		if rest, tagged := strings.CutPrefix(line, tag+" "); tagged {
			return append(all, rest)
		}
		all = append(all, line)
	}
}

// do sends a command and answers what came, the tagged line last, without its tag.
func (c *client) do(format string, args ...any) []string {
	c.t.Helper()
	c.tags++
	tag := "t" + strconv.Itoa(c.tags)
	c.say("%s %s\r\n", tag, fmt.Sprintf(format, args...))
	return c.until(tag)
}

// ok is do for a command that must succeed.
func (c *client) ok(format string, args ...any) []string {
	c.t.Helper()
	got := c.do(format, args...)
	if !strings.HasPrefix(got[len(got)-1], "OK ") {
		c.t.Fatalf("%s: %q", fmt.Sprintf(format, args...), got)
	}
	return got
}

// appendMessage appends without waiting to be asked.
func (c *client) appendMessage(folder, options, msg string) string {
	c.t.Helper()
	got := c.ok("APPEND %s %s{%d+}\r\n%s", folder, options, len(msg), msg)
	return got[len(got)-1]
}

// expect does commands and compares their answers, line by line; "…" at the end of a wanted line stands for anything.
func (c *client) expect(steps ...step) {
	c.t.Helper()
	for _, s := range steps {
		got := c.do("%s", s.say)
		if len(got) != len(s.hear) {
			c.t.Errorf("%s:\n got %q\nwant %q", s.say, got, s.hear)
			continue
		}
		for i, want := range s.hear {
			head, open := strings.CutSuffix(want, "…")
			if got[i] != want && (!open || !strings.HasPrefix(got[i], head)) {
				c.t.Errorf("%s:\n got %q\nwant %q", s.say, got[i], want)
			}
		}
	}
}

type step struct {
	say  string
	hear []string
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// Messages of the tests.
var (
	plain = crlf(`Date: Mon, 2 Nov 2026 09:30:00 +0100
From: "Claire Durand" <claire@sapins.example>
To: secretariat@sapins.example
Subject: =?utf-8?Q?R=C3=A9sultats_du_patient?=
Message-ID: <1@sapins.example>

Bonjour,
voici les =?utf-8?Q?not_decoded?= nouvelles.
`)
	mixed = crlf(`Date: Tue, 3 Nov 2026 23:30:00 -0500
From: lab@example.org
Subject: Analyses
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

=C9lev=E9 est le taux de po=
tassium
--b
Content-Type: message/rfc822

From: inner@example.org
Subject: Inner subject
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

w4l0w6kgw6AgbGEgcGxhZ2U=
--c
Content-Type: text/html

<b>inner html</b>
--c--

--b
Content-Type: application/pdf; name=r.pdf
Content-Disposition: attachment; filename=r.pdf
Content-Transfer-Encoding: base64

JVBERi0xLjQ=
--b--
`)
)

func TestSelectAndFetch(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	if got := c.appendMessage("INBOX", "", plain); !strings.HasPrefix(got, "OK [APPENDUID 1800000000 1] ") {
		t.Errorf("append: %s", got)
	}
	c.appendMessage("INBOX", `(\Flagged work) " 2-Nov-2026 09:31:00 +0100" `, mixed)
	header, text, _ := strings.Cut(plain, "\r\n\r\n")
	header += "\r\n\r\n"
	literal := func(s string) string { return fmt.Sprintf("{%d}\r\n%s", len(s), s) }
	c.expect(
		step{"FETCH 1 FLAGS", []string{"BAD No mailbox is selected"}},
		step{"SELECT inbox", []string{
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft work)`,
			`* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft work \*)] …`,
			"* 2 EXISTS", "* 2 RECENT", "* OK [UNSEEN 1] …", "* OK [UIDVALIDITY 1800000000] …", "* OK [UIDNEXT 3] …", "* OK [HIGHESTMODSEQ 3] …", "* OK [MAILBOXID (F…",
			"OK [READ-WRITE] …",
		}},
		step{"FETCH 1:* FLAGS", []string{`* 1 FETCH (FLAGS (\Recent))`, `* 2 FETCH (FLAGS (\Flagged work \Recent))`, "OK FETCH completed"}},
		step{"UID FETCH 2 (INTERNALDATE RFC822.SIZE)", []string{
			fmt.Sprintf(`* 2 FETCH (UID 2 INTERNALDATE " 2-Nov-2026 09:31:00 +0100" RFC822.SIZE %d)`, len(mixed)), "OK …",
		}},
		step{"FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject x-none FROM)] UID)", []string{
			"* 1 FETCH (BODY[HEADER.FIELDS (subject x-none FROM)] " +
				literal("From: \"Claire Durand\" <claire@sapins.example>\r\nSubject: =?utf-8?Q?R=C3=A9sultats_du_patient?=\r\n\r\n") + " UID 1)", "OK …",
		}},
		step{"FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (subject from to date)]", []string{
			"* 1 FETCH (BODY[HEADER.FIELDS.NOT (subject from to date)] " + literal("Message-ID: <1@sapins.example>\r\n\r\n") + ")", "OK …",
		}},
		step{"FETCH 1 (RFC822.HEADER BODY.PEEK[TEXT]<0.7> BODY.PEEK[TEXT]<5.1000000> BODY.PEEK[]<10000.5> BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2])", []string{
			"* 1 FETCH (RFC822.HEADER " + literal(header) + " BODY[TEXT]<0> " + literal(text[:7]) + " BODY[TEXT]<5> " + literal(text[5:]) +
				" BODY[]<10000> " + literal("") + " BODY[1] " + literal(text) + " BODY[1.MIME] " + literal(header) + " BODY[2] NIL)", "OK …",
		}},
		step{"FETCH 2 (BODY.PEEK[2.HEADER] BODY.PEEK[2.1] BODY.PEEK[2.1.MIME] BODY.PEEK[3]<2.4> BODY.PEEK[2.HEADER.FIELDS (SUBJECT)])", []string{
			"* 2 FETCH (BODY[2.HEADER] " + literal("From: inner@example.org\r\nSubject: Inner subject\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n") +
				" BODY[2.1] " + literal("w4l0w6kgw6AgbGEgcGxhZ2U=") +
				" BODY[2.1.MIME] " + literal("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n") +
				" BODY[3]<2> " + literal("BERi") + " BODY[2.HEADER.FIELDS (SUBJECT)] " + literal("Subject: Inner subject\r\n\r\n") + ")", "OK …",
		}},
		step{"FETCH 1 ENVELOPE", []string{
			`* 1 FETCH (ENVELOPE ("Mon, 2 Nov 2026 09:30:00 +0100" "=?utf-8?Q?R=C3=A9sultats_du_patient?=" (("Claire Durand" NIL "claire" "sapins.example")) …`, "OK …",
		}},
		step{"FETCH 2 BODY", []string{`* 2 FETCH (BODY (("text" "plain" ("charset" "iso-8859-1") …`, "OK …"}},
		step{"FETCH 1 (FLAGS BODY[])", []string{`* 1 FETCH (FLAGS (\Seen \Recent) BODY[] ` + literal(plain) + ")", "OK …"}},
		step{"FETCH 2 BODY[3]", []string{`* 2 FETCH (BODY[3] ` + literal("JVBERi0xLjQ=") + ` FLAGS (\Seen \Flagged work \Recent))`, "OK …"}},
		step{"FETCH 2 BODY[3]", []string{`* 2 FETCH (BODY[3] ` + literal("JVBERi0xLjQ=") + ")", "OK …"}},
		step{"FETCH 3 FLAGS", []string{"BAD No such message"}},
		step{"FETCH 1:3 FLAGS", []string{"BAD No such message"}},
		step{"UID FETCH 3:9 FLAGS", []string{"OK UID FETCH completed"}},
		step{"UID FETCH 99:* FLAGS", []string{`* 2 FETCH (UID 2 FLAGS (\Seen \Flagged work \Recent))`, "OK …"}},
		step{"EXAMINE INBOX", []string{
			"* OK [CLOSED] …", "* FLAGS …", "* OK [PERMANENTFLAGS ()] …", "* 2 EXISTS", "* 0 RECENT", "* OK [UIDVALIDITY 1800000000] …", "* OK [UIDNEXT 3] …", "* OK [HIGHESTMODSEQ 5] …", "* OK [MAILBOXID (F…", "OK [READ-ONLY] …",
		}},
		step{`STORE 1 +FLAGS (\Deleted)`, []string{"NO [READ-ONLY] …"}},
		step{"EXPUNGE", []string{"NO [READ-ONLY] …"}},
		step{"MOVE 1 Corbeille", []string{"NO [READ-ONLY] …"}},
		step{"SELECT nowhere", []string{"* OK [CLOSED] …", "NO [NONEXISTENT] …"}},
		step{"FETCH 1 FLAGS", []string{"BAD No mailbox is selected"}},
		step{"LOGOUT", []string{"* BYE Logging out", "OK LOGOUT completed"}},
	)
	if line, err := c.hear(); !errors.Is(err, io.EOF) {
		t.Errorf("behind LOGOUT: %q, %v", line, err)
	}
}

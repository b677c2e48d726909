package embedded_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/embedded"
	"balorg/store/mailbox"
)

// TestTwoSessions: each learns of the other's changes, and sequence numbers never lie.
func TestTwoSessions(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	for range 4 {
		a.appendMessage("INBOX", "", plain)
	}
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	a.expect(step{`STORE 2:3 +FLAGS (\Deleted)`, []string{`* 2 FETCH (FLAGS (\Deleted \Recent))`, `* 3 FETCH (FLAGS (\Deleted \Recent))`, "OK…"}})
	b.expect(step{"NOOP", []string{`* 2 FETCH (UID 2 FLAGS (\Deleted))`, `* 3 FETCH (UID 3 FLAGS (\Deleted))`, "OK…"}})
	a.expect(step{"EXPUNGE", []string{"* 2 EXPUNGE", "* 2 EXPUNGE", "OK…"}})
	b.expect(
		// Not told during FETCH, STORE and SEARCH: the numbers stay.
		step{"FETCH 4 UID", []string{"* 4 FETCH (UID 4)", "OK…"}},
		step{"SEARCH ALL", []string{"* SEARCH 1 2 3 4", "OK…"}},
		step{"STORE 4 +FLAGS (work)", []string{
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft work)`, "* OK [PERMANENTFLAGS …", "* 4 FETCH (FLAGS (work))",
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft work)`, "* OK [PERMANENTFLAGS …", "OK…",
		}},
		step{"FETCH 2 BODY.PEEK[]", []string{"NO [EXPUNGEISSUED] …"}},
		step{"FETCH 2 FLAGS", []string{`* 2 FETCH (FLAGS (\Deleted))`, "OK…"}},
		step{`STORE 2 +FLAGS (\Seen)`, []string{"NO [EXPUNGEISSUED] …"}},
		step{"STORE 2,4 +FLAGS (work)", []string{"* 4 FETCH (FLAGS (work))", "NO [EXPUNGEISSUED] …"}},
		step{"STORE 2,4 +FLAGS.SILENT (work)", []string{"OK…"}},
		step{"UID FETCH 4 UID", []string{"* 4 FETCH (UID 4)", "* 2 EXPUNGE", "* 2 EXPUNGE", "OK…"}},
		step{"FETCH 2 (UID FLAGS)", []string{"* 2 FETCH (UID 4 FLAGS (work))", "OK…"}},
	)
	a.expect(step{"UID STORE 4 +FLAGS.SILENT (\\Deleted)", []string{
		`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft work)`, "* OK [PERMANENTFLAGS …", `* 2 FETCH (UID 4 FLAGS (\Deleted work \Recent))`, "OK…",
	}})
	a.expect(step{"UID EXPUNGE 1:3", []string{"OK…"}}, step{"UID EXPUNGE 4", []string{"* 2 EXPUNGE", "OK…"}})
	a.expect(step{"STORE 1 FLAGS (\\Deleted)", []string{`* 1 FETCH (FLAGS (\Deleted \Recent))`, "OK…"}})
	a.expect(step{"CLOSE", []string{"OK…"}}, step{"EXPUNGE", []string{"BAD …"}})
	b.expect(step{"CHECK", []string{"* 1 EXPUNGE", "* 1 EXPUNGE", "OK…"}})
}

func TestCopyAndMove(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	for range 5 {
		c.appendMessage("INBOX", "(work) ", plain)
	}
	c.ok("SELECT INBOX")
	c.expect(
		step{"COPY 1:2,5 Archives", []string{"OK [COPYUID 1800000005 1:2,5 1:3] …"}},
		step{"UID COPY 99 Archives", []string{"OK UID COPY…"}},
		step{"UID COPY 99 nowhere", []string{"NO [TRYCREATE] …"}},
		step{"COPY 9 Archives", []string{"BAD …"}},
		step{"COPY 1 nowhere", []string{"NO [TRYCREATE] …"}},
		step{"MOVE 1 nowhere", []string{"NO [TRYCREATE] …"}},
		step{"MOVE 2,4 Archives", []string{"* OK [COPYUID 1800000005 2,4 4:5] …", "* 2 EXPUNGE", "* 3 EXPUNGE", "OK MOVE…"}},
		step{"UID MOVE 5 INBOX", []string{"* OK [COPYUID 1800000000 5 6] …", "* 3 EXPUNGE", "* 3 EXISTS", "* 3 RECENT", "OK…"}},
		step{"FETCH 1:* (UID FLAGS)", []string{`* 1 FETCH (UID 1 FLAGS (work \Recent))`, `* 2 FETCH (UID 3 FLAGS (work \Recent))`, `* 3 FETCH (UID 6 FLAGS (work \Recent))`, "OK…"}},
		step{"STATUS Archives (MESSAGES RECENT UNSEEN)", []string{"* STATUS Archives (MESSAGES 5 RECENT 5 UNSEEN 5)", "OK…"}},
		step{"UNSELECT", []string{"OK…"}},
	)
}

// TestCopyExpunged: what another session has expunged is not passed over as if it had been copied, unless it is named by UID.
func TestCopyExpunged(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	for range 2 {
		a.appendMessage("INBOX", "", plain)
	}
	b.ok("SELECT INBOX")
	a.ok("SELECT INBOX")
	a.ok(`STORE 2 FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE")
	b.expect(
		step{"FETCH 2 UID", []string{"* 2 FETCH (UID 2)", "OK…"}},
		step{"COPY 1:2 Archives", []string{"* 2 EXPUNGE", "NO [EXPUNGEISSUED] …"}},
		step{"STATUS Archives (MESSAGES)", []string{"* STATUS Archives (MESSAGES 0)", "OK…"}},
		step{"UID COPY 1:2 Archives", []string{"OK [COPYUID 1800000005 1 1] …"}},
	)
}

// TestIdle: changes wake an idle session, and DONE may come together with the next command.
func TestIdle(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	a.appendMessage("INBOX", "", plain)
	a.ok("SELECT INBOX")
	a.say("i IDLE\r\n")
	if got := a.line(); got != "+ idling" {
		t.Fatal(got)
	}
	b.appendMessage("INBOX", "", plain)
	for _, want := range []string{"* 2 EXISTS", "* 2 RECENT"} {
		if got := a.line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	b.ok("SELECT INBOX")
	b.ok(`STORE 1 +FLAGS (\Deleted)`)
	if got := a.line(); got != `* 1 FETCH (UID 1 FLAGS (\Deleted \Recent))` {
		t.Error(got)
	}
	b.ok("EXPUNGE")
	if got := a.line(); got != "* 1 EXPUNGE" {
		t.Error(got)
	}
	a.say("DONE\r\nn NOOP\r\n")
	if got := a.until("n"); strings.Join(got, "|") != "i OK IDLE completed|OK NOOP completed" {
		t.Errorf("%q", got)
	}
	a.say("i2 IDLE\r\n")
	a.line()
	a.say("GO\r\n")
	if got := a.line(); got != "i2 BAD IDLE ends with DONE" {
		t.Error(got)
	}
	b.expect(step{"UNSELECT", []string{"OK…"}})
	b.say("i3 IDLE\r\nDONE\r\n")
	if got := b.until("i3"); strings.Join(got, "|") != "+ idling|OK IDLE completed" {
		t.Errorf("idle without a mailbox: %q", got)
	}
}

// TestDeletedWhileSelected: the session that has the mailbox open is told and ended.
func TestDeletedWhileSelected(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	a.ok("CREATE x")
	a.ok("SELECT x")
	a.say("i IDLE\r\n")
	a.line()
	b.ok("DELETE x")
	if got := a.line(); !strings.HasPrefix(got, "* BYE ") {
		t.Error(got)
	}
	if line, err := a.hear(); !errors.Is(err, io.EOF) {
		t.Errorf("behind BYE: %q, %v", line, err)
	}
}

// TestClose: wherever the server stands, Close ends it. It returns only when the server's goroutine has.
func TestClose(t *testing.T) {
	srv := newServer(t)
	for name, leave := range map[string]func(*client){
		"idle": func(c *client) {
			c.say("i IDLE\r\n")
			c.line()
		},
		"slow reader": func(c *client) {
			c.appendMessage("INBOX", "", "Subject: long\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 100_000))
			c.ok("SELECT INBOX")
			c.say("f FETCH 1 BODY[]\r\n")
			if _, err := c.br.ReadByte(); err != nil { // it has begun, and waits
				t.Error(err)
			}
		},
		"half a message": func(c *client) { c.say("a APPEND INBOX {1000+}\r\nhalf") },
		"half a command": func(c *client) { c.say("a FET") },
	} {
		c := dial(t, srv, embedded.Who{})
		leave(c)
		if err := c.conn.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.conn.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: write after close: %v", name, err)
		}
	}
	c := dial(t, srv, embedded.Who{})
	c.expect(step{"STATUS Archives (MESSAGES)", []string{"* STATUS Archives (MESSAGES 0)", "OK…"}})
}

// TestReadOnly: reading a mailbox opened by EXAMINE leaves no trace in it.
func TestReadOnly(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", `(\Deleted) `, "Subject: x\r\n\r\ntext")
	c.ok("EXAMINE INBOX")
	c.expect(
		step{"FETCH 1 (BODY[TEXT] FLAGS)", []string{"* 1 FETCH (BODY[TEXT] {4}\r\ntext FLAGS (\\Deleted \\Recent))", "OK…"}},
		step{"UID EXPUNGE 1", []string{"NO [READ-ONLY] …"}},
		step{"COPY 1 Archives", []string{"OK [COPYUID …"}},
		step{"CLOSE", []string{"OK…"}},
		step{"STATUS INBOX (MESSAGES UNSEEN RECENT)", []string{"* STATUS INBOX (MESSAGES 1 UNSEEN 1 RECENT 1)", "OK…"}},
	)
}

func TestSearch(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", `(\Seen) "01-Nov-2026 23:59:00 +0100" `, plain)
	c.appendMessage("INBOX", `(\Flagged work) "03-Nov-2026 00:00:00 -0800" `, mixed)
	c.appendMessage("INBOX", `"05-Nov-2026 12:00:00 +0000" `, "Subject: caf\xe9 cr\xe8me\r\nDate: nonsense\r\n\r\nna\xefve\r\n")
	c.ok("SELECT INBOX")
	for _, tt := range []struct{ search, want string }{
		{"ALL", " 1 2 3"},
		{"SEEN", " 1"},
		{"UNSEEN", " 2 3"},
		{"NEW", " 2 3"},
		{"RECENT SEEN", " 1"},
		{"OLD", ""},
		{"KEYWORD WORK", " 2"},
		{"UNKEYWORD work", " 1 3"},
		{"KEYWORD none", ""},
		{"UNKEYWORD none", " 1 2 3"},
		{"FLAGGED KEYWORD work", " 2"},
		{"NOT FLAGGED", " 1 3"},
		{"OR SEEN FLAGGED", " 1 2"},
		{"2:*", " 2 3"},
		{"NOT 2", " 1 3"},
		{"UID 3,9:12", " 3"},
		{"*", " 3"},
		{"(SEEN 1)", " 1"},
		{"7", ""},
		{"BEFORE 2-Nov-2026", " 1"},
		{"ON 3-Nov-2026", " 2"},
		{"SINCE \"03-Nov-2026\"", " 2 3"},
		{"SINCE 04-Nov-2026", " 3"},
		{"SENTON 2-Nov-2026", " 1"},
		{"SENTON 3-Nov-2026", " 2"},
		{"SENTSINCE 1-Jan-2000", " 1 2"},
		{"SENTBEFORE 3-Nov-2026", " 1"},
		{fmt.Sprintf("LARGER %d", len(plain)-1), " 1 2"},
		{fmt.Sprintf("SMALLER %d", len(plain)), " 3"},
		{"SUBJECT analyses", " 2"},
		{"FROM CLAIRE", " 1"},
		{"TO secretariat", " 1"},
		{"CC x", ""},
		{"HEADER Message-ID \"\"", " 1"},
		{"HEADER message-id 1@SAPINS", " 1"},
		{"BCC \"\"", ""},
		{"CHARSET UTF-8 SUBJECT {10+}\r\nr\xc3\xa9sultats", " 1"},
		{"CHARSET utf-8 SUBJECT \"R\xc3\x89SULT\"", " 1"},
		{"CHARSET UTF-8 SUBJECT {6+}\r\ncafe\xcc\x81", " 3"},
		{"BODY \"taux de potassium\"", " 2"},
		{"CHARSET UTF-8 BODY {9+}\r\n\xc3\xa9lev\xc3\xa9 e", " 2"},
		{"CHARSET UTF-8 BODY {8+}\r\n\xc3\xa0 la pl", " 2"},
		{"BODY \"INNER HTML\"", " 2"},
		{"BODY \"inner subject\"", " 2"},
		{"BODY PDF", ""},
		{"BODY preamble", ""},
		{"TEXT potassium", " 2"},
		{"TEXT Durand", " 1"},
		{"BODY Durand", ""},
		{"TEXT \"\"", " 1 2 3"},
		{"BODY not_decoded", " 1"},
		{"OR BODY potassium SUBJECT nothing", " 2"},
		{"NOT BODY potassium", " 1 3"},
		{"UNSEEN TEXT analyses", " 2"},
	} {
		want := "* SEARCH" + tt.want
		if got := c.ok("SEARCH %s", tt.search); got[0] != want || len(got) != 2 {
			t.Errorf("SEARCH %s: %q, want %q", tt.search, got, want)
		}
	}
	c.expect(
		step{"SEARCH CHARSET KOI8-R ALL", []string{"NO [BADCHARSET (US-ASCII UTF-8)] …"}},
		step{"SEARCH RETURN () UNSEEN", []string{"* ESEARCH…", "OK…"}},
		step{"SEARCH BOGUS", []string{"BAD …"}},
		step{"SEARCH $", []string{"BAD …"}},
		step{"SEARCH MODSEQ 1", []string{"BAD …"}},
	)
}

func TestExtendedSearch(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	for range 3 {
		c.appendMessage("INBOX", "", plain)
	}
	c.ok("SELECT INBOX")
	c.ok("MOVE 1 Archives") // t5: UIDs differ from numbers
	c.expect(
		step{"SEARCH RETURN (MIN MAX COUNT) ALL", []string{`* ESEARCH (TAG "t6") MIN 1 MAX 2 COUNT 2`, "OK…"}},
		step{"UID SEARCH RETURN (ALL) ALL", []string{`* ESEARCH (TAG "t7") UID ALL 2:3`, "OK…"}},
		step{"UID SEARCH RETURN (MIN COUNT ALL) SEEN", []string{`* ESEARCH (TAG "t8") UID COUNT 0`, "OK…"}},
		step{"UID SEARCH ALL", []string{"* SEARCH 2 3", "OK…"}},
		step{"SEARCH RETURN (SAVE) ALL", []string{"BAD …"}},
	)
}

// TestDeleteOwn: the session that deletes the mailbox it has selected is answered, goes on, and has none selected.
func TestDeleteOwn(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	a.ok("CREATE x/y")
	a.appendMessage("x/y", "", plain)
	a.ok("SELECT x/y")
	b.ok("RENAME x/y z")
	a.expect(
		step{"DELETE z", []string{"OK DELETE completed"}},
		step{"FETCH 1 FLAGS", []string{"BAD No mailbox is selected"}},
		step{"SELECT z", []string{"NO [NONEXISTENT] …"}},
		step{"NOOP", []string{"OK NOOP completed"}},
	)
	a.ok("SELECT INBOX")
	a.expect(step{"DELETE Archives", []string{"OK DELETE completed"}}, step{"SEARCH ALL", []string{"* SEARCH", "OK…"}})
}

// TestRenameInbox: who has INBOX selected does not go on looking at the mailbox its messages have moved to, where no new mail comes.
func TestRenameInbox(t *testing.T) {
	srv := newServer(t)
	a, b := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	a.appendMessage("INBOX", "", plain)
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	b.say("i IDLE\r\n")
	if got := b.line(); got != "+ idling" {
		t.Fatal(got)
	}
	a.expect(
		step{"RENAME inbox old", []string{"OK RENAME completed"}},
		step{"FETCH 1 UID", []string{"BAD No mailbox is selected"}},
		step{"STATUS INBOX (MESSAGES)", []string{"* STATUS INBOX (MESSAGES 0)", "OK…"}},
		step{"STATUS old (MESSAGES)", []string{"* STATUS old (MESSAGES 1)", "OK…"}},
		step{"RENAME old inbox", []string{"NO [ALREADYEXISTS] …"}},
		step{"RENAME old old/er", []string{"NO [CANNOT] A mailbox cannot be moved below itself"}},
	)
	if got := b.line(); !strings.HasPrefix(got, "* BYE ") {
		t.Error(got)
	}
	c := dial(t, srv, embedded.Who{})
	c.ok("SELECT INBOX")
	a.appendMessage("INBOX", "", plain)
	a.appendMessage("old", "", plain)
	c.expect(step{"NOOP", []string{"* 1 EXISTS", "* 1 RECENT", "OK…"}})
	a.expect(step{"EXAMINE old", []string{"* FLAGS…", "* OK…", "* 2 EXISTS", "* …", "* OK…", "* OK…", "* OK…", "OK…"}})
}

// TestKeywordLimit: a mailbox that takes no further keyword says so, and what it has can still be set.
func TestKeywordLimit(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", plain)
	c.ok("SELECT INBOX")
	permanent := func(lines []string) string {
		for _, line := range lines {
			if strings.HasPrefix(line, "* OK [PERMANENTFLAGS") {
				return line
			}
		}
		return ""
	}
	var last string
	for i := range mailbox.MaxKeywords {
		last = permanent(c.ok("STORE 1 +FLAGS (k%d.;/:~[=)", i))
		if open := strings.Contains(last, `\*`); open != (i < mailbox.MaxKeywords-1) {
			t.Errorf("with %d keywords: %s", i+1, last)
		}
	}
	c.expect(step{"STORE 1 FLAGS (one.more)", []string{"NO [LIMIT] …"}}, step{"SEARCH KEYWORD K63.;/:~[=", []string{"* SEARCH 1", "OK…"}})
	c.ok("STORE 1 FLAGS (K7.;/:~[=)")
	if got := permanent(c.ok("SELECT INBOX")); got != last {
		t.Error(got)
	}
}

// TestSearchText: what people search for is found however the message writes it.
func TestSearchText(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", crlf("Subject: Bilan de\n\tMadame\n  Petit\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"+
		"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"+
		"taux=3D5 and a=stray sign \x0c, 100=% =\xc3\xa9 =C3=A9l=C3=A9v=\n=C3=A9 end=  \nof it=\n--b\n"+
		"Content-Type: application/pdf; name=\"=?utf-8?Q?r=C3=A9sultat.pdf?=\"\nContent-Disposition: attachment; filename=compte-rendu.pdf\n\nJVBERi0=\n--b--\n"))
	c.ok("SELECT INBOX")
	for key, found := range map[string]bool{
		`SUBJECT "bilan de madame"`: true,
		`SUBJECT "Madame Petit"`:    true,
		`BODY "taux=5"`:             true,
		`BODY "a=stray sign"`:       true,
		`BODY "100=%"`:              true,
		`BODY "élévé endof it"`:     true,
		`BODY "compte-rendu"`:       false,
		`TEXT "compte-rendu.pdf"`:   true,
		`TEXT "résultat.pdf"`:       true,
		`TEXT "JVBER"`:              false,
	} {
		want := "* SEARCH"
		if found {
			want += " 1"
		}
		if got := c.ok("SEARCH CHARSET UTF-8 %s", key); got[0] != want {
			t.Errorf("%s: %s", key, got[0])
		}
	}
}

// TestSearchAbandoned: a connection ends though its client has asked for a search that takes long.
func TestSearchAbandoned(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", "Subject: long\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 200_000))
	c.ok("SELECT INBOX")
	c.say("s SEARCH %s\r\n", strings.TrimSpace(strings.Repeat("NOT BODY nowhere ", 2000)))
	c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // it is at it
	if line, err := c.hear(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q, %v", line, err)
	}
	start := time.Now()
	c.conn.Close()
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// TestSentDates: the day of a date is found though its time or zone breaks the rules.
func TestSentDates(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	dates := []string{
		"Mon, 2 Nov 2026 09:30:00 +0100", "2 Nov 2026 09:30 EST", "Mon, 02 Nov 2026 23:59:59 GMT+01:00", "lundi, 2 Nov 2026 09:30:00 +0100 (heure d\xe9t\xe9)",
		"Mon, 2 Nov 2026 09:30:00", "Mon,2 Nov 2026 9h30", "2 Nov 2026", "Mon, 2 Nov 2026 09:30:00 +0100 CET",
	}
	for _, d := range dates {
		c.appendMessage("INBOX", "", "Date: "+d+"\r\n\r\nx")
	}
	for _, d := range []string{"", ",", "yesterday", "2026", "Mon, 3 Nov 2026 00:30:00 +0100"} {
		c.appendMessage("INBOX", "", "Date: "+d+"\r\n\r\nx")
	}
	c.ok("SELECT INBOX")
	for seq := range dates {
		if got := c.ok("SEARCH %d SENTON 2-Nov-2026", seq+1); got[0] != fmt.Sprintf("* SEARCH %d", seq+1) {
			t.Errorf("%s: %s", dates[seq], got[0])
		}
	}
	c.expect(step{"SEARCH SENTSINCE 3-Nov-2026", []string{"* SEARCH 13", "OK…"}}, step{"SEARCH SENTON 2-Nov-2026 9:*", []string{"* SEARCH", "OK…"}})
}

package embedded_test

import (
	"errors"
	"io"
	"strings"
	"testing"

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
	a.expect(step{"EXAMINE old", []string{"* FLAGS…", "* OK…", "* 2 EXISTS", "* …", "* OK…", "* OK…", "* OK…", "* OK…", "* OK…", "OK…"}})
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

package embedded_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/embedded"
)

// commandSeeds are one of each command, and awkward ones.
var commandSeeds = []string{
	"CAPABILITY", "NOOP", "LOGOUT", "ID NIL", "ENABLE X", "NAMESPACE", "LOGIN a b", "LIST \"\" *", "LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (SIZE))",
	"LSUB \"\" %", "STATUS INBOX (MESSAGES)", "SUBSCRIBE INBOX", "UNSUBSCRIBE INBOX", "CREATE a/b", "DELETE a/b", "RENAME a b", "RENAME INBOX old",
	"SELECT INBOX", "EXAMINE INBOX", "APPEND INBOX (\\Seen) {3+}\r\na\r\n", "IDLE\r\nDONE", "GETQUOTA \"\"", "GETQUOTAROOT INBOX", "SETQUOTA \"\" ()",
	"CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "UID EXPUNGE 1:*", "FETCH 1:* ALL", "FETCH 1 (BODY[2.1.MIME]<3.5> RFC822.TEXT BODYSTRUCTURE)",
	"UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (A \"b c\")]", "STORE 1 +FLAGS (\\Deleted x)", "UID STORE * FLAGS.SILENT ()", "SEARCH NOT (OR SEEN TEXT {1+}\r\na)",
	"UID SEARCH RETURN (MIN) CHARSET UTF-8 BODY \xc3\xa9", "COPY 1:2 Archives", "UID MOVE 2 INBOX", "ENABLE CONDSTORE", "SELECT INBOX (CONDSTORE)",
	"SORT (REVERSE DATE SUBJECT) UTF-8 ALL", "UID SORT RETURN (MIN ALL) (DISPLAYFROM) US-ASCII YOUNGER 9", "THREAD REFERENCES UTF-8 ALL", "UID THREAD ORDEREDSUBJECT UTF-8 OLDER 1",
	"APPEND INBOX {1+}\r\na (\\Seen) {1+}\r\nb", "REPLACE 1 INBOX {1+}\r\na", "UID REPLACE * {5+}\r\nINBOX ~{1+}\r\na", "CREATE u (USE (\\Sent))",
	"FETCH 1:* (BINARY.PEEK[1] BINARY.SIZE[2.1] BINARY[3]<2.4>)", "FETCH 1:* (EMAILID THREADID SAVEDATE PREVIEW)", "FETCH 1 PREVIEW (LAZY)", "STATUS INBOX (MAILBOXID)",
	"SEARCH SAVEDBEFORE 1-Jan-2030 SAVEDATESUPPORTED", "SEARCH OR EMAILID Mx THREADID y",
	"ENABLE UTF8=ACCEPT", "ENABLE IMAP4rev2", "CREATE \"\xc3\xa9 & e\xcc\x81\"", "LIST \"\" \"\xc3\xa9*\"", "SELECT \"\xe9\"", "APPEND INBOX UTF8 (~{1+}\r\na)", "APPEND \"\xc3\xa9\" (a) UTF8 (~{1+}\r\na) {1+}\r\nb",
	"ENABLE QRESYNC", "SELECT INBOX (QRESYNC (1 1 1:9 (1,2 1,2)))", "UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)",
	"SEARCH RETURN (UPDATE CONTEXT) * TEXT a", "UID SEARCH RETURN (UPDATE PARTIAL 2:1) UID 2:* $", "SORT RETURN (UPDATE) (DATE) UTF-8 ALL", "CANCELUPDATE \"a\" b",
	"SEARCH RETURN (SAVE) ALL", "FETCH $ UID", "UID SEARCH UID $",
	"FETCH 1:* (MODSEQ) (CHANGEDSINCE 2)", "UID STORE 1:* (UNCHANGEDSINCE 2) +FLAGS.SILENT (a)", "SEARCH RETURN (MAX) MODSEQ 2", "STATUS INBOX (HIGHESTMODSEQ)", "FETCH 4294967295:1 UID", "UID FETCH *:* UID", "",
	"FETCH 1 BODY[" + strings.Repeat("1.", 99) + "1]", "SEARCH " + strings.Repeat("NOT ", 500) + "ALL", "SEARCH " + strings.Repeat("(", 90) + "ALL" + strings.Repeat(")", 90),
}

// FuzzSession: whatever a client sends in whatever state, every command gets exactly one tagged answer, and nothing breaks.
func FuzzSession(f *testing.F) {
	for _, s := range commandSeeds {
		f.Add(uint8(0), []byte(s))
		f.Add(uint8(1), []byte(s))
		f.Add(uint8(2), []byte(s))
		f.Add(uint8(3), []byte(s))
		f.Add(uint8(4), []byte(s))
	}
	srv := newServer(f)
	seed := dial(f, srv, embedded.Who{})
	for range 2 {
		seed.appendMessage("INBOX", "", mixed)
	}
	seed.ok("LOGOUT")
	f.Fuzz(func(t *testing.T, state uint8, command []byte) {
		if bytes.ContainsAny(command, "\n") && !bytes.Contains(command, []byte("{")) {
			return // more than one command
		}
		conn, err := srv.Open(t.Context(), embedded.Who{Account: claire, Person: noemie})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		open := [...]string{
			"", "u0 SELECT INBOX\r\n", "u0 EXAMINE INBOX\r\n", "u0 ENABLE UTF8=ACCEPT\r\n", "u0 ENABLE IMAP4rev2\r\nu0 SELECT INBOX\r\n",
		}[state%5]
		in := open + "u1 " + string(command) + "\r\nu2 LOGOUT\r\n"
		if _, err := io.WriteString(conn, in); err != nil {
			return // it has said BYE
		}
		conn.CloseWrite() // a literal that was announced and not sent does not keep the server waiting
		out, err := io.ReadAll(conn)
		if err != nil {
			t.Fatalf("%q: %v after %q", in, err, out)
		}
		// Literals and echoed text could look like answers: only commands of one plain line are counted.
		if bytes.ContainsAny(command, "{\n\r") || bytes.Contains(out, []byte("* BYE Command too long")) {
			return
		}
		answers := 0
		for line := range strings.SplitSeq(string(out), "\r\n") {
			if strings.HasPrefix(line, "u1 OK") || strings.HasPrefix(line, "u1 NO") || strings.HasPrefix(line, "u1 BAD") {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("%q: %d answers in %q", in, answers, out)
		}
	})
}

// TestAwkward: commands on the edge of the grammar, in one go.
func TestAwkward(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", mixed)
	c.ok("SELECT INBOX")
	for _, tt := range []struct{ command, want string }{
		{"fetch 1 fast", "OK"},
		{"FETCH 1 (FAST)", "BAD"},
		{"FETCH 1 FULL", "OK"},
		{"FETCH 1 ()", "BAD"},
		{"FETCH 0 UID", "BAD"},
		{"FETCH 1 UID ", "BAD"},
		{"FETCH 1,1,1 UID", "OK"},
		{"FETCH *:1 UID", "OK"},
		{"FETCH 1 BODY[]<0>", "BAD"},
		{"FETCH 1 BODY[]<0.0>", "BAD"},
		{"FETCH 1 BODY[MIME]", "BAD"},
		{"FETCH 1 BODY[1.]", "BAD"},
		{"FETCH 1 BODY[0]", "BAD"},
		{"FETCH 1 BODY.PEEK[1.TEXT]", "OK"},
		{"FETCH 1 BODY[HEADER.FIELDS]", "BAD"},
		{"FETCH 1 BODY[HEADER.FIELDS ()]", "BAD"},
		{"FETCH 1 BODY.PEEK", "BAD"},
		{"FETCH 1 BINARY[1]", "OK"},
		{"FETCH 1 BINARY.SIZE[1]", "OK"},
		{"FETCH 1 PREVIEW", "OK"},
		{"FETCH 1 (UID PREVIEW (LAZY))", "OK"},
		{"FETCH 1 SAVEDATE", "OK"},
		{"FETCH 1 (EMAILID)", "OK"},
		{"FETCH 1 (THREADID)", "OK"},
		{"STATUS INBOX (MAILBOXID)", "OK"},
		{"LIST \"\" INBOX RETURN (STATUS (MAILBOXID))", "OK"},
		{"FETCH 1 (UID) (CHANGEDSINCE 0)", "BAD"},
		{"FETCH 1 (UID) (CHANGEDSINCE 9223372036854775808)", "BAD"},
		{"UID FETCH 1 (UID) (CHANGEDSINCE 1 VANISHED)", "BAD"},
		{"STORE 1 +FLAGS \\Seen \\Flagged", "OK"},
		{"STORE 1 +FLAGS (\\Recent)", "OK"},
		{"STORE 1 +FLAGS (\\*)", "BAD"},
		{"STORE 1 +FLAGS (\\Nope)", "BAD"},
		{"STORE 1 FLAGS ()", "OK"},
		{"STORE 1 FLAGS", "BAD"},
		{"STORE 1 (UNCHANGEDSINCE) FLAGS ()", "BAD"},
		{"STORE 1 (UNCHANGEDSINCE 1) FLAGS (\\*)", "BAD"},
		{"STORE 2 FLAGS ()", "BAD"},
		{"UID STORE 2 FLAGS ()", "OK"},
		{"UID", "BAD"},
		{"UID NOOP", "BAD"},
		{"UID UID FETCH 1 UID", "BAD"},
		{"SELECT", "BAD"},
		{"SELECT INBOX (QRESYNC (1 1))", "BAD"},
		{"SELECT INBOX (CONDSTORE", "BAD"},
	} {
		got := c.do("%s", tt.command)
		if last := got[len(got)-1]; !strings.HasPrefix(last, tt.want+" ") {
			t.Errorf("%s: %q, want %s", tt.command, last, tt.want)
		}
	}
}

// TestLongLine: an over-long line ends the connection with a word.
func TestLongLine(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	go io.WriteString(c.conn, "a LIST \"\" "+strings.Repeat("x", mb)+"\r\nb CREATE trapped\r\n")
	if got := c.line(); !strings.HasPrefix(got, "* BYE ") {
		t.Error(got)
	}
	if line, err := c.hear(); err == nil {
		t.Errorf("behind BYE: %q", line)
	}
}

package imapproxy

import (
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// faultCounter is a log that counts what the recover fence writes.
type faultCounter struct{ faults atomic.Int64 }

func (c *faultCounter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "panic=") {
		c.faults.Add(1)
	}
	return len(p), nil
}

// FuzzSession says anything in each state of the protocol: before login, authenticated, selected, reading only. The session
// must end when its client does, without a fault and with nothing left behind.
func FuzzSession(f *testing.F) {
	for state := range byte(6) {
		for _, seed := range []string{
			"a CAPABILITY\r\nb NOOP\r\nc LOGOUT\r\n",
			"a LOGIN {3}\r\nabc {2+}\r\nok\r\n",
			"a AUTHENTICATE PLAIN\r\nAGEAYg==\r\n*\r\n",
			"a STARTTLS\r\n",
			"a ID (\"x\" NIL)\r\nb ENABLE CONDSTORE\r\nc COMPRESS DEFLATE\r\n",
			"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"*\" \"%\") RETURN (STATUS (MESSAGES))\r\nb LSUB \"\" %\r\nc NAMESPACE\r\n",
			"a CREATE x\r\nb RENAME x y\r\nc SUBSCRIBE y\r\nd DELETE y\r\ne UNSUBSCRIBE y\r\n",
			"a APPEND INBOX (\\Seen) \"15-Nov-2026 10:11:12 +0100\" {5+}\r\nhello\r\nb APPEND INBOX {5}\r\nhello\r\n",
			"a APPEND INBOX {5+}\r\nhello {3+}\r\nxxx\r\nb APPEND nowhere {9+}\r\nz LOGOUT\r\n\r\n",
			"a SELECT INBOX\r\nb FETCH 1:* (FLAGS BODY[1.MIME]<0.5>)\r\nc STORE 1 -FLAGS.SILENT (\\Seen x)\r\nd SEARCH OR FROM {1+}\r\na NOT ALL\r\n",
			"a SEARCH RETURN (UPDATE) UNSEEN\r\nb STORE 1 FLAGS (\\Seen)\r\nc CANCELUPDATE \"a\" x\r\na UID SORT RETURN (UPDATE PARTIAL 1:2) (DATE) UTF-8 1\r\n",
			"a IDLE\r\nDONE\r\nb IDLE\r\nnot done\r\nc EXPUNGE\r\nd CLOSE\r\n",
			"a COPY 1 Comptes/" + secretariat + "/INBOX\r\nb UID MOVE 1:* Comptes/" + secretariat + "/INBOX\r\nc UNSELECT\r\n",
			"a GETQUOTAROOT INBOX\r\nb GETQUOTA " + claire + "\r\nc MYRIGHTS INBOX\r\nd GETACL INBOX\r\ne LISTRIGHTS INBOX x\r\nf SETACL INBOX x lr\r\n",
			"a CREATE \"\xc3\xa9 & x\"\r\nb LIST \"\" \"\xc3\xa9*\" RETURN (STATUS (SIZE))\r\nc APPEND \"\xc3\xa9 & x\" UTF8 (~{9+}\r\nA: \xc3\xa9\r\n\r\n)\r\nd SELECT \"\xc3\xa9 & x\"\r\ne UID SEARCH ALL\r\nf CLOSE\r\n",
			"a APPEND INBOX {9+}\r\nA: \xc3\xa9\r\n\r\n {1+}\r\nx\r\nb SELECT \"\xe9\"\r\nc DELETE &AOk-\r\n",
			"a STATUS INBOX (MESSAGES UIDNEXT)\r\nb EXAMINE INBOX\r\nc UID EXPUNGE 1\r\nd CHECK\r\n",
		} {
			f.Add(state, []byte(seed))
		}
	}
	var log faultCounter
	fixed := newFixture(f, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	preludes := [...]string{
		"",
		"p1 LOGIN " + claire + " ok\r\n",
		"p1 LOGIN " + claire + " ok\r\np2 APPEND INBOX {12+}\r\nSubject: x\r\n\r\np3 SELECT INBOX\r\n",
		"p1 LOGIN " + paul + " ok\r\np2 SELECT Comptes/" + secretariat + "/INBOX\r\n",
		"p1 LOGIN " + claire + " ok\r\np2 ENABLE UTF8=ACCEPT\r\n",
		"p1 LOGIN " + claire + " ok\r\np2 ENABLE IMAP4rev2\r\np3 SELECT Comptes/" + secretariat + "/INBOX\r\n",
	}
	f.Fuzz(func(t *testing.T, state byte, input []byte) {
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			fixed.proxy.Serve(t.Context(), theirs, false)
		}()
		answers := make(chan string, 1)
		go func() {
			var b strings.Builder
			io.Copy(&b, ours)
			answers <- b.String()
		}()
		io.WriteString(ours, preludes[int(state)%len(preludes)])
		ours.Write(input)
		ours.Close()
		select {
		case <-ended:
		case <-time.After(clientTimeout):
			stacks := make([]byte, 1<<20)
			t.Fatalf("the session goes on without a client:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
		<-answers
		if n := log.faults.Load(); n != 0 {
			t.Fatalf("%d faults of the program", n)
		}
		if n := fixed.sessions.Len(); n != 0 {
			t.Fatalf("%d sessions are left in the table", n)
		}
	})
}

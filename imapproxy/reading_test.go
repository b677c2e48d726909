package imapproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// talkStore is a mail store whose one connection is spoken by a function.
type talkStore struct {
	talk func(conn net.Conn, command func(answer string) string)
	caps string // beside IMAP4rev1
}

func (s talkStore) Capabilities() []string {
	return append([]string{"IMAP4rev1"}, strings.Fields(s.caps)...)
}

// Open answers a connection to what talk says. command answers the next command, without its tag, after it has sent the answer to the one
// before: what comes before the tag and what comes behind it stand on both sides of a #.
func (s talkStore) Open(context.Context, Who) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		io.WriteString(theirs, "* PREAUTH [CAPABILITY IMAP4rev1 "+s.caps+"] ready\r\n")
		in := bufio.NewReader(theirs)
		tag := ""
		s.talk(theirs, func(answer string) string {
			if answer != "" { // a pipe waits with nothing, too
				io.WriteString(theirs, strings.ReplaceAll(answer, "#", tag))
			}
			line, err := in.ReadString('\n')
			if err != nil {
				return ""
			}
			var rest string
			tag, rest, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
			return rest
		})
	}()
	return ours, nil
}

func talking(t *testing.T, talk func(conn net.Conn, command func(string) string)) *client {
	t.Helper()
	return talkingOf(t, "IDLE UNSELECT", talk)
}

// talkingOf is talking for a mail store of some capabilities.
func talkingOf(t *testing.T, caps string, talk func(conn net.Conn, command func(string) string)) *client {
	t.Helper()
	f := newFixture(t, func(o *Options) { o.Stores = map[string]MailStore{"local": talkStore{talk, caps}} })
	return f.login(claire)
}

const opened = "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n# OK done\r\n"

// TestNewsOfWhoSaysNothing: what a mail store says of the selected mailbox, and its end, reach a client that has been answered and waits.
func TestNewsOfWhoSaysNothing(t *testing.T) {
	c := talking(t, func(conn net.Conn, command func(string) string) {
		command("")
		io.WriteString(conn, "* 1 EXISTS\r\np1 OK done\r\n")
		io.WriteString(conn, "* 2 EXISTS\r\n") // returns when it is read
	})
	if got := c.ok("SELECT INBOX"); !has(got, "* 1 EXISTS") {
		t.Errorf("SELECT: %q", got)
	}
	if line := c.next(); line != "* 2 EXISTS" {
		t.Errorf("news: %q", line)
	}
	c.until("* BYE")
}

// TestCommandsBetweenNews: a command of a client that has waited is answered like those before.
func TestCommandsBetweenNews(t *testing.T) {
	c := talking(t, func(_ net.Conn, command func(string) string) {
		answer := ""
		for {
			switch command(answer) {
			case "":
				return
			case "NOOP":
				answer = "* 3 EXISTS\r\n# OK done\r\n"
			default:
				answer = opened
			}
		}
	})
	for range 2 {
		c.ok("SELECT INBOX")
		if got := c.ok("NOOP"); !has(got, "* 3 EXISTS") {
			t.Errorf("NOOP: %q", got)
		}
		<-time.After(attendAfter + attendAfter/4)
		if got := c.ok("NOOP"); !has(got, "* 3 EXISTS") {
			t.Errorf("NOOP after a while: %q", got)
		}
		c.ok("UNSELECT")
	}
}

// TestNewsBehindIdle: what a mail store tells in one breath with its "+" comes to the client behind ours.
func TestNewsBehindIdle(t *testing.T) {
	c := talking(t, func(_ net.Conn, command func(string) string) {
		command("")
		command(opened)
		for i := 2; ; i++ {
			command("+ go on\r\n* 3 EXISTS\r\n") // which DONE answers, a line without a tag
			if command(fmt.Sprintf("p%d OK done\r\n", i)) == "" {
				return
			}
		}
	})
	c.ok("SELECT INBOX")
	for i := range 50 {
		c.send(fmt.Sprintf("i%d IDLE\r\n", i))
		if line := c.next(); line != "+ idling" {
			t.Fatalf("first: %q", line)
		}
		if line := c.next(); line != "* 3 EXISTS" {
			t.Fatalf("then: %q", line)
		}
		c.send("DONE\r\n")
		c.until(fmt.Sprintf("i%d OK", i))
	}
}

// TestRefusedBeforeAsking: of a mail store that answers NO where it should have asked for more, the client is told so, whoever reads.
func TestRefusedBeforeAsking(t *testing.T) {
	c := talking(t, func(_ net.Conn, command func(string) string) {
		answer := ""
		for {
			got := command(answer)
			switch {
			case got == "":
				return
			case strings.HasPrefix(got, "SELECT"):
				answer = opened
			case got == "NOOP":
				answer = "# OK done\r\n"
			default:
				answer = "# NO not now\r\n"
			}
		}
	})
	c.ok("SELECT INBOX")
	c.no("IDLE", "NO")
	c.no("STATUS \"a\\\"b\" (MESSAGES)", "NO") // its name is sent as a literal
	c.ok("NOOP")                               // now a goroutine of its own reads
	c.no("IDLE", "NO")
	c.no("SEARCH SUBJECT {1+}\r\nx", "NO")
	c.ok("NOOP")
}

// endNow ends the one session there is, as an administrator does, and sees it end.
func endNow(t *testing.T, f *fixture, c *client) {
	t.Helper()
	for _, s := range f.sessions.List() {
		if !f.sessions.End(s.ID, "Enough") {
			t.Error("it has ended before")
		}
	}
	c.until("* BYE Enough")
	select {
	case <-c.ended:
	case <-time.After(clientTimeout):
		t.Error("the proxy holds on to it")
	}
}

// TestEndOfWhoIsNotAnswered: a session whose mail store owes an answer ends when it is told to.
func TestEndOfWhoIsNotAnswered(t *testing.T) {
	var f *fixture
	asked := make(chan struct{})
	f = newFixture(t, func(o *Options) {
		o.Stores = map[string]MailStore{"local": talkStore{caps: "UNSELECT", talk: func(_ net.Conn, command func(string) string) {
			command("")
			close(asked)
			command("") // never answered
		}}}
	})
	c := f.login(claire)
	c.send("s SELECT INBOX\r\n")
	<-asked
	endNow(t, f, c)
	if fmt.Sprint(f.sessions.List()) != "[]" {
		t.Error("it is still in the table")
	}
}

// fetching is a mail store with one message of 40 000 octets, that says news behind each answer to a FETCH.
func fetching(news string) func(net.Conn, func(string) string) {
	text := strings.Repeat("0123456789", 4000)
	return func(_ net.Conn, command func(string) string) {
		answer := ""
		for {
			switch got := command(answer); {
			case got == "":
				return
			case strings.HasPrefix(got, "SELECT"):
				answer = opened
			case strings.HasSuffix(got, "(UID)"):
				answer = "* 1 FETCH (UID 9)\r\n# OK done\r\n"
			case strings.HasPrefix(got, "FETCH"):
				answer = fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s)\r\n# OK done\r\n%s", len(text), text, news)
			default:
				answer = "# OK done\r\n"
			}
		}
	}
}

// TestReadAlone: what a client asks for and waits for reaches it whoever reads, alone or with more behind it, and so does news behind the answer.
func TestReadAlone(t *testing.T) {
	c := talking(t, fetching("* 5 EXISTS\r\n"))
	c.ok("SELECT INBOX")
	for i := range 3 {
		if got := c.ok("FETCH 1 (BODY[])"); len(strings.Join(got, "")) < 40_000 {
			t.Errorf("FETCH %d: %d octets", i, len(strings.Join(got, "")))
		}
		// The news of one is told with the answer to the next; that of the last comes though nobody asks.
	}
	if line := c.next(); line != "* 5 EXISTS" {
		t.Errorf("news: %q", line)
	}
	c.send("a FETCH 1 (BODY[])\r\nb NOOP\r\nc FETCH 1 (BODY[])\r\n")
	for _, tag := range []string{"a", "b", "c"} {
		c.until(tag + " OK")
	}
}

// TestEndWhileReadingAlone: a session that reads an answer itself ends when it is told to.
func TestEndWhileReadingAlone(t *testing.T) {
	var f *fixture
	asked := make(chan struct{})
	f = newFixture(t, func(o *Options) {
		o.Stores = map[string]MailStore{"local": talkStore{talk: func(_ net.Conn, command func(string) string) {
			command("")
			command(opened)
			command("* 1 FETCH (UID 9)\r\n# OK done\r\n")
			close(asked)
			command("") // never answered
		}}}
	})
	c := f.login(claire)
	c.ok("SELECT INBOX")
	c.send("s FETCH 1 (BODY[])\r\n")
	<-asked
	endNow(t, f, c)
}

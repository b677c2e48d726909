package e2e

import (
	"bytes"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// refusedLiteral is a command that is refused with its literal. A text that ends behind the announcement is one of a client that
// waits: the octets follow only when the daemon asks for them.
type refusedLiteral struct {
	name     string
	loggedIn bool
	text     string // <octets:N> stands for N octets full of commands
}

func refusedLiterals() []refusedLiteral {
	return []refusedLiteral{
		{"unknown command, small, not waited for", false, "a1 XYZZY {64+}\r\n<octets:64>\r\n"},
		{"unknown command, small, waited for", false, "a1 XYZZY {64}\r\n"},
		{"wrong state, not waited for", false, "a1 SELECT {64+}\r\n<octets:64>\r\n"},
		{"APPEND before login, not waited for", false, "a1 APPEND INBOX {300+}\r\n<octets:300>\r\n"},
		{"APPEND before login, waited for", false, "a1 APPEND INBOX {300}\r\n"},
		{"LOGIN with a literal too large", false, "a1 LOGIN {20000+}\r\n<octets:20000> {3+}\r\nabc\r\n"},
		{"LOGIN with a literal far too large", false, "a1 LOGIN {90000000+}\r\n<octets:200000>"},
		{"LOGIN with a literal larger than numbers", false, "a1 LOGIN {99999999999999999999999999+}\r\n<octets:100000>"},
		{"binary literal", false, "a1 LOGIN ~{64+}\r\n<octets:64> x\r\n"},
		{"literal glued to a word", false, "a1 LOGIN abc{64+}\r\n<octets:64> x\r\n"},
		{"APPEND to no mailbox", true, "a1 APPEND Nulle-part {3000+}\r\n<octets:3000>\r\n"},
		{"APPEND to no mailbox, waited for", true, "a1 APPEND Nulle-part {3000}\r\n"},
		{"APPEND without the right", true, "a1 APPEND \"" + shared(secretariat, "INBOX") + "\" {3000+}\r\n<octets:3000>\r\n"},
		{"APPEND too large, not waited for", true, "a1 APPEND INBOX {60000000+}\r\n<octets:400000>"},
		{"APPEND too large, waited for", true, "a1 APPEND INBOX {60000000}\r\n"},
		{"APPEND with faulty flags", true, "a1 APPEND INBOX (\\Foo {300+}\r\n<octets:300>\r\n"},
		{"APPEND with a binary message", true, "a1 APPEND Nulle-part ~{300+}\r\n<octets:300>\r\n"},
		{"APPEND with NUL in a binary message", true, "a1 APPEND INBOX ~{301+}\r\n\x00<octets:300>\r\n"},
		{"REPLACE outside its state", true, "a1 REPLACE 1 INBOX {300+}\r\n<octets:300>\r\n"},
		{"CREATE with a literal too large", true, "a1 CREATE {900000+}\r\n<octets:900000>\r\n"},
		{"SEARCH outside its state", true, "a1 SEARCH SUBJECT {64+}\r\n<octets:64>\r\n"},
	}
}

// TestRefusedLiterals: what stands in a literal that is not taken never runs as commands, whether the client waits or not.
func TestRefusedLiterals(t *testing.T) {
	d := startDemo(t)
	owner := login(t, d, paul)
	for _, tt := range refusedLiterals() {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, d)
			if tt.loggedIn {
				c.ok("LOGIN %s %s", address(paul), password(paul))
			}
			c.write(withOctets(tt.text)) // it may be cut off while it writes, which is an answer
			size, waits := literalSize(strings.TrimSuffix(tt.text, "\r\n"))
			if !waits {
				c.write("z9 NOOP\r\n")
			}
			answered := false
			for {
				line, err := c.read(newsTimeout)
				answered = answered || strings.HasPrefix(line, "a1 ") || strings.HasPrefix(line, "* BYE")
				switch {
				case strings.Contains(line, "evil"), strings.HasPrefix(line, "a1 OK"), strings.HasPrefix(line, "+") && !waits:
					t.Fatalf("%q was answered", line)
				case strings.HasPrefix(line, "+"):
					c.send(withOctets(fmt.Sprintf("<octets:%d>\r\n", size)))
				case strings.HasPrefix(line, "a1 ") && waits:
					c.send("z9 NOOP\r\n")
				}
				if err != nil || strings.HasPrefix(line, "z9 ") {
					break
				}
			}
			if !answered {
				t.Error("neither refused nor told BYE")
			}
		})
	}
	for _, line := range owner.ok(`LIST "" "*"`).untagged {
		if strings.Contains(line, "evil") {
			t.Errorf("a command in a literal ran: %s", line)
		}
	}
}

// withOctets writes out <octets:N>: lines that would be commands if anybody took them for some.
func withOctets(text string) string {
	before, after, ok := strings.Cut(text, "<octets:")
	if !ok {
		return text
	}
	var n int
	number, rest, _ := strings.Cut(after, ">")
	if _, err := fmt.Sscanf(number, "%d", &n); err != nil {
		panic(err) // a fault of the table
	}
	lines := strings.Repeat("evil1 NOOP\r\nevil2 CREATE evil\r\n", n/30+1)
	return before + lines[:n-2] + "\r\n" + rest
}

// attack is something a hostile client does on a fresh connection; it leaves the connection as it is.
type attack struct {
	name string
	do   func(c *client)
}

// attacks do not look at answers unless they say so: much is cut off in the middle, which is an answer too.
func attacks() []attack {
	in := fmt.Sprintf("l1 LOGIN %s %s\r\n", address(lea), password(lea))
	return []attack{
		{"line of 1 MB before login", func(c *client) { c.flood("a1 LOGIN "+strings.Repeat("x", 1<<20)+" y\r\n", true) }},
		{"line of 1 MB after login", func(c *client) { c.flood(in+"a1 SEARCH "+strings.Repeat("x", 1<<20)+"\r\n", true) }},
		{"line without end", func(c *client) { c.flood(strings.Repeat("x", 8<<20), true) }},
		{"nested parentheses before login", func(c *client) { c.flood("a1 ID "+strings.Repeat("(", 7000)+"\r\na2 LOGOUT\r\n", true) }},
		{"nested parentheses after login", func(c *client) {
			c.flood(in+"a1 SELECT INBOX\r\na2 SEARCH "+strings.Repeat("(", 50_000)+"ALL\r\na3 SEARCH "+strings.Repeat("NOT ", 15_000)+"ALL\r\na4 SEARCH "+strings.Repeat("OR ", 15_000)+"\r\na5 LOGOUT\r\n", true)
		}},
		{"literal without end", func(c *client) { c.flood("a1 LOGIN {900000000+}\r\n"+strings.Repeat("x", 4<<20), true) }},
		{"literals one after the other", func(c *client) {
			c.flood("a1 LOGIN "+strings.Repeat("{8000+}\r\n"+strings.Repeat("x", 8000)+" ", 500), true)
		}},
		{"empty lines", func(c *client) { c.flood(strings.Repeat("\r\n", 1<<20), true) }},
		{"NULs", func(c *client) { c.flood(strings.Repeat("\x00\x01\xff\r\n", 1<<18), true) }},
		{"AUTHENTICATE without end", func(c *client) { c.flood("a1 AUTHENTICATE PLAIN\r\n"+strings.Repeat("QUFB", 1<<18), true) }},
		{"unknown commands", func(c *client) { c.flood(strings.Repeat("a XYZZY\r\n", 1<<17), true) }},
		{"APPEND left in the middle", func(c *client) { c.flood(in+"a1 APPEND INBOX {40000000+}\r\n"+strings.Repeat("x", 3<<20), false) }},
		{"IDLE with a line without end", func(c *client) { c.flood(in+"a1 SELECT INBOX\r\na2 IDLE\r\n"+strings.Repeat("x", 1<<20), true) }},
		{"sequence set of 60 KB", func(c *client) {
			c.flood(in+"a1 SELECT INBOX\r\na2 FETCH "+strings.Repeat("1:4294967295,", 4500)+"1 FLAGS\r\na3 LOGOUT\r\n", true)
		}},
		{"line of 64 MB, compressed", func(c *client) { c.bomb("a1 SEARCH " + strings.Repeat("x", 64<<20)) }},
		{"empty lines of 16 MB, compressed", func(c *client) { c.bomb(strings.Repeat("\r\n", 8<<20) + "a1 LOGOUT\r\n") }},
		{"not deflate at all", func(c *client) {
			c.send(in)
			c.await("l1")
			c.send("l2 COMPRESS DEFLATE\r\n")
			c.await("l2")
			c.flood(strings.Repeat("\xff\xfe\xfd", 1<<16), true)
		}},
	}
}

// flood writes, whatever becomes of it, while it reads what is answered; awaitEnd tells that the server must end the
// connection by itself.
func (c *client) flood(text string, awaitEnd bool) {
	c.t.Helper()
	var writing sync.WaitGroup
	writing.Go(func() { c.write(text) }) // being cut off is an answer
	if awaitEnd {
		if err := c.conn.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
			c.t.Error(err)
		}
		_, err := io.Copy(io.Discard, c.r)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // as the connection answers it
			c.t.Errorf("the connection lives after %v", replyTimeout)
		}
	}
	writing.Wait()
	c.conn.Close() // the end of the attack
}

// bomb switches compression on and sends text that is small only on the wire.
func (c *client) bomb(text string) {
	c.t.Helper()
	c.send(fmt.Sprintf("l1 LOGIN %s %s\r\n", address(lea), password(lea)))
	c.await("l1")
	c.send("l2 COMPRESS DEFLATE\r\n")
	c.await("l2")
	var small bytes.Buffer
	w, err := flate.NewWriter(&small, flate.BestSpeed)
	if err != nil {
		c.t.Error(err)
		return
	}
	if _, err := io.WriteString(w, text); err != nil {
		c.t.Error(err)
	}
	if err := w.Flush(); err != nil {
		c.t.Error(err)
	}
	c.flood(small.String(), true)
}

// Bounds of what an attack may cost. The heap is collected at the runtime's pace: what counts is that nothing grows with the
// number of attacks.
const (
	attackMemory     = 160 << 20
	attackGoroutines = 3 // of the metrics' own connections
	attackers        = 4
)

// TestHostileClients: whatever they send, memory stays within bounds, others are served, and nothing is left behind.
func TestHostileClients(t *testing.T) {
	d := startDemo(t)
	witness := login(t, d, claire)
	witness.ok("SELECT INBOX")
	goroutines := d.metric("go_goroutines")
	memory := d.memory()
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			var running sync.WaitGroup
			for range attackers {
				c := dial(t, d)
				running.Go(func() { a.do(c) })
			}
			running.Wait()
			witness.ok("NOOP")
		})
	}
	d.settles("go_goroutines", goroutines+attackGoroutines)
	d.settles("balorg_gateway_sessions_count", 1)
	if now := d.memory(); now-memory > attackMemory {
		t.Errorf("memory grew from %d to %d MB", memory>>20, now>>20)
	}
	t.Logf("memory %d MB before, %d MB after", memory>>20, d.memory()>>20)
}

// settles waits until a metric has fallen to a value.
func (d *daemon) settles(metric string, to float64) {
	d.t.Helper()
	d.eventually(replyTimeout, metric+" at its base", func() error {
		if now := d.metric(metric); now > to {
			return fmt.Errorf("%s is %v, want %v at most", metric, now, to)
		}
		return nil
	})
}

// TestSlowClients: byte by byte, half-closed, deaf and silent ones hold nobody up, and go when their connection does.
func TestSlowClients(t *testing.T) {
	d := startDemo(t)
	witness := login(t, d, claire)
	witness.ok(`LIST "" "*"`) // opens every mailbox it has
	goroutines := d.metric("go_goroutines")

	t.Run("byte by byte", func(t *testing.T) {
		c := dial(t, d)
		for _, b := range []byte(fmt.Sprintf("a1 LOGIN {%d+}\r\n%s %s\r\na2 SELECT INBOX\r\na3 LOGOUT\r\n", len(address(claire)), address(claire), password(claire))) {
			c.send(string(b))
		}
		if a := c.await("a3"); a.status != "OK" {
			t.Error(a)
		}
	})
	t.Run("half closed", func(t *testing.T) {
		c := login(t, d, claire)
		c.send("a1 SELECT INBOX\r\na2 FETCH 1:* BODY.PEEK[]\r\n")
		closer, ok := c.conn.(*tls.Conn)
		if !ok {
			t.Fatal("not TLS")
		}
		if err := closer.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if said := c.gone(newsTimeout); !slices.ContainsFunc(said, func(l string) bool { return strings.HasPrefix(l, "a2 OK") }) {
			t.Errorf("what was sent before the end was not answered: %d lines", len(said))
		}
	})
	t.Run("half a command, then the end", func(t *testing.T) {
		c := login(t, d, claire)
		c.send("a1 CREATE Moitié")
		c.conn.Close() // that is the point
		if lines := witness.ok(`LIST "" "Moiti*"`).untagged; len(lines) != 0 {
			t.Errorf("half a command ran: %q", lines)
		}
	})
	t.Run("deaf", func(t *testing.T) { deaf(t, d, witness) })
	d.settles("go_goroutines", goroutines+attackGoroutines)
	d.settles("balorg_gateway_sessions_count", 1)
}

// deaf has clients ask for the largest message again and again, and read nothing.
func deaf(t *testing.T, d *daemon, witness *client) {
	t.Helper()
	before := d.memory()
	var conns []*client
	for range 8 {
		c := open(t, d, claire, secretariat)
		c.ok("SELECT INBOX")
		if tcp, ok := c.conn.(*tls.Conn); ok {
			if inner, ok := tcp.NetConn().(*net.TCPConn); ok {
				if err := inner.SetReadBuffer(4 << 10); err != nil {
					t.Error(err)
				}
			}
		}
		var asked strings.Builder
		for i := range 200 {
			fmt.Fprintf(&asked, "f%d FETCH 1:* BODY.PEEK[]\r\n", i)
		}
		c.send(asked.String())
		conns = append(conns, c)
	}
	for range 20 {
		witness.ok("NOOP")
	}
	team := login(t, d, noemie) // the very mailbox they hang on
	team.ok("SELECT INBOX")
	if a := team.append("INBOX", "", message("deaf@test", "Malgré les sourds", 900)); a.status != "OK" {
		t.Error(a)
	}
	team.ok("LOGOUT")
	if grown := d.memory() - before; grown > attackMemory {
		t.Errorf("deaf clients cost %d MB", grown>>20)
	} else {
		t.Logf("deaf clients cost %d MB", grown>>20)
	}
	for _, c := range conns {
		c.conn.Close() // that is the point
	}
}

// TestStopWithDeafClients: SIGTERM ends the daemon within its grace though a client reads nothing; startDemo's end checks it.
func TestStopWithDeafClients(t *testing.T) {
	d := startDemo(t)
	c := open(t, d, claire, secretariat)
	c.ok("SELECT INBOX")
	c.send(strings.Repeat("f FETCH 1:* BODY.PEEK[]\r\n", 50))
	idle := login(t, d, noemie)
	idle.ok("SELECT INBOX")
	idle.idle()
	from := time.Now()
	d.stop()
	t.Logf("stopped in %v", time.Since(from))
	if said := idle.gone(newsTimeout); len(said) == 0 || !strings.HasPrefix(said[len(said)-1], "* BYE") {
		t.Errorf("a session in IDLE was told %q, want a BYE", said)
	}
}

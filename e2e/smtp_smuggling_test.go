package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ends are what some server somewhere takes for the end of a message. Only CRLF . CRLF is one (RFC 5321, 4.1.1.4).
var ends = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r", "\n\n.\r\n", "\r\n\n.\r\n", "\r\r\n.\r\r\n", "\n\r.\n\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n. \r\n", "\r\n .\r\n",
	"\r\n.\t\r\n", "\r\n\xef\xbb\xbf.\r\n", "\n..\r\n", "\r\n..\r\n",
}

// smuggled is a message that hides in another one behind what is no end of it.
func smuggled(end, from, to, id string) string {
	return end + "MAIL FROM:<" + from + ">\r\nRCPT TO:<" + to + ">\r\nDATA\r\nFrom: <" + from + ">\r\nMessage-ID: <cache-" + id + ">\r\nSubject: cache-" + id + "\r\n\r\nFraude\r\n"
}

// wiretap is a next hop that notes what is on the wire, and takes all of it. It does not offer chunks, so that messages come by DATA.
type wiretap struct {
	address string

	mu       sync.Mutex
	commands []string
	messages []string // as they came, with the dots that were added
}

func tap(t *testing.T) *wiretap {
	t.Helper()
	w := &wiretap{}
	w.address = serveTCP(t, w.serve)
	return w
}

// serveTCP serves each connection to an address of the system's choice until the test ends, and answers the address.
func serveTCP(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

func (w *wiretap) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	io.WriteString(conn, "220 hop\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		w.mu.Lock()
		w.commands = append(w.commands, line)
		w.mu.Unlock()
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "EHLO":
			io.WriteString(conn, "250-hop\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
		case "DATA":
			io.WriteString(conn, "354 go\r\n")
			var message strings.Builder
			for !strings.HasSuffix("\r\n"+message.String(), "\r\n.\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				message.WriteString(line)
			}
			w.mu.Lock()
			w.messages = append(w.messages, message.String())
			w.mu.Unlock()
			io.WriteString(conn, "250 taken\r\n")
		case "QUIT":
			return
		default:
			io.WriteString(conn, "250 fine\r\n")
		}
	}
}

// heard answers the messages that hold a text, and all commands.
func (w *wiretap) heard(text string) (messages, commands []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.messages {
		if strings.Contains(m, text) {
			messages = append(messages, m)
		}
	}
	return messages, slices.Clone(w.commands)
}

// victim is a recipient whom only what is hidden in a message names.
const victim = "victime@chu-exemple.mssante.fr"

// TestSmuggling sends the whole matrix to both kinds of listeners, and looks at what became of it: in INBOX, in Sent and at the next hop. A message
// is refused, or it is one message.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	hop := tap(t)
	d := startDemo(t)
	d.setRelay(fmt.Sprintf("relay:\n  smarthost: %q\n  insecure_no_tls: true\n", hop.address))
	readers := map[string]*client{claire: login(t, d, claire), paul: login(t, d, paul)}
	ways := []struct {
		name, from, to, victim string
		dial                   func(*testing.T) *mailer
	}{
		{"submission", address(secretariat), mssante(paul), victim, func(t *testing.T) *mailer {
			t.Helper()
			return submitter(t, d, noemie, "")
		}},
		{"inbound", outside, mssante(paul), mssante(claire), func(t *testing.T) *mailer {
			t.Helper()
			return operator(t, d)
		}},
		{"lmtp", outside, mssante(paul), mssante(claire), func(t *testing.T) *mailer {
			t.Helper()
			m := dialMail(t, "tcp", d.listeners.LMTP[0], nil)
			m.do("LHLO mx.chu-exemple.mssante.fr", "250-")
			return m
		}},
	}
	for _, w := range ways {
		for i, end := range ends {
			for _, chunked := range []bool{false, true} {
				id := fmt.Sprintf("%s-%d-%t@x", w.name, i, chunked)
				t.Run(fmt.Sprintf("%s %q chunked=%t", w.name, end, chunked), func(t *testing.T) {
					m := w.dial(t)
					m.do("MAIL FROM:<"+w.from+">", "250")
					m.do("RCPT TO:<"+w.to+">", "250")
					message := composed(w.from, id) + "Avant" + smuggled(end, w.from, w.victim, id)
					if w.name == "submission" { // and one to the next hop, to see it there
						m.do("RCPT TO:<"+outside+">", "250")
					}
					var reply string
					if chunked {
						m.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
						reply = m.reply()
					} else {
						m.do("DATA", "354")
						head, tail, _ := strings.Cut(message, "Avant")
						m.send(stuffed(head) + "Avant" + tail)
						m.send("\r\n.\r\n")
						reply = m.reply()
					}
					if got := m.ask("NOOP"); !strings.HasPrefix(got, "250 2.0.0") && !strings.HasPrefix(got, "421") {
						t.Errorf("after it, NOOP is answered %q", got)
					}
					arrivedOnce(t, readers, id, reply)
					if w.name == "submission" && strings.HasPrefix(reply, "250") {
						leftOnce(t, d, hop, readers[claire], id)
					}
				})
			}
		}
	}
	_, commands := hop.heard("")
	mails := 0
	for _, c := range commands {
		if strings.HasPrefix(c, "MAIL ") {
			mails++
		}
		if strings.Contains(c, victim) {
			t.Errorf("the next hop was told %q", c)
		}
	}
	if n := len(d.trace("--action", "send")); n != mails || n == 0 {
		t.Errorf("%d messages in the trace, %d at the next hop", n, mails)
	}

	// That all this would show: what really ends a message is followed by another one.
	m := operator(t, d)
	m.do("MAIL FROM:<"+outside+">", "250")
	m.do("RCPT TO:<"+mssante(paul)+">", "250")
	m.do("DATA", "354")
	m.send(stuffed(composed(outside, "fin@x")) + "Avant" + smuggled("\r\n.\r\n", outside, mssante(claire), "fin@x") + "\r\n.\r\n")
	for _, want := range []string{"250", "250", "250", "354", "250"} {
		m.expect(want)
	}
	readers[claire].one(d, "INBOX", "cache-fin@x")
}

// arrivedOnce checks that a message with something hidden in it was refused, or arrived as the one message that it is.
func arrivedOnce(t *testing.T, readers map[string]*client, id, reply string) {
	t.Helper()
	want := 0
	switch {
	case strings.HasPrefix(reply, "250"):
		want = 1
	case strings.HasPrefix(reply, "55"):
	default:
		t.Errorf("reply %q", reply)
	}
	for who, c := range readers {
		for _, m := range c.find("INBOX", "cache-"+id) {
			t.Errorf("%s has what was hidden:\n%q", who, m.octets)
		}
	}
	got := readers[paul].find("INBOX", id)
	if len(got) != want {
		t.Errorf("%d messages arrived after %q", len(got), reply)
	}
	for _, m := range got {
		if !strings.Contains(m.octets, "Subject: cache-"+id) {
			t.Errorf("a part is missing: %q", m.octets)
		}
		whole(t, m.octets)
	}
}

// leftOnce checks the same of what went to the next hop, as it was on the wire, and of the copy in Sent.
func leftOnce(t *testing.T, d *daemon, hop *wiretap, c *client, id string) {
	t.Helper()
	var gone []string
	d.eventually(newsTimeout, "the message "+id+" at the next hop", func() error {
		if gone, _ = hop.heard("Subject: " + id + "\r\n"); len(gone) == 0 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	sent := c.find(shared(secretariat, sentFolder), id)
	if len(gone) != 1 || len(sent) != 1 {
		t.Fatalf("%d went to the next hop, Sent has %d", len(gone), len(sent))
	}
	whole(t, gone[0])
	if gone[0] != stuffed(sent[0].octets)+".\r\n" {
		t.Errorf("on the wire was\n%q\nand Sent has\n%q", gone[0], sent[0].octets)
	}
}

// whole checks that a message holds nothing that the next server could read as its end.
func whole(t *testing.T, octets string) {
	t.Helper()
	rest := strings.ReplaceAll(octets, "\r\n", "")
	if strings.ContainsAny(rest, "\r\n\x00") {
		t.Errorf("it holds a CR, LF or NUL that stands alone: %q", octets)
	}
}

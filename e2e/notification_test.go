package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// smarthost takes messages and keeps them.
type smarthost struct {
	address string
	mu      sync.Mutex
	got     []string // the commands of a transaction, and what came after DATA
}

func startSmarthost(t *testing.T) *smarthost {
	t.Helper()
	s := &smarthost{}
	s.address = serveTCP(t, s.serve)
	return s
}

// smarthostTimeout bounds a dialogue, so that a connection that is kept open does not keep a test from ending.
const smarthostTimeout = 5 * time.Second

func (s *smarthost) serve(conn net.Conn) {
	in := textproto.NewReader(bufio.NewReader(conn))
	fmt.Fprint(conn, "220 smarthost\r\n")
	var commands strings.Builder
	for {
		conn.SetDeadline(time.Now().Add(smarthostTimeout))
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		commands.WriteString(line + "\n")
		switch verb, _, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			octets, err := io.ReadAll(in.DotReader())
			if err != nil {
				return
			}
			s.mu.Lock()
			s.got = append(s.got, commands.String()+string(octets))
			s.mu.Unlock()
			commands.Reset()
			fmt.Fprint(conn, "250 2.0.0 taken\r\n")
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 2.0.0 ok\r\n")
		}
	}
}

func (s *smarthost) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// TestNotificationFromDovecot: a mailbox that lives in Dovecot is watched. Who wants to be told is told of what nobody has read and somebody
// wrote, once, also when the daemon or the server has been down meanwhile.
func TestNotificationFromDovecot(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, map[string]string{address(secretariat): "direct"})
	s := startSmarthost(t)
	direct := o.direct("", address(secretariat), "direct")
	file := func(options, id, fields string) {
		t.Helper()
		if a := direct.append("INBOX", options, fields+message(id, "Resultats de biopsie", 600)); a.status != "OK" {
			t.Fatal(a)
		}
	}
	file("", "before@test", "")
	d := withStores(t, map[string]string{secretariat: "hospital"}, func(d *daemon) string {
		d.edit("balorg.yaml", notifiedBy(t, d), fmt.Sprintf("<notifications@clinique-des-sapins.fr>\n  every: 1s\n  insecure_no_tls: true\n  smarthost: %q", s.address))
		return o.mailstore("hospital", d.withCredentials("master"))
	})
	idle := func() {
		t.Helper()
		d.eventually(newsTimeout, "the watch", func() error {
			if got := d.metric(`balorg_gateway_watched_mailboxes_count{mode="idle"}`); got != 1 {
				return fmt.Errorf("%v mailboxes are watched", got)
			}
			return nil
		})
	}
	told := func(n int, text string) {
		t.Helper()
		d.eventually(newsTimeout, text, func() error {
			if got := s.all(); len(got) != n {
				return fmt.Errorf("%d notifications, want %d", len(got), n)
			}
			return nil
		})
		last := s.all()[n-1]
		for _, want := range []string{"MAIL FROM:<>", "RCPT TO:<noemie.martin@example.net>", text} {
			if !strings.Contains(last, want) {
				t.Errorf("no %q in\n%s", want, last)
			}
		}
		if strings.Contains(strings.ToLower(last), "biopsie") || strings.Contains(strings.ToLower(last), "claire.durand") {
			t.Errorf("it tells of the message:\n%s", last)
		}
	}
	idle()
	file("", "first@test", "")
	told(1, "Un nouveau message")
	file(`(\Seen)`, "seen@test", "")
	file("", "automatic@test", "Auto-Submitted: auto-generated\r\n")
	file("", "second@test", "")
	told(2, "Un nouveau message")
	// Killed before it has written down that the notice left, the daemon would send it again: SMTP has no means against that.
	d.eventually(newsTimeout, "the end of the queue", func() error {
		if n := d.metric("balorg_smtp_queue_waiting_count"); n > 0 {
			return fmt.Errorf("%v recipients wait", n)
		}
		return nil
	})
	d.kill()
	file("", "third@test", "")
	file("", "list@test", "List-Id: <l.example.org>\r\n")
	file("", "fourth@test", "")
	d.serve()
	told(3, "2 nouveaux messages")
	idle()
	if got := direct.ok("STATUS INBOX (MESSAGES UNSEEN)").String(); !strings.Contains(got, "MESSAGES 8 UNSEEN 7") {
		t.Errorf("the watch changed something: %s", got)
	}
}

// notifiedBy is what the demo's file says of the smarthost of notifications.
func notifiedBy(t *testing.T, d *daemon) string {
	t.Helper()
	content, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	const before = "<notifications@clinique-des-sapins.fr>\n  smarthost: "
	_, rest, _ := strings.Cut(string(content), before)
	address, _, ok := strings.Cut(rest, "\n")
	if !ok {
		t.Fatal("the demo has no notifications")
	}
	return before + address
}

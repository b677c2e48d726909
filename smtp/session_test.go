package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	netsmtp "net/smtp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/policy/auth"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/mailbox"
)

var roles = []Role{Submission, Inbound, LMTP}

func TestOneMessage(t *testing.T) {
	for _, role := range roles {
		t.Run(string(role), func(t *testing.T) {
			f := newFixture(t, nil)
			c := f.dial(t.Context(), role)
			c.hello(role)
			c.do("MAIL FROM:<A@b.fr> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By", "250 2.1.0")
			c.do("RCPT TO:<c@D.fr> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;C+40d.fr", "250 2.1.5")
			c.do("RCPT TO:<Postmaster>", "250 2.1.5")
			c.do("DATA", "354 ")
			c.send("Subject: x\r\n\r\n..dot\r\n.\r\n")
			c.expect("250 2.0.0 Queued as 1")
			if role == LMTP {
				c.expect("250 2.0.0 Queued as 1")
			}
			c.do("QUIT", "221 2.0.0")
			c.closed()
			want := []received{{
				wire.Envelope{
					From: wire.Sender{Address: "a@b.fr", Size: 100, Body: wire.Body8Bit, Return: wire.ReturnHeaders, EnvID: "x+y"},
					To: []wire.Recipient{
						{Address: "c@d.fr", Notify: wire.NotifySuccess | wire.NotifyFailure, Original: "rfc822;C@d.fr"},
						{Address: mail.Address(claire)},
					},
				},
				"Subject: x\r\n\r\n.dot\r\n",
			}}
			if diff := cmp.Diff(want, f.messages(), cmp.AllowUnexported(received{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPipeliningAnswersInOneWrite(t *testing.T) {
	f := newFixture(t, nil)
	c := f.dial(t.Context(), Inbound)
	c.do("EHLO x", "250-")
	c.send("MAIL FROM:<a@b.fr>\r\nRCPT TO:<c@d.fr>\r\nRCPT TO:<e@f.fr>\r\nDATA\r\n")
	c.expect("250 2.1.0", "250 2.1.5", "250 2.1.5", "354 ")
	c.send("x\r\n.\r\nNOOP\r\nQUIT\r\n")
	c.expect("250 2.0.0 Queued", "250 2.0.0 Nothing", "221 ")
	c.closed()
	if got := f.messages(); len(got) != 1 || got[0].content != "x\r\n" {
		t.Errorf("received %+v", got)
	}
}

func TestCapabilities(t *testing.T) {
	f := newFixture(t, func(s *Service) { s.MaxMessage = 1000 })
	ehlo := f.dial(t.Context(), Submission).do("EHLO x", "250-")
	want := "250-mx.example.fr\n250-PIPELINING\n250-SIZE 1000\n250-8BITMIME\n250-SMTPUTF8\n250-DSN\n250-ENHANCEDSTATUSCODES\n250-CHUNKING\n" +
		"250-LIMITS RCPTMAX=100 MAILMAX=1000\n250 AUTH PLAIN LOGIN"
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(ehlo, "\n")); diff != "" {
		t.Error(diff)
	}
	if inbound := f.dial(t.Context(), Inbound).do("EHLO x", "250-"); strings.Contains(inbound, "AUTH") {
		t.Errorf("inbound: %s", inbound)
	}
}

// TestOrderOfCommands: each command in each state. RSET ends a transaction, EHLO as well.
func TestOrderOfCommands(t *testing.T) {
	const (
		fresh       = ""
		greeted     = "EHLO x"
		inMail      = greeted + "|MAIL FROM:<a@b.fr>"
		inRcpt      = inMail + "|RCPT TO:<c@d.fr>"
		afterReset  = inRcpt + "|RSET"
		afterEHLO   = inRcpt + "|EHLO x"
		allRefused  = inMail + "|RCPT TO:<refused@d.fr>"
		afterRefuse = greeted + "|MAIL FROM:<refused@b.fr>"
	)
	for _, tt := range []struct{ state, command, want string }{
		{fresh, "MAIL FROM:<a@b.fr>", "503 5.5.1"},
		{fresh, "RCPT TO:<a@b.fr>", "503 5.5.1"},
		{fresh, "DATA", "503 5.5.1"},
		{fresh, "NOOP", "250 2.0.0"},
		{fresh, "RSET", "250 2.0.0"},
		{fresh, "VRFY a", "252 2.5.2"},
		{fresh, "HELP", "214 2.0.0"},
		{fresh, "QUIT", "221 2.0.0"},
		{fresh, "HELO x", "250 mx.example.fr"},
		{fresh, "EHLO", "501 5.5.4"},
		{fresh, "LHLO x", "500 5.5.1"},
		{fresh, "EXPN x", "500 5.5.1"},
		{fresh, "GET / HTTP/1.1", "500 5.5.1"},
		{fresh, "AUTH PLAIN", "502 5.5.1"},
		{fresh, "", "500 5.5.2"},
		{fresh, "RSET x", "501 5.5.4"},
		{fresh, "QUIT x", "501 5.5.4"},
		{greeted, "MAIL FROM:<a@b.fr>", "250 2.1.0"},
		{greeted, "MAIL FROM:<>", "250 2.1.0"},
		{greeted, "MAIL FROM:<é@b.fr> SMTPUTF8", "250 2.1.0"},
		{greeted, "MAIL FROM:<a@b.fr> BODY=BINARYMIME", "555 5.6.3"},
		{greeted, "MAIL FROM:<a@b.fr> XYZ=1", "555 5.5.4"},
		{greeted, "MAIL FROM:<a@b.fr> SIZE=99999999999", "552 5.3.4"},
		{greeted, "MAIL", "501 5.5.4"},
		{greeted, "RCPT TO:<a@b.fr>", "503 5.5.1"},
		{greeted, "DATA", "503 5.5.1"},
		{"HELO x", "MAIL FROM:<a@b.fr>", "250 2.1.0"},
		{inMail, "MAIL FROM:<a@b.fr>", "503 5.5.1"},
		{inMail, "RCPT TO:<a@b.fr>", "250 2.1.5"},
		{inMail, "RCPT TO:<é@b.fr>", "553 5.6.7"},
		{inMail, "RCPT TO:<>", "501 5.1.3"},
		{inMail, "DATA", "503 5.5.1"},
		{inRcpt, "MAIL FROM:<a@b.fr>", "503 5.5.1"},
		{inRcpt, "RCPT TO:<c@d.fr>", "250 2.1.5"},
		{inRcpt, "DATA x", "501 5.5.4"},
		{inRcpt, "DATA", "354 "},
		{inRcpt, "NOOP", "250 2.0.0"},
		{afterReset, "RCPT TO:<c@d.fr>", "503 5.5.1"},
		{afterReset, "DATA", "503 5.5.1"},
		{afterReset, "MAIL FROM:<a@b.fr>", "250 2.1.0"},
		{afterEHLO, "DATA", "503 5.5.1"},
		{afterEHLO, "MAIL FROM:<a@b.fr>", "250 2.1.0"},
		{allRefused, "DATA", "503 5.5.1"},
		{afterRefuse, "RCPT TO:<c@d.fr>", "503 5.5.1"},
		{afterRefuse, "MAIL FROM:<a@b.fr>", "250 2.1.0"},
	} {
		t.Run(tt.state+"/"+tt.command, func(t *testing.T) {
			f := newFixture(t, nil)
			f.onMail = func(from wire.Sender) error { return refuseThat(from.Address) }
			f.onRcpt = func(to wire.Recipient) error { return refuseThat(to.Address) }
			c := f.dial(t.Context(), Inbound)
			for command := range strings.SplitSeq(tt.state, "|") {
				if command == "" {
					continue
				}
				want := "250"
				if strings.Contains(command, "refused") {
					want = "550"
				}
				c.do(command, want)
			}
			c.do(tt.command, tt.want)
		})
	}
}

func refuseThat(a mail.Address) error {
	if a.Local() == "refused" {
		return wire.NewReply(550, "5.7.1", "Not this one")
	}
	return nil
}

// TestLines: what is no line of SMTP ends the connection, for what follows it may be anything.
func TestLines(t *testing.T) {
	f := newFixture(t, nil)
	for _, in := range []string{"NOOP\n", "NOOP\nQUIT\r\n", "NOOP\rQUIT\r\n", "NOOP\r\r\n", "\n", "NOOP " + strings.Repeat("x", wire.MaxLine) + "\r\n"} {
		c := f.dial(t.Context(), Inbound)
		go io.WriteString(c.conn, in)
		c.expect("500 5.5.2", "421 4.7.0")
		c.closed()
	}
	c := f.dial(t.Context(), Inbound)
	c.do("NOOP "+strings.Repeat("x", wire.MaxLine-7), "250 ")
	c.do("NOOP \x00", "500 5.5.2")
	c.do("NOOP \xff", "500 5.5.2")
	c.conn.Close()
	<-c.ended
}

// TestTooManyRefusals: unknown commands count like refusals; mail that is taken forgives what was before.
func TestTooManyRefusals(t *testing.T) {
	f := newFixture(t, func(s *Service) { s.MaxRefusals = 4 })
	c := f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	for range 3 {
		c.do("XYZ", "500 5.5.1")
	}
	c.begin()
	c.send("x\r\n.\r\n")
	c.expect("250 ")
	c.send("XYZ\r\n\r\nRCPT TO:<\r\nMAIL FROM:<x\r\nNOOP\r\n")
	c.expect("500 ", "500 ", "503 ", "501 ", "421 4.7.0 Too many commands were refused")
	c.closed()
	if n := f.metric("balorg_smtp_refusals_total", "inbound"); n != 7 {
		t.Errorf("%v refusals were counted", n)
	}
	c = f.dial(t.Context(), LMTP)
	f.onRcpt = func(wire.Recipient) error { return wire.NewReply(451, "4.3.0", "Later") }
	c.hello(LMTP)
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	for range 20 { // what is not the client's fault does not count
		c.do("RCPT TO:<c@d.fr>", "451 ")
	}
}

// TestLimits of recipients and messages, and what a handler's 421 means.
func TestLimits(t *testing.T) {
	f := newFixture(t, func(s *Service) { s.MaxRecipients, s.MaxMessages = 2, 2 })
	asked := 0
	f.onRcpt = func(to wire.Recipient) error {
		asked++
		if to.Address.Local() == "closing" {
			return wire.NewReply(421, "4.7.0", "Go away")
		}
		return nil
	}
	c := f.dial(t.Context(), Inbound)
	if ehlo := c.do("EHLO x", "250-"); !strings.Contains(ehlo, "250-LIMITS RCPTMAX=2 MAILMAX=2\n") && !strings.Contains(ehlo, "250 LIMITS RCPTMAX=2 MAILMAX=2") {
		t.Errorf("EHLO: %s", ehlo)
	}
	for range 2 {
		c.do("MAIL FROM:<a@b.fr>", "250 ")
		c.do("RCPT TO:<c@d.fr>", "250 ")
		c.do("RCPT TO:<C@D.FR>", "250 ") // the same
		c.do("RCPT TO:<e@d.fr>", "250 ")
		c.do("RCPT TO:<f@d.fr>", "452 4.5.3")
		c.do("RCPT TO:<c@d.fr>", "250 ")
		c.do("DATA", "354 ")
		c.send("x\r\n.\r\n")
		c.expect("250 ")
	}
	if got := f.messages(); len(got[0].env.To) != 2 || asked != 4 {
		t.Errorf("asked %d times for %+v", asked, got[0].env)
	}
	c.do("MAIL FROM:<a@b.fr>", "421 4.7.0")
	c.closed()
	c = f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	c.do("RCPT TO:<closing@d.fr>", "421 4.7.0 Go away")
	c.closed()
}

// TestErrors is the table from errors to replies.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err      error
		want     string
		internal bool
	}{
		{wire.NewReply(553, "5.7.1", "x"), "553 5.7.1", false},
		{fmt.Errorf("deciding: %w", wire.NewReply(553, "5.7.1", "x")), "553 5.7.1", false},
		{wire.ErrBareNewline, "550 5.6.11", false},
		{wire.ErrTextLine, "550 5.6.0", false},
		{wire.ErrNUL, "550 5.6.0", false},
		{wire.ErrTooLarge, "552 5.3.4", false},
		{wire.ErrFlood, "552 5.3.4", false},
		{fmt.Errorf("adding: %w", mailbox.ErrTooLarge), "552 5.3.4", false},
		{fmt.Errorf("adding: %w", mailbox.ErrOverQuota), "452 4.2.2", false},
		{&auth.Refusal{}, "535 5.7.8", false},
		{&auth.Unavailable{}, "454 4.7.0", false},
		{fmt.Errorf("writing: %w", store.ErrFull), "452 4.3.1", true},
		{fmt.Errorf("writing: %w", store.ErrUnavailable), "451 4.3.0", true},
		{context.DeadlineExceeded, "451 4.3.0", true},
		{errors.New("anything"), "451 4.3.0", true},
		{io.ErrUnexpectedEOF, "451 4.3.0", true},
	} {
		r, internal := replyTo(tt.err)
		if got := fmt.Sprintf("%d %s", r.Code, r.Enhanced); got != tt.want || internal != tt.internal || strings.Contains(r.Text, "anything") {
			t.Errorf("%v: %s, internal %t; want %s, %t", tt.err, r, internal, tt.want, tt.internal)
		}
	}
}

// TestCounts: messages by result, and connections while they last.
func TestCounts(t *testing.T) {
	f := newFixture(t, nil)
	c := f.dial(t.Context(), LMTP)
	c.hello(LMTP)
	if n := f.metric("balorg_smtp_connections_count", "lmtp"); n != 1 {
		t.Errorf("%v connections", n)
	}
	c.withRecipients(2)
	c.do("DATA", "354 ")
	c.send("x\r\n.\r\n")
	c.expect("250 ", "250 ")
	c.withRecipients(1)
	c.do("DATA", "354 ")
	c.send("x\n\r\n.\r\n")
	c.expect("550 ")
	c.begin()
	c.conn.Close()
	<-c.ended
	for name, want := range map[string]float64{
		"balorg_smtp_messages_total ok lmtp": 2, "balorg_smtp_messages_total refused lmtp": 1, "balorg_smtp_broken_messages_total lmtp": 1,
		"balorg_smtp_connections_count lmtp": 0,
	} {
		name, labels, _ := strings.Cut(name, " ")
		if n := f.metric(name, labels); n != want {
			t.Errorf("%s %s: %v, want %v", name, labels, n, want)
		}
	}
}

// TestLibraries: clients of other makers get their mail through, by DATA, in TLS and with each mechanism.
func TestLibraries(t *testing.T) {
	server, trusting := newTLS(t)
	f := newFixture(t, func(s *Service) { s.TLS, s.InsecureLogin = server, false })
	content := "Subject: x\r\n\r\n.dot\r\n" + strings.Repeat("0123456789\r\n", 10_000)
	serve := func(role Role) net.Conn {
		t.Helper()
		listener, err := net.Listen("tcp", "127.0.0.1:0") // both sides of TLS say goodbye at once, which a pipe has no room for
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ours, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.server.Serve(t.Context(), theirs, role)
		}()
		t.Cleanup(func() {
			ours.Close()
			<-ended
		})
		return ours
	}
	check := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, mechanism := range []sasl.Client{sasl.NewPlainClient("", noemie, "ok"), sasl.NewLoginClient(noemie, "ok")} {
		c, err := gosmtp.NewClientStartTLS(serve(Submission), trusting)
		check("STARTTLS", err)
		check("AUTH", c.Auth(mechanism))
		check("sending", c.SendMail(secretariat, []string{"c@d.fr", "e@d.fr"}, strings.NewReader(content)))
		check("QUIT", c.Quit())
	}
	lmtp := gosmtp.NewClientLMTP(serve(LMTP))
	check("sending over LMTP", lmtp.SendMail("a@b.fr", []string{"c@d.fr", "e@d.fr"}, strings.NewReader(content)))
	check("QUIT", lmtp.Quit())

	std, err := netsmtp.NewClient(serve(Submission), "mx.example.fr")
	check("net/smtp", err)
	check("STARTTLS", std.StartTLS(trusting))
	check("AUTH", std.Auth(netsmtp.PlainAuth("", noemie, "ok", "mx.example.fr")))
	check("MAIL", std.Mail(secretariat))
	check("RCPT", std.Rcpt("c@d.fr"))
	w, err := std.Data()
	check("DATA", err)
	_, err = io.WriteString(w, content)
	check("writing", err)
	check("the end", w.Close())
	check("QUIT", std.Quit())

	got := f.messages()
	if len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	for i, m := range got {
		if m.content != content {
			t.Errorf("message %d: %d octets of content, want %d", i, len(m.content), len(content))
		}
	}
	if n := f.metric("balorg_smtp_logins_total", "ok"); n != 3 {
		t.Errorf("%v log-ins", n)
	}
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes atomic.Int32
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestRepliesAreBatched: the replies to commands that came together leave together.
func TestRepliesAreBatched(t *testing.T) {
	f := newFixture(t, nil)
	ours, theirs := pipe(t)
	counting := &countingConn{Conn: theirs}
	c := f.client(ours)
	go func() {
		defer close(c.ended)
		f.server.Serve(t.Context(), counting, Inbound)
	}()
	c.read()
	c.expect("220 ")
	c.hello(Inbound)
	before := counting.writes.Load()
	c.send("MAIL FROM:<a@b.fr>\r\n" + strings.Repeat("RCPT TO:<c@d.fr>\r\n", 50) + "DATA\r\n")
	for range 51 {
		c.expect("250 ")
	}
	c.expect("354 ")
	if n := counting.writes.Load() - before; n != 1 {
		t.Errorf("%d writes", n)
	}
}

// BenchmarkSession takes messages of 4 KB, pipelined as clients do.
func BenchmarkSession(b *testing.B) {
	f := newFixture(b, nil)
	f.onData = func(_ context.Context, _ fakeHandler, _ *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
		_, err := io.Copy(io.Discard, r)
		return []wire.Reply{*okay("2.0.0", "Queued")}, err
	}
	service := f.server.opt.Services[Inbound]
	service.MaxMessages = 1 << 40
	f.server.opt.Services[Inbound] = service
	c := f.dial(b.Context(), Inbound)
	c.hello(Inbound)
	content := strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx\r\n", 56) + ".\r\n"
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		c.send("MAIL FROM:<a@b.fr> SIZE=4000\r\nRCPT TO:<c@d.fr>\r\nDATA\r\n")
		c.expect("250 ", "250 ", "354 ")
		c.send(content)
		c.expect("250 ")
	}
}

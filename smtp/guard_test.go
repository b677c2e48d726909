package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"balorg/smtp/wire"
)

// This file is why the server side of go-smtp is not used: each test is a dialogue with a plain server of that library, which shows a
// fault, and the same one with ours, which must not have it.

// plainServer is a go-smtp server over pipes, whose backend takes everything and notes it.
type plainServer struct {
	*gosmtp.Server
	t     testing.TB
	conns chan net.Conn

	mu     sync.Mutex
	events []string // "mail a@b", "rcpt c@d", "data <content>", "data failed", "reset"

	onData func(io.Reader) error
}

func newPlainServer(tb testing.TB) *plainServer {
	tb.Helper()
	p := &plainServer{t: tb, conns: make(chan net.Conn)}
	p.Server = gosmtp.NewServer(p)
	p.Domain, p.AllowInsecureAuth, p.EnableSMTPUTF8, p.EnableDSN = "mx.example.fr", true, true, true
	p.ErrorLog = silence{}
	return p
}

// silence is where go-smtp's own log goes.
type silence struct{}

func (silence) Printf(string, ...any) {}
func (silence) Println(...any)        {}

func (p *plainServer) note(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event)
}

func (p *plainServer) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

func (p *plainServer) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return plainSession{p}, nil }

type plainSession struct{ p *plainServer }

func (s plainSession) Reset()        { s.p.note("reset") }
func (s plainSession) Logout() error { return nil }
func (s plainSession) Mail(from string, _ *gosmtp.MailOptions) error {
	s.p.note("mail " + from)
	return nil
}

func (s plainSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.p.note("rcpt " + to)
	return nil
}

func (s plainSession) Data(r io.Reader) error {
	if s.p.onData != nil {
		return s.p.onData(r)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		s.p.note("data failed")
		return err
	}
	s.p.note("data " + string(content))
	return nil
}

func (s plainSession) AuthMechanisms() []string { return []string{sasl.Plain, sasl.OAuthBearer} }

func (s plainSession) Auth(mechanism string) (sasl.Server, error) {
	if mechanism == sasl.OAuthBearer {
		return sasl.NewOAuthBearerServer(func(sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			return &sasl.OAuthBearerError{Status: "invalid_token"}
		}), nil
	}
	return sasl.NewPlainServer(func(_, _, password string) error {
		if password != "ok" {
			return errors.New("wrong password")
		}
		return nil
	}), nil
}

// Accept, Close and Addr make it its own listener.
type plainListener struct{ p *plainServer }

func (l plainListener) Accept() (net.Conn, error) {
	conn, ok := <-l.p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l plainListener) Close() error   { close(l.p.conns); return nil }
func (l plainListener) Addr() net.Addr { return &net.TCPAddr{} }

// start serves; the client it answers has read the greeting.
func (p *plainServer) start() *client {
	p.t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() { p.Serve(plainListener{p}) })
	ours, theirs := net.Pipe()
	c := &client{t: p.t, conn: ours, ended: make(chan struct{})}
	p.conns <- theirs
	p.t.Cleanup(func() {
		p.Close()
		ours.Close()
		serving.Wait()
	})
	c.read()
	c.expect("220 mx.example.fr ")
	return c
}

// both greets a plain server and one of ours in a role, each logged in where ours asks for that.
func both(t *testing.T, role Role) (plainly *client, p *plainServer, ours *client, f *fixture) {
	t.Helper()
	p = newPlainServer(t)
	plainly = p.start()
	plainly.do("EHLO x", "250-")
	f = newFixture(t, nil)
	ours = f.dial(t.Context(), role)
	ours.hello(role)
	return plainly, p, ours, f
}

// TestGuardDataReadError: when reading the content fails, what comes later is still content and must not run as commands.
func TestGuardDataReadError(t *testing.T) {
	const rest = "MAIL FROM:<injected@b.fr>\r\nRCPT TO:<victim@d.fr>\r\n"
	synctest.Test(t, func(t *testing.T) {
		p := newPlainServer(t)
		p.ReadTimeout = 5 * time.Minute
		c := p.start()
		c.do("EHLO x", "250-")
		c.begin()
		c.send("first half\r\n")
		time.Sleep(6 * time.Minute)
		c.expect("554 ")
		c.send(rest)
		c.expect("250 ", "250 ")
		if !slices.Contains(p.noted(), "rcpt victim@d.fr") {
			t.Errorf("the fault is gone: %q", p.noted())
		}
	})
	for _, role := range roles {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			c := f.dial(t.Context(), role)
			c.hello(role)
			c.begin()
			f.onMail = func(from wire.Sender) error {
				t.Errorf("%s: content ran as MAIL FROM:<%s>", role, from.Address)
				return nil
			}
			c.send("first half\r\n")
			time.Sleep(6 * time.Minute)
			c.expect("421 4.4.2")
			c.closed()
			if _, err := io.WriteString(c.conn, rest); err == nil {
				t.Errorf("%s: the connection still takes octets", role)
			}
			<-c.ended
			if got := f.messages(); len(got) > 0 {
				t.Errorf("%s: half a message was taken", role)
			}
		})
	}
}

// TestGuardAddresses: an address is taken only when it can be read in one way.
func TestGuardAddresses(t *testing.T) {
	for _, tt := range []struct{ line, taken string }{ // taken: what the library makes of it
		{`RCPT TO:<"victim@out.fr> ORCPT=rfc822;z"@trusted.fr>`, "victim@out.fr> ORCPT=rfc822;z@trusted.fr"},
		{`RCPT TO:<"victim@out.fr"@trusted.fr>`, "victim@out.fr@trusted.fr"},
		{"RCPT TO:<a\x01\x1bb@trusted.fr>", "a\x01\x1bb@trusted.fr"},
		{"RCPT TO:<a..b@trusted.fr>", "a..b@trusted.fr"},
		{"RCPT TO:<" + strings.Repeat("a", 300) + "@trusted.fr>", strings.Repeat("a", 300) + "@trusted.fr"},
		{"RCPT TO:<é@trusted.fr>", "é@trusted.fr"}, // without SMTPUTF8
		{"RCPT TO:<@out.fr:a@trusted.fr>", "a@trusted.fr"},
		{"RCPT TO:<a@[192.0.2.1]>", "a@[192.0.2.1]"},
		{"RCPT TO:<a@trusted.fr.>", "a@trusted.fr."},
		{"RCPT TO:<victim%out.fr@trusted.fr>", "victim%out.fr@trusted.fr"},
		{"RCPT TO:<a@b@trusted.fr>", "a@b@trusted.fr"},
		{"RCPT TO:a@trusted.fr", "a@trusted.fr"},
		{"RCPT TO:<A@TRUSTED.FR>", "A@TRUSTED.FR"}, // left to be compared without regard to case by whoever thinks of it
	} {
		t.Run(tt.taken[:min(len(tt.taken), 30)], func(t *testing.T) {
			plainly, p, ours, f := both(t, Inbound)
			plainly.do("MAIL FROM:<a@b.fr>", "250 ")
			plainly.do(tt.line, "250 ")
			if got := p.noted(); got[len(got)-1] != "rcpt "+tt.taken {
				t.Errorf("the fault is gone: %q", got)
			}
			f.onRcpt = func(to wire.Recipient) error {
				if to.Address != "a@trusted.fr" {
					t.Errorf("taken: %q", to.Address)
				}
				return nil
			}
			ours.do("MAIL FROM:<a@b.fr>", "250 ")
			want := "5"
			if tt.taken == "A@TRUSTED.FR" {
				want = "250 " // as a@trusted.fr
			}
			ours.do(tt.line, want)
		})
	}
}

// TestGuardDataDeadline: a time-out for each command cuts honest slow clients, and one for each read never cuts a trickle.
func TestGuardDataDeadline(t *testing.T) {
	block := strings.Repeat("0123456789\r\n", 10_000) // 120 KB a minute are 2 KB a second
	synctest.Test(t, func(t *testing.T) {
		p := newPlainServer(t)
		p.ReadTimeout = 5 * time.Minute
		c := p.start()
		c.do("EHLO x", "250-")
		c.begin()
		for range 4 {
			c.send(block)
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute + time.Second)
		if reply := c.expect("554 "); !strings.Contains(reply, "timeout") {
			t.Errorf("the fault is gone: %q", reply)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		c := f.dial(t.Context(), Inbound)
		c.hello(Inbound)
		c.begin()
		for range 20 {
			c.send(block)
			time.Sleep(time.Minute)
		}
		c.send(".\r\n")
		c.expect("250 2.0.0 Queued")
	})
}

// TestGuardLongAuth: the response of an OAuth mechanism is a line of more than 3 KB.
func TestGuardLongAuth(t *testing.T) {
	line := "AUTH PLAIN " + plain("", noemie, strings.Repeat("token", 700))
	p := newPlainServer(t)
	c := p.start()
	c.do("EHLO x", "250-")
	go io.WriteString(c.conn, line+"\r\n")
	c.expect("500 5.4.0 Too long line")
	f := newFixture(t, nil)
	c = f.dial(t.Context(), Submission)
	c.do("EHLO x", "250-")
	c.do(line, "535 5.7.8")
	c.do(line[:len(line)/4*4-3]+"====", "501 5.5.2")
}

// TestGuardRefusals: nobody tries passwords and addresses on one connection for ever.
func TestGuardRefusals(t *testing.T) {
	plainly, _, ours, f := both(t, Inbound)
	const wrong = "AUTH PLAIN AHgAeA=="
	plainly.do("MAIL FROM:<a@b.fr>", "250 ")
	for range 50 {
		plainly.do(wrong, "454 ")
		plainly.do("RCPT TO:<", "501 ")
	}
	ours.do("MAIL FROM:<a@b.fr>", "250 ")
	f.onRcpt = func(wire.Recipient) error { return wire.NewReply(550, "5.1.1", "Unknown") }
	for range 9 {
		ours.do("RCPT TO:<a@b.fr>", "550 5.1.1")
	}
	ours.do("RCPT TO:<a@b.fr>", "550 5.1.1")
	ours.expect("421 4.7.0")
	ours.closed()
	ours = f.dial(t.Context(), Submission)
	ours.do("EHLO x", "250-")
	for range 3 {
		ours.do(wrong, "535 5.7.8")
	}
	ours.expect("421 4.7.0")
	ours.closed()
}

// TestGuardMechanisms: go-sasl's OAUTHBEARER panics on an empty answer, and has no server side of LOGIN.
func TestGuardMechanisms(t *testing.T) {
	plainly, _, _, f := both(t, Inbound)
	plainly.do("AUTH OAUTHBEARER bixhPXgsAWF1dGg9QmVhcmVyIHgBAQ==", "334 ")
	plainly.do("", "421 4.0.0 Internal server error")
	c := f.dial(t.Context(), Submission)
	c.do("EHLO x", "250-")
	for _, mechanism := range []string{"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"} {
		c := f.dial(t.Context(), Submission)
		c.do("EHLO x", "250-")
		c.send("AUTH " + mechanism + "\r\n\r\n")
		if reply := c.next(); strings.HasPrefix(reply, "334 ") {
			c.expect("501 5.5.2")
		} else {
			c.expect("500 5.5.2") // the empty line, as a command
		}
		c.do("NOOP", "250 ")
	}
	c.do("AUTH LOGIN", "334 VXNlcm5hbWU6")
	c.do(b64(noemie), "334 UGFzc3dvcmQ6")
	c.do(b64("ok"), "235 2.7.0")
}

// TestGuardShutdown: Shutdown waits for idle clients, and Close after it does nothing.
func TestGuardShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlainServer(t)
		c := p.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the fault is gone: Shutdown answers %v", err)
		}
		if err := p.Close(); !errors.Is(err, gosmtp.ErrServerClosed) {
			t.Errorf("the fault is gone: Close answers %v", err)
		}
		c.do("NOOP", "250 ")
		c.conn.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		for _, role := range roles {
			f := newFixture(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			c := f.dial(ctx, role)
			c.hello(role)
			before := time.Now()
			cancel()
			c.expect("421 4.3.2")
			c.closed()
			<-c.ended
			if took := time.Since(before); took != 0 {
				t.Errorf("%s: it took %v", role, took)
			}
		}
	})
}

// TestGuardBareNewlines: a CR or an LF that stands alone never becomes part of a body.
func TestGuardBareNewlines(t *testing.T) {
	const content = "a\nb\rc\r\n"
	plainly, p, ours, f := both(t, Inbound)
	plainly.begin()
	plainly.send(content + ".\r\n")
	plainly.expect("250 ")
	if got := p.noted(); !slices.Contains(got, "data "+content) {
		t.Errorf("the fault is gone: %q", got)
	}
	ours.begin()
	ours.send(content + ".\r\n")
	ours.expect("550 5.6.11")
	ours = f.dial(t.Context(), Submission)
	ours.hello(Submission)
	ours.begin()
	ours.send(content + ".\r\n")
	ours.expect("250 2.0.0 Queued")
	if got := f.messages(); len(got) != 1 || got[0].content != "a\r\nb\r\nc\r\n" {
		t.Errorf("received %+v", got)
	}
}

// TestGuardOrder: one transaction at a time, and nobody becomes another person in the middle of one.
func TestGuardOrder(t *testing.T) {
	plainly, p, _, f := both(t, Inbound)
	plainly.do("MAIL FROM:<a@b.fr>", "250 ")
	plainly.do("MAIL FROM:<other@b.fr>", "250 ")
	plainly.do("AUTH PLAIN AHgAb2s=", "235 ")
	plainly.do("RCPT TO:<c@d.fr>", "250 ")
	if got := p.noted(); !slices.Contains(got, "mail other@b.fr") || slices.Contains(got, "reset") {
		t.Errorf("the fault is gone: %q", got)
	}
	ours := f.dial(t.Context(), Submission)
	ours.hello(Submission)
	ours.do("MAIL FROM:<a@b.fr>", "250 ")
	ours.do("MAIL FROM:<other@b.fr>", "503 5.5.1")
	ours.do("AUTH PLAIN "+plain("", claire, "ok"), "503 5.5.1")
	if person := f.sessions.List()[0].Person; person != noemie {
		t.Errorf("the session is %s's", person)
	}
}

// TestGuardChunks: the library resets its session while Data still runs, in another goroutine.
func TestGuardChunks(t *testing.T) {
	p := newPlainServer(t)
	wasReset, ended := make(chan struct{}), make(chan struct{})
	p.onData = func(r io.Reader) error {
		defer close(ended)
		io.Copy(io.Discard, r)
		<-wasReset
		p.note("data still runs")
		return nil
	}
	c := p.start()
	c.do("EHLO x", "250-")
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ")
	c.send("BDAT 3\r\na\r\n")
	c.expect("250 ")
	c.do("RSET", "250 ")
	close(wasReset)
	<-ended
	events := p.noted()
	if reset, data := slices.Index(events, "reset"), slices.Index(events, "data still runs"); reset < 0 || data < reset {
		t.Errorf("the fault is gone: %q", events)
	}

	f := newFixture(t, nil)
	var env *wire.Envelope
	f.onData = func(_ context.Context, _ fakeHandler, e *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
		env = e
		_, err := io.Copy(io.Discard, r)
		e.To[0].Address = "changed@d.fr" // its own
		return nil, err
	}
	c = f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ")
	c.send("BDAT 3\r\na\r\n")
	c.expect("250 ")
	c.do("RSET", "250 ")
	if env == nil || env.From.Address != "a@b.fr" || env.To[0].Address != "changed@d.fr" { // no race: Data has returned before RSET was answered
		t.Errorf("envelope: %+v", env)
	}
	c.do("MAIL FROM:<a@b.fr>", "250 ")
}

// TestGuardErrors: what a backend answers as a plain error becomes temporary after MAIL, permanent after DATA, and is shown to the client.
func TestGuardErrors(t *testing.T) {
	internal := errors.New("dial tcp 10.0.0.7: connection refused")
	plainly, p, ours, f := both(t, Inbound)
	p.onData = func(r io.Reader) error {
		io.Copy(io.Discard, r)
		return internal
	}
	plainly.begin()
	plainly.send(".\r\n")
	if reply := plainly.expect("554 "); !strings.Contains(reply, "10.0.0.7") {
		t.Errorf("the fault is gone: %q", reply)
	}
	f.onData = func(_ context.Context, _ fakeHandler, _ *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
		io.Copy(io.Discard, r)
		return nil, internal
	}
	ours.begin()
	ours.send(".\r\n")
	if reply := ours.expect("451 4.3.0"); strings.Contains(reply, "10.0.0.7") {
		t.Errorf("shown to the client: %q", reply)
	}
	f.onMail = func(wire.Sender) error { return wire.NewReply(553, "5.7.1", "Not yours") }
	ours.do("MAIL FROM:<a@b.fr>", "553 5.7.1 Not yours")
	f.onMail = func(wire.Sender) error { return internal }
	ours.do("MAIL FROM:<a@b.fr>", "451 4.3.0")
}

package smtp

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/store/audit"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func plain(authzid, user, password string) string {
	return b64(authzid + "\x00" + user + "\x00" + password)
}

// TestLoginForms: each way a client writes its credentials opens the mailbox that the contract says.
func TestLoginForms(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		name, opened string
		say          []string // and 334 is expected after each but the last
	}{
		{"PLAIN", secretariat, []string{"AUTH PLAIN " + plain("", noemie, "ok")}},
		{"PLAIN in two steps", secretariat, []string{"auth plain", plain("", noemie, "ok")}},
		{"PLAIN with authorization identity", secretariat, []string{"AUTH PLAIN " + plain(secretariat, claire, "ok")}},
		{"mailbox*person", secretariat, []string{"AUTH PLAIN " + plain("", secretariat+"*"+claire, "ok")}},
		{"person/mailbox", secretariat, []string{"AUTH PLAIN " + plain("", claire+"/"+secretariat, "ok")}},
		{"own mailbox", claire, []string{"AUTH PLAIN " + plain("", claire, "ok")}},
		{"LOGIN", claire, []string{"AUTH LOGIN", b64(claire), b64("ok")}},
		{"LOGIN with the name at once", claire, []string{"AUTH LOGIN " + b64(claire), b64("ok")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.dial(t.Context(), Submission)
			c.do("EHLO x", "250-")
			for i, line := range tt.say {
				want := "334 "
				if i == len(tt.say)-1 {
					want = "235 2.7.0"
				}
				c.do(line, want)
			}
			infos := f.sessions.List()
			if len(infos) != 1 || infos[0].Mailbox.String() != tt.opened || infos[0].Protocol != "smtp" {
				t.Fatalf("sessions: %+v", infos)
			}
			c.do("MAIL FROM:<a@b.fr>", "250 ")
			c.do("QUIT", "221 ")
			c.closed()
			<-c.ended
			if n := f.sessions.Len(); n != 0 {
				t.Errorf("%d sessions are left in the table", n)
			}
			logins, ends := f.trace.of(audit.Login), f.trace.of(audit.SessionEnd)
			last, end := logins[len(logins)-1], ends[len(ends)-1]
			mechanism := strings.ToUpper(strings.Fields(tt.say[0])[1])
			if last.Mailbox.Address.String() != tt.opened || last.Request != "AUTH "+mechanism || last.Answer != "235 2.7.0" ||
				last.Protocol != "smtp" || last.Session != infos[0].ID || end.Session != last.Session || end.Person != last.Person {
				t.Errorf("trace: %+v, %+v", last, end)
			}
		})
	}
}

// TestLoginRefusals: who is refused is told the same, whatever the reason; the trace has the true one, the log a line that can be
// looked for, and neither a password.
func TestLoginRefusals(t *testing.T) {
	f := newFixture(t, nil)
	var clients []*client
	for _, tt := range []struct{ name, credentials, answer string }{
		{"wrong password", plain("", noemie, "secret-1"), "535 5.7.8 Authentication failed"},
		{"unknown account", plain("", "nobody"+domain, "ok"), "535 5.7.8 Authentication failed"},
		{"organisational account", plain("", secretariat, "ok"), "535 5.7.8 Authentication failed"},
		{"mailbox not delegated", plain("paul.bernard"+domain, noemie, "ok"), "535 5.7.8 Authentication failed"},
		{"not now", plain("", noemie, "later"), "454 4.7.0 Authentication is not possible at the moment, please try again"},
	} {
		c := f.dial(t.Context(), Submission)
		clients = append(clients, c)
		c.do("EHLO x", "250-")
		before := len(f.trace.of(audit.Refusal))
		if got := c.do("AUTH PLAIN "+tt.credentials, tt.answer[:3]); got != tt.answer {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.answer)
		}
		records := f.trace.of(audit.Refusal)
		if len(records) != before+1 {
			t.Fatalf("%s: %d records", tt.name, len(records)-before)
		}
		if r := records[before]; r.Reason == "" || r.Answer != tt.answer[:9] || r.Request != "AUTH PLAIN" {
			t.Errorf("%s: %+v", tt.name, r)
		}
		c.do("MAIL FROM:<a@b.fr>", "530 5.7.0")
	}
	for _, c := range clients {
		c.do("QUIT", "221 ")
		<-c.ended
	}
	if n := strings.Count(f.log.String(), `msg="login refused"`); n != 4 {
		t.Errorf("%d lines of refusal in the log:\n%s", n, f.log.String())
	}
	if strings.Contains(f.log.String(), "secret") || strings.Contains(f.log.String(), plain("", noemie, "secret-1")) {
		t.Errorf("the log holds a password:\n%s", f.log.String())
	}
}

// TestBrokenExchanges: what is no answer to a mechanism is a failure like another; three end the connection.
func TestBrokenExchanges(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		say  []string
		want string
	}{
		{[]string{"AUTH"}, "504 5.5.4"},
		{[]string{"AUTH CRAM-MD5"}, "504 5.5.4"},
		{[]string{"AUTH PLAIN ="}, "501 5.5.2"},
		{[]string{"AUTH PLAIN !!!"}, "501 5.5.2"},
		{[]string{"AUTH PLAIN " + b64("no NUL")}, "501 5.5.2"},
		{[]string{"AUTH PLAIN", "*"}, "501 5.7.0"},
		{[]string{"AUTH PLAIN", ""}, "501 5.5.2"},
		{[]string{"AUTH PLAIN", "AA"}, "501 5.5.2"},
		{[]string{"AUTH LOGIN", b64(claire), "*"}, "501 5.7.0"},
		{[]string{"AUTH LOGIN ="}, "501 5.5.2"},
		{[]string{"AUTH LOGIN", b64(claire), ""}, "501 5.5.2"},
	} {
		c := f.dial(t.Context(), Submission)
		c.do("EHLO x", "250-")
		for i, line := range tt.say {
			want := "334 "
			if i == len(tt.say)-1 {
				want = tt.want
			}
			c.do(line, want)
		}
		c.do("NOOP", "250 ")
	}
	c := f.dial(t.Context(), Submission)
	c.do("EHLO x", "250-")
	for range maxFailures {
		c.do("AUTH PLAIN =", "501 5.5.2")
	}
	c.expect("421 4.7.0")
	c.closed()
}

// TestNothingBeforeTLS: without TLS nobody logs in nor sends, unless the configuration says so.
func TestNothingBeforeTLS(t *testing.T) {
	server, trusting := newTLS(t)
	f := newFixture(t, func(s *Service) { s.InsecureLogin, s.TLS = false, server })
	c := f.dial(t.Context(), Submission)
	if ehlo := c.do("EHLO x", "250-"); strings.Contains(ehlo, "AUTH") || !strings.Contains(ehlo, "STARTTLS") {
		t.Errorf("EHLO: %s", ehlo)
	}
	c.do("AUTH PLAIN "+plain("", noemie, "ok"), "538 5.7.11")
	for _, line := range []string{"MAIL FROM:<a@b.fr>", "RCPT TO:<a@b.fr>", "DATA", "VRFY x"} {
		c.do(line, "530 5.7.0 STARTTLS")
	}
	c.do("NOOP", "250 ")
	c.do("RSET", "250 ")
	c.do("STARTTLS x", "501 5.5.4")
	c.startTLS(trusting)
	c.do("MAIL FROM:<a@b.fr>", "530 5.7.0 Authentication")
	c.do("AUTH PLAIN "+plain("", noemie, "ok"), "503 5.5.1") // what was said before TLS is forgotten
	if ehlo := c.do("EHLO x", "250-"); !strings.Contains(ehlo, "AUTH PLAIN LOGIN") || strings.Contains(ehlo, "STARTTLS") {
		t.Errorf("EHLO inside TLS: %s", ehlo)
	}
	c.do("STARTTLS", "503 5.5.1")
	c.do("AUTH PLAIN "+plain("", noemie, "ok"), "235 2.7.0")
	if ehlo := c.do("EHLO x", "250-"); strings.Contains(ehlo, "AUTH") {
		t.Errorf("EHLO after login: %s", ehlo)
	}
	c.begin()
	c.send("x\r\n.\r\n")
	c.expect("250 2.0.0 Queued")
}

// startTLS turns the client's side of TLS on.
func (c *client) startTLS(cfg *tls.Config) {
	c.t.Helper()
	c.send("STARTTLS\r\n")
	c.expect("220 2.0.0")
	<-c.handOver()
	conn := tls.Client(c.conn, cfg)
	if err := conn.HandshakeContext(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.conn = conn
	c.read()
}

// handOver stops the reading goroutine: the connection is to be read by TLS.
func (c *client) handOver() <-chan struct{} {
	stopped := make(chan struct{})
	c.conn.SetReadDeadline(time.Now())
	go func() {
		for range c.replies {
		}
		c.conn.SetReadDeadline(time.Time{})
		close(stopped)
	}()
	return stopped
}

// TestInjectionBeforeTLS: commands that somebody slipped in behind STARTTLS never run inside TLS.
func TestInjectionBeforeTLS(t *testing.T) {
	server, _ := newTLS(t)
	f := newFixture(t, func(s *Service) { s.TLS = server })
	for _, role := range roles {
		c := f.dial(t.Context(), role)
		c.send("STARTTLS\r\nRSET\r\n")
		c.expect("503 5.5.1", "421 4.7.0")
		c.closed()
	}
	f = newFixture(t, nil)
	f.dial(t.Context(), Inbound).do("STARTTLS", "502 5.5.1")
}

// TestImplicitTLS: a TLS connection is brought up here, and the handler sees the client's certificate.
func TestImplicitTLS(t *testing.T) {
	server, trusting := newTLS(t)
	f := newFixture(t, func(s *Service) { s.RequireTLS, s.TLS = true, server })
	for _, certified := range []bool{true, false} {
		var seen *Client
		service := f.server.opt.Services[Inbound]
		service.NewHandler = func(c *Client) Handler {
			seen = c
			return fakeHandler{f, c}
		}
		f.server.opt.Services[Inbound] = service
		cfg := trusting.Clone()
		if !certified {
			cfg.Certificates = nil
		}
		ours, theirs := pipe(t)
		c := f.client(tls.Client(ours, cfg))
		go func() {
			defer close(c.ended)
			f.server.Serve(t.Context(), tls.Server(theirs, server), Inbound)
		}()
		c.read()
		c.expect("220 ")
		c.do("EHLO x", "250-")
		c.begin()
		if seen.TLS == nil || seen.Verified() != certified || seen.Hello != "x" || seen.Role != Inbound || seen.Session == "" {
			t.Errorf("certified %t: client %+v", certified, seen)
		}
	}
	c := f.dial(t.Context(), Inbound)
	c.do("EHLO x", "250-")
	c.do("MAIL FROM:<a@b.fr>", "530 5.7.0")
}

// TestLoginIsTracedFirst: who cannot be traced is not let in.
func TestLoginIsTracedFirst(t *testing.T) {
	f := newFixture(t, nil)
	f.trace.err = errors.New("broken")
	c := f.dial(t.Context(), Submission)
	c.do("EHLO x", "250-")
	c.do("AUTH PLAIN "+plain("", noemie, "ok"), "451 4.3.0")
	c.do("MAIL FROM:<a@b.fr>", "530 5.7.0")
	if n := f.sessions.Len(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestWithdrawal: a session ends when its mailbox may no longer be opened, and when an administrator says so.
func TestWithdrawal(t *testing.T) {
	f := newFixture(t, nil)
	stays, goes := f.dial(t.Context(), Submission), f.dial(t.Context(), Submission)
	stays.do("EHLO x", "250-")
	stays.do("AUTH PLAIN "+plain("", "paul.bernard"+domain, "ok"), "235 ")
	goes.hello(Submission) // as the secretariat
	goes.do("MAIL FROM:<a@b.fr>", "250 ")
	f.load(noemie)
	if got := goes.expect("421 4.7.0"); got != "421 4.7.0 Access to the mailbox has been withdrawn" {
		t.Errorf("reply %q", got)
	}
	goes.closed()
	stays.do("NOOP", "250 ")
	infos := f.sessions.List()
	if len(infos) != 1 {
		t.Fatalf("sessions: %+v", infos)
	}
	f.sessions.End(infos[0].ID, "The password was changed")
	stays.expect("421 4.7.0 The password was changed")
	stays.closed()
}

// TestLoginTimeout: the time before login is one, however busy the client is.
func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		before := time.Now()
		c := f.dial(t.Context(), Submission)
		for range 4 {
			time.Sleep(time.Minute)
			c.do("NOOP", "250 ")
		}
		time.Sleep(time.Minute - time.Second)
		c.expect("421 4.4.2")
		c.closed()
		if took := time.Since(before); took != preLoginTimeout {
			t.Errorf("after %v", took)
		}
		c = f.dial(t.Context(), Submission)
		c.hello(Submission)
		for range 4 {
			time.Sleep(commandTimeout - time.Second)
			c.do("NOOP", "250 ")
		}
		time.Sleep(commandTimeout - time.Second)
		c.expect("421 4.4.2")
	})
}

// TestTrickledCommand: a command has its time as a whole.
func TestTrickledCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		c := f.dial(t.Context(), Inbound)
		c.do("NOOP", "250 ")
		before := time.Now()
		for range 4 {
			time.Sleep(time.Minute)
			c.send("N")
		}
		time.Sleep(time.Minute)
		c.expect("421 4.4.2")
		c.closed()
		if took := time.Since(before); took != commandTimeout {
			t.Errorf("after %v", took)
		}
	})
}

func TestHelloName(t *testing.T) {
	got := map[string]string{}
	for _, name := range []string{"mail.example.fr", "[192.0.2.1]", "[IPv6:2001:db8::1]", "PC_12", "poste médical", "a(b)", strings.Repeat("a", 256)} {
		got[name] = helloName(name)
	}
	want := map[string]string{
		"mail.example.fr": "mail.example.fr", "[192.0.2.1]": "[192.0.2.1]", "[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]", "PC_12": "PC_12",
		"poste médical": "unknown", "a(b)": "unknown", strings.Repeat("a", 256): "unknown",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

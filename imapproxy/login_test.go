package imapproxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/audit"
)

func plain(authzid, user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(authzid + "\x00" + user + "\x00" + password))
}

// TestLoginForms: each way a client writes its credentials opens the mailbox that the contract says.
func TestLoginForms(t *testing.T) {
	f := newFixture(t, nil)
	literal := func(s, plus string) string { return fmt.Sprintf("{%d%s}\r\n%s", len(s), plus, s) }
	for _, tt := range []struct{ name, command, opened string }{
		{"quoted", fmt.Sprintf("LOGIN %q %q", noemie, "ok"), secretariat},
		{"atoms", "LOGIN " + noemie + " ok", secretariat},
		{"non-synchronising literals", "LOGIN " + literal(noemie, "+") + " " + literal("ok", "+"), secretariat},
		{"another case", "login " + strings.ToUpper(noemie) + " ok", secretariat},
		{"MSSanté address", "LOGIN claire.durand@sapins.mssante.fr ok", claire},
		{"own mailbox by default", "LOGIN " + claire + " ok", claire},
		{"mailbox*person", fmt.Sprintf("LOGIN %q ok", secretariat+"*"+claire), secretariat},
		{"person/mailbox", "LOGIN " + claire + "/" + urgences + " ok", urgences},
		{"the mailbox by its MSSanté address", fmt.Sprintf("LOGIN %q ok", "secretariat@sapins.mssante.fr*"+claire), secretariat},
		{"PLAIN", "AUTHENTICATE PLAIN " + plain("", noemie, "ok"), secretariat},
		{"PLAIN with authorization identity", "AUTHENTICATE PLAIN " + plain(noemie, noemie, "ok"), secretariat},
		{"PLAIN for a mailbox", "AUTHENTICATE plain " + plain(urgences, claire, "ok"), urgences},
		{"PLAIN with an agreeing form", "AUTHENTICATE PLAIN " + plain(urgences, claire+"/"+urgences, "ok"), urgences},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			c := f.dial()
			got := c.ok(tt.command)
			if last := got[len(got)-1]; !strings.HasPrefix(last, "OK [CAPABILITY IMAP4rev1 ") {
				t.Errorf("answer %q", last)
			}
			root := c.ok("GETQUOTAROOT INBOX")
			if root[0] != "* QUOTAROOT INBOX "+tt.opened {
				t.Errorf("opened: %q, want %s", root[0], tt.opened)
			}
		})
	}
	f.t = t
	c := f.dial()
	c.send("a AUTHENTICATE PLAIN\r\n")
	c.until("+ ")
	c.send(plain("", noemie, "ok") + "\r\n")
	c.until("a OK")
	c = f.dial()
	c.send(fmt.Sprintf("\r\na LOGIN {%d}\r\n", len(noemie)))
	c.until("+ ")
	c.send(noemie + " {2}\r\n")
	c.until("+ ")
	c.send("ok\r\n")
	c.until("a OK")
}

// TestRefusals: who is refused is told the same, whatever the reason; the trace has the true one.
func TestRefusals(t *testing.T) {
	f := newFixture(t, nil)
	const want = "NO [AUTHENTICATIONFAILED] Authentication failed"
	for _, tt := range []struct{ name, user, authzid, password string }{
		{"unknown account", "nobody" + domain, "", "ok"},
		{"wrong password", noemie, "", "wrong"},
		{"organisational account", secretariat, "", "ok"},
		{"no delegation", "lea.petit" + domain, secretariat, "ok"},
		{"no delegation, star", urgences + "*" + noemie, "", "ok"},
		{"no delegation, slash", noemie + "/" + urgences, "", "ok"},
		{"unknown mailbox", noemie, "nothing" + domain, "ok"},
		{"disagreeing forms", claire + "/" + secretariat, urgences, "ok"},
		{"pre-registered", "marc.roux" + domain, "", "ok"},
		{"no address", "x", "", "ok"},
	} {
		c := f.dial()
		got := c.do("AUTHENTICATE PLAIN " + plain(tt.authzid, tt.user, tt.password))
		if got[len(got)-1] != want || len(got) != 1 {
			t.Errorf("%s: %q", tt.name, got)
		}
		if tt.authzid == "" {
			if got := c.do(fmt.Sprintf("LOGIN %q %s", tt.user, tt.password)); got[0] != want {
				t.Errorf("%s by LOGIN: %q", tt.name, got)
			}
		}
	}
	for _, r := range f.records(audit.Refusal) {
		if r.Reason == "" || r.Answer != "NO [AUTHENTICATIONFAILED]" {
			t.Errorf("record %+v", r)
		}
	}
	c := f.dial()
	for range maxFailures {
		c.no("LOGIN a@b.fr x", want)
	}
	if got := c.until("* BYE"); len(got) != 1 {
		t.Errorf("after %d failures: %q", maxFailures, got)
	}
}

// busyAuth is an authenticator that has no time.
type busyAuth struct{}

func (busyAuth) Mechanisms() []string {
	return []string{auth.MechanismPlain, auth.MechanismLogin}
}

func (busyAuth) Authenticate(context.Context, auth.Request) (auth.Result, error) {
	return auth.Result{}, &auth.Unavailable{Reason: policy.Reason{Text: "too many failures lately"}}
}

// TestTemporaryRefusal: what is not the client's fault is told as such, for clients forget a password that is refused; the trace
// has the reason.
func TestTemporaryRefusal(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Auth = busyAuth{} })
	f.dial().no("LOGIN "+noemie+" ok", "NO [UNAVAILABLE]")
	got := f.records(audit.Refusal)
	if len(got) != 1 || got[0].Reason != "too many failures lately" || got[0].Answer != "NO [UNAVAILABLE]" {
		t.Errorf("the trace: %+v", got)
	}
}

func TestBeforeLogin(t *testing.T) {
	f := newFixture(t, nil)
	c := f.dial()
	if got := c.ok(`ID ("name" "x" "version" NIL)`); got[0] != `* ID ("name" "balorg")` {
		t.Errorf("ID: %q", got)
	}
	c.ok("NOOP")
	for _, command := range []string{
		"SELECT INBOX", `LIST "" *`, "IDLE", "X", "FETCH 1 BODY[]", "AUTHENTICATE PLAIN !", "LOGIN a", "STARTTLS",
		"AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("no zero")),
	} {
		c.no(command, "BAD")
	}
	c.no("AUTHENTICATE GSSAPI", "NO")
	// An APPEND that nobody asked for: its octets are no commands.
	c.no("APPEND INBOX {23+}\r\nx LOGIN a@b.fr x\r\ny X\r\n", "BAD")
	c.ok("NOOP")
	c.send("c LOGOUT\r\n")
	c.until("* BYE")
	c.until("c OK")
}

func TestNothingButTLSFirst(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.InsecureLogin = false
		o.TLS = testTLS(t)
	})
	c := f.dial()
	caps := c.ok("CAPABILITY")[0]
	if !strings.Contains(caps, " STARTTLS") || !strings.Contains(caps, " LOGINDISABLED") || strings.Contains(caps, "AUTH=") {
		t.Errorf("before TLS: %s", caps)
	}
	c.no("LOGIN "+noemie+" ok", "NO [PRIVACYREQUIRED]")
	c.no("AUTHENTICATE PLAIN "+plain("", noemie, "ok"), "NO [PRIVACYREQUIRED]")

	// What is sent behind STARTTLS in the clear must not run inside TLS.
	c.send("a STARTTLS\r\nb LOGIN " + noemie + " ok\r\n")
	c.until("a BAD")
	c.until("* BYE")

	secure := f.dialTLS()
	caps = secure.ok("CAPABILITY")[0]
	if strings.Contains(caps, "STARTTLS") || strings.Contains(caps, "LOGINDISABLED") || !strings.Contains(caps, " AUTH=PLAIN") {
		t.Errorf("inside TLS: %s", caps)
	}
	secure.no("STARTTLS", "BAD")
	secure.ok("LOGIN " + noemie + " ok")
	secure.ok("SELECT INBOX")
}

// dialTLS connects and goes through STARTTLS.
func (f *fixture) dialTLS() *client {
	f.t.Helper()
	c := f.dialRaw()
	line := make([]byte, 1)
	readLine := func() string {
		var b strings.Builder
		for {
			if _, err := c.conn.Read(line); err != nil {
				f.t.Fatal(err)
			}
			if line[0] == '\n' {
				return b.String()
			}
			b.WriteByte(line[0])
		}
	}
	readLine()
	c.send("s STARTTLS\r\n")
	if got := readLine(); !strings.HasPrefix(got, "s OK") {
		f.t.Fatalf("STARTTLS: %q", got)
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn = conn
	c.read(conn)
	return c
}

func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

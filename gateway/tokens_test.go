package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io/fs"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/store/audit"
)

const imagerie = "imagerie-auto"

// newToken makes a device token.
func newToken(t *testing.T, g *gatewaytest.Gateway, args gateway.TokenArgs) gateway.TokenAdded {
	t.Helper()
	var added gateway.TokenAdded
	err := g.Call(gateway.OpTokenAdd, args, func(v json.RawMessage) {
		if err := json.Unmarshal(v, &added); err != nil {
			t.Error(err)
		}
	})
	if err != nil || added.Secret == "" {
		t.Fatalf("making a token: %v", err)
	}
	return added
}

// tokenIMAP logs in over IMAP.
func tokenIMAP(t *testing.T, g *gatewaytest.Gateway, user, secret string) (*imapclient.Client, error) {
	t.Helper()
	c := dial(t, g)
	return c, c.Login(user, secret).Wait()
}

// tokenSMTP logs in over submission.
func tokenSMTP(t *testing.T, g *gatewaytest.Gateway, user, secret string) (*smtp.Client, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Listeners().Submissions[0], &tls.Config{RootCAs: g.Roots(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Auth(smtp.PlainAuth("", user, secret, "localhost"))
}

// TestTokenScopes: a token opens the protocols it is for, and no other.
func TestTokenScopes(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	user := string(address(claire))
	for _, scope := range []string{"imap", "smtp", "ldap"} {
		secret := newToken(t, g, gateway.TokenArgs{Person: address(claire), Name: scope, Scopes: []string{scope}}).Secret
		_, imapErr := tokenIMAP(t, g, user, secret)
		_, smtpErr := tokenSMTP(t, g, user, secret)
		ldapErr := dialLDAP(t, g).Bind(user, secret)
		for protocol, err := range map[string]error{"imap": imapErr, "smtp": smtpErr, "ldap": ldapErr} {
			if (err == nil) != (protocol == scope) {
				t.Errorf("a token for %s over %s: %v", scope, protocol, err)
			}
		}
	}
}

// TestTokenOfApp: software logs in with a token, and with nothing else.
func TestTokenOfApp(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	secret := newToken(t, g, gateway.TokenArgs{Person: address(imagerie), Name: "RIS"}).Secret
	if _, err := tokenIMAP(t, g, string(address(imagerie)), strings.ToUpper(secret)); err != nil {
		t.Errorf("with its token: %v", err)
	}
	if _, err := tokenIMAP(t, g, string(address(imagerie)), "demo-imagerie-auto"); err == nil {
		t.Error("with a password")
	}
	if err := g.Call(gateway.OpTokenAdd, gateway.TokenArgs{Person: address(imagerie), Name: "x", Mailbox: address(secretariat)}, nil); err == nil {
		t.Error("a token of software opens a mailbox of others")
	}
}

// TestTokenOfOneMailbox: a scanner sends as the service it has a token for, and knows no other mailbox, its owner's own included.
func TestTokenOfOneMailbox(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	user, service := string(address(claire)), string(address(secretariat))
	secret := newToken(t, g, gateway.TokenArgs{Person: address(claire), Name: "scanner", Mailbox: address(secretariat)}).Secret

	c, err := tokenSMTP(t, g, user, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{user, string(address(urgences)), "claire.durand@sapins.mssante.fr"} {
		if err := c.Mail(other); err == nil || !strings.HasPrefix(err.Error(), "553 ") {
			t.Errorf("sends as %s: %v", other, err)
		}
		c.Reset()
	}
	for _, step := range []error{c.Mail(service), c.Rcpt(string(address(noemie)))} {
		if step != nil {
			t.Fatal(step)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("From: <" + service + ">\r\nSubject: numérisation\r\n\r\nx\r\n"))
	if err := w.Close(); err != nil {
		t.Fatalf("sends as the service: %v", err)
	}

	box, err := tokenIMAP(t, g, user, secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := opened(g, claire); got != address(secretariat) {
		t.Errorf("opens %s", got)
	}
	listed, err := box.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listed {
		if strings.HasPrefix(l.Mailbox, "Comptes") {
			t.Errorf("it lists %s", l.Mailbox)
		}
	}
	for _, other := range []string{user, string(address(urgences))} {
		if _, err := box.Select("Comptes/"+other+"/INBOX", nil).Wait(); err == nil {
			t.Errorf("it opens %s", other)
		}
	}
	if _, err := tokenIMAP(t, g, user+"/"+user, secret); err == nil {
		t.Error("it logs in to its owner's mailbox")
	}
	if ldap := dialLDAP(t, g); ldap.Bind(user+"/"+user, secret) == nil || dialLDAP(t, g).Bind(user, secret) != nil {
		t.Error("LDAP opens another mailbox, or not its own")
	}
	records := trace(t, g, gateway.AuditArgs{Action: string(audit.Login)})
	if len(records) == 0 || !slices.ContainsFunc(records, func(r audit.Record) bool { return r.Means == `token "scanner"` && r.Protocol == "smtp" }) {
		t.Errorf("the trace does not tell of the device: %+v", records)
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(g.Dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret[4:])) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("looked into %d files of the state: %v", files, err)
	}
	if strings.Contains(g.Log.String(), secret[4:]) {
		t.Error("the secret is in the log")
	}
}

// TestRevokedToken: its sessions end within a second, those of other devices go on.
func TestRevokedToken(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	user := string(address(lea))
	lost := newToken(t, g, gateway.TokenArgs{Person: address(lea), Name: "lost"})
	kept := newToken(t, g, gateway.TokenArgs{Person: address(lea), Name: "kept"})
	for _, tok := range []gateway.TokenAdded{lost, kept} {
		if _, err := tokenIMAP(t, g, user, tok.Secret); err != nil {
			t.Fatal(err)
		}
		if _, err := tokenSMTP(t, g, user, tok.Secret); err != nil {
			t.Fatal(err)
		}
		if err := dialLDAP(t, g).Bind(user, tok.Secret); err != nil {
			t.Fatal(err)
		}
	}
	devices := func() (names []string) {
		for _, s := range g.Sessions() {
			names = append(names, s.Device)
		}
		slices.Sort(names)
		return names
	}
	if got := devices(); !slices.Equal(got, []string{"kept", "kept", "kept", "lost", "lost", "lost"}) {
		t.Fatalf("sessions of %q", got)
	}
	began := time.Now()
	if err := g.Call(gateway.OpTokenRevoke, gateway.TokenRevokeArgs{Person: address(lea), Token: "lost"}, nil); err != nil {
		t.Fatal(err)
	}
	g.Eventually("the end of the lost device's sessions", func() bool { return slices.Equal(devices(), []string{"kept", "kept", "kept"}) })
	if took := time.Since(began); took > time.Second {
		t.Errorf("they ended after %v", took)
	}
	if _, err := tokenIMAP(t, g, user, lost.Secret); err == nil {
		t.Error("a revoked token logs in")
	}
	if err := g.Call(gateway.OpTokenRevoke, gateway.TokenRevokeArgs{Token: lost.ID}, nil); err == nil {
		t.Error("revoked twice")
	}
}

// TestPasswordChangeEndsSessions: those of the former password end, those of a device go on.
func TestPasswordChangeEndsSessions(t *testing.T) {
	g := gatewaytest.Start(t, nil, lea)
	login(t, g, lea)
	if _, err := tokenIMAP(t, g, string(address(lea)), newToken(t, g, gateway.TokenArgs{Person: address(lea), Name: "phone"}).Secret); err != nil {
		t.Fatal(err)
	}
	g.SetPassword(address(lea), "quite another password")
	g.Eventually("the end of the session with the former password", func() bool {
		all := g.Sessions()
		return len(all) == 1 && all[0].Device == "phone"
	})
}

package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/smtp"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/go-ldap/ldap/v3"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/store/audit"
)

// authority issues client certificates.
type authority struct {
	t      *testing.T
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "AC Sapins"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key, 1}
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// issue makes a certificate, changed as the test wants it.
func (a *authority) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	a.serial++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// list is the authority's list of revoked certificates.
func (a *authority) list(until time.Time, revoked ...tls.Certificate) string {
	a.t.Helper()
	a.serial++
	list := &x509.RevocationList{Number: big.NewInt(a.serial), ThisUpdate: until.Add(-time.Hour), NextUpdate: until}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func hold(address string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.EmailAddresses = []string{address} }
}

// certified runs a gateway on which an authority's certificates count.
func certified(t *testing.T, a *authority, list string) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, map[string]string{
		"balorg.yaml": gatewaytest.Balorg + "authentication:\n  certificates: {ca: clients.pem, crl: clients.crl, subjects: {\"CN=ris\": imagerie-auto@clinique-des-sapins.fr}}\n",
		"clients.pem": a.pem(), "clients.crl": list,
	}, claire)
}

func withCertificate(g *gatewaytest.Gateway, c tls.Certificate) *tls.Config {
	return &tls.Config{
		RootCAs: g.Roots(), ServerName: "localhost",
		// Whatever the server asks for: the test decides what is shown.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil },
	}
}

// external logs in over IMAP with a certificate.
func external(t *testing.T, g *gatewaytest.Gateway, c tls.Certificate, mailbox string) (*imapclient.Client, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Listeners().IMAPS[0], withCertificate(g, c))
	if err != nil {
		t.Fatal(err)
	}
	client := imapclient.New(conn, nil)
	t.Cleanup(func() { client.Close() })
	return client, client.Authenticate(sasl.NewExternalClient(mailbox))
}

func TestCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	hers := string(address(claire))
	revoked := a.issue("x", hold(hers))
	g := certified(t, a, other.list(time.Now().Add(time.Hour))+a.list(time.Now().Add(time.Hour), revoked))
	for _, tt := range []struct {
		name    string
		cert    tls.Certificate
		mailbox string
		opens   string
		reason  string
	}{
		{"by the address in it", a.issue("x", hold(hers)), "", claire, ""},
		{"by her other address, for a mailbox", a.issue("x", hold("claire.durand@sapins.mssante.fr")), string(address(secretariat)), secretariat, ""},
		{"software, by its subject", a.issue("ris", func(*x509.Certificate) {}), "", imagerie, ""},
		{"software, for what is not its own", a.issue("ris", func(*x509.Certificate) {}), string(address(secretariat)), "", "no delegation"},
		{"revoked", revoked, "", "", "revoked"},
		{"of another authority", other.issue("ris", func(*x509.Certificate) {}), "", "", "refused"},
		{"expired", a.issue("x", func(c *x509.Certificate) { hold(hers)(c); c.NotAfter = time.Now().Add(-time.Minute) }), "", "", "refused"},
		{"of a server", a.issue("x", func(c *x509.Certificate) {
			hold(hers)(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "", "", "refused"},
		{"of nobody", a.issue("x", func(*x509.Certificate) {}), "", "", "nothing says whose"},
		{"with two addresses", a.issue("x", func(c *x509.Certificate) { c.EmailAddresses = []string{hers, string(address(lea))} }), "", "", "nothing says whose"},
		{"of an organisation", a.issue("x", hold(string(address(secretariat)))), "", "", "no account that logs in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := external(t, g, tt.cert, tt.mailbox)
			var refusal *imap.Error
			switch {
			case tt.opens == "":
				last := trace(t, g, gateway.AuditArgs{Action: string(audit.Refusal)})
				if !errors.As(err, &refusal) || refusal.Code != "AUTHENTICATIONFAILED" || !strings.Contains(last[len(last)-1].Reason, tt.reason) {
					t.Errorf("answered %v, traced %q", err, last[len(last)-1].Reason)
				}
				if tt.name == "of another authority" { // it is asked for, and no hindrance
					if err := c.Login(hers, gatewaytest.Password(claire)).Wait(); err != nil {
						t.Errorf("with a password: %v", err)
					}
				}
			case err != nil:
				t.Error(err)
			default:
				all := g.Sessions()
				if len(all) != 1 || all[0].Mailbox != address(tt.opens) || all[0].Method != "certificate" {
					t.Errorf("sessions %+v", all)
				}
			}
			c.Close()
			g.Eventually("the session's end", func() bool { return len(g.Sessions()) == 0 })
		})
	}
	// Nobody is offered what they cannot use.
	if caps, err := dial(t, g).Capability().Wait(); err != nil || caps.Has(imap.AuthCap("EXTERNAL")) {
		t.Errorf("without a certificate: %v, %v", caps, err)
	}
}

// TestCertificateLists: a list that is renewed holds at once, and one that has run out says nothing about anybody.
func TestCertificateLists(t *testing.T) {
	a := newAuthority(t)
	hers := a.issue("x", hold(string(address(claire))))
	g := certified(t, a, a.list(time.Now().Add(time.Hour)))
	answered := func() string {
		_, err := external(t, g, hers, "")
		if refusal, ok := errors.AsType[*imap.Error](err); ok {
			return string(refusal.Code)
		}
		if err != nil {
			return err.Error()
		}
		return "OK"
	}
	if got := answered(); got != "OK" {
		t.Errorf("at first: %s", got)
	}
	for _, step := range []struct{ name, list, want string }{
		{"revoked", a.list(time.Now().Add(time.Hour), hers), "AUTHENTICATIONFAILED"},
		{"run out", a.list(time.Now().Add(-time.Second)), "UNAVAILABLE"},
		{"another authority's", newAuthority(t).list(time.Now().Add(2 * time.Hour)), "UNAVAILABLE"},
		{"damaged", "-----BEGIN nothing", "UNAVAILABLE"},
		{"renewed", a.list(time.Now().Add(3 * time.Hour)), "OK"},
	} {
		g.Write("clients.crl", step.list)
		if got := answered(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

// TestCertificateOverSMTPAndLDAP: EXTERNAL in the other protocols.
func TestCertificateOverSMTPAndLDAP(t *testing.T) {
	a := newAuthority(t)
	ris := a.issue("ris", func(*x509.Certificate) {})
	g := certified(t, a, a.list(time.Now().Add(time.Hour)))
	conn, err := tls.Dial("tcp", g.Listeners().Submissions[0], withCertificate(g, ris))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if _, mechanisms := c.Extension("AUTH"); !strings.Contains(mechanisms, "EXTERNAL") {
		t.Errorf("offered %q", mechanisms)
	}
	if err := c.Auth(externalSMTP{}); err != nil {
		t.Errorf("SMTP: %v", err)
	}
	if err := c.Mail(string(address(imagerie))); err != nil {
		t.Errorf("sending as itself: %v", err)
	}
	l, err := ldap.DialURL("ldaps://"+g.Listeners().LDAPS[0], ldap.DialWithTLSConfig(withCertificate(g, ris)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.ExternalBind(); err != nil {
		t.Errorf("LDAP: %v", err)
	}
	got := smtpDialogue(t, g, "EHLO x", "AUTH EXTERNAL =")
	if strings.Contains(got[1], "EXTERNAL") || !strings.HasPrefix(got[2], "504 ") {
		t.Errorf("without a certificate: %q", got)
	}
	if err := dialLDAP(t, g).ExternalBind(); err == nil {
		t.Error("LDAP without a certificate binds")
	}
}

// externalSMTP is the mechanism's client, which names nobody.
type externalSMTP struct{}

func (externalSMTP) Start(*smtp.ServerInfo) (string, []byte, error) { return "EXTERNAL", nil, nil }

func (externalSMTP) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil // net/smtp takes nil for the end
	}
	return []byte{}, nil
}

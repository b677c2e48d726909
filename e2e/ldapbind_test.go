package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// siteDirectory is an OpenLDAP server as a site has it: people with passwords of their own, which nobody may read.
func siteDirectory(t *testing.T) *origin {
	t.Helper()
	o := newOrigin(t)
	ldif := "dn: dc=site,dc=fr\nobjectClass: dcObject\nobjectClass: organization\ndc: site\no: site\n\n"
	for _, p := range []struct{ uid, mail, password string }{
		{"claire.durand", "claire.durand@clinique-des-sapins.fr", "site-claire"},
		{"lea.petit", "lea.petit@clinique-des-sapins.fr", "site-lea"},
		{"secretariat", "secretariat@clinique-des-sapins.fr", "site-secretariat"},
		{"nobody", "nobody@clinique-des-sapins.fr", "site-nobody"},
		{"twin1", "paul.bernard@clinique-des-sapins.fr", "site-paul"}, // one address, two people
		{"twin2", "paul.bernard@clinique-des-sapins.fr", "site-paul"},
		{"balorg", "balorg@site.fr", "site-balorg"},
	} {
		ldif += fmt.Sprintf("dn: uid=%s,dc=site,dc=fr\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nmail: %s\nuserPassword: %s\n\n", p.uid, p.mail, p.password)
	}
	o.write("entries.ldif", ldif)
	data := filepath.Join(o.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	o.write("slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix dc=site,dc=fr
directory %[2]s
access to attrs=userPassword by * auth
access to * by users read
`, o.dir, data))
	if out, err := exec.Command("slapadd", "-q", "-f", filepath.Join(o.dir, "slapd.conf"), "-l", filepath.Join(o.dir, "entries.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, tail(string(out)))
	}
	o.address = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return o
}

// serveDirectory starts the server on one scheme.
func (o *origin) serveDirectory(scheme string) {
	o.t.Helper()
	o.run("slapd", "-d", "0", "-f", filepath.Join(o.dir, "slapd.conf"), "-h", scheme+"://"+o.address)
}

// logInAs tries a password over IMAP.
func (d *daemon) logInAs(user, password string) error {
	d.t.Helper()
	c, err := imapclient.DialTLS(d.imaps(), &imapclient.Options{TLSConfig: d.tls()})
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	return c.Login(user, password).Wait()
}

// finding is what doctor says of one thing.
type finding struct{ Level, Check, What, Do string }

func (d *daemon) finding(check string) (f finding) {
	d.t.Helper()
	out, _ := exec.Command(binary, "doctor", "--json", "--config", d.config()).Output() // it may end with 1 for other reasons
	for line := range strings.Lines(string(out)) {
		var one finding
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			d.t.Fatalf("doctor says %q: %v", line, err)
		}
		if one.Check == check {
			f = one
		}
	}
	return f
}

// TestSiteDirectory: passwords of a site's OpenLDAP log in, by each way of finding the name to bind with, beside those that balorg keeps.
func TestSiteDirectory(t *testing.T) {
	const at = "@clinique-des-sapins.fr"
	for _, tt := range []struct{ name, scheme, how string }{
		{"by name over TLS", "ldaps", `bind: "uid={local},dc=site,dc=fr"`},
		{"by name with StartTLS", "ldap", `bind: "uid={local},dc=site,dc=fr"`},
		{"by search", "ldaps", `base: "dc=site,dc=fr", filter: "(mail={address})", search_as: "uid=balorg,dc=site,dc=fr", password_file: directory-password`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := siteDirectory(t)
			o.serveDirectory(tt.scheme)
			d := startDemo(t)
			d.stop()
			d.write("directory-password", "site-balorg\n")
			d.edit("balorg.yaml", "language: fr", fmt.Sprintf("language: fr\nauthentication:\n  ldap: {url: %q, ca: %q, %s}", tt.scheme+"://"+o.address, o.ca, tt.how))
			d.serve()
			for _, try := range []struct {
				what, user, password string
				ok                   bool
			}{
				{"the directory's", "claire.durand" + at, "site-claire", true},
				{"by her other address", "claire.durand@sapins.mssante.fr", "site-claire", true},
				{"balorg's", "claire.durand" + at, "demo-claire.durand", true},
				{"another's", "claire.durand" + at, "site-lea", false},
				{"wrong", "lea.petit" + at, "site-leA", false},
				{"of an organisation", "secretariat" + at, "site-secretariat", false},
				{"of nobody here", "nobody" + at, "site-nobody", false},
				{"of two", "paul.bernard" + at, "site-paul", false},
				{"not in the directory", "noemie.martin" + at, "site-noemie", false},
				{"none", "lea.petit" + at, "", false},
				{"balorg's, of one who is not in the directory", "noemie.martin" + at, "demo-noemie.martin", true},
			} {
				err := d.logInAs(try.user, try.password)
				var refusal *imap.Error
				if (err == nil) != try.ok || (!try.ok && (!errors.As(err, &refusal) || refusal.Code != "AUTHENTICATIONFAILED")) {
					t.Errorf("%s: %v", try.what, err)
				}
			}
			if f := d.finding("directory"); f.Level != "ok" || !strings.Contains(f.What, "speaks TLS with a certificate that is trusted") {
				t.Errorf("doctor: %+v", f)
			}
			if strings.Contains(tt.how, "search_as") {
				d.write("directory-password", "wrong\n")
				if f := d.finding("directory"); f.Level != "broken" || !strings.Contains(f.What, "binding to the directory to look people up") || f.Do == "" {
					t.Errorf("doctor, with a wrong password: %+v", f)
				}
			}
			// A directory that is gone is a passing fault, and no fault for those whose password is balorg's.
			if err := o.process.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			d.eventually(startTimeout, "the directory's end", func() error {
				var refusal *imap.Error
				if err := d.logInAs("lea.petit"+at, "site-lea"); !errors.As(err, &refusal) || refusal.Code != "UNAVAILABLE" {
					return fmt.Errorf("answered %w", err)
				}
				return nil
			})
			if f := d.finding("directory"); f.Level != "broken" || f.Do == "" {
				t.Errorf("doctor, without the directory: %+v", f)
			}
			if err := d.logInAs("noemie.martin"+at, "demo-noemie.martin"); err != nil {
				t.Errorf("balorg's password without the directory: %v", err)
			}
		})
	}
}

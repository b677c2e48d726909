package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cyrusConfig is a Cyrus of its own: its databases, sockets, locks and mail are below one folder. The gateway is one of its
// proxyservers: it logs in with its own password as whoever it names.
const cyrusConfig = `
configdirectory: %[1]s/conf
partition-default: %[1]s/spool
defaultpartition: default
servername: cyrus.test
virtdomains: userid
defaultdomain: cyrus.test
admins: admin
proxyservers: balorg
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
sasl_sasldb_path: %[1]s/sasldb2
tls_server_cert: %[1]s/cert.pem
tls_server_key: %[1]s/key.pem
imapidlepoll: 1
`

const cyrusMaster = `
START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C %[1]s/imapd.conf -r"
}
SERVICES {
  imaps cmd="%[1]s/imapd -C %[1]s/imapd.conf -s" listen="127.0.0.1:%[2]d" prefork=0 maxchild=100
}
EVENTS {
}
`

// How a Cyrus names folders: "INBOX.Sent", and "user.urgences" for its admin; or "Sent", and "user/urgences".
const (
	cyrusDots    = "altnamespace: no\nunixhierarchysep: no\n"
	cyrusSlashes = "altnamespace: yes\nunixhierarchysep: yes\n"
)

// adminPassword is that of Cyrus's admin.
const adminPassword = "admin-password"

// startCyrus runs a server with a way to name folders, and makes the mailboxes of local parts in it.
func startCyrus(t *testing.T, namespaces string, mailboxes ...string) *origin {
	t.Helper()
	o := newOrigin(t)
	port := freePort(t)
	for _, d := range []string{"spool", "conf", "conf/db", "conf/proc", "conf/socket", "conf/log", "conf/msg", "conf/lock"} {
		if err := os.MkdirAll(filepath.Join(o.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o.write("imapd.conf", fmt.Sprintf(cyrusConfig, o.dir)+namespaces)
	o.write("cyrus.conf", fmt.Sprintf(cyrusMaster, o.dir, port))
	for name, password := range map[string]string{gatewayUser: gatewayPassword, "admin": adminPassword} {
		cmd := exec.Command("saslpasswd2", "-p", "-c", "-f", filepath.Join(o.dir, "sasldb2"), "-u", "cyrus.test", name)
		cmd.Stdin = strings.NewReader(password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("saslpasswd2: %v: see peers.sh\n%s", err, out)
		}
	}
	o.copyCyrus()
	o.give("cyrus")
	o.address = fmt.Sprintf("127.0.0.1:%d", port)
	o.run("cyrmaster", "-D", "-C", filepath.Join(o.dir, "imapd.conf"), "-M", filepath.Join(o.dir, "cyrus.conf"), "-p", filepath.Join(o.dir, "conf/pid"))

	separator := "."
	if namespaces == cyrusSlashes {
		separator = "/"
	}
	admin := o.direct("", "admin", adminPassword)
	for _, local := range mailboxes {
		admin.ok("CREATE %q", "user"+separator+address(local))
	}
	admin.ok("LOGOUT")
	return o
}

// cyrusProgram is where peers.sh unpacks what Debian would not install beside Dovecot.
const cyrusProgram = "../.tools/cyrus-imapd/usr/lib/cyrus/bin/imapd"

// copyCyrus copies the program to where Cyrus's user may read it.
func (o *origin) copyCyrus() {
	o.t.Helper()
	program, err := os.ReadFile(cyrusProgram)
	if err != nil {
		o.t.Fatalf("%v: see peers.sh", err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "imapd"), program, 0o755); err != nil {
		o.t.Fatal(err)
	}
}

// give makes a user of the system the owner of the server's folder.
func (o *origin) give(name string) {
	o.t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		o.t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		o.t.Fatal(err)
	}
	err = filepath.WalkDir(o.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, -1)
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// direct is a session with the server itself, without the gateway.
func (o *origin) direct(authzid, authcid, password string) *client {
	o.t.Helper()
	ca, err := os.ReadFile(o.ca)
	if err != nil {
		o.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	conn, err := tls.Dial("tcp", o.address, &tls.Config{RootCAs: roots})
	if err != nil {
		o.t.Fatal(err)
	}
	c := greeted(o.t, conn)
	c.ok("AUTHENTICATE PLAIN %s", plain(authzid, authcid, password))
	return c
}

// as is a session with the server itself as a mailbox.
func (o *origin) as(local string) *client {
	o.t.Helper()
	return o.direct(address(local), gatewayUser, gatewayPassword)
}

// TestCyrus: mailboxes of a Cyrus that the gateway may act for, in both ways it names folders, beside embedded ones.
func TestCyrus(t *testing.T) {
	for name, namespaces := range map[string]string{"dots": cyrusDots, "slashes": cyrusSlashes} {
		t.Run(name, func(t *testing.T) {
			o := startCyrus(t, namespaces, urgences, secretariat)
			d := withStores(t, map[string]string{urgences: "cyrus", secretariat: "cyrus"}, func(d *daemon) string {
				return o.mailstore("cyrus", d.withCredentials("authzid"))
			})
			foldersOfCyrus(t, d)
			messagesOfCyrus(t, d, o)
		})
	}
}

func foldersOfCyrus(t *testing.T, d *daemon) {
	t.Helper()
	c := login(t, d, claire)
	c.ok("CREATE %q", shared(urgences, "Dossiers/2026"))
	c.ok("CREATE %q", shared(urgences, "Dossiers/R&AOk-gions"))
	c.ok("RENAME %q %q", shared(urgences, "Dossiers/2026"), shared(urgences, "Archives"))
	list := c.ok(`LIST "" "*"`).String()
	for _, want := range []string{shared(urgences, "INBOX"), shared(urgences, "Archives"), shared(urgences, "Dossiers/R&AOk-gions"), shared(secretariat, "INBOX")} {
		if !strings.Contains(list, want+"\n") {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	for _, leak := range []string{"INBOX.", "user.", "user/", "Other Users", "Shared Folders", `"."`, "cyrus.test", "MAILBOXID"} {
		if strings.Contains(list, leak) {
			t.Errorf("the server's %s shows in\n%s", leak, list)
		}
	}
	if a := c.do("SELECT %q", "user."+address(secretariat)); a.status != "NO" {
		t.Errorf("a mailbox by the server's name for it: %v", a)
	}
	if rights := c.ok("MYRIGHTS %q", shared(urgences, "Archives")).String(); !strings.Contains(rights, "lrswitekxp") {
		t.Errorf("MYRIGHTS: %s", rights)
	}
	c.ok("GETQUOTAROOT %q", shared(urgences, "Archives"))
	c.ok("DELETE %q", shared(urgences, "Dossiers/R&AOk-gions"))
}

func messagesOfCyrus(t *testing.T, d *daemon, o *origin) {
	t.Helper()
	c := login(t, d, claire)
	box := shared(urgences, "Archives")
	if a := c.append(box, `(\Flagged)`, message("c1@test", "premier", 40_000)); !strings.HasPrefix(a.text, "[APPENDUID ") {
		t.Errorf("APPEND: %v", a)
	}
	if got := c.ok("STATUS %q (MESSAGES UIDNEXT)", box).String(); !strings.Contains(got, box+" (MESSAGES 1 UIDNEXT 2)") {
		t.Errorf("STATUS: %s", got)
	}
	c.ok("SELECT %q", box)
	if got := c.body("1"); got != message("c1@test", "premier", 40_000) {
		t.Errorf("the message comes back as %d octets", len(got))
	}
	c.ok(`UID STORE 1 +FLAGS.SILENT (\Answered $Suivi)`)
	// Within the account, to another of the server, and to the embedded store.
	c.ok("UID COPY 1 %q", shared(urgences, "INBOX"))
	c.ok("UID COPY 1 %q", shared(secretariat, "INBOX"))
	c.ok("UID MOVE 1 INBOX")
	for _, folder := range []string{shared(urgences, "INBOX"), shared(secretariat, "INBOX"), "INBOX"} {
		c.ok("SELECT %q", folder)
		uids := c.uids(`SUBJECT "premier" FLAGGED ANSWERED KEYWORD $Suivi`)
		if len(uids) != 1 {
			t.Errorf("%s has %q of it", folder, uids)
			continue
		}
		if got := c.body(uids[0]); got != message("c1@test", "premier", 40_000) {
			t.Errorf("%s has %d octets of it", folder, len(got))
		}
	}
	direct := o.as(secretariat)
	direct.ok("SELECT INBOX")
	if got := direct.uids("SUBJECT premier"); len(got) != 1 {
		t.Errorf("Cyrus itself finds %q in the secretariat's mailbox", got)
	}
	if out, err := d.balorg("audit list", "--mailbox", address(urgences)); err != nil || !strings.Contains(out, "uids=1") {
		t.Errorf("trace: %v\n%s", err, out)
	}
}

package e2e

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The gateway's own credentials at the peers' servers.
const (
	gatewayUser     = "balorg"
	gatewayPassword = "gateway-password"
)

// origin is an IMAP server that mailboxes live in.
type origin struct {
	t       *testing.T
	dir     string
	address string // TLS from the first octet
	ca      string
	process *exec.Cmd
}

// dovecotConfig is a Dovecot of its own: nothing of the machine's is read or written. Mailboxes come into being when they are opened; the
// gateway opens them as master user, by authorization identity, or with their own passwords.
const dovecotConfig = `
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
first_valid_uid = 1
mail_uid = nobody
mail_gid = nogroup
auth_master_user_separator = *
auth_username_chars =
default_vsz_limit = 1G
mail_max_userip_connections = 50
passdb {
  driver = passwd-file
  args = %[1]s/masters
  master = yes
}
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = home=%[1]s/home/%%u
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = %[2]d
    ssl = yes
  }
}
`

// dovecotNamespace is how a Dovecot without further configuration names folders.
const dovecotNamespace = `
mail_location = maildir:~/Maildir
namespace inbox {
  inbox = yes
  mailbox Sent {
    special_use = \Sent
    auto = create
  }
}
`

// startDovecot runs a server with a name space configuration.
func startDovecot(t *testing.T, namespaces string, users map[string]string) *origin {
	t.Helper()
	o := newOrigin(t)
	var file strings.Builder
	for address, secret := range users {
		fmt.Fprintf(&file, "%s:{PLAIN}%s\n", address, secret)
	}
	port := freePort(t)
	o.write("masters", gatewayUser+":{PLAIN}"+gatewayPassword+"\n")
	o.write("users", file.String())
	o.write("dovecot.conf", fmt.Sprintf(dovecotConfig, o.dir, port)+namespaces)
	o.address = fmt.Sprintf("127.0.0.1:%d", port)
	o.run("dovecot", "-F", "-c", filepath.Join(o.dir, "dovecot.conf"))
	return o
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("Dovecot and Cyrus switch users: run this as root")
	}
	// Not below the test's own folder: its parents are closed to the server's user.
	dir, err := os.MkdirTemp("", "balorg-origin-") //nolint:usetesting // as above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := &origin{t: t, dir: dir, ca: filepath.Join(dir, "cert.pem")}
	for _, d := range []string{"", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, filepath.Join(dir, "home"): 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	o.certificate()
	return o
}

func (o *origin) write(name, content string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o644); err != nil {
		o.t.Fatal(err)
	}
}

func (o *origin) certificate() {
	o.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		o.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	o.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// freePort asks the system for a port that nobody uses: these servers take numbers only.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts the server and waits until it listens. It ends with the test.
func (o *origin) run(name string, args ...string) {
	o.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		o.t.Fatalf("%v: see peers.sh", err)
	}
	o.process = exec.Command(name, args...)
	out := &lockedBuffer{}
	o.process.Stdout, o.process.Stderr = out, out
	if err := o.process.Start(); err != nil {
		o.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		o.process.Wait()
		close(done)
	}()
	o.t.Cleanup(func() {
		o.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(stopTimeout):
			o.process.Process.Kill()
			<-done
		}
		if o.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(o.dir, "log"))
			o.t.Logf("the mail store's log:\n%s%s", tail(out.String()), tail(string(log)))
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTimeout); ; <-tick.C {
		c, err := net.Dial("tcp", o.address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%s does not listen: %v\n%s", name, err, out)
		}
	}
}

// mailstore is the server's section of balorg.yaml, with more lines about the login.
func (o *origin) mailstore(name, login string) string {
	return fmt.Sprintf("  %s: {type: imap, addresses: %q, ca: %s, %s}\n", name, o.address, o.ca, login)
}

// withCredentials writes the gateway's password into the daemon's folder and answers the lines that name it.
func (d *daemon) withCredentials(login string) string {
	d.t.Helper()
	d.write("gateway-password", gatewayPassword+"\n")
	return "login: " + login + ", user: " + gatewayUser + ", password_file: gateway-password"
}

// withStores restarts a demo with more mail stores, the lines of balorg.yaml for which stores answers. where says which accounts
// live on which; all others stay on the embedded one.
func withStores(t *testing.T, where map[string]string, stores func(*daemon) string) *daemon {
	t.Helper()
	d := startDemo(t)
	d.stop()
	d.edit("balorg.yaml", "mailstores:\n  local: {type: embedded}\n", "mailstores:\n  local: {type: embedded}\n"+stores(d))
	content, err := os.ReadFile(filepath.Join(d.dir, "accounts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(content)) {
		out.WriteString(line)
		if a, ok := strings.CutPrefix(strings.TrimSpace(line), "- address: "); ok {
			local, _, _ := strings.Cut(a, "@")
			fmt.Fprintf(&out, "    mailstore: %s\n", cmp.Or(where[local], "local"))
		}
	}
	d.write("accounts.yaml", out.String())
	d.serve()
	return d
}

// TestDovecotLogins: mailboxes of one Dovecot, opened in the three ways to log in, beside embedded ones in one session.
func TestDovecotLogins(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, map[string]string{address(secretariat): "of the secretariat"})
	d := withStores(t, map[string]string{secretariat: "by-secret", urgences: "by-authzid", paul: "by-master"}, func(d *daemon) string {
		d.write("secrets", "# of Dovecot\n"+address(secretariat)+":of the secretariat\n")
		return o.mailstore("by-secret", "login: secret, secrets_file: secrets") +
			o.mailstore("by-authzid", d.withCredentials("authzid")) +
			o.mailstore("by-master", d.withCredentials("master"))
	})
	c := login(t, d, paul)
	c.ok("SELECT INBOX")
	c.append("INBOX", "", message("own", "own", 100))
	c.append(shared(urgences, "INBOX"), "", message("urgent", "urgent", 100))
	if a := c.do("APPEND " + shared(secretariat, "INBOX") + " {3+}\r\nabc"); a.short() != "NO NOPERM" {
		t.Errorf("APPEND where one may only read: %v", a)
	}
	list := c.ok(`LIST "" "*"`).String()
	for _, want := range []string{`"/" INBOX`, `"/" Sent`, shared(urgences, "Sent"), shared(secretariat, "INBOX")} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	c.ok("SELECT %s", shared(secretariat, "INBOX"))
	c.ok("SELECT %s", shared(urgences, "INBOX"))
	a := c.ok("FETCH 1 (UID BODY.PEEK[])")
	if !strings.Contains(a.String(), "urgent") {
		t.Errorf("FETCH: %v", a)
	}
	// Between two accounts of the server, and to the embedded store and back.
	c.ok("MOVE 1 INBOX")
	claire := login(t, d, claire)
	claire.append("INBOX", "", message("embedded", "embedded", 100))
	claire.ok("SELECT INBOX")
	claire.ok("COPY 1:* %s", shared(urgences, "Sent"))
	claire.ok("SELECT %s", shared(urgences, "Sent"))
	claire.ok("MOVE 1 %s", shared(secretariat, "INBOX"))
	if got := claire.ok("STATUS %s (MESSAGES)", shared(secretariat, "INBOX")).String(); !strings.Contains(got, "(MESSAGES 1)") {
		t.Errorf("after the move: %s", got)
	}
	if out, err := d.balorg("audit list", "--mailbox", address(urgences)); err != nil || !strings.Contains(out, "uids=1") {
		t.Errorf("trace: %v\n%s", err, out)
	}
}

// dovecotNamespaces is a Dovecot with an INBOX. prefix, dots, shared name spaces of its own and access lists that look at who is
// logged in.
const dovecotNamespaces = `
mail_location = maildir:~/Maildir
mail_plugins = $mail_plugins acl quota
protocol imap {
  mail_plugins = $mail_plugins imap_acl imap_quota
}
plugin {
  acl = vfile
  acl_user = %u
  quota = maildir:User quota
  quota_rule = *:storage=10M
}
namespace inbox {
  inbox = yes
  prefix = INBOX.
  separator = .
  mailbox Sent {
    special_use = \Sent
    auto = create
  }
}
namespace public {
  type = public
  prefix = Public.
  separator = .
  location = maildir:~/Public
  subscriptions = no
  list = yes
}
`

// TestDovecotNamespaces: the server's prefix, delimiter and own shared folders are not seen, and what is not the mailbox's own cannot be
// reached by its name.
func TestDovecotNamespaces(t *testing.T) {
	o := startDovecot(t, dovecotNamespaces, nil)
	d := withStores(t, map[string]string{urgences: "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("master"))
	})
	c := login(t, d, claire)
	c.ok("CREATE %s", shared(urgences, "Dossiers/2026"))
	if a := c.do("CREATE %s", shared(urgences, "with.dot")); a.short() != "NO CANNOT" { // its Maildir++ has no other character for it
		t.Errorf("a name that the server cannot have: %v", a)
	}
	list := c.ok(`LIST "" "*"`).String()
	for _, want := range []string{shared(urgences, "INBOX"), shared(urgences, "Sent"), shared(urgences, "Dossiers"), shared(urgences, "Dossiers/2026")} {
		if !strings.Contains(list, want+"\n") {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	for _, leak := range []string{"INBOX.", "Public", `"."`} {
		if strings.Contains(list, leak) {
			t.Errorf("the server's %s shows in\n%s", leak, list)
		}
	}
	if a := c.do("CREATE %s", shared(urgences, "Public/x")); a.status != "OK" {
		t.Errorf("a folder of the mailbox's own with the server's word: %v", a)
	}
	c.append(shared(urgences, "Dossiers/2026"), "", message("filed", "filed", 100))
	status := c.ok("STATUS %s (MESSAGES)", shared(urgences, "Dossiers/2026")).String()
	if !strings.Contains(status, shared(urgences, "Dossiers/2026")+" (MESSAGES 1)") {
		t.Errorf("STATUS: %s", status)
	}
	c.ok("SELECT %s", shared(urgences, "Dossiers/2026"))
	c.ok("COPY 1 %s", shared(urgences, "Sent"))
	c.ok("RENAME %s %s", shared(urgences, "Dossiers"), shared(urgences, "Archives/Dossiers"))
	c.ok("SELECT %s", shared(urgences, "Archives/Dossiers/2026"))
	if rights := c.ok("MYRIGHTS %s", shared(urgences, "Sent")).String(); !strings.Contains(rights, "lrswitekxp") {
		t.Errorf("MYRIGHTS: %s", rights)
	}
	if quota := c.ok("GETQUOTAROOT %s", shared(urgences, "Sent")).String(); strings.Contains(quota, "INBOX.") || !strings.Contains(quota, address(urgences)+":User quota") {
		t.Errorf("GETQUOTAROOT: %s", quota)
	}
}

// TestCheckLive: what is wrong with a server is told before anybody meets it, Dovecot's access lists that look at the master user among it.
func TestCheckLive(t *testing.T) {
	good := startDovecot(t, dovecotNamespaces, nil)
	trap := startDovecot(t, strings.Replace(dovecotNamespaces, "  acl_user = %u\n", "", 1), nil)
	d := withStores(t, map[string]string{urgences: "good", secretariat: "trap", paul: "down", claire: "locked"}, func(d *daemon) string {
		login := d.withCredentials("master")
		d.write("wrong-password", "wrong\n")
		return good.mailstore("good", login) + trap.mailstore("trap", login) +
			(&origin{address: "127.0.0.1:1", ca: good.ca}).mailstore("down", login) +
			good.mailstore("locked", strings.Replace(login, "gateway-password", "wrong-password", 1))
	})
	out, err := d.balorg("check --live")
	if err == nil {
		t.Error("nothing is found")
	}
	for _, want := range []string{
		"mail store trap: logged in as " + address(secretariat) + ", ",
		"set acl_user = %u in plugin",
		"mail store down: mail store down: no server answers: 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused",
		"mail store locked: mail store locked, 127.0.0.1:",
		"the mail store refuses the log-in",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "mail store good") || strings.Contains(out, "wrong-password") || strings.Contains(out, gatewayPassword) {
		t.Errorf("check --live says\n%s", out)
	}
	// The session lives without the stores that do not.
	c := login(t, d, claire)
	if a := c.do("SELECT INBOX"); a.short() != "NO UNAVAILABLE" {
		t.Errorf("a mailbox whose store refuses the gateway: %v", a)
	}
	c.ok("SELECT %s", shared(urgences, "INBOX"))
}

// TestConnectionReuse: sessions that follow one another share a login at the server, and what one had selected is not the next one's.
func TestConnectionReuse(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, nil)
	d := withStores(t, map[string]string{paul: "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("authzid"))
	})
	for range 5 {
		c := login(t, d, paul)
		c.append("INBOX", "", message("reused", "reused", 100))
		c.ok("SELECT INBOX")
		c.ok("FETCH 1 BODY[]")
		c.ok("LOGOUT")
		c.gone(replyTimeout)
		c = login(t, d, paul)
		if a := c.ok("NOOP"); len(a.untagged) > 0 {
			t.Errorf("NOOP with nothing selected: %v", a)
		}
		c.conn.Close() // without a word
	}
	log, err := os.ReadFile(filepath.Join(o.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	// One for the gateway's first look, and one or two more where a session began before the last had ended.
	if n := strings.Count(string(log), "Login: user=<"+address(paul)); n < 1 || n > 4 {
		t.Errorf("%d logins for 10 sessions", n)
	}
}

// TestPassedExtensions: what all mail stores of a session have, its client has: here a person whose only mailbox is on a Dovecot.
func TestPassedExtensions(t *testing.T) {
	o := startDovecot(t, "mail_attribute_dict = file:%h/attributes\nprotocol imap {\n  imap_metadata = yes\n}\n"+dovecotNamespace, nil)
	d := withStores(t, map[string]string{"sophie.moreau": "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("authzid"))
	})
	login(t, d, "sophie.moreau").ok("SELECT INBOX") // so that the gateway knows the server
	c := login(t, d, "sophie.moreau")
	offered := " " + strings.TrimPrefix(c.ok("CAPABILITY").untagged[0], "* CAPABILITY ") + " "
	for _, want := range []string{
		"CONDSTORE", "QRESYNC", "SORT", "THREAD=REFERENCES", "SEARCHRES", "WITHIN", "BINARY", "MULTIAPPEND", "SAVEDATE", "PREVIEW",
		"ESEARCH", "MOVE", "UIDPLUS", "IDLE", "METADATA",
	} {
		if !strings.Contains(offered, " "+want+" ") {
			t.Errorf("%s is not offered:%s", want, offered)
		}
	}
	for _, never := range []string{"URLAUTH", "CATENATE", "NOTIFY", "MULTISEARCH", "STARTTLS", "LOGIN-REFERRALS"} {
		if strings.Contains(offered, " "+never+" ") {
			t.Errorf("%s is offered", never)
		}
	}
	one, two := message("one@test", "Un", 300), message("two@test", "Deux", 400)
	a := c.ok("APPEND INBOX (\\Seen) {%d+}\r\n%s (\\Flagged) {%d+}\r\n%s", len(one), one, len(two), two)
	if !strings.HasPrefix(a.code(), "APPENDUID ") || !strings.HasSuffix(a.code(), " 1:2") {
		t.Errorf("two messages in one APPEND: %v", a)
	}
	c.ok("ENABLE QRESYNC")
	c.ok("SELECT INBOX (QRESYNC (1 1))")
	for _, tt := range []struct{ command, want string }{
		{"SORT (SUBJECT) UTF-8 ALL", "* SORT 2 1"},
		{"UID THREAD REFERENCES UTF-8 ALL", "* THREAD (1)(2)"},
		{"UID SEARCH RETURN (SAVE COUNT) FLAGGED", "COUNT 1"},
		{"UID FETCH $ (UID FLAGS)", `UID 2 FLAGS (\Flagged`},
		{"UID SEARCH YOUNGER 86400", "* SEARCH 1 2"},
		{"UID FETCH 1 (BINARY.SIZE[1])", "BINARY.SIZE[1] "},
		{"UID FETCH 1 (SAVEDATE)", `SAVEDATE "`},
		{"UID FETCH 1 (PREVIEW (LAZY))", "PREVIEW "},
		{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)", "MODSEQ ("},
		{`UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT ($Late)`, ""},
		{"STATUS INBOX (HIGHESTMODSEQ)", "HIGHESTMODSEQ "},
		{`SETMETADATA INBOX (/private/comment "de l'équipe")`, ""},
		{"GETMETADATA (MAXSIZE 100) INBOX (/private/comment)", "* METADATA INBOX (/private/comment "},
	} {
		if a := c.ok("%s", tt.command); !strings.Contains(a.String(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.command, a, tt.want)
		}
	}
	if a := c.do(`GETMETADATA "" (/shared/admin)`); a.short() != "NO NOPERM" {
		t.Errorf("what the server says of itself: %v", a)
	}
	c.ok(`UID STORE 2 +FLAGS.SILENT (\Deleted)`)
	if a := c.ok("UID EXPUNGE 2"); !strings.Contains(a.String(), "* VANISHED 2") {
		t.Errorf("EXPUNGE in a session with QRESYNC: %v", a)
	}
}

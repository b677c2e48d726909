package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postfix is a Postfix of its own: nothing of the machine's is read or written. It is the server of chu-exemple.mssante.fr.
type postfix struct {
	t       *testing.T
	dir     string
	smtp    string // its SMTP server
	process *exec.Cmd
	done    chan struct{}
}

const postfixSettings = `
compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
default_database_type = texthash
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
smtp_dns_support_level = disabled
myhostname = mx.chu-exemple.mssante.fr
myorigin = chu-exemple.mssante.fr
mydestination =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = check_recipient_access texthash:%[1]s/access, permit_mynetworks, reject
smtpd_tls_cert_file = %[1]s/cert.pem
smtpd_tls_key_file = %[1]s/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
virtual_mailbox_domains = chu-exemple.mssante.fr
virtual_mailbox_base = %[1]s/home
virtual_mailbox_maps = texthash:%[1]s/boxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
transport_maps = texthash:%[1]s/transport
smtp_tls_policy_maps = texthash:%[1]s/policy
smtp_tls_CAfile = %[1]s/balorg-ca.pem
smtp_tls_loglevel = 1
smtp_tls_cert_file = %[1]s/cert.pem
smtp_tls_key_file = %[1]s/key.pem
`

// postfixServices is its master.cf: no service in a chroot, one SMTP server, at the port.
const postfixServices = `
127.0.0.1:%d inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
anonymous unix - - n - - smtp -o smtp_tls_cert_file= -o smtp_tls_key_file=
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// newPostfix configures a server; start starts it. It has mailboxes accueil, dr and café, and rejects others.
func newPostfix(t *testing.T) *postfix {
	t.Helper()
	dir := newOrigin(t).dir
	p := &postfix{t: t, dir: dir}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatalf("%v: see peers.sh", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data", "spool", "spool/pid"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "public", "maildrop", "saved", "trace", "../data"} {
		path := filepath.Join(dir, "spool", name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	p.smtp = fmt.Sprintf("127.0.0.1:%d", port)
	p.certificate()
	p.write("main.cf", fmt.Sprintf(postfixSettings, dir))
	p.write("master.cf", fmt.Sprintf(postfixServices, port))
	p.write("boxes", "accueil@chu-exemple.mssante.fr accueil/\ndr@chu-exemple.mssante.fr dr/\ncafé@chu-exemple.mssante.fr cafe/\n")
	p.write("access", "ferme@chu-exemple.mssante.fr 550 5.2.1 Mailbox closed\nattente@chu-exemple.mssante.fr 450 4.2.1 Come back later\n")
	for _, name := range []string{"transport", "policy", "balorg-ca.pem"} {
		p.write(name, "")
	}
	return p
}

func (p *postfix) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// operatorName is in the certificate of the server, as the whitelist writes it.
const operatorName = "CN=mx.chu-exemple.mssante.fr,OU=318751275100020,O=CHU DU NORD,C=FR"

// certificate makes the server's, which vouches for itself.
func (p *postfix) certificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		Subject: pkix.Name{CommonName: "mx.chu-exemple.mssante.fr", OrganizationalUnit: []string{"318751275100020"}, Organization: []string{"CHU DU NORD"}, Country: []string{"FR"}},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// start runs the server and waits until it listens. It ends with the test, or with stop.
func (p *postfix) start() {
	p.t.Helper()
	const master = "/usr/lib/postfix/sbin/master"
	if _, err := os.Stat(master); err != nil {
		p.t.Fatalf("%v: see peers.sh", err)
	}
	p.process = exec.Command(master, "-c", p.dir, "-d")
	p.process.Dir = p.dir
	p.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends its whole group
	out := &lockedBuffer{}
	p.process.Stdout, p.process.Stderr = out, out
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	p.done = done
	go func() {
		p.process.Wait()
		close(done)
	}()
	p.t.Cleanup(func() {
		p.stop()
		if p.t.Failed() {
			p.t.Logf("Postfix:\n%s%s", tail(out.String()), tail(p.log()))
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTimeout); ; <-tick.C {
		conn, err := net.Dial("tcp", p.smtp)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("Postfix does not listen: %v\n%s%s", err, out, p.log())
		}
	}
}

func (p *postfix) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	p.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.process.Process.Kill()
		<-p.done
	}
}

func (p *postfix) log() string {
	log, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// outcome waits for what becomes of a message that the server took, and answers what its log says of it: "sent (…)".
func (p *postfix) outcome(d *daemon, reply string) (status string) {
	p.t.Helper()
	id := queued(p.t, reply)
	d.eventually(newsTimeout, "the outcome of "+id, func() error {
		for line := range strings.Lines(p.log()) {
			if _, said, ok := strings.Cut(line, ", status="); ok && strings.Contains(line, " "+id+": to=<") {
				status = strings.TrimSpace(said)
				return nil
			}
		}
		return fmt.Errorf("not in the log")
	})
	return status
}

// box answers the messages in a mailbox of the server that hold a text.
func (p *postfix) box(name, text string) (all []string) {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "home", name, "new", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, file := range files {
		octets, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		if strings.Contains(string(octets), text) {
			all = append(all, string(octets))
		}
	}
	return all
}

// arrived is box of a message that must be there once, now or soon.
func (p *postfix) arrived(d *daemon, name, text string) string {
	p.t.Helper()
	var got []string
	d.eventually(newsTimeout, "the message "+text+" in Postfix's "+name, func() error {
		if got = p.box(name, text); len(got) == 0 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	if len(got) != 1 {
		p.t.Errorf("%s is %d times in %s", text, len(got), name)
	}
	return got[0]
}

// reaches tells the server how to reach the daemon: by SMTP with verified TLS, and two mailboxes by LMTP.
func (p *postfix) reaches(d *daemon) {
	p.t.Helper()
	ca, err := os.ReadFile(d.ca())
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("balorg-ca.pem", string(ca))
	inbound := "[127.0.0.1]:" + d.port(d.listeners.Inbound[0])
	transport := fmt.Sprintf("%s smtp:%s\n%s anonymous:%s\n", mssanteDomain, inbound, mssante(lea), inbound)
	for _, l := range d.listeners.LMTP {
		if strings.HasPrefix(l, "/") {
			transport += fmt.Sprintf("%s lmtp:unix:%s\n", mssante(claire), l)
		} else {
			transport += fmt.Sprintf("%[2]s lmtp:inet:%[1]s\n%[3]s lmtp:inet:%[1]s\n", l, mssante(paul), mssante("personne.lmtp"))
		}
	}
	p.write("transport", transport)
	p.write("policy", inbound+" secure match=localhost\n")
}

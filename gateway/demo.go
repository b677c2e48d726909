package gateway

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"balorg/configs"
	"balorg/ldapserver"
	"balorg/mail"
	"balorg/policy"
)

// DemoOptions say how the demo runs.
type DemoOptions struct {
	Listen    string // address, without port; "" means 127.0.0.1
	Offset    int    // added to every port
	AnyPort   bool   // let the system choose every port
	State     string // folder that is kept; "" means one that is removed at the end
	ReadyFile string // gets the listeners as JSON once all answer; "" means none
	Output    io.Writer
	Log       *slog.Logger
	Reloads   <-chan os.Signal // each signal reloads
	Program   string           // how commands to try call this program; "" means balorg
}

// demoPorts are the ports of the demo's configuration, before the offset; demoSink is that of what stands for all other operators.
func demoPorts() []int { return []int{1143, 1993, 1587, 1465, 1025, 1024, 1389, 1636, 1443, 9143} }

const demoSink = 1026

// demoPassword is every account's, with its local part behind.
const demoPassword = "demo-"

// RunDemo runs a small clinic until ctx ends: the embedded store, sample mail, accounts with known passwords and a
// certificate of its own, on loopback.
func RunDemo(ctx context.Context, opt DemoOptions) (err error) {
	if err := removeReady(opt.ReadyFile); err != nil {
		return err
	}
	if opt.Listen == "" {
		opt.Listen = "127.0.0.1"
	}
	if opt.State == "" {
		dir, err := os.MkdirTemp("", "balorg-demo-")
		if err != nil {
			return fmt.Errorf("making the demo's folder: %w", err)
		}
		opt.State = dir
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	config, hop, err := writeDemo(opt)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		hop.run(serving)
	}()
	defer func() {
		stop() // after the gateway, which may be sending
		<-done
	}()
	g, err := New(Options{ConfigPath: config, Logger: opt.Log, ReadyFile: opt.ReadyFile, Reloads: opt.Reloads})
	if err != nil {
		return err
	}
	err = g.fillDemo(ctx)
	if err == nil {
		if err = g.fillDemoDirectory(ctx); err != nil {
			err = fmt.Errorf("making the sample directory: %w", err)
		}
	}
	if err != nil {
		g.stop()
		if ctx.Err() != nil {
			return nil // stopped before it had begun
		}
		return err
	}
	g.onReady = func() error { return g.printDemo(opt, config, hop) }
	return g.Run(ctx)
}

// writeDemo puts configuration and certificates into the demo's folder. Accounts and delegations that are there are kept, as somebody
// edited them; balorg.yaml is written anew, for the ports may be others, if it is a demo's. It answers the sink, which listens already.
func writeDemo(opt DemoOptions) (config string, hop *sink, err error) {
	config = filepath.Join(opt.State, "balorg.yaml")
	content, err := configs.Examples.ReadFile("demo/balorg.yaml")
	if err != nil {
		return "", nil, err
	}
	mark, _, _ := strings.Cut(string(content), "\n")
	switch other, err := os.ReadFile(config); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", nil, fmt.Errorf("looking for a demo: %w", err)
	case !strings.HasPrefix(string(other), mark+"\n"):
		return "", nil, fmt.Errorf("%s is not the demo's configuration, which would replace it; give the demo a folder of its own", config)
	}
	if err := os.MkdirAll(filepath.Join(opt.State, "tls"), 0o700); err != nil {
		return "", nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	if err := demoCertificates(filepath.Join(opt.State, "tls"), opt.Listen, time.Now()); err != nil {
		return "", nil, fmt.Errorf("making the demo's certificates: %w", err)
	}
	for _, name := range []string{"accounts.yaml", "delegations.yaml"} {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			return "", nil, err
		}
		path := filepath.Join(opt.State, name)
		if _, err := os.Stat(path); err == nil {
			continue // an edited file of a demo that is kept
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", nil, err
		}
	}
	if hop, err = demoHop(opt); err != nil {
		return "", nil, err
	}
	text := string(content)
	for _, port := range demoPorts() {
		here := port + opt.Offset
		if opt.AnyPort {
			here = 0
		}
		text = replacePort(text, port, net.JoinHostPort(opt.Listen, strconv.Itoa(here)))
	}
	text = replacePort(text, demoSink, hop.address())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		hop.server.closeListeners()
		return "", nil, err
	}
	return config, hop, nil
}

// replacePort puts an address in the place of the one that the example has with a port.
func replacePort(text string, port int, address string) string {
	return strings.ReplaceAll(text, strconv.Quote(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))), strconv.Quote(address))
}

// demoHop makes what stands for all other operators.
func demoHop(opt DemoOptions) (*sink, error) {
	cert, err := loadCertificate(filepath.Join(opt.State, "tls", "cert.pem"), filepath.Join(opt.State, "tls", "key.pem"))
	if err != nil {
		return nil, err
	}
	port := demoSink + opt.Offset
	if opt.AnyPort {
		port = 0
	}
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newSink(opt.State, net.JoinHostPort(opt.Listen, strconv.Itoa(port)), *cert, log)
}

// demoValidity is how long the demo's certificates hold.
const demoValidity = 90 * 24 * time.Hour

// usable tells whether the demo's certificate is there, names the address and holds for another day at least.
func usable(dir, listen string, now time.Time) bool {
	cert, err := loadCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil || now.AddDate(0, 0, 1).After(cert.Leaf.NotAfter) {
		return false
	}
	return listen == "" || cert.Leaf.VerifyHostname(listen) == nil
}

// demoCertificates makes a CA and a server certificate for localhost and the demo's address, unless there are usable ones.
func demoCertificates(dir, listen string, now time.Time) error {
	if usable(dir, listen, now) {
		return nil
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "balorg demo CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(demoValidity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(listen); ip != nil {
		server.IPAddresses = append(server.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{"ca.pem", "CERTIFICATE", caDER}, {"cert.pem", "CERTIFICATE", der}, {"key.pem", "PRIVATE KEY", keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// printDemo shows what there is to try.
func (g *Gateway) printDemo(opt DemoOptions, config string, hop *sink) error {
	t := tabwriter.NewWriter(opt.Output, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "\nbalorg demo: Clinique des Sapins\n\nSERVICE\tADDRESS\tNOTE\n") //nolint:errcheck // Flush answers the error
	l := g.Listeners()
	for _, s := range []struct {
		name, note string
		addresses  []string
	}{
		{"IMAP", "STARTTLS", l.IMAP},
		{"IMAPS", "TLS", l.IMAPS},
		{"submission", "STARTTLS", l.Submission},
		{"submissions", "TLS", l.Submissions},
		{"SMTP", "from other operators", l.Inbound},
		{"LMTP", "from a mail server beside", l.LMTP},
		{"LDAP", "StartTLS", l.LDAP},
		{"LDAPS", "TLS", l.LDAPS},
		{"HTTPS", "the portal: https://localhost:" + portOf(first(l.HTTPS)) + "/", l.HTTPS},
		{"sink", "stands for all other operators: " + hop.folder, []string{hop.address()}},
		{"HTTP", "/metrics /healthz /readyz", l.Metrics},
	} {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.name, strings.Join(s.addresses, " "), s.note) //nolint:errcheck // as above
	}
	fmt.Fprint(t, "\nACCOUNT\tPASSWORD\tOPENS\n") //nolint:errcheck // as above
	snap := g.snapshot.Load()
	for _, a := range snap.Accounts() {
		password, opens := "-", "nobody logs in to it directly"
		if _, _, ok := snap.Login(a.Address); ok && a.Kind.Nominative() {
			password, opens = demoPassword+a.Address.Local(), describeAccess(snap, a.ID)
		} else if a.State == policy.Preregistered {
			opens = "pre-registered: has no password yet"
		} else if a.Kind == policy.App {
			opens = "software: has no password"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Address, password, opens) //nolint:errcheck // as above
	}
	ca := filepath.Join(filepath.Dir(config), "tls", "ca.pem")
	fmt.Fprintf(t, "\nThe CA certificate to trust is %s\n\nTry:\n", ca) //nolint:errcheck // as above
	program := cmp.Or(opt.Program, "balorg")
	person := "noemie.martin@clinique-des-sapins.fr"
	for _, command := range []string{
		fmt.Sprintf("curl --cacert %s -u '%s:demo-noemie.martin' 'imaps://%s/' -X 'LIST \"\" \"*\"'", ca, person, first(l.IMAPS)),
		fmt.Sprintf("swaks --server %s --tlsc --tls-verify --tls-ca-path %s --auth PLAIN --auth-user %s --auth-password demo-noemie.martin --from secretariat@clinique-des-sapins.fr --to claire.durand@sapins.mssante.fr,dr.martin@chu-exemple.mssante.fr",
			first(l.Submissions), ca, person),
		fmt.Sprintf("LDAPTLS_CACERT=%s ldapsearch -x -LLL -H ldaps://%s -D %s -w demo-noemie.martin -b %s '(&(sn=durand)(givenName=claire))' cn mail", ca, first(l.LDAPS), person, ldapserver.DefaultSuffix),
		fmt.Sprintf("%s audit list --config %s", program, config),
	} {
		fmt.Fprintf(t, "  %s\n", command) //nolint:errcheck // as above
	}
	fmt.Fprint(t, "\nCtrl-C stops the demo.\n") //nolint:errcheck // as above
	return t.Flush()
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // one of ours, or none
	return port
}

func describeAccess(snap *policy.Snapshot, person mail.AccountID) string {
	var parts []string
	for _, access := range snap.Mailboxes(person) {
		name := access.Mailbox.Address.Local()
		if access.Own {
			name = "own"
		}
		if !access.Own {
			name += " (" + access.Rights.Preset() + ")"
		}
		if access.Default {
			name += " first"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

// Package gatewaytest runs whole gateways in tests: real listeners on ports of the system's choice, TLS with certificates of
// their own, the state in a temporary folder. Several may run at once. When a test ends, its gateway's state is checked and
// the gateway stopped in order.
package gatewaytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/configs"
	"balorg/gateway"
	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy/session"
)

// Balorg is a balorg.yaml whose services listen on ports of the system's choice.
const Balorg = `hostname: localhost
state: state
store: {min_free: 100MB}
listen:
  imap: "127.0.0.1:0"
  imaps: "127.0.0.1:0"
  submission: "127.0.0.1:0"
  submissions: "127.0.0.1:0"
  inbound: "127.0.0.1:0"
  lmtp: "127.0.0.1:0"
  ldap: "127.0.0.1:0"
  ldaps: "127.0.0.1:0"
  https: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
inbound: {networks: [127.0.0.0/8]}
trust_space: {extra_domains: [chu-exemple.mssante.fr]}
tls: {certificate: tls/cert.pem, key: tls/key.pem}
`

// patience is how long anything may take on a busy machine before a test gives up on it.
const patience = 20 * time.Second

// Gateway is a running gateway.
type Gateway struct {
	*gateway.Gateway
	Dir    string // holds its files
	Config string // path of balorg.yaml
	Log    *Log

	t       *testing.T
	running context.CancelFunc
	done    chan struct{} // closed when Run has returned
	err     error         // what it answered
}

// Log is what a gateway has logged.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Folder writes a configuration into a new folder: files by their names, and of balorg.yaml, accounts.yaml and delegations.yaml
// those that are not among them as the demo has them. It answers the folder.
func Folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	Certificates(t, filepath.Join(dir, "tls"))
	for name, content := range Files(t) {
		if other, ok := files[name]; ok {
			content = other
		}
		write(t, filepath.Join(dir, name), content)
	}
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// Files are the three files of a gateway with the demo's accounts.
func Files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{"balorg.yaml": Balorg}
	for _, name := range []string{"accounts.yaml", "delegations.yaml"} {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	return files
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start runs a gateway on a new Folder until the test ends. The people named by their local parts have the passwords of the
// demo.
func Start(t *testing.T, files map[string]string, people ...string) *Gateway {
	t.Helper()
	g := Run(t, Folder(t, files))
	for _, local := range people {
		g.SetPassword(Address(local), Password(local))
	}
	return g
}

// Run runs a gateway on a folder until the test ends, or Stop.
func Run(t *testing.T, dir string) *Gateway {
	t.Helper()
	g := &Gateway{Dir: dir, Config: filepath.Join(dir, "balorg.yaml"), Log: &Log{}, t: t, done: make(chan struct{})}
	var err error
	g.Gateway, err = gateway.New(gateway.Options{ConfigPath: g.Config, Logger: slog.New(slog.NewTextHandler(g.Log, nil))})
	if err != nil {
		t.Fatalf("starting a gateway: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.running = cancel
	go func() {
		defer close(g.done)
		g.err = g.Run(ctx)
	}()
	t.Cleanup(func() {
		if ctx.Err() == nil {
			g.checkStore()
		}
		g.Stop()
		if t.Failed() {
			t.Logf("the gateway logged:\n%s", g.Log)
		}
	})
	g.Eventually("readiness", func() bool { return g.Status("/readyz") == http.StatusOK })
	return g
}

// Stop stops the gateway and waits until it has.
func (g *Gateway) Stop() {
	g.t.Helper()
	g.running()
	select {
	case <-g.done:
	case <-time.After(patience):
		g.t.Fatal("the gateway does not stop")
	}
	if g.err != nil {
		g.t.Errorf("the gateway ended with %v", g.err)
	}
}

func (g *Gateway) checkStore() {
	g.t.Helper()
	err := g.Call(gateway.OpCheckStore, nil, func(problem json.RawMessage) { g.t.Errorf("state: %s", problem) })
	if err != nil {
		g.t.Errorf("checking the state: %v", err)
	}
}

// Address is the identifier of an account of the demo.
func Address(local string) mail.Address { return mail.Address(local + "@clinique-des-sapins.fr") }

// Password is that of the demo.
func Password(local string) string { return "demo-" + local }

// Call runs an operation over the control socket; each, which may be nil, gets every value it answers.
func (g *Gateway) Call(op string, args any, each func(json.RawMessage)) error {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	caller, err := control.Dial(ctx, filepath.Join(g.Dir, "state"))
	if err != nil {
		return err
	}
	defer caller.Close() //nolint:errcheck // answered
	return caller.Call(ctx, op, args, func(v json.RawMessage) error {
		if each != nil {
			each(v)
		}
		return nil
	})
}

// SetPassword gives an account a password.
func (g *Gateway) SetPassword(address mail.Address, password string) {
	g.t.Helper()
	if err := g.Call(gateway.OpPassword, gateway.PasswordArgs{Address: address, Password: password}, nil); err != nil {
		g.t.Fatalf("setting the password of %s: %v", address, err)
	}
}

// Sessions are the live ones, the oldest first.
func (g *Gateway) Sessions() []session.Info {
	g.t.Helper()
	var all []session.Info
	err := g.Call(gateway.OpSessions, nil, func(v json.RawMessage) {
		var info session.Info
		if err := json.Unmarshal(v, &info); err != nil {
			g.t.Error(err)
		}
		all = append(all, info)
	})
	if err != nil {
		g.t.Fatalf("listing sessions: %v", err)
	}
	return all
}

// Read answers one of the gateway's files.
func (g *Gateway) Read(name string) string {
	g.t.Helper()
	content, err := os.ReadFile(filepath.Join(g.Dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(content)
}

// Write replaces one of the gateway's files in one step, as editors do.
func (g *Gateway) Write(name, content string) {
	g.t.Helper()
	path := filepath.Join(g.Dir, name)
	write(g.t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		g.t.Fatal(err)
	}
}

// Edit replaces a part of a file, which must be there.
func (g *Gateway) Edit(name, from, to string) {
	g.t.Helper()
	content := g.Read(name)
	if !strings.Contains(content, from) {
		g.t.Fatalf("%s does not hold %q", name, from)
	}
	g.Write(name, strings.Replace(content, from, to, 1))
}

// Roots trusts the gateway's certificate.
func (g *Gateway) Roots() *x509.CertPool {
	g.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(g.Read("tls/ca.pem"))) {
		g.t.Fatal("tls/ca.pem holds no certificate")
	}
	return roots
}

// DialIMAPS connects over TLS.
func (g *Gateway) DialIMAPS() *tls.Conn {
	g.t.Helper()
	conn, err := tls.Dial("tcp", g.Listeners().IMAPS[0], &tls.Config{RootCAs: g.Roots()})
	if err != nil {
		g.t.Fatalf("connecting to the gateway: %v", err)
	}
	g.t.Cleanup(func() { conn.Close() }) //nolint:errcheck // gone already, as a rule
	return conn
}

// Status is the HTTP status of a path on the metrics listener, 0 when nothing answers.
func (g *Gateway) Status(path string) int {
	resp, err := http.Get("http://" + g.Listeners().Metrics[0] + path)
	if err != nil {
		return 0
	}
	resp.Body.Close() //nolint:errcheck // not read
	return resp.StatusCode
}

// Metrics are the values of /metrics, by name and labels as they are written there.
func (g *Gateway) Metrics() map[string]float64 {
	g.t.Helper()
	resp, err := http.Get("http://" + g.Listeners().Metrics[0] + "/metrics")
	if err != nil {
		g.t.Fatalf("reading metrics: %v", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read
	all, err := parseMetrics(resp.Body)
	if err != nil {
		g.t.Fatalf("reading metrics: %v", err)
	}
	return all
}

func parseMetrics(r io.Reader) (map[string]float64, error) {
	all := make(map[string]float64)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", name, err)
		}
		all[name] = n
	}
	return all, lines.Err()
}

// pollPeriod is how often Eventually looks.
const pollPeriod = 10 * time.Millisecond

// Eventually waits until is answers true, for what only another process's view can show.
func (g *Gateway) Eventually(what string, is func() bool) {
	g.t.Helper()
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	timeout := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			g.t.Fatalf("%s does not come about", what)
		}
	}
}

package smtp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	sessions "balorg/policy/session"
	"balorg/smtp/wire"
	"balorg/store/audit"
)

// The demo's people and mailboxes.
const (
	domain      = "@clinique-des-sapins.fr"
	noemie      = "noemie.martin" + domain
	claire      = "claire.durand" + domain
	secretariat = "secretariat" + domain
)

// received is one message as a handler got it.
type received struct {
	env     wire.Envelope
	content string
}

// fakeHandler takes everything, but what a test has it refuse.
type fakeHandler struct {
	f      *fixture
	client *Client
}

func (h fakeHandler) Mail(_ context.Context, from wire.Sender) error {
	return h.f.onMail(from)
}

func (h fakeHandler) Rcpt(_ context.Context, to wire.Recipient) error {
	return h.f.onRcpt(to)
}

func (h fakeHandler) Data(ctx context.Context, env *wire.Envelope, content io.Reader) ([]wire.Reply, error) {
	return h.f.onData(ctx, h, env, content)
}

// take is what onData does unless a test says otherwise.
func (h fakeHandler) take(_ context.Context, env *wire.Envelope, content io.Reader) ([]wire.Reply, error) {
	octets, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	h.f.mu.Lock()
	h.f.got = append(h.f.got, received{*env, string(octets)})
	h.f.mu.Unlock()
	replies := []wire.Reply{*okay("2.0.0", "Queued as 1")}
	if h.client.Role == LMTP {
		for range len(env.To) - 1 {
			replies = append(replies, replies[0])
		}
	}
	return replies, nil
}

// fakeAuth takes "ok" as everybody's password.
type fakeAuth struct{ f *fixture }

func (fakeAuth) Mechanisms() []string {
	return []string{auth.MechanismPlain, auth.MechanismLogin}
}

func (a fakeAuth) Authenticate(_ context.Context, req auth.Request) (auth.Result, error) {
	login, err := policy.ParseLogin(req.User, req.Authzid)
	switch {
	case req.Password.Reveal() == "later":
		return auth.Result{}, &auth.Unavailable{Reason: policy.Reason{Text: "no hash can be computed"}}
	case err != nil || req.Password.Reveal() != "ok":
		return auth.Result{}, &auth.Refusal{Reason: policy.Reason{Code: policy.ReasonUnknown, Text: "wrong"}}
	}
	person, access, ok := a.f.snapshot().Resolve(login)
	if !ok {
		return auth.Result{}, &auth.Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox}
	}
	return auth.Result{Person: person, Mailbox: access.Mailbox, Access: access}, nil
}

// fakeTrace keeps records in memory.
type fakeTrace struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (t *fakeTrace) Append(_ context.Context, r audit.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.records = append(t.records, r)
	}
	return t.err
}

func (t *fakeTrace) Later(r audit.Record) { t.Append(context.Background(), r) }

func (t *fakeTrace) of(action audit.Action) []audit.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []audit.Record
	for _, r := range t.records {
		if r.Action == action {
			all = append(all, r)
		}
	}
	return all
}

// fixture is a server over the demo's accounts, with a handler that takes everything.
type fixture struct {
	t        testing.TB
	server   *Server
	trace    fakeTrace
	sessions sessions.Table
	metrics  *prometheus.Registry
	log      strings.Builder // of the server; read it when its sessions have ended

	onMail func(wire.Sender) error
	onRcpt func(wire.Recipient) error
	onData func(context.Context, fakeHandler, *wire.Envelope, io.Reader) ([]wire.Reply, error)

	mu   sync.Mutex
	snap *policy.Snapshot
	got  []received
}

// newFixture makes a server whose submission allows log-in in the clear, unless change has it otherwise.
func newFixture(tb testing.TB, change func(*Service)) *fixture {
	tb.Helper()
	f := &fixture{t: tb, metrics: prometheus.NewRegistry()}
	f.onMail = func(wire.Sender) error { return nil }
	f.onRcpt = func(wire.Recipient) error { return nil }
	f.onData = func(ctx context.Context, h fakeHandler, env *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
		return h.take(ctx, env, r)
	}
	f.load("")
	services := map[Role]Service{}
	for _, role := range []Role{Submission, Inbound, LMTP} {
		service := Service{
			NewHandler:    func(c *Client) Handler { return fakeHandler{f, c} },
			InsecureLogin: true, Postmaster: claire,
		}
		if change != nil {
			change(&service)
		}
		services[role] = service
	}
	f.server = New(Options{
		Services: services, Snapshot: f.snapshot, Auth: fakeAuth{f}, Trace: &f.trace, Sessions: &f.sessions,
		Logger:  slog.New(slog.NewTextHandler(&lockedWriter{w: &f.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics: f.metrics, Hostname: "mx.example.fr",
	})
	return f
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// load reads the demo's files, without the lines of the delegations that hold without.
func (f *fixture) load(without string) {
	f.t.Helper()
	read := func(name string) []byte {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			f.t.Fatal(err)
		}
		return content
	}
	var delegations []byte
	for line := range strings.Lines(string(read("delegations.yaml"))) {
		if without == "" || !strings.Contains(line, without) {
			delegations = append(delegations, line...)
		}
	}
	roster, problems := policy.Load(policy.Source{
		Accounts:    []configs.File{{Name: "accounts.yaml", Data: read("accounts.yaml")}},
		Delegations: []configs.File{{Name: "delegations.yaml", Data: delegations}},
		Mailstores:  []string{"local"},
	})
	if err := problems.Err(); err != nil {
		f.t.Fatal(err)
	}
	var ids []policy.Identity
	for _, a := range roster.Accounts {
		id := mail.AccountID((strings.NewReplacer(".", "x", "-", "y").Replace(a.Address.Local()) + "aaaaaaaaaaaaaaaa")[:16])
		ids = append(ids, policy.Identity{ID: id, Address: a.Address, State: policy.IdentityLive})
	}
	f.mu.Lock()
	f.snap = policy.NewSnapshot(roster, ids, nil)
	f.mu.Unlock()
	f.sessions.Recheck(f.snapshot())
}

func (f *fixture) snapshot() *policy.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}

func (f *fixture) messages() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]received(nil), f.got...)
}

// client is a scripted client: it writes what it is told and reads whole replies.
type client struct {
	t       testing.TB
	conn    net.Conn
	replies chan string   // whole ones, their lines joined by \n; closed at the connection's end
	ended   chan struct{} // closed when the server has let go of the connection
}

const clientTimeout = 20 * time.Second

// pipe is a connection within the process.
func pipe(tb testing.TB) (ours, theirs net.Conn) {
	tb.Helper()
	ours, theirs = net.Pipe()
	tb.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}

// dial connects a client and reads the greeting.
func (f *fixture) dial(ctx context.Context, role Role) *client {
	f.t.Helper()
	ours, theirs := net.Pipe()
	c := f.client(ours)
	go func() {
		defer close(c.ended)
		f.server.Serve(ctx, theirs, role)
	}()
	c.read()
	c.expect("220 mx.example.fr ")
	return c
}

func (f *fixture) client(conn net.Conn) *client {
	c := &client{t: f.t, conn: conn, ended: make(chan struct{})}
	f.t.Cleanup(func() {
		conn.Close()
		<-c.ended
	})
	return c
}

func (c *client) read() {
	replies := make(chan string, 1<<12)
	c.replies = replies
	go func() {
		defer close(replies)
		br := bufio.NewReader(c.conn)
		var whole []string
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			whole = append(whole, strings.TrimSuffix(line, "\r\n"))
			if len(line) < 4 || line[3] != '-' {
				replies <- strings.Join(whole, "\n")
				whole = nil
			}
		}
	}()
}

func (c *client) send(s string) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(clientTimeout))
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("writing: %v", err)
	}
}

// next is the next reply, or "" when the connection has ended.
func (c *client) next() string {
	c.t.Helper()
	select {
	case reply := <-c.replies:
		return reply
	case <-time.After(clientTimeout):
		c.t.Fatal("no reply")
		return ""
	}
}

func (c *client) expect(prefixes ...string) (last string) {
	c.t.Helper()
	for _, prefix := range prefixes {
		if last = c.next(); !strings.HasPrefix(last, prefix) {
			c.t.Fatalf("reply %q, want %s…", last, prefix)
		}
	}
	return last
}

// do sends a command and expects its reply.
func (c *client) do(command, want string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.expect(want)
}

// closed expects that the connection ends now.
func (c *client) closed() {
	c.t.Helper()
	if reply := c.next(); reply != "" {
		c.t.Fatalf("reply %q on a connection that should be closed", reply)
	}
}

// hello greets as the role asks, and logs in where that is needed.
func (c *client) hello(role Role) {
	c.t.Helper()
	if role == LMTP {
		c.do("LHLO client.example.fr", "250-mx.example.fr")
		return
	}
	c.do("EHLO client.example.fr", "250-mx.example.fr")
	if role == Submission {
		c.do("AUTH PLAIN "+plain("", noemie, "ok"), "235 2.7.0")
	}
}

// begin opens a transaction, up to the content.
func (c *client) begin() {
	c.t.Helper()
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ")
	c.do("DATA", "354 ")
}

// newTLS makes a configuration for a server, and one for a client that trusts it.
func newTLS(tb testing.TB) (server, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.fr"}, NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	pair := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return &tls.Config{Certificates: pair, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven},
		&tls.Config{Certificates: pair, RootCAs: pool, ServerName: "mx.example.fr"}
}

// metric answers a counter or gauge of a role, or of none.
func (f *fixture) metric(name, role string) float64 {
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := ""
			for _, label := range m.GetLabel() {
				labels += label.GetValue() + " "
			}
			if strings.Contains(labels, role) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

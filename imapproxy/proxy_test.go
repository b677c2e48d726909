package imapproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/prometheus/client_golang/prometheus"

	"balorg/configs"
	"balorg/imapproxy/embedded"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	sessions "balorg/policy/session"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/sent"
	"balorg/store/storetest"
	"balorg/store/subscription"
	"balorg/store/transfer"
)

// The demo's people and mailboxes.
const (
	domain      = "@clinique-des-sapins.fr"
	noemie      = "noemie.martin" + domain
	claire      = "claire.durand" + domain
	paul        = "paul.bernard" + domain
	secretariat = "secretariat" + domain
	urgences    = "urgences" + domain
)

// fixture is a proxy over the demo's accounts, with a real policy, a real trace and the real embedded store in memory.
type fixture struct {
	t         testing.TB
	proxy     *Proxy
	boxes     *mailbox.Store
	trace     *audit.Log
	sessions  *sessions.Table
	transfers *transfer.Table
	sent      *sent.Table
	st        store.Store

	mu   sync.Mutex
	snap *policy.Snapshot
}

func newFixture(tb testing.TB, change func(*Options)) *fixture {
	tb.Helper()
	st := storetest.New(tb)
	bodies, err := body.New(st, tb.TempDir(), body.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	f := &fixture{t: tb, boxes: mailbox.New(st, bodies, mailbox.Options{Names: mailbox.FrenchNames}), trace: audit.New(st), sessions: &sessions.Table{}, transfers: transfer.New(st), sent: sent.New(st), st: st}
	storetest.CheckAtEnd(tb, st, f.boxes, f.sent, f.trace.Checker(), body.Checker{Bodies: bodies, Referrers: []body.Referrer{f.boxes}})
	f.load(nil)
	opt := Options{
		Snapshot: f.snapshot, Auth: fakeAuth{f}, Trace: f.trace, Sessions: f.sessions, Subscriptions: subscription.New(st), Transfers: f.transfers, Sent: f.sent, SpoolDir: tb.TempDir(), SentWait: 50 * time.Millisecond,
		Stores: map[string]MailStore{"local": localStore{embedded.New(f.boxes, embedded.Options{})}},
		Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), InsecureLogin: true,
	}
	if change != nil {
		change(&opt)
	}
	f.proxy = New(opt)
	return f
}

// load reads the demo's files, after edit has changed the delegations' text.
func (f *fixture) load(edit func(string) string) {
	f.t.Helper()
	read := func(name string) string {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			f.t.Fatal(err)
		}
		return string(content)
	}
	delegations := read("delegations.yaml")
	if edit != nil {
		edited := edit(delegations)
		if edited == delegations {
			f.t.Fatal("the edit changes nothing")
		}
		delegations = edited
	}
	roster, problems := policy.Load(policy.Source{
		Accounts:    []configs.File{{Name: "accounts.yaml", Data: []byte(read("accounts.yaml"))}},
		Delegations: []configs.File{{Name: "delegations.yaml", Data: []byte(delegations)}},
		Mailstores:  []string{"local"},
	})
	if err := problems.Err(); err != nil {
		f.t.Fatal(err)
	}
	var ids []policy.Identity
	for _, a := range roster.Accounts {
		id := mail.AccountID((strings.ReplaceAll(strings.ReplaceAll(a.Address.Local(), ".", "x"), "-", "y") + "aaaaaaaaaaaaaaaa")[:16])
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

// records answers the trace of an action.
func (f *fixture) records(action audit.Action) []audit.Record {
	f.t.Helper()
	var all []audit.Record
	err := f.trace.List(f.t.Context(), audit.Filter{Action: action}, func(r audit.Record) bool {
		all = append(all, r)
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// fakeAuth takes "ok" as everybody's password.
type fakeAuth struct{ f *fixture }

func (fakeAuth) Mechanisms() []string {
	return []string{auth.MechanismPlain, auth.MechanismLogin}
}

func (a fakeAuth) Authenticate(_ context.Context, req auth.Request) (auth.Result, error) {
	login, err := policy.ParseLogin(req.User, req.Authzid)
	if err != nil || req.Password.Reveal() != "ok" {
		return auth.Result{}, &auth.Refusal{Reason: policy.Reason{Text: "wrong"}}
	}
	person, access, ok := a.f.snapshot().Resolve(login)
	if !ok {
		return auth.Result{}, &auth.Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox}
	}
	return auth.Result{Person: person, Mailbox: access.Mailbox, Access: access}, nil
}

type localStore struct{ server *embedded.Server }

func (l localStore) Open(ctx context.Context, who Who) (io.ReadWriteCloser, error) {
	return l.server.Open(ctx, embedded.Who{Account: who.Account, Person: who.Person, Quota: who.Quota})
}

func (l localStore) Capabilities() []string { return l.server.Capabilities() }

// client is a scripted client: it writes what it is told and reads whole responses.
type client struct {
	t     testing.TB
	conn  net.Conn
	lines chan string // responses, literals inline, without their last line end; closed at the connection's end
	tag   int
	ended chan struct{} // closed when the proxy has let go of the connection
}

const clientTimeout = 20 * time.Second

// dialRaw connects a client that reads nothing yet.
func (f *fixture) dialRaw() *client {
	f.t.Helper()
	ours, theirs := net.Pipe()
	c := &client{t: f.t, conn: ours, lines: make(chan string, 1<<16), ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		f.proxy.Serve(f.t.Context(), theirs, false)
	}()
	f.t.Cleanup(c.close)
	return c
}

// dial connects a client and reads the greeting.
func (f *fixture) dial() *client {
	f.t.Helper()
	c := f.dialRaw()
	c.read(c.conn)
	if greeting := c.next(); !strings.HasPrefix(greeting, "* OK [CAPABILITY ") {
		f.t.Fatalf("greeting %q", greeting)
	}
	return c
}

// read gives the responses in r to next.
func (c *client) read(r io.Reader) {
	lines := c.lines
	go func() {
		defer close(lines)
		br := bufio.NewReader(r)
		for {
			var whole strings.Builder
			for {
				line, err := br.ReadString('\n')
				if err != nil {
					return
				}
				line = strings.TrimRight(line, "\r\n")
				whole.WriteString(line)
				var n int
				at := strings.LastIndexByte(line, '{')
				if at < 0 || !strings.HasSuffix(line, "}") {
					break
				}
				if _, err := fmt.Sscanf(line[at:], "{%d}", &n); err != nil {
					break
				}
				literal := make([]byte, n)
				if _, err := io.ReadFull(br, literal); err != nil {
					return
				}
				whole.WriteString("\r\n")
				whole.Write(literal)
			}
			lines <- whole.String()
			if strings.HasSuffix(whole.String(), "DEFLATE active") {
				br = bufio.NewReader(flate.NewReader(br))
			}
		}
	}()
}

func (c *client) close() {
	c.conn.Close()
	select {
	case <-c.ended:
	case <-time.After(clientTimeout):
		c.t.Error("the proxy does not let go of a connection that ended")
	}
}

// next answers the next response, "" at the connection's end.
func (c *client) next() string {
	c.t.Helper()
	select {
	case line := <-c.lines:
		return line
	case <-time.After(clientTimeout):
		c.t.Fatal("no response")
		return ""
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("sending %.60q: %v", text, err)
	}
}

// until reads up to the response that begins with prefix and answers all of them.
func (c *client) until(prefix string) []string {
	c.t.Helper()
	var all []string
	for {
		line := c.next()
		all = append(all, line)
		if strings.HasPrefix(line, prefix) {
			return all
		}
		if line == "" {
			c.t.Fatalf("the connection ended before %q: %q", prefix, all)
		}
	}
}

// do runs a command and answers its responses, the tagged one last and without its tag. A literal in the command is non-synchronising.
func (c *client) do(command string) []string {
	c.t.Helper()
	c.tag++
	tag := fmt.Sprintf("t%d ", c.tag)
	c.send(tag + command + "\r\n")
	all := c.until(tag)
	all[len(all)-1] = strings.TrimPrefix(all[len(all)-1], tag)
	return all
}

// ok is do for a command that must succeed.
func (c *client) ok(command string) []string {
	c.t.Helper()
	all := c.do(command)
	if last := all[len(all)-1]; !strings.HasPrefix(last, "OK") {
		c.t.Fatalf("%.80s: %s", command, last)
	}
	return all
}

// no is do for a command that must fail with an answer that begins with want.
func (c *client) no(command, want string) {
	c.t.Helper()
	all := c.do(command)
	if last := all[len(all)-1]; !strings.HasPrefix(last, want) {
		c.t.Errorf("%.80s: %s, want %s", command, last, want)
	}
}

func (f *fixture) login(user string) *client {
	f.t.Helper()
	c := f.dial()
	c.ok(fmt.Sprintf("LOGIN %q ok", user))
	return c
}

func message(id string) string {
	return fmt.Sprintf("From: a@b.fr\r\nSubject: %s\r\nMessage-ID: <%[1]s@b.fr>\r\n\r\nbody of %[1]s\r\n", id)
}

func (c *client) append(folder, id, options string) {
	c.t.Helper()
	m := message(id)
	c.ok(fmt.Sprintf("APPEND %q %s{%d+}\r\n%s", folder, options, len(m), m))
}

// has answers whether one of the responses is want.
func has(responses []string, want string) bool { return slices.Contains(responses, want) }

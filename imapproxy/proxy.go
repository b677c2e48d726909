// Package imapproxy is IMAP towards clients and towards mail stores: a command-aware streaming proxy. It logs a person in,
// merges the mailboxes they may open into one name space, checks the rights of every command against the current policy
// snapshot, and pipes what belongs to the selected mailbox to its mail store and back, octet for octet.
//
// Invariants:
//   - Nothing that a client sends before it is a whole command, nor the octets of a refused literal, ever runs.
//   - A session has at most one selected mailbox, and only its mail store's untagged data reaches the client.
//   - The tagged answer of a traced command is sent after its record is durable.
//   - Every decision about rights is asked of the snapshot when the command arrives, never remembered from login.
//
// One goroutine a session reads commands; responses are read by it as well, or by one per mail-store connection (reading.go). All that the client
// sees goes through output, whose lock is held for a whole response.
package imapproxy

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	sessions "balorg/policy/session"
	"balorg/store/audit"
	"balorg/store/sent"
	"balorg/store/transfer"
)

// Who is the mailbox a connection to a mail store is opened as.
type Who struct {
	Account mail.AccountID
	Address mail.Address
	Person  mail.AccountID // on whose behalf
	Quota   int64          // octets; 0: none
	Client  netip.AddrPort
}

// MailStore keeps mailboxes and speaks IMAP about them.
type MailStore interface {
	// Open connects as the mailbox. The stream begins with "* PREAUTH [CAPABILITY …]", for whatever log-in was needed is
	// done. It must be safe to close it while it is being read and written.
	Open(ctx context.Context, who Who) (io.ReadWriteCloser, error)
	// Capabilities are those every connection of the store will have, without opening one. Nobody changes the list.
	Capabilities() []string
}

// Authenticator says who logs in.
type Authenticator interface {
	Authenticate(ctx context.Context, req auth.Request) (auth.Result, error)
	// Mechanisms are the SASL mechanisms on offer.
	Mechanisms() []string
}

// Trace keeps what was done; Append answers when the record is durable.
type Trace interface {
	Append(ctx context.Context, r audit.Record) error
	// Later is for what no answer depends on: it is durable a moment later.
	Later(r audit.Record)
}

// Subscriptions are each person's own: a folder counts as subscribed until the person says otherwise.
type Subscriptions interface {
	// Overrides answers what the person said of the account's folders, by their UTF-8 names.
	Overrides(ctx context.Context, person, account mail.AccountID) (map[string]bool, error)
	Set(ctx context.Context, person, account mail.AccountID, folder string, subscribed bool) error
}

// Transfers are the copies and moves between mail stores that are under way, kept through a crash.
type Transfers interface {
	Put(ctx context.Context, t transfer.Transfer) error
	Delete(ctx context.Context, ids ...string) error
	All(ctx context.Context) ([]transfer.Transfer, error)
}

// Options are what a Proxy works with. All but the numbers must be given.
type Options struct {
	Snapshot      func() *policy.Snapshot
	Auth          Authenticator
	Stores        map[string]MailStore // by the names accounts use
	Trace         Trace
	Sessions      *sessions.Table
	Subscriptions Subscriptions
	Transfers     Transfers
	Sent          *sent.Table // what was submitted lately
	TLS           *tls.Config // nil: no STARTTLS
	Logger        *slog.Logger
	Metrics       prometheus.Registerer

	Hostname      string        // stands in the greeting; "" means balorg
	SharedPrefix  string        // folder that holds the other mailboxes; "" means Comptes
	MaxMessage    int64         // octets of a message that may be appended; 0 means 100 MB
	MaxCompressed int           // sessions that may use COMPRESS at a time, since each costs memory; 0 means 200
	IdleTimeout   time.Duration // 0 means 30 minutes
	StallTimeout  time.Duration // how long a mail store may owe an answer and say nothing; 0 means 3 minutes
	InsecureLogin bool          // allow log-in before TLS
	AnyHeader     bool          // append what is not ASCII in headers for every client, which UTF8=ACCEPT forbids: it is not offered then
	SpoolDir      string        // gets the larger ones of messages that may have been submitted here; "" means they are not recognised
	SentWait      time.Duration // how long such a message waits for its copy to be placed; 0 means 3 seconds
}

// Defaults of Options.
const (
	defaultPrefix        = "Comptes"
	defaultMaxMessage    = 100 << 20
	defaultMaxCompressed = 200
	defaultSentWait      = 3 * time.Second
)

// Proxy serves IMAP.
type Proxy struct {
	opt        Options
	log        *slog.Logger
	commands   map[string]command
	metrics    metrics
	compressed atomic.Int64

	mu      sync.Mutex
	moving  map[string]bool             // ids of transfers that a session is working on
	folders map[mail.AccountID][]folder // the last list each mail store gave, for when it cannot be asked
	offers  map[string]offer            // what each mail store's last connection offered, by the mail stores' names
}

// New makes a proxy.
func New(opt Options) *Proxy {
	if opt.Hostname == "" {
		opt.Hostname = "balorg"
	}
	if opt.SharedPrefix == "" {
		opt.SharedPrefix = defaultPrefix
	}
	if opt.MaxMessage == 0 {
		opt.MaxMessage = defaultMaxMessage
	}
	if opt.MaxCompressed == 0 {
		opt.MaxCompressed = defaultMaxCompressed
	}
	if opt.IdleTimeout == 0 {
		opt.IdleTimeout = defaultIdle
	}
	if opt.StallTimeout == 0 {
		opt.StallTimeout = defaultStall
	}
	if opt.SentWait == 0 {
		opt.SentWait = defaultSentWait
	}
	return &Proxy{
		opt: opt, log: opt.Logger, commands: newCommands(), metrics: newMetrics(opt.Metrics),
		folders: make(map[mail.AccountID][]folder), offers: make(map[string]offer), moving: make(map[string]bool),
	}
}

// Serve speaks IMAP on conn until the client leaves or ctx ends, and closes it. secure says that TLS is on already.
func (p *Proxy) Serve(ctx context.Context, conn net.Conn, secure bool) {
	if c, ok := conn.(*tls.Conn); ok && !handshake(ctx, c) {
		return
	}
	s := newSession(ctx, p, conn, secure)
	defer s.close()
	p.metrics.connections.Inc()
	defer p.metrics.connections.Dec()
	s.serve()
}

// handshake brings TLS up in bounded time, or closes the connection.
func handshake(ctx context.Context, conn *tls.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close() //nolint:errcheck // it never opened
		return false
	}
	return true
}

// folder is one folder of an account, as its mail store lists it.
type folder struct {
	name  string // wire form, as the account's owner sees it
	attrs []string
}

type metrics struct {
	connections prometheus.Gauge
	logins      *prometheus.CounterVec
	commands    *prometheus.CounterVec
	panics      prometheus.Counter
	transfers   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_imapproxy_connections_count", Help: "Open IMAP connections.",
		}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_imapproxy_logins_total", Help: "Log-ins over IMAP, by result: ok, refused or temporary.",
		}, []string{"result"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_imapproxy_commands_total", Help: "IMAP commands of clients, by command; unknown ones count as other.",
		}, []string{"command"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_imapproxy_panics_total", Help: "IMAP sessions ended by a fault of the program.",
		}),
	}
	m.transfers = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "balorg_imapproxy_unfinished_transfers_count", Help: "Copies and moves between mail stores that a crash or a store that is down has left unfinished.",
	})
	reg.MustRegister(m.connections, m.logins, m.commands, m.panics, m.transfers)
	return m
}

// Time a client may take. Before login the whole dialogue counts; afterwards RFC 9051, 5.4 asks for at least 30 minutes.
const (
	handshakeTimeout = 30 * time.Second
	preLoginTimeout  = 3 * time.Minute
	defaultIdle      = 30 * time.Minute
	writeTimeout     = 5 * time.Minute // for one write: a client that takes nothing for that long is gone
	byeTimeout       = time.Second     // for the last word
)

// Limits on what a client may send.
const (
	maxFailures = 3 // log-ins on one connection

	preLoginLine    = 8 << 10
	preLoginLiteral = 8 << 10
	loggedInLine    = 64 << 10
	loggedInLiteral = 64 << 10
	loggedInCommand = 256 << 10
)

func preLoginLimits() wire.Limits {
	return wire.Limits{Line: preLoginLine, Literal: preLoginLiteral, Command: 4 * preLoginLine}
}

// loggedInLimits let a message that is refused be skipped, so that its client is told why.
func (p *Proxy) loggedInLimits() wire.Limits {
	return wire.Limits{Line: loggedInLine, Literal: loggedInLiteral, Command: loggedInCommand, Message: p.opt.MaxMessage}
}

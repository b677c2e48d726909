package smtp

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	sessions "balorg/policy/session"
	"balorg/smtp/wire"
	"balorg/store/audit"
)

// Role is what a listener is for.
type Role string

// The roles.
const (
	Submission Role = "submission" // people of this platform send (RFC 6409)
	Inbound    Role = "inbound"    // other operators deliver
	LMTP       Role = "lmtp"       // a mail server beside us delivers (RFC 2033)
)

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

// Handler decides what becomes of one session's messages. Its methods are called from the session's goroutine only. An error that is
// a *wire.Reply is the client's answer; others are turned into one by this package, their cause goes to the log.
type Handler interface {
	// Mail begins a transaction; whatever the handler kept of the one before is of no use any more.
	Mail(ctx context.Context, from wire.Sender) error
	// Rcpt takes one recipient more. Other than over LMTP, it is not asked again about an address it has taken.
	Rcpt(ctx context.Context, to wire.Recipient) error
	// Data takes the message. It reads content until io.EOF and gives back any other error it meets. env is its own. It answers one reply, over LMTP
	// one for each recipient of env, in their order; an error stands for all. A positive reply means that the message
	// is on disk.
	Data(ctx context.Context, env *wire.Envelope, content io.Reader) ([]wire.Reply, error)
}

// Client is who a session is with. The session's goroutine changes it, so that a Handler sees it as it is at the time of each call.
type Client struct {
	Session string // id, as in the log and the trace
	Role    Role
	Address netip.AddrPort // not valid on a unix socket
	Hello   string         // the name it gave itself, made of what domains and literals are made of; "unknown" when it was another
	TLS     *tls.ConnectionState
	Login   auth.Result // of submission: whose session it is
	Log     *slog.Logger
}

// Verified tells whether the client has shown a certificate, and the listener's TLS configuration has verified it.
func (c *Client) Verified() bool { return c.TLS != nil && len(c.TLS.VerifiedChains) > 0 }

// Service is what a role works with.
type Service struct {
	NewHandler    func(*Client) Handler
	TLS           *tls.Config  // nil: no STARTTLS
	RequireTLS    bool         // no transaction without TLS; of submission always so, unless InsecureLogin
	InsecureLogin bool         // of submission: allow log-in before TLS
	Postmaster    mail.Address // what RCPT TO:<postmaster> means; "": nobody
	MaxMessage    int64        // octets of a message; 0 means 100 MB
	MaxRecipients int          // of a message; 0 means 100, the least that RFC 5321, 4.5.3.1.8 allows
	MaxMessages   int          // of a connection; 0 means 1000
	MaxRefusals   int          // of commands, until the connection is closed; 0 means 10
}

// Options are what a Server works with. Those of login are needed by submission only.
type Options struct {
	Services map[Role]Service
	Snapshot func() *policy.Snapshot
	Auth     Authenticator
	Trace    Trace
	Sessions *sessions.Table
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	Hostname string // stands in the greeting; "" means localhost
}

// Defaults of Service.
const (
	defaultMaxMessage    = 100 << 20
	defaultMaxRecipients = 100
	defaultMaxMessages   = 1000
	defaultMaxRefusals   = 10
)

// Server serves SMTP and LMTP.
type Server struct {
	opt      Options
	log      *slog.Logger
	commands map[string]command
	metrics  metrics
}

// New makes a server.
func New(opt Options) *Server {
	if opt.Hostname == "" {
		opt.Hostname = "localhost"
	}
	services := make(map[Role]Service, len(opt.Services))
	for role, service := range opt.Services {
		services[role] = service.withDefaults(role)
	}
	opt.Services = services
	return &Server{opt: opt, log: opt.Logger, commands: newCommands(), metrics: newMetrics(opt.Metrics)}
}

func (s Service) withDefaults(role Role) Service {
	if s.MaxMessage == 0 {
		s.MaxMessage = defaultMaxMessage
	}
	if s.MaxRecipients == 0 {
		s.MaxRecipients = defaultMaxRecipients
	}
	if s.MaxMessages == 0 {
		s.MaxMessages = defaultMaxMessages
	}
	if s.MaxRefusals == 0 {
		s.MaxRefusals = defaultMaxRefusals
	}
	s.RequireTLS = s.RequireTLS || role == Submission && !s.InsecureLogin
	return s
}

// Serve speaks with a client until it leaves or ctx ends, and closes conn. A *tls.Conn has its handshake here. The role must be one
// of the Services.
func (s *Server) Serve(ctx context.Context, conn net.Conn, role Role) {
	if c, ok := conn.(*tls.Conn); ok {
		if err := handshake(ctx, c); err != nil {
			s.log.DebugContext(ctx, "TLS handshake with a client", slog.Any("client", conn.RemoteAddr()), slog.Any("error", err))
			return
		}
	}
	c := newSession(ctx, s, conn, role)
	defer c.close()
	connections := s.metrics.connections.WithLabelValues(string(role))
	connections.Inc()
	defer connections.Dec()
	c.serve()
}

// handshake brings TLS up in bounded time, or closes the connection.
func handshake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if err != nil {
		conn.Close() //nolint:errcheck // it never opened
	}
	return err
}

type metrics struct {
	connections *prometheus.GaugeVec
	logins      *prometheus.CounterVec
	messages    *prometheus.CounterVec
	broken      *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	panics      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "balorg_smtp_connections_count", Help: "Open SMTP and LMTP connections, by role: submission, inbound or lmtp.",
		}, []string{"role"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_smtp_logins_total", Help: "Log-ins over SMTP, by result: ok, refused or temporary.",
		}, []string{"result"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_smtp_messages_total",
			Help: "Messages received whole, by role and by result: ok, refused or temporary; over LMTP once for each recipient.",
		}, []string{"role", "result"}),
		broken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_smtp_broken_messages_total", Help: "Messages whose end never came, by role: the connection was closed.",
		}, []string{"role"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_smtp_refusals_total", Help: "Commands answered with a permanent error, by role.",
		}, []string{"role"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_smtp_panics_total", Help: "SMTP and LMTP sessions ended by a fault of the program.",
		}),
	}
	reg.MustRegister(m.connections, m.logins, m.messages, m.broken, m.refusals, m.panics)
	return m
}

// Time a client may take.
const (
	handshakeTimeout = 30 * time.Second
	preLoginTimeout  = 5 * time.Minute // submission: all of the dialogue until somebody has logged in
	commandTimeout   = 5 * time.Minute // RFC 5321, 4.5.3.2.7: at least that
	writeTimeout     = 5 * time.Minute // for one write: a client that takes nothing for that long is gone
	byeTimeout       = time.Second     // for the last word

	// The content of a message. RFC 5321, 4.5.3.2.5 has clients wait 3 minutes for each block; who sends a few octets now and
	// then is to be cut all the same, and nobody may hold a message open for ever.
	blockTimeout = 3 * time.Minute
	dataGrace    = 5 * time.Minute // until the floor on the rate counts
	dataRate     = 1 << 10         // octets a second on average: the floor
	dataTimeout  = time.Hour       // for all of it

	// commitTimeout is for what the handler does once it has everything: RFC 5321, 4.5.3.2.6 has clients wait 10 minutes for the answer.
	commitTimeout = 9 * time.Minute
)

// Package relay hands messages to the next hop: a smarthost, the mail exchangers of a domain, or over LMTP a mail server beside us.
//
// Invariants:
//   - Delivered is said only of what the next hop has answered 2xx to after the end of the message.
//   - A message whose octets could not all be read is never ended: the connection is cut instead.
//   - Without TLS nothing is sent, unless the configuration says otherwise with the word insecure. With MutualTLS nothing is sent to who is not
//     the operator of the recipients' domain.
//   - Every address on a command line is printed anew from a mail.Address.
//   - No goroutine outlives Send; connections that wait for the next message are closed by their timers, and by Close.
package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy/auth"
	"balorg/smtp/wire"
)

// Security is what protects a connection.
type Security string

// The kinds of protection.
const (
	StartTLS     Security = "starttls" // by the command
	TLS          Security = "tls"      // from the first octet
	InsecureNone Security = "none"     // mail in the clear
)

// Resolver answers what the DNS says; *net.Resolver is one.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// Options say where mail goes and how.
type Options struct {
	Hostname  string // of ours, as EHLO tells it and as mail exchangers may name it
	Smarthost string // host:port, or for LMTP also unix:path; empty: the mail exchangers of each domain
	LMTP      bool   // Smarthost speaks LMTP (RFC 2033)
	Port      string // of mail exchangers; "" means 25

	Security Security    // "" means StartTLS
	TLS      *tls.Config // with roots and our certificate; ServerName "" means the host's name
	// Matches tells whether a certificate is that of an operator of a domain. Not nil: mutual TLS, and the certificate of a mail exchanger
	// must have it so, whatever host it names.
	Matches func(domain string, cert *x509.Certificate) bool

	User     string // of AUTH PLAIN; empty: none
	Password auth.Secret

	MaxConnections int // for each destination; 0 means 20
	Timeouts       Timeouts
	Resolver       Resolver                                                // nil: the system's
	Dial           func(context.Context, string, string) (net.Conn, error) // nil: the network's
	Logger         *slog.Logger
	Metrics        prometheus.Registerer
}

// Timeouts bound each wait. The zero value means those of RFC 5321, 4.5.3.2.
type Timeouts struct {
	Connect  time.Duration `yaml:"connect,positive"`
	Greeting time.Duration `yaml:"greeting,positive"`
	Command  time.Duration `yaml:"command,positive"`
	Data     time.Duration `yaml:"data,positive"`  // for the answer to DATA
	Block    time.Duration `yaml:"block,positive"` // for the next hop to take what is written at once
	Final    time.Duration `yaml:"final,positive"` // for the answer to the end of a message
	Total    time.Duration `yaml:"total,positive"` // for all of an attempt
}

func (t Timeouts) withDefaults() Timeouts {
	t.Connect = cmp.Or(t.Connect, 30*time.Second) // the RFC names none
	t.Greeting = cmp.Or(t.Greeting, 5*time.Minute)
	t.Command = cmp.Or(t.Command, 5*time.Minute)
	t.Data = cmp.Or(t.Data, 2*time.Minute)
	t.Block = cmp.Or(t.Block, 3*time.Minute)
	t.Final = cmp.Or(t.Final, 10*time.Minute)
	t.Total = cmp.Or(t.Total, time.Hour) // a next hop that takes octets one by one holds a connection no longer
	return t
}

const defaultConnections = 20

// Message is what is sent.
type Message struct {
	ID     string // for the log
	Sender wire.Sender
	Size   int64 // in octets
	// Open answers the octets, from the start. Lines end in CRLF.
	Open func() (io.ReadCloser, error)
}

// Result is what an attempt came to.
type Result uint8

// The results.
const (
	Deferred Result = iota // to be tried again
	Delivered
	Failed
)

func (r Result) String() string { return [...]string{"deferred", "delivered", "failed"}[r] }

// Outcome is what an attempt came to for one recipient.
type Outcome struct {
	Result Result
	Reply  wire.Reply // of the next hop; when it has said nothing, ours
	Peer   string     // name and address of the next hop, as far as one was reached
	TLS    string     // its version; empty: none
	// Relayed says that the next hop sends no report of success, though the sender asked for one (RFC 3461, 5.2.2).
	Relayed bool
	// Unreachable says that no next hop could even be asked.
	Unreachable bool
}

// Relay sends to one smarthost, or to mail exchangers. Its methods may be used by any number of goroutines.
type Relay struct {
	opt      Options
	log      *slog.Logger
	pool     pool
	doubtful prometheus.Counter
}

// New makes a Relay. Nothing is connected yet.
func New(opt Options) *Relay {
	opt.Timeouts = opt.Timeouts.withDefaults()
	opt.MaxConnections = cmp.Or(opt.MaxConnections, defaultConnections)
	opt.Security = cmp.Or(opt.Security, StartTLS)
	opt.Port = cmp.Or(opt.Port, "25")
	if opt.Resolver == nil {
		opt.Resolver = net.DefaultResolver
	}
	if opt.Dial == nil {
		d := &net.Dialer{}
		opt.Dial = d.DialContext
	}
	if opt.TLS == nil {
		opt.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Relay{opt: opt, log: opt.Logger, doubtful: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "balorg_smtp_relay_doubtful_total",
		Help: "Recipients of messages whose last octet was sent and never answered: they are sent again, and may arrive twice.",
	})}
	r.pool.init(opt.MaxConnections)
	if opt.Metrics != nil {
		opt.Metrics.MustRegister(r.doubtful)
	}
	return r
}

// Close closes the connections that wait for a message.
func (r *Relay) Close() { r.pool.close() }

// smarthostName names the only destination when there is a smarthost.
const smarthostName = "smarthost"

// Destination names where mail for an address goes: recipients of one destination can be sent to together.
func (r *Relay) Destination(to mail.Address) string {
	if r.opt.Smarthost != "" {
		return smarthostName
	}
	return to.Domain()
}

// errTotal ends an attempt.
var errTotal = errors.New("the next hop is too slow")

// Send tries once to hand a message on to recipients of one destination, and answers an outcome for each, in their order.
func (r *Relay) Send(ctx context.Context, m Message, to []wire.Recipient) []Outcome {
	if len(to) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.opt.Timeouts.Total, errTotal)
	defer cancel()
	dest := r.Destination(to[0].Address)
	t := newTransaction(r, m, to)
	for i := range to { // with mutual TLS the connection is good for one domain only
		if r.Destination(to[i].Address) != dest {
			t.settle(i, Deferred, wire.NewReply(451, "4.3.5", "Internal error: %s goes elsewhere", to[i].Address.Domain()))
		}
	}
	release, err := r.pool.acquire(ctx, dest)
	if err != nil {
		t.settleAll(Deferred, wire.NewReply(451, "4.3.2", "Waiting for a connection: %v", err))
		return t.outcomes
	}
	defer release()
	if c := r.pool.take(dest); c != nil {
		if r.still(c) && t.run(ctx, c) {
			return t.outcomes
		}
		c.close()
	}
	c, refusal := r.connect(ctx, dest)
	if refusal != nil {
		for i := range t.outcomes {
			t.outcomes[i].Unreachable = t.outcomes[i].Unreachable || !t.done[i] && refusal.result == Deferred
		}
		t.settleAll(refusal.result, refusal.reply)
		return t.outcomes
	}
	t.run(ctx, c)
	return t.outcomes
}

// still tells whether the operator of a connection is still that of its destination.
func (r *Relay) still(c *conn) bool { return r.opt.Matches == nil || r.opt.Matches(c.dest, c.cert) }

// refusal is why there is no connection.
type refusal struct {
	result Result
	reply  *wire.Reply
}

// connect opens a connection to the first host of a destination that takes one.
func (r *Relay) connect(ctx context.Context, dest string) (*conn, *refusal) {
	targets, refused := r.targets(ctx, dest)
	if refused != nil {
		return nil, refused
	}
	var last error
	for _, target := range targets {
		c, err := r.open(ctx, target, dest)
		if err == nil {
			return c, nil
		}
		last = fmt.Errorf("%s: %w", target.peer(), err)
		r.log.WarnContext(ctx, "next hop cannot be used", slog.String("destination", dest), slog.String("peer", target.peer()), slog.Any("error", err))
		if ctx.Err() != nil {
			last = context.Cause(ctx)
			break
		}
	}
	return nil, &refusal{Deferred, wire.NewReply(451, "4.4.1", "No next hop: %v", last)}
}

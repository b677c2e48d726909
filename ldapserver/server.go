// Package ldapserver is LDAP towards clients: the directory of this platform's accounts and of the trust space (RFC 4511).
//
// A connection is one goroutine over a loop of its own: whole messages are taken from its buffer, answered one after another into another buffer, and
// that is written when nothing more is there to be answered. A search costs microseconds, so that nothing is won by doing several at once;
// what has to wait for another server (Remote) goes on beside, in bounded number, and can be abandoned.
//
// What a client may see is policy's to decide and package directory's to obey. Here it is asked anew for each request, on the view of that moment: a reload
// takes effect for the next search, and for the next page of one that is under way.
package ldapserver

import (
	"context"
	"crypto/cipher"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/store/audit"
)

// Defaults of Limits.
const (
	defaultEntries      = 200
	defaultPagedEntries = 1000
	defaultTime         = 5 * time.Second
	defaultLetters      = 3
	defaultIdle         = 15 * time.Minute
)

// Limits bound what one client gets.
type Limits struct {
	Entries      int           // of one search; 0 means 200
	PagedEntries int           // of one search by pages in all; 0 means 1 000
	Time         time.Duration // of one search; 0 means 5 s
	Letters      int           // that a search inside values must give at least, when nothing else narrows it; 0 means 3
	PerPerson    int           // entries a person gets in an hour; 0 means no limit
	PerAddress   int           // entries an address gets in an hour, whoever logs in from there; 0 means no limit
	Idle         time.Duration // after which a silent connection is closed; 0 means 15 minutes
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = defaultEntries
	}
	if l.PagedEntries == 0 {
		l.PagedEntries = defaultPagedEntries
	}
	if l.Time == 0 {
		l.Time = defaultTime
	}
	if l.Letters == 0 {
		l.Letters = defaultLetters
	}
	if l.Idle == 0 {
		l.Idle = defaultIdle
	}
	return l
}

// Authenticator says who somebody is.
type Authenticator interface {
	Authenticate(ctx context.Context, req auth.Request) (auth.Result, error)
	// Mechanisms are the SASL mechanisms on offer.
	Mechanisms() []string
}

// Trace keeps records of what was done.
type Trace interface {
	Append(ctx context.Context, r audit.Record) error
}

// Remote is another directory that is searched along with ours.
type Remote interface {
	// Search answers up to limit entries that match, and more when there are more. The entries' names are theirs below the unit.
	Search(ctx context.Context, f *filter.Filter, limit int) ([]*entry.Entry, error)
}

// Options are what a Server works with.
type Options struct {
	Directory *directory.Directory
	Suffixes  []string          // the first is that of the names in answers; none means dc=mssante,dc=fr
	Remotes   map[string]Remote // by unit
	Auth      Authenticator
	Trace     Trace
	Sessions  *session.Table
	TLS       *tls.Config  // nil: no StartTLS
	Anonymous policy.Sight // what those see who have not logged in
	Proxies   []string     // addresses of accounts that may act for others (RFC 4370)
	Limits    Limits
	// InsecureBind lets passwords come in the clear.
	InsecureBind bool
	Logger       *slog.Logger
	Metrics      prometheus.Registerer
	Now          func() time.Time // nil: time.Now
}

// DefaultSuffix is the top of the directory when none is configured (domain: Directory).
const DefaultSuffix = "dc=mssante,dc=fr"

// Server answers LDAP connections.
type Server struct {
	opt     Options
	names   *directory.Names
	metrics metrics
	seal    cipher.AEAD // of cookies
	budget  budget
	binds   bindTrace
	root    rootEntries

	buffers  sync.Pool // of answers, *[]byte
	searches sync.Pool // of *search
	lookups  sync.Pool // of *lookups
}

// New makes a server. An error is about a suffix.
func New(opt Options) (*Server, error) {
	if len(opt.Suffixes) == 0 {
		opt.Suffixes = []string{DefaultSuffix}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Limits = opt.Limits.withDefaults()
	units := []string{directory.Local, directory.National}
	for unit := range opt.Remotes {
		units = append(units, unit)
	}
	names, err := directory.NewNames(opt.Suffixes, units)
	if err != nil {
		return nil, err
	}
	s := &Server{opt: opt, names: names, metrics: newMetrics(opt.Metrics, opt.Directory.View), seal: newSeal()}
	s.budget = newBudget(opt.Limits, opt.Now)
	s.binds = newBindTrace(opt.Now)
	s.root = newRootEntries(names, &opt)
	return s, nil
}

// Serve answers a connection until it ends. When ctx ends the client is told and the connection closed.
func (s *Server) Serve(ctx context.Context, nc net.Conn) {
	c := newConn(s, nc)
	defer c.close()
	if secured, ok := nc.(*tls.Conn); ok {
		shaking, cancel := context.WithTimeout(ctx, tlsTimeout)
		err := secured.HandshakeContext(shaking)
		cancel()
		if err != nil {
			return
		}
	}
	stop := context.AfterFunc(ctx, func() { c.End("the server is stopping") })
	defer stop()
	s.metrics.connections.Inc()
	defer s.metrics.connections.Dec()
	c.serve(ctx)
}

// Package origin is mail stores that are IMAP servers: Dovecot, Cyrus, Exchange. It connects, turns TLS on, logs in as a mailbox with
// credentials of the gateway's own, and answers a stream that begins with "* PREAUTH", as the proxy wants it of any mail store.
//
// Invariants:
//   - A connection is logged in as exactly the mailbox it was opened for, or not answered at all.
//   - Credentials go over TLS only, unless the configuration says otherwise with the word insecure, and are in no error or log.
//   - A server that is down costs a caller no time: after a failure it is left alone for a while that grows.
package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"balorg/imapproxy/socket"
	"balorg/mail"
	"balorg/policy/auth"
)

// LoginMode is how the gateway logs in as a mailbox.
type LoginMode string

// The ways to log in.
const (
	// LoginAuthzid is SASL PLAIN (RFC 4616): the mailbox is the authorization identity, User and Password are the gateway's.
	LoginAuthzid LoginMode = "authzid"
	// LoginMaster is Dovecot's master user: the user name is the mailbox, Separator and User.
	LoginMaster LoginMode = "master"
	// LoginSecret is a password for each mailbox, asked of Secret.
	LoginSecret LoginMode = "secret"
)

// Security is what protects a connection.
type Security string

// The kinds of protection.
const (
	TLS          Security = "tls"      // from the first octet
	StartTLS     Security = "starttls" // by the command
	InsecureNone Security = "none"     // credentials and mail in the clear
)

// Options say how a server is reached and logged in to.
type Options struct {
	Name      string   // of the mail store, for errors and the log
	Addresses []string // host:port; tried in order
	Security  Security
	TLS       *tls.Config // with its roots; ServerName "" means the address's host

	Login     LoginMode
	User      string
	Password  auth.Secret
	Separator string                                                  // of LoginMaster; "" means *
	Secret    func(mail.Address) (auth.Secret, error)                 // of LoginSecret
	Mailbox   func(mail.Address) string                               // what the server calls a mailbox; nil: its address
	Dial      func(context.Context, string, string) (net.Conn, error) // nil: the network's

	// MaxConnections bounds those open at a time; who comes when all are taken waits for Wait and is then told. 0 means 1000.
	MaxConnections int
	Logger         *slog.Logger
}

// Limits in time. A login that takes longer than these together is told as a failure of the server.
const (
	dialTimeout  = 5 * time.Second
	loginTimeout = 15 * time.Second
	slotTimeout  = 5 * time.Second

	defaultConnections = 1000
)

// ErrRefused is the answer of a server that does not let the gateway in as a mailbox: nothing that a retry would mend.
var ErrRefused = errors.New("the mail store refuses the log-in")

// Who is the mailbox a connection is opened as.
type Who struct {
	Address mail.Address
	Client  netip.AddrPort // told to the server by ID; the zero value is not
}

// Store is one mail store.
type Store struct {
	opt   Options
	log   *slog.Logger
	hosts []*host
	slots chan struct{} // one token a connection
	// parked are connections that wait for a session.
	parked parking
	lists  lists

	mu   sync.Mutex
	caps []string // of the last connection
	list string   // the same as a text
}

// New answers the mail store that opt describes. Nothing is connected yet.
func New(opt Options) *Store {
	if opt.MaxConnections == 0 {
		opt.MaxConnections = defaultConnections
	}
	if opt.Separator == "" {
		opt.Separator = "*"
	}
	if opt.Dial == nil {
		d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}}
		opt.Dial = d.DialContext
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{opt: opt, log: opt.Logger.With(slog.String("mailstore", opt.Name)), slots: make(chan struct{}, opt.MaxConnections)}
	for _, address := range opt.Addresses {
		s.hosts = append(s.hosts, &host{address: address})
	}
	return s
}

// Close closes the connections that wait for a session.
func (s *Store) Close() {
	for s.parked.evict() {
	}
}

// Capabilities answers what the server offered after the last login, none before the first. Nobody may change the list.
func (s *Store) Capabilities() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caps
}

// Open answers a connection that is logged in as a mailbox: one that another session is done with, or a new one.
func (s *Store) Open(ctx context.Context, who Who) (*Conn, error) {
	if c := s.parked.take(who); c != nil {
		c.fresh = true
		c.mailbox = who
		return c, nil
	}
	release, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(ctx, who)
	if err != nil {
		release()
		return nil, err
	}
	c.release, c.mailbox = release, who
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.caps, c.caps) {
		s.caps, s.list = c.caps, strings.Join(c.caps, " ")
	}
	c.caps, c.list = s.caps, s.list // one of each for all connections
	return c, nil
}

// slot takes one of the connections that may be open.
func (s *Store) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	default:
		s.parked.evict()
	}
	wait := time.NewTimer(slotTimeout)
	defer wait.Stop()
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-wait.C:
		return nil, fmt.Errorf("mail store %s: all %d connections are in use", s.opt.Name, s.opt.MaxConnections)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// connect tries the addresses in order. A refusal ends the search: another address of the same store would say the same.
func (s *Store) connect(ctx context.Context, who Who) (*Conn, error) {
	var failures []string
	for _, h := range s.hosts {
		if left := h.resting(time.Now()); left > 0 {
			failures = append(failures, fmt.Sprintf("%s: left alone for %s after a failure", h.address, left.Round(100*time.Millisecond)))
			continue
		}
		c, err := s.try(ctx, h, who)
		switch {
		case err == nil:
			h.worked()
			return c, nil
		case errors.Is(err, ErrRefused):
			h.worked()
			return nil, fmt.Errorf("mail store %s, %s as %s: %w", s.opt.Name, h.address, who.Address, err)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("mail store %s, %s: %w", s.opt.Name, h.address, context.Cause(ctx))
		}
		if h.failed(time.Now()) {
			s.log.WarnContext(ctx, "mail store's server does not answer", slog.String("address", h.address), slog.Any("error", err))
		}
		failures = append(failures, fmt.Sprintf("%s: %v", h.address, err))
	}
	return nil, fmt.Errorf("mail store %s: no server answers: %s", s.opt.Name, strings.Join(failures, "; "))
}

// try connects to one address and logs in. Some servers lose commands that come before they have answered the one before, or hang: one where
// logging in has failed so, and works step by step, is logged in to step by step from then on.
func (s *Store) try(ctx context.Context, h *host, who Who) (*Conn, error) {
	if h.stepwise.Load() {
		return s.tryOnce(ctx, h.address, who, true)
	}
	c, err := s.tryOnce(ctx, h.address, who, false)
	var ahead *aheadError
	if !errors.As(err, &ahead) || ctx.Err() != nil {
		return c, err
	}
	if c, again := s.tryOnce(ctx, h.address, who, true); again == nil {
		h.stepwise.Store(true)
		s.log.WarnContext(ctx, "mail store's server does not take several commands at a time", slog.String("address", h.address), slog.Any("error", err))
		return c, nil
	}
	return nil, err
}

// aheadError is an error of a log-in in which the server was sent several commands at a time.
type aheadError struct{ err error }

func (e *aheadError) Error() string { return e.err.Error() }
func (e *aheadError) Unwrap() error { return e.err }

func (s *Store) tryOnce(ctx context.Context, address string, who Who, stepwise bool) (*Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := s.opt.Dial(dialCtx, "tcp", address)
	if err != nil {
		return nil, err
	}
	raw = socket.Quick(raw)
	unwatch := context.AfterFunc(ctx, func() { raw.Close() }) //nolint:errcheck // the dialogue sees it
	var c *Conn
	if err = raw.SetDeadline(time.Now().Add(loginTimeout)); err == nil {
		c, err = s.login(ctx, raw, address, who, stepwise)
	}
	if !unwatch() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	raw.SetDeadline(time.Time{}) //nolint:errcheck // a connection that has ended meanwhile is noticed by its reader
	return c, nil
}

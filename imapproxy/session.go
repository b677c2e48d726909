package imapproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/policy"
	sessions "balorg/policy/session"
	"balorg/store/audit"
)

// state is where a session stands (RFC 9051, 3), as a set so that a command can name several.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected
	loggedOut

	loggedIn = authenticated | selected
	anyState = notAuthenticated | loggedIn
)

// session is one client's connection.
type session struct {
	p      *Proxy
	id     string
	client netip.AddrPort
	ctx    context.Context //nolint:containedctx // the session is its connection's life
	cancel context.CancelCauseFunc

	conn   *clientConn
	in     *wire.Reader
	out    *output
	secure bool

	compressed bool
	failures   int
	done       bool // LOGOUT, or a fault that ends the dialogue, has been answered

	// What follows is set at login.
	person  *policy.Account
	opened  *policy.Account // the mailbox that is the personal name space
	means   policy.Means    // what the person logged in with
	since   time.Time
	enabled []string // capabilities switched on by ENABLE, replayed on each connection to a mail store
	remove  func()   // takes the session out of the table

	sel *selection // what the client has selected; nil: nothing

	mu       sync.Mutex
	ups      map[mail.AccountID]*upstream // written by the session's goroutine only, under mu
	farewell string                       // the text of the BYE, once somebody has ended the session

	alone atomic.Pointer[upstream] // the mail store that the session's goroutine reads itself; nil: none
}

func newSession(ctx context.Context, p *Proxy, conn net.Conn, secure bool) *session {
	s := &session{p: p, id: sessions.NewID(), secure: secure, ups: make(map[mail.AccountID]*upstream)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if addr, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		s.client = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	s.useConn(conn)
	s.conn.until = time.Now().Add(preLoginTimeout)
	return s
}

// useConn makes conn the way to the client: at first, and behind TLS.
func (s *session) useConn(conn net.Conn) {
	var until time.Time
	if s.conn != nil {
		until = s.conn.until
	}
	s.conn = &clientConn{Conn: conn, idle: s.p.opt.IdleTimeout, until: until}
	s.in = wire.NewReader(s.conn, preLoginLimits())
	s.out = newOutput(s.conn)
}

// log answers a logger that says whose session it is. It is made for each line: few sessions ever have one, and thousands wait.
func (s *session) log() *slog.Logger {
	if s.conn == nil { // a worker
		return s.p.log
	}
	return slog.New(s.p.log.Handler().WithAttrs(s.who()))
}

// who is what a line of the log says of the session.
func (s *session) who() []slog.Attr {
	attrs := []slog.Attr{slog.Any("session", s.id), slog.Any("client", s.client)}
	if s.person != nil {
		attrs = append(attrs, slog.Any("person", s.person.Address), slog.Any("mailbox", s.opened.Address))
	}
	return attrs
}

// serve runs the dialogue.
func (s *session) serve() {
	stop := context.AfterFunc(s.ctx, func() { s.end("Server is shutting down", nil) })
	defer stop()
	defer s.fence()
	s.out.printf("* OK [CAPABILITY %s] %s ready\r\n", s.capabilities(), s.p.opt.Hostname)
	for !s.done {
		if !s.in.Buffered() {
			if err := s.flush(); err != nil {
				return
			}
			s.answerAlone()
			s.listen()
		}
		cmd, err := s.in.ReadCommand(s.proceed)
		if err != nil {
			if !s.readError(err) {
				break
			}
			continue
		}
		s.dispatch(cmd)
	}
	s.bye()
}

// flush sends what is waiting to the mail store and to the client.
func (s *session) flush() error {
	if s.sel != nil {
		if err := s.sel.up.flush(); err != nil {
			s.log().Debug("writing to the mail store", slog.Any("error", err)) // its reader ends the session
		}
	}
	return s.out.flush()
}

// proceed asks the client for the octets of a literal.
func (s *session) proceed() error {
	s.out.printf("+ OK\r\n")
	return s.out.flush()
}

// readError answers what could not be read as a command, and tells whether the dialogue goes on.
func (s *session) readError(err error) bool {
	var syntax *wire.SyntaxError
	switch {
	case errors.As(err, &syntax):
		tag := syntax.Tag
		if tag == "" {
			tag = "*"
		}
		s.out.printf("%s BAD %s\r\n", tag, syntax.Text)
		return s.countFault()
	case errors.Is(err, wire.ErrClose):
		s.say("Command too long")
	case errors.Is(err, errEnded):
	case errors.Is(err, io.EOF):
		s.finishPipeline()
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.say("Idle for too long")
	default:
		s.log().Debug("reading from the client", slog.Any("error", err))
	}
	return false
}

// finishPipeline waits for the answers to what was sent before the client closed its side: scripts send all and close.
func (s *session) finishPipeline() {
	if s.sel == nil {
		return
	}
	if err := s.sel.up.drain(s.ctx); err != nil {
		s.log().Debug("answering a client that has closed its side", slog.Any("error", err))
	}
}

// maxFaultsBeforeLogin ends the dialogue with clients that speak something else.
const maxFaultsBeforeLogin = 20

func (s *session) countFault() bool {
	if s.person != nil {
		return true
	}
	s.failures++
	if s.failures < maxFaultsBeforeLogin {
		return true
	}
	s.say("Too many faults")
	return false
}

// say sets the last word, unless one is set.
func (s *session) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.farewell == "" {
		s.farewell = text
	}
}

func (s *session) bye() {
	s.mu.Lock()
	text := s.farewell
	s.mu.Unlock()
	if text != "" {
		s.out.printf("* BYE %s\r\n", text)
	}
	if err := s.out.flush(); err != nil {
		s.log().Debug("last words to the client", slog.Any("error", err))
	}
}

// end ends the session from any goroutine: the client is told with BYE and text.
func (s *session) end(text string, cause error) {
	if cause == nil {
		cause = errEnded
	}
	s.say(text)
	s.cut(cause)
}

// cut ends the session from any goroutine, without a word of its own.
func (s *session) cut(cause error) {
	s.cancel(cause)
	s.mu.Lock()
	conn := s.conn // STARTTLS replaces it
	s.mu.Unlock()
	conn.interrupt()
	if u := s.alone.Load(); u != nil {
		u.conn.Close() //nolint:errcheck // its reader sees it
	}
}

// fence keeps a fault in one session from ending the daemon.
func (s *session) fence() {
	if v := recover(); v != nil {
		s.fault(v)
		s.say("Internal error")
		s.bye()
	}
}

// fault counts and logs a panic; it is called where that was recovered from.
func (s *session) fault(v any) {
	s.p.metrics.panics.Inc()
	s.log().Error("session ended by a fault of the program", slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
}

// close lets go of everything the session holds.
func (s *session) close() {
	s.cancel(errEnded)
	if s.remove != nil {
		s.remove()
	}
	if s.pumped() {
		s.conn.interrupt() // a mail store's reader may be waiting for a client that takes nothing
	}
	s.leave()
	for _, u := range s.ups {
		u.park()
	}
	if s.compressed {
		s.p.compressed.Add(-1)
	}
	s.conn.Close() //nolint:errcheck // the dialogue is over
	if s.person != nil {
		s.p.opt.Trace.Later(s.stamped(s.mine(audit.Record{Action: audit.SessionEnd})))
	}
}

// leaveTime is how long the end of a session waits for a mail store to let go of what is selected.
const leaveTime = time.Second

// leave deselects, where the connection can serve another session then.
func (s *session) leave() {
	if s.sel == nil || len(s.enabled) > 0 {
		return
	}
	up := s.sel.up
	up.mu.Lock()
	quiet := up.lost == nil && len(up.queue) == 0
	up.mu.Unlock()
	if _, ok := up.conn.(parker); !ok || !quiet || up.broken || !up.caps["UNSELECT"] {
		return
	}
	up.selection.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), leaveTime)
	defer cancel()
	if r, err := up.run(ctx, []byte("UNSELECT"), nil); err != nil || !r.ok() {
		up.broken = true // it may still have something selected
	}
}

// Info is what the table of sessions shows.
func (s *session) Info() sessions.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := sessions.Info{
		ID: s.id, Protocol: "imap", Person: s.person.Address, Mailbox: s.opened.Address, Client: s.client, Since: s.since,
	}.With(s.means)
	for _, u := range s.ups {
		info.Using = append(info.Using, u.account.Address)
	}
	slices.Sort(info.Using)
	return info
}

// End ends the session for an administrator.
func (s *session) End(why string) { s.end(why, nil) }

// Recheck holds the session against a new snapshot: it ends when its own mailbox or the one selected may no longer be opened as
// it is; connections to others that were lost are closed.
func (s *session) Recheck(snap *policy.Snapshot) {
	if !s.allowed(snap) {
		s.end("Access to the mailbox has been withdrawn", nil)
	}
}

func (s *session) allowed(snap *policy.Snapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound := snap.Bound(s.means.Only)
	if _, ok := bound.Open(s.person.ID, s.opened.ID); !ok {
		return false
	}
	for _, u := range s.ups {
		access, ok := bound.Open(s.person.ID, u.account.ID)
		if sel := u.selection.Load(); sel != nil && (!ok || !access.Rights.Has(sel.rights)) {
			return false
		}
		if !ok {
			u.conn.Close() //nolint:errcheck // its reader notices
		}
	}
	return true
}

// access answers what the person may do with an account now.
func (s *session) access(account mail.AccountID) (policy.Access, bool) {
	return s.rules().Open(s.person.ID, account)
}

// rules are those of the moment, as far as the session may use them.
func (s *session) rules() policy.Bound { return s.p.opt.Snapshot().Bound(s.means.Only) }

// upstream answers the session's connection to the mail store of an account, opened now if need be. The caller has checked
// that the person may open it.
func (s *session) upstream(account *policy.Account) (*upstream, error) {
	if u := s.ups[account.ID]; u != nil {
		if u.usable() {
			u.used = time.Now()
			return u, nil
		}
		s.forget(u)
	}
	u, err := openUpstream(s.ctx, s, account)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.ups[account.ID] = u
	s.mu.Unlock()
	// A reload between the caller's check and the line above did not see this connection.
	if _, ok := s.access(account.ID); !ok {
		s.forget(u)
		return nil, errNoMailbox()
	}
	if err := s.replayEnable(u); err != nil {
		s.forget(u)
		return nil, err
	}
	return u, nil
}

// closeUnused lets go of connections that nothing has needed for a while.
func (s *session) closeUnused(after time.Duration) {
	for _, u := range s.ups {
		if (s.sel == nil || s.sel.up != u) && time.Since(u.used) > after {
			s.drop(u)
			u.park()
		}
	}
}

func (s *session) forget(u *upstream) {
	s.drop(u)
	u.close()
}

func (s *session) drop(u *upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ups[u.account.ID] == u {
		delete(s.ups, u.account.ID)
	}
}

package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"balorg/policy"
	sessions "balorg/policy/session"
	"balorg/smtp/wire"
	"balorg/store/audit"
)

// session is one client's connection.
type session struct {
	srv     *Server
	service Service
	client  Client
	handler Handler
	log     *slog.Logger
	ctx     context.Context //nolint:containedctx // the session is its connection's life
	cancel  context.CancelCauseFunc

	conn *clientConn
	in   *wire.Reader
	out  *bufio.Writer

	greeted  bool           // EHLO, HELO or LHLO has been answered
	tx       *wire.Envelope // the transaction; nil: none
	chunking bool           // its message comes in chunks, and the first one has come
	spoilt   bool           // a chunk was refused: nothing but RSET helps (RFC 3030, 2)
	next     *wire.Command  // read already, to be run next
	messages int
	refusals int
	failures int // of log-ins
	done     bool

	since  time.Time
	remove func() // takes the session out of the table

	mu       sync.Mutex
	farewell *wire.Reply // the last word, once somebody has ended the session
}

func newSession(ctx context.Context, srv *Server, conn net.Conn, role Role) *session {
	s := &session{srv: srv, service: srv.opt.Services[role]}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.client = Client{Session: sessions.NewID(), Role: role, Hello: unknownHello}
	if addr, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		s.client.Address = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	s.log = srv.log.With(slog.Any("session", s.client.Session), slog.Any("client", s.client.Address))
	s.client.Log = s.log
	s.useConn(conn)
	if role == Submission {
		s.conn.until = time.Now().Add(preLoginTimeout)
	}
	s.handler = s.service.NewHandler(&s.client)
	return s
}

// useConn makes conn the way to the client: at first, and behind TLS.
func (s *session) useConn(conn net.Conn) {
	var until time.Time
	if s.conn != nil {
		until = s.conn.until
	}
	if c, ok := conn.(*tls.Conn); ok {
		state := c.ConnectionState()
		s.client.TLS = &state
	}
	s.conn = &clientConn{Conn: conn, until: until}
	s.in = wire.NewReader(s.conn)
	s.out = bufio.NewWriter(s.conn)
}

// serve runs the dialogue.
func (s *session) serve() {
	stop := context.AfterFunc(s.ctx, func() { s.end(wire.NewReply(421, "4.3.2", "The server is shutting down")) })
	defer stop()
	defer s.fence()
	protocol := "ESMTP"
	if s.client.Role == LMTP {
		protocol = "LMTP"
	}
	s.reply(&wire.Reply{Code: 220, Text: s.srv.opt.Hostname + " " + protocol + " ready"})
	for !s.done {
		cmd, err := s.command()
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

// command reads the next command; what has been answered goes out before we wait for it.
func (s *session) command() (wire.Command, error) {
	if cmd := s.next; cmd != nil {
		s.next = nil
		return *cmd, nil
	}
	line, err := s.line()
	if err != nil {
		return wire.Command{}, err
	}
	return wire.ParseCommand(line)
}

func (s *session) line() ([]byte, error) {
	if !s.in.HasLine() {
		if err := s.out.Flush(); err != nil {
			return nil, err
		}
		s.conn.await()
	}
	return s.in.ReadLine(wire.MaxLine)
}

// reply writes a reply. The client gets it when it has nothing more buffered for us to read, or with flush.
func (s *session) reply(r *wire.Reply) {
	s.out.Write(r.AppendTo(s.out.AvailableBuffer())) //nolint:errcheck // the next flush tells
}

// answer replies to a command with what its handler has come to, and counts refusals.
func (s *session) answer(err error) {
	if errors.Is(err, errAnswered) {
		return
	}
	r, internal := replyTo(err)
	if internal {
		s.log.Error("command not done", slog.Any("error", err))
	}
	s.reply(r)
	s.note(r)
}

// note looks at a reply that has been written for what it means to the session.
func (s *session) note(r *wire.Reply) {
	switch {
	case r.Code == closing:
		s.done = true
	case r.Permanent():
		s.countRefusal()
	}
}

// closing is the code of a reply after which the connection is closed (RFC 5321, 3.8).
const closing = 421

// countRefusal ends the session of who is refused again and again.
func (s *session) countRefusal() {
	s.srv.metrics.refusals.WithLabelValues(string(s.client.Role)).Inc()
	s.refusals++
	if s.refusals >= s.service.MaxRefusals {
		s.say(wire.NewReply(421, "4.7.0", "Too many commands were refused"))
		s.done = true
	}
}

// readError answers what could not be read as a command, and tells whether the dialogue goes on.
func (s *session) readError(err error) bool {
	var syntax *wire.Reply
	switch {
	case errors.As(err, &syntax):
		s.answer(err)
		return true
	case errors.Is(err, wire.ErrLineTooLong):
		s.reply(wire.NewReply(500, "5.5.2", "The line is too long"))
		s.say(wire.NewReply(421, "4.7.0", "What follows cannot be understood"))
	case errors.Is(err, wire.ErrBareNewline):
		s.reply(wire.NewReply(500, "5.5.2", "A line ends with CR and LF"))
		s.say(wire.NewReply(421, "4.7.0", "What follows cannot be understood"))
	case errors.Is(err, errEnded), errors.Is(err, io.EOF):
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.say(wire.NewReply(421, "4.4.2", "Idle for too long"))
	default:
		s.log.Debug("reading from the client", slog.Any("error", err))
	}
	return false
}

// say sets the last word, unless one is set.
func (s *session) say(r *wire.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.farewell == nil {
		s.farewell = r
	}
}

func (s *session) bye() {
	s.mu.Lock()
	r := s.farewell
	s.mu.Unlock()
	if r != nil {
		s.reply(r)
	}
	if err := s.out.Flush(); err != nil {
		s.log.Debug("last words to the client", slog.Any("error", err))
	}
}

// end ends the session from any goroutine: the client is told with r.
func (s *session) end(r *wire.Reply) {
	s.say(r)
	s.cancel(errEnded)
	s.mu.Lock()
	conn := s.conn // STARTTLS replaces it
	s.mu.Unlock()
	conn.interrupt()
}

// fence keeps a fault in one session from ending the daemon.
func (s *session) fence() {
	if v := recover(); v != nil {
		s.srv.metrics.panics.Inc()
		s.log.Error("session ended by a fault of the program", slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
		s.say(wire.NewReply(421, "4.3.0", "Internal error"))
		s.bye()
	}
}

// close lets go of everything the session holds.
func (s *session) close() {
	s.cancel(errEnded)
	if s.remove != nil {
		s.remove()
	}
	s.conn.Close() //nolint:errcheck // the dialogue is over
	if s.client.Login.Person != nil {
		s.srv.opt.Trace.Later(s.stamped(s.mine(audit.Record{Action: audit.SessionEnd})))
	}
}

// Info is what the table of sessions shows.
func (s *session) Info() sessions.Info {
	return sessions.Info{
		ID: s.client.Session, Protocol: protocol, Client: s.client.Address, Since: s.since,
		Person: s.client.Login.Person.Address, Mailbox: s.client.Login.Mailbox.Address,
	}.With(s.client.Login.Means)
}

// End ends the session for an administrator.
func (s *session) End(why string) { s.end(wire.NewReply(421, "4.7.0", "%s", why)) }

// Recheck holds the session against a new snapshot: it ends when the mailbox it was opened as may no longer be opened.
func (s *session) Recheck(snap *policy.Snapshot) {
	if _, ok := snap.Bound(s.client.Login.Means.Only).Open(s.client.Login.Person.ID, s.client.Login.Mailbox.ID); !ok {
		s.End("Access to the mailbox has been withdrawn")
	}
}

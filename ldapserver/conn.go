package ldapserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"balorg/ldapserver/wire"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/session"
)

// Limits on a connection, and why.
const (
	maxUnbound     = 64 << 10         // octets of a message before somebody has logged in: a bind with a token fits
	maxBound       = 1 << 20          // and after
	bufferSize     = 4 << 10          // what an idle connection keeps for reading
	flushAt        = 64 << 10         // answers are written when so many octets have gathered
	unboundIdle    = time.Minute      // of one that has not logged in
	messageTimeout = 30 * time.Second // from the first octet of a message to its last
	writeTimeout   = 30 * time.Second // without progress
	endTimeout     = time.Second      // to take the notice that the connection ends
	tlsTimeout     = 15 * time.Second // of a handshake
	deadlineSlack  = 10 * time.Second // deadlines are moved when they are so far off: moving one costs more than a small search
	maxRunning     = 8                // requests that wait for another server
)

// conn is one connection. Its own goroutine reads and answers; answers that come from elsewhere, and the notice of its end, take the lock.
type conn struct {
	srv    *Server
	id     string
	log    *slog.Logger
	client netip.AddrPort
	since  time.Time

	nc     net.Conn
	secure bool
	in     []byte // what was read is in[:tail], what was handled in[:head]
	head   int
	tail   int
	until  time.Time // the read deadline that is set

	req      wire.Request
	shape    *shape                   // of the last search for one value
	gathered *lookups                 // those of that shape that wait to be answered; nil: none
	who      atomic.Pointer[identity] // nil: anonymous
	sight    sightOf
	sasl     saslState
	failures int
	forget   func() // takes the session out of the table

	why atomic.Pointer[string] // set once: the connection is to end

	mu      sync.Mutex
	out     []byte
	wrote   time.Time // when the write deadline was set last
	ended   bool
	running map[int32]*operation
	waiting sync.WaitGroup // for running
}

// identity is who is logged in.
type identity struct {
	person, mailbox     *policy.Account
	personID, mailboxID mail.AccountID
	means               policy.Means
}

// sightOf is what somebody sees, remembered for one snapshot.
type sightOf struct {
	snapshot *policy.Snapshot
	who      *identity
	sight    policy.Sight
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, id: session.NewID(), nc: nc, in: make([]byte, bufferSize), since: time.Now()}
	_, c.secure = nc.(*tls.Conn)
	c.client, _ = netip.ParseAddrPort(nc.RemoteAddr().String())
	c.client = netip.AddrPortFrom(c.client.Addr().Unmap(), c.client.Port())
	c.log = s.opt.Logger
	return c
}

// logger is made when something is to be said: most connections say nothing.
func (c *conn) logger() *slog.Logger {
	return c.log.With(slog.String("session", c.id), slog.Any("client", c.client), slog.String("protocol", protocol))
}

// errClose ends a connection about which the client has been told all there is.
var errClose = errors.New("the connection is closed")

// serve reads and answers requests until the connection ends.
func (c *conn) serve(ctx context.Context) {
	defer func() {
		if fault := recover(); fault != nil {
			c.srv.metrics.panics.Inc()
			c.logger().ErrorContext(ctx, "a request was not survived", slog.Any("fault", fault), slog.String("stack", string(debug.Stack())))
			c.disconnect(wire.Other, "an internal error")
		}
	}()
	for {
		if err := c.handleAll(ctx); err != nil || c.flush() != nil {
			return
		}
		if err := c.fill(); err != nil {
			if why := c.why.Load(); why != nil {
				c.disconnect(wire.Unavailable, *why)
			}
			return
		}
	}
}

// readFailed tells a client whose message is at fault why the connection ends (RFC 4511, 4.4.1).
func (c *conn) readFailed(err error) {
	switch {
	case errors.Is(err, wire.ErrTooLong):
		c.disconnect(wire.ProtocolError, "the message is too long")
	case errors.Is(err, wire.ErrMalformed):
		c.disconnect(wire.ProtocolError, "the message is malformed")
	}
}

// limit is how long a message may be.
func (c *conn) limit() int {
	if c.who.Load() == nil {
		return maxUnbound
	}
	return maxBound
}

// handleAll answers what has been read whole.
func (c *conn) handleAll(ctx context.Context) error {
	for c.why.Load() == nil {
		n, err := wire.Frame(c.in[c.head:c.tail], c.limit())
		if err == nil {
			message := c.in[c.head : c.head+n : c.head+n]
			c.head += n
			if c.gather(message) {
				continue
			}
			if err = c.answerGathered(ctx); err == nil {
				err = c.handle(ctx, message)
			}
		} else if gathered := c.answerGathered(ctx); gathered != nil {
			err = gathered
		}
		switch {
		case errors.Is(err, wire.ErrShort):
			return nil
		case err != nil:
			c.readFailed(err)
			return err
		}
	}
	return c.answerGathered(ctx) // none, since it ends; fill tells
}

// fill reads more, into a buffer that grows with what arrives and shrinks when all of it is handled.
func (c *conn) fill() error {
	pending := c.tail - c.head
	switch {
	case pending == 0:
		c.head, c.tail = 0, 0
		if len(c.in) > bufferSize {
			c.in = make([]byte, bufferSize)
		}
	case c.tail == len(c.in) && c.head > 0:
		copy(c.in, c.in[c.head:c.tail])
		c.head, c.tail = 0, pending
	case c.tail == len(c.in):
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	c.setReadDeadline(pending > 0)
	if c.why.Load() != nil { // after the deadline was moved: End sets the one, then the other
		return errClose
	}
	n, err := c.nc.Read(c.in[c.tail:])
	c.tail += n
	if n > 0 {
		return nil
	}
	return err
}

// setReadDeadline gives a silent client its time, and one that has begun a message less.
func (c *conn) setReadDeadline(begun bool) {
	now := time.Now()
	if begun {
		if c.until.After(now.Add(messageTimeout)) {
			c.until = now.Add(messageTimeout)
			c.nc.SetReadDeadline(c.until) //nolint:errcheck // the read tells
		}
		return
	}
	idle := c.srv.opt.Limits.Idle
	if c.who.Load() == nil {
		idle = min(idle, unboundIdle)
	}
	if until := now.Add(idle); until.Sub(c.until) > min(deadlineSlack, idle/4) || c.until.After(until) {
		c.until = until
		c.nc.SetReadDeadline(until) //nolint:errcheck // the read tells
	}
}

// flush writes the answers that have gathered.
func (c *conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushLocked()
}

func (c *conn) flushLocked() error {
	if c.ended {
		return errClose
	}
	for rest := c.out; len(rest) > 0; {
		if now := time.Now(); now.Sub(c.wrote) > deadlineSlack {
			c.wrote = now
			c.nc.SetWriteDeadline(now.Add(writeTimeout)) //nolint:errcheck // the write tells
		}
		n, err := c.nc.Write(rest[:min(len(rest), flushAt)])
		if err != nil {
			c.ended = true
			return err
		}
		rest = rest[n:]
	}
	c.release()
	return nil
}

// release gives the buffer of answers back: connections are many and most are idle. The lock is held.
func (c *conn) release() {
	if c.out != nil && cap(c.out) <= 4*flushAt {
		out := c.out[:0]
		c.srv.buffers.Put(&out)
	}
	c.out = nil
}

// answers is the buffer that answers are appended to. The lock is held.
func (c *conn) answers() []byte {
	if c.out == nil {
		if b, ok := c.srv.buffers.Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return c.out
}

// result answers the end of an operation.
func (c *conn) result(op byte, r *wire.Result) error {
	return c.resultOf(c.req.ID, op, r)
}

func (c *conn) resultOf(id int32, op byte, r *wire.Result) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = wire.AppendResult(c.answers(), id, op, r)
	c.srv.metrics.result(op, r.Code)
	if len(c.out) >= flushAt {
		return c.flushLocked()
	}
	return nil
}

// disconnect tells the client that the connection ends, and why.
func (c *conn) disconnect(code wire.Code, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.out = wire.AppendNotice(c.answers(), code, text)
	c.flushLocked() //nolint:errcheck // it ends either way
	c.ended = true
}

// close ends what is under way and closes the connection.
func (c *conn) close() {
	c.mu.Lock()
	c.ended = true
	for _, op := range c.running {
		op.cancel()
	}
	c.mu.Unlock()
	c.waiting.Wait()
	if c.forget != nil {
		c.forget()
	}
	c.nc.Close() //nolint:errcheck // nothing is left to say
}

// Info implements session.Session.
func (c *conn) Info() session.Info {
	i := session.Info{ID: c.id, Protocol: protocol, Client: c.client, Since: c.since}
	if who := c.who.Load(); who != nil {
		i.Person, i.Mailbox = who.person.Address, who.mailbox.Address
		i = i.With(who.means)
	}
	return i
}

// Recheck implements session.Session: it ends a connection whose person may not open the mailbox any more.
func (c *conn) Recheck(snap *policy.Snapshot) {
	who := c.who.Load()
	if who == nil {
		return
	}
	if _, d := snap.Sight(who.personID, who.mailboxID); !d.Allowed {
		c.End("you may no longer open this mailbox")
	}
}

// End implements session.Session. The connection's own goroutine tells the client, so that one who does not read holds up nobody.
func (c *conn) End(why string) {
	if !c.why.CompareAndSwap(nil, &why) {
		return
	}
	c.nc.SetWriteDeadline(time.Now().Add(endTimeout)) //nolint:errcheck // it ends either way
	c.nc.SetReadDeadline(time.Unix(1, 0))             //nolint:errcheck // as above
}

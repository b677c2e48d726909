package origin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"balorg/imapproxy/socket"
)

// Names is how a server calls folders (RFC 2342).
type Names struct {
	Prefix    string // of the mailbox's own name space: "INBOX." and the like, or ""
	Delimiter byte
	Foreign   []string // prefixes of all other name spaces: nothing below them is the mailbox's own
}

// Conn is a connection that is logged in as a mailbox. Its stream begins with "* PREAUTH [CAPABILITY …]". Close may be called at any
// time, and more than once.
type Conn struct {
	net.Conn
	in      *bufio.Reader // what came behind the login, then the connection
	fresh   bool          // it has not greeted
	head    []byte        // what of the greeting is still to be read
	caps    []string
	list    string // of caps
	names   Names
	once    sync.Once
	release func()

	writable time.Time // the deadline of writes as it was set last

	// For the next session that may use it.
	store   *Store
	mailbox Who
	expire  *time.Timer
}

// Greeted answers the capabilities that the greeting would tell, in place of it.
func (c *Conn) Greeted() string {
	c.fresh = false
	return c.list
}

// greeting tells whether something of the greeting is still to be read.
func (c *Conn) greeting() bool {
	if c.fresh {
		c.fresh = false
		c.head = fmt.Appendf(nil, "* PREAUTH [CAPABILITY %s] ready\r\n", c.list)
	}
	return len(c.head) > 0
}

// Names answers how the server calls folders.
func (c *Conn) Names() Names { return c.names }

// Read reads the greeting of ours first.
func (c *Conn) Read(p []byte) (int, error) {
	if c.greeting() {
		n := copy(p, c.head)
		if c.head = c.head[n:]; len(c.head) == 0 {
			c.head = nil // it is not kept for as long as the connection
		}
		return n, nil
	}
	if c.ahead() {
		return c.in.Read(p)
	}
	return c.Conn.Read(p)
}

// ahead tells whether something is there that was read behind the login.
func (c *Conn) ahead() bool {
	if c.in == nil {
		return false
	}
	if c.in.Buffered() > 0 {
		return true
	}
	c.in.Reset(nil)
	loginBuffers.Put(c.in)
	c.in = nil // what comes now goes straight to the reader
	return false
}

// ReadBorrowed is Read that waits without a buffer and borrows one when something is there. Over TLS it answers errors.ErrUnsupported.
func (c *Conn) ReadBorrowed(from socket.Lender) (int, error) {
	if c.greeting() || c.ahead() {
		return c.Read(from.Borrow())
	}
	conn, ok := c.Conn.(*socket.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return conn.ReadBorrowed(from)
}

// CopyNTo writes the next n octets to w. Where w is made for it, and neither side is TLS, they stay in the kernel.
func (c *Conn) CopyNTo(w io.Writer, n int64) (int64, error) {
	src := io.Reader(c)
	if tcp, ok := socket.TCP(c.Conn); ok && !c.greeting() && (c.in == nil || c.in.Buffered() == 0) {
		src = tcp
	}
	return io.CopyN(w, src, n)
}

// writeTimeout bounds one write: a server that takes nothing for that long is gone.
const writeTimeout = 2 * time.Minute

func (c *Conn) Write(p []byte) (int, error) {
	// A deadline that was set a moment ago stands: setting it costs a part of what writing does.
	if now := time.Now(); c.writable.Sub(now) < writeTimeout-writeTimeout/16 {
		c.writable = now.Add(writeTimeout)
		if err := c.SetWriteDeadline(c.writable); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// Close ends the connection.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

var _ io.ReadWriteCloser = (*Conn)(nil)

package imapproxy

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"balorg/imapproxy/socket"
	"balorg/imapproxy/wire"
)

// errEnded is what reading from the client answers once the session is to end.
var errEnded = errors.New("session ended")

// clientConn puts a deadline on each read and write of a client's connection, and can be told to end from outside without
// cutting a response that is being written.
type clientConn struct {
	net.Conn
	until time.Time     // no read waits beyond, unless zero
	idle  time.Duration // how long one read may wait
	// patience, unless zero, is how long the next one may: it can be done again then.
	patience time.Duration
	ending   atomic.Bool
	// writable is the deadline of writes as it was set last.
	writable time.Time
}

func (c *clientConn) Read(p []byte) (int, error) {
	return c.await(func() (int, error) { return c.Conn.Read(p) })
}

// ReadBorrowed implements wire.Borrowing.
func (c *clientConn) ReadBorrowed(from wire.Lender) (int, error) {
	conn, ok := c.Conn.(*socket.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return c.await(func() (int, error) { return conn.ReadBorrowed(from) })
}

// await reads until the deadline that holds now.
func (c *clientConn) await(read func() (int, error)) (int, error) {
	wait := c.idle
	if c.patience > 0 {
		wait = min(wait, c.patience)
	}
	deadline := time.Now().Add(wait)
	if !c.until.IsZero() && c.until.Before(deadline) {
		deadline = c.until
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	// interrupt sets the flag, then its deadline: either we see the flag, or its deadline comes after ours.
	if c.ending.Load() {
		return 0, errEnded
	}
	n, err := read()
	if err != nil && c.ending.Load() {
		err = errEnded
	}
	return n, err
}

func (c *clientConn) Write(p []byte) (int, error) {
	if err := c.writeBy(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// spliced is how much one deadline is for, where the system moves octets by itself.
const spliced = 256 << 10

// ReadFrom writes what r has until its end. From one TCP connection to another the octets stay in the kernel.
func (c *clientConn) ReadFrom(r io.Reader) (read int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	tcp, plain := socket.TCP(c.Conn)
	if !ok || !plain {
		buf := outBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
		defer outBuffers.Put(buf)
		return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, *buf)
	}
	for limited.N > 0 {
		if err := c.writeBy(); err != nil {
			return read, err
		}
		part := io.LimitedReader{R: limited.R, N: min(limited.N, spliced)}
		n, err := tcp.ReadFrom(&part)
		read += n
		limited.N -= n
		if err != nil || n == 0 {
			return read, err
		}
	}
	return read, nil
}

// writeBy sets the deadline of the next write. One that was set a moment ago stands: setting it costs a part of what writing does.
func (c *clientConn) writeBy() error {
	now := time.Now()
	if !c.ending.Load() && c.writable.Sub(now) < writeTimeout-writeTimeout/16 {
		c.writable = now.Add(writeTimeout)
		if err := c.SetWriteDeadline(c.writable); err != nil {
			return err
		}
	}
	// Looked at again: interrupt may have set its deadline before ours.
	if c.ending.Load() {
		return c.SetWriteDeadline(now.Add(byeTimeout))
	}
	return nil
}

// interrupt makes the pending read and all later ones end, and gives a pending write a last moment.
func (c *clientConn) interrupt() {
	c.ending.Store(true)
	c.SetReadDeadline(time.Now())                  //nolint:errcheck // a closed connection is interrupted already
	c.SetWriteDeadline(time.Now().Add(byeTimeout)) //nolint:errcheck // as above
}

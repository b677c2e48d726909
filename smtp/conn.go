package smtp

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// errEnded is what reading from the client answers once the session is to end.
var errEnded = errors.New("session ended")

// clientConn puts a deadline on each read and write of a client's connection, and can be told to end from outside without cutting a
// reply that is being written.
type clientConn struct {
	net.Conn
	until  time.Time // no read waits beyond, unless zero
	line   time.Time // when the command that is awaited must have come whole
	ending atomic.Bool

	// While the content of a message is read: since when, how much has come, and whether a command is due in between, as there is between
	// the chunks of BDAT.
	data   time.Time
	got    int64
	paused bool
}

func (c *clientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(c.readBy(time.Now())); err != nil {
		return 0, err
	}
	// interrupt sets the flag, then its deadline: either we see the flag, or its deadline comes after ours.
	if c.ending.Load() {
		return 0, errEnded
	}
	n, err := c.Conn.Read(p)
	c.got += int64(n)
	if err != nil && c.ending.Load() {
		err = errEnded
	}
	return n, err
}

// readBy is until when the next read may wait.
func (c *clientConn) readBy(now time.Time) time.Time {
	if c.data.IsZero() {
		return earlier(c.line, c.until)
	}
	if c.paused {
		return earlier(c.line, c.data.Add(dataTimeout))
	}
	allowed := min(dataGrace+time.Duration(c.got/dataRate)*time.Second, dataTimeout)
	return earlier(now.Add(blockTimeout), c.data.Add(allowed))
}

// earlier answers a or, unless it is zero, b.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// await gives a command its time: all of it, or somebody who sends an octet now and then would keep the connection for days.
func (c *clientConn) await() { c.line = time.Now().Add(commandTimeout) }

// begin switches to the deadlines of a message's content, and finish back.
func (c *clientConn) begin()  { c.data, c.got = time.Now(), 0 }
func (c *clientConn) finish() { c.data, c.paused = time.Time{}, false }

func (c *clientConn) Write(p []byte) (int, error) {
	timeout := writeTimeout
	if c.ending.Load() {
		timeout = byeTimeout
	}
	if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// interrupt makes the pending read and all later ones end, and gives a pending write a last moment.
func (c *clientConn) interrupt() {
	c.ending.Store(true)
	c.SetReadDeadline(time.Now())                  //nolint:errcheck // a closed connection is interrupted already
	c.SetWriteDeadline(time.Now().Add(byeTimeout)) //nolint:errcheck // as above
}

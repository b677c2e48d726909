// Package socket is TCP connections that are read and written without the scheduler being told of each call.
//
// Go brackets every system call, since it may block: a monitor thread is woken, and looks every 20 µs whether the processor has to be
// taken from the caller. A socket that does not block never needs that, and a relay that waits, reads, writes and waits again pays for it
// with each piece: a sixth of its processor time. Waiting is Go's own as ever, with deadlines.
package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Conn is a TCP connection.
type Conn struct {
	*net.TCPConn
	raw   syscall.RawConn
	read  transfer
	write transfer
	lent  func(fd uintptr) bool
	from  Lender // of the read that lent is for; under read.mu
}

// Lender lends a buffer to who reads.
type Lender = interface {
	Borrow() []byte
	Return() // when nothing was read into it
}

// transfer is one direction. What its call needs is kept here, so that no call allocates.
type transfer struct {
	mu   sync.Mutex
	call func(fd uintptr) bool
	p    []byte
	n    int
	err  syscall.Errno
}

// most is what one call moves: the processor is the caller's alone until it returns.
const most = 64 << 10

// Quick answers conn in a form that is cheaper to use, where it is a TCP connection.
func Quick(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &Conn{TCPConn: tcp, raw: raw}
	c.read.call, c.write.call, c.lent = c.receive, c.send, c.receiveLent
	return c
}

// TCP answers the TCP connection that conn is, for what the system does with it alone.
func TCP(conn net.Conn) (*net.TCPConn, bool) {
	if c, ok := conn.(*Conn); ok {
		return c.TCPConn, true
	}
	tcp, ok := conn.(*net.TCPConn)
	return tcp, ok
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.read
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p = p[:min(len(p), most)]
	return c.received(c.raw.Read(t.call))
}

// ReadBorrowed reads into a buffer of from, which it holds only while there is something to read: thousands that wait hold none.
func (c *Conn) ReadBorrowed(from Lender) (int, error) {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	c.from = from
	n, err := c.received(c.raw.Read(c.lent))
	if c.from = nil; n == 0 {
		from.Return()
	}
	return n, err
}

// received answers what the read that has just ended came to.
func (c *Conn) received(err error) (int, error) {
	n, errno := c.read.end()
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, c.failed("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (written int, err error) {
	t := &c.write
	t.mu.Lock()
	defer t.mu.Unlock()
	for written < len(p) {
		t.p = p[written:min(len(p), written+most)]
		err := c.raw.Write(t.call)
		n, errno := t.end()
		written += n
		switch {
		case err != nil:
			return written, err
		case errno != 0:
			return written, c.failed("write", errno)
		}
	}
	return written, nil
}

func (t *transfer) end() (int, syscall.Errno) {
	n, errno := t.n, t.err
	t.p, t.n, t.err = nil, 0, 0
	return n, errno
}

func (c *Conn) receive(fd uintptr) bool { return c.read.try(syscall.SYS_READ, fd) }

func (c *Conn) receiveLent(fd uintptr) bool {
	c.read.p = c.from.Borrow()
	if c.read.try(syscall.SYS_READ, fd) {
		return true
	}
	c.read.p = nil
	c.from.Return()
	return false
}

func (c *Conn) send(fd uintptr) bool { return c.write.try(syscall.SYS_WRITE, fd) }

// try answers false where the call would have to wait.
func (t *transfer) try(call, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&t.p[0])), uintptr(len(t.p))) //nolint:gosec // as syscall.Read does
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.n = int(n)
		default:
			t.err = errno
		}
		return true
	}
}

// Silent tells whether a socket has received nothing that has not been read, neither its end.
func Silent(fd uintptr) bool {
	var octet [1]byte
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&octet[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0) //nolint:gosec // as syscall.Recvfrom does
		if errno != syscall.EINTR {
			return errno == syscall.EAGAIN
		}
	}
}

func (c *Conn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

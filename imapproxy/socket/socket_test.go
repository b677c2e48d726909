package socket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"balorg/imapproxy/socket"
)

// pair answers both ends of a connection, the first of them quick.
func pair(t *testing.T) (quick net.Conn, other *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it has done its work
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	quick = socket.Quick(accepted)
	if _, ok := quick.(*socket.Conn); !ok {
		t.Fatalf("a TCP connection became a %T", quick)
	}
	other, ok := socket.TCP(dialed)
	if !ok {
		t.Fatalf("%T is no TCP connection", dialed)
	}
	t.Cleanup(func() {
		quick.Close() // some tests have closed it
		other.Close()
	})
	return quick, other
}

func octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestMuch sends more than the system takes at once, both ways at the same time, the reader of each coming later.
func TestMuch(t *testing.T) {
	quick, other := pair(t)
	there, back := octets(20<<20), octets(20<<20)
	written := make(chan error, 2)
	go func() { _, err := quick.Write(there); written <- errors.Join(err, quick.(*socket.Conn).CloseWrite()) }()
	go func() { _, err := other.Write(back); written <- errors.Join(err, other.CloseWrite()) }()
	got := make(chan []byte)
	go func() {
		b, err := io.ReadAll(other)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	b, err := io.ReadAll(quick)
	if err != nil || !bytes.Equal(b, back) {
		t.Errorf("%d octets of %d came whole: %v", len(b), len(back), err)
	}
	if b := <-got; !bytes.Equal(b, there) {
		t.Errorf("%d octets of %d went whole", len(b), len(there))
	}
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}

func TestEmpty(t *testing.T) {
	quick, _ := pair(t)
	if n, err := quick.Read(nil); n != 0 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	if n, err := quick.Write(nil); n != 0 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

// TestDeadlines: those that have passed, and one that is set while somebody waits.
func TestDeadlines(t *testing.T) {
	quick, _ := pair(t)
	failed := make(chan error)
	go func() { _, err := quick.Read(make([]byte, 1)); failed <- err }()
	if err := quick.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	go func() { _, err := quick.Write(octets(50 << 20)); failed <- err }() // nobody reads
	if err := quick.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}

// TestClosed: by this side while somebody reads, and by the other.
func TestClosed(t *testing.T) {
	quick, _ := pair(t)
	failed := make(chan error)
	go func() { _, err := quick.Read(make([]byte, 1)); failed <- err }()
	if err := quick.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := quick.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}

	quick, other := pair(t)
	if err := errors.Join(other.SetLinger(0), other.Close()); err != nil { // a reset
		t.Fatal(err)
	}
	_, err := quick.Read(make([]byte, 1))
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("read from a connection that was reset: %v", err)
	}
	if _, err := quick.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a connection that was reset: %v", err)
	}
}

// TestOthers: what is no TCP connection stays what it is.
func TestOthers(t *testing.T) {
	a, _ := net.Pipe()
	if socket.Quick(a) != a {
		t.Error("a pipe was changed")
	}
	over := tls.Client(a, nil)
	if _, ok := socket.TCP(over); ok || socket.Quick(over) != net.Conn(over) {
		t.Error("TLS passes for TCP")
	}
	quick, _ := pair(t)
	if tcp, ok := socket.TCP(quick); !ok || tcp == nil {
		t.Error("the connection below is not found")
	}
}

// TestAllocations: relaying makes no garbage.
func TestAllocations(t *testing.T) {
	quick, other := pair(t)
	piece, buf := octets(1000), make([]byte, 1000)
	per := testing.AllocsPerRun(100, func() {
		if _, err := quick.Write(piece); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(other, buf); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Write(piece); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(quick, buf); err != nil {
			t.Fatal(err)
		}
	})
	if per > 0 {
		t.Errorf("%v allocations", per)
	}
}

// lender counts what it has lent.
type lender struct {
	buf  [100]byte
	lent atomic.Int32
}

func (l *lender) Borrow() []byte { l.lent.Store(1); return l.buf[:] }
func (l *lender) Return()        { l.lent.Store(0) }

// TestBorrowed: who waits holds no buffer, nor does who learns that nothing comes.
func TestBorrowed(t *testing.T) {
	quick, other := pair(t)
	conn := quick.(*socket.Conn)
	var from lender
	type result struct {
		n   int
		err error
	}
	read := make(chan result)
	start := func() {
		from.lent.Store(2)
		go func() { n, err := conn.ReadBorrowed(&from); read <- result{n, err} }()
		for from.lent.Load() != 0 { // it has looked, and waits
			runtime.Gosched()
		}
	}
	start()
	if _, err := other.Write([]byte("there")); err != nil {
		t.Fatal(err)
	}
	if r := <-read; r.err != nil || string(from.buf[:r.n]) != "there" || from.lent.Load() != 1 {
		t.Errorf("read %q, %v", from.buf[:r.n], r.err)
	}
	start()
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if r := <-read; !errors.Is(r.err, os.ErrDeadlineExceeded) || from.lent.Load() != 0 {
		t.Errorf("read %d, %v, lent: %d", r.n, r.err, from.lent.Load())
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	start()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if r := <-read; !errors.Is(r.err, io.EOF) || from.lent.Load() != 0 {
		t.Errorf("read %d, %v, lent: %d", r.n, r.err, from.lent.Load())
	}
}

// TestSilent: what has come and the end are told from nothing at all, and are still there to be read.
func TestSilent(t *testing.T) {
	quick, other := pair(t)
	silent := func() (silent bool) {
		t.Helper()
		tcp, _ := socket.TCP(quick)
		raw, err := tcp.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { silent = socket.Silent(fd) })
		}
		if err != nil {
			t.Fatal(err)
		}
		return silent
	}
	if !silent() {
		t.Error("it is not silent at first")
	}
	for _, say := range []func() error{func() error { _, err := other.Write([]byte("x")); return err }, other.CloseWrite} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		for range 1000 { // loopback is not instant
			if !silent() {
				break
			}
			runtime.Gosched()
		}
		if silent() {
			t.Error("it is silent")
		}
		if _, err := quick.Read(make([]byte, 2)); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
}

package embedded

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is how much waits in one direction of a connection: enough that both sides seldom meet, little enough that a
// hundred slow readers are no burden.
const bufferSize = 32 << 10

// ring is one direction of a connection: a bounded queue of octets between one writer and one reader. What is written is
// for the reader to have after flush, or when half of the ring is full, so that many small writes wake it once. Its memory is
// borrowed while it holds something.
type ring struct {
	pool *sync.Pool

	mu       sync.Mutex
	buf      *[]byte // nil while empty
	start, n int
	flushed  bool // the reader may have what there is
	lent     bool // the reader works on a part of buf without the lock
	closed   bool // nothing more comes
	broken   bool // nobody reads any more

	passed piece // octets that are not in buf; nil: none
	before int   // how many of those in buf come before them
	left   int64 // how many of them are left

	readable chan struct{} // gets a token when the reader has reason to look; capacity one
	writable chan struct{} // the same for the writer
}

// piece is a run of octets that whoever reads a ring takes from where they are.
type piece interface {
	// octets answers up to max of the last left octets, from the first of those on. They are valid until the next call.
	octets(left, max int64) ([]byte, error)
	// release is called once, when nobody asks for octets any more.
	release()
}

func newRing(pool *sync.Pool) *ring {
	return &ring{pool: pool, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // a token is there already
	}
}

// write queues p, waiting for room as long as expired lets it.
func (r *ring) write(p []byte, expired <-chan struct{}) (written int, err error) {
	for {
		n, err := r.put(p)
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err
		}
		select {
		case <-r.writable:
		case <-expired:
			return written, os.ErrDeadlineExceeded
		}
	}
}

// put queues as much of p as there is room for.
func (r *ring) put(p []byte) (written int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.broken {
		return 0, io.ErrClosedPipe
	}
	if r.buf == nil && len(p) > 0 {
		r.buf = r.pool.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	}
	for len(p) > 0 && r.n < bufferSize {
		at := (r.start + r.n) % bufferSize
		n := copy((*r.buf)[at:min(at+bufferSize-r.n, bufferSize)], p)
		r.n += n
		written += n
		p = p[n:]
	}
	if r.n >= bufferSize/2 {
		r.flushed = true
		signal(r.readable)
	}
	return written, nil
}

// flush lets the reader have what was written.
func (r *ring) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n > 0 || r.passed != nil {
		r.flushed = true
		signal(r.readable)
	}
}

// pass queues n octets that the reader takes from p, so that nobody copies them into the ring and both sides meet once for all of them. It
// waits while others are queued that way. A reader that waits is not woken before flush.
func (r *ring) pass(p piece, n int64) error {
	for !r.offer(p, n) {
		r.flush()
		<-r.writable
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		return io.ErrClosedPipe
	}
	return nil
}

// offer is pass where there is room. Where nobody reads any more p is released.
func (r *ring) offer(p piece, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || r.broken:
		p.release()
	case r.passed != nil:
		return false
	default:
		r.passed, r.before, r.left = p, r.n, n
		r.flushed = true
	}
	return true
}

// read takes what there is, waiting for something as long as expired lets it.
func (r *ring) read(p []byte, expired <-chan struct{}) (int, error) {
	for {
		n, ok, err := r.take(p)
		if ok {
			return n, err
		}
		select {
		case <-r.readable:
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// copyTo writes the next n octets to w, waiting for them as long as expired lets it, straight from the ring's memory.
func (r *ring) copyTo(w io.Writer, n int64, expired <-chan struct{}) (written int64, err error) {
	for written < n {
		p, ok, err := r.lend(n - written)
		switch {
		case err != nil:
			return written, err
		case ok:
			m, err := w.Write(p)
			r.giveBack(m)
			written += int64(m)
			if err != nil {
				return written, err
			}
			continue
		}
		select {
		case <-r.readable:
		case <-expired:
			return written, os.ErrDeadlineExceeded
		}
	}
	return written, nil
}

// has tells whether there is something to read, or why there never will be. The caller holds the lock.
func (r *ring) has() (bool, error) {
	switch {
	case r.broken:
		return false, io.ErrClosedPipe
	case r.n == 0 && r.passed == nil && r.closed:
		return false, io.EOF
	}
	return (r.n > 0 || r.passed != nil) && (r.flushed || r.closed), nil
}

// next is how many octets of buf come next: those behind what was passed come after that. The caller holds the lock.
func (r *ring) next() int {
	if r.passed != nil {
		return r.before
	}
	return r.n
}

// take takes what there is; ok is false when there is nothing to tell yet.
func (r *ring) take(p []byte) (n int, ok bool, err error) {
	if len(p) == 0 {
		return 0, true, nil
	}
	for range 2 { // what there is may go around the end of buf
		part, ok, err := r.lend(int64(len(p)))
		if !ok {
			return n, n > 0 || err != nil, untilLater(n, err)
		}
		c := copy(p, part)
		if n += c; r.giveBack(c) || c == len(p) {
			break
		}
		p = p[c:]
	}
	return n, true, nil
}

// untilLater leaves an error to the next read where this one has something.
func untilLater(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

// lend answers up to max octets of what there is, in place; giveBack follows.
func (r *ring) lend(max int64) (p []byte, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.has(); !ok {
		return nil, false, err
	}
	r.lent = true
	if n := r.next(); n > 0 {
		end := min(r.start+n, bufferSize)
		return (*r.buf)[r.start:min(int64(end), int64(r.start)+max)], true, nil
	}
	passed, left := r.passed, r.left
	r.mu.Unlock() // for as long as it takes; it is lent
	p, err = passed.octets(left, max)
	r.mu.Lock()
	if err != nil { // of what was announced the rest cannot come
		r.lent = false
		r.breakOff()
		return nil, false, err
	}
	return p, true, nil
}

// giveBack takes n octets of what was lent out of the ring. It tells whether what was passed is next: it is not for a reader who has something
// already, since it may be copied past him.
func (r *ring) giveBack(n int) (passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent = false
	if r.broken { // the memory may not be used again: its reader was in the middle of it
		r.letGo()
		return false
	}
	if r.passed == nil || r.before > 0 {
		r.start = (r.start + n) % bufferSize
		r.n -= n
		r.before -= n
	} else if r.left -= int64(n); r.left == 0 {
		r.letGo()
		signal(r.writable)
	}
	r.taken()
	return r.passed != nil && r.before == 0
}

// letGo lets go of what was passed.
func (r *ring) letGo() {
	if r.passed != nil {
		r.passed.release()
		r.passed = nil
	}
}

// taken gives memory back and wakes the writer after something was read.
func (r *ring) taken() {
	if r.n == 0 && r.buf != nil {
		r.pool.Put(r.buf)
		r.buf, r.start = nil, 0
	}
	if r.n == 0 && r.passed == nil {
		r.flushed = false
	}
	if r.n <= bufferSize/2 { // so that the writer, when it waits, is woken for much
		signal(r.writable)
	}
}

// waiting tells whether read would answer at once.
func (r *ring) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return (r.n > 0 || r.passed != nil) && r.flushed || r.closed || r.broken
}

// end says that nothing more comes; what is queued can still be read.
func (r *ring) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	signal(r.readable)
	signal(r.writable)
}

// cut ends both sides and drops what is queued.
func (r *ring) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breakOff()
}

func (r *ring) breakOff() {
	r.broken = true
	if r.buf != nil && !r.lent {
		r.pool.Put(r.buf)
	}
	if !r.lent {
		r.letGo()
	}
	r.buf, r.n = nil, 0
	signal(r.readable)
	signal(r.writable)
}

// Conn is the client's end of a connection. Read and Write are each for one goroutine at a time; Close may be called at any time.
type Conn struct {
	in, out *ring // as the server sees them
	readBy  deadline
	writeBy deadline
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the server's goroutine has returned
}

func newConn(pool *sync.Pool, cancel context.CancelFunc) *Conn {
	return &Conn{in: newRing(pool), out: newRing(pool), cancel: cancel, ended: make(chan struct{})}
}

// Read reads what the server sends.
func (c *Conn) Read(p []byte) (int, error) { return c.out.read(p, c.readBy.expired()) }

// CopyNTo writes the next n octets of what the server sends to w, without copying them on the way. It is a Read as far as
// deadlines and other goroutines are concerned.
func (c *Conn) CopyNTo(w io.Writer, n int64) (int64, error) {
	return c.out.copyTo(w, n, c.readBy.expired())
}

// Write sends to the server.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.in.write(p, c.writeBy.expired())
	c.in.flush()
	return n, err
}

// Close ends the connection and waits until the server has let go of the mailbox.
func (c *Conn) Close() error {
	c.cancel()
	c.in.cut()
	c.out.cut()
	<-c.ended
	return nil
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}

// SetReadDeadline says until when Read waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

// SetWriteDeadline says until when Write waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return nil
}

// LocalAddr is there so that a Conn is a net.Conn.
func (c *Conn) LocalAddr() net.Addr { return pipeAddr{} }

// RemoteAddr is there so that a Conn is a net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "embedded" }

// deadline is a point in time as a channel.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed when the time has come; nil: never
}

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

// set changes the time, also for a Read or Write that waits already.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	if d.timer != nil && !d.timer.Stop() {
		<-d.ch // the timer has fired and closes the channel, or has closed it
	}
	d.timer = nil
	passed := false
	select {
	case <-d.ch:
		passed = true
	default:
	}
	wait := time.Until(t)
	switch {
	case t.IsZero() || wait > 0:
		if passed {
			d.ch = make(chan struct{})
		}
		if ch := d.ch; !t.IsZero() {
			d.timer = time.AfterFunc(wait, func() { close(ch) })
		}
	case !passed:
		close(d.ch)
	}
}

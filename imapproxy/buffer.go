package imapproxy

import (
	"io"
	"sync"
)

// outBuffer is what a connection holds while something waits to be written.
const outBuffer = 16 << 10

var outBuffers = sync.Pool{New: func() any { b := make([]byte, outBuffer); return &b }}

// buffer is a buffered writer whose memory is borrowed by the first write and given back by flush: thousands of sessions that
// wait cost none. It keeps its first error.
type buffer struct {
	w   io.Writer
	buf *[]byte // nil while empty
	n   int
	err error
}

func newBuffer(w io.Writer) *buffer { return &buffer{w: w} }

// Write writes large pieces past the buffer when nothing is in it.
func (b *buffer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && b.err == nil {
		var n int
		if b.n == 0 && len(p) >= outBuffer {
			n, b.err = b.w.Write(p)
		} else {
			b.borrow()
			n = copy((*b.buf)[b.n:], p)
			if b.n += n; b.n == outBuffer {
				b.send()
			}
		}
		written += n
		p = p[n:]
	}
	return written, b.err
}

// WriteString is Write.
func (b *buffer) WriteString(s string) (int, error) {
	written := 0
	for len(s) > 0 && b.err == nil {
		b.borrow()
		n := copy((*b.buf)[b.n:], s)
		if b.n += n; b.n == outBuffer {
			b.send()
		}
		written += n
		s = s[n:]
	}
	return written, b.err
}

// WriteByte is Write.
func (b *buffer) WriteByte(c byte) error {
	if b.err != nil {
		return b.err
	}
	b.borrow()
	(*b.buf)[b.n] = c
	if b.n++; b.n == outBuffer {
		b.send()
	}
	return b.err
}

// ReadFrom reads from r until r ends: past the buffer where that is worth it and what is written to can do it.
func (b *buffer) ReadFrom(r io.Reader) (read int64, err error) {
	if to, ok := b.w.(io.ReaderFrom); ok {
		if limited, ok := r.(*io.LimitedReader); ok && limited.N >= outBuffer {
			if b.send(); b.err == nil {
				read, b.err = to.ReadFrom(r)
			}
			return read, b.err
		}
	}
	for b.err == nil {
		b.borrow()
		n, err := r.Read((*b.buf)[b.n:])
		read += int64(n)
		if b.n += n; b.n == outBuffer {
			b.send()
		}
		if err == io.EOF {
			return read, b.err
		}
		if err != nil {
			return read, err
		}
	}
	return read, b.err
}

// Flush writes what is buffered.
func (b *buffer) Flush() error {
	b.send()
	return b.err
}

// reset makes w where the rest goes. Nothing may be buffered.
func (b *buffer) reset(w io.Writer) { b.w = w }

func (b *buffer) borrow() {
	if b.buf == nil {
		b.buf = outBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	}
}

func (b *buffer) send() {
	if b.buf == nil {
		return
	}
	if b.err == nil && b.n > 0 {
		_, b.err = b.w.Write((*b.buf)[:b.n])
	}
	outBuffers.Put(b.buf)
	b.buf, b.n = nil, 0
}

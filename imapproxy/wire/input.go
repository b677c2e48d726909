package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// inputBuffer is what reading holds while something is there to be read. A connection that waits holds none of it.
const inputBuffer = 16 << 10

var inputBuffers = sync.Pool{New: func() any { b := make([]byte, inputBuffer); return &b }}

// errBufferFull is the answer of readSlice when the buffer is full and holds no delimiter.
var errBufferFull = errors.New("buffer full")

// Lender lends a buffer to who reads. It has no type of its own, so that those who read and those who lend need not know each other.
type Lender = interface {
	Borrow() []byte
	Return() // when nothing was read into it
}

// Borrowing is a source that waits without a buffer and borrows one when something is there, or answers errors.ErrUnsupported: then an
// octet is waited for, and what else is there costs another read.
type Borrowing interface {
	ReadBorrowed(from Lender) (int, error)
}

// input is a buffered reader whose buffer is borrowed when the first octet comes and given back when it waits for more: thousands
// of sessions that wait cost no buffers. What its methods answer of the buffer is valid until the next read.
type input struct {
	src   io.Reader
	buf   *[]byte // nil while it waits
	r, w  int     // what is buffered
	more  bool    // the last read filled the buffer: more is there already, most likely
	flow  bool    // more is on its way: the buffer is kept
	first [1]byte
}

func (in *input) buffered() int { return in.w - in.r }

// release gives the buffer back while nothing is in it.
func (in *input) release() {
	if in.buffered() == 0 && in.buf != nil {
		inputBuffers.Put(in.buf)
		in.buf, in.r, in.w, in.more = nil, 0, 0, false
	}
}

func (in *input) borrow() {
	in.buf = inputBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	in.r, in.w = 0, 0
}

// fill reads more, after what is buffered has been moved to the front.
func (in *input) fill() error {
	if !in.more && !in.flow {
		in.release()
	}
	switch {
	case in.buf != nil:
	case in.flow:
		in.borrow()
	default:
		return in.wait()
	}
	return in.load()
}

// load is fill with the buffer that is there.
func (in *input) load() error {
	in.w = copy(*in.buf, (*in.buf)[in.r:in.w])
	in.r = 0
	free := (*in.buf)[in.w:]
	n, err := in.src.Read(free)
	in.w += n
	in.more = n == len(free)
	if n == 0 {
		return noProgress(err)
	}
	return nil // an error comes again with the next read
}

// wait reads what comes first, and holds no buffer until then.
func (in *input) wait() error {
	if src, ok := in.src.(Borrowing); ok {
		n, err := src.ReadBorrowed(in)
		if n > 0 {
			in.w = n
			in.more = n == inputBuffer
			return nil // an error comes again with the next read
		}
		in.release()
		if !errors.Is(err, errors.ErrUnsupported) {
			return noProgress(err)
		}
	}
	n, err := in.src.Read(in.first[:])
	if n == 0 {
		return noProgress(err)
	}
	in.borrow()
	(*in.buf)[0] = in.first[0]
	in.w = 1
	return nil
}

// Borrow implements Lender.
func (in *input) Borrow() []byte {
	if in.buf == nil {
		in.borrow()
	}
	return *in.buf
}

// Return implements Lender.
func (in *input) Return() { in.release() }

// noProgress is the error of a read without octets.
func noProgress(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// readSlice answers what is there up to delim, delim included, or errBufferFull and the whole buffer, or what is left and why
// there is no more.
func (in *input) readSlice(delim byte) ([]byte, error) {
	for seen := 0; ; {
		if in.buf != nil {
			line := (*in.buf)[in.r:in.w]
			if i := bytes.IndexByte(line[seen:], delim); i >= 0 {
				in.r += seen + i + 1
				return line[:seen+i+1], nil
			}
			if len(line) == inputBuffer {
				in.r = in.w
				return line, errBufferFull
			}
			seen = len(line)
		}
		if err := in.fill(); err != nil {
			var rest []byte
			if in.buf != nil {
				rest = (*in.buf)[in.r:in.w]
			}
			in.r = in.w
			return rest, err
		}
	}
}

// Read reads what is buffered, else straight from the source when p is large.
func (in *input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.buffered() == 0 {
		if len(p) >= inputBuffer/4 {
			in.more = false
			n, err := in.src.Read(p)
			if n > 0 {
				err = nil
			}
			return n, err
		}
		// In the middle of something a wait is short: without a buffer each octet would be waited for anew.
		if in.buf == nil {
			in.borrow()
		}
		if err := in.load(); err != nil {
			in.release()
			return 0, err
		}
	}
	n := copy(p, (*in.buf)[in.r:in.w])
	in.r += n
	return n, nil
}

// peek answers the n octets that come next; they must be buffered.
func (in *input) peek(n int) []byte {
	if n == 0 {
		return nil
	}
	return (*in.buf)[in.r : in.r+n]
}

// behind answers what is buffered and the n octets before it, which were the last that have been read.
func (in *input) behind(n int) []byte { return (*in.buf)[in.r-n : in.w] }

// skip passes over n octets that are buffered.
func (in *input) skip(n int) { in.r += n }

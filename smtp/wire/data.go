package wire

import (
	"bytes"
	"errors"
	"io"
)

// MaxTextLine is how long a line of a message may be. RFC 5321, 4.5.3.1.6 asks for 1000 octets; programs that write HTML exceed that
// often, and what passes here passes most servers.
const MaxTextLine = 16384

// drainFactor is how many times the size that a message may have is read of one that is larger, so that its sender is told why and
// the session goes on.
const drainFactor = 4

// Faults of a message's content. The reader answers them as soon as it sees them; Drain then skips what is left.
var (
	// ErrTooLarge is a message of more octets than allowed.
	ErrTooLarge = errors.New("message is larger than allowed")
	// ErrTextLine is a line of a message that is longer than MaxTextLine.
	ErrTextLine = errors.New("message has a line that is too long")
	// ErrNUL is an octet that no message may hold (RFC 5322, 4.1). Servers that drop it would read what stands around it as one.
	ErrNUL = errors.New("message holds a NUL")
	// ErrFlood is a message that is so much larger than allowed that reading on is not worth the while. The connection must be closed.
	ErrFlood = errors.New("message is far larger than allowed")
)

// Newlines says what becomes of a CR or an LF that stands alone in a message.
type Newlines bool

// The ways.
const (
	RefuseBare    Newlines = false // the message is refused with ErrBareNewline
	NormaliseBare Newlines = true  // it becomes CRLF; it never is part of the end of the message
)

// DataReader reads the content of a message after DATA (RFC 5321, 4.5.2) up to the line that ends it, without the dots that were
// added on the way. CRLF . CRLF is that line and nothing else is.
type DataReader struct {
	in        *Reader
	limit     int64
	normalise bool

	span  []byte // decoded, not yet answered; points into the buffer of in
	size  int64  // of the content so far
	line  int    // octets of the current line so far
	start bool   // at the start of a line: after CRLF
	drain bool
	fault error // of the content, the first one
	err   error // io.EOF behind the last line, or why reading has ended
	crlf  [2]byte
}

// NewDataReader reads a message of at most limit octets from what r reads.
func NewDataReader(r *Reader, limit int64, newlines Newlines) *DataReader {
	r.grow(blockBuffer)
	return &DataReader{in: r, limit: limit, normalise: newlines == NormaliseBare, start: true, crlf: [2]byte{'\r', '\n'}}
}

// Read reads content. io.EOF means that all of the message has been read; any error of the connection, its end included, is another.
func (d *DataReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.span) == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.span)
	d.span = d.span[n:]
	return n, nil
}

// WriteTo writes all content to w, in blocks as they were read.
func (d *DataReader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(d.span) == 0 {
			if err := d.next(); errors.Is(err, io.EOF) {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(d.span)
		d.span = d.span[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Drain skips what is left of the message. Its error means that the end was not found: the connection must be closed, for what comes next
// on it may still be content.
func (d *DataReader) Drain() error {
	if errors.Is(d.err, io.EOF) {
		return nil
	}
	if d.err != nil && d.fault == nil {
		return d.err
	}
	d.drain, d.err = true, nil
	for {
		if err := d.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Fault answers what is wrong with the content, as far as it was looked at, or nil.
func (d *DataReader) Fault() error { return d.fault }

// Done tells whether the end of the message has been read, and everything before it.
func (d *DataReader) Done() bool { return errors.Is(d.err, io.EOF) && !d.drain }

// Size is how many octets of content have been read.
func (d *DataReader) Size() int64 { return d.size }

// next decodes some content into span.
func (d *DataReader) next() error {
	if d.err != nil {
		return d.err
	}
	d.span, d.err = d.decode()
	if d.err != nil {
		d.span = nil
		return d.err
	}
	d.size += int64(len(d.span))
	switch {
	case d.drain && d.size/drainFactor > d.limit:
		d.err = ErrFlood
	case d.drain:
	case d.size > d.limit:
		d.err = d.wrong(ErrTooLarge)
	case d.line > MaxTextLine:
		d.err = d.wrong(ErrTextLine)
	case bytes.IndexByte(d.span, 0) >= 0:
		d.err = d.wrong(ErrNUL)
	}
	if d.err != nil {
		d.span = nil
	}
	return d.err
}

// wrong notes a fault of the content.
func (d *DataReader) wrong(fault error) error {
	if d.fault == nil {
		d.fault = fault
	}
	return fault
}

// decode answers the next run of content, or io.EOF.
func (d *DataReader) decode() ([]byte, error) {
	for {
		data := d.in.buf[d.in.r:d.in.w]
		if n := d.run(data); n > 0 {
			d.in.r += n
			return data[:n], nil
		}
		var span []byte
		var known bool
		switch {
		case len(data) == 0:
		case data[0] == '.':
			var end bool
			span, known, end = d.dot(data)
			if end {
				return nil, io.EOF
			}
		case data[0] == '\r' && len(data) == 1: // its LF may be on its way
		default: // run stops at a CR or an LF only when it stands alone
			d.in.r++
			// What follows is a line, but not one after CRLF: no dot in it ends the message.
			d.line, d.start = 0, false
			if !d.normalise && !d.drain {
				return nil, d.wrong(ErrBareNewline)
			}
			return d.crlf[:], nil
		}
		switch {
		case len(span) > 0:
			return span, nil
		case known:
		default:
			if err := d.in.fill(); errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			} else if err != nil {
				return nil, err
			}
		}
	}
}

// dot looks at a dot at the start of a line. known is false when too little has been read to tell what it is.
func (d *DataReader) dot(data []byte) (span []byte, known, end bool) {
	switch {
	case len(data) < 2, data[1] == '\r' && len(data) < 3:
		return nil, false, false
	case data[1] == '\r' && data[2] == '\n':
		d.in.r += 3
		return nil, true, true
	}
	d.in.r++
	d.start, d.line = false, 1
	if data[1] == '\r' || data[1] == '\n' { // alone on a line that is none: it was put there by no transparent sender
		return data[:1], true, false
	}
	return nil, true, false
}

// run answers how many of the next octets are content as they are: whole lines, and the start of one.
func (d *DataReader) run(data []byte) int {
	n := 0
	for n < len(data) {
		rest := data[n:]
		if d.start && rest[0] == '.' {
			break
		}
		at := bytes.IndexByte(rest, '\n')
		line := rest
		if at >= 0 {
			line = rest[:at]
		}
		cr := bytes.IndexByte(line, '\r')
		if at > 0 && cr == at-1 {
			if d.line+at >= MaxTextLine && !d.drain {
				d.line, d.start = d.line+at+1, true
				return n + at + 1 // next says so
			}
			d.line, d.start = 0, true
			n += at + 1
			continue
		}
		// The line has not been read whole, or a CR or LF in it stands alone.
		if cr >= 0 {
			line = line[:cr]
		}
		if len(line) > 0 {
			d.line, d.start = d.line+len(line), false
		}
		return n + len(line)
	}
	return n
}

package wire

import (
	"bytes"
	"errors"
	"io"
)

// MaxLine is how long a command line may be, its line end included. RFC 5321, 4.5.3.1.4 asks for 512 octets; the response of an
// OAuth mechanism, which holds a signed token, takes more than 3.3 KB on its line.
const MaxLine = 16384

// Buffer sizes: most sessions only ever say short commands; the content of a message is read in large blocks.
const (
	smallBuffer = 4 << 10
	blockBuffer = 64 << 10
)

var (
	// ErrLineTooLong is a line that is longer than it may be. The rest of it has not been read.
	ErrLineTooLong = errors.New("line is too long")
	// ErrBareNewline is a CR or an LF that stands alone. Servers that take it for the end of a line, and servers that do not, read
	// different commands and messages out of the same octets.
	ErrBareNewline = errors.New("CR or LF stands alone")
)

// Reader reads lines, and the content of messages, from a connection. What it answers points into its buffer and is good until the next
// call.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int
}

// NewReader makes a reader of src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Buffered is how many octets have been read from the connection and not taken yet.
func (r *Reader) Buffered() int { return r.w - r.r }

// HasLine tells whether a whole line can be read without waiting.
func (r *Reader) HasLine() bool { return bytes.IndexByte(r.buf[r.r:r.w], '\n') >= 0 }

// grow gives the buffer at least size octets.
func (r *Reader) grow(size int) {
	if len(r.buf) >= size {
		return
	}
	buf := make([]byte, size)
	r.w = copy(buf, r.buf[r.r:r.w])
	r.r, r.buf = 0, buf
}

// maxEmptyReads is how often a source may answer nothing at all.
const maxEmptyReads = 100

// fill reads at least one octet more.
func (r *Reader) fill() error {
	switch {
	case r.r == r.w:
		r.r, r.w = 0, 0
		r.grow(smallBuffer)
	case r.w == len(r.buf) && r.r > 0:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	case r.w == len(r.buf):
		r.grow(2 * len(r.buf))
	}
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ReadLine reads a line of at most max octets and answers it without its CRLF. io.EOF means that there is none any more,
// io.ErrUnexpectedEOF that one has begun. After ErrLineTooLong and ErrBareNewline the connection must be closed: what follows may
// be anything.
func (r *Reader) ReadLine(max int) ([]byte, error) {
	seen := 0
	for {
		data := r.buf[r.r:r.w]
		if at := bytes.IndexByte(data[seen:], '\n'); at >= 0 {
			return r.takeLine(data[:seen+at], max)
		}
		if len(data) >= max {
			return nil, ErrLineTooLong
		}
		// The CR before the LF may have come already, another may not.
		if at := bytes.IndexByte(data, '\r'); at >= 0 && at < len(data)-1 {
			return nil, ErrBareNewline
		}
		seen = len(data)
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) && seen > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// takeLine takes a line that has been read up to its LF.
func (r *Reader) takeLine(line []byte, max int) ([]byte, error) {
	if len(line)+1 > max {
		return nil, ErrLineTooLong
	}
	last := len(line) - 1
	if bytes.IndexByte(line, '\r') != last || last < 0 {
		return nil, ErrBareNewline
	}
	r.r += len(line) + 1
	return line[:last], nil
}

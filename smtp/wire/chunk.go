package wire

import (
	"bytes"
	"errors"
	"io"
)

// ChunkReader reads the content of a message that comes in chunks (RFC 3030). Its lines are held to the same rules as those of
// DATA, except that a CR or an LF that stands alone is always refused.
type ChunkReader struct {
	in    *Reader
	limit int64
	more  func() (Chunk, error)

	chunk Chunk // what is left of the current one
	size  int64 // of the content so far
	line  int   // octets of the current line so far
	cr    bool  // the last octet was a CR
	fault error // of the content, the first one
	err   error // io.EOF behind the last chunk, or why reading has ended
}

// NewChunkReader reads a message of at most limit octets, whose first chunk follows, from what r reads. Whenever a chunk that is not the
// last has been read, more is asked for the next one; its error ends the message.
func NewChunkReader(r *Reader, limit int64, first Chunk, more func() (Chunk, error)) *ChunkReader {
	r.grow(blockBuffer)
	return &ChunkReader{in: r, limit: limit, chunk: first, more: more}
}

// Read reads content. io.EOF means that all of the message has been read; any error of the connection, its end included, is another.
func (c *ChunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.err == nil {
		c.err = c.advance()
	}
	if c.err != nil {
		return 0, c.err
	}
	n := copy(p, c.in.buf[c.in.r:c.in.r+c.ready()])
	c.in.r += n
	c.chunk.Size -= int64(n)
	c.size += int64(n)
	if c.err = c.check(p[:n]); c.err != nil {
		c.fault = c.err
		return 0, c.err
	}
	return n, nil
}

// ready is how many octets of the chunk have been read from the connection.
func (c *ChunkReader) ready() int { return int(min(c.chunk.Size, int64(c.in.Buffered()))) }

// advance sees to it that some octets are ready.
func (c *ChunkReader) advance() (err error) {
	for c.chunk.Size == 0 {
		if c.chunk.Last {
			if c.cr {
				c.fault = ErrBareNewline
				return c.fault
			}
			return io.EOF
		}
		if c.chunk, err = c.more(); err != nil {
			return err
		}
	}
	if c.size+c.chunk.Size > c.limit { // known before it comes
		c.fault = ErrTooLarge
		return c.fault
	}
	if c.in.Buffered() > 0 {
		return nil
	}
	return c.fill()
}

func (c *ChunkReader) fill() error {
	err := c.in.fill()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check looks for what no line may hold.
func (c *ChunkReader) check(p []byte) error {
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNUL
	}
	if c.cr && p[0] != '\n' {
		return ErrBareNewline
	}
	for len(p) > 0 {
		at := bytes.IndexByte(p, '\n')
		line := p
		if at >= 0 {
			line = p[:at]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr >= 0 && cr != len(line)-1, at == 0 && !c.cr, at > 0 && cr != at-1:
			return ErrBareNewline
		case c.line+len(line) >= MaxTextLine:
			return ErrTextLine
		case at < 0:
			c.line, c.cr = c.line+len(line), cr >= 0
			return nil
		}
		c.line, c.cr = 0, false
		p = p[at+1:]
	}
	return nil
}

// Drain skips what is left of the current chunk. After its error the connection must be closed.
func (c *ChunkReader) Drain() error {
	err := c.in.Skip(c.chunk.Size, c.limit)
	c.chunk.Size = 0
	return err
}

// Last tells whether the current chunk is the last one.
func (c *ChunkReader) Last() bool { return c.chunk.Last }

// Fault answers what is wrong with the content, as far as it was looked at, or nil.
func (c *ChunkReader) Fault() error { return c.fault }

// Done tells whether all of the message has been read.
func (c *ChunkReader) Done() bool { return errors.Is(c.err, io.EOF) }

// Size is how many octets of content have been read.
func (c *ChunkReader) Size() int64 { return c.size }

// Skip reads over size octets of a chunk that nobody wants, or answers ErrFlood when they are far more than limit, the size that a message
// may have.
func (r *Reader) Skip(size, limit int64) error {
	if size/drainFactor > limit {
		return ErrFlood
	}
	for size > 0 {
		if r.Buffered() == 0 {
			if err := r.fill(); errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			} else if err != nil {
				return err
			}
		}
		n := min(size, int64(r.Buffered()))
		r.r += int(n)
		size -= n
	}
	return nil
}

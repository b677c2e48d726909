package imapproxy

import (
	"bufio"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"

	"balorg/imapproxy/wire"
)

// compressWindow bounds what the compressor of one session holds: a full one takes hundreds of kilobytes.
const compressWindow = 4 << 10

// compress answers COMPRESS DEFLATE (RFC 4978). It ends here: mail stores never see it.
func (s *session) compress(cmd *wire.Command) error {
	switch {
	case !strings.EqualFold(string(cmd.Args), "DEFLATE"):
		return bad("COMPRESS takes DEFLATE")
	case s.compressed:
		return no("COMPRESSIONACTIVE", "Compression is on already")
	case s.in.Buffered():
		s.say("Nothing may follow COMPRESS before it is answered")
		s.done = true
		return bad("Nothing may follow COMPRESS")
	case s.p.compressed.Add(1) > int64(s.p.opt.MaxCompressed):
		s.p.compressed.Add(-1)
		return no("LIMIT", "Too many sessions use compression")
	}
	s.compressed = true
	out := bufio.NewWriterSize(s.conn, clientBuffer) // the compressor writes a few octets at a time
	w, err := flate.NewWriterWindow(out, compressWindow)
	if err != nil {
		return err
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.bw.WriteString(cmd.Tag + " OK DEFLATE active\r\n") //nolint:errcheck // bufio keeps the error for Flush
	if err := s.out.bw.Flush(); err != nil {
		s.done = true
		return errAnswered
	}
	s.out.compressor = &compressor{deflate: w, out: out}
	s.out.bw.reset(s.out.compressor)
	// mbsync and mutt flush partially, which ends a block and nothing more: the reader must not wait for the next one.
	in := flate.NewReaderOpts(bufio.NewReaderSize(s.conn, clientBuffer), flate.WithPartialBlock())
	s.in = wire.NewReader(inflater{in}, s.p.loggedInLimits())
	return errAnswered
}

// compressor sends, when flushed, everything written to it.
type compressor struct {
	deflate *flate.Writer
	out     *bufio.Writer
	dirty   bool // something has been written since the last flush
}

func (c *compressor) Write(p []byte) (int, error) {
	c.dirty = true
	return c.deflate.Write(p)
}

// Flush sends nothing when nothing was written: flate would make an empty block, and a client that gets one in the same packet
// as the answer to COMPRESS may take it for text, as Thunderbird does.
func (c *compressor) Flush() error {
	if !c.dirty {
		return nil
	}
	c.dirty = false
	if err := c.deflate.Flush(); err != nil {
		return err
	}
	return c.out.Flush()
}

// inflater makes the end of a connection in the middle of a compressed stream look like any other end.
type inflater struct{ r io.Reader }

func (i inflater) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err == io.ErrUnexpectedEOF { //nolint:errorlint // flate answers the very value
		err = io.EOF
	}
	return n, err
}

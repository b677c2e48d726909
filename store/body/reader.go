package body

import (
	"bytes"
	"io"
	"os"
)

// Reader reads one body: from its start as an io.Reader, anywhere as an io.ReaderAt. ReadAt may be called by several
// goroutines at once.
type Reader struct {
	*io.SectionReader
	file   *os.File // nil: inline
	inline []byte
}

func newInlineReader(b []byte) *Reader {
	return &Reader{SectionReader: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), inline: b}
}

// Octets answers n octets from off on, without copying them where the body is in memory as a whole, else read into buf, which
// must hold n. What is answered is not to be changed. It errs as ReadAt does.
func (r *Reader) Octets(buf []byte, off int64, n int) ([]byte, error) {
	if end := off + int64(n); r.file == nil && off >= 0 && end <= int64(len(r.inline)) {
		return r.inline[off:end], nil
	}
	_, err := r.ReadAt(buf[:n], off)
	return buf[:n], err
}

func newFileReader(f *os.File, size int64) *Reader {
	return &Reader{SectionReader: io.NewSectionReader(f, 0, size), file: f}
}

// Close gives the file back.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

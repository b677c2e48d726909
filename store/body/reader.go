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
	file *os.File // nil: inline
}

func newInlineReader(b []byte) *Reader {
	return &Reader{SectionReader: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}
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

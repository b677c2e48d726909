package store

import (
	"bytes"
	"io"
	"os"
)

// Value reads one value: from its start as an io.Reader, anywhere as an io.ReaderAt. ReadAt may be called by several goroutines at once.
type Value struct {
	*io.SectionReader
	octets []byte
	file   *os.File // nil: octets holds it
}

func newValue(octets []byte) *Value {
	return &Value{SectionReader: io.NewSectionReader(bytes.NewReader(octets), 0, int64(len(octets))), octets: octets}
}

// NewFileValue answers a reader of a part of a file, which it closes.
func NewFileValue(f *os.File, offset, size int64) *Value {
	return &Value{SectionReader: io.NewSectionReader(f, offset, size), file: f}
}

// Octets answers n octets from off on, without copying them where the value is in memory as a whole, else read into buf, which must hold n. What
// is answered is not to be changed. It errs as ReadAt does.
func (v *Value) Octets(buf []byte, off int64, n int) ([]byte, error) {
	if end := off + int64(n); v.file == nil && off >= 0 && end <= int64(len(v.octets)) {
		return v.octets[off:end], nil
	}
	_, err := v.ReadAt(buf[:n], off)
	return buf[:n], err
}

// Close gives the file back.
func (v *Value) Close() error {
	if v.file == nil {
		return nil
	}
	return v.file.Close()
}

package imapproxy

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how large a message may be that is held in memory: most are.
const spoolMemory = 256 << 10

// spool holds one message until it is decided what becomes of it: in memory while it is small, else in a file without a name, which
// goes with the process whatever happens.
type spool struct {
	dir  string
	mem  []byte
	file *os.File
	size int64
	err  error // the first that was met; it stays
}

// newSpool makes room for a message of a size, which is but a hint.
func newSpool(dir string, size int64) *spool {
	return &spool{dir: dir, mem: make([]byte, 0, min(size, spoolMemory))}
}

// Write implements io.Writer.
func (sp *spool) Write(p []byte) (int, error) {
	if sp.err == nil && sp.file == nil && len(sp.mem)+len(p) > spoolMemory {
		sp.err = sp.toFile()
	}
	if sp.err != nil {
		return 0, sp.err
	}
	if sp.file == nil {
		sp.mem = append(sp.mem, p...)
	} else if _, err := sp.file.Write(p); err != nil {
		sp.err = fmt.Errorf("hold a message: %w", err)
		return 0, sp.err
	}
	sp.size += int64(len(p))
	return len(p), nil
}

// toFile moves what there is to a file.
func (sp *spool) toFile() error {
	f, err := os.CreateTemp(sp.dir, "append-")
	if err == nil {
		sp.file = f
		if err = os.Remove(f.Name()); err == nil {
			_, err = f.Write(sp.mem)
		}
	}
	if err != nil {
		return fmt.Errorf("hold a message: %w", err)
	}
	sp.mem = nil
	return nil
}

// from reads the message from an octet on, once all has been written.
func (sp *spool) from(at int64) io.Reader {
	if sp.file != nil {
		return io.NewSectionReader(sp.file, at, sp.size-at)
	}
	return bytes.NewReader(sp.mem[at:])
}

func (sp *spool) close() {
	if sp.file != nil {
		sp.file.Close() //nolint:errcheck // nothing in it is needed any more
	}
}

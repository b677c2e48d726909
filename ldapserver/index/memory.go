package index

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// memory is a block outside Go's heap: the collector neither scans it nor waits to double it.
type memory struct {
	b      []byte
	mapped []byte // begins with b, and ends with a page of the system's
}

// minMemory is what a block begins with.
const minMemory = 1 << 20

// page is what a large block consists of, where the system lets it. A search looks at a dozen places all over the block, and of small pages there are so many
// that where each is has to be looked up in memory, too.
const page = 2 << 20

func newMemory(size int) (*memory, error) {
	size = max(size, minMemory)
	b, err := unix.Mmap(-1, 0, inPages(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for the directory: %w", err)
	}
	m := &memory{b[:size], b}
	m.advise()
	return m, nil
}

// inPages is the size of the pages that so many octets take. Small blocks have small ones.
func inPages(size int) int {
	if size < page {
		return size
	}
	return (size + page - 1) / page * page
}

func (m *memory) advise() {
	if len(m.mapped) >= page {
		unix.Madvise(m.mapped, unix.MADV_HUGEPAGE) //nolint:errcheck // where there are none, all of it still works
	}
}

// resize moves the block if it must. What pointed into it is void.
func (m *memory) resize(size int) error {
	b, err := unix.Mremap(m.mapped, inPages(size), unix.MREMAP_MAYMOVE)
	if err != nil {
		return fmt.Errorf("memory for the directory: %w", err)
	}
	m.b, m.mapped = b[:size], b
	m.advise()
	return nil
}

func (m *memory) free() {
	if m.mapped != nil {
		unix.Munmap(m.mapped) //nolint:errcheck // nothing can be done about it
		m.b, m.mapped = nil, nil
	}
}

// freeWith frees the block once nobody holds x any more. A search holds its index until its last entry is written.
func (m *memory) freeWith(x *Index) {
	runtime.AddCleanup(x, func(b []byte) { unix.Munmap(b) }, m.mapped) //nolint:errcheck // as in free
}

// writer fills a block from its start.
type writer struct {
	m    *memory
	used int
	err  error
}

// room makes place for n octets more, and answers where.
func (w *writer) room(n int) []byte {
	if w.err != nil {
		return make([]byte, n) // what is written goes nowhere; the error is answered at the end
	}
	if need := w.used + n; need > len(w.m.b) {
		if w.err = w.m.resize(max(need, 2*len(w.m.b))); w.err != nil {
			return make([]byte, n)
		}
	}
	place := w.m.b[w.used : w.used+n]
	w.used += n
	return place
}

// section is a part of the block.
type section struct{ offset, length uint64 }

func (w *writer) octets(b []byte) section {
	s := section{uint64(w.used), uint64(len(b))}
	copy(w.room(len(b)), b)
	return s
}

func (w *writer) numbers(list []uint32) section {
	s := section{uint64(w.used), 4 * uint64(len(list))}
	place := w.room(4 * len(list))
	for i, n := range list {
		binary.LittleEndian.PutUint32(place[4*i:], n)
	}
	return s
}

package index

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// memory is a block outside Go's heap: the collector neither scans it nor waits to double it. It is given back once nobody holds it any more, and never moves before.
type memory struct {
	b       []byte // what can be used
	reserve *reserve
}

// reserve is the addresses of a block, of which those that are not used cost nothing.
type reserve struct{ mapped []byte }

// page is what a large block consists of, where the system lets it. A search looks at a dozen places all over the block, and of small pages there are so many
// that where each is has to be looked up in memory, too.
const page = 2 << 20

// newMemory makes a block that is empty, and may have so many octets at most.
func newMemory(most int) (*memory, error) {
	b, err := unix.Mmap(-1, 0, inPages(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory for the directory: %w", err)
	}
	m := &memory{b[:0], &reserve{b}}
	runtime.AddCleanup(m, func(r *reserve) { unix.Munmap(r.mapped) }, m.reserve) //nolint:errcheck // nothing can be done about it
	unix.Madvise(b, unix.MADV_HUGEPAGE)                                          //nolint:errcheck // where there are none, all of it still works
	return m, nil
}

// inPages is the size of the pages that so many octets take.
func inPages(size int) int { return roundUp(max(size, 1), page) }

func roundUp(size, unit int) int { return (size + unit - 1) / unit * unit }

// grow makes so many octets of it usable.
func (m *memory) grow(size int) error {
	if size > len(m.reserve.mapped) {
		return ErrTooMany
	}
	if err := unix.Mprotect(m.reserve.mapped[:inPages(size)], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("memory for the directory: %w", err)
	}
	m.b = m.reserve.mapped[:size]
	return nil
}

// cut gives back what is behind so many octets. A small block then has small pages.
func (m *memory) cut(size int) error {
	b, err := unix.Mremap(m.reserve.mapped, roundUp(size, unix.Getpagesize()), 0)
	if err != nil {
		return fmt.Errorf("memory for the directory: %w", err)
	}
	m.b, m.reserve.mapped = b[:size], b
	return nil
}

// growth is how much more of a block is made usable at once.
const growth = 4 * page

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
		if w.err = w.m.grow(max(need, min(need+growth, len(w.m.reserve.mapped)))); w.err != nil {
			return make([]byte, n)
		}
	}
	place := w.m.b[w.used : w.used+n]
	w.used += n
	return place
}

// section is a part of the block.
type section struct{ offset, length uint64 }

// place makes place for n octets, and answers which section that is.
func (w *writer) place(n int) (section, []byte) {
	s := section{uint64(w.used), uint64(n)}
	return s, w.room(n)
}

// list makes place for n numbers.
func (w *writer) list(n uint32) (section, u32s) {
	s, place := w.place(4 * int(n))
	return s, place
}

func (w *writer) octets(b []byte) section {
	s, place := w.place(len(b))
	copy(place, b)
	return s
}

func (w *writer) numbers(list []uint32) section {
	s, place := w.list(uint32(len(list)))
	for i, n := range list {
		place.set(uint32(i), n)
	}
	return s
}

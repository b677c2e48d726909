package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// ErrFile is a file that holds no index of this version, or a damaged one.
var ErrFile = errors.New("not a usable index file")

// The header: magic, version, number of columns, size of the block, sum of all behind it, entries, generation, date, then the
// sections.
const (
	magic       = "balorgDI"
	version     = 1
	sumAt       = 8 + 4 + 4 + 8
	fixedHeader = sumAt + 4 + 4 + 8 + 8
	sectionSize = 16
	columnSize  = 8 + 9*sectionSize
	headerSize  = fixedHeader + 3*sectionSize + int(schema.Count)*columnSize
)

// layout says where everything is in the block.
type layout struct {
	info                          Info
	entries                       uint32
	recordOffsets, records, uuids section
	columns                       [schema.Count]columnLayout
}

func (l *columnLayout) sections() []*section {
	return []*section{&l.offsets, &l.dict, &l.starts, &l.postings, &l.forward, &l.overflow, &l.hash, &l.gramAt, &l.grams}
}

// seal writes the header and cuts the block to its size.
func (l *layout) seal(w *writer) error {
	if err := w.m.cut(w.used); err != nil {
		return err
	}
	le := binary.LittleEndian
	b := append(w.m.b[:0], magic...)
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, uint32(schema.Count))
	b = le.AppendUint64(b, uint64(len(w.m.b)))
	b = le.AppendUint32(b, 0) // the sum, last of all
	b = le.AppendUint32(b, l.entries)
	b = le.AppendUint64(b, l.info.Generation)
	b = le.AppendUint64(b, uint64(l.info.Date.Unix()))
	put := func(s section) { b = le.AppendUint64(le.AppendUint64(b, s.offset), s.length) }
	put(l.recordOffsets)
	put(l.records)
	put(l.uuids)
	for a := range l.columns {
		c := &l.columns[a]
		b = le.AppendUint32(le.AppendUint32(b, c.values), c.present)
		for _, s := range c.sections() {
			put(*s)
		}
	}
	le.PutUint32(w.m.b[sumAt:], sum(w.m.b))
	return nil
}

// sum is that of all behind its own place.
func sum(block []byte) uint32 { return crc32.Checksum(block[sumAt+4:], castagnoli) }

// open reads the header of a block and answers the index that is in it, to which the memory then belongs.
func open(m *memory, constants []entry.Attribute) (*Index, error) {
	le, b := binary.LittleEndian, m.b
	if len(b) < headerSize || string(b[:8]) != magic || le.Uint32(b[8:]) != version || le.Uint32(b[12:]) != uint32(schema.Count) ||
		le.Uint64(b[16:]) != uint64(len(b)) {
		return nil, ErrFile
	}
	x := &Index{
		entries: le.Uint32(b[28:]), constants: constants, block: b, memory: m,
		info: Info{Generation: le.Uint64(b[32:]), Date: time.Unix(int64(le.Uint64(b[40:])), 0).UTC()},
	}
	at, ok := fixedHeader, true
	next := func() []byte {
		offset, length := le.Uint64(b[at:]), le.Uint64(b[at+8:])
		at += sectionSize
		if offset > uint64(len(b)) || length > uint64(len(b))-offset {
			ok = false
			return nil
		}
		return b[offset : offset+length : offset+length]
	}
	x.offsets, x.records, x.uuids = next(), next(), next()
	for a := range x.columns {
		c := &column{values: le.Uint32(b[at:]), present: le.Uint32(b[at+4:])}
		at += 8
		c.offsets, c.dict, c.starts, c.postings = next(), next(), next(), next()
		c.forward, c.overflow, c.hash, c.gramAt, c.grams = next(), next(), next(), next(), next()
		if c.values > 0 {
			x.columns[a] = c
		}
	}
	if !ok {
		return nil, ErrFile
	}
	return x, nil
}

// Save writes the index to a file, whole or not at all.
func (x *Index) Save(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part")
	if err != nil {
		return fmt.Errorf("saving the index: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving the index: %w", err)
			os.Remove(f.Name()) //nolint:errcheck // the error told is the one that counts
		}
	}()
	_, err = f.Write(x.block)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load reads an index from a file. It is ErrFile when the file cannot be used: the index is then to be built anew.
func Load(path string, constants []entry.Attribute) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("loading the index: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("loading the index: %w", err)
	}
	if info.Size() < int64(headerSize) || info.Size() > 1<<36 {
		return nil, ErrFile
	}
	x, err := load(f, int(info.Size()), constants)
	if err != nil {
		return nil, fmt.Errorf("loading the index: %w", err)
	}
	return x, nil
}

func load(f io.Reader, size int, constants []entry.Attribute) (*Index, error) {
	m, err := newMemory(size)
	if err == nil {
		err = m.grow(size)
	}
	if err == nil {
		err = m.cut(size)
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, m.b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if sum(m.b) != binary.LittleEndian.Uint32(m.b[sumAt:]) {
		return nil, ErrFile
	}
	return open(m, constants)
}

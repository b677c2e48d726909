package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// chunk is how much memory for records is asked for at once.
const chunk = 1 << 20

// MaxEntries is how many entries an index takes: ids use one bit of 32 otherwise.
const MaxEntries = 1 << 28

// ErrTooMany is a directory beyond what an index takes.
var ErrTooMany = errors.New("the directory has too many entries")

// Builder collects entries. It is not safe for concurrent use.
type Builder struct {
	chunks  [][]byte
	records [][]byte
	block   *writer // where the index is to be; the records are in it once they are in order
	stored  section // the records in it
	shared  bool    // the display names are the common names
}

// Add adds an entry, which must have a common name and an address, and answers its number here: Set and Record know it by that. The attributes
// every entry has alike are no part of it, they are the index's constants.
func (b *Builder) Add(attributes []entry.Attribute) int {
	b.records = append(b.records, b.keep(attributes))
	return len(b.records) - 1
}

// Set puts other attributes in the place of an entry's.
func (b *Builder) Set(n int, attributes []entry.Attribute) { b.records[n] = b.keep(attributes) }

// AddRecord adds an entry as its record.
func (b *Builder) AddRecord(record []byte) { b.records = append(b.records, b.copy(record)) }

// Len is how many entries there are.
func (b *Builder) Len() int { return len(b.records) }

// Record is the record of an entry.
func (b *Builder) Record(n int) []byte { return b.records[n] }

func (b *Builder) keep(attributes []entry.Attribute) []byte {
	var scratch [1 << 10]byte
	return b.copy(entry.AppendRecord(scratch[:0], attributes))
}

func (b *Builder) copy(record []byte) []byte {
	last := len(b.chunks) - 1
	if last < 0 || cap(b.chunks[last])-len(b.chunks[last]) < len(record) {
		b.chunks = append(b.chunks, make([]byte, 0, max(chunk, len(record))))
		last++
	}
	at := len(b.chunks[last])
	b.chunks[last] = append(b.chunks[last], record...)
	return b.chunks[last][at:len(b.chunks[last]):len(b.chunks[last])]
}

// Build makes the index of the entries, which takes all processors for some seconds when they are many. The records are put in order by it, if Sort has not done that.
func (b *Builder) Build(info Info, constants []entry.Attribute) (*Index, error) {
	if len(b.records) > MaxEntries {
		return nil, ErrTooMany
	}
	if err := b.Sort(); err != nil {
		return nil, err
	}
	b.shared = b.sharesName()
	w := b.block
	var l layout
	l.info = info
	l.entries = uint32(len(b.records))
	l.recordOffsets, l.records = b.offsets(w), b.stored
	b.columns(w, &l)
	if b.shared {
		l.columns[schema.DisplayName] = l.columns[schema.CN]
	}
	l.uuids = w.numbers(b.uuidTable())
	err := w.err
	if err == nil {
		err = l.seal(w)
	}
	if err != nil {
		return nil, err
	}
	return open(w.m, constants)
}

// sortKey puts an entry in its place without looking at its record as a rule.
type sortKey struct {
	head   uint64 // the first octets of the folded name
	name   []byte
	mail   []byte
	record []byte
}

// Sort puts the records in the order the index has them in: by folded common name, then address. Afterwards nothing is added any more.
func (b *Builder) Sort() error {
	if b.block != nil {
		return nil
	}
	keys, err := b.sortKeys()
	if err != nil {
		return err
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return cmp.Or(bytes.Compare(a.name, b.name), bytes.Compare(a.mail, b.mail))
	})
	size := 0
	for i := range keys {
		if i > 0 && bytes.Equal(keys[i].mail, keys[i-1].mail) && bytes.Equal(keys[i].name, keys[i-1].name) {
			return fmt.Errorf("the address %s stands on two entries", keys[i].mail)
		}
		size += len(keys[i].record)
	}
	if uint64(size) > math.MaxUint32 {
		return ErrTooMany
	}
	m, err := newMemory(mostMemory(size, len(keys)))
	if err != nil {
		return err
	}
	w := &writer{m: m, used: headerSize}
	b.stored = section{uint64(w.used), uint64(size)}
	// They go where they are to stay, and what holds them now is needed no longer: there is no time at which the index is there and they are, too.
	for i := range keys {
		record := w.room(len(keys[i].record))
		copy(record, keys[i].record)
		b.records[i] = slices.Clip(record)
	}
	b.chunks, b.block = nil, w
	return w.err
}

// mostMemory is more than an index of so many records of so many octets can need: texts have several times their length when they are folded, and of each three octets
// there may be five in a list. They are addresses alone.
func mostMemory(size, records int) int { return 72*size + 256*records + 64<<20 }

// sortKeys are those of the records, in the order in which they came.
func (b *Builder) sortKeys() ([]sortKey, error) {
	keys := make([]sortKey, len(b.records))
	var names []byte
	for i, record := range b.records {
		k := sortKey{record: record}
		name, mail, err := identify(record)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if cap(names)-len(names) < len(name) {
			names = make([]byte, 0, max(chunk, len(name)))
		}
		at := len(names)
		names = append(names, name...)
		k.name, k.mail = names[at:], mail
		var head [8]byte
		copy(head[:], k.name)
		k.head = binary.BigEndian.Uint64(head[:])
		keys[i] = k
	}
	return keys, nil
}

// identify answers the lowest folded common name of a record, and its address.
func identify(record []byte) (name, mail []byte, err error) {
	err = eachValue(record, schema.CN, func(value []byte) error {
		folded := schema.FoldText(nil, value, schema.Whole)
		if name == nil || bytes.Compare(folded, name) < 0 {
			name = folded
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = eachValue(record, schema.Mail, func(value []byte) error {
		mail = value
		return nil
	})
	if err == nil && (len(name) == 0 || len(mail) == 0) {
		err = errors.New("it has no common name or no address")
	}
	return name, mail, err
}

// eachValue calls fn with each value of an attribute.
func eachValue(record []byte, want schema.Attribute, fn func(value []byte) error) error {
	for len(record) > 0 {
		a, values, _, rest, err := entry.NextAttribute(record)
		if err != nil {
			return err
		}
		if a == want {
			return eachOctets(values, fn)
		}
		if a > want {
			return nil
		}
		record = rest
	}
	return nil
}

func eachOctets(values []byte, fn func([]byte) error) error {
	for len(values) > 0 {
		header, length, ok := octetsHeader(values)
		if !ok {
			return entry.ErrRecord
		}
		if err := fn(values[header : header+length]); err != nil {
			return err
		}
		values = values[header+length:]
	}
	return nil
}

// offsets writes where each record begins, and the last ends.
func (b *Builder) offsets(w *writer) section {
	list := make([]uint32, 0, len(b.records)+1)
	at := uint32(0)
	for _, r := range b.records {
		list = append(list, at)
		at += uint32(len(r))
	}
	return w.numbers(append(list, at))
}

// together is how many columns are collected in one walk over the records: enough that walking costs little, few enough that every processor has some.
const together = 4

// columns builds every column, on all processors.
func (b *Builder) columns(w *writer, l *layout) {
	var (
		next    atomic.Int32
		mu      sync.Mutex
		workers sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				first := schema.Attribute(together * (next.Add(1) - 1))
				if first >= schema.Count {
					return
				}
				columns, err := b.collect(first, min(first+together, schema.Count))
				mu.Lock()
				w.err = errors.Join(w.err, err)
				for _, c := range columns {
					l.columns[c.attribute] = c.write(w, uint32(len(b.records)))
					*c = columnBuilder{} // its memory is another's now
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
}

// sharesName tells whether every entry's display name is its common name: then one column serves for both.
func (b *Builder) sharesName() bool {
	for _, record := range b.records {
		var cn, display []byte
		for rest := record; len(rest) > 0; {
			a, values, _, after, err := entry.NextAttribute(rest)
			if err != nil {
				return false
			}
			switch a {
			case schema.CN:
				cn = values
			case schema.DisplayName:
				display = values
			}
			if rest = after; a >= schema.DisplayName {
				break
			}
		}
		if !bytes.Equal(cn, display) {
			return false
		}
	}
	return true
}

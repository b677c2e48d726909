package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// columnBuilder is a column in the making, on Go's heap.
type columnBuilder struct {
	attribute schema.Attribute
	dict      []byte   // distinct folded values, in order of their coming
	offsets   []uint32 // of each, and the end
	table     []uint32 // finds them: numbers plus one
	pairs     []pair   // in order of entry
	folded    []byte   // scratch
	lately    []met
}

// met is a value as it was written, with the number it got: most attributes have few values, which come again and again, and folding one costs more than
// knowing it.
type met struct {
	value  []byte
	number uint32
}

// metLately is how many of those are remembered.
const metLately = 1 << 12

// pair is one value of one entry.
type pair struct{ entry, value uint32 }

func octetsHeader(b []byte) (header, length int, ok bool) {
	tag, header, length, err := ber.Header(b)
	return header, length, err == nil && tag == ber.Octets && length <= len(b)-header
}

// collect makes the columns of the attributes from one to another, of those that some entry has.
func (b *Builder) collect(from, to schema.Attribute) ([]*columnBuilder, error) {
	var all [together]columnBuilder
	for i := range all {
		all[i] = columnBuilder{attribute: from + schema.Attribute(i), offsets: []uint32{0}, table: make([]uint32, 1<<10), lately: make([]met, metLately)}
	}
	for n, record := range b.records {
		for rest := record; len(rest) > 0; {
			if a, end := entry.Span(rest); end > 0 && a < from {
				rest = rest[end:]
				continue
			}
			a, values, _, after, err := entry.NextAttribute(rest)
			if err != nil {
				return nil, err
			}
			if rest = after; a >= to {
				break
			}
			if a == schema.DisplayName && b.shared {
				continue // the column of the common name serves
			}
			if err := all[a-from].add(uint32(n), values); err != nil {
				return nil, fmt.Errorf("%s: %w", a.Name(), err)
			}
		}
	}
	var kept []*columnBuilder
	for i := range all {
		if len(all[i].pairs) > 0 {
			all[i].inOrder()
			kept = append(kept, &all[i])
		}
	}
	return kept, nil
}

// add takes the values of an entry.
func (c *columnBuilder) add(n uint32, values []byte) error {
	return eachOctets(values, func(value []byte) error {
		known := &c.lately[hash(value)%metLately]
		if known.value == nil || !bytes.Equal(known.value, value) {
			var ok bool
			if c.folded, ok = c.attribute.Fold(c.folded[:0], value); !ok {
				return entry.ErrRecord
			}
			*known = met{value, c.intern(c.folded)}
		}
		c.pairs = append(c.pairs, pair{n, known.number})
		return nil
	})
}

func (c *columnBuilder) text(n uint32) []byte { return c.dict[c.offsets[n]:c.offsets[n+1]] }

func (c *columnBuilder) count() uint32 { return uint32(len(c.offsets) - 1) }

// intern answers the number of a value, which it gets at its first coming.
func (c *columnBuilder) intern(value []byte) uint32 {
	mask := uint32(len(c.table) - 1)
	slot := hash(value) & mask
	for c.table[slot] != 0 {
		if n := c.table[slot] - 1; bytes.Equal(c.text(n), value) {
			return n
		}
		slot = (slot + 1) & mask
	}
	n := c.count()
	c.dict = append(c.dict, value...)
	c.offsets = append(c.offsets, uint32(len(c.dict)))
	c.table[slot] = n + 1
	if 3*c.count() > 2*uint32(len(c.table)) {
		c.table = hashTable(c.count(), c.text)
	}
	return n
}

// hashTable makes a table that finds values by their number, at most half full.
func hashTable(count uint32, text func(uint32) []byte) []uint32 {
	size := uint32(2)
	for size < 2*count {
		size *= 2
	}
	table := make([]uint32, size)
	for n := range count {
		slot := hash(text(n)) & (size - 1)
		for table[slot] != 0 {
			slot = (slot + 1) & (size - 1)
		}
		table[slot] = n + 1
	}
	return table
}

// order sorts the values: which number comes at each place.
func (c *columnBuilder) order() []uint32 {
	type key struct {
		head uint64
		n    uint32
	}
	keys := make([]key, c.count())
	for n := range keys {
		var head [8]byte
		copy(head[:], c.text(uint32(n)))
		keys[n] = key{binary.BigEndian.Uint64(head[:]), uint32(n)}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return bytes.Compare(c.text(a.n), c.text(b.n))
	})
	order := make([]uint32, len(keys))
	for place, k := range keys {
		order[place] = k.n
	}
	return order
}

// inOrder renumbers the values in their order.
func (c *columnBuilder) inOrder() {
	order := c.order()
	rank := make([]uint32, len(order))
	dict, offsets := make([]byte, 0, len(c.dict)), make([]uint32, 1, len(c.offsets))
	for place, n := range order {
		rank[n] = uint32(place)
		dict = append(dict, c.text(n)...)
		offsets = append(offsets, uint32(len(dict)))
	}
	c.dict, c.offsets, c.table, c.lately = dict, offsets, nil, nil
	for i := range c.pairs {
		c.pairs[i].value = rank[c.pairs[i].value]
	}
}

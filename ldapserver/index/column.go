package index

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// column is one attribute of all entries.
type column struct {
	values   uint32 // how many distinct ones
	present  uint32 // how many entries have one
	offsets  u32s   // of values in dict, and its end
	dict     []byte
	starts   u32s // of the postings of each value, and their end
	postings u32s
	forward  u32s
	overflow u32s // the number of ids, then the ids in order
	hash     u32s // ids plus one; a power of two, probed linearly
	gramAt   u32s // where the ids of each gram begin in grams, and their end; empty: there are none
	grams    []byte
}

// text is the folded value with an id.
func (c *column) text(id uint32) []byte { return c.dict[c.offsets.at(id):c.offsets.at(id+1)] }

// find answers the id of a value.
func (c *column) find(value []byte) (id uint32, ok bool) {
	mask := c.hash.len() - 1
	for slot := hash(value) & mask; ; slot = (slot + 1) & mask {
		entry := c.hash.at(slot)
		if entry == 0 {
			return 0, false
		}
		if id = entry - 1; bytes.Equal(c.text(id), value) {
			return id, true
		}
	}
}

// from is the first id whose value is not below.
func (c *column) from(value []byte) uint32 {
	return uint32(sort.Search(int(c.values), func(i int) bool { return bytes.Compare(c.text(uint32(i)), value) >= 0 }))
}

// prefixed answers the range of ids whose values begin so.
func (c *column) prefixed(prefix []byte) (lo, hi uint32) {
	lo = c.from(prefix)
	n := sort.Search(int(c.values-lo), func(i int) bool { return !bytes.HasPrefix(c.text(lo+uint32(i)), prefix) })
	return lo, lo + uint32(n)
}

// first is the lowest id of an entry, or none.
func (c *column) first(entry uint32) uint32 {
	id := c.forward.at(entry)
	if id != none && id&several != 0 {
		return c.overflow.at(id&^several + 1)
	}
	return id
}

// inRange answers the lowest id of an entry that is in [lo, hi), or none.
func (c *column) inRange(entry, lo, hi uint32) uint32 {
	id := c.forward.at(entry)
	if id == none || id&several == 0 {
		if id >= lo && id < hi {
			return id
		}
		return none
	}
	at := id &^ several
	for n := c.overflow.at(at); n > 0; n-- {
		at++
		if id = c.overflow.at(at); id >= lo && id < hi {
			return id
		}
	}
	return none
}

// gramIDs answers the list of the values that hold a gram.
func (c *column) gramIDs(g uint32) []byte { return c.grams[c.gramAt.at(g):c.gramAt.at(g+1)] }

// rarest is the two shortest lists of values among the grams of some parts.
type rarest struct {
	lists [2][]byte
	grams [2]uint32
	found int
}

// add looks at the grams of a part; one of fewer than three octets has none.
func (k *rarest) add(c *column, part []byte) {
	for i := 0; i+3 <= len(part); i++ {
		g := gram(part[i:])
		if (k.found > 0 && g == k.grams[0]) || (k.found > 1 && g == k.grams[1]) {
			continue
		}
		ids := c.gramIDs(g)
		switch {
		case k.found == 0 || len(ids) < len(k.lists[0]):
			k.lists[1], k.grams[1] = k.lists[0], k.grams[0]
			k.lists[0], k.grams[0] = ids, g
		case k.found == 1 || len(ids) < len(k.lists[1]):
			k.lists[1], k.grams[1] = ids, g
		default:
			continue
		}
		k.found = min(k.found+1, 2)
	}
}

// nextID reads the next of a list of differences.
func nextID(list []byte, last uint32) (id uint32, rest []byte) {
	if list[0] < 0x80 {
		return last + uint32(list[0]), list[1:]
	}
	delta, n := binary.Uvarint(list)
	return last + uint32(delta), list[n:]
}

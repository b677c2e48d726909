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

// rarest answers the shortest list of values among the grams of a part of at least three octets.
func (c *column) rarest(part, best []byte, found bool) (list []byte, ok bool) {
	for i := 0; i+3 <= len(part); i++ {
		if ids := c.gramIDs(gram(part[i:])); !found || len(ids) < len(best) {
			best, found = ids, true
		}
	}
	return best, found
}

// nextID reads the next of a list of differences.
func nextID(list []byte, last uint32) (id uint32, rest []byte) {
	if list[0] < 0x80 {
		return last + uint32(list[0]), list[1:]
	}
	delta, n := binary.Uvarint(list)
	return last + uint32(delta), list[n:]
}

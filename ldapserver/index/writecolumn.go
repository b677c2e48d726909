package index

import (
	"encoding/binary"
	"slices"

	"balorg/ldapserver/schema"
)

// columnLayout says where the parts of a column are in the block.
type columnLayout struct {
	values, present                                                         uint32
	offsets, dict, starts, postings, forward, overflow, hash, gramAt, grams section
}

// write puts the column into the block. All it needs of the builder's own memory is given back afterwards.
func (c *columnBuilder) write(w *writer, entries uint32) columnLayout {
	l := columnLayout{values: c.count()}
	l.offsets, l.dict = w.numbers(c.offsets), w.octets(c.dict)
	l.hash = w.numbers(hashTable(c.count(), c.text))
	var overflow []uint32
	l.forward, overflow, l.present = c.forward(w, entries)
	l.overflow = w.numbers(overflow)
	l.starts, l.postings = c.postings(w)
	if hasGrams(c.attribute) && c.count() >= minGramValues {
		l.gramAt, l.grams = c.gramLists(w)
	}
	return l
}

// minGramValues is the size below which all values of a column are looked at as fast as their grams.
const minGramValues = 512

// hasGrams tells whether people look for parts of the attribute's values.
func hasGrams(a schema.Attribute) bool {
	switch a {
	case schema.CN, schema.DisplayName, schema.SN, schema.GivenName, schema.Mail, schema.O, schema.OU, schema.Description, schema.L:
		return true
	default:
		return false
	}
}

// forward writes the ids of each entry.
func (c *columnBuilder) forward(w *writer, entries uint32) (s section, overflow []uint32, present uint32) {
	s, forward := w.list(entries)
	for i := range entries {
		forward.set(i, none)
	}
	var ids []uint32
	for i := 0; i < len(c.pairs); {
		at := c.pairs[i].entry
		ids = ids[:0]
		for ; i < len(c.pairs) && c.pairs[i].entry == at; i++ {
			ids = append(ids, c.pairs[i].value)
		}
		present++
		if slices.Sort(ids); len(slices.Compact(ids)) == 1 {
			forward.set(at, ids[0])
			continue
		}
		ids = slices.Compact(ids)
		forward.set(at, several|uint32(len(overflow)))
		overflow = append(append(overflow, uint32(len(ids))), ids...)
	}
	return s, overflow, present
}

// postings writes the entries of each value. The pairs are gone then.
func (c *columnBuilder) postings(w *writer) (at, entries section) {
	// Two values of one entry may fold to the same.
	distinct := c.pairs[:0]
	seen := make([]uint32, c.count()) // the entry that had the value last, plus one
	starts := make([]uint32, c.count()+1)
	for _, p := range c.pairs {
		if seen[p.value] != p.entry+1 {
			seen[p.value] = p.entry + 1
			starts[p.value+1]++
			distinct = append(distinct, p)
		}
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	at = w.numbers(starts)
	entries, postings := w.list(uint32(len(distinct)))
	for _, p := range distinct {
		postings.set(starts[p.value], p.entry)
		starts[p.value]++
	}
	c.pairs = nil
	return at, entries
}

// gramLists writes the values of each gram, as differences: their sizes are counted first, so that one list of the exact size holds all.
func (c *columnBuilder) gramLists(w *writer) (at, lists section) {
	last := make([]uint32, grams) // the id written last, plus one
	sizes := make([]uint32, grams+1)
	c.eachGram(last, func(g, delta uint32) { sizes[g+1] += uvarintSize(delta) })
	for g := 1; g < len(sizes); g++ {
		sizes[g] += sizes[g-1]
	}
	at = w.numbers(sizes)
	lists, place := w.place(int(sizes[grams]))
	clear(last)
	c.eachGram(last, func(g, delta uint32) {
		sizes[g] += uint32(binary.PutUvarint(place[sizes[g]:], uint64(delta)))
	})
	return at, lists
}

// eachGram calls fn with every gram of every value, each once a value, and how far the value's id, plus one, is from that of the one before.
func (c *columnBuilder) eachGram(last []uint32, fn func(gram, delta uint32)) {
	for id := range c.count() {
		text := c.text(id)
		for i := 0; i+3 <= len(text); i++ {
			g := gram(text[i:])
			if last[g] == id+1 {
				continue
			}
			fn(g, id+1-last[g])
			last[g] = id + 1
		}
	}
}

func uvarintSize(n uint32) uint32 {
	size := uint32(1)
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

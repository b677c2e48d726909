package index

import (
	"bytes"

	"balorg/ldapserver/schema"
)

// Lookup is one value of several that are looked up together. Each needs half a dozen places in memory, every one of which the one before names; together they
// are waited for once.
type Lookup struct {
	Value []byte // folded
	Other []byte // an equal value in another form, or nil
	Void  bool   // there is no such value: nothing is found

	slot      uint32
	id, other uint32 // that were found, or none
	text, end uint32 // in dict
	from, to  uint32 // in postings
}

// LookUp finds the entries of values of an attribute that neither all entries have alike nor is an UUID; Each tells which they are. What comes to lie at hand for them is told by a number that
// means nothing, but has to be kept somewhere, lest the compiler finds that nobody needs it.
func (x *Index) LookUp(a schema.Attribute, all []Lookup) (touched uint32) {
	c := x.columns[a]
	if c == nil {
		for i := range all {
			all[i].id, all[i].other = none, none
		}
		return 0
	}
	mask := c.hash.len() - 1
	for i := range all {
		l := &all[i]
		l.slot, l.id, l.other = hash(l.Value)&mask, none, none
		if !l.Void {
			l.id = c.hash.at(l.slot) - 1 // an empty slot is none
		}
	}
	for i := range all {
		if l := &all[i]; l.id != none {
			l.place(c)
		}
	}
	for i := range all {
		if l := &all[i]; l.id != none || (l.Other != nil && !l.Void) {
			l.settle(c)
		}
	}
	var entries [16]uint32
	for len(all) > 0 {
		n := min(len(all), len(entries))
		known := entries[:0]
		for i := range all[:n] {
			if l := &all[i]; l.id != none {
				known = append(known, c.postings.at(l.from))
			}
		}
		touched += x.Fetch(known)
		all = all[n:]
	}
	return touched
}

// place notes where the value's text and its entries are.
func (l *Lookup) place(c *column) {
	l.text, l.end = c.offsets.at(l.id), c.offsets.at(l.id+1)
	l.from, l.to = c.starts.at(l.id), c.starts.at(l.id+1)
}

// settle sees whether it is the value, and looks further where it is not.
func (l *Lookup) settle(c *column) {
	if l.id != none && !bytes.Equal(c.dict[l.text:l.end], l.Value) {
		l.id = none
		if id, ok := c.find(l.Value); ok {
			l.id = id
		}
	}
	if l.Other != nil {
		if id, ok := c.find(l.Other); ok && l.id == none {
			l.id = id
		} else if ok {
			l.other = id
		}
	}
	if l.id != none {
		l.place(c)
	}
}

// Each calls yield with the entries that a lookup has found, each once, in the order of Plan.Each, until it answers false.
func (x *Index) Each(a schema.Attribute, l *Lookup, yield func(entry uint32) bool) {
	if l.id == none {
		return
	}
	c := x.columns[a]
	for i := l.from; i < l.to; i++ {
		if !yield(c.postings.at(i)) {
			return
		}
	}
	if l.other == none {
		return
	}
	for i, end := c.starts.at(l.other), c.starts.at(l.other+1); i < end; i++ {
		if e := c.postings.at(i); c.inRange(e, l.id, l.id+1) == none && !yield(e) {
			return
		}
	}
}

// line is how much of the memory the processor fetches at once.
const line = 64

// mostLines is how much of a record is fetched ahead: the processor goes on by itself once it reads.
const mostLines = 8

// Fetch has the records of some entries brought near, all at the same time. What it answers is as with LookUp.
func (x *Index) Fetch(entries []uint32) (touched uint32) {
	var at, end [16]uint32
	for len(entries) > 0 {
		n := min(len(entries), len(at))
		for i, e := range entries[:n] {
			at[i], end[i] = x.offsets.at(e), x.offsets.at(e+1)
		}
		for i := range n {
			for from, to := at[i], min(end[i], at[i]+mostLines*line); from < to; from += line {
				touched += uint32(x.records[from])
			}
		}
		entries = entries[n:]
	}
	return touched
}

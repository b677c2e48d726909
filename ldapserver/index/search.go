package index

import "slices"

// testsPerStop is how many entries are tested between two looks at the clock.
const testsPerStop = 1 << 12

// collectLimit is the size up to which matches are collected and put in order; above, entries are tested one after another in their order.
const collectLimit = 1 << 16

// Each calls yield with the number of every entry that matches, each once, in whatever order is found fastest, until it answers false. It is false
// when Stop ended it.
func (p *Plan) Each(yield func(entry uint32) bool) bool {
	if len(p.nodes) > 0 {
		p.each(0, yield)
	}
	return !p.stopped
}

// From is Each in order of the entries, from the one with a number on.
func (p *Plan) From(start uint32, yield func(entry uint32) bool) bool {
	if p.Cost() > collectLimit {
		p.scan(0, start, yield)
		return !p.stopped
	}
	var found []uint32
	if !p.Each(func(e uint32) bool {
		if e >= start {
			found = append(found, e)
		}
		return true
	}) {
		return false
	}
	slices.Sort(found)
	for _, e := range found {
		if !yield(e) {
			break
		}
	}
	return true
}

// each enumerates what matches node at; it is false once yield was.
func (p *Plan) each(at int, yield func(uint32) bool) bool {
	n := &p.nodes[at]
	switch n.kind {
	case nothing:
		return true
	case all:
		lead := at + 1
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			if p.nodes[i].cost < p.nodes[lead].cost {
				lead = i
			}
		}
		if lead == n.end { // (&)
			return p.scan(at, 0, yield)
		}
		return p.each(lead, func(e uint32) bool {
			for i := at + 1; i < n.end; i = p.nodes[i].end {
				if i != lead && !p.test(i, e) {
					return !p.stop()
				}
			}
			return yield(e)
		})
	case any:
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			if !p.each(i, func(e uint32) bool {
				for j := at + 1; j < i; j = p.nodes[j].end {
					if p.test(j, e) {
						return !p.stop() // told already
					}
				}
				return yield(e)
			}) {
				return false
			}
		}
		return true
	}
	return p.eachLeaf(at, n, yield)
}

func (p *Plan) eachLeaf(at int, n *planNode, yield func(uint32) bool) bool {
	if n.negate {
		return p.scan(at, 0, yield)
	}
	switch n.way {
	case byNothing:
		return true
	case byEntry:
		return yield(n.entry)
	case byRange:
		if !p.eachPosting(n, n.lo, n.hi, yield) {
			return false
		}
		return n.other == none || p.eachPosting(n, n.other, n.other+1, func(e uint32) bool {
			return n.column.inRange(e, n.lo, n.hi) != none || yield(e)
		})
	case byPattern:
		if n.listed {
			return p.eachListed(n, yield)
		}
		for id := n.lo; id < n.hi; id++ {
			if !p.eachWithParts(n, id, yield) || p.stop() {
				return false
			}
		}
		return true
	}
	return p.scan(at, 0, yield)
}

// eachPosting yields the entries with an id in a range: those with several of them once, at the lowest.
func (p *Plan) eachPosting(n *planNode, lo, hi uint32, yield func(uint32) bool) bool {
	c := n.column
	if hi-lo > 1 && c.overflow.len() > 0 {
		for id := lo; id < hi; id++ {
			for i, end := c.starts.at(id), c.starts.at(id+1); i < end; i++ {
				if e := c.postings.at(i); c.inRange(e, lo, hi) == id && !yield(e) {
					return false
				}
			}
			if p.stop() {
				return false
			}
		}
		return true
	}
	for i, end := c.starts.at(lo), c.starts.at(hi); i < end; i++ {
		e := c.postings.at(i)
		if n.exact != nil && !p.hasExactly(n, e) {
			continue
		}
		if !yield(e) || p.stop() {
			return false
		}
	}
	return true
}

func (p *Plan) eachListed(n *planNode, yield func(uint32) bool) bool {
	var id, other uint32 // plus one
	second := n.second
	for list := n.list; len(list) > 0; {
		id, list = nextID(list, id)
		for other < id && len(second) > 0 {
			other, second = nextID(second, other)
		}
		if id-1 < n.lo || id-1 >= n.hi || (len(n.second) > 0 && other != id) {
			continue
		}
		if !p.eachWithParts(n, id-1, yield) || p.stop() {
			return false
		}
	}
	return true
}

// eachWithParts yields the entries with an id, if its text has the parts, and they none that is lower and has them too.
func (p *Plan) eachWithParts(n *planNode, id uint32, yield func(uint32) bool) bool {
	if !n.hasParts(id) {
		return true
	}
	c := n.column
	for i, end := c.starts.at(id), c.starts.at(id+1); i < end; i++ {
		e := c.postings.at(i)
		if c.overflow.len() > 0 && c.lowest(e, n) != id {
			continue
		}
		if !yield(e) {
			return false
		}
	}
	return true
}

// scan tests every entry from start on.
func (p *Plan) scan(at int, start uint32, yield func(uint32) bool) bool {
	for e := start; e < p.x.entries; e++ {
		if p.test(at, e) && !yield(e) {
			return false
		}
		if p.stop() {
			return false
		}
	}
	return true
}

// stop asks now and then whether to go on.
func (p *Plan) stop() bool {
	if p.tests++; p.tests%testsPerStop != 0 || p.Stop == nil {
		return p.stopped
	}
	p.stopped = p.stopped || p.Stop()
	return p.stopped
}

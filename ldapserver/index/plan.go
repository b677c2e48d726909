package index

import (
	"bytes"
	"slices"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

// Plan is a query made ready for one index: every value looked up, every term with the number of entries it can come to at most.
// It is for one goroutine.
type Plan struct {
	x     *Index
	nodes []planNode
	// Stop is asked now and then while entries are tested, and ends the search when it answers true; nil never does.
	Stop    func() bool
	tests   uint32
	stopped bool
}

type way uint8

const (
	byNothing way = iota // no entry
	byAll                // each entry is to be tested; one that is a leaf holds for all
	byRange              // entries with an id in a range
	byPattern            // entries with an id in a range whose text has parts
	byPresence
	byEntry // one entry
)

type planNode struct {
	kind   kind
	end    int
	negate bool
	way    way
	cost   uint32

	column         *column
	lo, hi         uint32
	other          uint32 // a second id, or none
	list           []byte // the candidates' ids, as grams have them
	second         []byte // those of another gram that they must be among; empty: of none
	listed         bool
	initial, final []byte
	between        [][]byte
	exact          []byte // the value itself must be this
	attribute      schema.Attribute
	entry          uint32
}

// Plan makes the query ready. Name holds the values of the entries' names that they have in common: their container's and the suffix's.
func (x *Index) Plan(q *Query, name []entry.Attribute) *Plan {
	p := new(Plan)
	p.Set(x, q, name)
	return p
}

// Set makes p the plan of another query and index, in the memory that it has. Without an index it finds nothing, and holds none.
func (p *Plan) Set(x *Index, q *Query, name []entry.Attribute) {
	clear(p.nodes)
	*p = Plan{x: x, nodes: p.nodes[:0]}
	if x == nil {
		return
	}
	p.nodes = slices.Grow(p.nodes, len(q.nodes))[:len(q.nodes)]
	for i := len(q.nodes) - 1; i >= 0; i-- { // what is inside comes first
		p.prepare(i, &q.nodes[i], name)
	}
}

func (p *Plan) prepare(at int, q *queryNode, name []entry.Attribute) {
	n := &p.nodes[at]
	n.kind, n.end, n.negate, n.entry, n.other = q.kind, q.end, q.negate, none, none
	switch q.kind {
	case leaf:
		p.prepareLeaf(n, &q.assert)
		if n.way == byNothing && q.name && holdsFor(&q.assert, name) {
			n.way = byAll
		}
		if n.negate {
			switch n.way {
			case byNothing:
				n.way, n.negate = byAll, false
			case byAll:
				n.way, n.negate = byNothing, false
			}
		}
		if n.way == byAll || n.negate {
			n.cost = p.x.entries
		}
	case all:
		n.cost = p.x.entries
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			n.cost = min(n.cost, p.nodes[i].cost)
		}
	case any:
		sum := uint64(0)
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			sum += uint64(p.nodes[i].cost)
		}
		n.cost = uint32(min(sum, uint64(p.x.entries)))
	case everything:
		n.cost = p.x.entries
	}
}

// holdsFor tells whether an assertion holds for one of the values.
func holdsFor(a *filter.Assertion, attributes []entry.Attribute) bool {
	for _, attribute := range attributes {
		if attribute.Type != a.Type {
			continue
		}
		for _, v := range attribute.Values {
			if a.Present || a.Holds([]byte(v)) {
				return true
			}
		}
	}
	return false
}

func (p *Plan) prepareLeaf(n *planNode, a *filter.Assertion) {
	x := p.x
	n.attribute = a.Type
	if a.Type == schema.EntryUUID {
		p.prepareUUID(n, a)
		return
	}
	if holdsFor(a, x.constants) {
		n.way = byAll
		return
	}
	c := x.columns[a.Type]
	if c == nil {
		return
	}
	n.column, n.exact = c, a.Exact
	switch {
	case a.Present:
		n.way, n.cost = byPresence, c.present
	case a.Op == filter.Substrings:
		p.preparePattern(n, a)
	case a.Op == filter.Equal:
		n.lo, n.hi = c.equal(a.Value)
		if a.Other != nil {
			if lo, hi := c.equal(a.Other); hi > lo {
				if n.hi == n.lo {
					n.lo, n.hi = lo, hi
				} else {
					n.other = lo
				}
			}
		}
		n.way = byRange
	default: // in order: an attribute that has an ordering rule and is no constant is none of the directory's
		n.way = byNothing
	}
	if n.way == byRange && n.lo < n.hi {
		n.cost = c.starts.at(n.hi) - c.starts.at(n.lo)
		if n.other != none {
			n.cost += c.starts.at(n.other+1) - c.starts.at(n.other)
		}
	}
	if n.way == byRange && n.cost == 0 {
		n.way = byNothing
	}
}

func (c *column) equal(value []byte) (lo, hi uint32) {
	if id, ok := c.find(value); ok {
		return id, id + 1
	}
	return 0, 0
}

func (p *Plan) prepareUUID(n *planNode, a *filter.Assertion) {
	switch {
	case a.Present:
		n.way = byAll
	case a.Op == filter.Equal && p.x.entries > 0:
		if n.entry = p.x.findUUID(a.Value); n.entry != none {
			n.way, n.cost = byEntry, 1
		}
	}
}

// worthReading is how much longer a second list may be than the first: reading on in it is so much cheaper than looking at a text somewhere in memory.
const worthReading = 16

// preparePattern narrows a search for parts by its beginning, else by its rarest gram.
func (p *Plan) preparePattern(n *planNode, a *filter.Assertion) {
	c := n.column
	n.way = byPattern
	n.initial, n.between, n.final = a.Initial, a.Any, a.Final
	n.lo, n.hi = 0, c.values
	if len(a.Initial) > 0 {
		n.lo, n.hi = c.prefixed(a.Initial)
		if n.lo == n.hi {
			n.way = byNothing
			return
		}
		if len(a.Any) == 0 && len(a.Final) == 0 {
			n.way = byRange
			return
		}
	}
	inRange := c.starts.at(n.hi) - c.starts.at(n.lo)
	n.cost = inRange
	if c.gramAt.len() == 0 {
		return
	}
	var best rarest
	for _, part := range a.Any {
		best.add(c, part)
	}
	if best.add(c, a.Final); best.found == 0 {
		return
	}
	list := best.lists[0]
	// A list has an octet or two for each value; values have as many entries as the column's average.
	estimate := uint64(len(list)) * uint64(c.postings.len()) / uint64(c.values)
	switch {
	case len(list) == 0:
		n.way, n.cost = byNothing, 0
	case estimate < uint64(inRange):
		n.list, n.listed, n.cost = list, true, uint32(max(estimate, 1))
		if len(best.lists[1]) < worthReading*len(list) {
			n.second = best.lists[1]
		}
	}
}

// Cost is how many entries the search looks at, at most or about.
func (p *Plan) Cost() uint32 {
	if len(p.nodes) == 0 {
		return 0
	}
	return p.nodes[0].cost
}

// Matches tells whether an entry matches.
func (p *Plan) Matches(n uint32) bool { return len(p.nodes) > 0 && p.test(0, n) }

// test tells whether node at holds for an entry.
func (p *Plan) test(at int, e uint32) bool {
	n := &p.nodes[at]
	switch n.kind {
	case all:
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			if !p.test(i, e) {
				return false
			}
		}
		return true
	case any:
		for i := at + 1; i < n.end; i = p.nodes[i].end {
			if p.test(i, e) {
				return true
			}
		}
		return false
	case leaf:
		return p.holds(n, e) != n.negate
	}
	return n.kind == everything
}

func (p *Plan) holds(n *planNode, e uint32) bool {
	switch n.way {
	case byAll:
		return true
	case byPresence:
		return n.column.forward.at(e) != none
	case byEntry:
		return n.entry == e
	case byRange:
		if n.column.inRange(e, n.lo, n.hi) == none && (n.other == none || n.column.inRange(e, n.other, n.other+1) == none) {
			return false
		}
		return n.exact == nil || p.hasExactly(n, e)
	case byPattern:
		return n.column.lowest(e, n) != none
	}
	return false
}

// lowest is the lowest id of an entry that has the parts asked for, or none.
func (c *column) lowest(e uint32, n *planNode) uint32 {
	id := c.forward.at(e)
	if id == none || id&several == 0 {
		if id != none && id >= n.lo && id < n.hi && n.hasParts(id) {
			return id
		}
		return none
	}
	at := id &^ several
	for left := c.overflow.at(at); left > 0; left-- {
		at++
		if id = c.overflow.at(at); id >= n.lo && id < n.hi && n.hasParts(id) {
			return id
		}
	}
	return none
}

func (n *planNode) hasParts(id uint32) bool {
	return filter.HasParts(n.column.text(id), n.initial, n.between, n.final)
}

// hasExactly looks at the values as they were written.
func (p *Plan) hasExactly(n *planNode, e uint32) bool {
	found := false
	eachValue(p.x.Record(e), n.attribute, func(value []byte) error { //nolint:errcheck // the index's own record
		found = found || bytes.Equal(value, n.exact)
		return nil
	})
	return found
}

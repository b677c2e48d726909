package index

import (
	"slices"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

// Query is a filter made ready to be asked of indexes: its values folded, and its negations moved to the assertions (De Morgan's laws hold in three-valued
// logic). With no NOT above anything, Undefined and False come to the same: neither answers an entry.
type Query struct {
	nodes  []queryNode
	memory filter.Memory
}

type kind uint8

const (
	nothing kind = iota // false or Undefined
	everything
	all // And
	any // Or
	leaf
)

type queryNode struct {
	kind   kind
	end    int // behind the last node inside
	negate bool
	assert filter.Assertion
	name   bool // the names of the entries count too
}

// Compile makes a query of a filter, whose memory it keeps using.
func Compile(f *filter.Filter) *Query {
	q := new(Query)
	q.Set(f)
	return q
}

// Set makes q the query of another filter, in the memory that it has. No filter makes one that finds nothing.
func (q *Query) Set(f *filter.Filter) {
	clear(q.nodes)
	q.nodes = q.nodes[:0]
	q.memory.Reset()
	if f != nil {
		q.nodes = slices.Grow(q.nodes, len(f.Nodes))
		q.add(f, 0, false)
	}
}

func (q *Query) add(f *filter.Filter, at int, negate bool) {
	n := &f.Nodes[at]
	if n.Op == filter.Not {
		q.add(f, at+1, !negate)
		return
	}
	here := len(q.nodes)
	q.nodes = append(q.nodes, queryNode{})
	switch n.Op {
	case filter.And, filter.Or:
		of := all
		if (n.Op == filter.Or) != negate {
			of = any
		}
		q.nodes[here].kind = of
		for i := at + 1; i < n.End; i = f.Nodes[i].End {
			q.add(f, i, negate)
		}
	default:
		a := q.memory.Assert(n)
		if !a.Undefined {
			q.nodes[here] = queryNode{kind: leaf, negate: negate, assert: a, name: n.Op == filter.Extensible && n.DN}
		}
	}
	q.nodes[here].end = len(q.nodes)
}

// Matches tells whether an entry that is in no index matches. Names are not looked at.
func (q *Query) Matches(e *entry.Entry) bool { return len(q.nodes) > 0 && q.matches(0, e) }

func (q *Query) matches(at int, e *entry.Entry) bool {
	n := &q.nodes[at]
	switch n.kind {
	case all, any:
		for i := at + 1; i < n.end; i = q.nodes[i].end {
			if q.matches(i, e) != (n.kind == all) {
				return n.kind == any
			}
		}
		return n.kind == all
	case leaf:
		return holdsFor(&n.assert, e.Attributes) != n.negate
	}
	return n.kind == everything
}

// Letters is the length of the longest text the search must find somewhere inside a value, and whether it would be led by such a search: how much a client had to know to ask.
// It is what limits on harvesting look at.
func (q *Query) Letters() (length int, leads bool) {
	if len(q.nodes) == 0 {
		return 0, false
	}
	return q.letters(0)
}

// letters: of an And the term that asks for most counts, of an Or the one that asks for least.
func (q *Query) letters(at int) (length int, leads bool) {
	n := &q.nodes[at]
	switch n.kind {
	case leaf:
		a := &n.assert
		if n.negate || a.Present || a.Op != filter.Substrings || len(a.Initial) > 0 {
			return 0, false
		}
		length = len(a.Final)
		for _, part := range a.Any {
			length = max(length, len(part))
		}
		return length, true
	case all, any:
		first := true
		for i := at + 1; i < n.end; i = q.nodes[i].end {
			l, led := q.letters(i)
			switch {
			case n.kind == all && !led && q.nodes[i].selective():
				return 0, false // another term leads
			case !led:
			case first || (n.kind == all) == (l > length):
				length, leads, first = l, true, false
			}
		}
	}
	return length, leads
}

// selective tells whether a term that is not a search inside values can lead: it names a value or its beginning.
func (n *queryNode) selective() bool {
	return n.kind == nothing || (n.kind == leaf && !n.negate && !n.assert.Present) || n.kind == any
}

// Equality answers the value of a query that asks for one address and nothing else.
func (q *Query) Equality(a schema.Attribute) (value []byte, ok bool) {
	if len(q.nodes) != 1 {
		return nil, false
	}
	n := &q.nodes[0]
	if n.kind != leaf || n.negate || n.assert.Present || n.assert.Op != filter.Equal || n.assert.Type != a || n.assert.Exact != nil {
		return nil, false
	}
	return n.assert.Value, true
}

package filter

import (
	"bytes"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// Truth is what a filter comes to.
type Truth int8

// The three values.
const (
	False     Truth = -1
	Undefined Truth = 0
	True      Truth = 1
)

// Match says what the filter comes to for an entry.
func (f *Filter) Match(e *entry.Entry) Truth {
	if len(f.Nodes) == 0 {
		return Undefined
	}
	return f.match(0, e)
}

func (f *Filter) match(at int, e *entry.Entry) Truth {
	n := &f.Nodes[at]
	switch n.Op {
	case Not:
		return -f.match(at+1, e)
	case And, Or:
		result := True
		if n.Op == Or {
			result = False
		}
		for i := at + 1; i < n.End; i = f.Nodes[i].End {
			truth := f.match(i, e)
			if n.Op == And {
				result = min(result, truth)
			} else {
				result = max(result, truth)
			}
		}
		return result
	}
	a := Assert(n)
	switch {
	case a.Undefined:
		return Undefined
	case a.Present:
		return truth(len(e.Values(a.Type)) > 0)
	}
	for _, v := range e.Values(a.Type) {
		if a.Holds([]byte(v)) {
			return True
		}
	}
	if n.Op == Extensible && n.DN {
		return truth(a.inName(e.DN))
	}
	return False
}

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Assertion is what one node asks of the values of an attribute, its own values folded.
type Assertion struct {
	Undefined bool // nobody can tell, whatever the entry
	Type      schema.Attribute
	Present   bool // any value will do
	Exact     []byte

	Op             Op       // Equal, Substrings, GreaterOrEqual or LessOrEqual
	Value          []byte   // of all but Substrings
	Other          []byte   // an equal value in another form, or nil
	Initial, Final []byte   // of Substrings
	Any            [][]byte // of Substrings
}

// Memory is what assertions keep their values in. One that is used again spares the collector some work: what was asserted before is then void.
type Memory struct {
	octets []byte
	parts  [][]byte
}

// Reset makes room for other assertions.
func (m *Memory) Reset() { m.octets, m.parts = m.octets[:0], m.parts[:0] }

// Assert folds what a node that is neither And, Or nor Not asserts.
func Assert(n *Node) Assertion { return new(Memory).Assert(n) }

// Assert is the function of that name, with its values in the memory.
func (m *Memory) Assert(n *Node) Assertion {
	undefined := Assertion{Undefined: true}
	a := Assertion{Type: schema.Lookup(n.Attribute), Op: n.Op}
	if a.Type == schema.None || (a.Type.Matching() == schema.Opaque && n.Op != Present) {
		return undefined
	}
	switch n.Op {
	case Present:
		a.Present = true
		return a
	case Substrings:
		return m.substrings(a, n)
	case Approximate:
		a.Op = Equal
	case GreaterOrEqual, LessOrEqual:
		if !a.Type.Ordered() {
			return undefined
		}
	case Extensible:
		a.Op = Equal
		switch schema.LookupRule(a.Type, n.Rule) {
		case schema.UnknownRule:
			if len(n.Rule) > 0 {
				return undefined
			}
		case schema.Exact:
			a.Exact = n.Value
		}
	}
	m.fold(&a, n.Value)
	return a
}

// Equality is Assert of a value that an attribute must have.
func (m *Memory) Equality(of schema.Attribute, value []byte) Assertion {
	if of.Matching() == schema.Opaque {
		return Assertion{Undefined: true}
	}
	a := Assertion{Type: of, Op: Equal}
	m.fold(&a, value)
	return a
}

// fold gives an assertion its value.
func (m *Memory) fold(a *Assertion, value []byte) {
	at := len(m.octets)
	var ok bool
	if m.octets, ok = a.Type.Fold(m.octets, value); !ok {
		*a = Assertion{Undefined: true}
		return
	}
	a.Value = m.since(at)
	if a.Op == Equal {
		a.Other, _ = a.Type.Alternative(a.Value)
	}
}

// since is what the memory has taken since it had so many octets. Should it move, what was answered stays where it is.
func (m *Memory) since(at int) []byte { return m.octets[at:len(m.octets):len(m.octets)] }

func (m *Memory) substrings(a Assertion, n *Node) Assertion {
	undefined := Assertion{Undefined: true}
	if n.Void || !a.Type.Substrings() {
		return undefined
	}
	fold := func(part []byte, where schema.Part) []byte {
		at := len(m.octets)
		var ok bool
		if m.octets, ok = a.Type.FoldPart(m.octets, part, where); !ok {
			a.Undefined = true
		}
		return m.since(at)
	}
	if n.Initial != nil {
		a.Initial = fold(n.Initial, schema.Initial)
	}
	first := len(m.parts)
	for _, part := range n.Any {
		m.parts = append(m.parts, fold(part, schema.Any))
	}
	a.Any = m.parts[first:len(m.parts):len(m.parts)]
	if n.Final != nil {
		a.Final = fold(n.Final, schema.Final)
	}
	// What folds away asks for nothing: marks and blanks alone would otherwise match everybody.
	length := len(a.Initial) + len(a.Final)
	for _, part := range a.Any {
		length += len(bytes.Trim(part, " "))
	}
	if a.Undefined || length == 0 {
		return undefined
	}
	return a
}

// Holds tells whether a value is what is asserted.
func (a *Assertion) Holds(value []byte) bool {
	folded, ok := a.Type.Fold(nil, value)
	return ok && a.HoldsFolded(folded) && (a.Exact == nil || bytes.Equal(a.Exact, value))
}

// HoldsFolded is Holds for a value that has been folded, without regard to Exact.
func (a *Assertion) HoldsFolded(folded []byte) bool {
	switch a.Op {
	case Substrings:
		return HasParts(folded, a.Initial, a.Any, a.Final)
	case GreaterOrEqual:
		return bytes.Compare(folded, a.Value) >= 0
	case LessOrEqual:
		return bytes.Compare(folded, a.Value) <= 0
	default:
		return bytes.Equal(folded, a.Value) || (a.Other != nil && bytes.Equal(folded, a.Other))
	}
}

// HasParts tells whether a text begins with initial, ends with final, and has the others between them in their order.
func HasParts(text, initial []byte, between [][]byte, final []byte) bool {
	if !bytes.HasPrefix(text, initial) {
		return false
	}
	text = text[len(initial):]
	if !bytes.HasSuffix(text, final) {
		return false
	}
	text = text[:len(text)-len(final)]
	for _, part := range between {
		i := bytes.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

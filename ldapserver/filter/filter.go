// Package filter reads search filters (RFC 4511, 4.5.1.7) and says of one entry whether it matches. The index answers the same question for
// a whole directory; this package is what it must agree with.
//
// A filter is three-valued: what the directory cannot judge (an attribute nobody knows, a value of another syntax) is Undefined, which
// no NOT makes true, and which never fails the rest.
package filter

import (
	"errors"

	"balorg/ldapserver/ber"
)

// Op is what a node of a filter asks.
type Op uint8

// The operations, by the number of their tag.
const (
	And            Op = 0
	Or             Op = 1
	Not            Op = 2
	Equal          Op = 3
	Substrings     Op = 4
	GreaterOrEqual Op = 5
	LessOrEqual    Op = 6
	Present        Op = 7
	Approximate    Op = 8
	Extensible     Op = 9
)

// Limits on a filter.
const (
	MaxDepth = 32
	MaxNodes = 256
	maxParts = 32 // of one substrings assertion
)

var (
	// ErrMalformed is a filter that cannot be read.
	ErrMalformed = errors.New("the filter is malformed")
	// ErrTooComplex is a filter beyond the limits.
	ErrTooComplex = errors.New("the filter is nested too deeply or has too many parts")
)

// Node is one operation. The nodes of a filter stand in one list: those inside an operation follow it, up to End.
type Node struct {
	Op        Op
	End       int    // index behind the last node inside
	Attribute []byte // its description; empty in an extensible match of any attribute
	Value     []byte // what is asserted; of Substrings the parts
	Rule      []byte // of Extensible, may be empty
	DN        bool   // of Extensible: the names of the entry count too
	names     bool   // of Extensible: something is said of them

	Initial, Final []byte   // of Substrings, may be nil
	Any            [][]byte // of Substrings
	Void           bool     // of Substrings: not a single part, or an empty one
}

// Filter is a filter in order of its text. What it holds points into the message it was read from.
type Filter struct {
	Nodes []Node
	parts [][]byte // holds what Any of the nodes points to
}

// Decode reads the filter with which r goes on, into the memory that f has. When it fails r cannot be read any further.
func (f *Filter) Decode(r *ber.Reader) error {
	f.Nodes, f.parts = f.Nodes[:0], f.parts[:0]
	tag, value := r.Next()
	if r.Err() != nil {
		return ErrMalformed
	}
	return f.decode(tag, value, MaxDepth)
}

// DecodeItems reads the items of a filter for values (RFC 3876, 2): each a filter that holds no other, and speaks of no names.
func (f *Filter) DecodeItems(items []byte) error {
	f.Nodes, f.parts = f.Nodes[:0], f.parts[:0]
	r := ber.NewReader(items)
	for !r.Empty() {
		tag, value := r.Next()
		if r.Err() != nil {
			return ErrMalformed
		}
		if op := Op(tag & 0x1f); op == And || op == Or || op == Not {
			return ErrMalformed
		}
		at := len(f.Nodes)
		if err := f.decode(tag, value, 1); err != nil {
			return err
		}
		if f.Nodes[at].names {
			return ErrMalformed
		}
	}
	return nil
}

func (f *Filter) decode(tag byte, value []byte, depth int) error {
	if depth == 0 || len(f.Nodes) >= MaxNodes {
		return ErrTooComplex
	}
	if tag&^(ber.Constructed|0x1f) != 0x80 || tag&0x1f > byte(Extensible) {
		return ErrMalformed
	}
	at := len(f.Nodes)
	op := Op(tag & 0x1f)
	if constructed := tag&ber.Constructed != 0; constructed == (op == Present) {
		return ErrMalformed
	}
	f.Nodes = append(f.Nodes, Node{Op: op})
	var err error
	switch op {
	case And, Or, Not:
		err = f.decodeInside(op, value, depth)
	case Present:
		f.Nodes[at].Attribute = value
	case Substrings:
		err = f.decodeSubstrings(&f.Nodes[at], value)
	case Extensible:
		err = decodeExtensible(&f.Nodes[at], value)
	default:
		r := ber.NewReader(value)
		f.Nodes[at].Attribute, f.Nodes[at].Value = r.Expect(ber.Octets), r.Expect(ber.Octets)
		err = r.Done()
	}
	if err != nil {
		if errors.Is(err, ErrTooComplex) {
			return ErrTooComplex
		}
		return ErrMalformed
	}
	f.Nodes[at].End = len(f.Nodes)
	return nil
}

// decodeInside reads what an And, Or or Not holds. The first two may hold nothing: true and false (RFC 4526).
func (f *Filter) decodeInside(op Op, value []byte, depth int) error {
	r := ber.NewReader(value)
	n := 0
	for !r.Empty() {
		tag, inner := r.Next()
		if r.Err() != nil {
			break
		}
		if err := f.decode(tag, inner, depth-1); err != nil {
			return err
		}
		n++
	}
	if op == Not && n != 1 {
		return ErrMalformed
	}
	return r.Done()
}

// decodeSubstrings reads an assertion of parts. None, or an empty one, is what Thunderbird sends of an empty field: it is read, and
// judged later.
func (f *Filter) decodeSubstrings(n *Node, value []byte) error {
	r := ber.NewReader(value)
	n.Attribute = r.Expect(ber.Octets)
	parts := ber.NewReader(r.Expect(ber.Sequence))
	if err := r.Done(); err != nil {
		return err
	}
	first := len(f.parts)
	n.Void = parts.Empty()
	for count := 0; !parts.Empty(); count++ {
		tag, part := parts.Next()
		if count == maxParts {
			return ErrTooComplex
		}
		n.Void = n.Void || len(part) == 0
		switch {
		case tag == ber.Context(0, false) && count == 0:
			n.Initial = part
		case n.Final != nil:
			return ErrMalformed // nothing stands behind the end
		case tag == ber.Context(1, false):
			f.parts = append(f.parts, part)
		case tag == ber.Context(2, false):
			n.Final = part
		default:
			return ErrMalformed
		}
	}
	n.Any = f.parts[first:len(f.parts):len(f.parts)]
	return parts.Done()
}

func decodeExtensible(n *Node, value []byte) error {
	r := ber.NewReader(value)
	n.Rule, _ = r.Optional(ber.Context(1, false))
	n.Attribute, _ = r.Optional(ber.Context(2, false))
	n.Value = r.Expect(ber.Context(3, false))
	if flag, ok := r.Optional(ber.Context(4, false)); ok {
		dn, err := ber.ParseBool(flag)
		if err != nil {
			return err
		}
		n.DN, n.names = dn, true
	}
	if len(n.Rule) == 0 && len(n.Attribute) == 0 {
		return ErrMalformed
	}
	return r.Done()
}

// Package ber reads and writes the encoding of LDAP messages: the part of BER that RFC 4511, 5.1 allows. Tags have one octet, lengths are
// definite; they may be longer than needed, since Microsoft's clients write all of them in five octets. Reading makes no copies:
// what it answers points into the message.
package ber

import (
	"errors"
	"math"
)

// The tags of universal types.
const (
	Boolean    = 0x01
	Integer    = 0x02
	Octets     = 0x04
	Null       = 0x05
	Enumerated = 0x0a
	Sequence   = 0x30
	Set        = 0x31
)

// Constructed is the bit of a tag that says that elements are inside.
const Constructed = 0x20

// Application is the tag of a message's operation.
func Application(n byte, constructed bool) byte { return 0x40 | n | flag(constructed) }

// Context is a context-specific tag.
func Context(n byte, constructed bool) byte { return 0x80 | n | flag(constructed) }

func flag(constructed bool) byte {
	if constructed {
		return Constructed
	}
	return 0
}

var (
	// ErrMalformed is what no decoder can read.
	ErrMalformed = errors.New("malformed BER")
	// ErrShort means that more octets are needed.
	ErrShort = errors.New("incomplete BER")
)

// maxLengthOctets is how many octets a length may take: four are 4 GB.
const maxLengthOctets = 4

// Header reads tag and length at the start of b: how many octets they take, and how many follow. It is ErrShort when b ends in them.
func Header(b []byte) (tag byte, header, length int, err error) {
	if len(b) < 2 {
		return 0, 0, 0, ErrShort
	}
	tag = b[0]
	if tag&0x1f == 0x1f {
		return 0, 0, 0, ErrMalformed // a tag of several octets
	}
	first := b[1]
	if first < 0x80 {
		return tag, 2, int(first), nil
	}
	n := int(first & 0x7f)
	if n == 0 || n > maxLengthOctets {
		return 0, 0, 0, ErrMalformed // indefinite, or absurd
	}
	if len(b) < 2+n {
		return 0, 0, 0, ErrShort
	}
	for _, c := range b[2 : 2+n] {
		length = length<<8 | int(c)
	}
	return tag, 2 + n, length, nil
}

// Reader reads the elements of a constructed value one after another. The first error stays.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads the elements in b.
func NewReader(b []byte) Reader { return Reader{rest: b} }

// Err is the first error met.
func (r *Reader) Err() error { return r.err }

// Empty tells whether all has been read, or nothing more can be.
func (r *Reader) Empty() bool { return len(r.rest) == 0 || r.err != nil }

// Rest is what has not been read.
func (r *Reader) Rest() []byte { return r.rest }

// Done answers the error met, or ErrMalformed when something is left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = ErrMalformed
	}
	return r.err
}

// Peek is the tag of the next element; zero at the end.
func (r *Reader) Peek() byte {
	if r.Empty() {
		return 0
	}
	return r.rest[0]
}

// Next reads an element of any type.
func (r *Reader) Next() (tag byte, value []byte) {
	if r.err != nil {
		return 0, nil
	}
	tag, header, length, err := Header(r.rest)
	if err != nil || length > len(r.rest)-header {
		r.fail()
		return 0, nil
	}
	value = r.rest[header : header+length : header+length]
	r.rest = r.rest[header+length:]
	return tag, value
}

func (r *Reader) fail() {
	r.err = ErrMalformed
	r.rest = nil
}

// Expect reads an element with the tag.
func (r *Reader) Expect(want byte) []byte {
	tag, value := r.Next()
	if r.err == nil && tag != want {
		r.fail()
		return nil
	}
	return value
}

// Optional reads an element with the tag if it is the next.
func (r *Reader) Optional(want byte) (value []byte, ok bool) {
	if r.Peek() != want {
		return nil, false
	}
	_, value = r.Next()
	return value, r.err == nil
}

// Int reads an integer of up to 32 bits that is in the range.
func (r *Reader) Int(tag byte, from, to int32) int32 {
	n, err := ParseInt(r.Expect(tag))
	if r.err == nil && (err != nil || n < from || n > to) {
		r.fail()
		return 0
	}
	return n
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	b, err := ParseBool(r.Expect(Boolean))
	if r.err == nil && err != nil {
		r.fail()
	}
	return b
}

// ParseBool reads the content of a boolean: anything but zero is true.
func ParseBool(value []byte) (bool, error) {
	if len(value) != 1 {
		return false, ErrMalformed
	}
	return value[0] != 0, nil
}

// ParseInt reads the content of an integer of up to 32 bits, which may have been written in more octets than it needs.
func ParseInt(value []byte) (int32, error) {
	if len(value) == 0 || len(value) > 8 {
		return 0, ErrMalformed
	}
	n := int64(int8(value[0]))
	for _, c := range value[1:] {
		n = n<<8 | int64(c)
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, ErrMalformed
	}
	return int32(n), nil
}

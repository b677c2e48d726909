package structure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Kind says what a part holds.
type Kind uint8

// The kinds of parts.
const (
	Leaf      Kind = iota
	Multipart      // its children are the next parts one level deeper
	Message        // message/rfc822: its one child is the message within
)

// Part is one part of a message: where it lies, and what a search needs to decode it.
type Part struct {
	Depth    int // 0 is the message itself
	Kind     Kind
	Type     string // "text/plain", lower case
	Charset  string // lower case, empty when not given
	Encoding string // lower case, "7bit" when not given
	Header   int64  // offset of its header
	Body     int64  // offset of its body, right after the header
	End      int64  // offset behind its body
}

// maxWord bounds the words of a Part; no real type, charset or encoding is longer.
const maxWord = 80

func word(s string) string { return strings.ToLower(s[:min(len(s), maxWord)]) }

func (n *node) appendParts(dst []Part, depth int) []Part {
	kind := Leaf
	switch {
	case n.media.isMultipart():
		kind = Multipart
	case len(n.children) > 0:
		kind = Message
	}
	charset, _ := n.media.param("charset")
	dst = append(dst, Part{
		Depth: depth, Kind: kind,
		Type:    word(n.media.mainType) + "/" + word(n.media.subtype),
		Charset: word(charset), Encoding: word(n.encoding()),
		Header: n.header, Body: n.body, End: n.end,
	})
	for _, child := range n.children {
		dst = child.appendParts(dst, depth+1)
	}
	return dst
}

// Section says which octets of a part are meant (RFC 3501, 6.4.5).
type Section uint8

// The sections.
const (
	All    Section = iota // BODY[] and BODY[1.2]: the whole message, or a part's body
	Header                // BODY[HEADER] and BODY[1.2.HEADER]: of a message only
	Text                  // BODY[TEXT] and BODY[1.2.TEXT]: of a message only
	MIME                  // BODY[1.2.MIME]: a part's own header
)

// Find answers where the section of the part named by path lies; path is empty for the message itself. It answers false when
// there is no such part, or the part has no such section.
func Find(parts []Part, path []int, what Section) (off, n int64, ok bool) {
	if len(parts) == 0 {
		return 0, 0, false
	}
	i, isTop := 0, true
	for _, number := range path {
		if i, ok = step(parts, i, isTop, number); !ok {
			return 0, 0, false
		}
		isTop = false
	}
	p := parts[i]
	if !isTop && (what == Header || what == Text) {
		if p.Kind != Message || i+1 >= len(parts) {
			return 0, 0, false
		}
		p = parts[i+1]
	}
	switch what {
	case All:
		if isTop {
			return p.Header, p.End - p.Header, true
		}
		return p.Body, p.End - p.Body, true
	case Text:
		return p.Body, p.End - p.Body, true
	case MIME:
		if isTop {
			return 0, 0, false
		}
		return p.Header, p.Body - p.Header, true
	default:
		return p.Header, p.Body - p.Header, true
	}
}

// step goes from part i to its part of the given number. The top of a message that is no multipart has one part, 1: itself.
func step(parts []Part, i int, isTop bool, number int) (int, bool) {
	if !isTop && parts[i].Kind == Message {
		if i+1 >= len(parts) {
			return 0, false
		}
		i, isTop = i+1, true
	}
	if parts[i].Kind == Multipart {
		return child(parts, i, number)
	}
	return i, isTop && number == 1
}

func child(parts []Part, parent, number int) (int, bool) {
	depth := parts[parent].Depth + 1
	for i := parent + 1; i < len(parts) && parts[i].Depth >= depth; i++ {
		if parts[i].Depth == depth {
			if number--; number == 0 {
				return i, true
			}
		}
	}
	return 0, false
}

// AppendParts appends the stored form of parts to dst.
func AppendParts(dst []byte, parts []Part) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(parts)))
	for _, p := range parts {
		dst = binary.AppendUvarint(dst, uint64(p.Depth))
		dst = append(dst, byte(p.Kind))
		for _, s := range []string{p.Type, p.Charset, p.Encoding} {
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		}
		for _, n := range []int64{p.Header, p.Body - p.Header, p.End - p.Body} {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	return dst
}

var errParts = errors.New("stored parts are damaged")

// DecodeParts reads what AppendParts wrote.
func DecodeParts(b []byte) ([]Part, error) {
	d := decoder{b: b}
	count := d.uint()
	if d.bad || count > uint64(len(b)) {
		return nil, errParts
	}
	parts := make([]Part, 0, count)
	for range count {
		p := Part{Depth: int(d.uint()), Kind: Kind(d.byte()), Type: d.string(), Charset: d.string(), Encoding: d.string()}
		p.Header = int64(d.uint())
		p.Body = p.Header + int64(d.uint())
		p.End = p.Body + int64(d.uint())
		parts = append(parts, p)
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("%w: %d parts, %d octets left", errParts, count, len(d.b))
	}
	return parts, nil
}

// decoder reads the stored form; once bad it answers zeroes.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

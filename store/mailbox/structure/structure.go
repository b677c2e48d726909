// Package structure reads a message once, as a stream, and answers what IMAP wants to know of it: ENVELOPE, BODY and
// BODYSTRUCTURE as IMAP text, the header block, and where every part lies.
//
// Whatever the message is, memory is bounded (Limits), no input is an error, and the result is grammatical: mail is full of
// messages that break every rule, and their owners want to read them. Offsets and sizes are those of the octets written;
// nothing is converted, so a message stored with bare LF keeps them. Where RFC 3501 and RFC 9051 are silent the choices
// are Dovecot's, because clients are tested against it.
package structure

import "io"

// Limits bound what a Parser keeps and looks into. The zero value of each field means its default.
type Limits struct {
	Nesting  int // levels of multipart and message/rfc822; deeper ones are opaque parts
	Parts    int // parts in all; what follows is read as the epilogue of a multipart
	Field    int // octets of one header field; the rest of it is not seen
	Fields   int // what all header fields kept may cost, about their octets
	Header   int // octets of the header block; a longer one is not kept
	Boundary int // octets of a multipart boundary; a longer one is none
	// Global has message/global taken for a message, as RFC 9051 does, and not for a part like any other.
	Global bool
}

// Defaults of Limits. With them the texts and the parts' positions of the worst message stay below 3 MB, which fits one
// transaction.
const (
	maxNesting  = 100
	maxParts    = 10_000
	maxField    = 64 << 10
	maxFields   = 256 << 10
	maxBoundary = 255
)

// maxReferences is how many octets of References are kept: the messages of some hundred that came before.
const maxReferences = 8 << 10

// MaxHeader is how many octets a header block may have to be kept, where Limits do not say otherwise.
const MaxHeader = 128 << 10

func (l Limits) withDefaults() Limits {
	set := func(p *int, def int) {
		if *p <= 0 {
			*p = def
		}
	}
	set(&l.Nesting, maxNesting)
	set(&l.Parts, maxParts)
	set(&l.Field, maxField)
	set(&l.Fields, maxFields)
	set(&l.Header, MaxHeader)
	set(&l.Boundary, maxBoundary)
	return l
}

// Result is what a Parser found.
type Result struct {
	Envelope      []byte // the IMAP text of ENVELOPE, may hold literals
	Body          []byte // … of BODY
	BodyStructure []byte // … of BODYSTRUCTURE
	Header        []byte // the header block with the empty line that ends it; nil when it is longer than the limit
	References    []byte // the value of the field References, of which the last octets when it is long
	Parts         []Part // in order of the message, the message itself first
	Size          int64  // octets of the message
}

// Parse reads r to its end. The error is r's own.
func Parse(r io.Reader) (Result, error) {
	p := NewParser(Limits{})
	if _, err := io.Copy(p, r); err != nil {
		return Result{}, err
	}
	return p.Finish(), nil
}

// Package wire is the grammar of LDAP (RFC 4511): it takes requests apart and puts answers together. It decides nothing. What it answers points into the
// message, which must stay as it is until the request is done.
package wire

import (
	"bytes"
	"errors"
	"fmt"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/filter"
)

// The operations, by the number of their tag (RFC 4511, 4.2 to 4.14).
const (
	BindRequest     = 0
	BindResponse    = 1
	UnbindRequest   = 2
	SearchRequest   = 3
	SearchEntry     = 4
	SearchDone      = 5
	ModifyRequest   = 6
	ModifyResponse  = 7
	AddRequest      = 8
	AddResponse     = 9
	DeleteRequest   = 10
	DeleteResponse  = 11
	RenameRequest   = 12
	RenameResponse  = 13
	CompareRequest  = 14
	CompareResponse = 15
	AbandonRequest  = 16
	ExtendedRequest = 23
	ExtendedAnswer  = 24
)

// Scope is how far below the base a search goes.
type Scope int32

// The scopes. The last is not in RFC 4511; it is that of draft-sermersheim-ldap-subordinate-scope, which OpenLDAP's tools call children.
const (
	Base         Scope = 0
	One          Scope = 1
	Sub          Scope = 2
	Subordinates Scope = 3
)

var (
	// ErrMalformed is a message that cannot be read: the connection is of no use any more (RFC 4511, 4.1.1).
	ErrMalformed = errors.New("malformed LDAP message")
	// ErrShort means that the message goes on.
	ErrShort = errors.New("incomplete LDAP message")
	// ErrTooLong is a message beyond the limit.
	ErrTooLong = errors.New("the LDAP message is too long")
)

// Fault is a request that is refused as it stands, with its answer: the rest of the connection is sound.
type Fault struct {
	Code Code
	Text string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s (%d)", f.Text, f.Code) }

// Request is one request. It may be used for one after another.
type Request struct {
	ID       int32
	Op       int // BindRequest and so on
	Bind     Bind
	Search   Search
	Compare  Compare
	Extended Extended
	Abandon  int32
	Controls []Control
}

// Bind is a request to authenticate.
type Bind struct {
	Version     int32
	Name        []byte
	Simple      bool
	Password    []byte
	Mechanism   []byte
	Credentials []byte // of SASL; nil when there are none
}

// Search is a request to search.
type Search struct {
	Base      []byte
	Scope     Scope
	SizeLimit int32
	TimeLimit int32 // seconds
	TypesOnly bool
	Filter    filter.Filter
	Selection Selection
	Text      []byte // the whole request: who asks the same again sends the same octets

	names []byte // those that Selection was made of; nil: unknown
}

// maxNames bounds what is remembered of the attributes that were asked for.
const maxNames = 256

// choose reads the list of attributes. Most searches on a connection ask for the same, and looking the names up is a tenth of what a small one costs.
func (s *Search) choose(list []byte) error {
	if s.names != nil && s.Selection.typesOnly == s.TypesOnly && bytes.Equal(s.names, list) {
		return nil
	}
	before := s.names[:0]
	s.names = nil
	if err := s.Selection.parse(list, s.TypesOnly); err != nil {
		return err
	}
	if len(list) > 0 && len(list) <= maxNames {
		s.names = append(before, list...)
	}
	return nil
}

// Compare is a request to compare.
type Compare struct {
	Entry     []byte
	Attribute []byte
	Value     []byte
}

// Extended is a request of an extension.
type Extended struct {
	Name  []byte
	Value []byte // nil when there is none
}

// Control is what a client adds to a request.
type Control struct {
	OID      []byte
	Critical bool
	Value    []byte // nil when there is none
}

// maxControls bounds the controls of a request.
const maxControls = 16

// Frame answers how many octets the message at the start of b takes. It is ErrShort when b has not all of them.
func Frame(b []byte, limit int) (int, error) {
	if len(b) > 0 && b[0] != ber.Sequence {
		return 0, ErrMalformed
	}
	_, header, length, err := ber.Header(b)
	switch {
	case errors.Is(err, ber.ErrShort):
		return 0, ErrShort
	case err != nil:
		return 0, ErrMalformed
	case length > limit:
		return 0, ErrTooLong
	case len(b) < header+length:
		return header + length, ErrShort
	}
	return header + length, nil
}

// Parse reads a whole message. A *Fault tells that ID and Op are read and what answers them; any other error that nothing is.
func (r *Request) Parse(message []byte) error {
	r.Controls = r.Controls[:0]
	outer := ber.NewReader(message)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	r.ID = in.Int(ber.Integer, 0, 1<<31-1)
	tag, body := in.Next()
	if outer.Done() != nil || in.Err() != nil || tag&0xc0 != 0x40 {
		return ErrMalformed
	}
	r.Op = int(tag & 0x1f)
	err := r.parseBody(tag&ber.Constructed != 0, body)
	var fault *Fault
	if err != nil && !errors.As(err, &fault) {
		return err
	}
	if controls, ok := in.Optional(ber.Context(0, true)); ok {
		if cerr := r.parseControls(controls); cerr != nil {
			return cerr
		}
	}
	if in.Done() != nil {
		return ErrMalformed
	}
	return err
}

func (r *Request) parseBody(constructed bool, body []byte) error {
	in := ber.NewReader(body)
	switch r.Op {
	case UnbindRequest, DeleteRequest:
		if constructed {
			return ErrMalformed
		}
		return nil
	case AbandonRequest:
		id, err := ber.ParseInt(body)
		if constructed || err != nil {
			return ErrMalformed
		}
		r.Abandon = id
		return nil
	}
	if !constructed {
		return ErrMalformed
	}
	switch r.Op {
	case BindRequest:
		return r.Bind.parse(&in)
	case SearchRequest:
		r.Search.Text = body
		return r.Search.parse(&in)
	case CompareRequest:
		r.Compare.Entry = in.Expect(ber.Octets)
		assertion := ber.NewReader(in.Expect(ber.Sequence))
		r.Compare.Attribute, r.Compare.Value = assertion.Expect(ber.Octets), assertion.Expect(ber.Octets)
		if in.Done() != nil || assertion.Done() != nil {
			return ErrMalformed
		}
		return nil
	case ExtendedRequest:
		r.Extended.Name = in.Expect(ber.Context(0, false))
		r.Extended.Value, _ = in.Optional(ber.Context(1, false))
		if in.Done() != nil {
			return ErrMalformed
		}
		return nil
	case ModifyRequest, AddRequest, RenameRequest:
		return nil // refused whatever they hold
	}
	return ErrMalformed
}

func (b *Bind) parse(in *ber.Reader) error {
	*b = Bind{Version: in.Int(ber.Integer, -1<<31, 1<<31-1), Name: in.Expect(ber.Octets)}
	tag, value := in.Next()
	if in.Done() != nil {
		return ErrMalformed
	}
	switch tag {
	case ber.Context(0, false):
		b.Simple, b.Password = true, value
	case ber.Context(3, true):
		sasl := ber.NewReader(value)
		b.Mechanism = sasl.Expect(ber.Octets)
		if c, ok := sasl.Optional(ber.Octets); ok {
			b.Credentials = c
		}
		if sasl.Done() != nil {
			return ErrMalformed
		}
	default:
		if b.Version == 3 {
			return &Fault{AuthMethodNotSupported, "this way of authenticating is not known"}
		}
	}
	return nil
}

func (s *Search) parse(in *ber.Reader) error {
	s.Base = in.Expect(ber.Octets)
	s.Scope = Scope(in.Int(ber.Enumerated, -1<<31, 1<<31-1))
	aliases := in.Int(ber.Enumerated, -1<<31, 1<<31-1)
	s.SizeLimit = in.Int(ber.Integer, -1<<31, 1<<31-1)
	s.TimeLimit = in.Int(ber.Integer, -1<<31, 1<<31-1)
	s.TypesOnly = in.Bool()
	if in.Err() != nil {
		return ErrMalformed
	}
	whole := *in
	if whole.Next(); whole.Err() != nil {
		return ErrMalformed // not even the filter's own length is right
	}
	err := s.Filter.Decode(in)
	if err == nil {
		err = s.choose(in.Expect(ber.Sequence))
		if in.Done() != nil {
			return ErrMalformed
		}
	}
	switch {
	case errors.Is(err, filter.ErrTooComplex):
		return &Fault{AdminLimitExceeded, err.Error()}
	case err != nil:
		return &Fault{ProtocolError, err.Error()}
	case s.Scope < Base || s.Scope > Subordinates, aliases < 0 || aliases > 3:
		return &Fault{ProtocolError, "the scope or the handling of aliases is not one of LDAP"}
	case s.SizeLimit < 0 || s.TimeLimit < 0:
		return &Fault{ProtocolError, "a limit is negative"}
	}
	return nil
}

func (r *Request) parseControls(b []byte) error {
	for in := ber.NewReader(b); !in.Empty(); {
		one := ber.NewReader(in.Expect(ber.Sequence))
		c := Control{OID: one.Expect(ber.Octets)}
		if one.Peek() == ber.Boolean {
			c.Critical = one.Bool()
		}
		if value, ok := one.Optional(ber.Octets); ok {
			c.Value = value
		}
		if in.Err() != nil || one.Done() != nil || len(r.Controls) == maxControls {
			return ErrMalformed
		}
		r.Controls = append(r.Controls, c)
	}
	return nil
}

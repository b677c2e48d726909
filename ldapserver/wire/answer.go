package wire

import (
	"slices"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// Code is a result code (RFC 4511, 4.1.9, and of RFC 2891, RFC 3909, RFC 4370 and draft-ietf-ldapext-ldapv3-vlv).
type Code int32

// The result codes that are answered.
const (
	Success                      Code = 0
	OperationsError              Code = 1
	ProtocolError                Code = 2
	TimeLimitExceeded            Code = 3
	SizeLimitExceeded            Code = 4
	CompareFalse                 Code = 5
	CompareTrue                  Code = 6
	AuthMethodNotSupported       Code = 7
	AdminLimitExceeded           Code = 11
	UnavailableCriticalExtension Code = 12
	ConfidentialityRequired      Code = 13
	SASLBindInProgress           Code = 14
	NoSuchAttribute              Code = 16
	UndefinedAttributeType       Code = 17
	InappropriateMatching        Code = 18
	InvalidAttributeSyntax       Code = 21
	NoSuchObject                 Code = 32
	InvalidDNSyntax              Code = 34
	InvalidCredentials           Code = 49
	InsufficientAccessRights     Code = 50
	Busy                         Code = 51
	Unavailable                  Code = 52
	UnwillingToPerform           Code = 53
	SortControlMissing           Code = 60
	OffsetRangeError             Code = 61
	Other                        Code = 80
	Canceled                     Code = 118
	NoSuchOperation              Code = 119
	TooLate                      Code = 120
	CannotCancel                 Code = 121
	AuthorizationDenied          Code = 123
)

// Result is the end of an operation.
type Result struct {
	Code    Code
	Matched string // the part of a name that exists
	Text    string
	// Name and Value are of answers to extended requests, Credentials of answers to a SASL bind. Nil: none.
	Name        string
	Value       []byte
	Credentials []byte
	Controls    []ResponseControl
}

// ResponseControl is what a result carries beside.
type ResponseControl struct {
	OID   string
	Value []byte
}

// AppendResult appends the message that ends an operation.
func AppendResult(dst []byte, id int32, op byte, r *Result) []byte {
	dst, message := ber.Begin(dst, ber.Sequence)
	dst = ber.AppendInt(dst, ber.Integer, id)
	dst, body := ber.Begin(dst, ber.Application(op, true))
	dst = ber.AppendInt(dst, ber.Enumerated, int32(r.Code))
	dst = ber.Append(dst, ber.Octets, r.Matched)
	dst = ber.Append(dst, ber.Octets, r.Text)
	if r.Credentials != nil {
		dst = ber.Append(dst, ber.Context(7, false), r.Credentials)
	}
	if r.Name != "" {
		dst = ber.Append(dst, ber.Context(10, false), r.Name)
	}
	if r.Value != nil {
		dst = ber.Append(dst, ber.Context(11, false), r.Value)
	}
	dst = ber.End(dst, body)
	if len(r.Controls) > 0 {
		var list int
		dst, list = ber.Begin(dst, ber.Context(0, true))
		for _, c := range r.Controls {
			var one int
			dst, one = ber.Begin(dst, ber.Sequence)
			dst = ber.Append(dst, ber.Octets, c.OID)
			dst = ber.Append(dst, ber.Octets, c.Value)
			dst = ber.End(dst, one)
		}
		dst = ber.End(dst, list)
	}
	return ber.End(dst, message)
}

// noticeOfDisconnection is RFC 4511, 4.4.1's.
const noticeOfDisconnection = "1.3.6.1.4.1.1466.20036"

// AppendNotice appends the notice that the connection ends.
func AppendNotice(dst []byte, code Code, text string) []byte {
	return AppendResult(dst, 0, ExtendedAnswer, &Result{Code: code, Text: text, Name: noticeOfDisconnection})
}

// Selection is what a search asks to be answered of each entry (RFC 4511, 4.5.1.8, and RFC 3673).
type Selection struct {
	wanted    [2]uint64        // a bit for each attribute
	last      schema.Attribute // of them
	typesOnly bool
}

func (s *Selection) add(a schema.Attribute) {
	s.wanted[a>>6] |= 1 << (a & 63)
	s.last = max(s.last, a)
}

// Has tells whether an attribute is selected.
func (s *Selection) Has(a schema.Attribute) bool { return s.wanted[a>>6]>>(a&63)&1 != 0 }

// addAll adds the attributes that are operational, or those that are not.
func (s *Selection) addAll(operational bool) {
	for a := range schema.Count {
		if a.Operational() == operational {
			s.add(a)
		}
	}
}

// all are the attributes that an empty list asks for.
var all = func() (s Selection) {
	s.addAll(false)
	return s
}()

// Everything selects what an empty list of attributes does.
func Everything() Selection { return all }

func (s *Selection) parse(list []byte, typesOnly bool) error {
	*s = Selection{}
	if len(list) == 0 {
		*s = all
	}
	s.typesOnly = typesOnly
	in := ber.NewReader(list)
	for !in.Empty() {
		switch name := in.Expect(ber.Octets); string(name) {
		case "*":
			s.addAll(false)
		case "+":
			s.addAll(true)
		case "1.1": // none (RFC 4511, 4.5.1.8)
		default:
			if a := schema.Lookup(name); a != schema.None {
				s.add(a)
			}
		}
	}
	return in.Done()
}

// typeNames are the names of the attributes, encoded.
var typeNames = func() (names [schema.Count][]byte) {
	for a := range schema.Count {
		names[a] = ber.Append(nil, ber.Octets, a.Name())
	}
	return names
}()

// emptySet are the values of an answer that tells types alone.
var emptySet = []byte{ber.Set, 0}

// mostHeaders is how many octets the headers of an entry's message take at most: of the message, its number, the operation and the list of attributes.
const mostHeaders = 4 * 6

// AppendEntry appends the message of an entry: of the attributes in its records (package entry) those that are selected. A record must be sound.
func AppendEntry(dst []byte, id int32, name []byte, s *Selection, records ...[]byte) []byte {
	// The attributes are written where they cannot be in the way of what stands before them, and moved up to it.
	start, room := len(dst), mostHeaders+ber.Size(len(name))
	dst = slices.Grow(dst, room)[:start+room]
	for _, record := range records {
		dst = s.append(dst, record)
	}
	size := len(dst) - start - room
	body := ber.Size(len(name)) + ber.Size(size)
	var scratch [6]byte
	number := ber.AppendInt(scratch[:0], ber.Integer, id)
	head := ber.AppendHeader(dst[:start], ber.Sequence, len(number)+ber.Size(body))
	head = append(head, number...)
	head = ber.AppendHeader(head, ber.Application(SearchEntry, true), body)
	head = ber.Append(head, ber.Octets, name)
	head = ber.AppendHeader(head, ber.Sequence, size)
	return append(head, dst[start+room:]...)
}

func (s *Selection) append(dst, record []byte) []byte {
	for len(record) > 0 {
		a, end := entry.Span(record)
		if end == 0 || a > s.last { // they are in order
			break
		}
		if s.Has(a) {
			set := record[1:end]
			if s.typesOnly {
				set = emptySet
			}
			dst = ber.AppendHeader(dst, ber.Sequence, len(typeNames[a])+len(set))
			dst = append(append(dst, typeNames[a]...), set...)
		}
		record = record[end:]
	}
	return dst
}

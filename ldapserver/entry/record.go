package entry

import (
	"errors"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/schema"
)

// A record is an entry's attributes, one after another, ready to be answered: the number of the attribute in one octet, then its
// values as the SET OF octet strings of a PartialAttribute (RFC 4511, 4.1.7).

// AppendRecord appends the record of an entry's attributes.
func AppendRecord(dst []byte, attributes []Attribute) []byte {
	for _, a := range attributes {
		size := 0
		for _, v := range a.Values {
			size += ber.Size(len(v))
		}
		dst = append(dst, byte(a.Type))
		dst = ber.AppendHeader(dst, ber.Set, size)
		for _, v := range a.Values {
			dst = ber.Append(dst, ber.Octets, v)
		}
	}
	return dst
}

// ErrRecord is a record that is damaged.
var ErrRecord = errors.New("the record of an entry is damaged")

// NextAttribute takes the first attribute off a record: its values, as the content of the set, and the whole set.
func NextAttribute(record []byte) (a schema.Attribute, values, set, rest []byte, err error) {
	if len(record) < 3 || record[0] >= byte(schema.Count) {
		return schema.None, nil, nil, nil, ErrRecord
	}
	tag, header, length, err := ber.Header(record[1:])
	if err != nil || tag != ber.Set || length > len(record)-1-header {
		return schema.None, nil, nil, nil, ErrRecord
	}
	end := 1 + header + length
	return schema.Attribute(record[0]), record[1+header : end], record[1:end], record[end:], nil
}

// Span is NextAttribute for who wants no more than to go through a sound record: which attribute is first, and where it ends. Its set begins behind the
// first octet. It answers zero for what is damaged.
func Span(record []byte) (a schema.Attribute, end int) {
	if len(record) < 3 || record[2] >= 0x80 || len(record) < 3+int(record[2]) {
		return longSpan(record)
	}
	return schema.Attribute(record[0]), 3 + int(record[2])
}

func longSpan(record []byte) (schema.Attribute, int) {
	a, _, _, rest, err := NextAttribute(record)
	if err != nil {
		return schema.None, 0
	}
	return a, len(record) - len(rest)
}

// First is the first value of an attribute in a sound record; nil when it has none.
func First(record []byte, of schema.Attribute) []byte {
	for len(record) > 0 {
		a, end := Span(record)
		if end == 0 || a > of {
			return nil
		}
		if a == of {
			r := ber.NewReader(record[1:end])
			values := ber.NewReader(r.Expect(ber.Set))
			return values.Expect(ber.Octets)
		}
		record = record[end:]
	}
	return nil
}

// ParseRecord reads a record.
func ParseRecord(record []byte) ([]Attribute, error) {
	var all []Attribute
	for len(record) > 0 {
		a, values, _, rest, err := NextAttribute(record)
		if err != nil {
			return nil, err
		}
		attribute := Attribute{Type: a}
		for r := ber.NewReader(values); !r.Empty(); {
			v := r.Expect(ber.Octets)
			if r.Err() != nil {
				return nil, ErrRecord
			}
			attribute.Values = append(attribute.Values, string(v))
		}
		if len(attribute.Values) == 0 {
			return nil, ErrRecord
		}
		all = append(all, attribute)
		record = rest
	}
	return all, nil
}

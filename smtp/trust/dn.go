package trust

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// DN is a distinguished name. Two are equal when they have the same attributes in the same order or in exactly the reverse one: RFC 4514
// writes the most specific first, a certificate holds it last, and lists are written by people who do either. Values are compared as X.520
// has it: without regard to case and to how many spaces there are.
type DN struct {
	text string
	key  string
}

// String is the name as it was written.
func (d DN) String() string { return d.text }

// IsZero tells whether d is no name.
func (d DN) IsZero() bool { return d.key == "" }

// Equal tells whether both name the same.
func (d DN) Equal(other DN) bool { return d.key == other.key && d.key != "" }

// attribute is a type and a value of a relative distinguished name.
type attribute struct {
	oid   string
	value string
}

// caseless are the attributes by their names, whose matching rule disregards case (RFC 4519; caseIgnoreMatch, caseIgnoreIA5Match). All
// others are compared exactly.
func caseless(name string) (oid string) {
	switch name {
	case "CN", "COMMONNAME":
		return "2.5.4.3"
	case "SN", "SURNAME":
		return "2.5.4.4"
	case "SERIALNUMBER":
		return "2.5.4.5"
	case "C", "COUNTRYNAME":
		return "2.5.4.6"
	case "L", "LOCALITYNAME":
		return "2.5.4.7"
	case "ST", "S", "STATEORPROVINCENAME": // S is what Windows writes
		return "2.5.4.8"
	case "STREET", "STREETADDRESS":
		return "2.5.4.9"
	case "O", "ORGANIZATIONNAME":
		return "2.5.4.10"
	case "OU", "ORGANIZATIONALUNITNAME":
		return "2.5.4.11"
	case "T", "TITLE":
		return "2.5.4.12"
	case "POSTALCODE":
		return "2.5.4.17"
	case "G", "GN", "GIVENNAME":
		return "2.5.4.42"
	case "ORGANIZATIONIDENTIFIER":
		return "2.5.4.97"
	case "UID", "USERID":
		return "0.9.2342.19200300.100.1.1"
	case "DC", "DOMAINCOMPONENT":
		return "0.9.2342.19200300.100.1.25"
	case "E", "EMAIL", "EMAILADDRESS":
		return "1.2.840.113549.1.9.1"
	}
	return ""
}

// caselessNames is one name of each attribute that caseless knows.
const caselessNames = "CN SN SERIALNUMBER C L ST STREET O OU T POSTALCODE G ORGANIZATIONIDENTIFIER UID DC E"

func isCaseless(oid string) bool {
	for name := range strings.SplitSeq(caselessNames, " ") {
		if caseless(name) == oid {
			return true
		}
	}
	return false
}

// Limits on names: those of certificates have less than ten attributes.
const (
	maxAttributes = 64
	maxDN         = 4 << 10 // octets
)

var errDN = errors.New("not a distinguished name")

// ParseDN reads a name as RFC 4514 writes it, with spaces around separators, and values between quotes, as RFC 2253 still allowed. The list
// is written by people: a separator that no attribute follows, and other signs that should be escaped, are taken for what they are.
func ParseDN(s string) (DN, error) {
	if len(s) > maxDN || !utf8.ValidString(s) {
		return DN{}, errDN
	}
	p := dnParser{rest: strings.TrimSpace(s)}
	var rdns [][]attribute
	var rdn []attribute
	for n := 1; ; n++ {
		a, err := p.attribute()
		if err != nil {
			return DN{}, err
		}
		if n > maxAttributes {
			return DN{}, errDN
		}
		rdn = append(rdn, a)
		if p.rest == "" {
			break
		}
		separator := p.rest[0]
		p.rest = p.rest[1:]
		if separator != '+' {
			rdns, rdn = append(rdns, rdn), nil
		}
	}
	return newDN(strings.TrimSpace(s), append(rdns, rdn)), nil
}

// dnParser takes attributes off the front of a name.
type dnParser struct{ rest string }

// attribute takes one, and leaves the separator behind it, or nothing.
func (p *dnParser) attribute() (attribute, error) {
	name, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		return attribute{}, fmt.Errorf("%w: an attribute has no value", errDN)
	}
	oid, ok := attributeType(strings.TrimSpace(name))
	if !ok {
		return attribute{}, fmt.Errorf("%w: the attribute %q is not known", errDN, strings.TrimSpace(name))
	}
	p.rest = strings.TrimLeft(rest, " ")
	var value string
	var err error
	switch {
	case strings.HasPrefix(p.rest, `"`):
		value, err = p.quoted()
	case strings.HasPrefix(p.rest, "#"):
		value, err = p.hex()
	default:
		value, err = p.plain()
	}
	if err == nil && value == "" {
		err = fmt.Errorf("%w: an attribute is empty", errDN)
	}
	return attribute{oid, value}, err
}

// attributeType answers the object identifier of a name, or of an identifier itself.
func attributeType(name string) (oid string, ok bool) {
	name = strings.ToUpper(name)
	if oid := caseless(name); oid != "" {
		return oid, true
	}
	oid = strings.TrimPrefix(name, "OID.")
	if !strings.Contains(oid, ".") {
		return "", false
	}
	for arc := range strings.SplitSeq(oid, ".") {
		if n, err := strconv.ParseUint(arc, 10, 32); err != nil || strconv.FormatUint(n, 10) != arc {
			return "", false
		}
	}
	return oid, true
}

// plain takes a value up to a separator; escaped ones belong to it.
func (p *dnParser) plain() (string, error) {
	var b strings.Builder
	kept := 0 // up to here trailing spaces belong to the value
	i := 0
loop:
	for i < len(p.rest) {
		switch c := p.rest[i]; c {
		case ',', ';', '+':
			if separates(p.rest[i+1:]) {
				break loop
			}
			b.WriteByte(c)
			kept = b.Len()
			i++
		case '\\':
			octets, n, ok := unescape(p.rest[i:])
			if !ok {
				return "", fmt.Errorf("%w: a value has a wrong escape", errDN)
			}
			b.WriteString(octets)
			kept = b.Len()
			i += n
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
			i++
		}
	}
	p.rest = p.rest[i:]
	return valid(b.String()[:kept])
}

// separates tells whether a separator before rest is one: an attribute follows, or nothing at all, which is an error.
func separates(rest string) bool {
	if end := strings.IndexAny(rest, `,;+\`); end >= 0 {
		rest = rest[:end]
	}
	return strings.Contains(rest, "=") || strings.TrimSpace(rest) == ""
}

// quoted takes a value between quotes.
func (p *dnParser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = strings.TrimLeft(p.rest[i+1:], " ")
			if p.rest != "" && !strings.ContainsRune(",;+", rune(p.rest[0])) {
				return "", fmt.Errorf("%w: something follows a quoted value", errDN)
			}
			return valid(b.String())
		case '\\':
			octets, n, ok := unescape(p.rest[i:])
			if !ok {
				return "", fmt.Errorf("%w: a value has a wrong escape", errDN)
			}
			b.WriteString(octets)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", fmt.Errorf("%w: a quote is not closed", errDN)
}

// hex takes a value that is written as the octets of its encoding.
func (p *dnParser) hex() (string, error) {
	end := strings.IndexAny(p.rest, ",;+")
	if end < 0 {
		end = len(p.rest)
	}
	digits := strings.TrimRight(p.rest[1:end], " ")
	p.rest = p.rest[end:]
	octets := make([]byte, 0, len(digits)/2)
	for ; len(digits) >= 2; digits = digits[2:] {
		n, err := strconv.ParseUint(digits[:2], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%w: a value is not hexadecimal", errDN)
		}
		octets = append(octets, byte(n))
	}
	var value any
	if rest, err := asn1.Unmarshal(octets, &value); err != nil || len(rest) > 0 || digits != "" {
		return "", fmt.Errorf("%w: a value is not hexadecimal", errDN)
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%w: a value is no text", errDN)
	}
	return valid(latin1(text))
}

// unescape reads an escape at the start of s: a pair of digits, or a sign for itself.
func unescape(s string) (octets string, n int, ok bool) {
	if len(s) < 2 {
		return "", 0, false
	}
	if strings.IndexByte(` "#+,;<=>\`, s[1]) >= 0 {
		return s[1:2], 2, true
	}
	if len(s) < 3 {
		return "", 0, false
	}
	c, err := strconv.ParseUint(s[1:3], 16, 8)
	return string([]byte{byte(c)}), 3, err == nil
}

func valid(s string) (string, error) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("%w: a value is no text", errDN)
	}
	return s, nil
}

// latin1 answers what is no UTF-8 read as ISO 8859-1, which is what old certificates have in their T61String.
func latin1(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// Subject answers the name of a certificate's subject.
func Subject(cert *x509.Certificate) (DN, error) {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &sequence); err != nil || len(rest) > 0 {
		return DN{}, fmt.Errorf("subject of the certificate: %w", cmp.Or(err, errDN))
	}
	var rdns [][]attribute
	n := 0
	for _, set := range sequence {
		var rdn []attribute
		for _, a := range set {
			text, ok := a.Value.(string)
			if n++; !ok || text == "" || n > maxAttributes {
				return DN{}, fmt.Errorf("subject of the certificate: %w", errDN)
			}
			rdn = append(rdn, attribute{a.Type.String(), latin1(text)})
		}
		rdns = append(rdns, rdn)
	}
	if len(rdns) == 0 {
		return DN{}, errors.New("the certificate has no subject")
	}
	return newDN(sequence.String(), rdns), nil
}

// newDN makes the name whose parts are rdns, in either order.
func newDN(text string, rdns [][]attribute) DN {
	parts := make([]string, len(rdns))
	for i, rdn := range rdns {
		attributes := make([]string, len(rdn))
		for j, a := range rdn {
			attributes[j] = a.oid + "=" + strconv.Quote(a.fold())
		}
		slices.Sort(attributes) // a set has no order
		parts[i] = strings.Join(attributes, "+")
	}
	forward := strings.Join(parts, ",")
	slices.Reverse(parts)
	return DN{text: text, key: min(forward, strings.Join(parts, ","))}
}

// fold answers the value as it is compared (RFC 4518, 2: mapped, normalised, insignificant spaces removed).
func (a attribute) fold() string {
	value := norm.NFKC.String(a.value)
	if isCaseless(a.oid) {
		value = norm.NFKC.String(cases.Fold().String(value))
	}
	return strings.Join(strings.Fields(value), " ")
}

package directory

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// SubschemaName is the name of the entry that holds the schema.
const SubschemaName = "cn=Subschema"

// ErrName is a distinguished name that cannot be read.
var ErrName = errors.New("not a distinguished name")

// Kind is what a name is the name of.
type Kind int

// The kinds of names.
const (
	Unknown   Kind = iota // nothing of ours
	Root                  // the root DSE
	Subschema             // the schema
	Suffix                // the top of the directory
	Unit                  // one of its units
	Mailbox               // an entry of a unit
)

// Name is a distinguished name, read.
type Name struct {
	Kind    Kind
	Suffix  int    // which of the suffixes it is under
	Unit    string // of Unit and Mailbox
	Address string // of Mailbox, folded
	Matched string // of Unknown: the longest part of it that exists as a container
}

// Names knows the names of the directory.
type Names struct {
	suffixes []string
	parsed   []*ldap.DN
	units    []string
	known    map[string]Name // by text in lower case
	places   [][]place       // of each suffix: its own first, then those of its units
}

// place is a container, made once for all: of a unit, or of a suffix when that is empty. A suffix has a handful of them.
type place struct {
	unit   string
	common []entry.Attribute
	top    [2]*entry.Entry // without entries below, and with
}

// NewNames makes the names for suffixes and units. A suffix must be the name of a domain: dc parts alone.
func NewNames(suffixes, units []string) (*Names, error) {
	n := &Names{suffixes: suffixes, units: units, known: map[string]Name{"": {Kind: Root}, strings.ToLower(SubschemaName): {Kind: Subschema}}}
	for i, suffix := range suffixes {
		dn, err := ldap.ParseDN(suffix)
		if err != nil || len(dn.RDNs) == 0 {
			return nil, ErrName
		}
		for _, rdn := range dn.RDNs {
			if len(rdn.Attributes) != 1 || schema.Lookup([]byte(rdn.Attributes[0].Type)) != schema.DC {
				return nil, errors.New("a suffix consists of dc parts alone, as in dc=mssante,dc=fr")
			}
		}
		n.parsed = append(n.parsed, dn)
		n.known[strings.ToLower(suffix)] = Name{Kind: Suffix, Suffix: i}
		n.addPlace(i, "")
		for _, unit := range units {
			n.addPlace(i, unit)
			n.known[strings.ToLower("ou="+unit+","+suffix)] = Name{Kind: Unit, Suffix: i, Unit: unit}
		}
	}
	return n, nil
}

// Suffixes are the tops of the directory.
func (n *Names) Suffixes() []string { return n.suffixes }

// Units are the units below each.
func (n *Names) Units() []string { return n.units }

// maxName bounds a name.
const maxName = 1024

// Parse reads a name as a client wrote it.
func (n *Names) Parse(text []byte) (Name, error) {
	if len(text) > maxName {
		return Name{}, ErrName
	}
	if name, ok := n.known[string(text)]; ok {
		return name, nil
	}
	if name, ok := n.known[strings.ToLower(string(text))]; ok {
		return name, nil
	}
	dn, err := ldap.ParseDN(string(text))
	if err != nil {
		return Name{}, ErrName
	}
	if len(dn.RDNs) == 1 && is(dn.RDNs[0], schema.CN, "subschema") {
		return Name{Kind: Subschema}, nil
	}
	for i, suffix := range n.parsed {
		if above := len(dn.RDNs) - len(suffix.RDNs); above >= 0 && sameRDNs(dn.RDNs[above:], suffix.RDNs) {
			return n.below(i, dn.RDNs[:above]), nil
		}
	}
	return Name{}, nil
}

// below reads the parts of a name that stand before a suffix.
func (n *Names) below(suffix int, rdns []*ldap.RelativeDN) Name {
	if len(rdns) == 0 {
		return Name{Kind: Suffix, Suffix: suffix}
	}
	unknown := Name{Suffix: suffix, Matched: n.suffixes[suffix]}
	for _, unit := range n.units {
		if !is(rdns[len(rdns)-1], schema.OU, unit) {
			continue
		}
		name := Name{Kind: Unit, Suffix: suffix, Unit: unit}
		if len(rdns) == 1 {
			return name
		}
		unknown.Unit, unknown.Matched = unit, "ou="+unit+","+n.suffixes[suffix]
		if len(rdns) > 2 || len(rdns[0].Attributes) != 1 || schema.Lookup([]byte(rdns[0].Attributes[0].Type)) != schema.Mail {
			return unknown
		}
		name.Kind = Mailbox
		name.Address = string(schema.FoldText(nil, []byte(rdns[0].Attributes[0].Value), schema.Whole))
		return name
	}
	return unknown
}

// is tells whether a part of a name is this attribute with this value.
func is(rdn *ldap.RelativeDN, a schema.Attribute, value string) bool {
	if len(rdn.Attributes) != 1 || schema.Lookup([]byte(rdn.Attributes[0].Type)) != a {
		return false
	}
	return string(schema.FoldText(nil, []byte(rdn.Attributes[0].Value), schema.Whole)) == strings.ToLower(value)
}

func sameRDNs(a, b []*ldap.RelativeDN) bool {
	for i := range a {
		if len(b[i].Attributes) != 1 || !is(a[i], schema.DC, b[i].Attributes[0].Value) {
			return false
		}
	}
	return true
}

// addPlace makes what is answered of a container.
func (n *Names) addPlace(suffix int, unit string) {
	if unit == "" {
		n.places = append(n.places, nil)
	}
	n.places[suffix] = append(n.places[suffix], place{
		unit, n.shared(suffix, unit), [2]*entry.Entry{n.container(suffix, unit, false), n.container(suffix, unit, true)},
	})
}

// place is that of a unit there is.
func (n *Names) place(suffix int, unit string) *place {
	all := n.places[suffix]
	return &all[slices.IndexFunc(all, func(p place) bool { return p.unit == unit })]
}

// Common are the values that the names of all entries of a unit share. They are not to be changed.
func (n *Names) Common(suffix int, unit string) []entry.Attribute {
	return n.place(suffix, unit).common
}

func (n *Names) shared(suffix int, unit string) []entry.Attribute {
	dc := entry.Attribute{Type: schema.DC}
	for _, rdn := range n.parsed[suffix].RDNs {
		dc.Values = append(dc.Values, rdn.Attributes[0].Value)
	}
	return []entry.Attribute{{Type: schema.OU, Values: []string{unit}}, dc}
}

// Append appends the name of an entry (RFC 4514, 2.4).
func (n *Names) Append(dst []byte, suffix int, unit string, address []byte) []byte {
	dst = append(dst, "mail="...)
	if plain(address) {
		dst = append(dst, address...)
	} else {
		dst = appendEscaped(dst, address)
	}
	dst = append(append(append(dst, ",ou="...), unit...), ',')
	return append(dst, n.suffixes[suffix]...)
}

// escaped are the signs that stand behind a backslash wherever they are; the last two do at the beginning alone.
var escaped = [256]bool{'+': true, ',': true, ';': true, '"': true, '\\': true, '<': true, '>': true, '#': true, ' ': true}

// plain tells whether nothing is to be escaped, as in nearly every address.
func plain(address []byte) bool {
	for _, c := range address {
		if escaped[c] {
			return false
		}
	}
	return true
}

func appendEscaped(dst, address []byte) []byte {
	for i, c := range address {
		if escaped[c] && (i == 0 || (c != '#' && c != ' ')) {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// Container is the entry of a suffix, or of a unit when one is given. It is not to be changed.
func (n *Names) Container(suffix int, unit string, hasSubordinates bool) *entry.Entry {
	p := n.place(suffix, unit)
	if hasSubordinates {
		return p.top[1]
	}
	return p.top[0]
}

func (n *Names) container(suffix int, unit string, hasSubordinates bool) *entry.Entry {
	e := &entry.Entry{DN: n.suffixes[suffix]}
	if unit == "" {
		dc := n.parsed[suffix].RDNs[0].Attributes[0].Value
		e.Set(schema.ObjectClass, "top", "organization", "dcObject")
		e.Set(schema.O, dc)
		e.Set(schema.DC, dc)
		e.Set(schema.StructuralObjectClass, "organization")
	} else {
		e.DN = "ou=" + unit + "," + e.DN
		e.Set(schema.ObjectClass, "top", "organizationalUnit")
		e.Set(schema.OU, unit)
		e.Set(schema.StructuralObjectClass, "organizationalUnit")
	}
	has := "FALSE"
	if hasSubordinates {
		has = "TRUE"
	}
	e.Set(schema.HasSubordinates, has)
	e.Set(schema.SubschemaSubentry, SubschemaName)
	return e
}

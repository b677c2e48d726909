package filter

import (
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/schema"
)

// inName tells whether a part of an entry's name is what is asserted (the dnAttributes of RFC 4511, 4.5.1.7.7).
func (a *Assertion) inName(dn string) bool {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return false
	}
	for _, rdn := range parsed.RDNs {
		for _, part := range rdn.Attributes {
			if schema.Lookup([]byte(part.Type)) == a.Type && a.Holds([]byte(part.Value)) {
				return true
			}
		}
	}
	return false
}

// String is the text of the filter (RFC 4515). An empty one is none.
func (f *Filter) String() string {
	if len(f.Nodes) == 0 {
		return ""
	}
	var b strings.Builder
	f.write(&b, 0)
	return b.String()
}

func (f *Filter) write(b *strings.Builder, at int) {
	n := &f.Nodes[at]
	b.WriteByte('(')
	switch n.Op {
	case And, Or, Not:
		b.WriteByte("&|!"[n.Op])
		for i := at + 1; i < n.End; i = f.Nodes[i].End {
			f.write(b, i)
		}
	case Substrings:
		b.WriteString(name(n.Attribute) + "=" + ldap.EscapeFilter(string(n.Initial)))
		for _, part := range n.Any {
			b.WriteString("*" + ldap.EscapeFilter(string(part)))
		}
		b.WriteString("*" + ldap.EscapeFilter(string(n.Final)))
	case Present:
		b.WriteString(name(n.Attribute) + "=*")
	case Extensible:
		b.WriteString(name(n.Attribute))
		if n.DN {
			b.WriteString(":dn")
		}
		if len(n.Rule) > 0 {
			b.WriteString(":" + name(n.Rule))
		}
		b.WriteString(":=" + ldap.EscapeFilter(string(n.Value)))
	default:
		b.WriteString(name(n.Attribute) + map[Op]string{Equal: "=", GreaterOrEqual: ">=", LessOrEqual: "<=", Approximate: "~="}[n.Op] + ldap.EscapeFilter(string(n.Value)))
	}
	b.WriteByte(')')
}

// name is a description as it may stand in a text: what is none of letters, digits and the signs of numbers and options names nothing anywhere, and is written as such.
func name(description []byte) string {
	if a := schema.Lookup(description); a != schema.None {
		return a.Name()
	}
	for _, c := range description {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != ';' {
			return "unknown"
		}
	}
	return string(description)
}

// Parse reads the text of a filter (RFC 4515), as commands are given it.
func Parse(text string) (*Filter, error) {
	packet, err := ldap.CompileFilter(text)
	if err != nil {
		return nil, fmt.Errorf("reading the filter: %w", err)
	}
	f := new(Filter)
	r := ber.NewReader(packet.Bytes())
	if err := f.Decode(&r); err != nil {
		return nil, err
	}
	return f, nil
}

package filter

import (
	"fmt"

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

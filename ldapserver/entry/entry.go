// Package entry holds the noun of the directory: an entry, as values by attribute.
package entry

import (
	"slices"

	"balorg/ldapserver/schema"
)

// Attribute is an attribute with its values; there is at least one.
type Attribute struct {
	Type   schema.Attribute
	Values []string
}

// Entry is one entry of the directory. Its attributes are in order of their types, each once.
type Entry struct {
	DN         string
	Attributes []Attribute
}

// Values are those of an attribute; none when it has none.
func (e *Entry) Values(a schema.Attribute) []string {
	for i := range e.Attributes {
		if e.Attributes[i].Type == a {
			return e.Attributes[i].Values
		}
	}
	return nil
}

// Set puts values in the place of an attribute's; empty ones and repetitions are left out, and without any the attribute is not there.
func (e *Entry) Set(a schema.Attribute, values ...string) {
	kept := make([]string, 0, len(values))
	for _, v := range values {
		if v != "" && !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	at := 0
	for at < len(e.Attributes) && e.Attributes[at].Type < a {
		at++
	}
	there := at < len(e.Attributes) && e.Attributes[at].Type == a
	switch {
	case there && len(kept) > 0:
		e.Attributes[at].Values = kept
	case there:
		e.Attributes = slices.Delete(e.Attributes, at, at+1)
	case len(kept) > 0:
		e.Attributes = slices.Insert(e.Attributes, at, Attribute{a, kept})
	}
}

package ldapserver

import (
	"slices"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/wire"
)

// valuesWanted says which values of the attributes are answered (RFC 3876): those of which at least one assertion holds. It decides nothing about entries.
type valuesWanted struct {
	assertions []filter.Assertion
}

// readValues reads the control's value. What nobody can judge holds for no value.
func readValues(value []byte) (*valuesWanted, error) {
	items, err := wire.ParseValues(value)
	if err != nil {
		return nil, err
	}
	w := new(valuesWanted)
	for i := range items.Nodes {
		if a := filter.Assert(&items.Nodes[i]); !a.Undefined {
			w.assertions = append(w.assertions, a)
		}
	}
	return w, nil
}

// of answers a record of the attributes in sound records that are selected, with those of their values that are wanted: without any the attribute is still there
// (RFC 3876, 3).
func (w *valuesWanted) of(selected *wire.Selection, records [][]byte) (picked []byte) {
	for _, record := range records {
		for len(record) > 0 {
			a, end := entry.Span(record)
			if end == 0 {
				break
			}
			set := ber.NewReader(record[1:end])
			record = record[end:]
			if !selected.Has(a) {
				continue
			}
			picked = append(picked, byte(a))
			var mark int
			picked, mark = ber.Begin(picked, ber.Set)
			for values := ber.NewReader(set.Expect(ber.Set)); !values.Empty(); {
				v := values.Expect(ber.Octets)
				if slices.ContainsFunc(w.assertions, func(assertion filter.Assertion) bool {
					return assertion.Type == a && (assertion.Present || assertion.Holds(v))
				}) {
					picked = ber.Append(picked, ber.Octets, v)
				}
			}
			picked = ber.End(picked, mark)
		}
	}
	return picked
}

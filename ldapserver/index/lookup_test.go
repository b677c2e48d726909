package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

// TestLookUp: what is looked up together is what a search for each alone finds, in the same order.
func TestLookUp(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	entries := randomEntries(r, 1500)
	for i, e := range entries { // numbers that stand with their digit and without, on other entries and on the same
		if number := e.Values(schema.IdentifiantPP); len(number) > 0 && i%3 == 0 {
			e.Set(schema.IdentifiantPP, "8"+number[0])
			entries[(i+1)%len(entries)].Set(schema.IdentifiantPP, number[0])
			if i%2 == 0 {
				entries[(i+2)%len(entries)].Set(schema.IdentifiantPP, number[0], "8"+number[0])
			}
		}
	}
	x := build(t, entries)
	found, both := 0, 0
	for _, a := range []schema.Attribute{schema.Mail, schema.CN, schema.SN, schema.IdentifiantPP, schema.TypeBAL, schema.L, schema.TelephoneNumber, schema.Street} {
		var all []Lookup
		var memory filter.Memory
		var plans []*Plan
		for i := range 300 {
			value := fmt.Sprintf("nobody %d", i)
			if values := entries[r.IntN(len(entries))].Values(a); len(values) > 0 && i%4 > 0 {
				value = values[r.IntN(len(values))]
			}
			if i%50 == 0 {
				value = "\xff"
			}
			n := filter.Node{Op: filter.Equal, End: 1, Attribute: []byte(a.Name()), Value: []byte(value)}
			assertion := memory.Equality(a, n.Value)
			all = append(all, Lookup{Value: assertion.Value, Other: assertion.Other, Void: assertion.Undefined})
			plans = append(plans, x.Plan(Compile(&filter.Filter{Nodes: []filter.Node{n}}), nil))
		}
		x.LookUp(a, all)
		for i := range all {
			var got, want []uint32
			x.Each(a, &all[i], func(e uint32) bool { got = append(got, e); return true })
			plans[i].Each(func(e uint32) bool { want = append(want, e); return true })
			if !slices.Equal(got, want) {
				t.Errorf("%s=%q, or %q: found %v, want %v", a.Name(), all[i].Value, all[i].Other, got, want)
			}
			if found += len(got); all[i].other != none {
				both++
			}
			if len(got) > 1 {
				n := 0
				x.Each(a, &all[i], func(uint32) bool { n++; return n < 2 })
				if n != 2 {
					t.Errorf("it went on to %d entries, though it was told to stop", n)
				}
			}
		}
	}
	if found < 1000 || both < 10 {
		t.Errorf("%d entries are found, %d values in two forms: that proves little", found, both)
	}
	x.Fetch(slices.Collect(func(yield func(uint32) bool) {
		for e := range x.Len() {
			if !yield(e) {
				return
			}
		}
	}))
	build(t, []*entry.Entry{}).LookUp(schema.Mail, []Lookup{{Value: []byte("x")}})
}

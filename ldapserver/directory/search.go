package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"balorg/ldapserver/filter"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/policy"
)

// Question is what an administrator asks of the directory at the shell.
type Question struct {
	Filter     string
	Attributes []string // to be answered: names, "*" for those of users, "+" for those of the server; none means "*"
	Limit      int      // entries; zero means no limit
	// Sight is whose view it is; nil is the administrator's own, who sees everything and is told what others do not.
	Sight *policy.Sight
}

// Why an entry is hidden from those who are not its own.
const (
	HiddenRedList  = "on the red list"
	HiddenShadowed = "an account of this platform has the address"
)

// Found is an entry that a search has found.
type Found struct {
	DN         string              `json:"dn"`
	Unit       string              `json:"unit"`
	Hidden     string              `json:"hidden,omitempty"` // why others do not see it
	Attributes map[string][]string `json:"attributes"`
}

// ErrMore ends a search that has found more than it was to answer.
var ErrMore = errors.New("there are more entries")

// Search calls each with what matches, by unit and name. It answers ErrMore when the limit has cut it off.
func (v *View) Search(ctx context.Context, names *Names, q Question, each func(Found) error) error {
	query, err := compile(q.Filter)
	if err != nil {
		return err
	}
	chosen, err := chosenAttributes(q.Attributes)
	if err != nil {
		return err
	}
	answered := 0
	for _, source := range []*Source{v.Local, v.National} {
		if source == nil {
			continue
		}
		eye := Eye{own: [2]uint32{nobody, nobody}}
		if q.Sight != nil {
			sees, ok := source.Eye(*q.Sight)
			if !ok {
				continue
			}
			eye = sees
		}
		plan := source.Index.Plan(query, names.Common(0, source.Unit))
		plan.Stop = func() bool { return ctx.Err() != nil }
		var failed error
		done := plan.From(0, func(n uint32) bool {
			switch {
			case !eye.Sees(n):
				return true
			case q.Limit > 0 && answered == q.Limit:
				failed = ErrMore
				return false
			}
			answered++
			var found Found
			if found, failed = source.found(n, names, chosen, q.Sight == nil); failed == nil {
				failed = each(found)
			}
			return failed == nil
		})
		switch {
		case failed != nil:
			return failed
		case !done:
			return ctx.Err()
		}
	}
	return nil
}

// found is an entry as it is answered.
func (s *Source) found(n uint32, names *Names, chosen func(schema.Attribute) bool, tell bool) (Found, error) {
	dn := string(names.Append(nil, 0, s.Unit, s.Index.Mail(n)))
	e, err := s.Entry(n, dn)
	if err != nil {
		return Found{}, err
	}
	f := Found{DN: dn, Unit: s.Unit, Attributes: make(map[string][]string, len(e.Attributes))}
	if tell && s.hidden.has(n) {
		f.Hidden = HiddenRedList
		if s.Unit == National {
			f.Hidden = HiddenShadowed
		}
	}
	for _, a := range e.Attributes {
		if chosen(a.Type) {
			f.Attributes[a.Type.Name()] = a.Values
		}
	}
	return f, nil
}

// compile reads a filter. What a client's filter may hold without harm is a mistake at the shell: an attribute that nobody has.
func compile(text string) (*index.Query, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	f, err := filter.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no filter, such as (cn=*durand*) or (&(sn=durand)(l=toulouse)): %w", text, err)
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Op == filter.And || n.Op == filter.Or || n.Op == filter.Not || len(n.Attribute) == 0 {
			continue
		}
		if a := schema.Lookup(n.Attribute); a == schema.None {
			return nil, fmt.Errorf("%q is no filter: no attribute is called %q", text, n.Attribute)
		}
	}
	return index.Compile(f), nil
}

// chosenAttributes tells which attributes are answered.
func chosenAttributes(names []string) (func(schema.Attribute) bool, error) {
	users, operational := len(names) == 0, false
	var named []schema.Attribute
	for _, name := range names {
		switch a := schema.Lookup([]byte(name)); {
		case name == "*":
			users = true
		case name == "+":
			operational = true
		case a == schema.None:
			return nil, fmt.Errorf("no attribute is called %q", name)
		default:
			named = append(named, a)
		}
	}
	return func(a schema.Attribute) bool {
		if a.Operational() && operational || !a.Operational() && users {
			return true
		}
		return slices.Contains(named, a)
	}, nil
}

// Presence is whether the national directory has an entry.
type Presence int

// The presences.
const (
	NotImported Presence = iota // there is no national directory
	Absent
	Shadowed // it has, and an account of ours stands in its place
	Present
)

// Presence tells whether the national directory has the entry of an address, in lower case.
func (v *View) Presence(address string) Presence {
	if v.National == nil {
		return NotImported
	}
	n, ok := v.National.Index.Find([]byte(address))
	switch {
	case !ok:
		return Absent
	case v.National.hidden.has(n):
		return Shadowed
	}
	return Present
}

// Size is what is served and what it takes.
type Size struct {
	LocalEntries   int `json:"local_entries"`
	LocalHidden    int `json:"local_hidden"` // of these on the red list
	LocalMemory    int `json:"local_memory"` // octets
	Entries        int `json:"entries"`      // of the national directory
	EntriesHidden  int `json:"entries_hidden"`
	NationalMemory int `json:"national_memory"`
}

// Size counts.
func (v *View) Size() Size {
	var s Size
	if v.Local != nil {
		s.LocalEntries, s.LocalHidden, s.LocalMemory = int(v.Local.Index.Len()), v.Local.hidden.count(), v.Local.Index.Size()
	}
	if v.National != nil {
		s.Entries, s.EntriesHidden, s.NationalMemory = int(v.National.Index.Len()), v.National.hidden.count(), v.National.Index.Size()
	}
	return s
}

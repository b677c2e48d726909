package amend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"balorg/configs/edit"
	"balorg/mail"
	"balorg/policy"
)

// Outcome is what becomes of a row.
type Outcome string

// The outcomes.
const (
	Added     Outcome = "added"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Bad       Outcome = "bad"
)

// Row is a row of a table of accounts: what it says, and what becomes of it.
type Row struct {
	Number  int          `json:"row"`
	Address mail.Address `json:"address,omitempty"`
	Outcome Outcome      `json:"outcome"`
	Keys    []string     `json:"keys,omitempty"`     // those that change
	Faults  []string     `json:"problems,omitempty"` // why it is bad
	fields  Fields
	grants  []Grant
}

// Bad notes why a row is bad.
func (r *Row) Bad(why string) {
	r.Outcome = Bad
	if !slices.Contains(r.Faults, why) {
		r.Faults = append(r.Faults, why)
	}
}

// Delegating tells whether the row names persons who open the mailbox.
func (r *Row) Delegating() bool { return len(r.grants) > 0 }

// Parse reads a row. A fault makes it Bad.
func (h Header) Parse(number int, cells []string) *Row {
	r := &Row{Number: number, fields: Fields{}}
	for i, cell := range cells {
		key := ""
		if i < len(h) {
			key = h[i]
		}
		switch key {
		case "":
			if cell != "" {
				r.Bad(fmt.Sprintf("%q stands in a column without a name", cell))
			}
		case "address":
			address, err := mail.ParseAddress(cell)
			if err != nil {
				r.Bad(fmt.Sprintf("Mail: %q: %v", cell, err))
			}
			r.Address = address
		case delegationsColumn:
			grants, err := parseGrants(cell)
			if err != nil {
				r.Bad(err.Error())
			}
			r.grants = grants
		default:
			r.fields[key] = toFile(key, cell)
		}
	}
	// A row may be cut short: what is empty at its end says nothing less than an empty cell.
	for _, key := range h[min(len(cells), len(h)):] {
		switch key {
		case "address":
			r.Bad(`Mail: "": address has no @`)
		case "", delegationsColumn:
		default:
			r.fields[key] = ""
		}
	}
	return r
}

// Current is what the files say before an import.
type Current struct {
	accounts map[mail.Address]Fields
	grants   map[mail.Address][]Grant
}

// CurrentOf is what a roster says.
func CurrentOf(r *policy.Roster) Current {
	c := Current{map[mail.Address]Fields{}, map[mail.Address][]Grant{}}
	for _, account := range r.Accounts {
		c.accounts[account.Address] = FieldsOf(account)
	}
	for _, d := range r.Delegations {
		c.grants[d.Mailbox] = append(c.grants[d.Mailbox], GrantOf(d))
	}
	return c
}

// Apply has a row take effect on the draft. An account that is there gets the cells that say something else; a new one is added, a person
// without a Statut as preregistered. An empty cell takes a key out, but for the kind, the state and the delegations.
func (d *Draft) Apply(r *Row, now Current) error {
	r.Keys = nil
	if !d.Has(r.Address) {
		r.Outcome = Added
		if kind := policy.Kind(r.fields["kind"]); kind.Nominative() && r.fields["state"] == "" {
			r.fields["state"] = string(policy.Preregistered)
		}
		if err := d.AddAccount(r.Address, withoutDefaults(r.fields)); err != nil {
			return err
		}
	} else if err := d.applyChanges(r, now); err != nil {
		return err
	}
	return d.applyGrants(r, now)
}

// withoutDefaults leaves out what holds anyway, so that the file stays short.
func withoutDefaults(f Fields) Fields {
	f = maps.Clone(f)
	for key, value := range map[string]string{"state": "active", "sender": "nominative", "red_list": "false", "admin": "false"} {
		if f[key] == value {
			delete(f, key)
		}
	}
	return f
}

func (d *Draft) applyChanges(r *Row, now Current) error {
	if id, err := d.Identifier(r.Address); err != nil || id != r.Address {
		return errors.Join(err, fmt.Errorf("%s is the MSSanté address of %s; Mail holds the identifier", r.Address, id))
	}
	r.Outcome = Unchanged
	before := withoutDefaults(now.accounts[r.Address])
	changes := Fields{}
	for key, value := range withDefaults(r.fields) {
		if (key == "kind" || key == "state") && value == "" {
			continue
		}
		if key == "state" && value == string(policy.Active) {
			value = "" // what holds anyway
		}
		if before[key] != value {
			changes[key] = value
		}
	}
	for _, key := range Keys() {
		if _, ok := changes[key]; ok {
			r.Outcome, r.Keys = Changed, append(r.Keys, key)
		}
	}
	return d.EditAccount(r.Address, changes)
}

// withDefaults is the fields with what holds anyway as if it were not said, but for an empty state, which says nothing.
func withDefaults(f Fields) Fields {
	f = maps.Clone(f)
	for key, value := range map[string]string{"sender": "nominative", "red_list": "false", "admin": "false"} {
		if f[key] == value {
			f[key] = ""
		}
	}
	return f
}

func (d *Draft) applyGrants(r *Row, now Current) error {
	if len(r.grants) == 0 {
		return nil
	}
	before := now.grants[r.Address]
	changed := false
	for _, g := range r.grants {
		person, err := d.Identifier(g.Person)
		if err != nil {
			return err
		}
		g.Person = person
		at := slices.IndexFunc(before, func(b Grant) bool { return b.Person == g.Person })
		if at >= 0 && before[at].cell() == trimmed(g).cell() {
			continue
		}
		if at < 0 {
			g = trimmed(g)
		}
		changed = true
		if err := d.Grant(r.Address, g); err != nil {
			return err
		}
	}
	for _, b := range before {
		if slices.ContainsFunc(r.grants, func(g Grant) bool { id, _ := d.Identifier(g.Person); return id == b.Person }) {
			continue
		}
		changed = true
		if err := d.Revoke(r.Address, b.Person); err != nil {
			return err
		}
	}
	if changed {
		r.Keys = append(r.Keys, delegationsColumn)
		if r.Outcome == Unchanged {
			r.Outcome = Changed
		}
	}
	return nil
}

// trimmed leaves out what holds anyway.
func trimmed(g Grant) Grant {
	if g.Default == "false" {
		g.Default = ""
	}
	if g.Notify == "false" {
		g.Notify = ""
	}
	return g
}

// Places tells which account each line of the files is about.
type Places struct {
	files map[string][]place
}

type place struct {
	line    int
	address mail.Address
}

// PlacesOf reads the files of a draft as they would be.
func (d *Draft) PlacesOf() (Places, error) {
	p := Places{map[string][]place{}}
	changed, err := d.Files()
	if err != nil {
		return p, err
	}
	for _, docs := range []struct {
		list []*document
		key  string
		of   string
	}{{d.accounts, "accounts", "address"}, {d.delegations, "delegations", "mailbox"}} {
		for _, doc := range docs.list {
			file := doc.file
			for _, c := range changed {
				if c.Name == file.Name {
					file = c
				}
			}
			now, err := edit.Open(file)
			if err != nil {
				return p, err
			}
			for _, item := range now.List(docs.key).Items() {
				text, _ := item.Get(docs.of)
				address, err := mail.ParseAddress(text)
				if err != nil {
					address = mail.Address(strings.ToLower(text))
				}
				p.files[file.Name] = append(p.files[file.Name], place{item.Pos().Line, address})
			}
		}
	}
	return p, nil
}

// At is the account, or the mailbox, that a line is about.
func (p Places) At(file string, line int) (mail.Address, bool) {
	places := p.files[file]
	n, exact := slices.BinarySearchFunc(places, line, func(at place, line int) int { return at.line - line })
	if !exact {
		n--
	}
	if n < 0 {
		return "", false
	}
	return places[n].address, true
}

package directory

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/mail"
	"balorg/policy"
)

// newLocal makes the source of the accounts that are shown to somebody. When they are what they were before, their index is kept.
func (d *Directory) newLocal(snap *policy.Snapshot, before *Source) (*Source, error) {
	var b index.Builder
	var shown []*policy.Account
	for _, a := range snap.Accounts() {
		if a.Listing() == policy.Unlisted {
			continue
		}
		shown = append(shown, a)
		b.Add(localEntry(a).Attributes)
	}
	s := &Source{Unit: Local, byID: make(map[mail.AccountID]uint32, len(shown))}
	if s.Index = unchanged(before, &b); s.Index == nil {
		now := d.now()
		x, err := b.Build(index.Info{Date: now}, Constants(now))
		if err != nil {
			return nil, fmt.Errorf("the directory of the accounts: %w", err)
		}
		s.Index = x
	}
	s.Constants = entry.AppendRecord(nil, s.Index.Constants())
	s.hidden = newBitmap(s.Index.Len())
	for _, a := range shown {
		n, ok := s.Index.Find([]byte(a.Published()))
		if !ok {
			return nil, fmt.Errorf("the directory of the accounts has lost %s", a.Address)
		}
		s.byID[a.ID] = n
		if a.Listing() == policy.RedListed {
			s.hidden.set(n)
		}
	}
	return s, nil
}

// unchanged answers the index of before when it holds the very entries of b.
func unchanged(before *Source, b *index.Builder) *index.Index {
	if before == nil || int(before.Index.Len()) != b.Len() {
		return nil
	}
	x := before.Index
	have := make(map[string]bool, b.Len())
	for n := range x.Len() {
		have[string(x.Record(n))] = true
	}
	for n := range b.Len() {
		if !have[string(b.Record(n))] {
			return nil
		}
	}
	return x
}

// localEntry is what the directory shows of an account: never who answers for it, who is delegated, or where it is notified.
func localEntry(a *policy.Account) *entry.Entry {
	e := new(entry.Entry)
	name := strings.TrimSpace(a.Prenom + " " + a.Nom)
	if !a.Kind.Nominative() {
		name = a.Label
	}
	name = cmp.Or(name, a.Label, string(a.Published()))
	e.Set(schema.CN, name)
	e.Set(schema.DisplayName, name)
	e.Set(schema.SN, cmp.Or(a.Nom, name))
	e.Set(schema.Mail, string(a.Published()))
	e.Set(schema.TypeBAL, strings.ToUpper(string(a.Kind)))
	e.Set(schema.OU, a.Service)
	if a.Kind.Nominative() {
		e.Set(schema.GivenName, a.Prenom)
		e.Set(schema.PersonalTitle, a.Titre)
		e.Set(schema.Profession, a.Profession)
		e.Set(schema.Title, policy.ProfessionLabel(a.Profession))
		switch {
		case a.RPPS != "":
			e.Set(schema.TypeIdentifiantPP, "8")
			e.Set(schema.IdentifiantPP, a.RPPS)
		case a.ADELI != "":
			e.Set(schema.TypeIdentifiantPP, "0")
			e.Set(schema.IdentifiantPP, a.ADELI)
		}
	} else {
		e.Set(schema.O, a.Prenom)
		e.Set(schema.Description, a.Description)
	}
	for _, id := range []struct{ kind, number string }{{"FINESS", a.Structure.FINESS}, {"SIRET", a.Structure.SIRET}, {"SIREN", a.Structure.SIREN}} {
		if id.number != "" {
			e.Set(schema.TypeIdentifiantPM, id.kind)
			e.Set(schema.IdentifiantPM, id.number)
		}
	}
	return e
}

// Entry answers an entry of the source as a client sees it, all attributes included.
func (s *Source) Entry(n uint32, name string) (*entry.Entry, error) {
	attributes, err := entry.ParseRecord(bytes.Join([][]byte{s.Constants, s.Index.Record(n)}, nil))
	if err != nil {
		return nil, fmt.Errorf("reading an entry of %s: %w", s.Unit, err)
	}
	e := &entry.Entry{DN: name}
	for _, a := range attributes {
		e.Set(a.Type, a.Values...)
	}
	e.Set(schema.EntryUUID, index.UUIDText(s.Index.Mail(n)))
	return e, nil
}

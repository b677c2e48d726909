package directory

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/mail"
)

// gather makes the entries of a national directory out of the rows of an extraction: those of one address, wherever they stand in the file, become one entry with several
// values.
type gather struct {
	builder index.Builder
	byMail  map[mail.Address]int32
	values  [schema.Count][1]string // of the row at hand: an entry of one row needs no other memory
	entry   entry.Entry
}

func newGather() *gather { return &gather{byMail: make(map[mail.Address]int32)} }

// add takes a row.
func (g *gather) add(row *extraction.Row) error {
	g.convert(row)
	n, known := g.byMail[row.Address]
	if !known {
		g.byMail[row.Address] = int32(g.builder.Add(g.entry.Attributes))
		return nil
	}
	before, err := entry.ParseRecord(g.builder.Record(int(n)))
	if err != nil {
		return err
	}
	g.builder.Set(int(n), combine(before, g.entry.Attributes))
	return nil
}

// combine is the attributes of two rows of one mailbox: all values, but of attributes that have one alone the first. A mailbox has one common name, whatever it is called elsewhere.
func combine(a, b []entry.Attribute) []entry.Attribute {
	e := entry.Entry{Attributes: a}
	for _, other := range b {
		have := e.Values(other.Type)
		if len(have) == 0 || (!other.Type.Single() && other.Type != schema.CN) {
			e.Set(other.Type, append(slices.Clip(have), other.Values...)...)
		}
	}
	return e.Attributes
}

// set gives the entry at hand a value; attributes come in order.
func (g *gather) set(a schema.Attribute, value string) {
	if value == "" {
		return
	}
	g.values[a][0] = value
	g.entry.Attributes = append(g.entry.Attributes, entry.Attribute{Type: a, Values: g.values[a][:]})
}

// convert makes the row the entry at hand. The names of the attributes are those of domain.md; where a standard one says the same, it is used.
func (g *gather) convert(row *extraction.Row) {
	text := func(c extraction.Column) string { return string(row.Field(c)) }
	g.entry.Attributes = g.entry.Attributes[:0]
	address := string(row.Address)
	last, first := text(extraction.LastName), text(extraction.FirstName)
	organisation := cmp.Or(text(extraction.LegalName), text(extraction.TradeName))
	service := text(extraction.Service)
	person := row.Kind == extraction.PER || row.Kind == extraction.CAB
	name := join(" ", first, last)
	if !person {
		last, first = "", ""
		name = join(" - ", service, organisation)
	}
	name = cmp.Or(name, address)
	g.set(schema.CN, name)
	g.set(schema.DisplayName, name)
	g.set(schema.SN, cmp.Or(last, service, organisation, name))
	g.set(schema.GivenName, first)
	if person {
		g.set(schema.PersonalTitle, text(extraction.Civility))
	}
	g.set(schema.Mail, address)
	g.set(schema.TypeBAL, row.Kind.String())
	if person {
		g.set(schema.TypeIdentifiantPP, text(extraction.PersonIDType))
		g.set(schema.IdentifiantPP, text(extraction.PersonID))
		g.set(schema.Profession, text(extraction.ProfessionCode))
		g.set(schema.Title, text(extraction.Profession))
		g.set(schema.SavoirFaire, text(extraction.SkillCode))
		g.set(schema.LibelleSavoirFaire, text(extraction.Skill))
	}
	g.set(schema.O, organisation)
	g.set(schema.OU, service)
	if !person {
		g.set(schema.Description, name)
	}
	g.set(schema.TypeIdentifiantPM, structureType(text(extraction.StructureIDType)))
	g.set(schema.IdentifiantPM, text(extraction.StructureID))
	g.set(schema.Street, join(" ", text(extraction.StreetNumber)+text(extraction.StreetNumberSuffix), text(extraction.StreetType), text(extraction.StreetName)))
	code := text(extraction.PostalCode)
	g.set(schema.PostalCode, code)
	g.set(schema.L, town(row.Field(extraction.PostalLine), code))
	g.set(schema.ST, text(extraction.Department))
	g.set(schema.CO, text(extraction.Country))
}

func join(between string, parts ...string) string {
	kept := parts[:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, between)
}

// town is the last line of a postal address without its postal code: "31000 TOULOUSE CEDEX 9" is in Toulouse.
func town(line []byte, code string) string {
	line = bytes.TrimSpace(line)
	if code != "" {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte(code)))
	}
	if digits, rest, ok := bytes.Cut(line, []byte(" ")); ok && len(digits) == 5 && allDigits(digits) {
		line = bytes.TrimSpace(rest) // a CEDEX has a code of its own
	}
	if i := bytes.Index(line, []byte(" CEDEX")); i > 0 {
		line = line[:i]
	}
	return string(line)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// structureType is the word that clients ask for; files have also been seen to write its digit (domain: OU of certificates).
func structureType(text string) string {
	switch text {
	case "1":
		return "FINESS"
	case "2":
		return "SIREN"
	case "3":
		return "SIRET"
	}
	return strings.ToUpper(text)
}

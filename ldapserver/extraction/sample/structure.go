package sample

import (
	"fmt"
	"strconv"
	"strings"

	"balorg/ldapserver/extraction"
	"balorg/policy"
)

// town is a place with a postal code.
type town struct{ code, name string }

// department answers the code of the département.
func (t town) department() string {
	switch {
	case strings.HasPrefix(t.code, "97"):
		return t.code[:3]
	case t.code >= "20000" && t.code < "20200":
		return "2A"
	case t.code >= "20200" && t.code < "21000":
		return "2B"
	}
	return t.code[:2]
}

// houseKind is what an establishment is, with the sizes of domains that are one's.
type houseKind struct {
	slug, label string
	from, below int
	named       bool // called after a saint or a landscape, and not after its town alone
	finess      bool // has a number of health establishments; others have a company's
}

func houseKinds() []houseKind {
	return []houseKind{
		{"chu", "Centre Hospitalier Universitaire de", 2500, largest, false, true},
		{"ch", "Centre Hospitalier de", 150, 2500, false, true},
		{"clinique", "Clinique", 30, 300, true, true},
		{"gh", "Groupe Hospitalier", 300, 2500, true, true},
		{"had", "Hospitalisation à Domicile de", 5, 40, false, true},
		{"ehpad", "EHPAD", 1, 20, true, true},
		{"msp", "Maison de Santé Pluriprofessionnelle", 2, 30, true, false},
		{"labo", "Laboratoire de Biologie Médicale de", 1, 40, false, true},
		{"imagerie", "Centre d'Imagerie Médicale de", 1, 40, false, false},
		{"cabinet", "Cabinet Médical", 1, 12, true, false},
		{"pharmacie", "Pharmacie", 1, 5, true, false},
		{"cds", "Centre de Santé de", 2, 40, false, true},
	}
}

func (g *generator) houseFor(size int) *houseKind {
	var fit []*houseKind
	for i := range g.houseKinds {
		if k := &g.houseKinds[i]; size >= k.from && size < k.below {
			fit = append(fit, k)
		}
	}
	return pick(g, fit)
}

// structure is an establishment: the columns from Type identifiant structure on.
type structure struct {
	idType, id, legal, trade         string
	premises, building               string
	number, suffix, kind, street, at string
	town                             town
}

// structureOf answers one of those of a domain: large ones have several.
func (g *generator) structureOf(d *domain) *structure {
	if d.structures == nil {
		const mailboxesEach = 60
		d.structures = make([]structure, 1+d.size/mailboxesEach)
		for i := range d.structures {
			d.structures[i] = g.newStructure(d.house, d.town, i)
		}
	}
	return &d.structures[g.rng.IntN(len(d.structures))]
}

func (g *generator) newStructure(kind *houseKind, t town, site int) structure {
	name := kind.label + " " + t.name
	if kind.named {
		name = kind.label + " " + pick(g, g.houses)
	}
	s := g.addressed(structure{legal: strings.ToUpper(name), town: t})
	if site > 0 {
		s.trade = "Site " + pick(g, g.houses)
	} else if g.chance(0.4) {
		s.trade = name
	}
	if kind.finess {
		s.idType, s.id = "FINESS", g.finess(t)
	} else {
		s.idType, s.id = "SIRET", g.siret()
	}
	return s
}

// practice is where somebody works by himself.
func (g *generator) practice(p *person) structure {
	s := g.addressed(structure{idType: "SIRET", id: g.siret(), town: pick(g, g.towns)})
	s.legal = "CABINET " + p.civility + " " + strings.ToUpper(p.last.text)
	return s
}

// addressed puts a postal address in.
func (g *generator) addressed(s structure) structure {
	s.number = strconv.Itoa(1 + g.rng.IntN(180))
	if g.chance(0.06) {
		s.suffix = pick(g, []string{"BIS", "TER", "B", "A"})
	}
	s.kind, s.street, _ = strings.Cut(pick(g, g.streets), " ")
	if g.chance(0.1) {
		s.premises = fmt.Sprintf("BATIMENT %c", 'A'+rune(g.rng.IntN(8)))
	}
	if g.chance(0.12) {
		s.building = fmt.Sprintf("BP %d", 10_000+g.rng.IntN(90_000))
	}
	if g.chance(0.05) {
		s.at = "ZONE D'ACTIVITES"
	}
	return s
}

// fill puts a structure into a row: its number and names, and where it is when that is published.
func (s *structure) fill(r *row, withAddress bool) {
	r[extraction.StructureIDType], r[extraction.StructureID] = s.idType, s.id
	r[extraction.LegalName], r[extraction.TradeName] = s.legal, s.trade
	for c := extraction.Premises; c <= extraction.Country; c++ {
		r[c] = ""
	}
	if !withAddress {
		return
	}
	r[extraction.Premises], r[extraction.Building] = s.premises, s.building
	r[extraction.StreetNumber], r[extraction.StreetNumberSuffix] = s.number, s.suffix
	r[extraction.StreetType], r[extraction.StreetName], r[extraction.Locality] = s.kind, s.street, s.at
	r[extraction.PostalLine] = s.town.code + " " + strings.ToUpper(unaccented(s.town.name))
	r[extraction.PostalCode], r[extraction.Department], r[extraction.Country] = s.town.code, s.town.department(), "FRANCE"
}

// keyed puts the key behind digits.
func keyed(digits string) string { return digits + string(policy.LuhnKey(digits)) }

func (g *generator) digits(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = '0' + byte(g.rng.IntN(10)) //nolint:gosec // a digit
	}
	return string(text)
}

// finess makes the number of a health establishment, which begins with the département.
func (g *generator) finess(t town) string {
	if d := t.department(); d == "2A" || d == "2B" {
		return d + g.digits(7) // the key does not extend to the letter
	}
	return keyed(t.department()[:2] + g.digits(6))
}

// siret makes the number of an establishment of a company, whose own number has a key too.
func (g *generator) siret() string {
	return keyed(keyed("8"+g.digits(7)) + "0" + g.digits(3))
}

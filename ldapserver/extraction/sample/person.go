package sample

import (
	"fmt"
	"strings"

	"balorg/ldapserver/extraction"
)

// name is one as it is written, and as it stands in addresses.
type name struct{ text, ascii string }

// profession is one of the national codes.
type profession struct {
	code, label, domain string
	weight              int
}

// person is a professional, who may have several mailboxes.
type person struct {
	idType, id, civility string
	last, first          name
	profession           int
	skill                string // code|label, of physicians
}

// Shares of the people.
const (
	secondMailbox  = 0.08 // of mailboxes that are somebody's further one
	doubleNames    = 0.09
	adeliShare     = 0.3 // of those who are neither of the medical professions nor nurses
	atPractice     = 0.1
	atHouse        = 0.3
	houseAddresses = 0.35 // of people at a house, whose address is published with theirs
)

const physician = "10"

// somebody answers a person: a new one, or one of those met lately.
func (g *generator) somebody(profession int) *person {
	if len(g.lately) > 0 && g.chance(secondMailbox) {
		if p := pick(g, g.lately); profession < 0 || p.profession == profession {
			return p
		}
	}
	p := g.newPerson(profession)
	const remembered = 200
	if len(g.lately) < remembered {
		g.lately = append(g.lately, p)
	} else {
		g.lately[g.rng.IntN(remembered)] = p
	}
	return p
}

func (g *generator) newPerson(profession int) *person {
	if profession < 0 {
		profession = g.weighted[g.rng.IntN(len(g.weighted))]
	}
	p := &person{profession: profession}
	firsts := g.women
	p.civility = "MME"
	if g.chance(0.42) {
		firsts, p.civility = g.men, "M"
	}
	p.first, p.last = skewed(g, firsts), skewed(g, g.lasts)
	if g.chance(doubleNames) {
		other := skewed(g, g.lasts)
		p.last = name{p.last.text + "-" + other.text, p.last.ascii + "-" + other.ascii}
	}
	code := g.professions[profession].code
	switch code {
	case physician:
		p.civility = "DR"
		if g.chance(0.02) {
			p.civility = "PR"
		}
		p.skill = skewed(g, g.skills)
	case "21", "40":
		if g.chance(0.9) {
			p.civility = "DR"
		}
	}
	g.people++
	if code > "69" && g.chance(adeliShare) {
		// The département, the profession, and a number.
		p.idType, p.id = "0", pick(g, g.towns).department()[:2]+code+fmt.Sprintf("%05d", g.people%100_000)
	} else {
		// Steps that have no divisor in common with the number of all numbers come back to none before all were there.
		const step, all = 38_196_601, 100_000_000
		p.idType, p.id = "8", keyed(fmt.Sprintf("10%08d", g.people*step%all))
	}
	return p
}

// fill puts a person into a row.
func (p *person) fill(g *generator, r *row) {
	r[extraction.PersonIDType], r[extraction.PersonID], r[extraction.NationalID] = p.idType, p.id, p.idType+p.id
	r[extraction.Civility], r[extraction.LastName], r[extraction.FirstName] = p.civility, strings.ToUpper(p.last.text), p.first.text
	r[extraction.CategoryCode], r[extraction.Category] = "C", "Civil"
	r[extraction.ProfessionCode], r[extraction.Profession] = g.professions[p.profession].code, g.professions[p.profession].label
	r[extraction.SkillCode], r[extraction.Skill], _ = strings.Cut(p.skill, "|")
}

// mailbox makes the row of a mailbox.
func (g *generator) mailbox(s slot) row {
	d := g.domains[s.domain]
	if s.org {
		return g.org(d)
	}
	return g.per(d)
}

func (g *generator) per(d *domain) row {
	var r row
	p := g.somebody(d.profession)
	r[extraction.BALType] = "PER"
	r[extraction.BALAddress] = d.address(p.first.ascii + "." + p.last.ascii)
	r[extraction.Paperless] = g.yesNo(0.8)
	p.fill(g, &r)
	g.workplace(&r, d, p)
	return r
}

// workplace puts in where somebody works, if that is published.
func (g *generator) workplace(r *row, d *domain, p *person) {
	switch {
	case d.house == nil && g.chance(atPractice):
		s := g.practice(p)
		s.fill(r, true)
	case d.house != nil && g.chance(atHouse):
		g.structureOf(d).fill(r, g.chance(houseAddresses))
	}
}

func (g *generator) org(d *domain) row {
	var r row
	service := skewed(g, g.services)
	label, local := service.text, service.ascii
	switch {
	case d.size < 10 && g.chance(0.5):
		label, local = "Secrétariat", "secretariat"
	case g.chance(0.45):
		label, local = "Secrétariat - "+label, "secretariat."+local
	}
	r[extraction.BALType] = "ORG"
	r[extraction.BALAddress] = d.address(local)
	r[extraction.Service] = label
	r[extraction.Paperless] = g.yesNo(0.6)
	g.structureOf(d).fill(&r, true)
	return r
}

// elsewhere is a further row of a mailbox: the same address and person, with another activity or structure.
func (g *generator) elsewhere(r *row) row {
	next := *r
	if next[extraction.ProfessionCode] == physician {
		next[extraction.SkillCode], next[extraction.Skill], _ = strings.Cut(skewed(g, g.skills), "|")
	}
	s := g.newStructure(g.houseFor(200), pick(g, g.towns), 0)
	s.fill(&next, true)
	return next
}

func (g *generator) yesNo(share float64) string {
	if g.chance(share) {
		return "O"
	}
	return "N"
}

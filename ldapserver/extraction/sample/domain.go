package sample

import (
	"math"
	"slices"
	"strconv"
)

// What is known of the real file's domains: their number, and how many mailboxes the middle one, the one at 99 % and the largest have.
const (
	realDomains = 5018
	median      = 4
	p99         = 1193
	largest     = 62_151
)

// Between these the sizes are interpolated on a logarithmic scale, bent so that the sum becomes that of the real file (535 188 addresses).
const (
	bendLow  = 1.5
	bendMid  = 1.787
	bendHigh = 7
)

// orgShare is the part of mailboxes that are a service's. Domains of one profession have none.
const orgShare = 79_886.0 / 535_357

// realSize answers how many mailboxes the domain of a rank has in the real file, the smallest first.
func realSize(rank int) int {
	q := (float64(rank) + 0.5) / realDomains
	between := func(from, to, t float64) int { return int(math.Round(from * math.Pow(to/from, t))) }
	switch {
	case rank == realDomains-1:
		return largest
	case q < 0.5:
		return int(math.Round(1 + (median-1)*math.Pow(q/0.5, bendLow)))
	case q < 0.99:
		return between(median, p99, math.Pow((q-0.5)/0.49, bendMid))
	}
	return between(p99, largest, math.Pow((q-0.99)/0.01, bendHigh))
}

// domain is one of an operator or an establishment.
type domain struct {
	name       string
	size       int // in the real file
	profession int // of all its mailboxes, or -1
	house      *houseKind
	town       town
	structures []structure
	locals     map[string]int // how often each local part was wanted
}

// parent is above all domains of samples.
const parent = ".exemple.mssante.fr"

// newDomains makes all domains, the largest first.
func (g *generator) newDomains() []*domain {
	all := make([]*domain, realDomains)
	taken := make(map[string]int)
	professions := g.professionsWithDomain()
	for i := range all {
		d := &domain{size: realSize(realDomains - 1 - i), profession: -1, locals: make(map[string]int)}
		var label string
		if i < len(professions) {
			d.profession = professions[i]
			label = g.professions[d.profession].domain
		} else {
			d.town = pick(g, g.towns)
			d.house = g.houseFor(d.size)
			label = d.house.slug + "-" + slug(d.town.name)
		}
		if taken[label]++; taken[label] > 1 {
			label += "-" + strconv.Itoa(taken[label])
		}
		d.name = label + parent
		all[i] = d
	}
	return all
}

// slot is a mailbox that is to be made.
type slot struct {
	domain uint16
	org    bool
}

// slots answers n mailboxes in random order. Each domain has its share of them, as of a sample of the real file's lines; the many small ones
// share what is left over.
func (g *generator) slots(n int) []slot {
	total, mixed := 0, 0
	for _, d := range g.domains {
		total += d.size
		if d.profession < 0 {
			mixed += d.size
		}
	}
	share := orgShare * float64(total) / float64(mixed) // of the mailboxes of domains that have services
	all := make([]slot, 0, n)
	sum, orgs := 0, 0.0
	for i, d := range g.domains {
		before := sum * n / total
		sum += d.size
		count, services := sum*n/total-before, 0
		if d.profession < 0 {
			was := int(orgs)
			orgs += share * float64(count)
			services = int(orgs) - was
		}
		for k := range count {
			all = append(all, slot{uint16(i), k < services}) //nolint:gosec // there are 5 018
		}
	}
	g.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// address makes an address of a local part that the domain has not given to anybody.
func (d *domain) address(local string) string {
	d.locals[local]++
	if n := d.locals[local]; n > 1 {
		local += strconv.Itoa(n)
	}
	return local + "@" + d.name
}

func (g *generator) professionsWithDomain() []int {
	var all []int
	for i, p := range g.professions {
		if p.domain != "" {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return g.professions[b].weight - g.professions[a].weight })
	return all
}

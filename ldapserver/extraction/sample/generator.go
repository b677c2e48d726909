package sample

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// generator holds the lists, and the one source of chance.
type generator struct {
	rng         *rand.Rand
	women, men  []name
	lasts       []name
	services    []name
	skills      []string
	professions []profession
	weighted    []int // the number of a profession as often as it weighs
	towns       []town
	streets     []string
	houses      []string
	houseKinds  []houseKind
	domains     []*domain
	people      int
	lately      []*person
}

func newGenerator(seed uint64, without []string) *generator {
	g := &generator{
		rng:   rand.New(rand.NewPCG(seed, 0x6d737361)), //nolint:gosec // samples are no secret
		women: names(womensNames), men: names(mensNames), lasts: names(lastNames),
		skills: lines(skills), streets: entries(streets), houses: entries(houses), houseKinds: houseKinds(),
	}
	for _, s := range lines(services) {
		g.services = append(g.services, name{s, slug(s)})
	}
	g.lasts = slices.DeleteFunc(g.lasts, func(n name) bool {
		return slices.ContainsFunc(without, func(w string) bool { return slug(w) == n.ascii })
	})
	for i, line := range lines(professions) {
		f := strings.Split(line, "|")
		weight, _ := strconv.Atoi(f[2]) // the test of the shares would not pass
		g.professions = append(g.professions, profession{f[0], f[1], f[3], weight})
		for range weight {
			g.weighted = append(g.weighted, i)
		}
	}
	for _, entry := range entries(towns) {
		code, place, _ := strings.Cut(entry, " ")
		g.towns = append(g.towns, town{code, place})
	}
	g.domains = g.newDomains()
	return g
}

// chance tells true in that part of all cases.
func (g *generator) chance(share float64) bool { return g.rng.Float64() < share }

func pick[T any](g *generator, from []T) T { return from[g.rng.IntN(len(from))] }

// skewed picks the first of a list more often than the last.
func skewed[T any](g *generator, from []T) T {
	u := g.rng.Float64()
	return from[int(u*u*float64(len(from)))]
}

// names reads a list of names, in which "_" stands for a space.
func names(list string) []name {
	var all []name
	for text := range strings.FieldsSeq(list) {
		text = strings.ReplaceAll(text, "_", " ")
		all = append(all, name{text, slug(strings.ReplaceAll(text, "'", ""))})
	}
	return all
}

func lines(list string) []string { return strings.Split(list, "\n") }

func entries(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == '\n' })
}

// unaccented takes the accents off, and ligatures apart.
func unaccented(s string) string {
	s = strings.NewReplacer("œ", "oe", "Œ", "OE", "æ", "ae").Replace(s)
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

// slug answers what can stand in an address or a domain: small letters, digits, and a hyphen for all else.
func slug(s string) string {
	words := strings.FieldsFunc(strings.ToLower(unaccented(s)), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

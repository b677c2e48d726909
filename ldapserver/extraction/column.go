package extraction

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A Column is one of the 31 of the file, by its number there. Zero is none of them.
type Column uint8

// The columns. Those of the structure's postal address are the lines of a French one (NF Z10-011).
const (
	BALType            Column = iota + 1 // Type de BAL: PER, ORG, APP or CAB
	BALAddress                           // Adresse BAL
	PersonIDType                         // Type Identifiant PP: 8 is RPPS, 0 is ADELI
	PersonID                             // Identifiant PP
	NationalID                           // Identification nationale PP: the two before, put together
	StructureIDType                      // Type identifiant structure: FINESS, SIRET or SIREN
	StructureID                          // Identification Structure
	Service                              // Service de rattachement
	Civility                             // Civilité d'exercice
	LastName                             // Nom d'exercice
	FirstName                            // Prénom d'exercice
	CategoryCode                         // Catégorie profession
	Category                             // Libellé de catégorie profession
	ProfessionCode                       // Code Profession
	Profession                           // Libellé Profession
	SkillCode                            // Code savoir-faire
	Skill                                // Libellé savoir-faire
	Paperless                            // Dématérialisation: whether documents are taken in place of paper
	LegalName                            // Raison Sociale structure BAL
	TradeName                            // Enseigne commerciale structure BAL
	Premises                             // L2COMPLEMENTLOCALISATION structure BAL
	Building                             // L3COMPLEMENTDISTRIBUTION structure BAL
	StreetNumber                         // L4NUMEROVOIE structure BAL
	StreetNumberSuffix                   // L4COMPLEMENTNUMEROVOIE structure BAL
	StreetType                           // NL4TYPEVOIE structure BAL
	StreetName                           // L4LIBELLEVOIE structure BAL
	Locality                             // L5LIEUDITMENTION structure BAL
	PostalLine                           // L6LIGNEACHEMINEMENT structure BAL
	PostalCode                           // Code postal structure BAL
	Department                           // Département structure BAL
	Country                              // Pays structure BAL
)

// Columns is how many there are.
const Columns = int(Country)

func columnNames() [Columns + 1]string {
	return [...]string{
		"no column", "Type de BAL", "Adresse BAL", "Type Identifiant PP", "Identifiant PP", "Identification nationale PP",
		"Type identifiant structure", "Identification Structure", "Service de rattachement", "Civilité d'exercice", "Nom d'exercice",
		"Prénom d'exercice", "Catégorie profession", "Libellé de catégorie profession", "Code Profession", "Libellé Profession",
		"Code savoir-faire", "Libellé savoir-faire", "Dématérialisation", "Raison Sociale structure BAL", "Enseigne commerciale structure BAL",
		"L2COMPLEMENTLOCALISATION structure BAL", "L3COMPLEMENTDISTRIBUTION structure BAL", "L4NUMEROVOIE structure BAL",
		"L4COMPLEMENTNUMEROVOIE structure BAL", "NL4TYPEVOIE structure BAL", "L4LIBELLEVOIE structure BAL", "L5LIEUDITMENTION structure BAL",
		"L6LIGNEACHEMINEMENT structure BAL", "Code postal structure BAL", "Département structure BAL", "Pays structure BAL",
	}
}

// String is the column's name as the header writes it.
func (c Column) String() string {
	if int(c) > Columns {
		return fmt.Sprintf("column %d", uint8(c))
	}
	return columnNames()[c]
}

// A HeaderError is a first line whose columns are not those of the file. It is ErrFormat too.
type HeaderError struct {
	Missing []Column
	Double  []Column
	Unknown []string // as they are written, quoted and cut short
}

// Limits on what an error tells of a header that is something else altogether.
const (
	maxToldNames = 8
	maxToldName  = 40 // signs
)

func (e *HeaderError) Error() string {
	var parts []string
	tell := func(what string, names []string) {
		if len(names) == 0 {
			return
		}
		rest := ""
		if len(names) > maxToldNames {
			rest = fmt.Sprintf(" and %d more", len(names)-maxToldNames)
			names = names[:maxToldNames]
		}
		parts = append(parts, what+": "+strings.Join(names, ", ")+rest)
	}
	tell("missing", texts(e.Missing))
	tell("there twice", texts(e.Double))
	tell("unknown", e.Unknown)
	if len(e.Missing) == Columns {
		parts[0] = fmt.Sprintf("none of the %d columns is there", Columns)
	}
	return ErrFormat.Error() + ": its columns are others: " + strings.Join(parts, "; ")
}

// Is tells that it is ErrFormat.
func (e *HeaderError) Is(target error) bool { return target == ErrFormat }

func texts(columns []Column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.String()
	}
	return all
}

// readHeader answers the column of each field of a line, in their order. trailing tells that a separator stands behind the last one.
func readHeader(line string) (order []Column, trailing bool, err error) {
	known := make(map[string]Column)
	for c := Column(1); int(c) <= Columns; c++ {
		full, lean := foldName(c.String())
		known[full], known[lean] = c, c
		if rest, ok := strings.CutPrefix(full, "nl4"); ok { // the letter before it looks like a slip, which somebody may put right
			known["l4"+rest] = c
		}
	}
	names := strings.Split(line, "|")
	if len(names) > 1 && strings.TrimSpace(names[len(names)-1]) == "" {
		names, trailing = names[:len(names)-1], true
	}
	bad := &HeaderError{}
	for _, name := range names {
		full, lean := foldName(name)
		c := known[full]
		if c == 0 {
			c = known[lean]
		}
		switch {
		case c == 0:
			bad.Unknown = append(bad.Unknown, shortened(name))
		case slices.Contains(order, c):
			bad.Double = append(bad.Double, c)
		default:
			order = append(order, c)
		}
	}
	for c := Column(1); int(c) <= Columns; c++ {
		if !slices.Contains(order, c) {
			bad.Missing = append(bad.Missing, c)
		}
	}
	if len(bad.Missing)+len(bad.Double)+len(bad.Unknown) > 0 {
		return nil, false, bad
	}
	return order, trailing, nil
}

func shortened(name string) string {
	name = strings.TrimSpace(name)
	if signs := []rune(name); len(signs) > maxToldName {
		name = string(signs[:maxToldName]) + "…"
	}
	return fmt.Sprintf("%q", name)
}

// foldName answers what counts of a column's name: its letters and digits, without case, accents, and what is in brackets; lean also without articles and
// prepositions. The spelling of the header drifts from one year to the next.
func foldName(name string) (full, lean string) {
	depth := 0
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '(':
			depth++
			return ' '
		case r == ')' && depth > 0:
			depth--
			return ' '
		case depth > 0 || unicode.Is(unicode.Mn, r): // an accent
			return -1
		}
		if r = unicode.ToLower(r); r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return ' ' // whatever apostrophe, space or line it is
	}, norm.NFKD.String(name))
	words := strings.Fields(plain)
	full = strings.Join(words, "")
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{"d", "de", "des", "du", "l", "la", "le", "les"}, w)
	})
	return full, strings.Join(words, "")
}

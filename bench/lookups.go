package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// lookup is a row of the part ldap: clients that ask one kind of question.
type lookup struct {
	name    string
	clients int
	depth   int  // requests that are sent together and waited for
	flying  int  // requests on their way at any time, when it is not that
	whole   bool // each connects, binds, asks and unbinds
	asked   []question
}

// question is requests that are sent together.
type question struct {
	text    string // the filter of the first
	request []byte
}

// How many different questions of a kind there are: fewer of those that a server needs long for.
const (
	manyQuestions = 512
	fewQuestions  = 64
	pipelined     = 16
	firstID       = 2 // of a question's first request; those of the others follow
)

// hospitalAttributes are what a hospital's client asks for of a person.
var hospitalAttributes = []string{"givenName", "sn", "mail", "IdentifiantPP", "TypeIdentifiantPP", "profession", "l"}

// outlookAttributes are what Outlook asks for.
var outlookAttributes = strings.Fields(`cn commonName mail roleOccupant display-name displayname sn surname co organizationName o givenName
	legacyExchangeDN objectClass uid mailNickname title company physicalDeliveryOfficeName telephoneNumber`)

// thunderbirdAttributes are what Thunderbird asks for.
var thunderbirdAttributes = strings.Fields(`givenName sn surname cn commonname mozillaNickname xmozillanickname mail mozillaSecondEmail
	xmozillasecondemail telephoneNumber homePhone facsimileTelephoneNumber fax pager pagerphone mobile cellphone carphone street streetaddress
	postOfficeBox mozillaHomeStreet mozillaWorkStreet2 mozillaHomeStreet2 l locality mozillaHomeLocalityName st region mozillaHomeState postalCode
	zip mozillaHomePostalCode c countryname mozillaHomeCountryName title ou department departmentnumber orgunit o company workurl
	mozillaWorkUrl labeledURI homeurl mozillaHomeUrl birthyear birthmonth birthday nsAIMid custom1 custom2 custom3 custom4 mozillaCustom1
	mozillaCustom2 mozillaCustom3 mozillaCustom4 description notes modifytimestamp objectClass`)

// asker makes questions of values that are in the directory.
type asker struct {
	rng    *rand.Rand
	all    [][]entry.Attribute
	people []int  // that have all of what a hospital's form asks for
	names  string // every common name in lower case
}

func newAsker(all [][]entry.Attribute) *asker {
	a := &asker{rng: rand.New(rand.NewPCG(1, 2)), all: all}
	var names strings.Builder
	for i, attributes := range all {
		e := entry.Entry{Attributes: attributes}
		names.WriteString(strings.ToLower(e.Values(schema.CN)[0]) + "\n")
		if len(e.Values(schema.IdentifiantPP)) > 0 && len(e.Values(schema.L)) > 0 && len(e.Values(schema.Profession)) > 0 && len(e.Values(schema.GivenName)) > 0 {
			a.people = append(a.people, i)
		}
	}
	a.names = names.String()
	return a
}

// person picks somebody.
func (a *asker) person() func(schema.Attribute) string {
	e := entry.Entry{Attributes: a.all[a.people[a.rng.IntN(len(a.people))]]}
	return func(t schema.Attribute) string { return ldap.EscapeFilter(e.Values(t)[0]) }
}

// letters picks so many letters from the inside of a name, without accents: slapd's are others with one.
func (a *asker) letters(from schema.Attribute, n int) string {
	for {
		name := strings.ToLower(a.person()(from))
		if len(name) < n {
			continue
		}
		at := a.rng.IntN(len(name) - n + 1)
		if part := name[at : at+n]; plainLetters(part) {
			return part
		}
	}
}

func plainLetters(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < 'a' || r > 'z' })
}

// nobody makes up letters that are in no name, though they are three and three of names.
func (a *asker) nobody() string {
	for {
		if text := a.letters(schema.SN, 3) + a.letters(schema.SN, 3); !strings.Contains(a.names, text) {
			return text
		}
	}
}

// start picks the first letters of a name.
func (a *asker) start(n int) string {
	for {
		name := strings.ToLower(a.person()(schema.CN))
		if len(name) >= n && plainLetters(name[:n]) {
			return name[:n]
		}
	}
}

// lookups are all rows.
func (a *asker) lookups() ([]lookup, error) {
	mail := func() string { return "(mail=" + a.person()(schema.Mail) + ")" }
	contains := func(n int) func() string {
		return func() string { return "(cn=*" + a.letters(schema.CN, n) + "*)" }
	}
	thunderbird := func() string {
		text := a.letters(schema.SN, 3+a.rng.IntN(4))
		return fmt.Sprintf("(|(mail=*%[1]s*)(cn=*%[1]s*)(givenName=*%[1]s*)(sn=*%[1]s*))", text)
	}
	hospital := func() string {
		of := a.person()
		return fmt.Sprintf("(&(TypeBAL=PER)(sn=%s)(givenName=%s)(l=%s)(profession=%s))", of(schema.SN), of(schema.GivenName), of(schema.L), of(schema.Profession))
	}
	var rows []lookup
	for _, r := range []struct {
		lookup
		filter     func() string
		different  int
		limit      int
		attributes []string
	}{
		{lookup{name: "mail, equal", clients: 8}, mail, manyQuestions, 0, hospitalAttributes},
		{lookup{name: "mail, equal, 16 on their way", clients: 8, flying: pipelined}, mail, manyQuestions, 0, hospitalAttributes},
		{lookup{name: "mail, equal, 16 at a time", clients: 8, depth: pipelined}, mail, manyQuestions, 0, hospitalAttributes},
		{lookup{name: "mail, equal, 512 clients", clients: 512}, mail, manyQuestions, 0, hospitalAttributes},
		{
			lookup{name: "national number of a person", clients: 8},
			func() string { return "(IdentifiantPP=" + a.person()(schema.IdentifiantPP) + ")" }, manyQuestions, 0, hospitalAttributes,
		},
		{lookup{name: "beginning of a name, 50", clients: 8}, func() string { return "(cn=" + a.start(4) + "*)" }, fewQuestions, 50, outlookAttributes},
		{lookup{name: "3 letters in a name, 100", clients: 8}, contains(3), fewQuestions, 100, outlookAttributes},
		{lookup{name: "5 letters in a name, 100", clients: 8}, contains(5), fewQuestions, 100, outlookAttributes},
		{lookup{name: "letters in no name", clients: 8}, func() string { return "(cn=*" + a.nobody() + "*)" }, fewQuestions, 100, outlookAttributes},
		{lookup{name: "Thunderbird, OR of four, 100", clients: 8}, thunderbird, fewQuestions, 100, thunderbirdAttributes},
		{lookup{name: "hospital's form, AND of five", clients: 8}, hospital, manyQuestions, 0, hospitalAttributes},
		{lookup{name: "connect, bind, mail, unbind", clients: 8, whole: true}, mail, manyQuestions, 0, hospitalAttributes},
	} {
		r.depth = max(r.depth, 1)
		for n := range r.different {
			var q question
			for i := range r.depth {
				text := r.filter()
				request, err := searchRequest(int32(firstID+n*r.depth+i), text, r.limit, r.attributes)
				if err != nil {
					return nil, err
				}
				if i == 0 {
					q.text = text
				}
				q.request = append(q.request, request...)
			}
			r.asked = append(r.asked, q)
		}
		rows = append(rows, r.lookup)
	}
	return rows, nil
}

// wanted are the rows that -only leaves.
func (b *bench) wanted(rows []lookup) []lookup {
	return slices.DeleteFunc(rows, func(r lookup) bool { return b.only != nil && !b.only.MatchString(r.name) })
}

package schema

import (
	"fmt"
	"strings"
)

// rules are the names by which the ways of comparing are announced: equality, ordering, substrings (RFC 4517, 4.2).
var rules = map[Matching][3]string{
	CaseIgnore: {"caseIgnoreMatch", "", "caseIgnoreSubstringsMatch"},
	Telephone:  {"telephoneNumberMatch", "", "telephoneNumberSubstringsMatch"},
	Identifier: {"caseIgnoreMatch", "", "caseIgnoreSubstringsMatch"},
	OID:        {"objectIdentifierMatch", "", ""},
	Boolean:    {"booleanMatch", "", ""},
	Time:       {"generalizedTimeMatch", "generalizedTimeOrderingMatch", ""},
	UUID:       {"uuidMatch", "", ""},
	DN:         {"distinguishedNameMatch", "", ""},
}

// ruleOIDs are the numbers of matching rules, and the syntax of their assertions.
var ruleOIDs = []struct{ name, oid, syntax string }{
	{"objectIdentifierMatch", "2.5.13.0", oidSyntax},
	{"distinguishedNameMatch", "2.5.13.1", dnSyntax},
	{"caseIgnoreMatch", "2.5.13.2", directoryString},
	{"caseIgnoreSubstringsMatch", "2.5.13.4", "1.3.6.1.4.1.1466.115.121.1.58"},
	{"caseExactMatch", "2.5.13.5", directoryString},
	{"booleanMatch", "2.5.13.13", booleanSyntax},
	{"telephoneNumberMatch", "2.5.13.20", telephoneSyntax},
	{"telephoneNumberSubstringsMatch", "2.5.13.21", "1.3.6.1.4.1.1466.115.121.1.58"},
	{"generalizedTimeMatch", "2.5.13.27", timeSyntax},
	{"generalizedTimeOrderingMatch", "2.5.13.28", timeSyntax},
	{"caseExactIA5Match", "1.3.6.1.4.1.1466.109.114.1", ia5String},
	{"caseIgnoreIA5Match", "1.3.6.1.4.1.1466.109.114.2", ia5String},
	{"caseIgnoreIA5SubstringsMatch", "1.3.6.1.4.1.1466.109.114.3", "1.3.6.1.4.1.1466.115.121.1.58"},
	{"uuidMatch", "1.3.6.1.1.16.2", uuidSyntax},
}

// Rule is a matching rule that an extensible filter names.
type Rule uint8

// The rules that extensible filters may name.
const (
	NoRule      Rule = iota // none is named: the attribute's own
	UnknownRule             // one that nobody here knows
	Folded                  // one that compares as the attribute does
	Exact                   // caseExactMatch, caseExactIA5Match: letter for letter
)

// LookupRule finds a rule by its name or number, for an attribute: a rule of another syntax is none for it.
func LookupRule(a Attribute, name []byte) Rule {
	folded := strings.ToLower(string(name))
	for _, r := range ruleOIDs {
		if folded != strings.ToLower(r.name) && folded != r.oid {
			continue
		}
		ia5 := strings.HasPrefix(table[a].syntax, ia5String)
		switch {
		case r.name == table[a].rule(0):
			return Folded
		case !a.Substrings(): // no text
		case r.name == "caseExactIA5Match" && ia5, r.name == "caseExactMatch" && !ia5:
			return Exact
		case r.name == "caseIgnoreMatch" && !ia5:
			return Folded
		}
	}
	return UnknownRule
}

// rule is the name of its equality (0), ordering (1) or substrings rule (2), or empty.
func (d *definition) rule(i int) string {
	name := rules[d.matching][i]
	if strings.HasPrefix(d.syntax, ia5String) {
		name = strings.Replace(name, "caseIgnore", "caseIgnoreIA5", 1)
	}
	return name
}

// describe is the definition as RFC 4512, 4.1.2 writes it.
func (d *definition) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "( %s NAME %s", d.oid, quoteNames(d.names))
	if d.desc != "" {
		fmt.Fprintf(&b, " DESC '%s'", d.desc)
	}
	if d.superior != "" {
		fmt.Fprintf(&b, " SUP %s", d.superior)
	} else {
		for i, word := range []string{"EQUALITY", "ORDERING", "SUBSTR"} {
			if name := d.rule(i); name != "" {
				fmt.Fprintf(&b, " %s %s", word, name)
			}
		}
		fmt.Fprintf(&b, " SYNTAX %s", d.syntax)
	}
	if d.single {
		b.WriteString(" SINGLE-VALUE")
	}
	if d.operational {
		b.WriteString(" NO-USER-MODIFICATION USAGE " + d.usage())
	}
	b.WriteString(" )")
	return b.String()
}

// usage says whose the operational attribute is: those of the root DSE are the server's own.
func (d *definition) usage() string {
	if strings.HasPrefix(d.oid, "1.3.6.1.4.1.1466.101.120.") || strings.HasPrefix(d.oid, "1.3.6.1.4.1.4203.") || d.names[0] == "vendorName" {
		return "dSAOperation"
	}
	return "directoryOperation"
}

func quoteNames(names []string) string {
	if len(names) == 1 {
		return "'" + names[0] + "'"
	}
	return "( '" + strings.Join(names, "' '") + "' )"
}

// describe is the definition as RFC 4512, 4.1.1 writes it.
func (c *class) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "( %s NAME '%s'", c.oid, c.name)
	if c.desc != "" {
		fmt.Fprintf(&b, " DESC '%s'", c.desc)
	}
	if c.sup != "" {
		fmt.Fprintf(&b, " SUP %s", c.sup)
	}
	b.WriteString(" " + c.kind)
	for _, list := range []struct {
		word string
		of   []Attribute
	}{{"MUST", c.must}, {"MAY", c.may}} {
		if len(list.of) > 0 {
			fmt.Fprintf(&b, " %s %s", list.word, joinNames(list.of))
		}
	}
	b.WriteString(" )")
	return b.String()
}

func joinNames(attributes []Attribute) string {
	names := make([]string, len(attributes))
	for i, a := range attributes {
		names[i] = a.Name()
	}
	if len(names) == 1 {
		return names[0]
	}
	return "( " + strings.Join(names, " $ ") + " )"
}

// nameDefinition is the attribute from which those of RFC 4519 take their rules.
const nameDefinition = "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX " + directoryString + " )"

// DescribeAttributes answers the values of attributeTypes.
func DescribeAttributes() []string {
	all := []string{nameDefinition}
	for i := range table {
		all = append(all, table[i].describe())
	}
	return all
}

// DescribeClasses answers the values of objectClasses.
func DescribeClasses() []string {
	all := make([]string, len(classes))
	for i := range classes {
		all[i] = classes[i].describe()
	}
	return all
}

// DescribeRules answers the values of matchingRules.
func DescribeRules() []string {
	all := make([]string, len(ruleOIDs))
	for i, r := range ruleOIDs {
		all[i] = fmt.Sprintf("( %s NAME '%s' SYNTAX %s )", r.oid, r.name, r.syntax)
	}
	return all
}

// DescribeSyntaxes answers the values of ldapSyntaxes.
func DescribeSyntaxes() []string {
	var all []string
	for _, s := range []struct{ oid, desc string }{
		{booleanSyntax, "Boolean"},
		{dnSyntax, "DN"},
		{directoryString, "Directory String"},
		{timeSyntax, "Generalized Time"},
		{ia5String, "IA5 String"},
		{integerSyntax, "INTEGER"},
		{oidSyntax, "OID"},
		{telephoneSyntax, "Telephone Number"},
		{"1.3.6.1.4.1.1466.115.121.1.58", "Substring Assertion"},
		{uuidSyntax, "UUID"},
	} {
		all = append(all, fmt.Sprintf("( %s DESC '%s' )", s.oid, s.desc))
	}
	return all
}

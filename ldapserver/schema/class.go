package schema

import "strings"

// class is an object class.
type class struct {
	name, oid, sup, kind string
	must, may            []Attribute
	desc                 string
}

// classes are those of the entries: the standard ones as far as the directory has their attributes, and ours.
var classes = []class{
	{name: "top", oid: "2.5.6.0", kind: "ABSTRACT", must: []Attribute{ObjectClass}},
	{name: "person", oid: "2.5.6.6", sup: "top", kind: "STRUCTURAL", must: []Attribute{SN, CN}, may: []Attribute{TelephoneNumber, Description}},
	{
		name: "organizationalPerson", oid: "2.5.6.7", sup: "person", kind: "STRUCTURAL",
		may: []Attribute{Title, TelephoneNumber, Street, PostalCode, OU, ST, L},
	},
	{
		name: "inetOrgPerson", oid: "2.16.840.1.113730.3.2.2", sup: "organizationalPerson", kind: "STRUCTURAL",
		may: []Attribute{DisplayName, GivenName, Mail, O},
	},
	{
		name: MailboxClass, oid: arc + ".2.1", sup: "top", kind: "AUXILIARY", desc: "a mailbox of the trust space",
		must: []Attribute{Mail, TypeBAL},
		may: []Attribute{
			PersonalTitle, TypeIdentifiantPP, IdentifiantPP, Profession, SavoirFaire, LibelleSavoirFaire, TypeIdentifiantPM, IdentifiantPM, CO,
		},
	},
	{name: "organizationalUnit", oid: "2.5.6.5", sup: "top", kind: "STRUCTURAL", must: []Attribute{OU}, may: []Attribute{Description, L, Street, ST, PostalCode, TelephoneNumber}},
	{name: "organization", oid: "2.5.6.4", sup: "top", kind: "STRUCTURAL", must: []Attribute{O}, may: []Attribute{Description, L, Street, ST, PostalCode, TelephoneNumber}},
	{name: "dcObject", oid: "1.3.6.1.4.1.1466.344", sup: "top", kind: "AUXILIARY", must: []Attribute{DC}},
	{name: "subschema", oid: "2.5.20.1", sup: "top", kind: "AUXILIARY", may: []Attribute{ObjectClasses, AttributeTypes, MatchingRules}},
	{name: "subentry", oid: "2.5.17.0", sup: "top", kind: "STRUCTURAL", must: []Attribute{CN}},
}

// MailboxClass is the auxiliary class of all mailboxes.
const MailboxClass = "mssanteMailbox"

// MailboxClasses are the object classes of each mailbox, a person's or a service's: address books ask for them alike.
func MailboxClasses() []string {
	return []string{"top", "person", "organizationalPerson", "inetOrgPerson", MailboxClass}
}

// byClass finds the folded name of a class by its folded name or number.
var byClass = func() map[string]string {
	names := make(map[string]string, 2*len(classes))
	for _, c := range classes {
		names[strings.ToLower(c.name)] = strings.ToLower(c.name)
		names[c.oid] = strings.ToLower(c.name)
	}
	return names
}()

// foldOID folds the name or number of a class. One that is not known is none: an assertion of it is Undefined.
func foldOID(dst, value []byte) ([]byte, bool) {
	folded := FoldText(nil, value, Whole)
	name, ok := byClass[string(folded)]
	if !ok {
		return dst, false
	}
	return append(dst, name...), true
}

// Package schema says which attributes and object classes the directory has, how their values are compared, and how a client
// is told so. It is a table: everything that knows an attribute by name knows it from here.
//
// Values are compared folded (Fold): prepared as RFC 4518 says, and beyond it freed of accents and compatibility forms, so that somebody
// who types without accents finds everybody, and the other way round.
package schema

import (
	"maps"
	"strings"
)

// Attribute is an attribute type of the directory.
type Attribute uint8

// The attributes. User attributes come first; their order is that of an answer.
const (
	ObjectClass Attribute = iota
	CN
	DisplayName
	SN
	GivenName
	PersonalTitle
	Mail
	TypeBAL
	TypeIdentifiantPP
	IdentifiantPP
	Profession
	Title
	SavoirFaire
	LibelleSavoirFaire
	O
	OU
	Description
	TypeIdentifiantPM
	IdentifiantPM
	Street
	PostalCode
	L
	ST
	CO
	TelephoneNumber
	DC
	// Those below are operational: answered only to those who name them or ask for "+".
	StructuralObjectClass
	EntryUUID
	CreateTimestamp // nobody has one; clients ask for it
	ModifyTimestamp
	HasSubordinates
	SubschemaSubentry
	// Those of the root DSE and of the subschema subentry.
	NamingContexts
	SupportedLDAPVersion
	SupportedControl
	SupportedExtension
	SupportedFeatures
	SupportedSASLMechanisms
	VendorName
	AttributeTypes
	ObjectClasses
	MatchingRules
	LDAPSyntaxes

	Count // how many there are
)

// None is no attribute.
const None = Attribute(0xff)

// Matching is how the values of an attribute are compared.
type Matching uint8

// The ways of comparing.
const (
	CaseIgnore Matching = iota // caseIgnoreMatch, accents folded
	Telephone                  // telephoneNumberMatch
	Identifier                 // a national number, with or without the digit that says of which kind it is
	OID                        // objectIdentifierMatch, by name or number
	Boolean                    // booleanMatch
	Time                       // generalizedTimeMatch
	UUID                       // UUIDMatch
	DN                         // distinguishedNameMatch
	Opaque                     // no filter matches it
)

// definition is a line of the table.
type definition struct {
	names       []string // the first is the one that answers use
	oid         string
	matching    Matching
	desc        string
	superior    string // SUP, when the definition takes its rules from another
	syntax      string // with its length where the standard gives one
	single      bool
	operational bool
}

// arc is the OID under which our own definitions stand: that of a UUID (ITU-T X.667), which needs no registration.
const arc = "2.25.113445008284546340359034372832235030030"

// Syntaxes (RFC 4517, 3.3).
const (
	directoryString = "1.3.6.1.4.1.1466.115.121.1.15"
	ia5String       = "1.3.6.1.4.1.1466.115.121.1.26"
	telephoneSyntax = "1.3.6.1.4.1.1466.115.121.1.50"
	oidSyntax       = "1.3.6.1.4.1.1466.115.121.1.38"
	booleanSyntax   = "1.3.6.1.4.1.1466.115.121.1.7"
	timeSyntax      = "1.3.6.1.4.1.1466.115.121.1.24"
	dnSyntax        = "1.3.6.1.4.1.1466.115.121.1.12"
	integerSyntax   = "1.3.6.1.4.1.1466.115.121.1.27"
	uuidSyntax      = "1.3.6.1.1.16.1"
)

// table holds the definitions: the standard ones as RFC 4512, 4519, 4524, 4530 and 2798 have them, ours below.
var table = [Count]definition{
	ObjectClass:   {names: []string{"objectClass"}, oid: "2.5.4.0", matching: OID, syntax: oidSyntax},
	CN:            {names: []string{"cn", "commonName"}, oid: "2.5.4.3", superior: "name", syntax: directoryString},
	DisplayName:   {names: []string{"displayName"}, oid: "2.16.840.1.113730.3.1.241", syntax: directoryString, single: true},
	SN:            {names: []string{"sn", "surname"}, oid: "2.5.4.4", superior: "name", syntax: directoryString},
	GivenName:     {names: []string{"givenName", "gn"}, oid: "2.5.4.42", superior: "name", syntax: directoryString},
	PersonalTitle: {names: []string{"personalTitle"}, oid: "0.9.2342.19200300.100.1.40", syntax: directoryString + "{256}"},
	Mail:          {names: []string{"mail", "rfc822Mailbox"}, oid: "0.9.2342.19200300.100.1.3", syntax: ia5String + "{256}"},
	TypeBAL: {
		names: []string{"TypeBAL"}, oid: arc + ".1.1", syntax: directoryString, single: true,
		desc: "kind of mailbox: PER, ORG, APP, CAB, or MED for a person without a national number",
	},
	TypeIdentifiantPP: {
		names: []string{"TypeIdentifiantPP"}, oid: arc + ".1.2", syntax: directoryString, single: true,
		desc: "kind of national number of a person: 8 for RPPS, 0 for ADELI",
	},
	IdentifiantPP: {
		names: []string{"IdentifiantPP"}, oid: arc + ".1.3", matching: Identifier, syntax: directoryString, single: true,
		desc: "national number of a person, RPPS or ADELI",
	},
	Profession: {
		names: []string{"profession"}, oid: arc + ".1.4", syntax: directoryString, desc: "code of the profession",
	},
	Title: {names: []string{"title"}, oid: "2.5.4.12", superior: "name", syntax: directoryString},
	SavoirFaire: {
		names: []string{"savoirFaire"}, oid: arc + ".1.5", syntax: directoryString, desc: "code of a speciality",
	},
	LibelleSavoirFaire: {
		names: []string{"libelleSavoirFaire"}, oid: arc + ".1.6", syntax: directoryString, desc: "name of a speciality",
	},
	O:           {names: []string{"o", "organizationName"}, oid: "2.5.4.10", superior: "name", syntax: directoryString},
	OU:          {names: []string{"ou", "organizationalUnitName"}, oid: "2.5.4.11", superior: "name", syntax: directoryString},
	Description: {names: []string{"description"}, oid: "2.5.4.13", syntax: directoryString + "{1024}"},
	TypeIdentifiantPM: {
		names: []string{"TypeIdentifiantPM"}, oid: arc + ".1.7", syntax: directoryString,
		desc: "kind of national number of a structure: FINESS, SIRET or SIREN",
	},
	IdentifiantPM: {
		names: []string{"IdentifiantPM"}, oid: arc + ".1.8", matching: Identifier, syntax: directoryString,
		desc: "national number of a structure",
	},
	Street:          {names: []string{"street", "streetAddress"}, oid: "2.5.4.9", syntax: directoryString + "{128}"},
	PostalCode:      {names: []string{"postalCode"}, oid: "2.5.4.17", syntax: directoryString + "{40}"},
	L:               {names: []string{"l", "localityName"}, oid: "2.5.4.7", superior: "name", syntax: directoryString},
	ST:              {names: []string{"st", "stateOrProvinceName"}, oid: "2.5.4.8", superior: "name", syntax: directoryString},
	CO:              {names: []string{"co", "friendlyCountryName"}, oid: "0.9.2342.19200300.100.1.43", syntax: directoryString},
	TelephoneNumber: {names: []string{"telephoneNumber"}, oid: "2.5.4.20", matching: Telephone, syntax: telephoneSyntax + "{32}"},
	DC: {
		names: []string{"dc", "domainComponent"}, oid: "0.9.2342.19200300.100.1.25", syntax: ia5String, single: true,
	},

	StructuralObjectClass: {
		names: []string{"structuralObjectClass"}, oid: "2.5.21.9", matching: OID, syntax: oidSyntax, single: true, operational: true,
	},
	EntryUUID: {names: []string{"entryUUID"}, oid: "1.3.6.1.1.16.4", matching: UUID, syntax: uuidSyntax, single: true, operational: true},
	CreateTimestamp: {
		names: []string{"createTimestamp"}, oid: "2.5.18.1", matching: Time, syntax: timeSyntax, single: true, operational: true,
	},
	ModifyTimestamp: {
		names: []string{"modifyTimestamp"}, oid: "2.5.18.2", matching: Time, syntax: timeSyntax, single: true, operational: true,
	},
	HasSubordinates: {
		names: []string{"hasSubordinates"}, oid: "2.5.18.9", matching: Boolean, syntax: booleanSyntax, single: true, operational: true,
	},
	SubschemaSubentry: {
		names: []string{"subschemaSubentry"}, oid: "2.5.18.10", matching: DN, syntax: dnSyntax, single: true, operational: true,
	},

	NamingContexts: {names: []string{"namingContexts"}, oid: "1.3.6.1.4.1.1466.101.120.5", matching: Opaque, syntax: dnSyntax, operational: true},
	SupportedLDAPVersion: {
		names: []string{"supportedLDAPVersion"}, oid: "1.3.6.1.4.1.1466.101.120.15", matching: Opaque, syntax: integerSyntax, operational: true,
	},
	SupportedControl: {
		names: []string{"supportedControl"}, oid: "1.3.6.1.4.1.1466.101.120.13", matching: Opaque, syntax: oidSyntax, operational: true,
	},
	SupportedExtension: {
		names: []string{"supportedExtension"}, oid: "1.3.6.1.4.1.1466.101.120.7", matching: Opaque, syntax: oidSyntax, operational: true,
	},
	SupportedFeatures: {
		names: []string{"supportedFeatures"}, oid: "1.3.6.1.4.1.4203.1.3.5", matching: Opaque, syntax: oidSyntax, operational: true,
	},
	SupportedSASLMechanisms: {
		names: []string{"supportedSASLMechanisms"}, oid: "1.3.6.1.4.1.1466.101.120.14", matching: Opaque, syntax: directoryString, operational: true,
	},
	VendorName: {names: []string{"vendorName"}, oid: "1.3.6.1.1.4", matching: Opaque, syntax: directoryString, single: true, operational: true},
	AttributeTypes: {
		names: []string{"attributeTypes"}, oid: "2.5.21.5", matching: Opaque, syntax: "1.3.6.1.4.1.1466.115.121.1.3", operational: true,
	},
	ObjectClasses: {
		names: []string{"objectClasses"}, oid: "2.5.21.6", matching: Opaque, syntax: "1.3.6.1.4.1.1466.115.121.1.37", operational: true,
	},
	MatchingRules: {
		names: []string{"matchingRules"}, oid: "2.5.21.4", matching: Opaque, syntax: "1.3.6.1.4.1.1466.115.121.1.30", operational: true,
	},
	LDAPSyntaxes: {
		names: []string{"ldapSyntaxes"}, oid: "1.3.6.1.4.1.1466.101.120.16", matching: Opaque, syntax: "1.3.6.1.4.1.1466.115.121.1.54", operational: true,
	},
}

// clientNames are what clients call attributes beside their own names: Netscape's, which Thunderbird still asks for.
var clientNames = map[string]Attribute{
	"mozillanickname": None, "mozillasecondemail": None, "xmozillanickname": None, "xmozillasecondemail": None,
	"company": O, "companyname": O, "department": OU, "orgunit": OU, "zip": PostalCode, "postaladdress": Street,
	"locality": L, "region": ST, "countryname": CO, "phone": TelephoneNumber, "fullname": CN,
}

// byName finds an attribute by its folded name or number.
var byName = func() map[string]Attribute {
	names := make(map[string]Attribute, 3*Count)
	maps.Copy(names, clientNames)
	for a := range Count {
		names[table[a].oid] = a
		for _, name := range table[a].names {
			names[strings.ToLower(name)] = a
		}
	}
	return names
}()

// maxName is the longest description that can be an attribute's.
const maxName = 64

// Lookup finds the attribute that a description names, by any of its names or its number, in any case; options such as ";binary"
// or ";lang-fr" make it another attribute (RFC 4512, 2.5), which nobody has. It answers None for what is not known.
func Lookup(description []byte) Attribute {
	var folded [maxName]byte
	if len(description) > len(folded) {
		return None
	}
	for i, c := range description {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded[i] = c
	}
	if a, ok := byName[string(folded[:len(description)])]; ok { // the compiler makes no copy
		return a
	}
	return None
}

// Name is the name that answers use.
func (a Attribute) Name() string { return table[a].names[0] }

// Operational tells whether the attribute is answered only to those who ask for it.
func (a Attribute) Operational() bool { return table[a].operational }

// Single tells whether an entry has one value of it at most.
func (a Attribute) Single() bool { return table[a].single }

// Matching is how its values are compared.
func (a Attribute) Matching() Matching { return table[a].matching }

// Ordered tells whether filters may ask for values before or after one (RFC 4511, 4.5.1.7.3): only where the standard has an ordering rule.
func (a Attribute) Ordered() bool {
	return table[a].matching == Time
}

// Substrings tells whether filters may ask for parts of a value.
func (a Attribute) Substrings() bool {
	switch table[a].matching {
	case CaseIgnore, Telephone, Identifier:
		return true
	default:
		return false
	}
}

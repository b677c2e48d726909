package ldapserver_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/wire"
)

// items encodes a filter for values: filters of one item each.
func items(t *testing.T, texts ...string) string {
	t.Helper()
	var list []byte
	for _, text := range texts {
		packet, err := ldap.CompileFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, packet.Bytes()...)
	}
	return string(ber.Append(nil, ber.Sequence, list))
}

// jensen is somebody with several values, as the entry of RFC 3876, 4 has them: rows of one mailbox.
func jensen() (rows []map[extraction.Column]string) {
	for _, place := range [][3]string{{"MONTREUIL", "FINESS", "310000005"}, {"TOULON", "SIREN", "732829320"}, {"Montélimar", "FINESS", "310000013"}} {
		row := valjean()
		row[extraction.PostalLine], row[extraction.PostalCode], row[extraction.StructureIDType], row[extraction.StructureID] = place[0], "", place[1], place[2]
		rows = append(rows, row)
	}
	return rows
}

// TestMatchedValues: the examples of RFC 3876, 4 in our attributes, and what its section 3 says of each case.
func TestMatchedValues(t *testing.T) {
	f := start(t, nil)
	f.national(0+1, jensen()...)
	c := f.as("claire.durand")
	for _, test := range []struct {
		why        string
		attributes []string
		typesOnly  bool
		items      []string
		want       map[string][]string
	}{
		{"one value of one attribute", []string{"l"}, false, []string{"(l=*montreuil)"}, map[string][]string{"l": {"MONTREUIL"}}},
		{
			"all values of one, some of another, none of a third: it is there without",
			[]string{"cn", "l", "IdentifiantPM"},
			false,
			[]string{"(cn=*)", "(l=mont*)"},
			map[string][]string{"cn": {"Jean VALJEAN"}, "l": {"MONTREUIL", "Montélimar"}, "IdentifiantPM": {}},
		},
		{
			"several items of one attribute",
			[]string{"l", "TypeIdentifiantPM"},
			false,
			[]string{"(l=toulon)", "(l=*elim*)", "(l~=TOULON)", "(TypeIdentifiantPM:caseIgnoreMatch:=siren)"},
			map[string][]string{"l": {"Montélimar", "TOULON"}, "TypeIdentifiantPM": {"SIREN"}},
		},
		{"another name of the attribute, another form of the value", []string{"localityName", "IdentifiantPM"}, false, []string{"(localityName=MONTELIMAR)", "(IdentifiantPM=1310000005)"}, map[string][]string{"l": {"Montélimar"}, "IdentifiantPM": {"310000005"}}},
		{"exactly", []string{"l"}, false, []string{"(l:caseExactMatch:=Toulon)"}, map[string][]string{"l": {}}},
		{"an item about what nobody can judge", []string{"l"}, false, []string{"(nosuch=*)", "(l>=a)", "(:caseIgnoreMatch:=toulon)", "(l=\\ff)", "(l=**)"}, map[string][]string{"l": {}}},
		{"no item", []string{"l"}, false, nil, map[string][]string{"l": {}}},
		{"types alone: the control changes nothing", []string{"l", "sn"}, true, []string{"(sn=x)"}, map[string][]string{"l": {}, "sn": {}}},
		{"no attributes: the control changes nothing", []string{"1.1"}, false, []string{"(sn=x)"}, map[string][]string{}},
		{"operational attributes", []string{"+"}, false, []string{"(hasSubordinates=FALSE)", "(entryUUID=*)"}, map[string][]string{
			"hasSubordinates": {"FALSE"}, "structuralObjectClass": {}, "modifyTimestamp": {}, "subschemaSubentry": {}, "entryUUID": {""},
		}},
		{"object classes", []string{"objectClass"}, false, []string{"(objectClass=PERSON)", "(objectClass=2.5.6.7)"}, map[string][]string{"objectClass": {"organizationalPerson", "person"}}},
	} {
		for _, critical := range []bool{true, false} {
			r := request("(cn=jean valjean)", test.attributes...)
			r.TypesOnly = test.typesOnly
			r.Controls = []ldap.Control{ldap.NewControlString(wire.ControlValues, critical, items(t, test.items...))}
			result, err := c.Search(r)
			if err != nil || len(result.Entries) != 1 {
				t.Fatalf("%s: %v %v", test.why, result, err)
			}
			got := make(map[string][]string)
			for _, a := range result.Entries[0].Attributes {
				values := slices.Sorted(slices.Values(a.Values))
				if a.Name == "entryUUID" && len(values) == 1 {
					values = []string{""}
				}
				got[a.Name] = values
			}
			if !maps.EqualFunc(got, test.want, func(a, b []string) bool { return slices.Equal(a, b) }) {
				t.Errorf("%s: %q, want %q", test.why, got, test.want)
			}
		}
	}
}

// TestMatchedValuesElsewhere: the control is announced, holds for the root DSE, the containers, pages and sorted lists alike, and shows nothing that is hidden.
func TestMatchedValuesElsewhere(t *testing.T) {
	f := start(t, nil)
	f.national(30)
	c := f.as("claire.durand")
	values := func(texts ...string) ldap.Control {
		return ldap.NewControlString(wire.ControlValues, true, items(t, texts...))
	}
	root := ldap.NewSearchRequest("", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"supportedControl"}, nil)
	result, err := c.Search(root)
	if err != nil || !slices.Contains(result.Entries[0].GetAttributeValues("supportedControl"), wire.ControlValues) {
		t.Errorf("the root DSE announces %v (%v)", result, err)
	}
	root.Attributes, root.Controls = []string{"+"}, []ldap.Control{values("(supportedControl=*)")}
	if result, err = c.Search(root); err != nil || len(result.Entries[0].GetAttributeValues("supportedControl")) < 3 || len(result.Entries[0].GetAttributeValues("supportedLDAPVersion")) != 0 {
		t.Errorf("of the root DSE: %v (%v)", result, err)
	}
	for _, more := range [][]ldap.Control{nil, {ldap.NewControlPaging(20)}, {ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: "sn"}})}} {
		r := request("(|(ou=*)(sn=*))", "*")
		r.Controls = append(slices.Clone(more), values("(mail=*@sapins.mssante.fr)", "(ou=LOCAL)"))
		result, err := c.Search(r)
		if err != nil || len(result.Entries) < 15 {
			t.Fatalf("with %v: %v %v", more, result, err)
		}
		for _, e := range result.Entries {
			for _, a := range e.Attributes {
				for _, v := range a.Values {
					switch {
					case a.Name == "mail" && strings.HasSuffix(v, "@sapins.mssante.fr"), a.Name == "ou" && strings.EqualFold(v, "local"):
					default:
						t.Errorf("with %v: %s has %s: %s", more, e.DN, a.Name, v)
					}
				}
			}
			if strings.Contains(e.DN, "lea.petit") {
				t.Errorf("%s is hidden", e.DN)
			}
		}
	}
	r := request("(mail="+lea+")", "mail")
	r.Controls = []ldap.Control{values("(mail=" + lea + ")")}
	if result, err := c.Search(r); err != nil || len(result.Entries) != 0 {
		t.Errorf("of somebody hidden: %v (%v)", result, err)
	}
}

// TestMatchedValuesMalformed: a value that cannot be read is refused, critical or not.
func TestMatchedValuesMalformed(t *testing.T) {
	f := start(t, nil)
	c := f.as("claire.durand")
	good := items(t, "(cn=x)")
	many := make([]string, 257)
	for i := range many {
		many[i] = "(cn=x)"
	}
	for value, code := range map[string]uint16{
		"": ldap.LDAPResultProtocolError, "x": ldap.LDAPResultProtocolError, good + "x": ldap.LDAPResultProtocolError, good[:len(good)-1]: ldap.LDAPResultProtocolError,
		items(t, "(cn=x)")[2:]: ldap.LDAPResultProtocolError, items(t, "(&(cn=x))"): ldap.LDAPResultProtocolError, items(t, "(|(cn=x))"): ldap.LDAPResultProtocolError, items(t, "(!(cn=x))"): ldap.LDAPResultProtocolError,
		items(t, "(cn:dn:=x)"): ldap.LDAPResultProtocolError, "\x30\x02\x87\x00": 0, "\x30\x02\xa7\x00": ldap.LDAPResultProtocolError, "\x30\x02\x8a\x00": ldap.LDAPResultProtocolError,
		"\x30\x80\x87\x00\x00\x00": ldap.LDAPResultProtocolError, "\x31" + good[1:]: ldap.LDAPResultProtocolError, items(t, many...): ldap.LDAPResultAdminLimitExceeded, items(t, many[1:]...): 0,
	} {
		for _, critical := range []bool{true, false} {
			r := request("(sn=durand)", "sn")
			r.Controls = []ldap.Control{ldap.NewControlString(wire.ControlValues, critical, value)}
			if _, err := c.Search(r); codeOf(t, err) != code {
				t.Errorf("%.40q, critical %v: %v, want %d", value, critical, err, code)
			}
		}
	}
	r := request("(sn=durand)", "sn")
	r.Controls = []ldap.Control{ldap.NewControlString(wire.ControlValues, true, good), ldap.NewControlString(wire.ControlValues, true, good)}
	if _, err := c.Search(r); codeOf(t, err) != ldap.LDAPResultProtocolError {
		t.Errorf("twice: %v", err)
	}
}

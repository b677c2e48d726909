package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// hospital is a directory beside ours: two of its own people, one who is ours, and one who is ours and on the red list.
const hospital = `dn: dc=mssante,dc=fr
objectClass: organization
objectClass: dcObject
o: CHU
dc: mssante

dn: uid=1,dc=mssante,dc=fr
objectClass: inetOrgPerson
uid: 1
cn: Emile Zola
sn: Zola
mail: emile.zola@chu.exemple.fr
telephoneNumber: 01 02 03 04 05

dn: uid=2,dc=mssante,dc=fr
objectClass: inetOrgPerson
uid: 2
cn: Victor Durand
sn: Durand
mail: victor.durand@chu.exemple.fr

dn: uid=3,dc=mssante,dc=fr
objectClass: inetOrgPerson
uid: 3
cn: Claire Durand
sn: Durand
mail: Claire.Durand@sapins.mssante.fr

dn: uid=4,dc=mssante,dc=fr
objectClass: inetOrgPerson
uid: 4
cn: Lea Petit
sn: Petit
mail: lea.petit@clinique-des-sapins.fr
`

// TestUpstream: another directory's people are found along with ours, whoever stands in both is ours, and when it is down the rest is found and the result says so.
func TestUpstream(t *testing.T) {
	s := &slapd{origin: newOrigin(t)}
	s.load(hospital)
	d := startDemo(t)
	d.stop()
	d.edit("balorg.yaml", "language: fr", "language: fr\ndirectory:\n  upstreams:\n    chu: {url: \"ldap://"+s.address+"\", base: \""+directorySuffix+"\", insecure_no_tls: true, lifetime: 1ms, timeout: 2s}")
	d.serve()
	claire := d.bound("claire.durand@clinique-des-sapins.fr", "demo-claire.durand")
	const notGenerated = "(!(mail=*.exemple.mssante.fr))" // the demo's national directory
	find := func(c *ldap.Conn, filter string) (found []string, code uint16, text string) {
		t.Helper()
		result, err := c.Search(ldap.NewSearchRequest(directorySuffix, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(&"+filter+notGenerated+")", []string{"mail"}, nil))
		if e, ok := err.(*ldap.Error); ok { //nolint:errorlint // the library answers its own type
			code, text = e.ResultCode, e.Error()
		}
		for _, e := range result.Entries {
			found = append(found, e.DN)
		}
		slices.Sort(found)
		return found, code, text
	}
	const (
		victor = "mail=victor.durand@chu.exemple.fr,ou=chu," + directorySuffix
		ours   = "mail=claire.durand@sapins.mssante.fr,ou=local," + directorySuffix
		zola   = "mail=emile.zola@chu.exemple.fr,ou=chu," + directorySuffix
	)
	for filter, want := range map[string][]string{
		"(sn=durand)": {ours, victor}, "(cn=*zola*)": {zola}, "(telephoneNumber=0102030405)": {zola}, "(sn=petit)": nil, "(&(sn=durand)(!(givenName=*)))": {victor},
		"(|(mozillaNickname=x)(cn=emile z*))": {zola}, `(cn=\28\2a)`: nil,
	} {
		if got, code, text := find(claire, filter); !slices.Equal(got, want) || code != 0 {
			t.Errorf("%s: %v (%d %s), want %v", filter, got, code, text, want)
		}
	}
	urgences := d.bound("urgences@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr", "demo-claire.durand")
	if got, _, _ := find(urgences, "(cn=*zola*)"); len(got) > 0 {
		t.Errorf("a mailbox without MSSanté address reaches %v", got)
	}
	s.process.Process.Kill()
	got, code, text := find(claire, "(sn=durand)")
	if !slices.Equal(got, []string{ours}) || code != ldap.LDAPResultUnavailable || !strings.Contains(text, "chu cannot be asked") {
		t.Errorf("while it is down: %v (%d %s)", got, code, text)
	}
}

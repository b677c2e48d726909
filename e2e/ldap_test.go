package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// ldapTool runs one of OpenLDAP's tools and answers what it printed and its exit status, which is the result code.
func (d *daemon) ldapTool(name string, args ...string) (string, int) {
	d.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LDAPTLS_CACERT="+d.ca())
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		d.t.Fatalf("%v: see peers.sh", err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// credentials are the arguments by which somebody logs in with a tool, over TLS from the start.
func (d *daemon) credentials(login, local string) []string {
	return []string{"-x", "-H", "ldaps://" + d.listeners.LDAPS[0], "-D", login, "-w", "demo-" + local}
}

// TestOpenLDAPTools: what README shows, and the rest of OpenLDAP's tools.
func TestOpenLDAPTools(t *testing.T) {
	d := startDemo(t)
	noemie := d.credentials("noemie.martin@clinique-des-sapins.fr", "noemie.martin")
	claire := d.credentials("mail=claire.durand@sapins.mssante.fr,ou=local,"+directorySuffix, "claire.durand")
	urgences := d.credentials("urgences@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr", "claire.durand")
	search := func(as []string, args ...string) (string, int) {
		return d.ldapTool("ldapsearch", slices.Concat([]string{"-LLL", "-o", "ldif-wrap=no"}, as, []string{"-b", directorySuffix}, args)...)
	}
	for _, test := range []struct {
		as   []string
		args []string
		want string // in what is printed
		not  string
		code int
	}{
		{noemie, []string{"(sn=durand)", "mail"}, "mail: claire.durand@sapins.mssante.fr", "lea.petit", 0},
		{noemie, []string{"(&(TypeBAL=ORG)(mail=*sapins*))", "description"}, "dn: mail=secretariat@sapins.mssante.fr,ou=local," + directorySuffix, "lea.petit", 0},
		{noemie, []string{"(cn=*petit*)", "mail"}, "", "lea.petit", 0},
		{noemie, []string{"(sn=martin)", "mail"}, "mail: noemie.martin@clinique-des-sapins.fr", "", 0},
		{claire, []string{"(mail=noemie.martin@*)", "mail"}, "", "noemie", 0},
		{claire, []string{"-z", "2", "(mail=*)", "mail"}, "Size limit exceeded", "", 4},
		{claire, []string{"-E", "pr=2/noprompt", "(mail=*@sapins.mssante.fr)", "mail"}, "imagerie-auto", "", 0},
		{claire, []string{"-E", "!sss=-sn", "(mail=*@sapins.mssante.fr)", "sn"}, "sn: Moreau", "", 0},
		{claire, []string{"-E", "!mv=(objectClass=inetOrgPerson)", "(sn=moreau)", "objectClass", "sn"}, "objectClass: inetOrgPerson\n\n", "objectClass: person", 0},
		{claire, []string{"-E", "mv=((mail=*)(sn=moreau))", "(sn=moreau)", "cn", "sn", "mail"}, "sn: Moreau\nmail: sophie.moreau@", "cn: Sophie", 0},
		{claire, []string{"-E", "!1.2.3.4", "(mail=*)"}, "Critical extension is unavailable", "", 12},
		{claire, []string{"-s", "base", "(objectClass=*)", "+"}, "hasSubordinates: TRUE", "", 0},
		{urgences, []string{"-s", "one", "(objectClass=*)", "ou"}, "ou: local", "ou: national", 0},
	} {
		out, code := search(test.as, test.args...)
		if code != test.code || !strings.Contains(out, test.want) || (test.not != "" && strings.Contains(out, test.not)) {
			t.Errorf("ldapsearch %v: status %d\n%s", test.args, code, out)
		}
	}
	startTLS := []string{"-x", "-ZZ", "-H", "ldap://" + d.listeners.LDAP[0], "-D", "claire.durand@clinique-des-sapins.fr", "-w", "demo-claire.durand"}
	const me = "dn:mail=claire.durand@sapins.mssante.fr,ou=local," + directorySuffix
	if out, code := d.ldapTool("ldapwhoami", startTLS...); code != 0 || strings.TrimSpace(out) != me {
		t.Errorf("ldapwhoami: %d\n%s", code, out)
	}
	if out, code := d.ldapTool("ldapexop", append(slices.Clone(startTLS), "whoami")...); code != 0 || !strings.Contains(out, me) {
		t.Errorf("ldapexop whoami: %d\n%s", code, out)
	}
	if out, code := d.ldapTool("ldapexop", append(slices.Clone(startTLS), "cancel", "77")...); code == 0 || !strings.Contains(out, "(119)") {
		t.Errorf("ldapexop cancel: %d\n%s", code, out)
	}
	if out, code := d.ldapTool("ldapwhoami", slices.Concat([]string{"-x", "-H", "ldap://" + d.listeners.LDAP[0]}, startTLS[4:])...); code != 13 {
		t.Errorf("in the clear: %d\n%s", code, out)
	}
	if out, code := d.ldapTool("ldapwhoami", "-Q", "-H", "ldaps://"+d.listeners.LDAPS[0], "-Y", "PLAIN", "-U", "claire.durand@clinique-des-sapins.fr", "-w", "demo-claire.durand"); code != 0 || strings.TrimSpace(out) != me {
		t.Errorf("SASL PLAIN: %d\n%s", code, out)
	}
	for assertion, want := range map[string]int{"sn:DURAND": 6, "sn:x": 5, "nosuch:x": 17, "description:x": 16} {
		if out, code := d.ldapTool("ldapcompare", append(slices.Clone(claire), "mail=claire.durand@sapins.mssante.fr,ou=local,"+directorySuffix, assertion)...); code != want {
			t.Errorf("ldapcompare %s: %d, want %d\n%s", assertion, code, want, out)
		}
	}
	if out, code := d.ldapTool("ldapcompare", append(slices.Clone(claire), "mail=lea.petit@sapins.mssante.fr,ou=local,"+directorySuffix, "sn:petit")...); code != 32 {
		t.Errorf("ldapcompare of somebody hidden: %d\n%s", code, out)
	}
	if out, code := d.ldapTool("ldapdelete", append(slices.Clone(claire), "mail=claire.durand@sapins.mssante.fr,ou=local,"+directorySuffix)...); code != 53 {
		t.Errorf("ldapdelete: %d\n%s", code, out)
	}
	if out, err := d.balorg("audit list"); err != nil || !strings.Contains(out, `request="BIND SIMPLE"`) {
		t.Errorf("the trace: %v\n%s", err, out)
	}
}

// TestPythonLDAP3: a client that reads the schema first and believes it.
func TestPythonLDAP3(t *testing.T) {
	d := startDemo(t)
	out, err := exec.Command("/usr/bin/python3", filepath.Join("testdata", "ldap3_client.py"), "127.0.0.1", d.port(d.listeners.LDAPS[0]), d.port(d.listeners.LDAP[0]), d.ca(),
		"claire.durand@clinique-des-sapins.fr", "demo-claire.durand").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"found claire.durand@sapins.mssante.fr 10003456786", "whoami dn:mail=claire.durand@", "starttls dn:mail=claire.durand@"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestAddressBooks: the very queries of mail clients and of a hospital's software find people and services alike, and nobody who is hidden.
func TestAddressBooks(t *testing.T) {
	d := startDemo(t)
	c := d.bound("claire.durand@clinique-des-sapins.fr", "demo-claire.durand")
	thunderbird := []string{"cn", "displayName", "givenName", "sn", "mail", "mozillaNickname", "telephoneNumber", "o", "title", "objectClass"}
	outlook := []string{"cn", "commonName", "mail", "rfc822Mailbox", "display-name", "displayName", "sn", "surname", "co", "organizationName", "o", "givenName", "legacyExchangeDN", "objectClass", "uid", "mailNickname", "title", "company", "physicalDeliveryOfficeName", "telephoneNumber"}
	for _, test := range []struct {
		client, filter string
		attributes     []string
		want           []string // local parts
	}{
		{"Thunderbird, completion", "(|(mail=*dur*)(cn=*dur*)(givenName=*dur*)(sn=*dur*))", thunderbird, []string{"claire.durand"}},
		{"Thunderbird, completion of a service", "(|(mail=*secr*)(cn=*secr*)(givenName=*secr*)(sn=*secr*))", thunderbird, []string{"secretariat"}},
		{"Thunderbird, two words", "(|(cn=*claire*durand*)(mail=*claire*)(sn=*durand*))", thunderbird, []string{"claire.durand"}},
		{"Thunderbird, quick search", "(&(objectclass=*)(|(mail=*bern*)(cn=*bern*)(givenName=*bern*)(sn=*bern*)))", thunderbird, []string{"paul.bernard"}},
		{"Thunderbird, hidden", "(|(mail=*petit*)(cn=*petit*)(givenName=*petit*)(sn=*petit*))", thunderbird, nil},
		{"Outlook, names", "(&(mail=*)(|(mail=dur*)(cn=dur*)(sn=dur*)(givenName=dur*)))", outlook, []string{"claire.durand"}},
		{"Outlook, resolve", "(&(mail=*)(|(mail=claire durand*)(|(cn=claire durand*)(|(sn=claire durand*)(|(givenName=claire durand*)(displayName=claire durand*))))))", outlook, []string{"claire.durand"}},
		{"Apple Contacts", "(|(givenName=urg*)(sn=urg*)(cn=urg*)(mail=urg*)(displayName=urg*))", []string{"givenName", "sn", "cn", "mail", "telephoneNumber", "facsimileTelephoneNumber", "o", "title", "ou", "buildingName", "street", "l", "st", "postalCode", "c", "jpegPhoto", "mobile", "co", "pager", "destinationIndicator", "labeledURI", "uid"}, []string{"urgences"}},
		{"Apple Contacts, people", "(&(|(objectClass=inetOrgPerson)(objectClass=person))(|(cn=*moreau*)(sn=*moreau*)))", nil, []string{"sophie.moreau"}},
		{"hospital, PER", "(&(TypeBAL=PER)(sn=Bernard)(profession=60))", []string{"givenName", "sn", "mail", "IdentifiantPP", "TypeIdentifiantPP", "profession", "l"}, []string{"paul.bernard"}},
		{"hospital, by number", "(&(TypeBAL=PER)(IdentifiantPP=10003456786)(TypeIdentifiantPP=8))", nil, []string{"claire.durand"}},
		{"hospital, ORG", "(&(TypeBAL=ORG)(IdentifiantPM=310000005)(TypeIdentifiantPM=FINESS)(description=Secrétariat - Clinique des Sapins))", []string{"o", "mail", "IdentifiantPM", "TypeIdentifiantPM", "l", "description"}, []string{"secretariat"}},
		{"hospital, APP", "(&(TypeBAL=APP)(o=Clinique des Sapins))", nil, []string{"imagerie-auto"}},
		{"hospital, hidden", "(&(TypeBAL=PER)(TypeIdentifiantPP=0)(IdentifiantPP=319100015))", nil, nil},
	} {
		r := ldap.NewSearchRequest("ou=local,"+directorySuffix, ldap.ScopeWholeSubtree, 0, 100, 0, false, test.filter, test.attributes, nil)
		result, err := c.Search(r)
		if err != nil {
			t.Errorf("%s: %v", test.client, err)
			continue
		}
		var got []string
		for _, e := range result.Entries {
			local, _, _ := strings.Cut(e.GetAttributeValue("mail"), "@")
			got = append(got, local)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s finds %v, want %v", test.client, got, test.want)
		}
	}
	// What is not escaped: a clean result, and the connection goes on.
	for _, filter := range []string{"(sn=Du*and)", "(&(TypeBAL=PER)(sn=*))", "(&)"} {
		if _, err := c.Search(ldap.NewSearchRequest("ou=local,"+directorySuffix, ldap.ScopeWholeSubtree, 0, 100, 0, false, filter, nil, nil)); err != nil {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// TestBrowsing: Outlook's way of browsing, a window of the list in order of name.
func TestBrowsing(t *testing.T) {
	d := startDemo(t)
	out, _ := d.ldapTool("ldapsearch", slices.Concat([]string{"-LLL"}, d.credentials("claire.durand@clinique-des-sapins.fr", "claire.durand"),
		[]string{"-b", "ou=local," + directorySuffix, "-E", "!sss=cn", "-E", "!vlv=0/2/3/0", "(mail=*)", "cn"})...)
	// The tool asks for further windows until its input ends, which it does at once.
	if !strings.Contains(out, "vlvResultpos=3 count=6") || !strings.Contains(out, "cn: Paul Bernard") {
		t.Errorf("a window: %s", tail(out))
	}
}

package directory

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func testNames(tb testing.TB) *Names {
	tb.Helper()
	n, err := NewNames([]string{"dc=mssante,dc=fr", "dc=Sapins,dc=fr"}, []string{Local, National})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestNames(t *testing.T) {
	n := testNames(t)
	for text, want := range map[string]Name{
		"": {Kind: Root}, "CN=subschema": {Kind: Subschema}, "dc=mssante,dc=fr": {Kind: Suffix}, "DC=Sapins , DC=FR": {Kind: Suffix, Suffix: 1}, "ou=national,dc=sapins,dc=fr": {Kind: Unit, Suffix: 1, Unit: National},
		"mail=A.B@x.fr,ou=Local,dc=mssante,dc=fr":                 {Kind: Mailbox, Unit: Local, Address: "a.b@x.fr"},
		`rfc822Mailbox=a\+b@x.fr,2.5.4.11=local,dc=mssante,dc=fr`: {Kind: Mailbox, Unit: Local, Address: "a+b@x.fr"},
		"cn=x,ou=local,dc=mssante,dc=fr":                          {Unit: Local, Matched: "ou=local,dc=mssante,dc=fr"},
		"mail=x+cn=y,ou=local,dc=mssante,dc=fr":                   {Unit: Local, Matched: "ou=local,dc=mssante,dc=fr"},
		"ou=x,dc=mssante,dc=fr":                                   {Matched: "dc=mssante,dc=fr"}, "dc=fr": {}, "dc=x,dc=mssante,dc=fr": {Matched: "dc=mssante,dc=fr"}, "o=mssante,dc=fr": {},
	} {
		got, err := n.Parse([]byte(text))
		if err != nil || got != want {
			t.Errorf("%q is %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "dc=", "=x", "mail=a,,dc=fr", strings.Repeat("dc=a,", 300) + "dc=fr", `mail=\zz,dc=fr`} {
		if got, err := n.Parse([]byte(text)); err == nil && got.Kind != Unknown {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
	for _, suffix := range []string{"", "o=x", "dc=a,o=b", "dc"} {
		if _, err := NewNames([]string{suffix}, nil); err == nil {
			t.Errorf("the suffix %q is taken", suffix)
		}
	}
}

// FuzzName: a name that is written is read back as the same entry; whatever text comes, what is answered is one of ours or nothing.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"dc=mssante,dc=fr", "mail=a.b@x.fr,ou=local,dc=mssante,dc=fr", `mail=a\2bb@x.fr,ou=national,dc=sapins,dc=fr`, "cn=Subschema", "#04", `mail=\,`} {
		f.Add(seed)
	}
	n := testNames(f)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := n.Parse([]byte(text))
		if err != nil || name.Kind != Mailbox {
			return
		}
		written := n.Append(nil, name.Suffix, name.Unit, []byte(name.Address))
		if strings.ContainsFunc(name.Address, func(r rune) bool { return r < ' ' || r > '~' || r == '=' || r == ' ' }) {
			return // no address of an entry has these
		}
		again, err := n.Parse(written)
		if err != nil || again != name {
			t.Errorf("%q is %+v, is written %s, and that is %+v (%v)", text, name, written, again, err)
		}
		if _, err := ldap.ParseDN(string(written)); err != nil {
			t.Errorf("%s cannot be read by others: %v", written, err)
		}
	})
}

// TestNamesOfEntries: whatever stands in an address, the name of its entry is one, and the entry is found by it.
func TestNamesOfEntries(t *testing.T) {
	names := testNames(t)
	for address, want := range map[string]string{
		"a.b@c.fr": "a.b@c.fr", "a+b@c.fr": `a\+b@c.fr`, "#a@c.fr": `\#a@c.fr`, "a#b@c.fr": "a#b@c.fr", `"a,b"@c.fr`: `\"a\,b\"@c.fr`, "a;<b>\\@c.fr": `a\;\<b\>\\@c.fr`,
		"é@c.fr": "é@c.fr", "": "", "a b@c.fr": "a b@c.fr",
	} {
		dn := string(names.Append(nil, 0, National, []byte(address)))
		if dn != "mail="+want+",ou=national,dc=mssante,dc=fr" {
			t.Errorf("%s is named %s", address, dn)
		}
		parsed, err := ldap.ParseDN(dn)
		if err != nil || parsed.RDNs[0].Attributes[0].Value != address {
			t.Errorf("%s is read as %v, %v", dn, parsed, err)
		}
	}
}

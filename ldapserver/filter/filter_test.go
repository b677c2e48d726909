package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

func someone() *entry.Entry {
	e := &entry.Entry{DN: "mail=leo.oe@x.fr,ou=local,dc=mssante,dc=fr"}
	e.Set(schema.CN, "Léo d’Œuvre")
	e.Set(schema.SN, "d’Œuvre", "Saint-Éxupéry")
	e.Set(schema.Mail, "leo.oe@x.fr")
	e.Set(schema.TelephoneNumber, "05 61-00 00 01")
	e.Set(schema.IdentifiantPP, "10003456786")
	e.Set(schema.IdentifiantPM, "310000005")
	e.Set(schema.ObjectClass, "top", "person")
	e.Set(schema.ModifyTimestamp, "20261102120000Z")
	return e
}

// TestMatch is the three-valued logic of RFC 4511, 4.5.1.7, and the ways of comparing.
func TestMatch(t *testing.T) {
	e := someone()
	for text, want := range map[string]filter.Truth{
		"(cn=leo d'oeuvre)": filter.True, "(cn=LÉO  D’ŒUVRE)": filter.True, "(cn=leo)": filter.False, "(cn=leo*)": filter.True, "(cn=*oeuvre)": filter.True, "(cn=*d'o*v*)": filter.True, "(cn=*v*o*)": filter.False,
		"(cn=leo*leo*)": filter.False, "(sn=saint-exupery)": filter.True, "(sn=saint‑exupery)": filter.True, "(surname=d'oeuvre)": filter.True, "(description=x)": filter.False, "(description=*)": filter.False, "(cn=*)": filter.True,
		"(nosuch=*)": filter.Undefined, "(!(nosuch=x))": filter.Undefined, "(&(nosuch=x)(cn=x))": filter.False, "(&(nosuch=x)(cn=*))": filter.Undefined, "(|(nosuch=x)(cn=*))": filter.True, "(|(nosuch=x)(cn=x))": filter.Undefined,
		"(!(|(nosuch=x)(cn=*)))": filter.False, "(!(&(nosuch=x)(cn=x)))": filter.True, "(&)": filter.True, "(|)": filter.False, "(!(&))": filter.False,
		"(telephoneNumber=0561000001)": filter.True, "(telephoneNumber=05.61.00.00.01)": filter.True, "(telephoneNumber=*6100*)": filter.True, "(IdentifiantPP=810003456786)": filter.True, "(IdentifiantPP=1000 3456 786)": filter.True,
		"(IdentifiantPP=010003456786)": filter.False, "(IdentifiantPM=1310000005)": filter.True, "(objectClass=PERSON)": filter.True, "(objectClass=2.5.6.6)": filter.True, "(objectClass=nosuch)": filter.Undefined, "(objectClass=pers*)": filter.Undefined,
		"(modifyTimestamp=20261102130000+0100)": filter.True, "(modifyTimestamp>=20261102115959Z)": filter.True, "(modifyTimestamp<=20261102115959Z)": filter.False, "(modifyTimestamp>=soon)": filter.Undefined, "(cn>=a)": filter.Undefined,
		"(cn:caseExactMatch:=Léo d’Œuvre)": filter.True, "(cn:caseExactMatch:=léo d’œuvre)": filter.False, "(cn:=leo d'oeuvre)": filter.True, "(cn:2.5.13.2:=leo d'oeuvre)": filter.True, "(cn:nosuch:=leo)": filter.Undefined,
		"(:caseIgnoreMatch:=leo)": filter.Undefined, "(ou:dn:=LOCAL)": filter.True, "(ou:=local)": filter.False, "(dc:dn:=fr)": filter.True, "(mail:dn:=nobody)": filter.False, `(cn=\ff)`: filter.Undefined, `(cn=*\20*)`: filter.Undefined,
		"(cn=*\u0301*)": filter.Undefined,
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := f.Match(e); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]error{
		strings.Repeat("(!", 31) + "(cn=x)" + strings.Repeat(")", 31): nil, strings.Repeat("(!", 32) + "(cn=x)" + strings.Repeat(")", 32): filter.ErrTooComplex,
		"(|" + strings.Repeat("(cn=x)", 255) + ")": nil, "(|" + strings.Repeat("(cn=x)", 256) + ")": filter.ErrTooComplex,
		"(cn=*" + strings.Repeat("x*", 32) + ")": nil, "(cn=*" + strings.Repeat("x*", 33) + ")": filter.ErrTooComplex,
	} {
		if _, err := filter.Parse(text); !errors.Is(err, want) {
			t.Errorf("%.40s…: %v, want %v", text, err, want)
		}
	}
}

// FuzzDecode: what the library's compiler makes of a text is read; whatever octets come, the nodes stand within one another, and a filter that is read has a truth.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"(cn=x)", "(&(cn=a*b*c)(!(sn=*))(|(mail~=x)(o>=y)(l<=z)))", "(cn:dn:2.4.6.8:=x)", "(&)"} {
		packet, err := ldap.CompileFilter(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet.Bytes())
	}
	e := someone()
	f.Fuzz(func(t *testing.T, octets []byte) {
		var x filter.Filter
		if err := x.DecodeItems(octets); err == nil {
			for i, n := range x.Nodes {
				if n.End != i+1 || n.DN || n.Op < filter.Equal {
					t.Errorf("item %d holds others, or speaks of names", i)
				}
				if n.Op != filter.Present {
					filter.Assert(&x.Nodes[i]) // ends
				}
			}
		}
		r := ber.NewReader(octets)
		if err := x.Decode(&r); err != nil {
			if !errors.Is(err, filter.ErrMalformed) && !errors.Is(err, filter.ErrTooComplex) {
				t.Errorf("error %v", err)
			}
			return
		}
		for i, n := range x.Nodes {
			if n.End <= i || n.End > len(x.Nodes) || len(x.Nodes) > filter.MaxNodes {
				t.Fatalf("node %d of %d ends at %d", i, len(x.Nodes), n.End)
			}
		}
		if x.Nodes[0].End != len(x.Nodes) {
			t.Error("something stands behind the filter")
		}
		if truth := x.Match(e); truth < filter.False || truth > filter.True {
			t.Errorf("truth %d", truth)
		}
	})
}

// FuzzText: a text that the library takes is taken here, but for the limits.
func FuzzText(f *testing.F) {
	for _, text := range []string{"(cn=x)", "(&(cn=a*b*c)(!(sn=*))(|(mail~=x)(o>=y)(l<=z)))", "(cn:dn:2.4.6.8:=x)", "(&)", `(cn=\2a\28)`, "(cn=**)", "cn=x", "(cn=*x**)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ldap.CompileFilter(text); err != nil {
			return
		}
		if _, err := filter.Parse(text); err != nil && !errors.Is(err, filter.ErrTooComplex) && !errors.Is(err, filter.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestString: the text of a filter is read back as the same filter.
func TestString(t *testing.T) {
	for _, text := range []string{
		"(cn=x)", "(&(cn=a*b*c)(!(sn=*))(|(mail~=x)(modifyTimestamp>=2026)(modifyTimestamp<=2027)))", "(cn:dn:2.5.13.2:=x)", "(:caseExactMatch:=x)", "(&)", "(|)", `(cn=\2a\28\29\5c)`, "(cn=*a*)", "(cn=a*)", "(cn=*a)", "(nosuch;lang-fr=x)",
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.String(); got != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
	f, err := filter.Parse("(surname=x)")
	if err != nil || f.String() != "(sn=x)" {
		t.Errorf("another name: %v %v", f, err)
	}
	f.Nodes[0].Attribute = []byte("a)(b")
	if got := f.String(); got != "(unknown=x)" {
		t.Errorf("a description that is none is written %s", got)
	}
}

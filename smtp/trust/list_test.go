package trust

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func document(rows ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListeBlancheMSSante xmlns="https://listeblanche.mssante.fr/schema">
  <DateDeGeneration>2026-11-23T04:00:12.345+01:00</DateDeGeneration>
  <ListeDomaines>` + strings.Join(rows, "\n") + "</ListeDomaines></ListeBlancheMSSante>\n"
}

func domaine(name, dn string) string {
	return fmt.Sprintf(`<Domaine><Nom>%s</Nom><Description>Établissement &amp; Cie</Description><DNCertificatOperateur>%s</DNCertificatOperateur>
<ResponsableContact><Nom>not-the-domain.fr</Nom></ResponsableContact><SupportContact/><DateMAJ>2026-01-02</DateMAJ></Domaine>`, name, dn)
}

func TestParse(t *testing.T) {
	list, err := Parse(strings.NewReader(document(
		domaine("  CHU.mssante.FR ", operator), domaine("chu.mssante.fr", "CN=second,C=FR"), domaine("hôpital.fr", "CN=a,C=FR"),
		domaine("<!-- x -->no-operator.fr", "CN"), domaine("nodots", operator), domaine("dot.at.end.fr.", operator), domaine("*.fr", operator),
		domaine("", operator), `<Domaine/>`, `<Domaine><Nom>a.fr</Nom><Nom>b.fr</Nom></Domaine>`,
		`<x:Domaine xmlns:x="urn:other"><x:Nom>other.fr</x:Nom></x:Domaine>`, `<Neuf><Nom>new.fr</Nom></Neuf>`,
	)))
	if err != nil {
		t.Fatal(err)
	}
	s := newSpace(list, nil)
	for domain, operators := range map[string]int{"chu.mssante.fr": 2, "xn--hpital-ixa.fr": 1, "no-operator.fr": 0} {
		if !s.Contains(domain) || len(s.Operators(domain)) != operators {
			t.Errorf("%s: contained %v, operators %v", domain, s.Contains(domain), s.Operators(domain))
		}
	}
	for _, domain := range []string{"nodots", "a.fr", "b.fr", "other.fr", "new.fr", "not-the-domain.fr", "mssante.fr", "x.chu.mssante.fr", "", "CHU.mssante.fr", "dot.at.end.fr"} {
		if s.Contains(domain) {
			t.Errorf("%s is in the space", domain)
		}
	}
	if s.Len() != 3 || list.Skipped != 6 || len(list.Faults) != 7 {
		t.Errorf("%d domains, %d skipped: %q", s.Len(), list.Skipped, list.Faults)
	}
	if want := time.Date(2026, 11, 23, 3, 0, 12, 345e6, time.UTC); !s.Generated().Equal(want) {
		t.Errorf("generated %s", s.Generated())
	}
}

func TestParseRefuses(t *testing.T) {
	good := document(domaine("chu.fr", operator))
	for name, doc := range map[string]string{
		"nothing":            "",
		"empty list":         document(),
		"only bad rows":      document(domaine("nodots", operator)),
		"cut short":          good[:len(good)-20],
		"cut at the root":    strings.TrimSuffix(good, "</ListeBlancheMSSante>\n"),
		"something behind":   good + "<more/>",
		"text behind a row":  document("</Domaine>"),
		"another namespace":  strings.Replace(good, namespace, "urn:x", 1),
		"no namespace":       strings.Replace(good, ` xmlns="`+namespace+`"`, "", 1),
		"another root":       strings.ReplaceAll(good, "ListeBlancheMSSante", "Liste"),
		"an entity":          strings.Replace(good, "chu.fr", "&e;.fr", 1),
		"a document type":    strings.Replace(good, "<Liste", `<!DOCTYPE x [<!ENTITY e "chu">]><Liste`, 1),
		"a name with a part": document("<Domaine><Nom>a<b/>.fr</Nom></Domaine>"),
		"a field too long":   document(domaine(strings.Repeat("x", maxField+1), operator)),
		"not XML":            "<html><body>Service indisponible<br></body></html>",
	} {
		if list, err := Parse(strings.NewReader(doc)); err == nil {
			t.Errorf("%s: taken, %d entries", name, len(list.Entries))
		}
	}
	if _, err := Parse(strings.NewReader(document())); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
}

// endless repeats a row for ever.
type endless struct {
	row string
	at  int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], e.row[e.at:])
		n, e.at = n+c, (e.at+c)%len(e.row)
	}
	return n, nil
}

func TestParseIsBounded(t *testing.T) {
	start, _, _ := strings.Cut(document(), "</ListeDomaines>")
	for _, test := range []struct{ name, row, want string }{
		{"entries", "<Domaine/>\n", "entries"},
		{"octets", "<!-- " + strings.Repeat("nothing but a comment, ", 1000) + " -->\n", "larger"},
		{"depth", "<Autre>\n", "deeper"},
	} {
		if _, err := parse(io.MultiReader(strings.NewReader(start), &endless{row: test.row}), 4<<20); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

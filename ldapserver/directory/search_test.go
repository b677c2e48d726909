package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"balorg/ldapserver/extraction"
	"balorg/mail"
	"balorg/policy"
)

// searched is what a search answers: the beginning of each name, and what hides it.
func searched(t *testing.T, v *View, q Question) ([]string, error) {
	t.Helper()
	names, err := NewNames([]string{"dc=mssante,dc=fr"}, []string{Local, National})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = v.Search(t.Context(), names, q, func(f Found) error {
		line := strings.TrimSuffix(strings.TrimPrefix(f.DN, "mail="), ",dc=mssante,dc=fr")
		if f.Hidden != "" {
			line += ": " + f.Hidden
		}
		all = append(all, line)
		return nil
	})
	return all, err
}

// TestSearch: the administrator is shown everything and told what hides it; with a sight it is what that one sees.
func TestSearch(t *testing.T) {
	f := newFixture(t)
	f.take(t, f.write(t, 20,
		map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: "claire.durand@sapins.mssante.fr", extraction.LegalName: "Ancienne"},
		map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: "urgences@chu-exemple.mssante.fr", extraction.LegalName: "CHU Durand"},
	), Options{})
	v := f.directory.View()
	sight := func(person, opened mail.AccountID) *policy.Sight {
		s, d := v.Snapshot.Sight(person, opened)
		if !d.Allowed {
			t.Fatal(d.Reason)
		}
		return &s
	}
	const claire, noemie = "claire.durand@sapins.mssante.fr,ou=local", "noemie.martin@clinique-des-sapins.fr,ou=local"
	for _, tt := range []struct {
		what string
		q    Question
		want []string
		err  error
	}{
		{"both units", Question{Filter: "(|(cn=*durand*)(mail=claire.durand@*))"}, []string{
			claire, "claire.durand@sapins.mssante.fr,ou=national: " + HiddenShadowed, "urgences@chu-exemple.mssante.fr,ou=national",
		}, nil},
		{"parentheses are not needed", Question{Filter: "cn=noemie martin"}, []string{noemie + ": " + HiddenRedList}, nil},
		{"by the name's parts", Question{Filter: "(&(ou:dn:=local)(sn=durand))"}, []string{claire}, nil},
		{"as she sees it", Question{Filter: "(|(cn=*durand*)(mail=claire.durand@*)(mail=lea.petit@*)(mail=noemie.martin@*))", Sight: sight("id-noemie.martin", "id-secretariat")}, []string{
			claire, noemie, "urgences@chu-exemple.mssante.fr,ou=national",
		}, nil},
		{"without an MSSanté address", Question{Filter: "(|(cn=*durand*)(mail=claire.durand@*)(mail=lea.petit@*)(mail=noemie.martin@*))", Sight: sight("id-claire.durand", "id-urgences")}, []string{
			claire,
		}, nil},
		{"a limit", Question{Filter: "(|(sn=durand)(sn=martin))", Limit: 1}, []string{claire}, ErrMore},
		{"as many as the limit", Question{Filter: "(sn=durand)", Limit: 1}, []string{claire}, nil},
		{"nothing", Question{Filter: "(sn=nobody at all)"}, nil, nil},
	} {
		got, err := searched(t, v, tt.q)
		if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %q, want %q", tt.what, err, got, tt.want)
		}
	}
}

// TestSearchedAttributes: those asked for, and no others.
func TestSearchedAttributes(t *testing.T) {
	f := newFixture(t)
	names, err := NewNames([]string{"dc=mssante,dc=fr"}, []string{Local, National})
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		"MAIL profession":  "mail profession",
		"entryUUID sn":     "entryUUID sn",
		"nickname":         "",
		"modifytimestamp":  "modifyTimestamp",
		"objectClass mail": "mail objectClass",
	} {
		err := f.directory.View().Search(t.Context(), names, Question{Filter: "(sn=durand)", Attributes: strings.Fields(asked)}, func(found Found) error {
			var got []string
			for name := range found.Attributes {
				got = append(got, name)
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %s, want %s", asked, got, want)
			}
			return nil
		})
		if (err != nil) != (want == "") {
			t.Errorf("%s: %v", asked, err)
		}
	}
	count := func(asked ...string) (n int) {
		if err := f.directory.View().Search(t.Context(), names, Question{Filter: "sn=durand", Attributes: asked}, func(found Found) error {
			n = len(found.Attributes)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if all, users := count("*", "+"), count(); all != users+count("+") || count("+") < 4 || users < 8 {
		t.Errorf("all %d, of users %d, of the server %d", all, users, count("+"))
	}
}

// TestBrokenFilters: each is told what is wrong with it.
func TestBrokenFilters(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]string{
		"(cn=durand":      "no filter",
		"durand":          "no filter",
		"":                "no filter",
		"(cn=a)(cn=b)":    "no filter",
		"(nom=durand)":    `no attribute is called "nom"`,
		"(&(cn=a)(x=b*))": `no attribute is called "x"`,
	} {
		if _, err := searched(t, f.directory.View(), Question{Filter: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestPresence: whether the national directory has an entry, and whether it is shown.
func TestPresence(t *testing.T) {
	f := newFixture(t)
	if got := f.directory.View().Presence("claire.durand@sapins.mssante.fr"); got != NotImported {
		t.Errorf("before an import: %v", got)
	}
	f.take(t, f.write(t, 20,
		map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: "claire.durand@sapins.mssante.fr", extraction.LegalName: "X"},
		map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: "other@sapins.mssante.fr", extraction.LegalName: "X"},
	), Options{})
	v := f.directory.View()
	for address, want := range map[string]Presence{
		"claire.durand@sapins.mssante.fr": Shadowed, "other@sapins.mssante.fr": Present, "nobody@sapins.mssante.fr": Absent,
	} {
		if got := v.Presence(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if s := v.Size(); s.Entries != f.served() || s.EntriesHidden != 1 || s.LocalHidden != 2 || s.LocalEntries < 6 || s.LocalMemory == 0 || s.NationalMemory == 0 {
		t.Errorf("%+v", s)
	}
}

package portal

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
)

// office is a daemon of which there is something to tell.
type office struct{}

func (office) LastLogins(context.Context) (map[mail.AccountID]time.Time, error) {
	return map[mail.AccountID]time.Time{id("claire.durand"): time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)}, nil
}

func (office) Queue(context.Context) ([]Queued, error) {
	return []Queued{{Message: "m1", Mailbox: address("secretariat"), Recipient: "a@chu-exemple.mssante.fr", Reply: "450 <later>"}}, nil
}

func (office) Invited(context.Context) (map[mail.AccountID]time.Time, error) {
	return map[mail.AccountID]time.Time{id("marc.roux"): time.Date(2026, 2, 3, 12, 0, 0, 0, time.Local)}, nil
}

func (office) Invite(_ context.Context, person *policy.Account) (mail.Address, error) {
	return person.Notify, nil
}

func (office) Problems() []string { return []string{"accounts.yaml:3:5: what (hint: <this>)"} }

func administered(o *Options) {
	o.Administration, o.Inviter = office{}, office{}
	o.Export = func(w io.Writer, format string, f policy.Filter) error {
		_, err := fmt.Fprintf(w, "%s %+v", format, f)
		return err
	}
}

func adminPages() []string {
	return []string{"/admin", "/admin/delegations", "/admin/sessions", "/admin/queue", "/admin/files", "/admin/comptes.csv", "/admin/comptes.xlsx"}
}

// TestAdminOnly: to others the pages do not exist.
func TestAdminOnly(t *testing.T) {
	d := newDesk(t, administered)
	b, nobody := d.as("claire.durand"), d.browser()
	for _, path := range adminPages() {
		if p := b.get(path); p.status != http.StatusNotFound || strings.Contains(p.body, "lea.petit") {
			t.Errorf("%s: %d", path, p.status)
		}
		if p := nobody.get(path); p.status != http.StatusSeeOther {
			t.Errorf("%s, not logged in: %d", path, p.status)
		}
	}
	if strings.Contains(b.get("/").body, `href="/admin"`) {
		t.Error("the menu names them")
	}
}

func TestAdmin(t *testing.T) {
	d := newDesk(t, administered)
	b := d.as("sophie.moreau")
	for path, want := range map[string][]string{
		"/admin":             {"lea.petit@clinique-des-sapins.fr", "imagerie-auto@", "04/03/2026 12:00", "<caption>9 comptes</caption>"},
		"/admin/delegations": {"Secrétariat - Clinique des Sapins", `rowspan="3"`, "on-behalf", "demo/delegations.yaml:"},
		"/admin/sessions":    {"sophie.moreau@clinique-des-sapins.fr</td>", "portal"},
		"/admin/queue":       {"a@chu-exemple.mssante.fr", "450 &lt;later&gt;"},
		"/admin/files":       {"accounts.yaml:3:5: what (hint: &lt;this&gt;)"},
	} {
		p := b.get(path)
		if p.status != http.StatusOK || strings.Count(p.body, `aria-current="page"`) != 2 {
			t.Errorf("%s: %d", path, p.status)
		}
		for _, w := range want {
			if !strings.Contains(p.body, w) {
				t.Errorf("%s lacks %q:\n%s", path, w, p.body)
			}
		}
	}
}

// TestAdminFilters: what is searched for is what is listed and what is exported.
func TestAdminFilters(t *testing.T) {
	d := newDesk(t, administered)
	b := d.as("sophie.moreau")
	for query, want := range map[string][]string{
		"q=durand":              {"claire.durand"},
		"q=10003456786":         {"claire.durand"},
		"q=noemie":              {"noemie.martin"},
		"kind=org":              {"secretariat", "urgences"},
		"state=preregistered":   {"marc.roux"},
		"kind=org&q=urgences":   {"urgences"},
		"q=%22%3E%3Cxq%3E":      nil,
		"state=nothing&kind=no": nil,
	} {
		p := b.get("/admin?" + query)
		var got []string
		for _, a := range d.snapshot().Accounts() {
			if strings.Contains(p.body, "<tr><td>"+string(a.Address)) {
				got = append(got, a.Address.Local())
			}
		}
		if !slices.Equal(got, want) || strings.Contains(p.body, "<xq>") {
			t.Errorf("%s: %v", query, got)
		}
	}
	// Links to the export carry the filter of the page.
	for query, want := range map[string]string{"kind=org&q=urg": "kind=org&amp;q=urg&amp;state=", `q="><x>%26kind=per`: "kind=&amp;q=%22%3E%3Cx%3E%26kind%3Dper&amp;state="} {
		if page := b.get("/admin?" + query).body; !strings.Contains(page, `<a href="/admin/comptes.csv?`+want+`">csv</a>`) || !strings.Contains(page, `<a href="/admin/comptes.xlsx?`+want+`">xlsx</a>`) {
			t.Errorf("%s: no link with %s in\n%s", query, want, page)
		}
	}
	p := b.get("/admin/comptes.csv?kind=org&q=urg")
	if p.body != "csv {State: Kind:org Text:urg}" || p.header.Get("Content-Disposition") != `attachment; filename="comptes.csv"` || d.traced(audit.Administer) != 1 {
		t.Errorf("%d %q %q", p.status, p.body, p.header.Get("Content-Disposition"))
	}
}

// TestRemind: a link goes to who has none that was used, and to nobody else.
func TestRemind(t *testing.T) {
	d := newDesk(t, administered)
	b := d.as("sophie.moreau")
	if p := b.get("/admin"); strings.Count(p.body, `action="/admin/remind"`) != 1 || !strings.Contains(p.body, "lien du 03/02/2026") {
		t.Errorf("the list:\n%s", p.body)
	}
	const marc = "address: marc.roux@clinique-des-sapins.fr\n"
	for _, tt := range []struct {
		name   string
		who    string
		notify string
		status int
	}{
		{"cannot be written to", "marc.roux", "", http.StatusUnprocessableEntity},
		{"can", "marc.roux", "    notify: marc@example.net\n", http.StatusSeeOther},
		{"is active", "claire.durand", "", http.StatusBadRequest},
		{"is nobody", "nobody", "", http.StatusBadRequest},
	} {
		d.load(marc, marc+tt.notify)
		if p := b.submit("/admin/remind", "address", string(address(tt.who))); p.status != tt.status {
			t.Errorf("%s: %d\n%s", tt.name, p.status, p.body)
		}
	}
	if p := d.as("claire.durand").submit("/admin/remind", "address", string(address("marc.roux"))); p.status != http.StatusNotFound || d.traced(audit.Administer) != 1 {
		t.Errorf("by somebody else: %d", p.status)
	}
}

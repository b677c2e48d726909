package portal

import (
	"net/http"
	"strings"
	"testing"

	"balorg/policy"
	"balorg/store/audit"
)

// TestAccounts: each mailbox the person may open with what they may do there, and nobody else's.
func TestAccounts(t *testing.T) {
	d := newDesk(t)
	p := d.as("paul.bernard").get("/")
	for _, want := range []string{
		"Secrétariat - Clinique des Sapins", "secretariat@sapins.mssante.fr", "lecture seule, sans envoi",
		"Urgences - Clinique des Sapins", "urgences@clinique-des-sapins.fr", "lecture et classement, écrit de la part du service",
		"votre boîte personnelle", "<strong>–</strong>", `value="paul.bernard@clinique-des-sapins.fr" checked`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(p.body)
	}
	p = d.as("lea.petit").get("/")
	for _, no := range []string{"Secrétariat", "urgences", "Claire", "martin"} {
		if strings.Contains(p.body, no) {
			t.Errorf("Léa sees %q", no)
		}
	}
}

func TestChoose(t *testing.T) {
	d := newDesk(t)
	b := d.as("noemie.martin")
	noemie, sec := string(address("noemie.martin")), string(address("secretariat"))
	if p := b.submit("/choices", "default", noemie); p.status != http.StatusSeeOther || p.header.Get("Location") != "/?saved" {
		t.Fatalf("%d", p.status)
	}
	if got := d.snapshot().Default(id("noemie.martin")).Mailbox.Address; got != address("noemie.martin") {
		t.Errorf("opens %s", got)
	}
	if access, _ := d.snapshot().Open(id("noemie.martin"), id("secretariat")); access.Notify {
		t.Error("she is told of new messages still")
	}
	if d.traced(audit.Administer) != 2 {
		t.Errorf("records: %+v", d.records)
	}
	b.submit("/choices", "default", sec, "notify", sec)
	if access, _ := d.snapshot().Open(id("noemie.martin"), id("secretariat")); !access.Notify || !access.Default {
		t.Errorf("what she took back holds: %+v", access)
	}
	before := d.traced(audit.Administer)
	b.submit("/choices", "default", sec, "notify", sec)
	if d.traced(audit.Administer) != before {
		t.Error("what changes nothing was written down")
	}
}

// TestChooseOthers: what is not delegated cannot be chosen, and whether it exists is not told.
func TestChooseOthers(t *testing.T) {
	d := newDesk(t)
	b := d.as("noemie.martin")
	var first string
	token := b.csrf()
	for _, other := range []string{"urgences", "claire.durand", "lea.petit", "nobody", "", "x y"} {
		p := b.send("/choices", "default", string(address(other)), "csrf", token)
		if p.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", other, p.status)
		}
		if first == "" {
			first = p.body
		}
		if p.body != first {
			t.Errorf("%q is answered otherwise than what is not delegated", other)
		}
	}
	if d.chosen != nil {
		t.Errorf("chosen: %+v", d.chosen)
	}
}

func TestRedList(t *testing.T) {
	d := newDesk(t)
	claire := func() *policy.Account { a, _ := d.snapshot().Account(address("claire.durand")); return a }
	b := d.as("claire.durand")
	b.submit("/redlist", "hidden", "yes")
	if !claire().RedList {
		t.Error("Claire is not on the red list")
	}
	if p := b.get("/"); !strings.Contains(p.body, "à votre demande") {
		t.Error("the page does not say so")
	}
	b.submit("/redlist", "hidden", "no")
	if claire().RedList {
		t.Error("Claire is on the red list still")
	}
	lea := d.as("lea.petit")
	if p := lea.get("/"); !strings.Contains(p.body, "Seuls les administrateurs") || strings.Contains(p.body, `action="/redlist"`) {
		t.Error("Léa, whom the files put on the list, is offered to leave it")
	}
	lea.submit("/redlist", "hidden", "no")
	if a, _ := d.snapshot().Account(address("lea.petit")); !a.RedList {
		t.Error("Léa has left the list that the files put her on")
	}
}

// TestEscaping: names are text, whatever is in them.
func TestEscaping(t *testing.T) {
	d := newDesk(t)
	d.load("nom: Durand", `nom: "<script>alert(1)</script>"`)
	p := d.as("claire.durand").get("/")
	if strings.Contains(p.body, "<script") || !strings.Contains(p.body, "&lt;script&gt;") {
		t.Errorf("the name is not escaped:\n%s", p.body)
	}
}

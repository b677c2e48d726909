package portal

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store/audit"
)

func TestPassword(t *testing.T) {
	d := newDesk(t)
	other, b := d.as("claire.durand"), d.as("claire.durand")
	before := b.cookies()[0].Value
	for _, tt := range []struct{ name, former, next, again, want string }{
		{"wrong old one", "x", "un mot de passe", "un mot de passe", "L’ancien mot de passe est incorrect."},
		{"differ", "demo-claire.durand", "un mot de passe", "un mot de passe.", "diffèrent"},
		{"short", "demo-claire.durand", "court", "court", "ne convient pas"},
		{"weak", "demo-claire.durand", "a weak password", "a weak password", "ne convient pas"},
		{"the same", "demo-claire.durand", "demo-claire.durand", "demo-claire.durand", "est l’ancien"},
	} {
		p := b.submit("/password", "former", tt.former, "next", tt.next, "again", tt.again)
		if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.body, tt.want) {
			t.Errorf("%s: %d\n%s", tt.name, p.status, p.body)
		}
		if strings.Contains(p.body, tt.next) {
			t.Errorf("%s: what was typed is shown again", tt.name)
		}
	}
	if d.changed != nil {
		t.Fatalf("changed: %v", d.changed)
	}
	if p := b.submit("/password", "former", "demo-claire.durand", "next", "un mot de passe", "again", "un mot de passe"); p.header.Get("Location") != "/password?saved" {
		t.Fatalf("%d to %q\n%s", p.status, p.header.Get("Location"), p.body)
	}
	if got := b.cookies()[0].Value; got == before {
		t.Error("the session has its former secret")
	}
	if p := b.get("/password?saved"); p.status != http.StatusOK || !strings.Contains(p.body, "est changé") {
		t.Errorf("afterwards: %d", p.status)
	}
	if p := other.get("/"); p.status != http.StatusSeeOther {
		t.Errorf("another browser, with the old password: %d", p.status)
	}
}

func TestActivation(t *testing.T) {
	d := newDesk(t)
	b := d.browser()
	const word = "un mot de passe"
	for _, tt := range []struct {
		link, next, again string
		status            int
		want              string
	}{
		{"LINK", word, "autre", http.StatusUnprocessableEntity, "diffèrent"},
		{"LINK", "a weak password", "a weak password", http.StatusUnprocessableEntity, "ne convient pas"},
		{"OTHER", word, word, http.StatusGone, "plus valable"},
		{"LINK", word, word, http.StatusSeeOther, ""},
	} {
		p := b.send("/activation/"+tt.link, "next", tt.next, "again", tt.again)
		if p.status != tt.status || !strings.Contains(p.body, tt.want) {
			t.Errorf("%+v: %d\n%s", tt, p.status, p.body)
		}
	}
	for _, link := range []string{"LINK", "OTHER", "%22%3E%3Cb%3E"} {
		p := d.as("claire.durand").get("/activation/" + link)
		if p.status != http.StatusOK || p.header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(p.body, "Claire") || strings.Contains(p.body, "<b>") {
			t.Errorf("%s: %d, %q\n%s", link, p.status, p.header.Get("Referrer-Policy"), p.body)
		}
	}
	for _, r := range d.records {
		if strings.Contains(fmt.Sprintf("%+v", r), "LINK") {
			t.Errorf("the link is in the trace: %+v", r)
		}
	}
}

func TestDevices(t *testing.T) {
	d := newDesk(t)
	b := d.as("noemie.martin")
	sec := string(address("secretariat"))
	for _, tt := range []struct {
		name   string
		fields []string
	}{
		{"no name", []string{"name", " ", "scope", "imap"}},
		{"long", []string{"name", strings.Repeat("é", 65), "scope", "imap"}},
		{"line break", []string{"name", "a\r\nb", "scope", "imap"}},
		{"no use", []string{"name", "scanner"}},
		{"a use that is none", []string{"name", "scanner", "scope", "portal"}},
		{"not delegated", []string{"name", "scanner", "scope", "imap", "mailbox", string(address("urgences"))}},
		{"nobody", []string{"name", "scanner", "scope", "imap", "mailbox", "nobody@example.org"}},
	} {
		if p := b.submit("/devices", tt.fields...); p.status != http.StatusUnprocessableEntity || d.tokens != nil {
			t.Errorf("%s: %d, %v", tt.name, p.status, d.tokens)
		}
	}
	p := b.submit("/devices", "name", "scanner", "scope", "smtp", "mailbox", sec)
	if p.status != http.StatusOK || !strings.Contains(p.body, "bal-secret-of-scanner") || p.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d\n%s", p.status, p.body)
	}
	if p := b.submit("/devices", "name", "scanner", "scope", "smtp"); p.status != http.StatusUnprocessableEntity {
		t.Errorf("the same name again: %d", p.status)
	}
	p = b.get("/devices")
	if strings.Contains(p.body, "bal-secret") || !strings.Contains(p.body, "envoyer · Secrétariat") {
		t.Errorf("the list:\n%s", p.body)
	}
	stranger := d.as("lea.petit")
	stranger.submit("/devices/revoke", "id", "token-scanner")
	if len(d.tokens[address("noemie.martin")]) != 1 {
		t.Error("somebody else has revoked the device")
	}
	b.submit("/devices/revoke", "id", "token-scanner")
	if len(d.tokens[address("noemie.martin")]) != 0 {
		t.Error("the device is not revoked")
	}
	for _, r := range d.records {
		if strings.Contains(fmt.Sprintf("%+v", r), "bal-secret") {
			t.Errorf("the secret is in the trace: %+v", r)
		}
	}
}

func TestHistory(t *testing.T) {
	d := newDesk(t)
	party := func(local string) audit.Party {
		return audit.Party{ID: mail.AccountID("id-" + local), Address: address(local)}
	}
	now := time.Now()
	d.records = []audit.Record{
		{Time: now.AddDate(0, 0, -20), Action: audit.Expunge, Person: party("paul.bernard"), Mailbox: party("secretariat"), UIDs: "9"},
		{Time: now, Action: audit.Read, Person: party("noemie.martin"), Mailbox: party("secretariat"), Folder: "INBOX", UIDs: "1:3,7", Protocol: "imap"},
		{Time: now, Action: audit.Refusal, Person: party("lea.petit"), Mailbox: party("secretariat"), Reason: "no delegation"},
		{Time: now, Action: audit.Read, Person: party("claire.durand"), Mailbox: party("claire.durand"), Folder: "Privé"},
	}
	b := d.as("claire.durand")
	p := b.get("/history?mailbox=" + string(address("secretariat")))
	// Noémie is on the red list; who manages the mailbox sees her here.
	if !strings.Contains(p.body, "Noémie Martin") || !strings.Contains(p.body, `<td class="number">4</td>`) {
		t.Errorf("the reading is not there:\n%s", p.body)
	}
	for _, no := range []string{"Petit", "lea.petit", "Bernard", "Privé", "no delegation"} {
		if strings.Contains(p.body, no) {
			t.Errorf("the page holds %q", no)
		}
	}
	if p := b.get("/history?days=30&mailbox=" + string(address("secretariat"))); !strings.Contains(p.body, "suppression") {
		t.Error("what was done twenty days ago is not in the last thirty")
	}
	if p := b.get("/history"); !strings.Contains(p.body, "Privé") || strings.Contains(p.body, "Martin") {
		t.Errorf("her own:\n%s", p.body)
	}
	// Who only reads or writes has no business in the history, nor has anybody else; and nobody learns whether there is such a mailbox.
	var first string
	for _, other := range []string{"secretariat", "urgences", "claire.durand", "nobody"} {
		p := d.as("noemie.martin").get("/history?mailbox=" + string(address(other)))
		first = max(first, stripped(p.body))
		if p.status != http.StatusNotFound || stripped(p.body) != first {
			t.Errorf("%s: %d", other, p.status)
		}
	}
}

func stripped(body string) string { return hidden.ReplaceAllString(body, "") }

func TestHistoryIsBounded(t *testing.T) {
	d := newDesk(t)
	b := d.as("lea.petit")
	who := audit.Party{ID: id("lea.petit"), Address: address("lea.petit")}
	for i := range mostEvents + 5 {
		d.Later(audit.Record{Action: audit.Read, Person: who, Mailbox: who, Folder: fmt.Sprintf("folder-%d-", i)})
	}
	p := b.get("/history")
	latest, oldest := fmt.Sprintf("folder-%d-", mostEvents+4), "folder-4-"
	if n := strings.Count(p.body, "<tr><td>"); n != mostEvents || !strings.Contains(p.body, latest) || strings.Contains(p.body, oldest) {
		t.Errorf("%d rows", n)
	}
	if strings.Index(p.body, latest) > strings.Index(p.body, "folder-5-") {
		t.Error("the latest is not the first")
	}
}

func TestInSet(t *testing.T) {
	for set, want := range map[string]int64{"": 0, "7": 1, "1:3,7": 4, "3:1": 3, "1:*": 0, "x": 0} {
		if got := inSet(set); got != want {
			t.Errorf("%q: %d, want %d", set, got, want)
		}
	}
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smarthostSectionOf is the section relay that makes a server the way out.
func smarthostSectionOf(p *postfix) string {
	return fmt.Sprintf("relay:\n  smarthost: %q\n  security: starttls\n  ca: %s\n", p.smtp, filepath.Join(p.dir, "cert.pem"))
}

// setRelay restarts a demo with another section relay in the place of its own, and further changes to balorg.yaml: pairs of what stands
// there and what is to.
func (d *daemon) setRelay(section string, changes ...string) {
	d.t.Helper()
	d.stop()
	path := d.config()
	content, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), "relay:\n")
	_, after, found := strings.Cut(rest, "trust_space:\n")
	if !ok || !found {
		d.t.Fatalf("no section relay before trust_space in\n%s", content)
	}
	d.write("balorg.yaml", before+section+"trust_space:\n"+after)
	for i := 0; i < len(changes); i += 2 {
		d.edit("balorg.yaml", changes[i], changes[i+1])
	}
	d.serve()
}

// TestPostfixSmarthost has Postfix carry on what leaves.
func TestPostfixSmarthost(t *testing.T) {
	t.Parallel()
	p := newPostfix(t)
	d := startDemo(t)
	d.setRelay(smarthostSectionOf(p))
	p.reaches(d)
	p.start()
	m := submitter(t, d, noemie, "")

	t.Run("delivered", func(t *testing.T) {
		e := d.settled(queued(t, m.submit(address(secretariat), []string{outside}, stuffed(composed(address(secretariat), "parti-1@poste")))))
		it := e.Items[1]
		if !strings.HasPrefix(it.Reply, "250 2.0.0 Ok: ") || it.TLS == "" || !strings.Contains(it.Peer, p.smtp) || it.Attempts != 1 {
			t.Errorf("the row: %+v", it)
		}
		got := p.arrived(d, "accueil", "parti-1@poste")
		for _, want := range []string{
			"Return-Path: <" + mssante(secretariat) + ">\n", strings.ReplaceAll(secretariatName, "\r\n", "\n"), "Content-Transfer-Encoding: 8bit\n",
			"\n\nLe rendez-vous est confirmé.\n.\n..\nFin\n", "using TLSv1.3",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		if strings.Contains(strings.ToLower(got), "noemie") || strings.Contains(got, "Martin") {
			t.Errorf("it tells the person:\n%s", got)
		}
	})
	t.Run("SMTPUTF8", func(t *testing.T) {
		m.do("MAIL FROM:<"+address(secretariat)+"> SMTPUTF8 BODY=8BITMIME", "250")
		m.do("RCPT TO:<café@chu-exemple.mssante.fr>", "250")
		m.do("DATA", "354")
		m.send(stuffed(composed(address(secretariat), "accent-1@poste", "Cc: café@chu-exemple.mssante.fr")) + ".\r\n")
		if got := states(d.settled(queued(t, m.reply()))); got[1] != "relay delivered 250" {
			t.Errorf("%q", got)
		}
		if got := p.arrived(d, "cafe", "accent-1@poste"); !strings.Contains(got, "Cc: café@chu-exemple.mssante.fr\n") || !strings.Contains(got, "Delivered-To: café@") {
			t.Errorf("delivered:\n%s", got)
		}
	})
	t.Run("DSN", func(t *testing.T) { dsnByPostfix(t, d, p, m) })
	t.Run("rejected", func(t *testing.T) { rejectedByPostfix(t, d, m) })
	t.Run("down", func(t *testing.T) { postfixDown(t, d, p, m) })
}

// dsnByPostfix asks for a report of success, which Postfix sends back over SMTP, with what it was told.
func dsnByPostfix(t *testing.T, d *daemon, p *postfix, m *mailer) {
	t.Helper()
	m.do("MAIL FROM:<"+address(secretariat)+"> RET=HDRS ENVID=dossier+2B12", "250")
	m.do("RCPT TO:<"+outside+"> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bureau+2Bnord@chu-exemple.mssante.fr", "250")
	m.do("RCPT TO:<dr@chu-exemple.mssante.fr> NOTIFY=NEVER", "250")
	m.do("DATA", "354")
	m.send(stuffed(composed(address(secretariat), "avis-1@poste")) + ".\r\n")
	d.settled(queued(t, m.reply()))
	p.arrived(d, "dr", "avis-1@poste")
	report := login(t, d, noemie).one(d, "INBOX", "Successful Mail Delivery Report").octets
	for _, want := range []string{
		"Return-Path: <>\r\n", "Original-Envelope-Id: dossier+12\r\n", "Original-Recipient: rfc822;bureau+nord@chu-exemple.mssante.fr\r\n", "Action: delivered\r\n", "Content-Type: text/rfc822-headers",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	if strings.Contains(report, "dr@chu") || strings.Contains(report, "rendez-vous") {
		t.Errorf("it tells too much:\n%s", report)
	}
}

// rejectedByPostfix: one recipient is refused for good and one taken.
func rejectedByPostfix(t *testing.T, d *daemon, m *mailer) {
	t.Helper()
	id := queued(t, m.submit(address(secretariat), []string{"ferme@chu-exemple.mssante.fr", outside, "personne@chu-exemple.mssante.fr"},
		stuffed(composed(address(secretariat), "refus-1@poste"))))
	if got := fmt.Sprint(states(d.settled(id))); got != "[sent delivered relay failed 550 relay delivered 250 relay failed 550]" {
		t.Errorf("%s", got)
	}
	c := login(t, d, noemie) // who has the secretariat's mailbox as her default, and her own besides
	for _, folder := range []string{"INBOX", shared(noemie, "INBOX")} {
		c.one(d, folder, "Non remis")
	}
	team := c.find("INBOX", "Non remis")[0].octets
	for _, want := range []string{
		"ferme@chu-exemple.mssante.fr", "550 5.2.1 <ferme@chu-exemple.mssante.fr>: Recipient address rejected: Mailbox closed",
		"personne@chu-exemple.mssante.fr", "550 5.1.1", "Action: failed\r\n", "refus-1@poste",
	} {
		if !strings.Contains(strings.ReplaceAll(team, "\r\n ", " "), want) {
			t.Errorf("no %q in\n%s", want, team)
		}
	}
	if strings.Contains(strings.ToLower(team), "noemie") || strings.Contains(team, "rendez-vous") {
		t.Errorf("it tells the person, or the content:\n%s", team)
	}
}

// postfixDown: what cannot be handed on waits, and goes out once when Postfix is there again.
func postfixDown(t *testing.T, d *daemon, p *postfix, m *mailer) {
	t.Helper()
	p.stop()
	id := queued(t, m.submit(address(secretariat), []string{outside, "attente@chu-exemple.mssante.fr"}, stuffed(composed(address(secretariat), "panne-1@poste"))))
	d.eventually(newsTimeout, "an attempt", func() error {
		if e := d.entry(id); e.Items[1].Attempts == 0 || e.Items[2].Attempts == 0 {
			return fmt.Errorf("%q", states(e))
		}
		return nil
	})
	out, err := d.balorg("queue list")
	if err != nil || !strings.Contains(out, id) || !strings.Contains(out, "relay "+outside+"  waiting, next ") || !strings.Contains(out, "451 4.4.1 No next hop: ") {
		t.Errorf("queue list: %v\n%s", err, out)
	}
	p.start()
	if out, err := d.balorg("queue retry", id); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.arrived(d, "accueil", "panne-1@poste")
	d.eventually(newsTimeout, "the second attempt", func() error {
		if got := fmt.Sprint(states(d.entry(id))); got != "[sent delivered relay delivered 250 relay waiting 450]" {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if out, err := d.balorg("queue retry", "--all"); err != nil { // who was served is not served again
		t.Fatalf("%v\n%s", err, out)
	}
	d.eventually(newsTimeout, "the third attempt", func() error {
		if it := d.entry(id).Items[2]; it.Attempts != 3 {
			return fmt.Errorf("%+v", it)
		}
		return nil
	})
	if got := p.box("accueil", "panne-1@poste"); len(got) != 1 {
		t.Errorf("delivered %d times", len(got))
	}
	if out, err := d.balorg("queue remove", id); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := d.balorg("queue list"); err != nil || strings.Contains(out, id) {
		t.Errorf("queue list: %v\n%s", err, out)
	}
}

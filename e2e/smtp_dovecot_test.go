package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// startTeam is a daemon whose secretariat lives on a Dovecot behind a cable.
func startTeam(t *testing.T) (*daemon, *cutter) {
	t.Helper()
	clear := freePort(t)
	o := startDovecot(t, fmt.Sprintf(dovecotInClear, clear), nil)
	cable := newCutter(t, fmt.Sprintf("127.0.0.1:%d", clear))
	d := withStores(t, map[string]string{secretariat: "dovecot"}, func(d *daemon) string {
		behind := *o
		behind.address = cable.address
		return behind.mailstore("dovecot", "insecure_no_tls: true, "+d.withCredentials("master"))
	})
	return d, cable
}

// retried has a message tried again until nothing of it waits.
func (d *daemon) retried(id string) {
	d.t.Helper()
	d.eventually(backTimeout, "the end of message "+id, func() error {
		e := d.entry(id)
		if e.Waiting == 0 {
			return nil
		}
		if out, err := d.balorg("queue retry", id); err != nil && !strings.Contains(out, "nothing of the message waits") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return fmt.Errorf("%q", states(e))
	})
}

// failedOnce waits for an attempt that came to nothing.
func (d *daemon) failedOnce(id string) {
	d.t.Helper()
	d.eventually(newsTimeout, "an attempt that fails", func() error {
		for _, it := range d.entry(id).Items {
			if it.Attempts > 0 && it.State == "waiting" {
				return nil
			}
		}
		return fmt.Errorf("%q", states(d.entry(id)))
	})
}

// TestDovecotTeam sends as a mailbox that lives on a Dovecot, and receives for it.
func TestDovecotTeam(t *testing.T) {
	t.Parallel()
	d, cable := startTeam(t)
	m, c := submitter(t, d, noemie, ""), login(t, d, noemie)
	again := func() { m = submitter(t, d, noemie, "") }
	send := func(t *testing.T, message string) string {
		t.Helper()
		return queued(t, m.submit(address(secretariat), []string{mssante(paul)}, stuffed(message)))
	}
	t.Run("Sent", func(t *testing.T) {
		d.settled(send(t, composed(address(secretariat), "equipe-1@poste")))
		got := c.one(d, "Sent", "equipe-1@poste")
		if got.flags != `\Seen` || !strings.Contains(got.octets, secretariatName) || strings.Contains(strings.ToLower(got.octets), "noemie") {
			t.Errorf("flags %q\n%s", got.flags, got.octets)
		}
		if inbox := login(t, d, paul).one(d, "INBOX", "equipe-1@poste"); inbox.octets != got.octets {
			t.Errorf("paul got\n%s\nand Sent has\n%s", inbox.octets, got.octets)
		}
	})
	for i, bcc := range []string{"", "Bcc: " + mssante(lea) + "\r\n"} {
		t.Run("the program's copy "+bcc, func(t *testing.T) {
			id := fmt.Sprintf("equipe-copie-%d@poste", i)
			sent := composed(address(secretariat), id)
			send(t, sent) // and at once, as programs do
			a := c.append("Sent", `(\Seen $Forwarded)`, bcc+"X-Mozilla-Status: 0001\r\n"+sent)
			got := c.one(d, "Sent", id)
			if words := strings.Fields(a.code()); len(words) != 3 || words[0] != "APPENDUID" || words[2] != got.uid {
				t.Errorf("APPEND answers %s, and the copy has UID %s", a, got.uid)
			}
			if strings.Contains(got.octets, "Bcc:") != (bcc != "") || !strings.Contains(got.octets, secretariatName) || !strings.Contains(got.flags, "$Forwarded") {
				t.Errorf("flags %q\n%s", got.flags, got.octets)
			}
		})
	}
	t.Run("Answered", func(t *testing.T) {
		from := operator(t, d)
		question := composed(outside, "question-1@chu", "X-MSS-INS: 1 2 3")
		d.settled(strings.TrimPrefix(from.submit(outside, []string{mssante(secretariat)}, stuffed(question)), "250 2.0.0 Ok: accepted as "))
		got := c.one(d, "INBOX", "question-1@chu")
		if got.flags != "" || !strings.HasPrefix(got.octets, "Return-Path: <"+outside+">\r\n") || !strings.HasSuffix(got.octets, question) {
			t.Errorf("flags %q\n%s", got.flags, got.octets)
		}
		d.settled(send(t, composed(address(secretariat), "suite-1@poste", "In-Reply-To: <question-1@chu>")))
		if got := c.one(d, "INBOX", "question-1@chu"); got.flags != `\Answered` {
			t.Errorf("flags of what was answered: %q", got.flags)
		}
	})
	for i, tt := range []struct {
		name         string
		copied, come string // behind which word of Dovecot the cable is cut
	}{
		{"the answer to the APPEND is lost", "OK [APPENDUID", "OK [APPENDUID"},
		{"the APPEND is not sent", "OK List", "Logged in"},
	} {
		t.Run(tt.name+", of the copy", func(t *testing.T) {
			id := fmt.Sprintf("equipe-coupe-%d@poste", i)
			sent := composed(address(secretariat), id)
			cable.cutBehind(tt.copied, 1, 0)
			msg := send(t, sent)
			d.failedOnce(msg)
			cable.heal()
			d.retried(msg)
			c := login(t, d, noemie)
			got := c.one(d, "Sent", id)
			if a := c.append("Sent", `(\Seen)`, sent); a.status != "OK" || !strings.HasSuffix(a.code(), " "+got.uid) {
				t.Errorf("the program's copy: %s, and ours has UID %s", a, got.uid)
			}
			c.one(d, "Sent", id)
		})
		t.Run(tt.name+", of mail that came in", func(t *testing.T) {
			id := fmt.Sprintf("entrant-coupe-%d@chu", i)
			cable.cutBehind(tt.come, 1, 0)
			msg := strings.TrimPrefix(operator(t, d).submit(outside, []string{mssante(secretariat)}, stuffed(composed(outside, id))), "250 2.0.0 Ok: accepted as ")
			d.failedOnce(msg)
			cable.heal()
			d.retried(msg)
			login(t, d, noemie).one(d, "INBOX", id)
		})
	}
	t.Run("killed before the answer to the APPEND", func(t *testing.T) {
		cable.holdBehind("OK [APPENDUID")
		send(t, composed(address(secretariat), "equipe-tuee@poste"))
		d.eventually(newsTimeout, "the APPEND", func() error {
			if !cable.holding() {
				return fmt.Errorf("Dovecot has not answered")
			}
			return nil
		})
		d.kill()
		cable.heal()
		d.serve()
		c := login(t, d, noemie)
		c.one(d, "Sent", "equipe-tuee@poste")
		d.eventually(backTimeout, "the end of the message", func() error {
			if out, err := d.balorg("queue list"); err != nil || strings.Contains(out, "sent -") {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		c.one(d, "Sent", "equipe-tuee@poste")
		again()
	})
	t.Run("down", func(t *testing.T) {
		cable.refuse()
		sent := composed(address(secretariat), "equipe-panne@poste", "In-Reply-To: <entrant-coupe-0@chu>")
		msg := send(t, sent)
		in := strings.TrimPrefix(operator(t, d).submit(outside, []string{mssante(secretariat)}, stuffed(composed(outside, "entrant-panne@chu"))), "250 2.0.0 Ok: accepted as ")
		d.failedOnce(msg)
		d.failedOnce(in)
		login(t, d, paul).one(d, "INBOX", "equipe-panne@poste")
		cable.heal()
		d.retried(msg)
		d.retried(in)
		c := login(t, d, noemie)
		c.one(d, "Sent", "equipe-panne@poste")
		c.one(d, "INBOX", "entrant-panne@chu")
		if got := c.one(d, "INBOX", "entrant-coupe-0@chu"); got.flags != `\Answered` {
			t.Errorf("flags of what was answered: %q", got.flags)
		}
	})
}

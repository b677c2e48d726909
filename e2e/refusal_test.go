package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var errNotYet = errors.New("not yet")

func itoa(n int) string { return strconv.Itoa(n) }

// refusedCase is a log-in that must not succeed, whoever is told so.
type refusedCase struct {
	name            string
	person, mailbox string // full addresses; mailbox "" means none is named
	password        string
}

// forms are the ways to name person and mailbox.
var forms = []struct {
	name    string
	command func(r refusedCase) string
}{
	{"LOGIN", func(r refusedCase) string {
		return fmt.Sprintf("LOGIN %s %s", r.person, r.password)
	}},
	{"LOGIN mailbox*person", func(r refusedCase) string {
		return fmt.Sprintf("LOGIN \"%s*%s\" %s", r.mailbox, r.person, r.password)
	}},
	{"LOGIN person/mailbox", func(r refusedCase) string {
		return fmt.Sprintf("LOGIN \"%s/%s\" %s", r.person, r.mailbox, r.password)
	}},
	{"PLAIN", func(r refusedCase) string {
		return "AUTHENTICATE PLAIN " + plain("", r.person, r.password)
	}},
	{"PLAIN authzid", func(r refusedCase) string {
		return "AUTHENTICATE PLAIN " + plain(r.mailbox, r.person, r.password)
	}},
	{"PLAIN mailbox*person", func(r refusedCase) string {
		return "AUTHENTICATE PLAIN " + plain("", r.mailbox+"*"+r.person, r.password)
	}},
	{"PLAIN person/mailbox", func(r refusedCase) string {
		return "AUTHENTICATE PLAIN " + plain("", r.person+"/"+r.mailbox, r.password)
	}},
}

func refusedCases() []refusedCase {
	stranger := "nobody@" + domain
	return []refusedCase{
		{"wrong password", address(claire), address(secretariat), "wrong-claire"},
		{"unknown account", stranger, address(secretariat), "wrong-nobody"},
		{"organisational account, its local part", address(secretariat), address(secretariat), password(secretariat)},
		{"organisational account, a person's password", address(secretariat), address(secretariat), password(claire)},
		{"no delegation", address(lea), address(secretariat), password(lea)},
		{"unknown mailbox", address(claire), stranger, password(claire)},
		{"another's mailbox", address(claire), address(noemie), password(claire)},
		{"pre-registered", address("marc.roux"), address("marc.roux"), password("marc.roux")},
		{"application", address("imagerie-auto"), address("imagerie-auto"), password("imagerie-auto")},
		{"another domain", "claire.durand@example.org", address(secretariat), password(claire)},
	}
}

// succeeds tells the one thing of the table that is no refusal: a form that names no mailbox, by a person who may log in.
func (r refusedCase) succeeds(form string) bool {
	return (form == "LOGIN" || form == "PLAIN") && (r.name == "no delegation" || r.name == "unknown mailbox" || r.name == "another's mailbox")
}

// How often each refusal is timed: what else the machine does only adds to a time, so that the least of each comes closer to the truth
// with every try, and more are made while they still differ.
const (
	refusalTries = 5
	refusalMost  = 40
)

// TestRefusalsAreAlike: nothing in an answer's octets, nor in the order of its time, tells why a log-in was refused.
func TestRefusalsAreAlike(t *testing.T) {
	d := startDemo(t)
	d.unthrottled()
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			times := make(map[string][]time.Duration)
			var low, high time.Duration
			for n := 1; n <= refusalTries || high > 2*low && n <= refusalMost; n++ {
				for _, r := range refusedCases() { // in turns, so that what else the machine does falls on all alike
					if !r.succeeds(form.name) {
						times[r.name] = append(times[r.name], timeRefusal(t, d, form.command(r)))
					}
				}
				low, high = time.Duration(1<<62), 0
				for _, all := range times {
					low, high = min(low, slices.Min(all)), max(high, slices.Min(all))
				}
			}
			t.Logf("the fastest take from %v to %v", low, high)
			if high > 2*low {
				t.Errorf("times tell refusals apart: %v", times)
			}
		})
	}
	audit, err := d.balorg("audit list --json")
	if err != nil {
		t.Fatalf("audit list: %v\n%s", err, audit)
	}
	if !strings.Contains(audit, address(lea)) {
		t.Error("the trace does not name who was refused")
	}
	if out, err := d.balorg("audit verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

// unthrottled starts the daemon anew with budgets of failures that a test does not spend.
func (d *daemon) unthrottled() {
	d.t.Helper()
	d.stop()
	d.edit("balorg.yaml", "language: fr\n", "language: fr\nauthentication:\n  failures_per_minute: 10000\n"+
		"  network_failures_per_minute: 10000\n  account_failures_per_minute: 10000\n")
	d.serve()
}

// timeRefusal refuses a log-in on a fresh connection, checks its answer's octets and measures it.
func timeRefusal(t *testing.T, d *daemon, command string) time.Duration {
	t.Helper()
	c := dial(t, d)
	defer c.conn.Close() // enough has been said
	tag := c.tag()
	from := time.Now()
	c.send(tag + " " + command + "\r\n")
	if got, want := c.line(), tag+" NO [AUTHENTICATIONFAILED] Authentication failed"; got != want {
		t.Errorf("%s: %q, want %q", command, got, want)
	}
	return time.Since(from)
}

// TestLoginForms opens what may be opened, by every form, and sees which mailbox it is by its mail.
func TestLoginForms(t *testing.T) {
	d := startDemo(t)
	mssante := "claire.durand@sapins.mssante.fr"
	for _, tt := range []struct {
		name, command string
		opens         string // whose folders are the personal name space
	}{
		{"own by default", fmt.Sprintf("LOGIN %s %s", address(claire), password(claire)), claire},
		{"default of the file", fmt.Sprintf("LOGIN %s %s", address(noemie), password(noemie)), secretariat},
		{"MSSanté address in capitals", fmt.Sprintf("LOGIN %s %s", strings.ToUpper(mssante), password(claire)), claire},
		{"mailbox*person", fmt.Sprintf("LOGIN \"%s*%s\" %s", address(urgences), address(claire), password(claire)), urgences},
		{"person/mailbox", fmt.Sprintf("LOGIN %s/%s %s", address(claire), address(urgences), password(claire)), urgences},
		{"own beside the default", fmt.Sprintf("LOGIN \"%s*%s\" %s", address(noemie), address(noemie), password(noemie)), noemie},
		{"PLAIN", "AUTHENTICATE PLAIN " + plain("", address(claire), password(claire)), claire},
		{"PLAIN authzid", "AUTHENTICATE PLAIN " + plain(address(secretariat), address(claire), password(claire)), secretariat},
		{"PLAIN authzid of the person", "AUTHENTICATE PLAIN " + plain(address(claire), address(claire), password(claire)), claire},
		{"PLAIN by MSSanté addresses", "AUTHENTICATE PLAIN " + plain("secretariat@sapins.mssante.fr", mssante, password(claire)), secretariat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, d)
			c.ok("%s", tt.command)
			for _, line := range c.ok(`LIST "" "*"`).untagged {
				if strings.Contains(line, "Comptes/"+address(tt.opens)+"/") {
					t.Errorf("the mailbox that is open is among the shared ones: %s", line)
				}
			}
			root := c.ok("GETQUOTAROOT INBOX")
			own := dial(t, d)
			own.ok("LOGIN \"%s*%s\" %s", address(tt.opens), address(personOf(tt.opens)), password(personOf(tt.opens)))
			if want := own.ok("GETQUOTAROOT INBOX"); !slices.Equal(root.untagged, want.untagged) {
				t.Errorf("usage %q, want that of %s: %q", root.untagged, tt.opens, want.untagged)
			}
		})
	}
}

// personOf is somebody who may open a mailbox.
func personOf(mailbox string) string {
	if mailbox == secretariat || mailbox == urgences {
		return claire
	}
	return mailbox
}

// TestNoLoginBeforeTLS: on the plain listener nothing takes a password.
func TestNoLoginBeforeTLS(t *testing.T) {
	d := startDemo(t)
	c := dialPlain(t, d)
	if caps := strings.Join(c.ok("CAPABILITY").untagged, ""); !strings.Contains(caps, "LOGINDISABLED") || strings.Contains(caps, "AUTH=") || !strings.Contains(caps, "STARTTLS") {
		t.Errorf("capabilities before TLS: %s", caps)
	}
	for _, command := range []string{
		fmt.Sprintf("LOGIN %s %s", address(claire), password(claire)),
		"AUTHENTICATE PLAIN " + plain("", address(claire), password(claire)),
	} {
		if a := c.do("%s", command); a.short() != "NO PRIVACYREQUIRED" {
			t.Errorf("%s", a)
		}
	}
	// What is sent behind STARTTLS in the clear never runs inside TLS.
	tag := c.tag()
	c.send(tag + " STARTTLS\r\nx1 LOGOUT\r\n")
	for _, line := range c.gone(newsTimeout) {
		if strings.Contains(line, "x1") {
			t.Errorf("a command smuggled behind STARTTLS was answered: %s", line)
		}
	}
}

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newsTimeout is how long news may take to another session, on a busy machine.
const newsTimeout = 10 * time.Second

// idle begins an IDLE and answers its tag.
func (c *client) idle() string {
	c.t.Helper()
	tag := c.tag()
	c.send(tag + " IDLE\r\n")
	if line := c.line(); !strings.HasPrefix(line, "+") {
		c.t.Fatalf("IDLE: %q", line)
	}
	return tag
}

// news waits, within an IDLE, for a line that has all parts.
func (c *client) news(parts ...string) string {
	c.t.Helper()
	var seen []string
	for {
		line, err := c.read(newsTimeout)
		if err != nil {
			c.t.Fatalf("waiting for %q: %v; seen %q", parts, err, seen)
		}
		if containsAll(line, parts) {
			return line
		}
		seen = append(seen, line)
	}
}

func containsAll(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}

// TestIdle has two people in one organisational mailbox, each under another name, and each sees what the other does.
func TestIdle(t *testing.T) {
	d := startDemo(t)
	n := login(t, d, noemie) // the secretariat is her default: INBOX is its INBOX
	c := login(t, d, claire)
	n.ok("SELECT INBOX")
	c.ok("SELECT %q", shared(secretariat, "INBOX"))
	before := len(n.uids("ALL"))

	tag := n.idle()
	if a := c.append(shared(secretariat, "INBOX"), "", message("idle-1@test", "Nouveau", 600)); a.status != "OK" {
		t.Fatal(a)
	}
	line := n.news("EXISTS")
	if want := "* " + itoa(before+1) + " EXISTS"; line != want {
		t.Errorf("new mail: %q, want %q", line, want)
	}
	c.ok("NOOP")
	last := itoa(before + 1)
	c.ok(`STORE %s +FLAGS (\Flagged $Important)`, last)
	n.news("* "+last+" FETCH", `\Flagged`, "$Important")
	c.ok(`STORE %s +FLAGS (\Deleted)`, last)
	n.news("* "+last+" FETCH", `\Deleted`)
	c.ok("EXPUNGE")
	if line := n.news("EXPUNGE"); line != "* "+last+" EXPUNGE" {
		t.Errorf("expunge: %q", line)
	}
	n.send("DONE\r\n")
	if a := n.await(tag); a.status != "OK" {
		t.Error(a)
	}

	// The other way round, and MOVE as a change of the folder it leaves.
	tag = c.idle()
	if a := n.append("INBOX", "(\\Seen)", message("idle-2@test", "Réponse", 600)); a.status != "OK" {
		t.Fatal(a)
	}
	c.news("EXISTS")
	n.ok("NOOP")
	n.ok(`STORE %s -FLAGS (\Seen)`, last)
	c.news("* "+last+" FETCH", "FLAGS")
	n.ok(`MOVE %s "Corbeille"`, last)
	c.news("* " + last + " EXPUNGE")
	c.send("DONE\r\n")
	if a := c.await(tag); a.status != "OK" {
		t.Error(a)
	}
}

// TestDoneWithTheNextCommand sends DONE and what follows in one packet, as iOS does.
func TestDoneWithTheNextCommand(t *testing.T) {
	d := startDemo(t)
	c := login(t, d, claire)
	c.ok("SELECT INBOX")
	tag := c.idle()
	next := c.tag()
	c.send("DONE\r\n" + next + " UID SEARCH ALL\r\n")
	if a := c.await(tag); a.status != "OK" {
		t.Error(a)
	}
	if a := c.await(next); a.status != "OK" || len(a.untagged) == 0 {
		t.Error(a)
	}
}

// withdrawn is the line of delegations.yaml that withdrawing takes out.
const (
	withdrawn = "      - {account: claire.durand@clinique-des-sapins.fr, rights: manage, send: as}\n      - {account: paul.bernard@clinique-des-sapins.fr, rights: read, send: no}\n"
	remaining = "      - {account: paul.bernard@clinique-des-sapins.fr, rights: read, send: no}\n"
)

// withdrawEnd is what ending a session may take: a second once the file has settled, which is read twice, 250 ms apart; the rest is
// for a machine that is busy with other tests.
const withdrawEnd = 2 * time.Second

// TestWithdraw takes a delegation out of the file while the person waits in IDLE in that mailbox.
func TestWithdraw(t *testing.T) {
	d := startDemo(t)
	inside := login(t, d, claire)
	inside.ok("SELECT %q", shared(secretariat, "INBOX"))
	inside.idle()
	opened := open(t, d, claire, secretariat) // the mailbox is this session's personal name space
	opened.ok("NOOP")
	other := login(t, d, claire)
	other.ok("SELECT %q", shared(urgences, "INBOX"))
	other.idle()
	used := login(t, d, claire) // has used the mailbox, and has left it
	used.ok("STATUS %q (MESSAGES)", shared(secretariat, "INBOX"))
	used.ok("SELECT INBOX")
	colleague := login(t, d, noemie)
	colleague.ok("SELECT INBOX")

	from := time.Now()
	d.edit("delegations.yaml", withdrawn, remaining)
	for _, c := range []*client{inside, opened} {
		said := c.gone(10 * time.Second)
		if len(said) == 0 || !strings.HasPrefix(said[len(said)-1], "* BYE ") {
			t.Errorf("the last word was %q, want a BYE", said)
		}
	}
	took := time.Since(from)
	t.Logf("the sessions were ended %v after the file was written", took)
	if took > withdrawEnd {
		t.Errorf("the sessions were ended after %v, want %v", took, withdrawEnd)
	}

	other.send("DONE\r\n")
	other.await("t" + itoa(other.tags))
	other.ok("NOOP")
	used.ok("NOOP")
	colleague.ok("FETCH 1 (FLAGS)")
	if a := used.do("SELECT %q", shared(secretariat, "INBOX")); a.short() != "NO NONEXISTENT" {
		t.Errorf("the mailbox after its withdrawal: %s", a)
	}
	for _, line := range used.ok(`LIST "" "*"`).untagged {
		if strings.Contains(line, secretariat) {
			t.Errorf("the mailbox is still listed: %s", line)
		}
	}
	if out, err := d.balorg("session list --json"); err != nil || strings.Contains(out, address(secretariat)) && strings.Contains(out, `"person":"`+address(claire)+`","mailbox":"`+address(secretariat)) {
		t.Errorf("sessions: %v\n%s", err, out)
	}
}

// TestWithdrawFromBusyClients takes the delegation from clients that cannot be told between two commands: one reads nothing of
// what it has asked for, one is in the middle of filing a message.
func TestWithdrawFromBusyClients(t *testing.T) {
	d := startDemo(t)
	deaf := login(t, d, claire)
	deaf.ok("SELECT %q", shared(secretariat, "INBOX"))
	deaf.send(strings.Repeat("f FETCH 1:* BODY.PEEK[]\r\n", 60))
	filing := open(t, d, claire, secretariat)
	tag := filing.tag()
	filing.send(tag + " APPEND INBOX {100000}\r\n")
	if line := filing.line(); !strings.HasPrefix(line, "+") {
		t.Fatalf("APPEND: %s", line)
	}
	filing.send(message("half@test", "Inachevé", 50_000))
	witness := login(t, d, noemie)
	witness.ok("SELECT INBOX")
	before := witness.uids("ALL")

	from := time.Now()
	d.edit("delegations.yaml", withdrawn, remaining)
	d.settles("balorg_gateway_sessions_count", 1)
	took := time.Since(from)
	t.Logf("the sessions were ended %v after the file was written", took)
	if took > busyEnd {
		t.Errorf("the sessions were ended after %v, want %v", took, busyEnd)
	}
	for _, line := range filing.gone(newsTimeout) {
		if strings.HasPrefix(line, tag+" OK") {
			t.Errorf("half a message was filed: %s", line)
		}
	}
	witness.ok("NOOP")
	if after := witness.uids("ALL"); len(after) != len(before) {
		t.Errorf("%d messages, want %d", len(after), len(before))
	}
}

// busyEnd is what ending a session may take whose client does not listen: settling, the second given to a last word, and as much
// again on a machine that is busy with other tests.
const busyEnd = 4 * time.Second

// TestSpoiltFile leaves the daemon as it was when a file is edited into something that cannot be read.
func TestSpoiltFile(t *testing.T) {
	d := startDemo(t)
	c := login(t, d, claire)
	c.ok("SELECT %q", shared(secretariat, "INBOX"))
	good, err := os.ReadFile(filepath.Join(d.dir, "delegations.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d.write("delegations.yaml", "delegations: [{mailbox: nobody@nowhere}]\n")
	d.eventually(newsTimeout, "the alarm", func() error {
		if d.metric("balorg_gateway_reload_failed_bool") != 1 {
			return errNotYet
		}
		return nil
	})
	c.ok("NOOP")
	login(t, d, claire).ok("SELECT %q", shared(secretariat, "INBOX"))
	if out, err := d.balorg("check"); err == nil || !strings.Contains(out, "delegations.yaml:1:") {
		t.Errorf("check: %v\n%s", err, out)
	}
	d.write("delegations.yaml", string(good))
	if out, err := d.balorg("check"); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
}

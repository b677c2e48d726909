package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sophie = "sophie.moreau"

// interimapConfig syncs a mailbox of a server without the gateway (local) and one behind it (remote).
const interimapConfig = `
database = %[1]s/sync.db

[local]
type = imaps
host = 127.0.0.1
port = %[2]s
username = %[3]s
password = near-password
SSL_verify = NO

[remote]
type = imaps
host = localhost
port = %[4]s
username = %[5]s
password = %[6]s
SSL_CAfile = %[7]s
`

// interimap syncs two mailboxes by QRESYNC.
type interimap struct {
	t         *testing.T
	config    string
	near, far *client // the near mailbox directly, the far one through the gateway
}

// near is the mailbox that sophie's is kept the same as; it is no account of the gateway's.
const near = "miroir"

// startInterimap has sophie's mailbox in a Dovecot or, with embedded, in the gateway's own mail store.
func startInterimap(t *testing.T, embedded bool) (*daemon, *interimap) {
	t.Helper()
	o := startDovecot(t, dovecotNamespace, map[string]string{address(near): "near-password"})
	where := map[string]string{sophie: "dovecot"}
	if embedded {
		where = nil
	}
	d := withStores(t, where, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("authzid"))
	})
	dir := t.TempDir()
	i := &interimap{t: t, config: filepath.Join(dir, "interimap.conf"), near: o.direct("", address(near), "near-password"), far: login(t, d, sophie)}
	text := fmt.Sprintf(interimapConfig, dir, d.port(o.address), address(near), d.port(d.imaps()), address(sophie), password(sophie), d.ca())
	if err := os.WriteFile(i.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return d, i
}

// sync runs it once and answers what it says it did.
func (i *interimap) sync() string {
	i.t.Helper()
	return run(i.t, "interimap", "--config="+i.config)
}

// state is what both sides have: by folder, each message's flags and subject.
func state(c *client) map[string][]string {
	all := make(map[string][]string)
	for _, line := range c.ok(`LIST "" "*"`).untagged {
		if strings.Contains(line, `\Noselect`) || strings.Contains(line, `\NonExistent`) {
			continue
		}
		name := strings.Trim(line[strings.LastIndexByte(line, ' ')+1:], `"`)
		c.ok("EXAMINE %q", name)
		all[name] = []string{}
		for _, uid := range c.uids("ALL") {
			m := c.filed(uid)
			_, subject, _ := strings.Cut(m.Body, "Subject: ")
			subject, _, _ = strings.Cut(subject, "\r\n")
			all[name] = append(all[name], fmt.Sprintf("%s (%s) %s %d", subject, m.Flags, m.Date, len(m.Body)))
		}
		slices.Sort(all[name])
		c.ok("UNSELECT")
	}
	return all
}

// same checks that both sides hold the same, and that another run finds nothing to do.
func (i *interimap) same() {
	i.t.Helper()
	before := state(i.near)
	if diff := cmp.Diff(before, state(i.far)); diff != "" {
		i.t.Errorf("the two sides differ (near, far):\n%s", diff)
	}
	markers := i.markers()
	if out := i.sync(); strings.Contains(out, "UID") || strings.Contains(out, "ubscrib") || strings.Contains(out, "Created") {
		i.t.Errorf("the next run had something to do:\n%s", out)
	}
	if diff := cmp.Diff(markers, i.markers()); diff != "" {
		i.t.Errorf("the next run changed something:\n%s", diff)
	}
}

// markers are the numbers that rise with each change, of both sides.
func (i *interimap) markers() []string {
	var all []string
	for _, c := range []*client{i.near, i.far} {
		for _, folder := range []string{"INBOX", "Sent", "Dossiers"} {
			all = append(all, c.ok("STATUS %s (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)", folder).untagged...)
		}
	}
	return all
}

// TestInterimap: a client that lives by QRESYNC keeps a mailbox behind the gateway and one without it the same, both ways.
func TestInterimap(t *testing.T) {
	_, i := startInterimap(t, false)
	syncBothWays(t, i)
}

// TestInterimapEmbedded is TestInterimap with the mailbox in the gateway's own mail store.
func TestInterimapEmbedded(t *testing.T) {
	_, i := startInterimap(t, true)
	for _, c := range []*client{i.near, i.far} { // both begin with the same folders
		for _, line := range c.ok(`LIST "" "*"`).untagged {
			if name := strings.Trim(line[strings.LastIndexByte(line, ' ')+1:], `"`); name != "INBOX" && name != "Sent" {
				c.ok("DELETE %q", name)
			}
		}
	}
	i.far.ok("CREATE Sent")
	syncBothWays(t, i)
}

func syncBothWays(t *testing.T, i *interimap) {
	t.Helper()
	i.near.ok("CREATE Dossiers")
	i.far.ok("CREATE Dossiers")
	for n := range 6 {
		c, where := i.near, "local"
		if n%2 == 1 {
			c, where = i.far, "remote"
		}
		folder, flags := []string{"INBOX", "Dossiers", "Sent"}[n%3], []string{"()", `(\Seen $Suivi)`, `(\Flagged \Answered)`}[n/2]
		if a := c.append(folder, flags+` "03-Feb-2025 04:05:06 +0200"`, message(fmt.Sprintf("q%d@test", n), fmt.Sprintf("%s %d", where, n), 20_000)); a.status != "OK" {
			t.Fatal(a)
		}
	}
	t.Logf("the first run says:\n%s", i.sync())
	i.same()
	if got := state(i.far); len(got["INBOX"])+len(got["Dossiers"])+len(got["Sent"]) != 6 {
		t.Errorf("not all has come over: %v", got)
	}

	// Flags change, messages go, and others come, at both sides.
	i.near.ok("SELECT INBOX")
	i.far.ok("SELECT INBOX")
	all := i.near.uids("ALL")
	i.near.ok(`UID STORE %s +FLAGS (\Seen)`, all[0])
	i.far.ok(`UID STORE %s +FLAGS (\Flagged)`, i.far.uids("ALL")[1])
	i.far.ok("SELECT Dossiers")
	gone := i.far.uids("ALL")[0]
	i.far.ok(`UID STORE %s +FLAGS (\Deleted)`, gone)
	i.far.ok("UID EXPUNGE %s", gone)
	i.near.ok("SELECT Sent")
	gone = i.near.uids("ALL")[0]
	i.near.ok(`UID STORE %s +FLAGS (\Deleted)`, gone)
	i.near.ok("UID EXPUNGE %s", gone)
	for n, c := range []*client{i.near, i.far} {
		c.ok("UNSELECT")
		if a := c.append("Dossiers", "", message(fmt.Sprintf("r%d@test", n), fmt.Sprintf("plus tard %d", n), 500_000)); a.status != "OK" {
			t.Fatal(a)
		}
	}
	t.Logf("the run after the changes says:\n%s", i.sync())
	i.same()
	got := state(i.far)
	if len(got["INBOX"]) != 2 || len(got["Dossiers"]) != 3 || len(got["Sent"]) != 1 || !strings.Contains(strings.Join(got["INBOX"], "\n"), `\Seen`) || !strings.Contains(strings.Join(got["INBOX"], "\n"), `\Flagged`) {
		t.Errorf("behind the gateway: %v", got)
	}
}

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var modSeqItem = regexp.MustCompile(`MODSEQ \((\d+)\)`)

// modSeqs answers the modification sequences that an answer's FETCH responses tell.
func modSeqs(a answer) (all []uint64) {
	for _, line := range a.untagged {
		if m := modSeqItem.FindStringSubmatch(line); m != nil && strings.Contains(line, " FETCH (") {
			n, _ := strconv.ParseUint(m[1], 10, 64)
			all = append(all, n)
		}
	}
	return all
}

// TestMixedCondStore: a session with mailboxes of Dovecot and embedded ones keeps CONDSTORE. Whichever store its first command of the
// extension goes to, the others tell modification sequences, too, and of two people who change a message on the same knowledge
// the second is told so by either.
func TestMixedCondStore(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, nil)
	d := withStores(t, map[string]string{urgences: "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("master"))
	})
	embedded, foreign := shared(secretariat, "Suivi"), shared(urgences, "Suivi")
	c := login(t, d, claire)
	for _, folder := range []string{embedded, foreign} {
		c.ok("CREATE %s", folder)
		c.append(folder, "", message("one", "one", 100))
		c.append(folder, "", message("two", "two", 100))
	}
	if got := c.ok("CAPABILITY").String(); !strings.Contains(got, " CONDSTORE QRESYNC ") {
		t.Errorf("what both have: %s", got)
	}
	for _, first := range []string{"SELECT %s (CONDSTORE)", "STATUS %s (HIGHESTMODSEQ)"} {
		for _, folders := range [][]string{{embedded, foreign}, {foreign, embedded}} {
			c := login(t, d, claire)
			c.ok("STATUS %s (MESSAGES)", folders[1]) // its connection is there before
			c.ok(first, folders[0])
			for _, folder := range folders {
				if got := c.ok("SELECT %s", folder).String(); !strings.Contains(got, "* OK [HIGHESTMODSEQ ") {
					t.Errorf("%s: %s", folder, got)
				}
				if a := c.ok(`STORE 1 -FLAGS (\Flagged)`); a.status == "OK" && len(modSeqs(c.ok(`STORE 1 +FLAGS (\Flagged)`))) != 1 {
					t.Errorf("after %s, %s tells no modification sequences: %v", fmt.Sprintf(first, folders[0]), folder, a)
				}
			}
		}
	}
	if got := c.ok("ENABLE CONDSTORE").untagged; len(got) != 1 || got[0] != "* ENABLED CONDSTORE" {
		t.Errorf("ENABLE: %q", got)
	}
	for _, folder := range []string{embedded, foreign} {
		conflict(t, c, login(t, d, claire), folder)
	}
	resyncs(t, login(t, d, claire), login(t, d, claire), []string{embedded, foreign})
}

// resyncs has one session learn by UID what another expunges, at once and after it was away.
func resyncs(t *testing.T, one, two *client, folders []string) {
	t.Helper()
	if got := one.ok("ENABLE QRESYNC").untagged; len(got) != 1 || got[0] != "* ENABLED QRESYNC" {
		t.Errorf("ENABLE: %q", got)
	}
	for _, folder := range folders {
		one.ok("SELECT %s", folder)
		opened := one.ok("SELECT %s", folder).String()
		known := regexp.MustCompile(`(?s)\[UIDVALIDITY (\d+)\].*\[HIGHESTMODSEQ (\d+)\]`).FindStringSubmatch(opened)
		if known == nil || !strings.HasPrefix(opened, "* OK [CLOSED] ") {
			t.Fatalf("%s: %s", folder, opened)
		}
		two.ok("SELECT %s", folder)
		two.ok(`UID STORE 1 +FLAGS.SILENT (\Deleted)`)
		two.ok("UID EXPUNGE 1")
		if got := one.ok("NOOP").String(); !strings.Contains(got, "* VANISHED 1\n") || strings.Contains(got, "EXPUNGE") {
			t.Errorf("%s: NOOP: %s", folder, got)
		}
		one.ok("UNSELECT")
		two.ok(`UID STORE 2 +FLAGS.SILENT ($Revu)`)
		got := one.ok("SELECT %s (QRESYNC (%s %s))", folder, known[1], known[2]).String()
		if !strings.Contains(got, "* VANISHED (EARLIER) 1\n") || !strings.Contains(got, "* 1 FETCH (UID 2 ") || !strings.Contains(got, "$Revu") {
			t.Errorf("%s: what has changed: %s", folder, got)
		}
	}
}

// conflict has two sessions change what both know.
func conflict(t *testing.T, one, two *client, folder string) {
	t.Helper()
	one.ok("SELECT %s", folder)
	two.ok("SELECT %s (CONDSTORE)", folder)
	known := modSeqs(one.ok("FETCH 1:2 (MODSEQ)"))
	if len(known) != 2 {
		t.Fatalf("%s: modification sequences %d", folder, known)
	}
	since := max(known[0], known[1])
	if a := one.ok(`STORE 2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\Answered)`, since); len(modSeqs(a)) != 1 || a.code() != "" {
		t.Errorf("%s: the first: %v", folder, a)
	}
	if a := two.ok(`UID STORE 2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\Deleted)`, since); a.code() != "MODIFIED 2" {
		t.Errorf("%s: the second: %v", folder, a)
	}
	if a := two.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", since); len(modSeqs(a)) != 1 || !strings.Contains(a.String(), "UID 2 ") || strings.Contains(a.String(), `\Deleted`) {
		t.Errorf("%s: what has changed: %v", folder, a)
	}
	if a := two.ok("SEARCH MODSEQ %d", since+1); !strings.Contains(a.String(), "* SEARCH 2 (MODSEQ ") {
		t.Errorf("%s: SEARCH: %v", folder, a)
	}
}

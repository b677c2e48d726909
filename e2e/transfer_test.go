package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// filed is a message as two accounts are compared by it.
type filed struct {
	Flags, Date, Body string
}

var fetched = regexp.MustCompile(`(?s)FLAGS \(([^)]*)\).*INTERNALDATE "([^"]*)"|INTERNALDATE "([^"]*)".*FLAGS \(([^)]*)\)`)

// filed answers a message of the selected folder.
func (c *client) filed(uid string) filed {
	c.t.Helper()
	for _, line := range c.ok("UID FETCH %s (FLAGS INTERNALDATE)", uid).untagged {
		if m := fetched.FindStringSubmatch(line); m != nil {
			flags := slices.DeleteFunc(strings.Fields(m[1]+m[4]), func(f string) bool { return f == `\Recent` })
			slices.Sort(flags)
			date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", m[2]+m[3])
			if err != nil {
				c.t.Fatal(err)
			}
			// Stores write the same moment in zones of their own.
			return filed{strings.Join(flags, " "), date.UTC().String(), c.body(uid)}
		}
	}
	c.t.Fatalf("no message %s", uid)
	return filed{}
}

// copyUID finds COPYUID in an answer, tagged or untagged, and answers both sets.
func copyUID(t *testing.T, a answer) (from, to string) {
	t.Helper()
	for _, line := range append(a.untagged, a.text) {
		if _, after, ok := strings.Cut(line, "[COPYUID "); ok {
			fields := strings.Fields(strings.SplitN(after, "]", 2)[0])
			if len(fields) == 3 {
				return fields[1], fields[2]
			}
		}
	}
	t.Fatalf("no COPYUID in %s", a)
	return "", ""
}

// TestAcrossAccounts copies and moves between a person's mailbox and an organisational one, both ways.
func TestAcrossAccounts(t *testing.T) {
	d := startDemo(t)
	for _, tt := range []struct {
		command  string
		from, to string
	}{
		{"UID COPY", "INBOX", shared(secretariat, "INBOX")},
		{"UID COPY", shared(secretariat, "INBOX"), "INBOX"},
		{"UID MOVE", "INBOX", shared(urgences, "INBOX")},
		{"UID MOVE", shared(urgences, "INBOX"), shared(secretariat, "INBOX")},
		{"COPY", "INBOX", shared(urgences, "Corbeille")},
		{"MOVE", shared(secretariat, "INBOX"), "INBOX"},
	} {
		t.Run(tt.command+" "+tt.from+" to "+tt.to, func(t *testing.T) { transferOne(t, d, tt.command, tt.from, tt.to) })
	}
}

func transferOne(t *testing.T, d *daemon, command, from, to string) {
	t.Helper()
	c := login(t, d, claire)
	var want []filed
	for i, size := range []int{700, 40_000, 300_000} {
		m := message(fmt.Sprintf("t%d@test", i), "Compte rendu", size)
		if a := c.append(from, `(\Flagged $Suivi) "03-Feb-2025 04:05:06 +0200"`, m); a.status != "OK" {
			t.Fatal(a)
		}
	}
	c.ok("SELECT %q", from)
	all := c.uids("ALL")
	uids := all[len(all)-3:]
	for _, uid := range uids {
		want = append(want, c.filed(uid))
	}
	set := strings.Join(uids, ",")
	if !strings.HasPrefix(command, "UID") {
		set = fmt.Sprintf("%d:%d", len(all)-2, len(all))
	}
	a := c.ok("%s %s %q", command, set, to)
	source, dest := copyUID(t, a)
	if got := expand(t, source); !slices.Equal(got, uids) {
		t.Errorf("COPYUID names %q of the source, want %q", got, uids)
	}
	left := len(c.uids("ALL"))
	if moved := strings.HasSuffix(command, "MOVE"); moved && left != len(all)-3 || !moved && left != len(all) {
		t.Errorf("%d messages left in the source of %d", left, len(all))
	}
	c.ok("SELECT %q", to)
	var got []filed
	for _, uid := range expand(t, dest) {
		got = append(got, c.filed(uid))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the copies differ (-want +got):\n%s", tail(diff))
	}
}

// expand lists the numbers of a set such as 3:5,9.
func expand(t *testing.T, set string) []string {
	t.Helper()
	var all []string
	for part := range strings.SplitSeq(set, ",") {
		var low, high int
		if n, err := fmt.Sscanf(part, "%d:%d", &low, &high); n == 1 {
			high = low
		} else if err != nil {
			t.Fatalf("set %q: %v", set, err)
		}
		for i := low; i <= high; i++ {
			all = append(all, itoa(i))
		}
	}
	return all
}

// TestMoveIntoFullMailbox: what does not fit is refused whole, and stays where it was.
func TestMoveIntoFullMailbox(t *testing.T) {
	d := startDemo(t)
	d.edit("accounts.yaml", "    rpps: \"10003456786\"\n", "    rpps: \"10003456786\"\n    quota: 400KiB\n")
	d.eventually(newsTimeout, "the quota", func() error {
		if d.metric("balorg_gateway_reloads_total") < 1 {
			return errNotYet
		}
		return nil
	})
	c := login(t, d, claire)
	from := shared(urgences, "INBOX")
	for i := range 4 {
		if a := c.append(from, "", message(fmt.Sprintf("q%d@test", i), "Volumineux", 150_000)); a.status != "OK" {
			t.Fatal(a)
		}
	}
	c.ok("SELECT INBOX")
	own := c.uids("ALL")
	c.ok("SELECT %q", from)
	all := c.uids("ALL")
	for _, command := range []string{"UID MOVE", "UID COPY"} {
		if a := c.do("%s %s INBOX", command, strings.Join(all[len(all)-4:], ",")); a.short() != "NO OVERQUOTA" {
			t.Errorf("%s into a full mailbox: %s", command, a)
		}
		if got := c.uids("ALL"); !slices.Equal(got, all) {
			t.Errorf("%s: the source has %q, want %q", command, got, all)
		}
	}
	c.ok("SELECT INBOX")
	if got := c.uids("ALL"); !slices.Equal(got, own) {
		t.Errorf("the destination has %q, want %q as before", got, own)
	}
	if a := c.append("INBOX", "", message("q9@test", "Volumineux", 500_000)); a.short() != "NO OVERQUOTA" {
		t.Errorf("APPEND over quota: %s", a)
	}
}

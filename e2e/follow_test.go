package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// followed is the result of a search that a client is kept informed of, as it makes it of the first answer and of what it is told since.
type followed struct {
	byUID   bool
	key     string
	numbers []int
}

// follower is a client that follows searches in its folder.
type follower struct {
	*client
	uids    []int // by number
	results map[string]*followed
}

var (
	changeLine  = regexp.MustCompile(`^\* ESEARCH \(TAG "([^"]*)"\)( UID)?((?: (?:ADDTO|REMOVEFROM) \(0 [0-9,:]+\))+)$`)
	changeItem  = regexp.MustCompile(` (ADDTO|REMOVEFROM) \(0 ([0-9,:]+)\)`)
	goneLine    = regexp.MustCompile(`^\* (?:(\d+) EXPUNGE|VANISHED ([0-9,:]+))$`)
	foundByLine = regexp.MustCompile(` ALL ([0-9,:]+)`)
)

// begin follows a search.
func (f *follower) begin(tag, verb, key string) {
	f.t.Helper()
	f.send(fmt.Sprintf("%s %s RETURN (ALL UPDATE) %s\r\n", tag, verb, key))
	a := f.await(tag)
	at := slices.IndexFunc(a.untagged, func(line string) bool { return strings.HasPrefix(line, fmt.Sprintf("* ESEARCH (TAG %q)", tag)) })
	if a.status != "OK" || at < 0 {
		f.t.Fatalf("%s %s: %s", verb, key, a)
	}
	r := &followed{byUID: strings.HasPrefix(verb, "UID "), key: key}
	if m := foundByLine.FindStringSubmatch(a.untagged[at]); m != nil {
		r.numbers = numbersOf(m[1])
	}
	f.results[tag] = r
	f.hear(slices.Delete(a.untagged, at, at+1))
}

// hear takes up what was told, in the order of the lines.
func (f *follower) hear(lines []string) {
	f.t.Helper()
	for _, line := range lines {
		if m := goneLine.FindStringSubmatch(line); m != nil {
			f.drop(line, m)
		}
		if !strings.HasPrefix(line, "* ESEARCH ") {
			continue
		}
		m := changeLine.FindStringSubmatch(line)
		if m == nil || f.results[m[1]] == nil || f.results[m[1]].byUID != (m[2] != "") {
			f.t.Fatalf("%q is of nothing that is followed", line)
		}
		r := f.results[m[1]]
		for _, item := range changeItem.FindAllStringSubmatch(m[3], -1) {
			for _, n := range numbersOf(item[2]) {
				if slices.Contains(r.numbers, n) == (item[1] == "ADDTO") {
					f.t.Fatalf("%q, but the result is %v", line, r.numbers)
				}
				if item[1] == "ADDTO" {
					r.numbers = append(r.numbers, n)
				} else {
					r.numbers = slices.DeleteFunc(r.numbers, func(have int) bool { return have == n })
				}
			}
		}
	}
}

// drop takes messages out that are gone; no result may have them any more.
func (f *follower) drop(line string, m []string) {
	f.t.Helper()
	var seqs []int
	if m[1] != "" {
		seqs = numbersOf(m[1])
	} else {
		for _, uid := range numbersOf(m[2]) {
			seqs = append(seqs, slices.Index(f.uids, uid)+1)
		}
		slices.Sort(seqs)
		slices.Reverse(seqs)
	}
	for _, seq := range seqs {
		if seq < 1 || seq > len(f.uids) {
			f.t.Fatalf("%q of %v", line, f.uids)
		}
		for tag, r := range f.results {
			n := seq
			if r.byUID {
				n = f.uids[seq-1]
			}
			if slices.Contains(r.numbers, n) {
				f.t.Errorf("%q, and the result of %s still has %d", line, tag, n)
			}
			for i := range r.numbers {
				if !r.byUID && r.numbers[i] > seq {
					r.numbers[i]--
				}
			}
		}
		f.uids = slices.Delete(f.uids, seq-1, seq)
	}
}

// same brings the client up to date and compares what it believes with what searching anew finds.
func (f *follower) same(what string) {
	f.t.Helper()
	f.hear(f.ok("NOOP").untagged)
	f.uids = f.search("UID SEARCH", "ALL")
	for tag, r := range f.results {
		verb := "SEARCH"
		if r.byUID {
			verb = "UID SEARCH"
		}
		found := f.search(verb, r.key)
		if slices.Sort(r.numbers); !slices.Equal(found, r.numbers) {
			f.t.Errorf("after %s %s (%s) is %v for the client, and %v", what, tag, r.key, r.numbers, found)
		}
	}
}

func (f *follower) search(verb, key string) []int {
	f.t.Helper()
	a := f.ok("%s %s", verb, key)
	at := slices.IndexFunc(a.untagged, func(line string) bool { return strings.HasPrefix(line, "* SEARCH") })
	if at < 0 {
		f.t.Fatalf("%s: %s", key, a)
	}
	found := []int{}
	for n := range strings.FieldsSeq(strings.TrimPrefix(a.untagged[at], "* SEARCH")) {
		found = append(found, numbersOf(n)...)
	}
	f.hear(slices.Delete(a.untagged, at, at+1))
	return found
}

// numbersOf answers the numbers of a set.
func numbersOf(set string) (all []int) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, _ := strings.Cut(part, ":")
		first, _ := strconv.Atoi(from)
		last := first
		if to != "" {
			last, _ = strconv.Atoi(to)
		}
		for n := min(first, last); n <= max(first, last); n++ {
			all = append(all, n)
		}
	}
	return all
}

// TestFollowedSearches: in a session with mailboxes of Dovecot and embedded ones, what a search finds is kept up to date by either, under the
// client's tags: what it makes of it is what it finds when it searches anew (RFC 5267).
func TestFollowedSearches(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, nil)
	d := withStores(t, map[string]string{urgences: "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("master"))
	})
	for _, qresync := range []bool{false, true} {
		c := login(t, d, claire)
		if got := c.ok("CAPABILITY").String(); !strings.Contains(got, " CONTEXT=SEARCH ") {
			t.Fatalf("what both have: %s", got)
		}
		if qresync {
			c.ok("ENABLE QRESYNC")
		}
		for _, folder := range []string{shared(secretariat, fmt.Sprint("Suivi ", qresync)), shared(urgences, fmt.Sprint("Suivi ", qresync))} {
			t.Run(folder, func(t *testing.T) { followedSearches(t, c, login(t, d, claire), folder) })
		}
	}
}

func followedSearches(t *testing.T, c, other *client, folder string) {
	t.Helper()
	other.ok("CREATE %q", folder)
	for i := range 8 {
		other.append(folder, []string{"", `(\Seen)`, `(\Flagged)`}[i%3], message(fmt.Sprint("m", i), fmt.Sprint("sujet ", i), 300))
	}
	other.ok("SELECT %q", folder)
	other.ok(`STORE 1 +FLAGS (\Deleted)`) // numbers are not UIDs
	other.ok("EXPUNGE")
	c.ok("SELECT %q", folder)
	f := &follower{client: c, results: map[string]*followed{}}
	f.uids = f.search("UID SEARCH", "ALL")
	f.begin("unseen", "UID SEARCH", "UNSEEN")
	f.begin("numbers", "SEARCH", "OR SEEN FLAGGED")
	f.begin("text", "UID SEARCH", "SUBJECT sujet UNDELETED")
	f.begin("all", "SEARCH", "ALL")
	if a := c.do(`SEARCH RETURN (UPDATE (BODY.PEEK[])) ALL`); a.status != "BAD" {
		t.Errorf("texts of new messages: %s", a)
	}
	if c.send("all SEARCH RETURN (UPDATE) ALL\r\n"); c.await("all").status != "BAD" {
		t.Error("a tag is taken twice")
	}
	for _, step := range []struct {
		who     *client
		command string
	}{
		{other, `STORE 2,4 +FLAGS (\Seen)`},
		{c, "FETCH 1 BODY[TEXT]"}, // sets \Seen; traced by a search that Dovecot answers first
		{c, `UID STORE 3:5 FLAGS.SILENT (\Flagged)`},
		{other, "APPEND"},
		{other, `STORE 3,6:7 +FLAGS (\Deleted)`},
		{c, "FETCH 1 (FLAGS)"},
		{other, "EXPUNGE"},
		{c, "FETCH 1:2 (FLAGS)"}, // numbers stay as they are
		{c, `STORE 2 +FLAGS (\Deleted)`},
		{c, "UID EXPUNGE 1:*"},
		{other, "APPEND"},
		{c, `STORE 1:* -FLAGS (\Seen \Flagged)`},
	} {
		if step.command == "APPEND" {
			step.who.append(folder, `(\Flagged)`, message("new", "sujet neuf", 300))
		} else if a := step.who.ok("%s", step.command); step.who == c {
			f.hear(a.untagged)
		}
		f.same(step.command)
	}
	tag := c.idle()
	other.append(folder, "", message("idle", "sujet en attente", 300))
	f.hear([]string{c.news("* ESEARCH ", `(TAG "text") UID ADDTO`)})
	c.send("DONE\r\n")
	c.await(tag)
	if a := c.do(`CANCELUPDATE "numbers" "none"`); a.status != "NO" {
		t.Errorf("CANCELUPDATE of none: %s", a)
	}
	for _, key := range []string{"unseen", "numbers", "all"} { // of these IDLE may have told before the line above
		delete(f.results, key)
	}
	if a := c.ok(`CANCELUPDATE "unseen" "all"`); len(a.untagged) > 0 {
		t.Errorf("CANCELUPDATE: %s", a)
	}
	other.ok(`STORE 1:* +FLAGS (\Seen)`)
	f.same("CANCELUPDATE")
	c.ok("UNSELECT")
	c.ok("SELECT %q", folder)
	other.ok(`STORE 1:* +FLAGS (\Deleted)`)
	f.results = nil
	f.same("UNSELECT")
	for i := range 11 { // as many as either store keeps up to date, and one more
		tag := fmt.Sprint("u", i)
		c.send(tag + " UID SEARCH RETURN (UPDATE COUNT) ALL\r\n")
		refused := strings.Contains(c.await(tag).String(), fmt.Sprintf("* NO [NOUPDATE %q] ", tag))
		if refused != (i == 10) {
			t.Errorf("search %d is refused: %t", i, refused)
		}
	}
}

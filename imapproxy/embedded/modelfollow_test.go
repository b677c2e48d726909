package embedded_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// result is that of a search that a client is kept informed of, as it makes it of the first answer and of what it is told since.
type result struct {
	key     string // that finds the same whenever it is asked for
	byUID   bool
	numbers []uint32
}

var changeLine = regexp.MustCompile(`^\* ESEARCH \(TAG "(t\d+)"\)( UID)? (ADDTO|REMOVEFROM) \(0 ([0-9,:]+)\)$`)

// hearResult takes up how a result changes.
func (d *dialogue) hearResult(c *believer, command, line string) bool {
	m := changeLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	r := c.follow[m[1]]
	if r == nil || r.byUID != (m[2] != "") {
		d.t.Fatalf("%s: %q, which the client has not asked for", command, line)
	}
	for _, n := range d.numbers(m[4]) {
		at := slices.Index(r.numbers, n)
		switch {
		case (m[3] == "ADDTO") == (at >= 0):
			d.t.Fatalf("%s: %q, but the result is %v", command, line, r.numbers)
		case !r.byUID && int(n) > len(c.uids):
			d.t.Fatalf("%s: %q, but the client knows of %d messages", command, line, len(c.uids))
		case at >= 0:
			r.numbers = slices.Delete(r.numbers, at, at+1)
		default:
			r.numbers = append(r.numbers, n)
		}
	}
	return true
}

// drop takes a message out that is gone. No result may have it any more (RFC 5267, 4.3.4).
func (d *dialogue) drop(c *believer, command string, seq int) {
	for tag, r := range c.follow {
		n := uint32(seq)
		if r.byUID {
			n = c.uids[seq-1]
		}
		if slices.Contains(r.numbers, n) {
			d.t.Fatalf("%s: %d is gone, and still in the result of %s", command, n, tag)
		}
		for i := range r.numbers {
			if !r.byUID && r.numbers[i] > n {
				r.numbers[i]--
			}
		}
	}
	c.uids = slices.Delete(c.uids, seq-1, seq)
}

// compareResults searches again for each result that a client is kept informed of. Messages that others have expunged may be in one or not until
// the client is told.
func (d *dialogue) compareResults(c *believer, command string) {
	for _, tag := range slices.Sorted(maps.Keys(c.follow)) {
		r := c.follow[tag]
		again := "SEARCH " + r.key
		told, tagged := answered(c.do("%s", again))
		d.must(tagged, "OK ")
		found := d.searched(c, told[0])
		d.hear(c, again, told[1:], false)
		for i, uid := range c.uids {
			n := uint32(i + 1)
			have := n
			if r.byUID {
				have = uid
			}
			if _, there := d.folders[c.folder].messages[uid]; there && slices.Contains(found, n) != slices.Contains(r.numbers, have) {
				d.t.Fatalf("after %s the result of %s (%s) is %v for the client, and %q of %v", command, tag, r.key, r.numbers, told[0], c.uids)
			}
		}
	}
}

func (d *dialogue) found(line, head string) (numbers []uint32) {
	list, ok := strings.CutPrefix(line, head)
	if !ok {
		d.t.Fatalf("%q, want %s", line, head)
	}
	if list = strings.TrimSpace(list); list == "" {
		return nil
	}
	return d.numbers(strings.ReplaceAll(list, " ", ","))
}

var searchedLine = regexp.MustCompile(`^\* ESEARCH \(TAG "t\d+"\)(?: UID)?(?: ALL ([0-9,:]+))?$`)

// searched answers the numbers that a SEARCH is answered with: to a client of IMAP4rev2 in an ESEARCH.
func (d *dialogue) searched(c *believer, line string) []uint32 {
	if c.mode != condStoreMode {
		return d.found(line, "* SEARCH")
	}
	m := searchedLine.FindStringSubmatch(line)
	if m == nil {
		d.t.Fatalf("%q to a client of IMAP4rev2", line)
	}
	if m[1] == "" {
		return nil
	}
	return d.numbers(m[1])
}

// follow begins to follow a search.
func (d *dialogue) follow(*rapid.T) {
	c := d.selected()
	if len(c.follow) == 10 {
		d.t.Skip("as many as there can be")
	}
	r := &result{byUID: rapid.Bool().Draw(d.t, "by UID")}
	key := rapid.SampledFrom([]string{
		"SEEN", "UNDELETED", "KEYWORD Blue", "UNKEYWORD Blue", "OR FLAGGED NOT SEEN", "SUBJECT 3", "NOT (SUBJECT 1 SEEN)", "ALL", "UID *", "NOT UID 3,*", "UID 6:* UNSEEN", "numbers", "1:* FLAGGED", "* SEEN",
	}).Draw(d.t, "key")
	all := strings.ReplaceAll(strings.Trim(fmt.Sprint(c.uids), "[]"), " ", ",")
	switch r.key = key; key { // numbers are those of now
	case "numbers":
		set := d.drawNumbers(c)
		key = set[0] + " UNSEEN"
		r.key = "UID " + set[1] + " UNSEEN"
	case "1:* FLAGGED":
		r.key = "UID " + all + " FLAGGED"
	case "* SEEN":
		r.key = fmt.Sprintf("UID %d SEEN", c.uids[len(c.uids)-1])
	}
	verb := ""
	if r.byUID {
		verb = "UID "
	}
	tag := fmt.Sprintf("t%d", c.tags+1)
	told, tagged := answered(c.do("%sSEARCH RETURN (ALL UPDATE) %s", verb, key))
	d.must(tagged, "OK ")
	first, list, _ := strings.Cut(told[0], " ALL ")
	if !strings.HasPrefix(first, fmt.Sprintf("* ESEARCH (TAG %q)", tag)) {
		d.t.Fatalf("%q", told)
	}
	if list != "" {
		r.numbers = d.numbers(list)
	}
	if c.follow == nil {
		c.follow = map[string]*result{}
	}
	c.follow[tag] = r
	d.hear(c, key, told[1:], r.byUID)
	d.ask(c)
	d.compareResults(c, "UPDATE "+key)
}

// drawNumbers names some messages by number, and by UID.
func (d *dialogue) drawNumbers(c *believer) [2]string {
	first := rapid.IntRange(1, len(c.uids)).Draw(d.t, "first")
	last := rapid.IntRange(first, len(c.uids)).Draw(d.t, "last")
	return [2]string{fmt.Sprintf("%d:%d", last, first), strings.ReplaceAll(strings.Trim(fmt.Sprint(c.uids[first-1:last]), "[]"), " ", ",")}
}

// cancel ends some of what a client follows.
func (d *dialogue) cancel(*rapid.T) {
	c := d.selected()
	if len(c.follow) == 0 {
		d.t.Skip("nothing is followed")
	}
	tag := rapid.SampledFrom(slices.Sorted(maps.Keys(c.follow))).Draw(d.t, "tag")
	delete(c.follow, tag)
	_, tagged := d.run(c, true, "CANCELUPDATE %q", tag)
	d.must(tagged, "OK ")
}

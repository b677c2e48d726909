package embedded_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

// tagged sends a command under a tag of its own.
func (c *client) tagged(tag, format string, args ...any) []string {
	c.t.Helper()
	c.say("%s %s\r\n", tag, fmt.Sprintf(format, args...))
	return c.until(tag)
}

// says compares what was answered.
func says(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// followers are two clients of a folder with messages of which some are flagged.
func followers(t *testing.T) (c, other *client) {
	t.Helper()
	srv := newServer(t)
	c, other = dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	for i := range 6 {
		other.appendMessage("INBOX", []string{"", `(\Flagged) `}[i%2], fmt.Sprintf("Subject: m%d\r\n\r\n", i+1))
	}
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`) // numbers are not UIDs
	other.ok("EXPUNGE")
	c.ok("SELECT INBOX")
	return c, other // UIDs 2 to 6; flagged: 2, 4, 6
}

// TestFollowedDialogues: the dialogues of RFC 5267, 4.2 to 4.3.5.
func TestFollowedDialogues(t *testing.T) {
	c, other := followers(t)
	says(t, "A01", c.tagged("A01", "SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk"), `* ESEARCH (TAG "A01") COUNT 5`, "OK SEARCH completed")
	says(t, "B01", c.tagged("B01", `UID SEARCH RETURN (UPDATE COUNT) OR DELETED KEYWORD $Junk`), `* ESEARCH (TAG "B01") UID COUNT 0`, "OK UID SEARCH completed")
	for _, command := range []string{"SORT RETURN (UPDATE) (DATE) UTF-8 FLAGGED", "UID SEARCH RETURN (UPDATE ALL) ALL"} {
		if got := c.tagged("B01", "%s", command); len(got) != 1 || !strings.HasPrefix(got[0], "BAD ") {
			t.Errorf("%s under the same tag: %q", command, got)
		}
	}
	says(t, "the same tag without UPDATE", c.tagged("B01", "SEARCH RETURN (COUNT) ALL"), `* ESEARCH (TAG "B01") COUNT 5`, "OK SEARCH completed")
	says(t, "B02", c.tagged("B02", "UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 UNKEYWORD $Junk"),
		`* ESEARCH (TAG "B02") UID COUNT 5`, `* NO [NOUPDATE "B02"] Sorted results are not kept up to date`, "OK UID SORT completed")

	// A keyword that nobody had when the search began.
	other.ok(`UID STORE 3 FLAGS (\Deleted \Seen)`)
	other.ok(`UID STORE 4 FLAGS ($Junk \Seen)`)
	got := c.tagged("B03", "FETCH 1 (UID)")
	says(t, "changes", got[len(got)-4:], `* 2 FETCH (UID 3 FLAGS (\Seen \Deleted))`, `* 3 FETCH (UID 4 FLAGS (\Seen $Junk))`, `* ESEARCH (TAG "B01") UID ADDTO (0 3:4)`, "OK FETCH completed")

	// Its own changes, and what goes.
	says(t, "own", c.tagged("B04", `UID STORE 4,6 FLAGS.SILENT ($Junk)`), `* ESEARCH (TAG "B01") UID ADDTO (0 6)`, "OK UID STORE completed")
	says(t, "no news", c.tagged("B05", "UID STORE 6 +FLAGS.SILENT (\\Seen)"), "OK UID STORE completed")
	other.ok("EXPUNGE")
	says(t, "numbers stay", c.tagged("B06", "FETCH 1 (UID)"), "* 1 FETCH (UID 2)", "OK FETCH completed")
	says(t, "expunged", c.tagged("B07", "NOOP"), `* ESEARCH (TAG "B01") UID REMOVEFROM (0 3)`, "* 2 EXPUNGE", "OK NOOP completed")
	says(t, "unflagged", c.tagged("B08", "UID STORE 4 FLAGS.SILENT ()"), `* ESEARCH (TAG "B01") UID REMOVEFROM (0 4)`, "OK UID STORE completed")

	// New mail, in IDLE.
	c.say("B09 IDLE\r\n")
	if got := c.line(); got != "+ idling" {
		t.Fatal(got)
	}
	other.appendMessage("INBOX", "($Junk) ", "Subject: m7\r\n\r\n")
	news := []string{c.line(), c.line()}
	if news[1] == "* 1 RECENT" { // who is told first has it
		news[1] = c.line()
	}
	says(t, "IDLE", news, "* 5 EXISTS", `* ESEARCH (TAG "B01") UID ADDTO (0 7)`)
	c.say("DONE\r\n")
	c.until("B09")

	says(t, "CANCELUPDATE", c.tagged("B10", `CANCELUPDATE "B01"`), "OK CANCELUPDATE completed")
	says(t, "cancelled", c.tagged("B11", "UID STORE 6:7 FLAGS.SILENT ()"), "OK UID STORE completed")
	says(t, "the tag is free again", c.tagged("B01", "SEARCH RETURN (UPDATE) ALL"), `* ESEARCH (TAG "B01")`, "OK SEARCH completed")
}

// TestFollowedNumbers: results by number name messages by the numbers they have for the client at that moment.
func TestFollowedNumbers(t *testing.T) {
	for _, mode := range []string{"plain", "QRESYNC"} {
		t.Run(mode, func(t *testing.T) {
			c, other := followers(t)
			gone := []string{"* 3 EXPUNGE", "* 4 EXPUNGE"}
			if mode == "QRESYNC" {
				c.ok("ENABLE QRESYNC")
				gone = []string{"* VANISHED 4,6"}
			}
			says(t, "first", c.tagged("a", "SEARCH RETURN (ALL UPDATE) FLAGGED"), `* ESEARCH (TAG "a") ALL 1,3,5`, "OK SEARCH completed")
			other.ok(`UID STORE 4,6 +FLAGS.SILENT (\Deleted)`)
			c.ok("NOOP")
			other.ok("EXPUNGE")
			other.appendMessage("INBOX", `(\Flagged) `, "Subject: m7\r\n\r\n")
			got := c.tagged("b", "NOOP")
			want := append(append([]string{`* ESEARCH (TAG "a") REMOVEFROM (0 3,5)`}, gone...), "* 4 EXISTS", `* ESEARCH (TAG "a") ADDTO (0 4)`)
			says(t, "changes", got[:min(len(want), len(got))], want...)
		})
	}
}

// TestFollowedFixed: what numbers and "$" stood for when the search was made it goes on to look at (RFC 5267, 4.3); "*" of UIDs is whatever is the last.
func TestFollowedFixed(t *testing.T) {
	c, other := followers(t)
	c.ok("SEARCH RETURN (SAVE) UNFLAGGED") // 3, 5
	for tag, search := range map[string]string{
		"numbers": "2:* UNSEEN", "beyond": "7,9:8 UNSEEN", "saved": "$ UNSEEN", "both": "UID $ NOT 1 UNSEEN", "resaved": "UID $ UNSEEN", "last": "UID * UNSEEN", "from": "UID 9:* UNSEEN", "text": `SUBJECT m UNSEEN`, "not": `NOT SUBJECT m8`,
	} {
		returns := "UPDATE"
		if tag == "resaved" {
			returns = "SAVE UPDATE"
		}
		c.tagged(tag, "UID SEARCH RETURN (%s) %s", returns, search)
	}
	c.ok("SEARCH RETURN (SAVE) FLAGGED")
	changes := func(did string) (all []string) {
		t.Helper()
		for _, line := range c.ok("%s", did) {
			if rest, ok := strings.CutPrefix(line, "* ESEARCH (TAG "); ok {
				all = append(all, strings.NewReplacer(`"`, "", ") UID", "", "REMOVEFROM (0 ", "-", "ADDTO (0 ", "+", ")", "").Replace(rest))
			}
		}
		slices.Sort(all)
		return all
	}
	says(t, "seen", changes(`UID STORE 2:5 FLAGS.SILENT (\Seen)`), "both -3,5", "numbers -3:5", "resaved -3,5", "saved -3,5", "text -2:5")
	other.appendMessage("INBOX", "", "Subject: m7\r\n\r\n")
	other.appendMessage("INBOX", "", "Subject: m8\r\n\r\n")
	says(t, "new", changes("NOOP"), "from +8", "from -6", "last +8", "last -6", "not +7", "text +7:8")
	other.ok(`UID STORE 8 +FLAGS (\Deleted)`)
	other.ok("EXPUNGE")
	says(t, "gone", changes("NOOP"), "from +7", "from -8", "last +7", "last -8", "text -8")
	says(t, "unseen again", changes(`UID STORE 2:3 FLAGS.SILENT ()`), "both +3", "numbers +3", "resaved +3", "saved +3", "text +2:3")
}

// TestFollowedEnds: with the selected mailbox the client's interest ends.
func TestFollowedEnds(t *testing.T) {
	for _, command := range []string{"CLOSE", "UNSELECT", "SELECT INBOX", "EXAMINE INBOX", "SELECT nowhere"} {
		c, other := followers(t)
		c.tagged("a", "SEARCH RETURN (UPDATE) ALL")
		c.do("%s", command)
		c.ok("SELECT INBOX")
		other.appendMessage("INBOX", "", "Subject: x\r\n\r\n")
		if got := c.ok("NOOP"); len(got) != 2 {
			t.Errorf("after %s: %q", command, got)
		}
		c.expect(step{`CANCELUPDATE "a"`, []string{"NO There is no such search"}})
		if got := c.tagged("a", "SEARCH RETURN (UPDATE) ALL"); got[len(got)-1] != "OK SEARCH completed" {
			t.Errorf("the tag after %s: %q", command, got)
		}
	}
}

// TestFollowedRefused: what is not kept up to date is said not to be, and answered all the same.
func TestFollowedRefused(t *testing.T) {
	c, other := followers(t)
	says(t, "time", c.tagged("y", "SEARCH RETURN (UPDATE COUNT) NOT (SEEN YOUNGER 60)"),
		`* ESEARCH (TAG "y") COUNT 5`, `* NO [NOUPDATE "y"] Results that depend on the time of day are not kept up to date`, "OK SEARCH completed")
	for i := range 10 {
		says(t, "UPDATE", c.tagged(fmt.Sprint("f", i), "SEARCH RETURN (UPDATE) UID %d UNSEEN", i+1), fmt.Sprintf(`* ESEARCH (TAG "f%d")`, i), "OK SEARCH completed")
	}
	says(t, "too many", c.tagged("f10", "UID SEARCH RETURN (UPDATE MAX) ALL"),
		`* ESEARCH (TAG "f10") UID MAX 6`, `* NO [NOUPDATE "f10"] Too many results are kept up to date`, "OK UID SEARCH completed")
	other.ok(`UID STORE 3 +FLAGS (\Seen)`)
	says(t, "NOOP", c.tagged("n", "NOOP"), `* 2 FETCH (UID 3 FLAGS (\Seen))`, `* ESEARCH (TAG "f2") REMOVEFROM (0 2)`, "OK NOOP completed")
	says(t, "CANCELUPDATE", c.tagged("c", `CANCELUPDATE "f10" "f2" "f3"`), "NO There is no such search")
	says(t, "room", c.tagged("f3", "UID SEARCH RETURN (UPDATE) ALL"), `* ESEARCH (TAG "f3") UID`, "OK UID SEARCH completed")
	other.ok(`UID STORE 4 +FLAGS (\Seen)`)
	says(t, "those that were cancelled", c.tagged("n", "NOOP"), `* 3 FETCH (UID 4 FLAGS (\Seen \Flagged))`, "OK NOOP completed")
}

// TestPartial: RFC 5267, 4.4.
func TestPartial(t *testing.T) {
	c, _ := followers(t)
	c.expect(
		step{"UID SEARCH RETURN (PARTIAL 2:3) ALL", []string{`* ESEARCH (TAG "t2") UID PARTIAL (2:3 3:4)`, "OK…"}},
		step{"SEARCH RETURN (PARTIAL 9:4 MIN) ALL", []string{`* ESEARCH (TAG "t3") MIN 1 PARTIAL (9:4 4:5)`, "OK…"}},
		step{"SEARCH RETURN (PARTIAL 6:4294967295 COUNT) ALL", []string{`* ESEARCH (TAG "t4") COUNT 5 PARTIAL (6:4294967295 NIL)`, "OK…"}},
		step{"SEARCH RETURN (PARTIAL 1:1) SEEN", []string{`* ESEARCH (TAG "t5") PARTIAL (1:1 NIL)`, "OK…"}},
		step{"UID SORT RETURN (CONTEXT PARTIAL 1:2) (REVERSE ARRIVAL SUBJECT) UTF-8 FLAGGED", []string{`* ESEARCH (TAG "t6") UID PARTIAL (1:2 2,4)`, "OK…"}},
		step{"SEARCH RETURN (SAVE PARTIAL 2:2 MAX) ALL", []string{`* ESEARCH (TAG "t7") MAX 5 PARTIAL (2:2 2)`, "OK…"}},
		step{"UID SEARCH $", []string{"* SEARCH 3 6", "OK…"}},
		step{"SEARCH RETURN (SAVE PARTIAL 2:2 COUNT) ALL", []string{`* ESEARCH (TAG "t9") COUNT 5 PARTIAL (2:2 2)`, "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 1 2 3 4 5", "OK…"}},
		step{"SEARCH RETURN (CONTEXT) 1", []string{`* ESEARCH (TAG "t11") ALL 1`, "OK…"}},
	)
	for _, bad := range []string{
		"SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "SEARCH RETURN (ALL PARTIAL 1:2) ALL", "SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", "SEARCH RETURN (PARTIAL) ALL", "SEARCH RETURN (PARTIAL 1) ALL",
		"SEARCH RETURN (PARTIAL 0:1) ALL", "SEARCH RETURN (PARTIAL 1:*) ALL", "SEARCH RETURN (PARTIAL 1:4294967296) ALL", "SEARCH RETURN (PARTIAL -1:-2) ALL", "SEARCH RETURN (UPDATE (UID)) ALL",
		"SEARCH RETURN (UPDATES) ALL", "THREAD RETURN (UPDATE) REFERENCES UTF-8 ALL", "CANCELUPDATE", `CANCELUPDATE ""x`, `CANCELUPDATE ("t1")`, `CANCELUPDATE "t1" `, `CANCELUPDATE "t1`,
	} {
		if got := c.do("%s", bad); len(got) != 1 || !strings.HasPrefix(got[0], "BAD ") {
			t.Errorf("%s: %q", bad, got)
		}
	}
	c.ok("UNSELECT")
	c.expect(step{`CANCELUPDATE "t1"`, []string{"BAD No mailbox is selected"}})
}

package imapproxy

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"balorg/store/audit"
)

// tagged runs a command under a tag of its own.
func (c *client) tagged(tag, command string) []string {
	c.t.Helper()
	c.send(tag + " " + command + "\r\n")
	all := c.until(tag + " ")
	all[len(all)-1] = strings.TrimPrefix(all[len(all)-1], tag+" ")
	return all
}

func says(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// TestFollowed: what a search finds is kept up to date under the client's tag, beside the searches that the proxy makes for the trace, and ends
// with the mailbox (RFC 5267, 4.3).
func TestFollowed(t *testing.T) {
	f := newFixture(t, nil)
	c, other := f.login(claire), f.login(claire)
	if got := c.ok("CAPABILITY"); !strings.Contains(got[0], " CONTEXT=SEARCH ") {
		t.Errorf("%q", got)
	}
	shared := "Comptes/" + secretariat + "/INBOX"
	for n := range 4 {
		c.append("INBOX", fmt.Sprint("m", n), "")
		c.append(shared, fmt.Sprint("s", n), "")
	}
	c.ok("SELECT INBOX")
	c.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	other.ok("SELECT INBOX")

	c.send("B01 UID SEARCH RETURN (UPDATE COUNT) UNSEEN\r\nB02 SEARCH RETURN (ALL UPDATE) UNSEEN\r\n")
	says(t, "B01", c.until("B01 OK"), `* ESEARCH (TAG "B01") UID COUNT 3`, "B01 OK UID SEARCH completed")
	says(t, "B02", c.until("B02 OK"), `* ESEARCH (TAG "B02") ALL 1:3`, "B02 OK SEARCH completed")
	for _, command := range []string{"UID SEARCH RETURN (UPDATE) ALL", "SORT RETURN (UPDATE) (DATE) UTF-8 ALL"} {
		says(t, "a tag that is in use", c.tagged("B01", command), "BAD The tag is that of a search whose result is kept up to date")
	}
	says(t, "without UPDATE", c.tagged("B01", "SEARCH RETURN (COUNT) ALL"), `* ESEARCH (TAG "B01") COUNT 3`, "OK SEARCH completed")
	says(t, "reading", c.tagged("x", "FETCH 2 BODY[HEADER.FIELDS (SUBJECT)]")[1:], `* ESEARCH (TAG "B01") UID REMOVEFROM (0 3)`, `* ESEARCH (TAG "B02") REMOVEFROM (0 2)`, "OK FETCH completed")
	other.ok(`STORE 1 +FLAGS (\Deleted)`)
	c.ok("NOOP")
	c.send("i IDLE\r\n")
	c.until("+ ")
	other.ok("EXPUNGE")
	says(t, "IDLE", []string{c.next(), c.next(), c.next()}, `* ESEARCH (TAG "B01") UID REMOVEFROM (0 2)`, `* ESEARCH (TAG "B02") REMOVEFROM (0 1)`, "* 1 EXPUNGE")
	c.send("DONE\r\n")
	c.until("i OK")
	says(t, "trace", c.tagged("s", `UID STORE 4 +FLAGS.SILENT (\Seen \Deleted)`), `* ESEARCH (TAG "B01") UID REMOVEFROM (0 4)`, `* ESEARCH (TAG "B02") REMOVEFROM (0 2)`, "OK UID STORE completed")

	c.no(`CANCELUPDATE "B02" "B03"`, "NO There is no such search")
	says(t, "cancelled", c.tagged("s", `UID STORE 4 -FLAGS.SILENT (\Seen)`), `* ESEARCH (TAG "B01") UID ADDTO (0 4)`, "OK UID STORE completed")
	c.ok(`CANCELUPDATE "B01"`)
	c.no(`CANCELUPDATE "B01"`, "NO There is no such search")
	c.no("CANCELUPDATE", "BAD ")
	says(t, "a tag that is free again", c.tagged("B01", "SEARCH RETURN (UPDATE MIN) ALL"), `* ESEARCH (TAG "B01") MIN 1`, "OK SEARCH completed")
	says(t, "SORT", c.tagged("B04", "UID SORT RETURN (UPDATE) (DATE) UTF-8 ALL"),
		`* NO [NOUPDATE "B04"] Sorted results are not kept up to date`, `* ESEARCH (TAG "B04") UID COUNT 2`, "OK UID SORT completed")

	says(t, "time", c.tagged("B05", "SEARCH RETURN (UPDATE CONTEXT) NOT OLDER 60"),
		`* NO [NOUPDATE "B05"] Results that depend on the time of day are not kept up to date`, `* ESEARCH (TAG "B05") COUNT 2`, "OK SEARCH completed")

	// Of another mailbox nothing is told, in none under the tag of another.
	c.ok("SELECT " + shared)
	other.append("INBOX", "new", "")
	says(t, "shared", c.tagged("B01", "UID SEARCH RETURN (UPDATE PARTIAL 3:9) ALL"), `* ESEARCH (TAG "B01") UID PARTIAL (3:9 3:4)`, "OK UID SEARCH completed")
	c.ok("SELECT INBOX")
	other.append(shared, "new", "")
	other.append("INBOX", "new", "")
	if got := c.ok("NOOP"); !has(got, "* 4 EXISTS") || len(got) != 2 {
		t.Errorf("back in INBOX: %q", got)
	}
	c.ok("UNSELECT")
	c.no(`CANCELUPDATE "B01"`, "BAD ")
}

// TestFollowedBesideOwnSearch: an ESEARCH about a result comes while the proxy waits for the one of its own search, for the trace, which clients of IMAP4rev2
// have made by ESEARCH.
func TestFollowedBesideOwnSearch(t *testing.T) {
	f := newFixture(t, nil)
	c, other := f.login(claire), f.login(claire)
	c.ok("ENABLE IMAP4rev2")
	for n := range 3 {
		c.append("INBOX", fmt.Sprint("m", n), `(\Deleted) `)
	}
	c.ok("SELECT INBOX")
	other.ok("SELECT INBOX")
	c.tagged("a", "UID SEARCH RETURN (UPDATE) UNSEEN")
	other.ok(`STORE 1:2 +FLAGS (\Seen)`)
	got := c.tagged("b", "UID EXPUNGE 3") // the search for UID 3 DELETED tells what the other one did
	if !has(got, `* ESEARCH (TAG "a") UID REMOVEFROM (0 1:2)`) || !has(got, `* ESEARCH (TAG "a") UID REMOVEFROM (0 3)`) || strings.Contains(strings.Join(got, "\n"), `(TAG "p`) {
		t.Errorf("%q", got)
	}
	if records := f.records(audit.Expunge); len(records) != 1 || records[0].UIDs != "3" {
		t.Errorf("trace: %+v", records)
	}
}

// TestFollowedRefusedByStore: a mail store that has as many as it takes says so by our tag, and the client hears it by its own.
func TestFollowedRefusedByStore(t *testing.T) {
	c := newFixture(t, nil).login(claire)
	c.ok("SELECT INBOX")
	for n := range 10 {
		c.tagged(fmt.Sprint("f", n), "UID SEARCH RETURN (UPDATE) ALL")
	}
	says(t, "NOUPDATE", c.tagged("more", "SEARCH RETURN (UPDATE COUNT) ALL"),
		`* ESEARCH (TAG "more") COUNT 0`, `* NO [NOUPDATE "more"] The result is not kept up to date`, "OK SEARCH completed")
	c.no(`CANCELUPDATE "more"`, "NO There is no such search")
	c.ok(`CANCELUPDATE "f3"`)
	says(t, "a search that fails", c.tagged("more", "SEARCH RETURN (UPDATE) NONSENSE"), "BAD The command is not valid")
	says(t, "room", c.tagged("more", "SEARCH RETURN (UPDATE) ALL"), `* ESEARCH (TAG "more")`, "OK SEARCH completed")
}

// TestForeignTags: what a mail store says of a search that is none of the client's, or not any more, never reaches it.
func TestForeignTags(t *testing.T) {
	c := talkingOf(t, "IDLE UNSELECT CONTEXT=SEARCH", func(conn net.Conn, command func(string) string) {
		answer := ""
		for {
			switch name := command(answer); {
			case name == "":
				return
			case strings.HasPrefix(name, "SEARCH RETURN (UPDATE)"):
				answer = "* ESEARCH (TAG \"#\")\r\n# OK done\r\n"
			case name == "NOOP":
				answer = strings.Join([]string{
					`* ESEARCH (TAG "p1") ADDTO (0 7)`, `* ESEARCH (TAG "p2") ADDTO (0 1)`, `* ESEARCH (TAG "p02") ADDTO (0 7)`, `* ESEARCH (TAG "P2") ADDTO (0 7)`, `* ESEARCH (TAG "mine") ADDTO (0 7)`,
					`* ESEARCH (TAG "p9999") UID ADDTO (0 7)`, `* ESEARCH (TAG) ADDTO (0 7)`, `* ESEARCH (tag p2) REMOVEFROM (0 1)`, `* NO [NOUPDATE "p1"] x`, `* NO [NOUPDATE x`, `* NO something`, "# OK done\r\n",
				}, "\r\n")
			case strings.HasPrefix(name, "CANCELUPDATE"):
				answer = "# OK done " + name + "\r\n"
				io.WriteString(conn, "* ESEARCH (TAG \"p2\") ADDTO (0 2)\r\n")
			default:
				answer = opened
			}
		}
	})
	c.ok("SELECT INBOX")
	says(t, "first", c.tagged("mine", "SEARCH RETURN (UPDATE) ALL"), `* ESEARCH (TAG "mine")`, "OK SEARCH completed")
	says(t, "NOOP", c.tagged("n", "NOOP"), `* ESEARCH (TAG "mine") ADDTO (0 1)`, `* ESEARCH (TAG "mine") REMOVEFROM (0 1)`, "OK NOOP completed")
	says(t, "CANCELUPDATE", c.tagged("c", `CANCELUPDATE "mine"`), `* ESEARCH (TAG "mine") ADDTO (0 2)`, "OK CANCELUPDATE completed")
	says(t, "cancelled", c.tagged("n", "NOOP"), "OK NOOP completed")
	for n := range maxFollowed {
		c.tagged(fmt.Sprint("f", n), "SEARCH RETURN (UPDATE) ALL")
	}
	says(t, "beyond the bound", c.tagged("more", "SEARCH RETURN (UPDATE) ALL")[:1], `* NO [NOUPDATE "more"] Too many results are kept up to date`)
	c.ok(`CANCELUPDATE "f0"`)
	says(t, "room", c.tagged("more", "SEARCH RETURN (UPDATE) ALL"), `* ESEARCH (TAG "more")`, "OK SEARCH completed")
}

// TestReturnsOfStores: what to return is for a mail store that has it, and what it might tell for an option that we do not know is not asked for.
func TestReturnsOfStores(t *testing.T) {
	for caps, refused := range map[string][]string{
		"UNSELECT": {"SEARCH RETURN (UPDATE) ALL", "UID SEARCH RETURN (CONTEXT) ALL", "SORT RETURN (PARTIAL 1:2) (DATE) UTF-8 ALL"},
		"UNSELECT CONTEXT=SEARCH": {
			"SEARCH RETURN (UPDATE (BODY.PEEK[])) ALL", "SEARCH RETURN(UPDATE (BODY.PEEK[])) ALL", "UID SEARCH  RETURN (UPDATE (BODY.PEEK[])) ALL", "SORT RETURN (UPDATE (BODY.PEEK[])) (DATE) UTF-8 ALL", "SEARCH RETURN (RELEVANCY) ALL",
		},
	} {
		c := talkingOf(t, caps, func(_ net.Conn, command func(string) string) {
			for answer := ""; ; answer = opened {
				if name := command(answer); name == "" {
					return
				} else if strings.Contains(name, "RETURN") {
					t.Errorf("%q reaches a mail store of %s", name, caps)
				}
			}
		})
		c.ok("SELECT INBOX")
		for _, command := range refused {
			c.no(command, "BAD ")
		}
	}
}

package imapproxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/store/audit"
)

// TestRev2: what a client of IMAP4rev2 is told through the proxy, of its own mailbox and of one it shares, while another is told what RFC 3501 has.
func TestRev2(t *testing.T) {
	f := newFixture(t, nil)
	c, old := f.login(claire), f.login(claire)
	before := c.ok("CAPABILITY")[0]
	if !strings.HasPrefix(before, "* CAPABILITY IMAP4rev1 ") || !slices.Contains(strings.Fields(before), "IMAP4rev2") {
		t.Fatalf("%q", before)
	}
	if got := c.ok("ENABLE imap4REV2 X-GOOD-IDEA IMAP4rev2"); got[0] != "* ENABLED IMAP4rev2" {
		t.Fatalf("%q", got)
	}
	if got := c.ok("CAPABILITY")[0]; got != before { // RFC 9051, 6.3.1
		t.Errorf("%q", got)
	}
	for _, root := range []string{"", "Comptes/" + secretariat + "/"} {
		c.ok(`CREATE "` + root + `Été/Août"`)
		for n := range 3 {
			old.append(root+"&AMk-t&AOk-/Ao&APs-t", fmt.Sprint("m", n), "")
		}
		got := c.ok(`SELECT "` + root + `Été/Août"`)
		if !has(got, `* LIST (\HasNoChildren) "/" "`+root+`Été/Août"`) || !has(got, "* 3 EXISTS") {
			t.Errorf("%q", got)
		}
		for _, line := range got {
			if strings.HasSuffix(line, " RECENT") || strings.Contains(line, "[UNSEEN ") {
				t.Errorf("%q", line)
			}
		}
		for command, want := range map[string]string{
			"SEARCH ALL":                  " ALL 1:3",
			"UID SEARCH SUBJECT m1":       " UID ALL 2",
			`SEARCH SUBJECT "é"`:          "",
			"SEARCH RETURN (COUNT) ALL":   " COUNT 3",
			"SEARCH CHARSET UTF-8 TEXT é": "BAD",
		} {
			c.tag++
			c.send(fmt.Sprintf("t%d %s\r\n", c.tag, command))
			got := c.until(fmt.Sprintf("t%d ", c.tag))
			if want == "BAD" {
				if !strings.Contains(got[0], " BAD ") {
					t.Errorf("%s: %q", command, got)
				}
				continue
			}
			if want = fmt.Sprintf(`* ESEARCH (TAG "t%d")%s`, c.tag, want); got[0] != want {
				t.Errorf("%s: %q, want %s", command, got, want)
			}
		}
		// Which messages a command names is asked for by a search of ours, whose answer is an ESEARCH as well.
		c.ok("UID FETCH 2:3 BODY.PEEK[TEXT]")
		c.ok(`UID STORE 1 +FLAGS.SILENT (\Deleted)`)
		c.ok("CLOSE")
		old.ok(`SELECT "` + root + `&AMk-t&AOk-/Ao&APs-t"`)
		if got := old.ok("SEARCH ALL"); got[0] != "* SEARCH 1 2" {
			t.Errorf("%q", got)
		}
		c.ok(`EXAMINE "` + root + `Été/Août"`)
		if got := c.ok(`SELECT "` + root + `inbox"`); !strings.HasPrefix(got[0], "* OK [CLOSED] ") ||
			!slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, `* LIST (\HasNoChildren) "/" `+root+"INBOX") }) {
			t.Errorf("%q", got)
		}
		if got := old.ok("EXAMINE " + root + "INBOX"); slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, "* LIST") }) {
			t.Errorf("a client of IMAP4rev1 is told %q", got)
		}
		c.ok("UNSELECT")
	}
	for action, want := range map[audit.Action]string{audit.Read: "2:3", audit.StoreDeleted: "1", audit.Expunge: "1"} {
		if r := f.records(action); len(r) != 2 || r[0].UIDs != want || r[1].UIDs != want || r[0].Folder != "Été/Août" {
			t.Errorf("%s: %+v", action, r)
		}
	}
}

// TestRev2Attributes: those of SELECT's LIST are the folder's own, special uses included, in the opened mailbox alone.
func TestRev2Attributes(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	c.ok("ENABLE IMAP4rev2")
	for _, root := range []string{"", "Comptes/" + secretariat + "/"} {
		sent := c.ok(`LIST "" "` + root + `Envoyés"`)[0]
		if strings.Contains(sent, `\Sent`) != (root == "") {
			t.Errorf("%q", sent)
		}
		if got := c.ok(`SELECT "` + root + `Envoyés"`); !has(got, sent) {
			t.Errorf("%q lacks %q", got, sent)
		}
	}
}

// TestRev2Transfer: messages go between two mail stores, and the header of one may hold anything (RFC 9051, 6.3.12).
func TestRev2Transfer(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Stores["local"] = lacking(o.Stores["local"], copiesAcross) })
	c := f.login(claire)
	c.ok("ENABLE IMAP4rev2")
	m := "Subject: \xe9t\xe9\r\n\r\nx\r\n"
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s {%[1]d+}\r\n%[2]s", len(m), m))
	c.ok(`CREATE "Comptes/` + secretariat + `/Été"`)
	c.ok("SELECT INBOX")
	if got := c.ok(`UID COPY 1:2 "Comptes/` + secretariat + `/Été"`); !strings.Contains(got[0], "[COPYUID ") || !strings.Contains(got[0], " 1:2 1:2]") {
		t.Errorf("%q", got)
	}
	if got := c.ok(`UID MOVE 2 "Comptes/` + secretariat + `/Été"`); !strings.HasPrefix(got[0], "* OK [COPYUID ") || !has(got, "* 2 EXPUNGE") {
		t.Errorf("%q", got)
	}
	c.no(`COPY 1 "Comptes/`+secretariat+`/Absent é"`, "NO [TRYCREATE]")
	c.ok(`SELECT "Comptes/` + secretariat + `/Été"`)
	if got := c.ok("UID FETCH 3 BODY.PEEK[]")[0]; got != fmt.Sprintf("* 3 FETCH (UID 3 BODY[] {%d}\r\n%s)", len(m), m) {
		t.Errorf("%q", got)
	}
}

// TestRev2NotOffered: where one mail store has it not, no session with that has it, and UTF8=ACCEPT may still be there.
func TestRev2NotOffered(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Stores["local"] = lacking(o.Stores["local"], imap4rev2) })
	c := f.login(claire)
	if got := c.ok("ENABLE IMAP4rev2 UTF8=ACCEPT"); got[0] != "* ENABLED UTF8=ACCEPT" {
		t.Errorf("%q", got)
	}
	c.append("INBOX", "m", "")
	c.ok("SELECT INBOX")
	if got := c.ok("SEARCH ALL"); got[0] != "* SEARCH 1" {
		t.Errorf("%q", got)
	}
}

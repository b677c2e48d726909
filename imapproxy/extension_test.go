package imapproxy

import (
	"fmt"
	"strings"
	"testing"

	"balorg/store/audit"
)

// TestSavedResult: "$" is the mail store's, of the mailbox that is selected, and what is read or removed by it is traced by UID.
func TestSavedResult(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	shared := "Comptes/" + secretariat + "/INBOX"
	for n := range 4 {
		c.append("INBOX", fmt.Sprint("m", n), "")
		c.append(shared, fmt.Sprint("s", n), "")
	}
	c.ok("SELECT INBOX")
	c.ok("MOVE 1 Archives") // numbers are not UIDs
	for _, command := range []string{"SEARCH RETURN (SAVE) 2:3", "FETCH $ (FLAGS)", "UID FETCH $ BODY.PEEK[TEXT]", `STORE $ +FLAGS.SILENT (\Deleted)`, "COPY $ Archives", "UID COPY $ " + shared} {
		c.ok(command)
	}
	if got := c.ok("SEARCH $"); got[0] != "* SEARCH 2 3" {
		t.Errorf("%q", got)
	}
	c.ok("SELECT " + shared)
	if got := c.ok("SEARCH $"); got[0] != "* SEARCH" {
		t.Errorf("of another mailbox: %q", got)
	}
	c.ok("SELECT INBOX")
	c.ok("SEARCH RETURN (SAVE) DELETED")
	c.ok("UID EXPUNGE $")
	for action, want := range map[audit.Action]string{audit.Read: "3:4", audit.StoreDeleted: "3:4", audit.Expunge: "3:4"} {
		if r := f.records(action); len(r) != 1 || r[0].UIDs != want {
			t.Errorf("%s: %+v", action, r)
		}
	}
	copies := f.records(audit.Copy)
	if len(copies) != 2 || copies[0].UIDs != "3:4" || copies[1].UIDs != "3:4" {
		t.Errorf("copies: %+v", copies)
	}
}

// TestOrders: SORT and THREAD reach the store, and RETURN names the client's command.
func TestOrders(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	for _, subject := range []string{"b", "Re: a", "a"} {
		c.append("INBOX", subject, "")
	}
	c.ok("SELECT INBOX")
	for command, want := range map[string]string{
		"SORT (REVERSE SUBJECT) UTF-8 ALL":          "* SORT 1 2 3",
		"UID SORT (SUBJECT) UTF-8 UNDELETED":        "* SORT 2 3 1",
		"THREAD ORDEREDSUBJECT UTF-8 ALL":           "* THREAD (1)(2 3)",
		"THREAD REFERENCES US-ASCII ALL":            "* THREAD (1)(3 2)",
		"UID THREAD REFS UTF-8 ALL":                 "* THREAD (1)(2)(3)",
		"SEARCH YOUNGER 3600":                       "* SEARCH 1 2 3",
		"SEARCH SAVEDSINCE 1-Jan-2020 NOT OLDER 60": "* SEARCH 1 2 3",
	} {
		if got := c.ok(command); got[0] != want {
			t.Errorf("%s: %q, want %s", command, got, want)
		}
	}
	c.send("o1 SORT RETURN (MIN COUNT) (SUBJECT) UTF-8 ALL\r\n")
	if got := c.until("o1 OK"); !has(got, `* ESEARCH (TAG "o1") MIN 2 COUNT 3`) {
		t.Errorf("%q", got)
	}
	c.no("SORT (BOGUS) UTF-8 ALL", "BAD")
	c.no("THREAD REFERENCES KOI8-R ALL", "NO [BADCHARSET ")
}

// TestQResync: what is gone is told by UID in every mailbox of the session, and the trace has what was removed.
func TestQResync(t *testing.T) {
	f := newFixture(t, nil)
	c, other := f.login(claire), f.login(claire)
	shared := "Comptes/" + secretariat + "/INBOX"
	for _, folder := range []string{"INBOX", shared} {
		for n := range 3 {
			other.append(folder, fmt.Sprint("m", n), "")
		}
	}
	c.no("SELECT INBOX (QRESYNC (1 1))", "BAD")
	if got := c.ok("ENABLE QRESYNC"); got[0] != "* ENABLED QRESYNC" {
		t.Errorf("%q", got)
	}
	for _, folder := range []string{"INBOX", shared} {
		opened := strings.Join(c.ok("SELECT "+folder), "\n")
		_, validity, _ := strings.Cut(opened, "[UIDVALIDITY ")
		validity, _, _ = strings.Cut(validity, "]")
		other.ok("SELECT " + folder)
		other.ok(`UID STORE 2 +FLAGS.SILENT (\Deleted)`)
		other.ok("EXPUNGE")
		if got := c.ok("NOOP"); !has(got, "* VANISHED 2") {
			t.Errorf("%s: %q", folder, got)
		}
		c.ok(`UID STORE 3 +FLAGS.SILENT (\Deleted)`)
		if got := c.ok("UID EXPUNGE 3"); got[0] != "* VANISHED 3" || !strings.HasPrefix(got[1], "OK [HIGHESTMODSEQ ") {
			t.Errorf("%s: %q", folder, got)
		}
		got := c.ok(fmt.Sprintf("SELECT %s (QRESYNC (%s 2))", folder, validity))
		if !strings.HasPrefix(got[0], "* OK [CLOSED] ") || !has(got, "* VANISHED (EARLIER) 2:3") {
			t.Errorf("%s: %q", folder, got)
		}
		if got := c.ok("UID FETCH 1:* (UID) (CHANGEDSINCE 2 VANISHED)"); got[0] != "* VANISHED (EARLIER) 2:3" {
			t.Errorf("%s: %q", folder, got)
		}
	}
	if gone := f.records(audit.Expunge); len(gone) != 4 || gone[1].UIDs != "3" || gone[3].UIDs != "3" || string(gone[3].Mailbox.Address) != secretariat {
		t.Errorf("expunged: %+v", gone)
	}
}

// TestDecodedSections: a literal8 passes octet for octet, what is read of it is traced, and so are previews, which hold content.
func TestDecodedSections(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	encoded := "Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(encoded), encoded))
	binary := "Subject: x\r\n\r\ntext"
	c.ok(fmt.Sprintf("APPEND INBOX ~{%d+}\r\n%s", len(binary), binary))
	c.no("APPEND INBOX ~{3+}\r\na\x00b", "NO [UNKNOWN-CTE]")
	c.ok("SELECT INBOX")
	if got := c.ok("FETCH 1 (BINARY.SIZE[1] UID)"); got[0] != "* 1 FETCH (BINARY.SIZE[1] 3 UID 1)" {
		t.Errorf("%q", got)
	}
	if got := c.ok("FETCH 1 BINARY.PEEK[1]"); got[0] != "* 1 FETCH (BINARY[1] ~{3}\r\n\x00\x01\x02)" {
		t.Errorf("%q", got)
	}
	if got := c.ok("FETCH 2 PREVIEW"); got[0] != `* 2 FETCH (PREVIEW "text")` {
		t.Errorf("%q", got)
	}
	var reads []string
	for _, r := range f.records(audit.Read) {
		reads = append(reads, r.UIDs)
	}
	if strings.Join(reads, " ") != "1 2" {
		t.Errorf("traced as read: %q", reads)
	}
}

// TestObjectIDs: a mailbox has its id under each of its names, and a message that is copied to another mailbox keeps its own.
func TestObjectIDs(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	shared := "Comptes/" + secretariat + "/"
	id := func(lines []string) string {
		_, text, _ := strings.Cut(strings.Join(lines, "\n"), "ID (")
		text, _, _ = strings.Cut(text, ")")
		return text
	}
	made := id(c.ok("CREATE " + shared + "Dossier"))
	if made == "" || id(c.ok("STATUS "+shared+"Dossier (MAILBOXID)")) != made || id(c.ok("SELECT "+shared+"Dossier")) != made {
		t.Errorf("the mailbox has %q, and others", made)
	}
	direct := f.login(claire + "/" + secretariat)
	if got := id(direct.ok("STATUS Dossier (MAILBOXID)")); got != made {
		t.Errorf("under its own name it has %q, want %q", got, made)
	}
	c.append("INBOX", "m", "")
	c.ok("SELECT INBOX")
	message := id(c.ok("FETCH 1 EMAILID"))
	c.ok("COPY 1 " + shared + "Dossier")
	c.ok("SELECT " + shared + "Dossier")
	if got := id(c.ok("FETCH 1 EMAILID")); got != message || message == "" {
		t.Errorf("copied, it has %q, want %q", got, message)
	}
}

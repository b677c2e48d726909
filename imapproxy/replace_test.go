package imapproxy

import (
	"fmt"
	"strings"
	"testing"

	"balorg/store/audit"
)

// replaceLine is a REPLACE that does not wait.
func replaceLine(command, message string) string {
	return fmt.Sprintf("%s {%d+}\r\n%s", command, len(message), message)
}

// TestReplace: the mail store replaces, the trace has what came and what went, and who may not remove may not replace.
func TestReplace(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	for n := range 3 {
		c.append("Brouillons", fmt.Sprint("draft ", n), `(\Draft) `)
	}
	if got := c.ok("CAPABILITY"); !strings.Contains(got[0], " MULTIAPPEND REPLACE CREATE-SPECIAL-USE ") {
		t.Errorf("%q", got)
	}
	c.ok("SELECT Brouillons")
	c.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
	c.ok("EXPUNGE")
	got := c.ok(replaceLine(`REPLACE 2 Brouillons (\Draft)`, message("next")))
	if !strings.HasPrefix(got[0], "* OK [APPENDUID ") || !strings.Contains(got[0], " 4]") || !has(got, "* 2 EXPUNGE") {
		t.Errorf("%q", got)
	}
	c.ok(replaceLine("UID REPLACE 2 Archives", message("filed")))
	if got := c.ok("UID SEARCH ALL"); got[0] != "* SEARCH 4" {
		t.Errorf("%q", got)
	}
	records := f.records(audit.Append)
	last := records[len(records)-2:]
	if last[0].UIDs != "4" || last[0].Folder != "Brouillons" || last[0].UIDValidity == 0 || last[1].UIDs != "1" || last[1].Folder != "Archives" {
		t.Errorf("appended: %+v", last)
	}
	gone := f.records(audit.Expunge)
	if len(gone) != 3 || gone[1].UIDs != "3" || gone[2].UIDs != "2" || gone[2].Folder != "Brouillons" || !strings.HasPrefix(gone[2].Request, "UID REPLACE 2 Archives {") {
		t.Errorf("expunged: %+v", gone)
	}
	trap := strings.Repeat("x LOGOUT\r\n", 1000)
	shared := "Comptes/" + secretariat + "/INBOX"
	for command, want := range map[string]string{
		replaceLine("UID REPLACE 2 Archives", trap):          "NO [NONEXISTENT]",
		replaceLine("REPLACE 7 Archives", trap):              "BAD",
		replaceLine("REPLACE 1 "+shared, trap):               "NO [CANNOT]",
		replaceLine("REPLACE 1 nowhere", trap):               "NO [TRYCREATE]",
		replaceLine("REPLACE 1 Comptes/x/y", trap):           "NO [NONEXISTENT]",
		replaceLine("REPLACE 1,2 Archives", trap):            "BAD",
		"REPLACE 1 Archives":                                 "BAD",
		fmt.Sprintf("REPLACE 1 Archives {%d}", int64(1)<<40): "NO [TOOBIG]",
	} {
		c.no(command, want)
	}
	c.ok("NOOP")
	reader := f.login(paul)
	c.append(shared, "shared", "")
	reader.ok("SELECT " + shared)
	reader.no(replaceLine("REPLACE 1 "+shared, trap), "NO [NOPERM]")
	reader.no(replaceLine("REPLACE 1 INBOX", trap), "NO [NOPERM]")
	reader.ok("SELECT INBOX")
	reader.ok("UNSELECT")
	reader.no(replaceLine("REPLACE 1 INBOX", trap), "BAD")
}

// TestReplaceBySent: a draft that is replaced by what the person has just submitted goes, and the copy that is there stays the only one.
func TestReplaceBySent(t *testing.T) {
	sub := newSubmitted(t, newFixture(t, nil), sentBody, nil)
	sub.place(ourHeader)
	c := sub.login(noemie)
	c.append("Brouillons", "draft", "")
	c.ok("SELECT Brouillons")
	got := c.ok(replaceLine(fmt.Sprintf("REPLACE 1 %q (\\Seen)", sentWire), clientHeader+"\r\n"+sentBody))
	if !strings.HasPrefix(got[0], "* OK [APPENDUID ") || !has(got, "* 1 EXPUNGE") {
		t.Errorf("%q", got)
	}
	if gone := sub.records(audit.Expunge); len(gone) != 1 || gone[0].UIDs != "1" || gone[0].Folder != "Brouillons" {
		t.Errorf("expunged: %+v", gone)
	}
	if all := in(c, sentWire); len(all) != 1 {
		t.Errorf("Sent holds %q", all)
	}
	if all := in(c, "Brouillons"); len(all) != 0 {
		t.Errorf("drafts are %q", all)
	}
	// Another message is put there as it is.
	c.append("Brouillons", "draft", "")
	c.ok("SELECT Brouillons")
	c.ok(replaceLine(fmt.Sprintf("REPLACE 1 %q", sentWire), message("another")))
	if all := in(c, sentWire); len(all) != 2 {
		t.Errorf("Sent holds %q", all)
	}
}

// TestMultiAppend: several messages in one command, whose trace names them all.
func TestMultiAppend(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	got := c.ok(replaceLine("APPEND INBOX (\\Seen)", message("one")) + replaceLine(" (\\Flagged)", message("two")))
	if !strings.Contains(got[len(got)-1], " 1:2] ") {
		t.Errorf("%q", got)
	}
	if a := f.records(audit.Append); len(a) != 1 || a[0].UIDs != "1:2" || a[0].Request != "APPEND INBOX, 2 messages" {
		t.Errorf("%+v", a)
	}
}

// TestCreateSpecialUse: in the opened mailbox alone.
func TestCreateSpecialUse(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	c.ok("DELETE Archives")
	c.ok(`CREATE Dossier (USE (\Archive))`)
	if got := c.ok(`LIST "" Dossier`); got[0] != `* LIST (\Archive \HasNoChildren) "/" Dossier` {
		t.Errorf("%q", got)
	}
	c.no(`CREATE Autre (USE (\Archive))`, "NO [USEATTR]")
	c.no(`CREATE Comptes/`+secretariat+`/Autre (USE (\Archive))`, "NO [USEATTR]")
	c.no(`CREATE Autre (USE)`, "BAD")
	if r := f.records(audit.FolderChange); len(r) != 3 || r[1].Request != `CREATE Dossier (USE (\Archive))` {
		t.Errorf("%+v", r)
	}
}

package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

// TestRev2Dialogues are the dialogues of RFC 9051 on folders like those it has.
func TestRev2Dialogues(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{Quota: mb})
	for _, folder := range []string{"blurdybloop", "meeting", "funny", "owatagusiam/"} {
		c.ok("CREATE %s", folder)
	}
	for n := range 4 {
		c.appendMessage("INBOX", "", fmt.Sprintf("From: Smith <s@x>\r\nSubject: s%d\r\n\r\nhello\r\n", n))
	}
	before := c.ok("CAPABILITY")[0]
	c.expect(
		step{"ENABLE IMAP4REV2 X-GOOD-IDEA", []string{"* ENABLED IMAP4rev2", "OK …"}}, // 6.3.1
		step{"CAPABILITY", []string{before, "OK …"}},
		step{"SELECT INBOX", []string{ // 6.3.2: no RECENT, no UNSEEN
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`, "* OK [PERMANENTFLAGS …", "* 4 EXISTS", `* LIST (\HasNoChildren) "/" INBOX`,
			"* OK [UIDVALIDITY 1800000000] …", "* OK [UIDNEXT 5] …", "* OK [HIGHESTMODSEQ …", "* OK [MAILBOXID …", "OK [READ-WRITE] …",
		}},
		step{"SELECT meeting", []string{
			"* OK [CLOSED] …", "* FLAGS …", "* OK [PERMANENTFLAGS …", "* 0 EXISTS", `* LIST (\HasNoChildren) "/" meeting`, "* OK [UIDVALIDITY …", "* OK [UIDNEXT 1] …",
			"* OK [HIGHESTMODSEQ …", "* OK [MAILBOXID …", "OK [READ-WRITE] …",
		}},
		step{"SELECT Absent", []string{"* OK [CLOSED] …", "NO [NONEXISTENT] …"}},
		step{"FETCH 1 FLAGS", []string{"BAD …"}},
		step{"EXAMINE blurdybloop", []string{ // 6.3.3
			"* FLAGS …", "* OK [PERMANENTFLAGS ()] …", "* 0 EXISTS", `* LIST (\HasNoChildren) "/" blurdybloop`, "* OK [UIDVALIDITY …", "* OK [UIDNEXT 1] …",
			"* OK [HIGHESTMODSEQ …", "* OK [MAILBOXID …", "OK [READ-ONLY] …",
		}},
		step{"CREATE owatagusiam/blurdybloop", []string{"OK …"}}, // 6.3.4
		step{`LIST "" owatagusiam`, []string{`* LIST (\HasChildren) "/" owatagusiam`, "OK …"}},
		step{`LIST (SUBSCRIBED) "" "owa*" RETURN (CHILDREN)`, []string{
			`* LIST (\HasChildren \Subscribed) "/" owatagusiam`, `* LIST (\HasNoChildren \Subscribed) "/" owatagusiam/blurdybloop`, "OK …",
		}},
		step{"DELETE owatagusiam", []string{"OK …"}}, // 6.3.5: its name stays, for what is below
		step{"DELETE owatagusiam", []string{"NO [HASCHILDREN] …"}},
		step{"STATUS blurdybloop (UIDNEXT MESSAGES SIZE DELETED)", []string{"* STATUS blurdybloop (UIDNEXT 1 MESSAGES 0 SIZE 0 DELETED 0)", "OK …"}}, // 6.3.11
		step{"NAMESPACE", []string{`* NAMESPACE (("" "/")) NIL NIL`, "OK …"}},
		step{"SELECT INBOX", append(slicesOf("* OK [CLOSED] …", 9), "OK [READ-WRITE] …")},
		step{"COPY 2:4 meeting", []string{"OK [COPYUID …"}}, // 6.3.12
		step{"UID COPY 305:310 meeting", []string{"OK UID COPY completed"}},
		step{"COPY 2 nowhere", []string{"NO [TRYCREATE] …"}},
		step{"UID MOVE 1 funny", []string{"* OK [COPYUID …", "* 1 EXPUNGE", "OK …"}},
		step{"MOVE 1 nowhere", []string{"NO [TRYCREATE] …"}},
		step{`STORE 1 +FLAGS (\Deleted $Forwarded $MDNSent $Junk $NotJunk $Phishing)`, []string{"* FLAGS …", "* OK [PERMANENTFLAGS …", `* 1 FETCH (FLAGS (\Deleted $Forwarded $MDNSent $Junk $NotJunk $Phishing))`, "* FLAGS …", "* OK [PERMANENTFLAGS …", "OK …"}},
		step{"FETCH 1:2 (UID FLAGS)", []string{`* 1 FETCH (UID 2 FLAGS (\Deleted $Forwarded $MDNSent $Junk $NotJunk $Phishing))`, "* 2 FETCH (UID 3 FLAGS ())", "OK …"}},
		step{"FETCH 2 BODY[TEXT]", []string{"* 2 FETCH (BODY[TEXT] {7}\r\nhello\r\n FLAGS (\\Seen))", "OK …"}},
		step{"FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[1])", []string{"* 2 FETCH (BINARY[1] {7}\r\nhello\r\n BINARY.SIZE[1] 7)", "OK …"}},
		step{"CLOSE", []string{"OK …"}},
	)
}

func slicesOf(first string, n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = "* …"
	}
	lines[0] = first
	return lines
}

// TestRev2Search: every answer to a SEARCH is an ESEARCH (RFC 9051, 6.4.4).
func TestRev2Search(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{Quota: mb})
	for _, flags := range []string{"", `(\Flagged) `, `(\Flagged) `, `(\Deleted) `, `(\Flagged) `} {
		c.appendMessage("INBOX", flags, "Subject: =?utf-8?q?=C3=A9t=C3=A9?=\r\n\r\nx\r\n")
	}
	c.ok("SELECT INBOX")
	c.ok("UID EXPUNGE 4")
	c.ok("ENABLE CONDSTORE")
	c.ok("UNSELECT")
	c.ok("ENABLE IMAP4rev2")
	c.ok("SELECT INBOX")
	for say, want := range map[string]string{
		`SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"`: " MIN 2 COUNT 3",
		`SEARCH FLAGGED SINCE 1-Feb-1994`:                                     " ALL 2:4",
		`UID SEARCH FLAGGED`:                                                  " UID ALL 2:3,5",
		`SEARCH TEXT "string not in mailbox"`:                                 "",
		`UID SEARCH TEXT "string not in mailbox"`:                             " UID",
		`SEARCH RETURN () FLAGGED`:                                            " ALL 2:4",
		`SEARCH RETURN (COUNT) TEXT "string not in mailbox"`:                  " COUNT 0",
		`SEARCH RETURN (MIN MAX) TEXT "string not in mailbox"`:                "",
		`SEARCH CHARSET UTF-8 SUBJECT "été"`:                                  " ALL 1:4",
		`SEARCH SUBJECT "été" MODSEQ 1`:                                       " ALL 1:4 MODSEQ …",
		`SEARCH UNSEEN`:                                                       " ALL 1:4",
	} {
		tag := fmt.Sprintf("t%d", c.tags+1)
		c.expect(step{say, []string{`* ESEARCH (TAG "` + tag + `")` + want, "OK …"}})
	}
	c.expect(
		step{"SEARCH RETURN (SAVE) FLAGGED", []string{"OK …"}},
		step{"UID FETCH $ (FLAGS)", []string{"* 2 FETCH …", "* 3 FETCH …", "* 4 FETCH …", "OK …"}},
		step{"SEARCH RETURN (X-ODD) ALL", []string{"BAD …"}},
		step{"SEARCH CHARSET KOI8-R ALL", []string{"NO [BADCHARSET (US-ASCII UTF-8)] …"}},
		step{"SORT (ARRIVAL) UTF-8 FLAGGED", []string{"* SORT 2 3 4", "OK …"}}, // RFC 5256 is none of RFC 9051's
	)
}

// TestRev2Recent: \Recent is told to no client of IMAP4rev2, and to others as ever; what changed is told with the UID (RFC 9051, 7.5.2).
func TestRev2Recent(t *testing.T) {
	srv := newServer(t)
	c, old := dial(t, srv, embedded.Who{Quota: mb}), dial(t, srv, embedded.Who{Quota: mb})
	c.ok("ENABLE IMAP4rev2")
	c.ok("SELECT INBOX")
	old.ok("EXAMINE INBOX")
	c.appendMessage("INBOX", "", "a: b\r\n\r\nx")
	c.expect(step{"FETCH 1 FLAGS", []string{"* 1 FETCH (FLAGS ())", "OK …"}})
	other := dial(t, srv, embedded.Who{Quota: mb})
	other.appendMessage("INBOX", "", "a: b\r\n\r\ny")
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS.SILENT (\Flagged)`)
	c.expect(step{"NOOP", []string{"* 2 EXISTS", `* 1 FETCH (UID 1 FLAGS (\Flagged))`, "OK …"}})
	other.ok("UNSELECT")
	c.ok("UNSELECT")
	old.appendMessage("INBOX", "", "a: b\r\n\r\nz")
	if got := strings.Join(old.ok("SELECT INBOX"), "\n"); !strings.Contains(got, "* 1 RECENT") || !strings.Contains(got, "[UNSEEN 1]") {
		t.Errorf("a client of IMAP4rev1 is told %q", got)
	}
	old.expect(step{"FETCH 3 FLAGS", []string{`* 3 FETCH (FLAGS (\Recent))`, "OK …"}})
}

// TestRev2Names: the spelling that was asked for is told beside the one it has (RFC 9051, 6.3.9.7).
func TestRev2Names(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{Quota: mb})
	c.ok("ENABLE IMAP4rev2")
	c.ok(`CREATE "INBOX/Été"`)
	for say, want := range map[string]string{
		`SELECT "inbox/Été"`:  `* LIST (\HasNoChildren) "/" "INBOX/Été" ("OLDNAME" ("inbox/Été"))`,
		`EXAMINE "INBOX/Été"`: `* LIST (\HasNoChildren) "/" "INBOX/Été"`,
		`SELECT inbox`:        `* LIST (\HasChildren) "/" INBOX`,
	} {
		found := false
		for _, line := range c.ok("%s", say) {
			found = found || line == want
		}
		if !found {
			t.Errorf("%s does not tell %s", say, want)
		}
	}
	// 5.1: a name that is not composed is made for nobody, so that no command need take one for another.
	c.expect(step{"CREATE \"e\u0301\"", []string{"NO [CANNOT] …"}})
	// 8 bit in a header is no fault (6.3.12).
	c.appendMessage("INBOX", "", "Subject: \xe9\r\n\r\nx")
}

// TestMessageGlobal: a message in a part of type message/global is told of as one in message/rfc822 to clients of IMAP4rev2 and UTF8=ACCEPT (RFC 9051,
// 7.5.2; RFC 9755, 6), and to others as RFC 3501 has it: as a part like any other.
func TestMessageGlobal(t *testing.T) {
	srv := newServer(t)
	old := dial(t, srv, embedded.Who{Quota: mb})
	inner := crlf("From: Zoé <zoé@hôpital.fr>\nSubject: Résultat\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nun\n--c\nContent-Type: Message/GLOBAL\n\nSubject: fond\n\nici\n--c--\n")
	msg := crlf("Subject: rapport\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntexte\n--b\nContent-Type: message/global; charset=utf-8\n\n") + inner + crlf("\n--b--\n")
	old.appendMessage("INBOX", "", msg)
	old.appendMessage("INBOX", "", crlf("Content-Type: text/plain; name=\"message/global\"\n\n\"message\" \"global\"\n"))
	old.ok("SELECT INBOX")
	structure := old.ok("FETCH 1 BODYSTRUCTURE")[0]
	if !strings.Contains(structure, `"message" "global" ("charset" "utf-8") NIL NIL "7bit" `) || strings.Contains(structure, "Résultat") {
		t.Errorf("%q", structure)
	}
	old.expect(step{"FETCH 1 (BODY.PEEK[2.HEADER] BODY.PEEK[2.1])", []string{"* 1 FETCH (BODY[2.HEADER] NIL BODY[2.1] NIL)", "OK …"}})
	plain := old.ok("FETCH 2 (BODY BODYSTRUCTURE)")[0]
	for _, capability := range []string{"UTF8=ACCEPT", "IMAP4rev2"} {
		c := dial(t, srv, embedded.Who{Quota: mb})
		c.ok("ENABLE %s", capability)
		c.ok("SELECT INBOX")
		for _, item := range []string{"BODY", "BODYSTRUCTURE"} {
			got := c.ok("FETCH 1 %s", item)[0]
			for _, want := range []string{
				`"message" "global" ("charset" "utf-8") NIL NIL "7bit" ` + fmt.Sprint(len(inner)), "(NIL {9}\r\nRésultat ((", `("Message" "GLOBAL" NIL NIL NIL "7bit" `, `(NIL "fond" NIL`, `"MIXED"`,
			} {
				if !strings.Contains(strings.Replace(got, `"mixed"`, `"MIXED"`, 1), want) {
					t.Errorf("%s, %s: %q lacks %q", capability, item, got, want)
				}
			}
		}
		c.expect(
			step{"FETCH 1 BODY.PEEK[2.1]", []string{"* 1 FETCH (BODY[2.1] {2}\r\nun)", "OK …"}},
			step{"FETCH 1 BODY.PEEK[2.2.HEADER.FIELDS (SUBJECT)]", []string{"* 1 FETCH (BODY[2.2.HEADER.FIELDS (SUBJECT)] {17}\r\nSubject: fond\r\n\r\n)", "OK …"}},
			step{"FETCH 1 BODY.PEEK[2.2.TEXT]", []string{"* 1 FETCH (BODY[2.2.TEXT] {3}\r\nici)", "OK …"}},
			step{"FETCH 1 BINARY.SIZE[2.1]", []string{"* 1 FETCH (BINARY.SIZE[2.1] 2)", "OK …"}},
			step{"FETCH 2 (BODY BODYSTRUCTURE)", []string{plain, "OK …"}},
		)
		if got := c.ok("FETCH 1 (BODY.PEEK[] BODY.PEEK[HEADER] BODYSTRUCTURE)")[0]; !strings.Contains(got, fmt.Sprintf("BODY[] {%d}\r\n%s BODY[HEADER] {", len(msg), msg)) {
			t.Errorf("%q", got)
		}
	}
}

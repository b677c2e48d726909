package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

// TestUTF8Accept: from ENABLE UTF8=ACCEPT on names are UTF-8 in all that is said and heard (RFC 9755, 3), while another client on the same
// folder is spoken to in modified UTF-7.
func TestUTF8Accept(t *testing.T) {
	srv := newServer(t)
	c, old := dial(t, srv, embedded.Who{Quota: mb}), dial(t, srv, embedded.Who{Quota: mb})
	c.expect(
		step{`CREATE "Été"`, []string{"OK …"}}, // taken as soon as it is offered
		step{`LIST "" "&AMk*"`, []string{`* LIST (\HasNoChildren) "/" &AMk-t&AOk-`, "OK …"}},
		step{"ENABLE UTF8=ACCEPT X-GOOD-IDEA UTF8=ACCEPT", []string{"* ENABLED UTF8=ACCEPT", "OK …"}},
		step{`LIST "" "É*"`, []string{`* LIST (\HasNoChildren) "/" "Été"`, "OK …"}},
		step{`LSUB "" "Ét%"`, []string{`* LSUB () "/" "Été"`, "OK …"}},
		step{`CREATE "R&D"`, []string{"OK …"}},
		step{`CREATE "R&D/été \"1\""`, []string{"OK …"}},
		step{`LIST "" "R*" RETURN (STATUS (MESSAGES))`, []string{
			`* LIST (\HasChildren) "/" R&D`, `* STATUS R&D (MESSAGES 0)`,
			`* LIST (\HasNoChildren) "/" "R&D/été \"1\""`, `* STATUS "R&D/été \"1\"" (MESSAGES 0)`, "OK …",
		}},
		step{`CREATE "Été"`, []string{"NO [ALREADYEXISTS] …"}},
		step{`STATUS "Été" (MESSAGES)`, []string{`* STATUS "Été" (MESSAGES 0)`, "OK …"}},
		step{`GETQUOTAROOT "Été"`, []string{`* QUOTAROOT "Été" ""`, `* QUOTA "" (STORAGE 0 1024)`, "OK …"}},
		step{`RENAME "R&D/été \"1\"" "Été/août"`, []string{"OK …"}},
		step{"APPEND \"Été/août\" {3+}\r\na:b", []string{"OK [APPENDUID …"}},
		step{`UNSUBSCRIBE "Été"`, []string{"OK …"}},
		step{`LSUB "" "É*"`, []string{`* LSUB () "/" "Été/août"`, "OK …"}},
		step{`SELECT "&AMk-t&AOk-"`, []string{"NO [NONEXISTENT] …"}}, // "&" is itself
	)
	c.ok(`SELECT "Été/août"`)
	c.expect(
		step{`COPY 1 "Été"`, []string{"OK [COPYUID …"}},
		step{`MOVE 1 "Été"`, []string{"* OK [COPYUID …", "* 1 EXPUNGE", "OK …"}},
	)
	old.expect(
		step{`STATUS "&AMk-t&AOk-" (MESSAGES)`, []string{`* STATUS &AMk-t&AOk- (MESSAGES 2)`, "OK …"}},
		step{`LIST "" "*&AMk*"`, []string{`* LIST (\HasChildren) "/" &AMk-t&AOk-`, `* LIST (\HasNoChildren) "/" &AMk-t&AOk-/ao&APs-t`, "OK …"}},
		step{`LIST "" "R*"`, []string{`* LIST (\HasNoChildren) "/" R&-D`, "OK …"}},
		step{`SELECT "R&D"`, []string{"BAD …"}},
		step{`DELETE "Été/août"`, []string{"OK …"}},
	)
	c.say("z NOOP\r\n")
	if line := c.line(); !strings.HasPrefix(line, "* BYE ") {
		t.Errorf("%q", line)
	}
}

// TestNamesThatAreRefused: what is no Net-Unicode, or no UTF-8, becomes no folder.
func TestNamesThatAreRefused(t *testing.T) {
	srv := newServer(t)
	c, old := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	nfd := "e\u0301te"
	c.ok("CREATE e&AwE-te") // by a client of old, which may: it stays
	c.ok("ENABLE UTF8=ACCEPT")
	c.expect(
		step{`LIST "" "e*"`, []string{`* LIST (\HasNoChildren) "/" "` + nfd + `"`, "OK …"}},
		step{"STATUS \"" + nfd + "\" (MESSAGES)", []string{"* STATUS …", "OK …"}},
		step{"STATUS \"éte\" (MESSAGES)", []string{"NO [NONEXISTENT] …"}},
		step{"CREATE \"" + nfd + "/x\"", []string{"NO [CANNOT] …"}},
		step{"RENAME INBOX \"" + nfd + "s\"", []string{"NO [CANNOT] …"}},
		step{"RENAME \"" + nfd + "\" \"éte\"", []string{"OK …"}},
	)
	for _, name := range []string{"a\xe9", "\xed\xa0\x80", "\xff"} {
		for _, command := range []string{"CREATE %s", "SELECT %s", "RENAME INBOX %s", "STATUS %s (MESSAGES)", `LIST "" %s`, `LIST %s *`, "APPEND %s {1+}\r\nx", "GETQUOTAROOT %s", "SUBSCRIBE %s"} {
			for _, written := range []string{`"` + name + `"`, fmt.Sprintf("{%d+}\r\n%s", len(name), name)} {
				if got := c.do("%s", fmt.Sprintf(command, written)); !strings.HasPrefix(got[0], "BAD ") {
					t.Errorf(command+": %q", written, got)
				}
			}
		}
	}
	for _, name := range []string{"a\u0085b", "a\u2028b", "a\u2029b", "a\u0080", "a\u009f", "a\x7fb", "a\x01b", "é\x1f"} {
		refused := step{`CREATE "` + name + `"`, []string{"NO [CANNOT] …"}}
		c.expect(refused, step{`RENAME Sent "` + name + `"`, []string{"NO [CANNOT] …"}})
		if strings.Trim(name, "ab\x01\x7f") != "" { // modified UTF-7 has a way of its own for the others
			old.expect(refused)
		}
	}
}

// TestQuotedUTF8: strings are UTF-8 wherever one may stand, and a search names no charset (RFC 9755, 3; erratum 4029).
func TestQuotedUTF8(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", crlf("Subject: =?utf-8?q?R=C3=A9sultat?=\nX-\u00e9: b\n\nÉté\n"))
	c.appendMessage("INBOX", "", crlf("Subject: autre\n\nrien\n"))
	c.ok("ENABLE UTF8=ACCEPT")
	c.ok("SELECT INBOX")
	c.expect(
		step{`SEARCH SUBJECT "résultat"`, []string{"* SEARCH 1", "OK …"}},
		step{`SEARCH NOT BODY "été"`, []string{"* SEARCH 2", "OK …"}},
		step{"SEARCH TEXT {5+}\r\nété", []string{"* SEARCH 1", "OK …"}},
		step{`SEARCH CHARSET UTF-8 SUBJECT "résultat"`, []string{"BAD …"}},
		step{`SEARCH CHARSET KOI8-R SUBJECT x`, []string{"BAD …"}},
		step{`UID SEARCH RETURN (COUNT) CHARSET US-ASCII ALL`, []string{"BAD …"}},
		step{`SORT (SUBJECT) UTF-8 SUBJECT "résultat"`, []string{"* SORT 1", "OK …"}},
		step{`SORT (SUBJECT) US-ASCII ALL`, []string{"BAD …"}},
		step{`THREAD REFERENCES UTF-8 ALL`, []string{"* THREAD (1)(2)", "OK …"}},
		step{`UID THREAD REFS KOI8-R ALL`, []string{"BAD …"}},
		step{"SEARCH SUBJECT \"r\xe9sultat\"", []string{"BAD …"}},
		step{"SEARCH HEADER \"\xff\" x", []string{"BAD …"}},
		step{"FETCH 1 BODY[HEADER.FIELDS (\"\xe9\")]", []string{"BAD …"}},
		step{"FETCH 1 BODY[HEADER.FIELDS (\"X-É\")]", []string{"* 1 FETCH (BODY[HEADER.FIELDS ({4}\r\nX-É)] {11}\r\nX-é: b\r\n\r\n FLAGS (\\Seen \\Recent))", "OK …"}},
		step{"ENABLE UTF8=ACCEPT", []string{"BAD …"}}, // in the authenticated state alone
		step{"ENABLE QRESYNC", []string{"* ENABLED QRESYNC", "* OK [HIGHESTMODSEQ …", "OK …"}},
	)
}

// TestAppendUTF8: a message in the parentheses of RFC 6855, 4 is kept octet for octet, as any other is (RFC 9755, B.1).
func TestAppendUTF8(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{Quota: mb})
	c.ok("ENABLE UTF8=ACCEPT")
	msg := crlf("From: Zoé <zoé@hôpital.fr>\nSubject: Résultat 日本語\n\nÉté\n")
	n := len(msg)
	c.expect(
		step{fmt.Sprintf("APPEND INBOX (\\Seen) UTF8 (~{%d+}\r\n%s)", n, msg), []string{"OK [APPENDUID 1800000000 1] …"}},
		step{fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", n, msg), []string{"OK [APPENDUID 1800000000 2] …"}},
		step{fmt.Sprintf("APPEND INBOX utf8 (~{%d+}\r\n%s) \"01-Feb-2026 10:00:00 +0100\" UTF8 (~{1+}\r\nx) {1+}\r\ny", n, msg), []string{"OK [APPENDUID 1800000000 3:5] …"}},
		step{fmt.Sprintf("APPEND INBOX UTF8 ({%d+}\r\n%s)", n, msg), []string{"BAD …"}},
		step{fmt.Sprintf("APPEND INBOX UTF8 (~{%d+}\r\n%s", n, msg), []string{"BAD …"}},
		step{fmt.Sprintf("APPEND INBOX UTF8 ~{%d+}\r\n%s", n, msg), []string{"BAD …"}},
		step{"APPEND INBOX UTF8 (~{3+}\r\na\x00b)", []string{"NO [UNKNOWN-CTE] …"}},
		step{"STATUS INBOX (MESSAGES)", []string{"* STATUS INBOX (MESSAGES 5)", "OK …"}},
	)
	c.ok("SELECT INBOX")
	want := fmt.Sprintf("(UID %%d BODY[] {%d}\r\n%s)", n, msg)
	for _, uid := range []int{1, 2, 3} {
		if got := c.ok("UID FETCH %d BODY.PEEK[]", uid)[0]; !strings.HasSuffix(got, fmt.Sprintf(want, uid)) {
			t.Errorf("%q", got)
		}
	}
	c.expect(
		step{fmt.Sprintf("UID REPLACE 4 INBOX UTF8 (~{%d+}\r\n%s)", n, msg), []string{"* OK [APPENDUID …", "* 4 EXPUNGE", "* 5 EXISTS", "* 5 RECENT", "OK …"}},
	)
}

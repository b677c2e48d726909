package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

// literal is a message as it stands in a command that does not wait.
func literal(text string) string { return fmt.Sprintf("{%d+}\r\n%s", len(text), text) }

// TestMultiAppend are the examples of RFC 3502: all messages are there, each with its own flags and date, or none.
func TestMultiAppend(t *testing.T) {
	srv := newServer(t)
	c := dial(t, srv, embedded.Who{Quota: 40_000})
	one, two, three := "Subject: 1\r\n\r\n", "Subject: 22\r\n\r\n", "Subject: 333\r\n\r\n"
	c.expect(
		step{
			fmt.Sprintf(`APPEND Archives (\Seen) %s (\Flagged work) " 7-Feb-1994 22:43:04 -0800" %s " 1-Jan-2001 00:00:00 +0000" %s`, literal(one), literal(two), literal(three)),
			[]string{"OK [APPENDUID 1800000005 1:3] APPEND completed"},
		},
	)
	c.ok("SELECT Archives")
	c.expect(
		step{"FETCH 1:3 (FLAGS BODY.PEEK[])", []string{
			fmt.Sprintf("* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[] {%d}\r\n%s)", len(one), one),
			fmt.Sprintf("* 2 FETCH (FLAGS (\\Flagged work \\Recent) BODY[] {%d}\r\n%s)", len(two), two),
			fmt.Sprintf("* 3 FETCH (FLAGS (\\Recent) BODY[] {%d}\r\n%s)", len(three), three), "OK…",
		}},
		step{"FETCH 2:3 INTERNALDATE", []string{`* 2 FETCH (INTERNALDATE " 7-Feb-1994 22:43:04 -0800")`, `* 3 FETCH (INTERNALDATE " 1-Jan-2001 00:00:00 +0000")`, "OK…"}},
		step{"APPEND INBOX " + literal(one) + " " + literal(strings.Repeat("x", 30_000)) + " " + literal(strings.Repeat("y", 30_000)), []string{"NO [OVERQUOTA] …"}},
		step{"STATUS INBOX (MESSAGES UIDNEXT)", []string{"* STATUS INBOX (MESSAGES 0 UIDNEXT 1)", "OK…"}},
	)
	// Asked for one by one.
	c.say("a APPEND INBOX {%d}\r\n", len(one))
	for _, text := range []string{one + fmt.Sprintf(" {%d}\r\n", len(two)), two + "\r\n"} {
		if got := c.line(); !strings.HasPrefix(got, "+ ") {
			t.Fatal(got)
		}
		c.say("%s", text)
	}
	if got := c.until("a"); got[0] != "OK [APPENDUID 1800000000 1:2] APPEND completed" {
		t.Errorf("%q", got)
	}
}

// TestManyAppended: many messages, and much in all, go in one command; too many are refused before they are sent.
func TestManyAppended(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	var many strings.Builder
	many.WriteString("APPEND INBOX")
	for n := range 60 {
		many.WriteString(" " + literal(fmt.Sprintf("Subject: %d\r\n\r\n%s", n, strings.Repeat("text \r\n", 14_000))))
	}
	if got := c.ok("%s", many.String()); got[0] != "OK [APPENDUID 1800000000 1:60] APPEND completed" {
		t.Errorf("%q", got)
	}
	c.ok("SELECT INBOX")
	if got := c.ok("SEARCH LARGER 98000 SUBJECT 59"); got[0] != "* SEARCH 60" {
		t.Errorf("%q", got)
	}
	if got := c.do("APPEND INBOX%s", strings.Repeat(" "+literal("x"), 501)); !strings.HasPrefix(got[len(got)-1], "NO [LIMIT] ") {
		t.Errorf("%q", got)
	}
	// So are those whose structure alone would fill a transaction.
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 3000)
	if got := c.do("APPEND INBOX%s", strings.Repeat(" "+literal(parts), 8)); !strings.HasPrefix(got[len(got)-1], "NO [LIMIT] ") {
		t.Errorf("%q", got)
	}
	c.expect(step{"STATUS INBOX (MESSAGES)", []string{"* STATUS INBOX (MESSAGES 60)", "OK…"}})
}

// TestReplace is the dialogue of RFC 8508, 4.3, and what it says of failures.
func TestReplace(t *testing.T) {
	srv := newServer(t)
	c, other := dial(t, srv, embedded.Who{Quota: 4000}), dial(t, srv, embedded.Who{})
	for range 4 {
		c.appendMessage("Brouillons", "", "Subject: draft\r\n\r\n")
	}
	c.ok("SELECT Brouillons")
	other.ok("SELECT Brouillons")
	next := "Subject: next\r\n\r\n"
	c.expect(
		step{`REPLACE 4 Brouillons (\Seen \Draft) " 7-Feb-1994 22:43:04 -0800" ` + literal(next), []string{
			"* OK [APPENDUID 1800000001 5] …", "* 4 EXPUNGE", "* 4 EXISTS", "* 4 RECENT", "OK REPLACE completed",
		}},
		step{"UID REPLACE 2 Archives " + literal(next), []string{"* OK [APPENDUID 1800000005 1] …", "* 2 EXPUNGE", "OK UID REPLACE completed"}},
		step{"FETCH 3 (UID FLAGS INTERNALDATE BODY.PEEK[])", []string{
			fmt.Sprintf(`* 3 FETCH (UID 5 FLAGS (\Seen \Draft \Recent) INTERNALDATE " 7-Feb-1994 22:43:04 -0800" BODY[] {%d}`+"\r\n%s)", len(next), next), "OK…",
		}},
		step{"UID REPLACE 2 Brouillons " + literal(next), []string{"NO [NONEXISTENT] …"}},
		step{"REPLACE 9 Brouillons " + literal(next), []string{"BAD No such message"}},
		step{"REPLACE * nowhere " + literal(next), []string{"NO [TRYCREATE] …"}},
		step{"REPLACE * Brouillons {0+}\r\n", []string{"NO [CANNOT] …"}},
		step{"REPLACE * Brouillons (\\Nope) " + literal(next), []string{"BAD …"}},
		step{"REPLACE 1:2 Brouillons " + literal(next), []string{"BAD …"}},
		step{"REPLACE $ Brouillons " + literal(next), []string{"BAD …"}},
		step{"REPLACE 1 Brouillons " + literal(next) + " " + literal(next), []string{"BAD REPLACE takes one message"}},
		step{"REPLACE 1 Brouillons", []string{"BAD …"}},
		step{"REPLACE {1+}\r\n1", []string{"BAD …"}},
		step{"REPLACE 1 Brouillons {4001}", []string{"NO [OVERQUOTA] …"}},
		step{fmt.Sprintf("REPLACE 1 Brouillons {%d}", 8*mb+1), []string{"NO [TOOBIG] …"}},
		step{"REPLACE 1 {10+}\r\nBrouillons " + literal(next), []string{"* OK [APPENDUID 1800000001 6] …", "* 1 EXPUNGE", "* 3 EXISTS", "* 3 RECENT", "OK…"}},
		step{"FETCH 1:* UID", []string{"* 1 FETCH (UID 3)", "* 2 FETCH (UID 5)", "* 3 FETCH (UID 6)", "OK…"}},
	)
	// What the one leaves is room for the other: only the difference counts.
	large := "Subject: large\r\n\r\n" + strings.Repeat("x", 3800)
	c.expect(
		step{"UID REPLACE 6 Brouillons " + literal(large), []string{"* OK [APPENDUID 1800000001 7] …", "* 3 EXPUNGE", "* 3 EXISTS", "* 3 RECENT", "OK…"}},
		step{"UID REPLACE 7 Brouillons " + literal(large), []string{"* OK [APPENDUID 1800000001 8] …", "* 3 EXPUNGE", "* 3 EXISTS", "* 3 RECENT", "OK…"}},
		step{"UID REPLACE 3 Brouillons " + literal(large), []string{"NO [OVERQUOTA] …"}},
		step{"STATUS Brouillons (MESSAGES)", []string{"* STATUS Brouillons (MESSAGES 3)", "OK…"}},
	)
	// Another session has removed it meanwhile: nothing is appended.
	other.expect(step{"REPLACE 2 Archives " + literal(next), []string{"* 1 EXPUNGE", "* 1 EXPUNGE", "* 2 EXPUNGE", "* 3 EXISTS", "NO [EXPUNGEISSUED] …"}})
	other.ok("EXAMINE Brouillons")
	other.expect(step{"REPLACE 1 Brouillons " + literal(next), []string{"NO [READ-ONLY] …"}})
	other.ok("UNSELECT")
	other.expect(step{"REPLACE 1 Brouillons " + literal(next), []string{"BAD No mailbox is selected"}}, step{"NOOP", []string{"OK…"}})
}

// TestReplaceQResync: RFC 8508, 4.3 with RFC 7162.
func TestReplaceQResync(t *testing.T) {
	srv := newServer(t)
	c := qresyncClient(t, srv)
	c.appendMessage("Brouillons", "", plain)
	c.ok("SELECT Brouillons")
	c.expect(step{"UID REPLACE 1 Brouillons " + literal(plain), []string{
		"* OK [APPENDUID 1800000001 2] …", "* VANISHED 1", "* 1 EXISTS", "* 1 RECENT", "OK [HIGHESTMODSEQ 3] UID REPLACE completed",
	}})
}

// TestCreateSpecialUse: RFC 6154, 3 and 5.3.
func TestCreateSpecialUse(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.expect(
		step{`CREATE "Mes brouillons" (USE (\Drafts))`, []string{"NO [USEATTR] …"}},
		step{"DELETE Brouillons", []string{"OK…"}},
		step{`CREATE "Mes brouillons" (USE (\drafts))`, []string{"OK…"}},
		step{`LIST (SPECIAL-USE) "" "Mes*"`, []string{`* LIST (\Drafts \HasNoChildren) "/" "Mes brouillons"`, "OK…"}},
		step{`CREATE Tout (USE (\All))`, []string{"NO [USEATTR] …"}},
		step{`CREATE Tout (USE (\Sent \Trash))`, []string{"NO [USEATTR] …"}},
		step{`CREATE Tout (USE (Sent))`, []string{"NO [USEATTR] …"}},
		step{`CREATE Tout (USE ())`, []string{"OK…"}},
		step{`CREATE Tout ()`, []string{"BAD …"}},
		step{`CREATE Deux (USE (\Sent) USE (\Sent))`, []string{"BAD …"}},
		step{`CREATE Deux (OTHER (\Sent))`, []string{"BAD …"}},
		step{`CREATE Deux (USE (\Sent)`, []string{"BAD …"}},
		step{`CREATE Deux USE (\Sent)`, []string{"BAD …"}},
		step{`LIST "" "Deux"`, []string{"OK…"}},
	)
}

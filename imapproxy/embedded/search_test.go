package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/embedded"
)

func TestSearch(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", `(\Seen) "01-Nov-2026 23:59:00 +0100" `, plain)
	c.appendMessage("INBOX", `(\Flagged work) "03-Nov-2026 00:00:00 -0800" `, mixed)
	c.appendMessage("INBOX", `"05-Nov-2026 12:00:00 +0000" `, "Subject: caf\xe9 cr\xe8me\r\nDate: nonsense\r\n\r\nna\xefve\r\n")
	c.ok("SELECT INBOX")
	for _, tt := range []struct{ search, want string }{
		{"ALL", " 1 2 3"},
		{"SEEN", " 1"},
		{"UNSEEN", " 2 3"},
		{"NEW", " 2 3"},
		{"RECENT SEEN", " 1"},
		{"OLD", ""},
		{"KEYWORD WORK", " 2"},
		{"UNKEYWORD work", " 1 3"},
		{"KEYWORD none", ""},
		{"UNKEYWORD none", " 1 2 3"},
		{"FLAGGED KEYWORD work", " 2"},
		{"NOT FLAGGED", " 1 3"},
		{"OR SEEN FLAGGED", " 1 2"},
		{"2:*", " 2 3"},
		{"NOT 2", " 1 3"},
		{"UID 3,9:12", " 3"},
		{"*", " 3"},
		{"(SEEN 1)", " 1"},
		{"7", ""},
		{"BEFORE 2-Nov-2026", " 1"},
		{"ON 3-Nov-2026", " 2"},
		{"SINCE \"03-Nov-2026\"", " 2 3"},
		{"SINCE 04-Nov-2026", " 3"},
		{"SENTON 2-Nov-2026", " 1"},
		{"SENTON 3-Nov-2026", " 2"},
		{"SENTSINCE 1-Jan-2000", " 1 2"},
		{"SENTBEFORE 3-Nov-2026", " 1"},
		{fmt.Sprintf("LARGER %d", len(plain)-1), " 1 2"},
		{fmt.Sprintf("SMALLER %d", len(plain)), " 3"},
		{"SUBJECT analyses", " 2"},
		{"FROM CLAIRE", " 1"},
		{"TO secretariat", " 1"},
		{"CC x", ""},
		{"HEADER Message-ID \"\"", " 1"},
		{"HEADER message-id 1@SAPINS", " 1"},
		{"BCC \"\"", ""},
		{"CHARSET UTF-8 SUBJECT {10+}\r\nr\xc3\xa9sultats", " 1"},
		{"CHARSET utf-8 SUBJECT \"R\xc3\x89SULT\"", " 1"},
		{"CHARSET UTF-8 SUBJECT {6+}\r\ncafe\xcc\x81", " 3"},
		{"BODY \"taux de potassium\"", " 2"},
		{"CHARSET UTF-8 BODY {9+}\r\n\xc3\xa9lev\xc3\xa9 e", " 2"},
		{"CHARSET UTF-8 BODY {8+}\r\n\xc3\xa0 la pl", " 2"},
		{"BODY \"INNER HTML\"", " 2"},
		{"BODY \"inner subject\"", " 2"},
		{"BODY PDF", ""},
		{"BODY preamble", ""},
		{"TEXT potassium", " 2"},
		{"TEXT Durand", " 1"},
		{"BODY Durand", ""},
		{"TEXT \"\"", " 1 2 3"},
		{"BODY not_decoded", " 1"},
		{"OR BODY potassium SUBJECT nothing", " 2"},
		{"NOT BODY potassium", " 1 3"},
		{"UNSEEN TEXT analyses", " 2"},
	} {
		want := "* SEARCH" + tt.want
		if got := c.ok("SEARCH %s", tt.search); got[0] != want || len(got) != 2 {
			t.Errorf("SEARCH %s: %q, want %q", tt.search, got, want)
		}
	}
	c.expect(
		step{"SEARCH CHARSET KOI8-R ALL", []string{"NO [BADCHARSET (US-ASCII UTF-8)] …"}},
		step{"SEARCH RETURN () UNSEEN", []string{"* ESEARCH…", "OK…"}},
		step{"SEARCH BOGUS", []string{"BAD …"}},
		step{"SEARCH OLDER 0", []string{"BAD …"}},
	)
}

func TestExtendedSearch(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	for range 3 {
		c.appendMessage("INBOX", "", plain)
	}
	c.ok("SELECT INBOX")
	c.ok("MOVE 1 Archives") // t5: UIDs differ from numbers
	c.expect(
		step{"SEARCH RETURN (MIN MAX COUNT) ALL", []string{`* ESEARCH (TAG "t6") MIN 1 MAX 2 COUNT 2`, "OK…"}},
		step{"UID SEARCH RETURN (ALL) ALL", []string{`* ESEARCH (TAG "t7") UID ALL 2:3`, "OK…"}},
		step{"UID SEARCH RETURN (MIN COUNT ALL) SEEN", []string{`* ESEARCH (TAG "t8") UID COUNT 0`, "OK…"}},
		step{"UID SEARCH ALL", []string{"* SEARCH 2 3", "OK…"}},
	)
}

// TestSearchText: what people search for is found however the message writes it.
func TestSearchText(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", crlf("Subject: Bilan de\n\tMadame\n  Petit\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"+
		"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"+
		"taux=3D5 and a=stray sign \x0c, 100=% =\xc3\xa9 =C3=A9l=C3=A9v=\n=C3=A9 end=  \nof it=\n--b\n"+
		"Content-Type: application/pdf; name=\"=?utf-8?Q?r=C3=A9sultat.pdf?=\"\nContent-Disposition: attachment; filename=compte-rendu.pdf\n\nJVBERi0=\n--b--\n"))
	c.ok("SELECT INBOX")
	for key, found := range map[string]bool{
		`SUBJECT "bilan de madame"`: true,
		`SUBJECT "Madame Petit"`:    true,
		`BODY "taux=5"`:             true,
		`BODY "a=stray sign"`:       true,
		`BODY "100=%"`:              true,
		`BODY "élévé endof it"`:     true,
		`BODY "compte-rendu"`:       false,
		`TEXT "compte-rendu.pdf"`:   true,
		`TEXT "résultat.pdf"`:       true,
		`TEXT "JVBER"`:              false,
	} {
		want := "* SEARCH"
		if found {
			want += " 1"
		}
		if got := c.ok("SEARCH CHARSET UTF-8 %s", key); got[0] != want {
			t.Errorf("%s: %s", key, got[0])
		}
	}
}

// TestEmptyInside: a message at the end of another that holds nothing is nothing, and no error.
func TestEmptyInside(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", "Content-Type: message/rfc822\r\n\r\n")
	c.appendMessage("INBOX", "", "Subject: other\r\n\r\nthe text\r\n")
	c.ok("SELECT INBOX")
	c.expect(
		step{"SEARCH TEXT text", []string{"* SEARCH 2", "OK…"}},
		step{"SEARCH BODY absent", []string{"* SEARCH", "OK…"}},
		step{"FETCH 1 BODY.PEEK[1.HEADER.FIELDS (SUBJECT)]", []string{"* 1 FETCH (BODY[1.HEADER.FIELDS (SUBJECT)] {2}\r\n\r\n)", "OK…"}},
	)
}

// TestSearchAbandoned: a connection ends though its client has asked for a search that takes long.
func TestSearchAbandoned(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", "Subject: long\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 200_000))
	c.ok("SELECT INBOX")
	c.say("s SEARCH %s\r\n", strings.TrimSpace(strings.Repeat("NOT BODY nowhere ", 2000)))
	c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // it is at it
	if line, err := c.hear(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q, %v", line, err)
	}
	start := time.Now()
	c.conn.Close()
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// TestSentDates: the day of a date is found though its time or zone breaks the rules.
func TestSentDates(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	dates := []string{
		"Mon, 2 Nov 2026 09:30:00 +0100", "2 Nov 2026 09:30 EST", "Mon, 02 Nov 2026 23:59:59 GMT+01:00", "lundi, 2 Nov 2026 09:30:00 +0100 (heure d\xe9t\xe9)",
		"Mon, 2 Nov 2026 09:30:00", "Mon,2 Nov 2026 9h30", "2 Nov 2026", "Mon, 2 Nov 2026 09:30:00 +0100 CET",
	}
	for _, d := range dates {
		c.appendMessage("INBOX", "", "Date: "+d+"\r\n\r\nx")
	}
	for _, d := range []string{"", ",", "yesterday", "2026", "Mon, 3 Nov 2026 00:30:00 +0100"} {
		c.appendMessage("INBOX", "", "Date: "+d+"\r\n\r\nx")
	}
	c.ok("SELECT INBOX")
	for seq := range dates {
		if got := c.ok("SEARCH %d SENTON 2-Nov-2026", seq+1); got[0] != fmt.Sprintf("* SEARCH %d", seq+1) {
			t.Errorf("%s: %s", dates[seq], got[0])
		}
	}
	c.expect(step{"SEARCH SENTSINCE 3-Nov-2026", []string{"* SEARCH 13", "OK…"}}, step{"SEARCH SENTON 2-Nov-2026 9:*", []string{"* SEARCH", "OK…"}})
}

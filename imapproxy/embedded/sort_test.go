package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

// TestSavedResult are the examples of RFC 5182: what a search found is named "$" from then on, by number and by UID.
func TestSavedResult(t *testing.T) {
	srv := newServer(t)
	c, other := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{})
	for n := range 7 {
		flags := ""
		if n%2 == 1 {
			flags = `(\Flagged) `
		}
		c.appendMessage("INBOX", flags, plain)
	}
	c.ok("SELECT INBOX")
	other.ok("SELECT INBOX")
	c.expect(
		step{"FETCH $ UID", []string{"OK…"}}, // nothing is saved yet
		step{"SEARCH $", []string{"* SEARCH", "OK…"}},
		step{"SEARCH RETURN (SAVE) FLAGGED", []string{"OK…"}}, // example 1
		step{"FETCH $ (UID)", []string{"* 2 FETCH (UID 2)", "* 4 FETCH (UID 4)", "* 6 FETCH (UID 6)", "OK…"}},
		step{"SEARCH UID $ SMALLER 1", []string{"* SEARCH", "OK…"}},
		step{"SEARCH RETURN (SAVE) $ NOT 2", []string{"OK…"}}, // example 2
		step{"UID SEARCH UID $", []string{"* SEARCH 4 6", "OK…"}},
		step{`UID STORE $ +FLAGS.SILENT (\Answered)`, []string{"OK…"}},
		step{"SEARCH RETURN (SAVE) OR $ 1,3", []string{"OK…"}}, // example 3
		step{"SEARCH $", []string{"* SEARCH 1 3 4 6", "OK…"}},
		step{"SEARCH RETURN (SAVE MIN) ALL", []string{"* ESEARCH …", "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 1", "OK…"}},
		step{"SEARCH RETURN (MAX SAVE MIN) ALL", []string{"* ESEARCH …", "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 1 7", "OK…"}},
		step{"SEARCH RETURN (MAX SAVE) 2:5", []string{"* ESEARCH …", "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 5", "OK…"}},
		step{"SEARCH RETURN (MAX SAVE COUNT) 2:5", []string{"* ESEARCH …", "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 2 3 4 5", "OK…"}},
		step{"SEARCH RETURN (SAVE) BOGUS", []string{"BAD …"}}, // leaves it as it was
		step{"SEARCH $", []string{"* SEARCH 2 3 4 5", "OK…"}},
	)
	// What is expunged is not in it any more, whatever takes its number.
	other.ok(`STORE 3 +FLAGS.SILENT (\Deleted)`)
	other.ok("EXPUNGE")
	c.expect(
		step{"UID FETCH $ UID", []string{"* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "* 4 FETCH (UID 4)", "* 5 FETCH (UID 5)", "* 3 EXPUNGE", "OK…"}},
		step{"SEARCH $", []string{"* SEARCH 2 3 4", "OK…"}},
		step{"COPY $ Archives", []string{"OK [COPYUID 1800000005 2,4:5 1:3] …"}},
		step{"SEARCH RETURN (SAVE) CHARSET KOI8-R ALL", []string{"NO [BADCHARSET (US-ASCII UTF-8)] …"}}, // example 7: NO empties it
		step{"SEARCH $", []string{"* SEARCH", "OK…"}},
		step{"COPY $ Archives", []string{"OK COPY completed"}},
		step{"SEARCH RETURN (SAVE) 1:2", []string{"OK…"}},
		step{"UID EXPUNGE $", []string{"OK…"}},
		step{"UID MOVE $ Archives", []string{"* OK [COPYUID 1800000005 1:2 4:5] …", "* 1 EXPUNGE", "* 1 EXPUNGE", "OK…"}},
		step{"SEARCH RETURN (SAVE) ALL", []string{"OK…"}},
	)
	c.ok("SELECT INBOX") // another SELECT begins with nothing saved
	c.expect(step{"SEARCH $", []string{"* SEARCH", "OK…"}})
}

// TestWithin: RFC 5032.
func TestWithin(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", `"01-Nov-2001 00:00:00 +0000" `, plain)
	c.appendMessage("INBOX", "", plain)
	c.appendMessage("INBOX", `"01-Nov-2101 00:00:00 +0000" `, plain)
	c.ok("SELECT INBOX")
	for search, want := range map[string]string{
		"YOUNGER 3600": " 2 3", "OLDER 3600": " 1", "NOT OLDER 3600": " 2 3", "UNSEEN YOUNGER 259200 OLDER 9999": "",
		"YOUNGER 9223372036854775807": " 1 2 3", "OLDER 9223372036854775807": "", "OR OLDER 3600 3": " 1 3",
	} {
		if got := c.ok("SEARCH %s", search); got[0] != "* SEARCH"+want {
			t.Errorf("SEARCH %s: %q", search, got)
		}
	}
	for _, search := range []string{"OLDER 0", "YOUNGER 0", "OLDER", "OLDER -1", "OLDER x", "YOUNGER 9223372036854775808"} {
		c.expect(step{"SEARCH " + search, []string{"BAD …"}})
	}
}

// conversation fills INBOX: numbers are not UIDs, and neither order is that of dates or subjects.
func conversation(t *testing.T, srv *embedded.Server) *client {
	t.Helper()
	c := dial(t, srv, embedded.Who{})
	for _, m := range []struct{ date, from, to, subject, more string }{
		{"Mon, 2 Nov 2026 12:00:00 +0100", "x@y", "x@y", "gone", ""},
		{"Mon, 2 Nov 2026 12:00:00 +0100", "Zoé <b@x.fr>", "Équipe: a@b.fr;", "Résultats", "Message-ID: <1@t>\n"},
		{"Mon, 2 Nov 2026 09:00:00 -0800", "Alain <c@x.fr>", "b@c.fr", "Re: resultats", "Message-ID: <2@t>\nIn-Reply-To: <1@t> hier\n"},
		{"Mon, 2 Nov 2026 13:00:00 +0100", "=?utf-8?q?=C3=89mile?= <A@x.fr>", "", "Fwd: [x] =?utf-8?q?r=C3=A9sultats?= (fwd)", "Message-ID: <3@t>\nReferences: <1@t>\n <2@t>\n"},
		{"nonsense", "d@x.fr", "\"A, B\" <z@b.fr>", "Analyses", "Message-ID: <4@t>\nReferences: <2@t>\n"},
		{"Tue, 3 Nov 2026 00:30:00 +0100", "", "a@b.fr", "ANALYSES", "Message-ID: <5@t>\nCc: cc@x\n"},
	} {
		var head strings.Builder
		for _, field := range [][2]string{{"Date", m.date}, {"From", m.from}, {"To", m.to}, {"Subject", m.subject}} {
			if field[1] != "" {
				fmt.Fprintf(&head, "%s: %s\n", field[0], field[1])
			}
		}
		c.appendMessage("INBOX", `"01-Nov-2026 10:00:00 +0000" `, crlf(head.String()+m.more+"\n"+strings.Repeat("x", len(m.more))))
	}
	c.ok("SELECT INBOX")
	c.ok("MOVE 1 Archives")
	return c
}

// TestSort: each key, and several; the response is that of RFC 5256, or an ESEARCH with RETURN (RFC 5267).
func TestSort(t *testing.T) {
	c := conversation(t, newServer(t))
	for command, want := range map[string]string{
		"SORT (SUBJECT) UTF-8 ALL":                        "* SORT 4 5 2 1 3",
		"SORT (REVERSE SUBJECT) UTF-8 ALL":                "* SORT 1 3 2 4 5",
		"SORT (DATE) US-ASCII ALL":                        "* SORT 4 1 3 2 5",
		"SORT (REVERSE DATE) us-ascii ALL":                "* SORT 5 2 3 1 4",
		"UID SORT (ARRIVAL) UTF-8 NOT 3":                  "* SORT 2 3 5 6",
		"SORT (REVERSE ARRIVAL) UTF-8 ALL":                "* SORT 1 2 3 4 5",
		"SORT (FROM) UTF-8 ALL":                           "* SORT 5 3 1 2 4",
		"SORT (DISPLAYFROM) UTF-8 ALL":                    "* SORT 5 2 4 3 1",
		"SORT (TO) UTF-8 ALL":                             "* SORT 3 5 2 1 4",
		"SORT (DISPLAYTO) UTF-8 ALL":                      "* SORT 3 4 5 2 1",
		"SORT (CC REVERSE SUBJECT DATE) UTF-8 ALL":        "* SORT 1 3 2 4 5",
		"SORT (SUBJECT REVERSE DATE) UTF-8 2:*":           "* SORT 5 4 2 3",
		"SORT (SIZE) UTF-8 SUBJECT analyses":              "* SORT 5 4",
		"SORT (DATE) UTF-8 SUBJECT nothing":               "* SORT",
		"SORT (DATE) UTF-8 MODSEQ 1":                      "* SORT 4 1 3 2 5 (MODSEQ 7)",
		"SORT RETURN () (DATE) UTF-8 ALL":                 "ALL 4,1,3,2,5",
		"UID SORT RETURN (ALL COUNT) (SUBJECT) UTF-8 ALL": "UID COUNT 5 ALL 5:6,3,2,4",
		"SORT RETURN (MIN MAX) (REVERSE DATE) UTF-8 ALL":  "MIN 5 MAX 4",
		"SORT RETURN (COUNT) (DATE) UTF-8 SEEN":           "COUNT 0",
	} {
		got := c.ok("%s", command)
		_, result, _ := strings.Cut(got[0], fmt.Sprintf("* ESEARCH (TAG \"t%d\") ", c.tags))
		if len(got) != 2 && !strings.Contains(command, "MODSEQ") || got[0] != want && result != want && got[len(got)-2] != want {
			t.Errorf("%s: %q, want %s", command, got, want)
		}
	}
	c.expect(
		step{"SORT RETURN (SAVE) (DATE) UTF-8 2:4", []string{"OK…"}},
		step{"SEARCH $", []string{"* SEARCH 2 3 4", "OK…"}},
		step{"SORT (DATE) KOI8-R ALL", []string{"NO [BADCHARSET (US-ASCII UTF-8)] …"}},
	)
	for _, command := range []string{
		"SORT DATE UTF-8 ALL", "SORT () UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (REVERSE REVERSE DATE) UTF-8 ALL", "SORT (BOGUS) UTF-8 ALL", "SORT (DATE) ALL",
		"SORT (DATE) UTF-8", "SORT (DATE  SIZE) UTF-8 ALL", "SORT (" + strings.Repeat("DATE ", 20) + "DATE) UTF-8 ALL", "SORT (DATE) UTF-8 ALL ", "SORT RETURN (DATE) UTF-8 ALL",
		"SORT RETURN (BOGUS) (DATE) UTF-8 ALL", "THREAD BOGUS UTF-8 ALL", "THREAD REFERENCES ALL", "THREAD REFERENCES UTF-8", "THREAD", "UID THREAD REFS UTF-8 99999999999",
	} {
		c.expect(step{command, []string{"BAD …"}})
	}
}

func TestThread(t *testing.T) {
	c := conversation(t, newServer(t))
	c.expect(
		step{"THREAD ORDEREDSUBJECT UTF-8 ALL", []string{"* THREAD (4 5)(1 3)(2)", "OK…"}},
		step{"THREAD REFERENCES UTF-8 ALL", []string{"* THREAD (1 2 (4)(3))(5)", "OK…"}},
		step{"UID THREAD REFS US-ASCII ALL", []string{"* THREAD (2 3 (5)(4))(6)", "OK…"}},
		step{"THREAD ORDEREDSUBJECT UTF-8 ALL", []string{"* THREAD (4 5)(1 3)(2)", "OK…"}}, // of what is remembered now
		step{"THREAD REFERENCES UTF-8 ALL", []string{"* THREAD (1 2 (4)(3))(5)", "OK…"}},
		step{"THREAD REFERENCES UTF-8 3:5", []string{"* THREAD ((4)(3)(5))", "OK…"}}, // what the search leaves out is not there
		step{"THREAD references UTF-8 SEEN", []string{"* THREAD", "OK…"}},
	)
	// Two replies to what is not there stand beside one another.
	for n := range 2 {
		c.appendMessage("INBOX", "", crlf(fmt.Sprintf("Date: Wed, 4 Nov 2026 10:00:0%d +0100\nMessage-ID: <r%d@t>\nReferences: <nowhere@t>\n\n", n, n)))
	}
	c.appendMessage("INBOX", "", crlf("Date: Wed, 4 Nov 2026 10:00:01 +0100\nMessage-ID: <r3@t>\nReferences: <r1@t>\n\n"))
	c.ok("NOOP")
	c.expect(
		step{"THREAD REFERENCES UTF-8 4:*", []string{"* THREAD ((4)(5))((6)(7 8))", "OK…"}},
		step{"UID THREAD REFS UTF-8 4:*", []string{"* THREAD (5)(6)((7)(8 9))", "OK…"}},
	)
}

// TestDeepThread: one long thread is told without end of parentheses.
func TestDeepThread(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	want := "* THREAD (1"
	for n := range 300 {
		c.appendMessage("INBOX", "", fmt.Sprintf("Message-ID: <%d@t>\r\nReferences: <%d@t>\r\n\r\n", n, n-1))
		if n > 0 {
			want += fmt.Sprintf(" %d", n+1)
		}
	}
	c.ok("SELECT INBOX")
	c.expect(step{"THREAD REFERENCES UTF-8 ALL", []string{want + ")", "OK…"}})
}

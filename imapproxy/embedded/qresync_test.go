package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
	"balorg/store/mailbox"
)

// vanishing is a server whose INBOX had messages 1 to 12 (modification sequences 2 to 13), of which 2, 3, 7 and 9 are gone (15, 17), 5 and 11
// have changed (18, 19), and 13 has come (20).
func vanishing(t *testing.T) *embedded.Server {
	t.Helper()
	srv := newServer(t)
	c := condStoreClient(t, srv, 12)
	for _, set := range []string{"2:3", "7,9"} {
		c.ok(`UID STORE %s +FLAGS.SILENT (\Deleted)`, set)
		c.ok("EXPUNGE")
	}
	c.ok(`UID STORE 5 +FLAGS.SILENT (\Seen)`)
	c.ok(`UID STORE 11 +FLAGS.SILENT (\Flagged)`)
	c.appendMessage("INBOX", "", plain)
	return srv
}

// qresyncClient has enabled QRESYNC.
func qresyncClient(t *testing.T, srv *embedded.Server) *client {
	t.Helper()
	c := dial(t, srv, embedded.Who{})
	c.expect(step{"ENABLE QRESYNC", []string{"* ENABLED QRESYNC", "OK…"}})
	return c
}

// TestResync: SELECT with what the client knows tells what has changed since (RFC 7162, 3.2.5 and its examples).
func TestResync(t *testing.T) {
	srv := vanishing(t)
	const validity = 1_800_000_000
	c := qresyncClient(t, srv)
	changed := []string{`* 3 FETCH (UID 5 MODSEQ (18) FLAGS (\Seen))`, `* 7 FETCH (UID 11 MODSEQ (19) FLAGS (\Flagged))`, "* 9 FETCH (UID 13 MODSEQ (20) FLAGS ())"}
	for _, tt := range []struct {
		arguments string
		want      []string
	}{
		{fmt.Sprintf("(%d 13)", validity), append([]string{"* VANISHED (EARLIER) 2:3,7,9"}, changed...)},
		{fmt.Sprintf("(%d 15)", validity), append([]string{"* VANISHED (EARLIER) 7,9"}, changed...)},
		{fmt.Sprintf("(%d 18)", validity), changed[1:]},
		{fmt.Sprintf("(%d 20)", validity), nil},
		{fmt.Sprintf("(%d 9223372036854775807)", validity), nil},
		{fmt.Sprintf("(%d 13 1:8)", validity), append([]string{"* VANISHED (EARLIER) 2:3,7"}, changed[0])},
		{fmt.Sprintf("(%d 13 3,9:4294967295)", validity), append([]string{"* VANISHED (EARLIER) 3,9"}, changed[1:]...)},
		{fmt.Sprintf("(%d 13 10:12)", validity), changed[1:2]},
		{fmt.Sprintf("(%d 13 1:12 (1,4,8,12 1,4,8,12))", validity), append([]string{"* VANISHED (EARLIER) 2:3,7,9"}, changed[:2]...)},
		{fmt.Sprintf("(%d 13 (1:12 1:12))", validity), append([]string{"* VANISHED (EARLIER) 2:3,7,9"}, changed...)},
		{"(7 13)", nil}, // another UIDVALIDITY: all that the client knows is void
	} {
		for _, verb := range []string{"EXAMINE", "SELECT"} {
			got := c.ok("%s INBOX (QRESYNC %s)", verb, tt.arguments)
			var news []string
			for _, line := range got {
				if strings.Contains(line, " FETCH ") || strings.Contains(line, "VANISHED") {
					news = append(news, strings.Replace(line, ` \Recent`, "", 1))
				}
			}
			for i := range news {
				news[i] = strings.Replace(news[i], `\Recent`, "", 1)
			}
			if strings.Join(news, "\n") != strings.Join(tt.want, "\n") || !strings.HasPrefix(got[len(got)-1], "OK [READ-") {
				t.Errorf("%s %s: %q, want %q", verb, tt.arguments, news, tt.want)
			}
			c.ok("UNSELECT")
		}
	}
	for _, arguments := range []string{
		"()", "(1)", "(1 )", "(1 2 )", "(1 2 3 )", "(x 2)", "(1 x)", "(4294967296 1)", "(1 9223372036854775808)", "(1 2 *)", "(1 2 1:*)", "(1 2 $)", "(1 2 1 (1))", "(1 2 (1 2)",
		"(1 2 (1:3 1:2))", "(1 2 (1:* 1:3))", "(1 2 1 (1 1) 5)", "(1 2 (1:4294967295 1:4294967295))", "(1 2 (() ()))", "1 2",
	} {
		c.expect(step{"SELECT INBOX (QRESYNC " + arguments + ")", []string{"BAD …"}})
	}
	dial(t, srv, embedded.Who{}).expect(step{fmt.Sprintf("SELECT INBOX (QRESYNC (%d 13))", validity), []string{"BAD QRESYNC is not enabled"}})
}

// TestFetchVanished: RFC 7162, 3.2.6.
func TestFetchVanished(t *testing.T) {
	srv := vanishing(t)
	c := qresyncClient(t, srv)
	c.ok("SELECT INBOX")
	c.expect(
		step{"UID FETCH 1:* (UID) (CHANGEDSINCE 15 VANISHED)", []string{
			"* VANISHED (EARLIER) 7,9", "* 3 FETCH (MODSEQ (18) UID 5)", "* 7 FETCH (MODSEQ (19) UID 11)", "* 9 FETCH (MODSEQ (20) UID 13)", "OK…",
		}},
		step{"UID FETCH 2,6:8,12 (UID) (CHANGEDSINCE 13 VANISHED)", []string{"* VANISHED (EARLIER) 2,7", "OK…"}},
		step{"UID FETCH 1:* (UID) (CHANGEDSINCE 20 VANISHED)", []string{"OK…"}},
		step{"UID FETCH 1:* (UID) (VANISHED)", []string{"BAD …"}},
		step{"FETCH 1:* (UID) (CHANGEDSINCE 13 VANISHED)", []string{"BAD …"}},
		step{"UID FETCH 1:* (UID) (CHANGEDSINCE 13 VANISHED", []string{"BAD …"}},
	)
	// What another session has expunged is told as such, and not as if it had been gone before.
	other := dial(t, srv, embedded.Who{})
	other.ok("SELECT INBOX")
	other.ok(`UID STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.ok("EXPUNGE")
	c.expect(step{"UID FETCH 1:4 (UID) (CHANGEDSINCE 15 VANISHED)", []string{"* 1 FETCH (MODSEQ (21) UID 1)", "* VANISHED 1", "* OK [HIGHESTMODSEQ 22] …", "OK…"}})
	other.expect(step{"UID FETCH 1:* (UID) (CHANGEDSINCE 15 VANISHED)", []string{"BAD …"}})
}

// TestVanished: a client of QRESYNC is told of UIDs where others are told of sequence numbers, and where it stands by each command that
// expunges.
func TestVanished(t *testing.T) {
	srv := newServer(t)
	a := condStoreClient(t, srv, 9) // 2 to 10
	b := qresyncClient(t, srv)
	b.ok("SELECT INBOX")
	a.ok(`STORE 2:4,6 +FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE") // 11, 12
	b.expect(
		step{"FETCH 1 UID", []string{
			"* 1 FETCH (MODSEQ (2) UID 1)", "* OK [HIGHESTMODSEQ 10] …", "OK…", // numbers stay as they are, so that it does not know all that it was told of
		}},
		step{"NOOP", []string{"* VANISHED 2:4,6", "* OK [HIGHESTMODSEQ 12] …", "OK…"}},
		step{"NOOP", []string{"OK…"}},
		step{`STORE 1,3 +FLAGS.SILENT (\Deleted)`, []string{"* 1 FETCH (UID 1 MODSEQ (13))", "* 3 FETCH (UID 7 MODSEQ (13))", "OK…"}},
		step{"UID EXPUNGE 5:7", []string{"* VANISHED 7", "OK [HIGHESTMODSEQ 14] …"}},
		step{"UID EXPUNGE 5:7", []string{"OK UID EXPUNGE completed"}},
		step{"EXPUNGE", []string{"* VANISHED 1", "OK [HIGHESTMODSEQ 15] …"}},
		step{"EXPUNGE", []string{"OK EXPUNGE completed"}},
		step{"MOVE 1 Archives", []string{"* OK [COPYUID 1800000005 5 1] Moved", "* VANISHED 5", "OK [HIGHESTMODSEQ 16] …"}},
		step{"FETCH 1:* UID", []string{"* 1 FETCH (MODSEQ (9) UID 8)", "* 2 FETCH (MODSEQ (10) UID 9)", "OK…"}},
	)
	a.expect(step{"NOOP", []string{"* 1 EXPUNGE", "* 1 EXPUNGE", "* 1 EXPUNGE", "OK…"}})
	// CLOSE tells where it stands when nobody else has changed anything meanwhile, and else where it stood.
	b.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`) // 17
	b.expect(step{"CLOSE", []string{"OK [HIGHESTMODSEQ 18] …"}})
	b.ok("SELECT INBOX")
	b.expect(step{"CLOSE", []string{"OK CLOSE completed"}})
	b.ok("SELECT INBOX")
	b.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`) // 19
	a.appendMessage("INBOX", "", plain)      // 20
	b.expect(step{"CLOSE", []string{"OK [HIGHESTMODSEQ 19] …"}})
}

// TestForgottenExpunges: to a client that was away for longer than expunges are on record all UIDs are told that are not there, or those
// above the last sequence number that still means the same message.
func TestForgottenExpunges(t *testing.T) {
	srv := newServerWith(t, mailbox.Options{MaxMessage: 8 * mb, KeptChanges: 1})
	c := condStoreClient(t, srv, 12)
	c.ok(`UID STORE 2:3,7,9,12 +FLAGS.SILENT (\Deleted)`) // 14
	c.ok("EXPUNGE")
	q := qresyncClient(t, srv)
	const validity = 1_800_000_000
	for arguments, want := range map[string]string{
		"13":                        "2:3,7,9,12",
		"13 1:11":                   "2:3,7,9",
		"13 4:8,10:4294967295":      "7,12",
		"13 1:12 (1,4,5 1,5,7)":     "2:3,7,9,12", // 1 is the last that still is: nothing is gone below it
		"13 1:12 (1,3,4,5 1,5,6,8)": "9,12",
		"13 1:12 (2,3 1,5)":         "2:3,7,9,12",
		"13 (1:4 1,4:6)":            "7,9,12",
		"14 1:7":                    "2:3,7", "15": "", "100020": "",
		"13 4:6": "",
	} {
		got := strings.Join(q.ok("EXAMINE INBOX (QRESYNC (%d %s))", validity, arguments), "\n")
		_, told, _ := strings.Cut(got, "* VANISHED (EARLIER) ")
		told, _, _ = strings.Cut(told, "\n")
		if told != want || want == "" && strings.Contains(got, "VANISHED") {
			t.Errorf("%s: %q, want %q", arguments, told, want)
		}
		q.ok("UNSELECT")
	}
}

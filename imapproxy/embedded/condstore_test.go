package embedded_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/imapproxy/embedded"
	"balorg/imapproxy/wire"
)

// condStoreClient has INBOX open, with n messages whose modification sequences are 2 and up, and has used no command of CONDSTORE yet.
func condStoreClient(t *testing.T, srv *embedded.Server, n int) *client {
	t.Helper()
	c := dial(t, srv, embedded.Who{})
	for range n {
		c.appendMessage("INBOX", "", plain)
	}
	c.ok("SELECT INBOX")
	return c
}

// TestCondStoreSelect are examples 1, 17 and 18 of RFC 7162.
func TestCondStoreSelect(t *testing.T) {
	srv := newServer(t)
	c := condStoreClient(t, srv, 2)
	c.expect(
		step{"STATUS Archives (UIDNEXT MESSAGES HIGHESTMODSEQ)", []string{"* OK [HIGHESTMODSEQ 3] …", "* STATUS Archives (UIDNEXT 1 MESSAGES 0 HIGHESTMODSEQ 1)", "OK…"}},
		step{"STATUS INBOX (HIGHESTMODSEQ)", []string{"* STATUS INBOX (HIGHESTMODSEQ 3)", "OK…"}},
		step{`LIST "" INBOX RETURN (STATUS (HIGHESTMODSEQ))`, []string{`* LIST (\HasNoChildren) "/" INBOX`, "* STATUS INBOX (HIGHESTMODSEQ 3)", "OK…"}},
	)
	other := dial(t, srv, embedded.Who{})
	for _, verb := range []string{"SELECT INBOX (CONDSTORE)", "EXAMINE INBOX"} {
		if got := other.ok("%s", verb); strings.Count(strings.Join(got, "\n"), "* OK [HIGHESTMODSEQ 3] ") != 1 {
			t.Errorf("%s: %q", verb, got)
		}
	}
	c.ok(`STORE 1 +FLAGS (\Seen)`)
	other.expect(step{"NOOP", []string{`* 1 FETCH (UID 1 MODSEQ (4) FLAGS (\Seen))`, "OK…"}})
}

// TestCondStoreEnabling: before the first such command a client is told no modification sequences, and after each of them it is; the
// first tells where the selected mailbox stands.
func TestCondStoreEnabling(t *testing.T) {
	for command, answers := range map[string][]string{
		"ENABLE X CONDSTORE":                           {"* ENABLED CONDSTORE"},
		"FETCH 1 MODSEQ":                               {"* 1 FETCH (MODSEQ (4))"},
		"FETCH 1 (UID) (CHANGEDSINCE 9)":               nil,
		"SEARCH RETURN (COUNT) MODSEQ 9":               {`* ESEARCH (TAG "t6") COUNT 0`},
		`STORE 2 (UNCHANGEDSINCE 1) +FLAGS (\Flagged)`: {`* 2 FETCH (UID 2 MODSEQ (3) FLAGS (\Recent))`},
		"STATUS Archives (HIGHESTMODSEQ)":              {"* STATUS Archives (HIGHESTMODSEQ 1)"},
	} {
		srv := newServer(t)
		c, other := condStoreClient(t, srv, 2), dial(t, srv, embedded.Who{})
		other.ok("EXAMINE INBOX")
		c.expect(
			step{`STORE 1 +FLAGS (\Seen)`, []string{`* 1 FETCH (FLAGS (\Seen \Recent))`, "OK…"}},
			step{"FETCH 1 FLAGS", []string{`* 1 FETCH (FLAGS (\Seen \Recent))`, "OK…"}},
		)
		other.expect(step{"NOOP", []string{`* 1 FETCH (UID 1 FLAGS (\Seen))`, "OK…"}})
		got := c.ok("%s", command)
		rest := strings.Join(got[:len(got)-1], "|")
		first := "* OK [HIGHESTMODSEQ 4] Highest"
		if !strings.Contains(rest, first) || strings.Trim(strings.Replace(rest, first, "", 1), "|") != strings.Join(answers, "|") {
			t.Errorf("%s: %q", command, got)
		}
		if again := c.ok("%s", command); strings.Contains(strings.Join(again, "|"), "HIGHESTMODSEQ 4]") {
			t.Errorf("%s, again: %q", command, again)
		}
		c.expect(
			step{"FETCH 1 (UID FLAGS)", []string{`* 1 FETCH (MODSEQ (4) UID 1 FLAGS (\Seen \Recent))`, "OK…"}},
			step{"FETCH 2 BODY[]<0.1>", []string{"* 2 FETCH (UID 2 MODSEQ (5) BODY[]<0> {1}\r\nD FLAGS (\\Seen \\Recent))", "OK…"}},
			step{`STORE 1 -FLAGS (\Seen)`, []string{`* 1 FETCH (UID 1 MODSEQ (6) FLAGS (\Recent))`, "OK…"}},
			step{`STORE 1 +FLAGS.SILENT (\Seen)`, []string{`* 1 FETCH (UID 1 MODSEQ (7))`, "OK…"}},
			step{`STORE 1 +FLAGS.SILENT (\Seen)`, []string{`* 1 FETCH (UID 1 MODSEQ (7))`, "OK…"}},
		)
	}
}

// TestConditionalStore are examples 3 to 10 of RFC 7162.
func TestConditionalStore(t *testing.T) {
	srv := newServer(t)
	a, b := condStoreClient(t, srv, 9), dial(t, srv, embedded.Who{})
	a.ok("ENABLE CONDSTORE")
	b.ok("SELECT INBOX (CONDSTORE)") // 10
	a.expect(
		step{`UID STORE 6,4,8 (UNCHANGEDSINCE 10) +FLAGS.SILENT (\Deleted)`, []string{
			"* 4 FETCH (UID 4 MODSEQ (11))", "* 6 FETCH (UID 6 MODSEQ (11))", "* 8 FETCH (UID 8 MODSEQ (11))", "OK…",
		}},
		step{`STORE * (UNCHANGEDSINCE 10) +FLAGS.SILENT (\Deleted $Processed)`, []string{
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Processed)`, "* OK [PERMANENTFLAGS …", "* 9 FETCH (UID 9 MODSEQ (12))",
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Processed)`, "* OK [PERMANENTFLAGS …", "OK…",
		}},
		step{`STORE 9 (UNCHANGEDSINCE 12) -FLAGS.SILENT (\Deleted)`, []string{"* 9 FETCH (UID 9 MODSEQ (13))", "OK…"}},
	)
	// The other session's view is older than what it would change, and it is told why it failed.
	b.expect(
		step{`STORE 9,5,8 (UNCHANGEDSINCE 10) +FLAGS.SILENT (\Deleted)`, []string{
			"* 5 FETCH (UID 5 MODSEQ (14))",
			`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Processed)`, "* OK [PERMANENTFLAGS …",
			`* 4 FETCH (UID 4 MODSEQ (11) FLAGS (\Deleted))`, `* 6 FETCH (UID 6 MODSEQ (11) FLAGS (\Deleted))`,
			`* 8 FETCH (UID 8 MODSEQ (11) FLAGS (\Deleted))`, "* 9 FETCH (UID 9 MODSEQ (13) FLAGS ($Processed))", "OK [MODIFIED 8:9] …",
		}},
		step{`UID STORE 8:99 (UNCHANGEDSINCE 11) +FLAGS ($Processed)`, []string{
			`* 8 FETCH (UID 8 MODSEQ (15) FLAGS (\Deleted $Processed))`, "* 9 FETCH (UID 9 MODSEQ (13) FLAGS ($Processed))", "OK [MODIFIED 9] …",
		}},
		// A message that is named twice does not fail for its own change.
		step{`STORE 7,3:7 (UNCHANGEDSINCE 14) +FLAGS.SILENT (\Seen)`, []string{
			"* 3 FETCH (UID 3 MODSEQ (16))", "* 4 FETCH (UID 4 MODSEQ (16))", "* 5 FETCH (UID 5 MODSEQ (16))", "* 6 FETCH (UID 6 MODSEQ (16))",
			"* 7 FETCH (UID 7 MODSEQ (16))", "OK STORE completed",
		}},
		step{`STORE 9 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($Processed)`, []string{"* 9 FETCH (UID 9 MODSEQ (13) FLAGS ($Processed))", "OK [MODIFIED 9] …"}},
		step{`STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\Seen)`, []string{"* 1 FETCH (UID 1 MODSEQ (2) FLAGS ())", "OK [MODIFIED 1] …"}},
		step{`STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($Processed)`, []string{"* 1 FETCH (UID 1 MODSEQ (17))", "OK STORE completed"}},
	)
	b.ok("EXAMINE INBOX")
	b.expect(step{`STORE 1 (UNCHANGEDSINCE 99) +FLAGS (\Seen)`, []string{"NO [READ-ONLY] …"}})
}

// TestConditionalStoreExpunged is example 11 of RFC 7162.
func TestConditionalStoreExpunged(t *testing.T) {
	srv := newServer(t)
	a, b := condStoreClient(t, srv, 7), dial(t, srv, embedded.Who{})
	b.ok("SELECT INBOX (CONDSTORE)") // 8
	a.ok(`STORE 2 +FLAGS (\Flagged)`)
	a.ok(`STORE 4:7 +FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE")
	b.expect(
		step{`STORE 1:7 (UNCHANGEDSINCE 8) +FLAGS (\Seen)`, []string{
			`* 1 FETCH (UID 1 MODSEQ (12) FLAGS (\Seen))`, `* 3 FETCH (UID 3 MODSEQ (12) FLAGS (\Seen))`, `* 2 FETCH (UID 2 MODSEQ (9) FLAGS (\Flagged))`,
			"NO [MODIFIED 2] Some of the messages no longer exist",
		}},
		step{`UID STORE 2:5 (UNCHANGEDSINCE 8) +FLAGS.SILENT (\Seen)`, []string{
			`* 2 FETCH (UID 2 MODSEQ (9) FLAGS (\Flagged))`, `* 3 FETCH (UID 3 MODSEQ (12) FLAGS (\Seen))`,
			"* 4 EXPUNGE", "* 4 EXPUNGE", "* 4 EXPUNGE", "* 4 EXPUNGE", "OK [MODIFIED 2:3] …",
		}},
		step{`STORE 2 (UNCHANGEDSINCE 9) +FLAGS (\Seen)`, []string{`* 2 FETCH (UID 2 MODSEQ (13) FLAGS (\Seen \Flagged))`, "OK STORE completed"}},
	)
}

// TestFetchChangedSince are examples 12 to 14 of RFC 7162.
func TestFetchChangedSince(t *testing.T) {
	srv := newServer(t)
	a, b := condStoreClient(t, srv, 4), dial(t, srv, embedded.Who{})
	b.ok("SELECT INBOX (CONDSTORE)")
	a.ok("MOVE 2 Archives") // UIDs are not numbers from here on
	a.expect(
		step{"FETCH 1:3 (MODSEQ)", []string{"* OK [HIGHESTMODSEQ 6] …", "* 1 FETCH (MODSEQ (2))", "* 2 FETCH (MODSEQ (4))", "* 3 FETCH (MODSEQ (5))", "OK…"}},
		step{`STORE 3 +FLAGS.SILENT (\Deleted)`, []string{"* 3 FETCH (UID 4 MODSEQ (7))", "OK…"}},
		step{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 4)", []string{`* 3 FETCH (UID 4 MODSEQ (7) FLAGS (\Deleted \Recent))`, "OK…"}},
		step{"FETCH 1:* (FLAGS) (CHANGEDSINCE 3)", []string{`* 2 FETCH (MODSEQ (4) FLAGS (\Recent))`, `* 3 FETCH (MODSEQ (7) FLAGS (\Deleted \Recent))`, "OK…"}},
		step{"UID FETCH 1:* (MODSEQ UID) (CHANGEDSINCE 9223372036854775807)", []string{"OK…"}},
		step{"UID FETCH 1:* BODY[]<0.1> (CHANGEDSINCE 4)", []string{"* 3 FETCH (UID 4 MODSEQ (8) BODY[]<0> {1}\r\nD FLAGS (\\Seen \\Deleted \\Recent))", "OK…"}},
		step{"STORE 3 FLAGS.SILENT ()", []string{"* 3 FETCH (UID 4 MODSEQ (9))", "OK…"}},
	)
	b.expect(
		step{"UID FETCH 1:* UID (CHANGEDSINCE 6)", []string{"* 4 FETCH (MODSEQ (9) UID 4)", "* 2 EXPUNGE", "* 3 FETCH (UID 4 MODSEQ (9) FLAGS ())", "OK…"}},
		step{"NOOP", []string{"OK…"}},
	)
}

// TestSearchModSeq are examples 15, 16 and 19 of RFC 7162, and the rules of RFC 4731, 3.2.
func TestSearchModSeq(t *testing.T) {
	c := condStoreClient(t, newServer(t), 5) // 2 to 6
	c.ok("ENABLE CONDSTORE")
	c.ok(`STORE 2 +FLAGS (\Seen)`)            // 7
	c.ok(`STORE 4 +FLAGS (\Seen)`)            // 8
	c.ok(`UID STORE 5 +FLAGS.SILENT (\Seen)`) // 9
	c.ok(`STORE 3 -FLAGS.SILENT (\Answered)`) // as it was
	c.ok("MOVE 1 Archives")                   // 10; numbers are one below UIDs
	for search, want := range map[string]string{
		`MODSEQ "/flags/\\draft" all 7`: "* SEARCH 1 3 4 (MODSEQ 9)",
		`OR NOT MODSEQ 1 LARGER 50000`:  "* SEARCH",
		"MODSEQ 0 NOT 4":                "* SEARCH 1 2 3 (MODSEQ 8)",
		"NOT MODSEQ 8":                  "* SEARCH 1 2 (MODSEQ 7)",
		"MODSEQ 8 TEXT Bonjour":         "* SEARCH 3 4 (MODSEQ 9)",
		"MODSEQ 10":                     "* SEARCH",
		"SEEN":                          "* SEARCH 1 3 4",
		"RETURN (ALL) MODSEQ 7":         "ALL 1,3:4 MODSEQ 9",
		"RETURN () MODSEQ 7 1:3":        "ALL 1,3 MODSEQ 8",
		"RETURN (MIN) MODSEQ 2":         "MIN 1 MODSEQ 7",
		"RETURN (MAX) MODSEQ 2 1:3":     "MAX 3 MODSEQ 8",
		"RETURN (MIN MAX) MODSEQ 2 1:2": "MIN 1 MAX 2 MODSEQ 7",
		"RETURN (MIN COUNT) MODSEQ 2":   "MIN 1 COUNT 4 MODSEQ 9",
		"RETURN (COUNT) MODSEQ 10":      "COUNT 0",
		"RETURN (ALL) SEEN":             "ALL 1,3:4",
	} {
		got := c.ok("SEARCH %s", search)
		_, result, _ := strings.Cut(got[0], fmt.Sprintf("* ESEARCH (TAG \"t%d\") ", c.tags))
		if got[0] != want && result != want || len(got) != 2 {
			t.Errorf("SEARCH %s: %q, want %s", search, got, want)
		}
	}
	c.expect(step{"UID SEARCH MODSEQ 8", []string{"* SEARCH 4 5 (MODSEQ 9)", "OK…"}})
}

// TestGoIMAPCondStore: a client that others wrote understands what is told of modification sequences.
func TestGoIMAPCondStore(t *testing.T) {
	srv := newServer(t)
	condStoreClient(t, srv, 3) // 2 to 4
	conn, err := srv.Open(t.Context(), embedded.Who{Account: claire, Person: claire})
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	sel, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil || sel.HighestModSeq != 4 {
		t.Fatalf("select: %+v, %v", sel, err)
	}
	add := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}
	stored, err := c.Store(imap.UIDSetNum(2, 3), add, &imap.StoreOptions{UnchangedSince: 3}).Collect()
	if err != nil || len(stored) != 2 || stored[0].ModSeq != 5 || stored[1].ModSeq != 4 {
		t.Errorf("store: %+v, %v", stored, err)
	}
	changed, err := c.Fetch(imap.SeqSetNum(1, 2, 3), &imap.FetchOptions{ModSeq: true, UID: true, ChangedSince: 4}).Collect()
	if err != nil || len(changed) != 1 || changed[0].UID != 2 || changed[0].ModSeq != 5 {
		t.Errorf("fetch: %+v, %v", changed, err)
	}
	status, err := c.Status("INBOX", &imap.StatusOptions{HighestModSeq: true}).Wait()
	if err != nil || status.HighestModSeq != 5 {
		t.Errorf("status: %+v, %v", status, err)
	}
	for _, options := range []*imap.SearchOptions{nil, {ReturnAll: true}} {
		found, err := c.UIDSearch(&imap.SearchCriteria{ModSeq: &imap.SearchCriteriaModSeq{ModSeq: 4}}, options).Wait()
		if err != nil || !slices.Equal(found.AllUIDs(), []imap.UID{2, 3}) || found.ModSeq != 5 {
			t.Errorf("search: %+v, %v", found, err)
		}
	}
}

// TestCondStoreUIDs: what the proxy asks for the trace is told apart from news in a session with CONDSTORE, too.
func TestCondStoreUIDs(t *testing.T) {
	c := condStoreClient(t, newServer(t), 2)
	c.ok("ENABLE CONDSTORE")
	for seq, line := range c.ok("FETCH 1:2 (UID)")[:2] {
		rest := strings.TrimPrefix(line, fmt.Sprintf("* %d FETCH ", seq+1))
		if uid, ok := wire.FetchedUID([]byte(rest)); !ok || uid != uint32(seq+1) {
			t.Errorf("%s: %d, %v", line, uid, ok)
		}
	}
	got := c.ok(`STORE 1 +FLAGS (\Seen)`)
	if uid, ok := wire.FetchedUID([]byte(strings.TrimPrefix(got[0], "* 1 FETCH "))); ok {
		t.Errorf("%s: %d", got[0], uid)
	}
}

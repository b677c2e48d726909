package embedded_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
)

func TestFolders(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.expect(
		step{`LIST "" ""`, []string{`* LIST (\Noselect) "/" ""`, "OK …"}},
		step{`LIST "" *`, []string{
			`* LIST (\HasNoChildren) "/" INBOX`, `* LIST (\Archive \HasNoChildren) "/" Archives`, `* LIST (\Drafts \HasNoChildren) "/" Brouillons`,
			`* LIST (\Trash \HasNoChildren) "/" Corbeille`, `* LIST (\Sent \HasNoChildren) "/" Envoy&AOk-s`, `* LIST (\Junk \HasNoChildren) "/" Ind&AOk-sirables`, "OK …",
		}},
		step{"CREATE Dossiers/2026/Patients", []string{"OK …"}},
		step{"CREATE Dossiers/2026/Patients", []string{"NO [ALREADYEXISTS] …"}},
		step{"CREATE inbox", []string{"NO [ALREADYEXISTS] …"}},
		step{"CREATE &AOk", []string{"BAD …"}},
		step{"CREATE a//b", []string{"NO [CANNOT] …"}},
		step{"CREATE x (USE (\\Sent))", []string{"NO [USEATTR] Another mailbox has this special use"}},
		step{"SUBSCRIBE Dossiers/2026/Patients", []string{"OK …"}},
		step{"LIST \"\" Dossiers/%", []string{`* LIST (\Noselect \HasChildren) "/" Dossiers/2026`, "OK …"}},
		step{"LIST Dossiers/ *", []string{`* LIST (\Noselect \HasChildren) "/" Dossiers/2026`, `* LIST (\HasNoChildren) "/" Dossiers/2026/Patients`, "OK …"}},
		step{"SELECT Dossiers/2026", []string{"NO [CANNOT] …"}},
		step{"STATUS Dossiers/2026 (MESSAGES)", []string{"NO [CANNOT] …"}},
		step{"DELETE Dossiers/2026", []string{"NO [HASCHILDREN] …"}},
		step{"DELETE INBOX", []string{"NO [CANNOT] …"}},
		step{"DELETE Dossiers/none", []string{"NO [NONEXISTENT] …"}},
		step{"UNSUBSCRIBE Archives", []string{"OK …"}},
		step{"UNSUBSCRIBE nowhere", []string{"OK …"}},
		step{"SUBSCRIBE nowhere", []string{"NO [NONEXISTENT] …"}},
		step{"LSUB \"\" Dossiers%", []string{`* LSUB (\Noselect) "/" Dossiers`, "OK …"}},
		step{"LSUB \"\" Arch*", []string{"OK …"}},
		step{"LIST (SUBSCRIBED RECURSIVEMATCH) \"\" Dossiers%", []string{`* LIST (\Noselect \HasChildren) "/" Dossiers ("CHILDINFO" ("SUBSCRIBED"))`, "OK …"}},
		step{"LIST (SPECIAL-USE) \"\" (A% B%) RETURN (SUBSCRIBED)", []string{
			`* LIST (\Archive \HasNoChildren) "/" Archives`, `* LIST (\Drafts \HasNoChildren \Subscribed) "/" Brouillons`, "OK …",
		}},
		step{"LIST \"\" (INBOX Dossiers) RETURN (STATUS (MESSAGES SIZE))", []string{
			`* LIST (\HasNoChildren) "/" INBOX`, "* STATUS INBOX (MESSAGES 0 SIZE 0)", `* LIST (\Noselect \HasChildren) "/" Dossiers`, "OK …",
		}},
		step{"LIST (RECURSIVEMATCH) \"\" *", []string{"BAD …"}},
		step{"RENAME Dossiers/2026/Patients Dossiers/2026/Cas", []string{"OK …"}},
		step{"RENAME Dossiers/2026/Cas INBOX", []string{"NO [ALREADYEXISTS] …"}},
		step{"RENAME Dossiers Dossiers/2026/x", []string{"NO [CANNOT] …"}},
		step{"RENAME nowhere x", []string{"NO [NONEXISTENT] …"}},
		step{"RENAME Dossiers/2026/Cas Archives", []string{"NO [ALREADYEXISTS] …"}},
		step{"LIST (SUBSCRIBED) \"\" Dossiers/*/*", []string{
			`* LIST (\HasNoChildren \Subscribed) "/" Dossiers/2026/Cas`, `* LIST (\NonExistent \Subscribed) "/" Dossiers/2026/Patients`, "OK …",
		}},
		step{"STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT)", []string{
			fmt.Sprintf("* STATUS INBOX (MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY 1800000000 UNSEEN 0 DELETED 0 SIZE 0 APPENDLIMIT %d)", 8*mb), "OK …",
		}},
		step{"STATUS nowhere (MESSAGES)", []string{"NO [NONEXISTENT] …"}},
		step{"NAMESPACE", []string{`* NAMESPACE (("" "/")) NIL NIL`, "OK …"}},
		step{`ID ("name" "x" "v" NIL)`, []string{`* ID ("name" "balorg")`, "OK …"}},
		step{"ID NIL", []string{`* ID ("name" "balorg")`, "OK …"}},
		step{`ID ("name")`, []string{"BAD …"}},
		step{"ENABLE X", []string{"* ENABLED", "OK …"}},
		step{"ENABLE", []string{"BAD …"}},
		step{"LOGIN a b", []string{"BAD Already authenticated"}},
		step{"XYZZY", []string{"BAD Unknown command"}},
		step{"NOOP x", []string{"BAD …"}},
	)
}

func TestQuota(t *testing.T) {
	srv := newServer(t)
	c := dial(t, srv, embedded.Who{Quota: 3000})
	c.appendMessage("INBOX", "", strings.Repeat("x", 2000))
	c.expect(
		step{"GETQUOTAROOT INBOX", []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 2 2)`, "OK …"}},
		step{`GETQUOTA ""`, []string{`* QUOTA "" (STORAGE 2 2)`, "OK …"}},
		step{"GETQUOTA other", []string{"NO [NONEXISTENT] …"}},
		step{`SETQUOTA "" (STORAGE 9)`, []string{"NO [NOPERM] …"}},
		step{"SELECT INBOX", []string{"* FLAGS…", "* OK…", "* 1 EXISTS", "* 1 RECENT", "* OK [UNSEEN 1]…", "* OK…", "* OK…", "* OK…", "* OK…", "OK…"}},
		step{"COPY 1 Archives", []string{"NO [OVERQUOTA] …"}},
		step{"APPEND INBOX {1001}", []string{"NO [OVERQUOTA] …"}},
		step{"MOVE 1 Archives", []string{"* OK [COPYUID 1800000005 1 1] …", "* 1 EXPUNGE", "OK…"}},
	)
	unlimited := dial(t, newServerTaking(t, 0), embedded.Who{Quota: 3000})
	unlimited.appendMessage("INBOX", "", "x")
	unlimited.expect(step{"APPEND INBOX {9223372036854775807}", []string{"NO [OVERQUOTA] …"}})
	free := dial(t, srv, embedded.Who{Account: noemie})
	free.expect(step{`GETQUOTA ""`, []string{`* QUOTA "" ()`, "OK …"}})
}

// TestAppend: what is refused is never read as commands, and what is accepted is there.
func TestAppend(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.expect(step{"APPEND nowhere {10}", []string{"NO [TRYCREATE] …"}})
	trap := "x1 CREATE trapped\r\n"
	refused := func(head string, size int) string {
		return fmt.Sprintf("APPEND %s {%d+}\r\n%s", head, size, strings.Repeat(trap, size/len(trap)))
	}
	for _, tt := range []struct {
		name, command, want string
	}{
		{"no such mailbox", refused("nowhere", 4*len(trap)), "NO [TRYCREATE] "},
		{"large, no such mailbox", refused("nowhere", 200_000*len(trap)), "NO [TRYCREATE] "},
		{"bad name", refused("&AOk", 4*len(trap)), "BAD "},
		{"bad flag", refused(`INBOX (\Nope)`, 4*len(trap)), "BAD "},
		{"bad date", refused(`INBOX "yesterday"`, 4*len(trap)), "BAD "},
		{"CATENATE", refused("INBOX CATENATE (TEXT", 4*len(trap)) + ")", "BAD "},
		{"empty", "APPEND INBOX {0+}\r\n", "NO [CANNOT] "},
		{"binary with NUL", fmt.Sprintf("APPEND INBOX ~{%d+}\r\n\x00%s", len(trap)+1, trap), "NO [UNKNOWN-CTE] "},
		{"the second is empty", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s {0+}\r\n", len(trap), trap), "NO [CANNOT] "},
		{"the second is bad", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s (\\Nope) {%d+}\r\n%s", len(trap), trap, len(trap), trap), "BAD "},
		{"the second has NUL", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s ~{2+}\r\n\x00a (x) {%d+}\r\n%[2]s", len(trap), trap, len(trap)), "NO [UNKNOWN-CTE] "},
		{"the second is too large", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s {%d}", len(trap), trap, 8*mb+1), "NO [TOOBIG] "},
		{"more than messages", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s x", len(trap), trap), "BAD "},
		{"no message", "APPEND INBOX", "BAD "},
		{"too large", fmt.Sprintf("APPEND INBOX {%d}", 8*mb+1), "NO [TOOBIG] "},
		{"huge", "APPEND INBOX {99999999999999999999}", "NO [TOOBIG] "},
		{"literal name", "APPEND {5+}\r\nINBOX {4+}\r\na: b", "OK [APPENDUID 1800000000 1] "},
	} {
		if got := c.do("%s", tt.command); !strings.HasPrefix(got[len(got)-1], tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	c.expect(
		step{"LIST \"\" trapped", []string{"OK …"}},
		step{"STATUS INBOX (MESSAGES)", []string{"* STATUS INBOX (MESSAGES 1)", "OK…"}},
	)
	// Asked for, and then without its octets: the connection ends, the message is not there.
	c.say("x2 APPEND INBOX {20}\r\n")
	if got := c.line(); !strings.HasPrefix(got, "+ ") {
		t.Fatalf("asking for the message: %q", got)
	}
	c.say("half of it")
	c.conn.Close()
}

func TestTooLargeClosed(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.say("a APPEND INBOX {%d+}\r\n", 8*mb+1)
	if got := c.line(); !strings.HasPrefix(got, "* BYE ") {
		t.Errorf("got %q", got)
	}
}

// TestStreamed: a message larger than all buffers comes back octet for octet.
func TestStreamed(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	msg := "Subject: long\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 200_000)
	c.appendMessage("INBOX", "", msg)
	c.ok("SELECT INBOX")
	want := fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s)", len(msg), msg)
	if got := c.ok("FETCH 1 BODY.PEEK[]"); got[0] != want {
		t.Errorf("%d octets came back, want %d", len(got[0]), len(want))
	}
	c.appendMessage("INBOX", "", "Subject: nul\r\n\r\na\x00b")
	if got := c.ok("FETCH 2 BODY.PEEK[TEXT]"); !slices.Contains(got, "* 2 FETCH (BODY[TEXT] {3}\r\na\x80b)") {
		t.Errorf("NUL: %q", got)
	}
}

// TestLongHeader: a header too long to be kept apart is read from the message.
func TestLongHeader(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	header := "Subject: here\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("x", 900)+"\r\n", 300) + "X-Last: there\r\n\r\n"
	c.appendMessage("INBOX", "", header+"text")
	c.ok("SELECT INBOX")
	c.expect(
		step{"FETCH 1 BODY.PEEK[HEADER]", []string{fmt.Sprintf("* 1 FETCH (BODY[HEADER] {%d}\r\n%s)", len(header), header), "OK…"}},
		step{"FETCH 1 BODY.PEEK[HEADER.FIELDS (X-LAST)]", []string{"* 1 FETCH (BODY[HEADER.FIELDS (X-LAST)] {17}\r\nX-Last: there\r\n\r\n)", "OK…"}},
		step{"SEARCH HEADER X-Last the", []string{"* SEARCH 1", "OK…"}},
		step{"FETCH 1 BODY.PEEK[TEXT]", []string{"* 1 FETCH (BODY[TEXT] {4}\r\ntext)", "OK…"}},
		step{"FETCH 1 (BODY.PEEK[]<0.1> BODY.PEEK[HEADER.FIELDS (X-LAST)])", []string{
			"* 1 FETCH (BODY[]<0> {1}\r\nS BODY[HEADER.FIELDS (X-LAST)] {17}\r\nX-Last: there\r\n\r\n)", "OK…",
		}},
	)
}

// TestManyLongHeaders: a long header asked for two hundred times in one command is not held two hundred times.
func TestManyLongHeaders(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	header := strings.Repeat("X-Filler: "+strings.Repeat("x", 900)+"\r\n", 900)
	c.appendMessage("INBOX", "", header+"\r\ntext")
	c.ok("SELECT INBOX")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.say("m FETCH 1 (%s)\r\n", strings.TrimSpace(strings.Repeat("BODY.PEEK[HEADER.FIELDS (X-FILLER)] ", 200)))
	octets := 0
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(line), "m OK ") {
			break
		}
		octets += len(line)
	}
	runtime.ReadMemStats(&after)
	if octets < 200*len(header) {
		t.Errorf("%d octets came", octets)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64*mb {
		t.Errorf("the heap grew by %d MB", grown/mb)
	}
}

package imapproxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/store/audit"
)

// TestNamesInUTF8: every command that names a mailbox takes UTF-8 from who has enabled it, and every response tells it; who has not is told modified
// UTF-7 of the same folders (RFC 9755, 3).
func TestNamesInUTF8(t *testing.T) {
	f := newFixture(t, nil)
	c, old := f.login(claire), f.login(claire)
	if got := c.ok("ENABLE UTF8=ACCEPT CONDSTORE"); got[0] != "* ENABLED UTF8=ACCEPT CONDSTORE" {
		t.Fatalf("%q", got)
	}
	for _, root := range []string{"", "Comptes/" + secretariat + "/"} {
		in := func(text string) string { return strings.ReplaceAll(text, "~", root) }
		for _, step := range []struct{ say, utf8, utf7 string }{
			{`CREATE "~R&D"`, "OK", ""},
			{`CREATE "~R&D/Été \"1\""`, "OK", ""},
			{`SUBSCRIBE "~R&D/Été \"1\""`, "OK", ""},
			{`LIST "~R" "*"`, `* LIST (\HasNoChildren) "/" "~R&D/Été \"1\""`, `* LIST (\HasNoChildren) "/" "~R&-D/&AMk-t&AOk- \"1\""`},
			{`LIST "" (~R* "é*") RETURN (STATUS (MESSAGES))`, `* STATUS "~R&D/Été \"1\"" (MESSAGES 0)`, `* STATUS "~R&-D/&AMk-t&AOk- \"1\"" (MESSAGES 0)`},
			{`LSUB "" "~R*"`, `* LSUB () "/" "~R&D/Été \"1\""`, `* LSUB () "/" "~R&-D/&AMk-t&AOk- \"1\""`},
			{`RENAME "~R&D/Été \"1\"" "~R&D/Été"`, "OK", ""},
			{`LIST "" "~R&D/É%"`, `* LIST (\HasNoChildren) "/" "~R&D/Été"`, ""},
			{`LIST "" "~R&-D/&AMk*"`, "OK", `* LIST (\HasNoChildren) "/" ~R&-D/&AMk-t&AOk-`},
			{`STATUS "~R&D/Été" (MESSAGES)`, `* STATUS "~R&D/Été" (MESSAGES 0)`, `* STATUS ~R&-D/&AMk-t&AOk- (MESSAGES 0)`},
			{`MYRIGHTS "~R&D/Été"`, `* MYRIGHTS "~R&D/Été" lrswitekxpcd`, `* MYRIGHTS ~R&-D/&AMk-t&AOk- lrswitekxpcd`},
			{`GETACL "~R&D/Été"`, `* ACL "~R&D/Été" ` + claire + " lrswitekxpcd", `* ACL ~R&-D/&AMk-t&AOk- ` + claire + " lrswitekxpcd"},
			{`LISTRIGHTS "~R&D/Été" ` + claire, `* LISTRIGHTS "~R&D/Été" ` + claire + " lrswitekxp", `* LISTRIGHTS ~R&-D/&AMk-t&AOk- ` + claire + " lrswitekxp"},
			{`GETQUOTAROOT "~R&D/Été"`, `* QUOTAROOT "~R&D/Été" `, `* QUOTAROOT ~R&-D/&AMk-t&AOk- `},
			{`SETACL "~R&D/Été" x lr`, "NO [NOPERM]", "NO [NOPERM]"},
			{"APPEND \"~R&D/Été\" {3+}\r\na:b", "OK [APPENDUID ", "OK [APPENDUID "},
			{`SELECT "~R&D/Été"`, "OK [READ-WRITE]", "OK [READ-WRITE]"},
			{`COPY 1 "~R&D/Été"`, "OK [COPYUID ", "OK [COPYUID "},
			{`UID COPY 1 "Comptes/` + secretariat + `/R&D/Absent é"`, "NO [TRYCREATE]", "NO [TRYCREATE]"},
			{`MOVE 1 "~R&D"`, "* OK [COPYUID ", ""},
			{`EXAMINE "~R&D/Été"`, "OK [READ-ONLY]", "OK [READ-ONLY]"},
			{`UNSUBSCRIBE "~R&D/Été"`, "OK", "OK"},
			{`LSUB "" "~R&D/*"`, "OK", "OK"},
			{"UNSELECT", "OK", "OK"},
			{`DELETE "~R&D/Été"`, "OK", ""},
			{`DELETE "~R&-D"`, "NO [NONEXISTENT]", ""},
			{`CREATE "~caf` + "\xe9\"", "BAD", "BAD"},
			{"DELETE \"~R&D\"", "OK", ""},
		} {
			for _, side := range []struct {
				c    *client
				want string
				say  func(string) string
			}{{c, step.utf8, in}, {old, step.utf7, func(text string) string {
				return strings.NewReplacer("R&D", "R&-D", "Été", "&AMk-t&AOk-", "é", "&AOk-").Replace(in(text))
			}}} {
				if side.want == "" {
					continue
				}
				got := side.c.do(side.say(step.say))
				if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, in(side.want)) }) {
					t.Errorf("%s:\n got %q\nwant %q", side.say(step.say), got, in(side.want))
				}
			}
		}
	}
	for _, r := range f.records(audit.Open) {
		if r.Folder != "R&D/Été" {
			t.Errorf("the trace has %q", r.Folder)
		}
	}
	if got := c.ok("NAMESPACE")[0]; got != `* NAMESPACE (("" "/")) NIL (("Comptes/" "/"))` {
		t.Error(got)
	}
	c.ok("SELECT INBOX")
	c.no("ENABLE UTF8=ACCEPT", "BAD")
	c.ok("ENABLE QRESYNC")
}

// TestOneFolderTwoNamings: of two clients on one folder each is told its name as it writes it, and both are told what happens in it.
func TestOneFolderTwoNamings(t *testing.T) {
	t.Run("one transaction", func(t *testing.T) { testTwoNamings(t, nil) })
	t.Run("between stores", func(t *testing.T) {
		testTwoNamings(t, func(o *Options) { o.Stores["local"] = lacking(o.Stores["local"], copiesAcross) })
	})
}

func testTwoNamings(t *testing.T, change func(*Options)) {
	t.Helper()
	f := newFixture(t, change)
	c, old := f.login(claire), f.login(claire)
	shared := "Comptes/" + secretariat
	c.ok("ENABLE UTF8=ACCEPT")
	c.ok(`CREATE "` + shared + `/Réunion 😀"`)
	old.ok(`SELECT "` + shared + `/R&AOk-union &2D3eAA-"`)
	c.ok(`SELECT "` + shared + `/Réunion 😀"`)
	old.append(shared+"/R&AOk-union &2D3eAA-", "un", "")
	if got := c.ok("NOOP"); !has(got, "* 1 EXISTS") {
		t.Errorf("%q", got)
	}
	c.append(shared+"/Réunion 😀", "deux", "")
	if got := old.ok("NOOP"); !has(got, "* 2 EXISTS") {
		t.Errorf("%q", got)
	}
	// To a mailbox on a connection that is opened now: what was enabled is enabled there, before the name is said.
	c.ok(`CREATE "Comptes/` + urgences + `/Août"`)
	if got := c.ok(`COPY 1:* "Comptes/` + urgences + `/Août"`); !strings.HasPrefix(got[0], "OK [COPYUID ") {
		t.Errorf("%q", got)
	}
	if got := old.ok(`STATUS "Comptes/` + urgences + `/Ao&APs-t" (MESSAGES)`); got[0] != "* STATUS Comptes/"+urgences+"/Ao&APs-t (MESSAGES 2)" {
		t.Errorf("%q", got)
	}
	c.ok("MOVE 1 INBOX")
	if copies := f.records(audit.Append); copies[0].Folder == "" || !strings.Contains(fmt.Sprint(copies), "Août") {
		t.Errorf("traced: %+v", copies)
	}
}

// lacking is a mail store without a capability, in its list and on its connections.
func lacking(store MailStore, capability string) MailStore {
	return sayingStore{store, slices.DeleteFunc(slices.Clone(store.Capabilities()), func(c string) bool { return c == capability })}
}

// TestUTF8NotOffered: one mail store without it, and the session has no UTF8=ACCEPT.
func TestUTF8NotOffered(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Stores["local"] = lacking(o.Stores["local"], utf8Accept) })
	c := f.login(claire)
	if strings.Contains(c.ok("CAPABILITY")[0], "UTF8=") {
		t.Error("it is offered")
	}
	if got := c.ok("ENABLE UTF8=ACCEPT"); got[0] != "* ENABLED" {
		t.Errorf("%q", got)
	}
	c.ok(`CREATE "R&AOk-union"`)
	c.no(`SELECT "R&D"`, "BAD")
	m := "Subject: \xe9t\xe9\r\n\r\nx\r\n"
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m), m))
	c.ok("SELECT INBOX")
	c.ok("SEARCH SUBJECT {1+}\r\n\xe9")
}

// TestHeaderBeyondASCII: who has not enabled UTF8=ACCEPT, where it is offered, appends no header beyond ASCII (RFC 9755, 4); whoever has is given back
// what they appended, octet for octet.
func TestHeaderBeyondASCII(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	latin, fine := "From: a@b.fr\r\nSubject: \xe9t\xe9\r\n\r\nx\r\n", "From: a@b.fr\r\nSubject: b\r\n\r\n\xe9t\xe9\r\n"
	appending := func(messages ...string) string {
		command := "APPEND INBOX"
		for _, m := range messages {
			command += fmt.Sprintf(" {%d+}\r\n%s", len(m), m)
		}
		return command
	}
	long := strings.Repeat("X-Long: "+strings.Repeat("a", 70)+"\r\n", 200)
	for _, refused := range [][]string{{latin}, {long + latin}, {fine, latin, fine}, {latin, fine}, {"Subject: fin \xe9"}, {"Subject: x\n\xe9: y\n\nz"}} {
		c.no(appending(refused...), "NO [CANNOT]")
		c.no(strings.ReplaceAll(appending(latin), "{", "UTF8 (~{")+")", "NO [CANNOT]")
	}
	c.ok("SELECT INBOX")
	for _, taken := range [][]string{{fine}, {fine, fine}, {"\r\n\xe9"}, {"\n\xe9"}, {long + "\r\n" + latin}} {
		c.ok(appending(taken...))
	}
	c.no(fmt.Sprintf("REPLACE 1 INBOX {%d+}\r\n%s", len(latin), latin), "NO [CANNOT]")
	if got := c.ok("STATUS INBOX (MESSAGES)"); !has(got, "* STATUS INBOX (MESSAGES 6)") {
		t.Errorf("%q", got)
	}

	c = f.login(claire)
	c.ok("ENABLE UTF8=ACCEPT")
	c.ok(appending(latin, fine))
	c.ok(fmt.Sprintf("APPEND INBOX UTF8 (~{%d+}\r\n%s) (\\Seen) UTF8 (~{%[1]d+}\r\n%[2]s) {%[1]d+}\r\n%[2]s", len(latin), latin))
	c.no(fmt.Sprintf("APPEND INBOX UTF8 ({%d+}\r\n%s)", len(latin), latin), "BAD")
	c.no(fmt.Sprintf("APPEND INBOX UTF8 (~{%d+}\r\n%s", len(latin), latin), "BAD")
	c.ok("SELECT INBOX")
	for _, uid := range []int{7, 9, 10, 11} {
		want := fmt.Sprintf("(UID %d BODY[] {%d}\r\n%s)", uid, len(latin), latin)
		if got := c.ok(fmt.Sprintf("UID FETCH %d BODY.PEEK[]", uid))[0]; !strings.HasSuffix(got, want) {
			t.Errorf("%q", got)
		}
	}
	if got := c.ok(fmt.Sprintf("UID REPLACE 11 INBOX UTF8 (~{%d+}\r\n%s)", len(latin), latin)); !has(got, "* 11 EXPUNGE") {
		t.Errorf("%q", got)
	}
}

// TestAnyHeader: where old mail is to come in, whatever its headers, UTF8=ACCEPT is not offered, and IMAP4rev2, which wants nothing of the kind, is.
func TestAnyHeader(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.AnyHeader = true })
	c := f.login(claire)
	if got := c.ok("CAPABILITY")[0]; strings.Contains(got, "UTF8=") || !strings.Contains(got, " IMAP4rev2 ") {
		t.Errorf("%q", got)
	}
	if got := c.ok("ENABLE UTF8=ACCEPT"); got[0] != "* ENABLED" {
		t.Errorf("%q", got)
	}
	m := "Subject: \xe9t\xe9\r\n\r\nx\r\n"
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m), m))
	c.ok("SELECT INBOX")
	if got := c.ok("FETCH 1 BODY.PEEK[]")[0]; !strings.HasSuffix(got, fmt.Sprintf("{%d}\r\n%s)", len(m), m)) {
		t.Errorf("%q", got)
	}
	f = newFixture(t, func(o *Options) {
		said := slices.Clone(o.Stores["local"].Capabilities())
		said[slices.Index(said, imap4rev2)] = strings.ToUpper(imap4rev2)
		o.Stores["local"] = sayingStore{o.Stores["local"], said}
	})
	if got := f.login(claire).ok("CAPABILITY")[0]; !strings.Contains(got, " IMAP4rev2 ") {
		t.Errorf("of a store that says it in capitals: %q", got)
	}
}

// TestUTF8Search: no charset is named where everything is UTF-8, and what is not UTF-8 is a fault (RFC 9755, 3).
func TestUTF8Search(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	c.append("INBOX", "=?utf-8?q?=C3=A9t=C3=A9?=", "")
	c.ok("ENABLE UTF8=ACCEPT")
	c.ok("SELECT INBOX")
	if got := c.ok(`SEARCH SUBJECT "été"`); got[0] != "* SEARCH 1" {
		t.Errorf("%q", got)
	}
	c.no(`SEARCH CHARSET UTF-8 SUBJECT "été"`, "BAD")
	c.no(`SORT (DATE) US-ASCII ALL`, "BAD")
	c.no("SEARCH SUBJECT \"\xe9t\xe9\"", "BAD")
	c.no("ID (\"name\" \"\xe9\")", "BAD")
	c.ok(`ID ("name" "é")`)
}

// TestNamesOfAServer: an IMAP server's names have its own prefix and delimiter in UTF-8 as well, from before the first that is said; and one that came to a
// session which has enabled what it lacks is spoken to in modified UTF-7.
func TestNamesOfAServer(t *testing.T) {
	for _, tt := range []struct {
		has                    bool
		asked, answered, named string
	}{
		{true, `STATUS "INBOX.R&D.Été" (MESSAGES)`, `"INBOX.R&D.Été"`, `* LIST (\HasNoChildren) "/" "R&D/Été"`},
		{false, `STATUS INBOX.R&-D.&AMk-t&AOk- (MESSAGES)`, `INBOX.R&-D.&AMk-t&AOk-`, `* LIST (\HasNoChildren) "/" "R&D/Été"`},
	} {
		server := &scriptStore{answers: map[string]string{
			"STATUS": "* STATUS " + tt.answered + " (MESSAGES 3)\r\n", "LIST": "* LIST () \".\" INBOX\r\n* LIST () \".\" " + tt.answered + "\r\n", "ENABLE": "* ENABLED UTF8=ACCEPT\r\n",
		}}
		if tt.has {
			server.caps = []string{"ENABLE", utf8Accept}
		}
		f := newFixture(t, func(o *Options) { o.Stores["local"] = sayingStore{server, []string{utf8Accept}} })
		c := f.login(claire)
		c.ok("ENABLE UTF8=ACCEPT")
		if got := c.ok(`STATUS "R&D/Été" (MESSAGES)`); got[0] != `* STATUS "R&D/Été" (MESSAGES 3)` {
			t.Errorf("%q", got)
		}
		if got := c.ok(`LIST "" "R&D/*"`); !has(got, tt.named) {
			t.Errorf("%q", got)
		}
		server.mu.Lock()
		said := slices.Clone(server.said)
		server.mu.Unlock()
		asked, enabled := slices.Index(said, tt.asked), slices.Index(said, "ENABLE UTF8=ACCEPT")
		if asked < 0 || tt.has && (enabled < 0 || enabled > asked) {
			t.Errorf("the server was told %q", said)
		}
	}
}

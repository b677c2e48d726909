package imapproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/flate"

	"balorg/store/audit"
)

func TestNameSpace(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie) // opens the secretariat
	if got := c.ok("NAMESPACE"); got[0] != `* NAMESPACE (("" "/")) NIL (("Comptes/" "/"))` {
		t.Errorf("NAMESPACE: %q", got)
	}
	list := c.ok(`LIST "" "*"`)
	for _, want := range []string{
		`* LIST (\HasNoChildren) "/" INBOX`,
		`* LIST (\Sent \HasNoChildren) "/" Envoy&AOk-s`,
		`* LIST (\Noselect \HasChildren) "/" Comptes`,
		`* LIST (\Noselect \HasChildren) "/" Comptes/` + noemie,
		`* LIST (\HasNoChildren) "/" Comptes/` + noemie + `/INBOX`,
		`* LIST (\HasNoChildren) "/" Comptes/` + noemie + `/Envoy&AOk-s`,
	} {
		if !has(list, want) {
			t.Errorf("LIST lacks %s:\n%s", want, strings.Join(list, "\n"))
		}
	}
	if strings.Contains(strings.Join(list, "\n"), urgences) {
		t.Error("LIST shows a mailbox without delegation")
	}
	if list[0] != `* LIST (\HasNoChildren) "/" INBOX` {
		t.Errorf("the personal folders are not first: %s", list[0])
	}
	if got := c.ok(`LIST "" "%"`); has(got, `* LIST (\Noselect \HasChildren) "/" Comptes/`+noemie) || !has(got, `* LIST (\Noselect \HasChildren) "/" Comptes`) {
		t.Errorf("LIST %%: %q", got)
	}
	if got := c.ok(`LIST "" ""`); got[0] != `* LIST (\Noselect) "/" ""` {
		t.Errorf("root: %q", got)
	}
	c.ok(`UNSUBSCRIBE Comptes/` + noemie + `/Archives`)
	subscribed := strings.Join(c.ok(`LIST (SUBSCRIBED) "" "*"`), "\n")
	if strings.Contains(subscribed, noemie+"/Archives") || !strings.Contains(subscribed, noemie+"/INBOX") {
		t.Errorf("subscribed: %s", subscribed)
	}
	if lsub := strings.Join(f.login(claire).ok(`LSUB "" "*"`), "\n"); !strings.Contains(lsub, "Comptes/"+secretariat+"/Archives") {
		t.Errorf("one person's choice is another's: %s", lsub)
	}
}

func TestSharedFolderIsOne(t *testing.T) {
	f := newFixture(t, nil)
	n, c := f.login(noemie), f.login(claire)
	shared := "Comptes/" + secretariat + "/INBOX"
	n.ok("SELECT INBOX")
	c.ok("SELECT " + shared)
	n.append("INBOX", "one", "")
	c.send("i1 IDLE\r\n")
	c.until("+ ")
	n.append("INBOX", "two", `(\Flagged) `)
	for {
		if line := c.next(); line == "* 2 EXISTS" {
			break
		}
	}
	c.send("DONE\r\n")
	c.until("i1 OK")
	got := c.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	if len(got) != 3 || !strings.Contains(got[1], "Subject: two") || !strings.Contains(got[1], `\Flagged`) {
		t.Errorf("FETCH: %q", got)
	}
	c.ok(`UID STORE 1 +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	if got := n.ok("NOOP"); !has(got, "* 1 EXPUNGE") {
		t.Errorf("NOOP: %q", got)
	}
}

// TestExtendedSearchNamesItsCommand: ESEARCH says by the client's tag which command it answers (RFC 4731, 3.1).
func TestExtendedSearchNamesItsCommand(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	c.append("INBOX", "one", "")
	c.ok("SELECT INBOX")
	c.send("mine1 UID SEARCH RETURN (ALL) ALL\r\nmine2 SEARCH RETURN (COUNT) ALL\r\n")
	if got := c.until("mine1 OK"); !has(got, `* ESEARCH (TAG "mine1") UID ALL 1`) {
		t.Errorf("UID SEARCH: %q", got)
	}
	if got := c.until("mine2 OK"); !has(got, `* ESEARCH (TAG "mine2") COUNT 1`) {
		t.Errorf("SEARCH: %q", got)
	}
}

func TestSelectHopsBetweenAccounts(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	c.append("INBOX", "shared", "")
	c.append("Comptes/"+noemie+"/INBOX", "own", "")
	for range 3 {
		c.ok("SELECT INBOX")
		if got := c.ok("FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"); !strings.Contains(got[0], "Subject: shared") {
			t.Errorf("INBOX: %q", got)
		}
		got := c.ok("SELECT Comptes/" + noemie + "/INBOX")
		if !has(got, "* 1 EXISTS") || !strings.HasPrefix(got[0], "* OK [CLOSED] ") {
			t.Errorf("SELECT: %q", got)
		}
		if got := c.ok("FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"); !strings.Contains(got[0], "Subject: own") {
			t.Errorf("own: %q", got)
		}
	}
	// What the other mailbox hears of now must not be told in this one.
	f.login(claire).append("Comptes/"+secretariat+"/INBOX", "later", "")
	if got := c.ok("NOOP"); len(got) != 1 {
		t.Errorf("a mailbox that is not selected speaks: %q", got)
	}
	c.no("SELECT Nowhere", "NO [NONEXISTENT]")
	c.no("FETCH 1 (UID)", "BAD")
}

func TestReadersChangeNothing(t *testing.T) {
	f := newFixture(t, nil)
	f.login(noemie).append("INBOX", "one", "")
	c := f.login(paul)
	inbox := "Comptes/" + secretariat + "/INBOX"
	got := c.ok("SELECT " + inbox)
	if !strings.HasPrefix(got[len(got)-1], "OK [READ-ONLY]") {
		t.Errorf("SELECT: %q", got[len(got)-1])
	}
	c.ok("FETCH 1 (BODY[])")
	if got := c.ok("FETCH 1 (FLAGS)"); strings.Contains(got[0], `\Seen`) {
		t.Errorf("reading set \\Seen: %q", got)
	}
	c.no(`STORE 1 +FLAGS (\Seen)`, "NO [NOPERM]")
	c.no(`STORE 1 +FLAGS (\Deleted)`, "NO [NOPERM]")
	c.no("EXPUNGE", "NO [NOPERM]")
	c.no("UID EXPUNGE 1", "NO [NOPERM]")
	c.no("MOVE 1 INBOX", "NO [NOPERM]")
	c.ok("COPY 1 INBOX") // into his own mailbox
	c.no("COPY 1 "+inbox, "NO [NOPERM]")
	m := message("x")
	c.no(fmt.Sprintf("APPEND %s {%d+}\r\n%s", inbox, len(m), m), "NO [NOPERM]")
	c.no("CREATE Comptes/"+secretariat+"/x", "NO [NOPERM]")
	c.no("DELETE Comptes/"+secretariat+"/Archives", "NO [NOPERM]")
	c.no("RENAME Comptes/"+secretariat+"/Archives Comptes/"+secretariat+"/y", "NO [NOPERM]")
	c.no(`SETACL `+inbox+` x lr`, "NO [NOPERM]")
	if got := c.ok("MYRIGHTS " + inbox); got[0] != "* MYRIGHTS "+inbox+" lr" {
		t.Errorf("MYRIGHTS: %q", got)
	}
	if got := c.ok("GETACL " + inbox); got[0] != "* ACL "+inbox+" "+paul+" lr" {
		t.Errorf("GETACL: %q", got)
	}
	c.ok("CLOSE")
	if n := len(f.records(audit.Read)); n != 1 {
		t.Errorf("%d records of reading", n)
	}
}

func TestWithdrawalEndsIdlers(t *testing.T) {
	f := newFixture(t, nil)
	idler, other := f.login(paul), f.login(paul)
	idler.ok("SELECT Comptes/" + secretariat + "/INBOX")
	idler.send("i IDLE\r\n")
	idler.until("+ ")
	other.ok("SELECT INBOX")
	f.load(func(s string) string {
		var kept []string
		mailbox := ""
		for line := range strings.Lines(s) {
			if strings.Contains(line, "mailbox:") {
				mailbox = line
			}
			if strings.Contains(line, paul) && strings.Contains(mailbox, secretariat) {
				continue
			}
			kept = append(kept, line)
		}
		return strings.Join(kept, "")
	})
	before := time.Now()
	if all := idler.until("* BYE"); len(all) != 1 {
		t.Errorf("before BYE: %q", all)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("BYE took %v", took)
	}
	if line := idler.next(); line != "" {
		t.Errorf("after BYE: %q", line)
	}
	other.ok("NOOP")
	other.no("SELECT Comptes/"+secretariat+"/INBOX", "NO [NONEXISTENT]")
	if list := strings.Join(other.ok(`LIST "" "*"`), "\n"); strings.Contains(list, secretariat) {
		t.Error("the mailbox is still listed")
	}
}

func TestTransfer(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	own := "Comptes/" + noemie + "/INBOX"
	for _, id := range []string{"one", "two", "three"} {
		c.append("INBOX", id, `(\Seen \Flagged $Forwarded) "15-Nov-2026 10:11:12 +0100" `)
	}
	c.ok("SELECT INBOX")
	got := c.ok("UID COPY 1,3 " + own)
	if last := got[len(got)-1]; !strings.Contains(last, "[COPYUID ") || !strings.Contains(last, " 1,3 1:2]") {
		t.Errorf("COPY: %q", last)
	}
	got = c.ok("MOVE 2 " + own)
	if !strings.HasPrefix(got[0], "* OK [COPYUID ") || !has(got, "* 2 EXPUNGE") {
		t.Errorf("MOVE: %q", got)
	}
	c.ok("SELECT " + own)
	for i, id := range []string{"one", "three", "two"} {
		got := c.ok(fmt.Sprintf("FETCH %d (FLAGS INTERNALDATE BODY.PEEK[])", i+1))
		for _, want := range []string{message(id), `\Seen`, `\Flagged`, `$Forwarded`, `"15-Nov-2026 10:11:12 +0100"`} {
			if !strings.Contains(got[0], want) {
				t.Errorf("message %d lacks %q: %q", i+1, want, got[0])
			}
		}
	}
	c.no("UID COPY 1 Comptes/"+noemie+"/Nowhere", "NO [TRYCREATE]")
	f.login(claire).no("RENAME Archives Comptes/"+secretariat+"/x", "NO [CANNOT]")
	if moved := f.records(audit.Move); len(moved) != 1 || moved[0].UIDs != "2" || string(moved[0].Mailbox.Address) != secretariat {
		t.Errorf("the trace of the move: %+v", moved)
	}
}

// TestRefusedMessage: a message sent unasked is skipped when it is refused, and the dialogue goes on.
func TestRefusedMessage(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxMessage = 3 << 20 })
	c := f.login(paul)
	m := strings.Repeat("x LOGOUT\r\n", 200_000)
	c.no(fmt.Sprintf("APPEND Comptes/%s/INBOX {%d+}\r\n%s", secretariat, len(m), m), "NO [NOPERM]")
	c.no(fmt.Sprintf("APPEND INBOX {%d}", 4<<20), "NO [TOOBIG]")
	c.ok("NOOP")
}

// TestFoldersAreTraced: with a folder its messages go.
func TestFoldersAreTraced(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	shared := "Comptes/" + secretariat + "/"
	c.ok("CREATE " + shared + "a")
	c.ok("RENAME " + shared + "a " + shared + "b")
	c.ok("DELETE " + shared + "b")
	c.no("DELETE "+shared+"b", "NO [NONEXISTENT]")
	var got []string
	for _, r := range f.records(audit.FolderChange) {
		if string(r.Mailbox.Address) != secretariat || string(r.Person.Address) != claire {
			t.Errorf("record %+v", r)
		}
		got = append(got, r.Request+": "+r.Answer)
	}
	if want := "CREATE a: OK, RENAME a b: OK, DELETE b: OK, DELETE b: NO [NONEXISTENT]"; strings.Join(got, ", ") != want {
		t.Errorf("the trace: %q", got)
	}
}

func TestPipelining(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(claire)
	for i := range 3 {
		c.append("INBOX", fmt.Sprint("m", i), "")
	}
	m := message("late")
	c.send("a1 SELECT INBOX\r\na2 FETCH 1 (BODY[])\r\na3 STORE 2 +FLAGS (\\Deleted)\r\na4 EXPUNGE\r\na5 SEARCH ALL\r\n" +
		fmt.Sprintf("a6 APPEND INBOX {%d+}\r\n%s\r\n", len(m), m) + "a7 NOOP\r\na8 LIST \"\" INBOX\r\na9 IDLE\r\nDONE\r\nb1 UID SEARCH ALL\r\nb2 CLOSE\r\nb3 LOGOUT\r\n")
	for _, tag := range []string{"a1", "a2", "a3", "a4"} {
		c.until(tag + " OK")
	}
	if got := c.until("a5 OK"); !has(got, "* SEARCH 1 2") {
		t.Errorf("SEARCH: %q", got)
	}
	for _, tag := range []string{"a6", "a7", "a8", "a9"} {
		c.until(tag + " OK")
	}
	if got := c.until("b1 OK"); !has(got, "* SEARCH 1 3 4") {
		t.Errorf("UID SEARCH: %q", got)
	}
	c.until("b2 OK")
	c.until("* BYE")
	c.until("b3 OK")
}

func TestTraceNamesMessages(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	for i := range 4 {
		c.append("INBOX", fmt.Sprint("m", i), "")
	}
	c.ok("SELECT INBOX")
	c.ok(`UID STORE 2 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	c.ok("FETCH 2:3 (BODY.PEEK[])")
	c.ok("FETCH * (BODY.PEEK[TEXT])")
	c.ok("FETCH 1:3 (FLAGS BODY.PEEK[HEADER])")
	var reads []string
	for _, r := range f.records(audit.Read) {
		reads = append(reads, r.UIDs)
		if r.UIDValidity == 0 || r.Folder != "INBOX" || string(r.Person.Address) != noemie || string(r.Mailbox.Address) != secretariat || r.Answer != "OK" {
			t.Errorf("record %+v", r)
		}
	}
	if got := strings.Join(reads, " "); got != "3:4 4" {
		t.Errorf("read %q", got)
	}
	if e := f.records(audit.Expunge); len(e) != 1 || e[0].UIDs != "2" {
		t.Errorf("expunged %+v", e)
	}
	if a := f.records(audit.Append); len(a) != 4 || a[3].UIDs != "4" {
		t.Errorf("appended %+v", a)
	}
	for _, r := range f.records("") {
		if strings.Contains(r.Request, "body of") || strings.Contains(r.Request, " ok") {
			t.Errorf("a record holds content or a password: %+v", r)
		}
	}
}

// TestTraceOfWhoLeaves: a client that takes a message and hangs up before the answer has read it.
func TestTraceOfWhoLeaves(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	large := message("large") + strings.Repeat("0123456789abcdef0123456789abcdef\r\n", 100_000)
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(large), large))
	raw, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.proxy.Serve(t.Context(), theirs, false)
	}()
	go io.WriteString(raw, "a LOGIN "+noemie+" ok\r\nb SELECT INBOX\r\nc FETCH 1 (BODY.PEEK[])\r\n")
	buf := make([]byte, 1<<20)
	if _, err := io.ReadFull(raw, buf); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	<-ended
	reads := f.records(audit.Read)
	if len(reads) != 1 || reads[0].UIDs != "1" || reads[0].Answer != lostAnswer {
		t.Errorf("the trace: %+v", reads)
	}
}

func TestCompress(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxCompressed = 1 })
	c := f.login(claire)
	c.append("INBOX", "one", "")
	c.ok("COMPRESS DEFLATE")
	w, err := flate.NewWriter(c.conn, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	say("x1 SELECT INBOX\r\nx2 FETCH 1 (BODY[])\r\nx3 COMPRESS DEFLATE\r\n")
	c.until("x1 OK")
	if got := c.until("x2 OK"); !strings.Contains(got[0], message("one")) {
		t.Errorf("FETCH: %q", got)
	}
	c.until("x3 NO [COMPRESSIONACTIVE]")
	f.login(claire).no("COMPRESS DEFLATE", "NO [LIMIT]")
}

func TestQuotaNames(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	shared := "Comptes/" + noemie + "/INBOX"
	got := c.ok("GETQUOTAROOT " + shared)
	if got[0] != "* QUOTAROOT "+shared+" "+noemie || !strings.HasPrefix(got[1], "* QUOTA "+noemie+" (") {
		t.Errorf("GETQUOTAROOT: %q", got)
	}
	if got := c.ok("GETQUOTA " + secretariat); !strings.HasPrefix(got[0], "* QUOTA "+secretariat+" (") {
		t.Errorf("GETQUOTA: %q", got)
	}
	c.no("GETQUOTA "+urgences, "NO [NONEXISTENT]")
}

// TestCompressSaysNothingUnasked: the first compressed octets answer a command.
func TestCompressSaysNothingUnasked(t *testing.T) {
	f := newFixture(t, nil)
	c := f.dialRaw()
	go io.WriteString(c.conn, "a LOGIN "+claire+" ok\r\nb COMPRESS DEFLATE\r\n")
	plain := bufio.NewReader(iotest.OneByteReader(c.conn))
	for {
		line, err := plain.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "b ") {
			break
		}
	}
	// DEFLATE's block of no octets, as flate writes it.
	if err := c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if b, err := plain.ReadByte(); err == nil {
		t.Errorf("octet %#x came before anything was asked", b)
	}
}

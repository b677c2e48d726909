package imapproxy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/mailbox"
	"balorg/store/sent"
)

const (
	sentFolder = "Envoyés"
	sentWire   = "Envoy&AOk-s"
	sentBody   = "Bonjour,\r\n\r\nvoir la pi\xc3\xa8ce jointe.\r\n"
	// What the client submitted, with the fields that its copy has beside; and what was made of it.
	clientHeader = "X-Mozilla-Status: 0001\r\nFrom: noemie.martin@clinique-des-sapins.fr\r\nTo: a@b.fr\r\nMessage-ID: <1@client>\r\nSubject: x\r\n"
	ourHeader    = "From: secretariat@sapins.mssante.fr\r\nTo: a@b.fr\r\nMessage-ID: <1@client>\r\nSubject: x\r\n"
	bccField     = "Bcc: hidden@b.fr,\r\n other@b.fr\r\n"
)

// submitted is a message that noemie has submitted as the secretariat, and its copy in Sent.
type submitted struct {
	*fixture
	copy sent.Copy
	body string
}

func newSubmitted(t *testing.T, f *fixture, body string, change func(*sent.Copy)) *submitted {
	t.Helper()
	box, _ := f.snapshot().Account(secretariat)
	person, _ := f.snapshot().Account(noemie)
	sub := &submitted{fixture: f, body: body, copy: sent.Copy{
		ID: sent.ID{Mailbox: box.ID, Person: person.ID, MessageID: "<1@client>", Body: sha256.Sum256([]byte(body))}, Time: time.Now(),
	}}
	if change != nil {
		change(&sub.copy)
	}
	sub.note()
	return sub
}

func (sub *submitted) note() {
	sub.t.Helper()
	if err := sub.st.Update(sub.t.Context(), func(tx store.Writer) error { return sent.PutTx(tx, sub.copy) }); err != nil {
		sub.t.Fatal(err)
	}
}

// place puts the copy into Sent, as the submission does, or the queue later.
func (sub *submitted) place(header string) {
	sub.t.Helper()
	account, err := sub.boxes.Account(sub.t.Context(), sub.copy.Mailbox, 0)
	if err != nil {
		sub.t.Error(err)
		return
	}
	placed, err := account.Append(sub.t.Context(), sentFolder, strings.NewReader(header+"\r\n"+sub.body), mailbox.FlagSet{System: mailbox.Seen}, time.Now())
	if err != nil {
		sub.t.Error(err)
		return
	}
	if err := sub.sent.Place(sub.t.Context(), sub.copy.ID, sentFolder, placed.UIDValidity, placed.UID, strings.Contains(header, "Bcc:")); err != nil {
		sub.t.Error(err)
	}
}

func literal(folder, options, message string) string {
	return fmt.Sprintf("APPEND %q %s{%d+}\r\n%s", folder, options, len(message), message)
}

// in answers the messages of Sent, each its flags and header and body.
func in(c *client, folder string) []string {
	c.t.Helper()
	c.ok("EXAMINE " + folder)
	all := c.ok("UID FETCH 1:* (FLAGS BODY.PEEK[])")
	return slices.DeleteFunc(all[:len(all)-1], func(line string) bool { return !strings.Contains(line, "BODY[]") })
}

// TestSentCopy: the client's copy of what it submitted is the one that is there already, and only that.
func TestSentCopy(t *testing.T) {
	same := clientHeader + "\r\n" + sentBody
	for _, tt := range []struct {
		name    string
		change  func(*sent.Copy) // of what is noted
		user    string           // "" is noemie, whose default mailbox is the secretariat
		folder  string           // "" is Sent
		message string
		count   int // messages in the folder afterwards
	}{
		{name: "the same", message: same, count: 1},
		{name: "under its shared name", user: noemie + "/" + noemie, folder: "Comptes/" + secretariat + "/" + sentWire, message: same, count: 1},
		{name: "other header fields", message: "Message-Id:\r\n <1@client>\r\n\r\n" + sentBody, count: 1},
		{name: "another body", message: clientHeader + "\r\n" + sentBody + "x", count: 2},
		{name: "another id", message: strings.Replace(same, "<1@", "<2@", 1), count: 2},
		{name: "no header", message: "\r\n" + sentBody, count: 2},
		{name: "a header that cannot be read", message: "X\r\n" + same, count: 2},
		{name: "another person", user: claire + "/" + secretariat, message: same, count: 2},
		{name: "another folder", folder: "Brouillons", message: same, count: 1},
		{name: "another mailbox", user: noemie + "/" + noemie, message: same, count: 1},
		{name: "two days ago", change: func(c *sent.Copy) { c.Time = c.Time.Add(-48 * time.Hour) }, message: same, count: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			newSubmitted(t, f, "another message, just now", nil)
			sub := newSubmitted(t, f, sentBody, tt.change)
			sub.place(ourHeader)
			user, folder := tt.user, tt.folder
			if user == "" {
				user = noemie
			}
			if folder == "" {
				folder = sentWire
			}
			c := sub.login(user)
			got := c.ok(literal(folder, `(\Seen) `, tt.message))
			if !strings.HasPrefix(got[len(got)-1], "OK [APPENDUID ") {
				t.Errorf("answered %q", got)
			}
			if all := in(c, folder); len(all) != tt.count {
				t.Errorf("%d messages, want %d: %q", len(all), tt.count, all)
			} else if !strings.Contains(all[len(all)-1], sentBody) {
				t.Errorf("the last is %q", all[len(all)-1])
			}
		})
	}
}

func TestSentCopyAnswer(t *testing.T) {
	sub := newSubmitted(t, newFixture(t, nil), sentBody, nil)
	sub.place(ourHeader)
	at, err := sub.sent.Find(t.Context(), sub.copy.ID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	c := sub.login(noemie)
	want := fmt.Sprintf("OK [APPENDUID %d %d] APPEND completed", at.UIDValidity, at.UID)
	got := c.ok(literal(sentWire, `(\Seen \Flagged $MDNSent) `, clientHeader+"\r\n"+sentBody))
	if got[len(got)-1] != want {
		t.Errorf("answered %q, want %q", got, want)
	}
	all := in(c, sentWire)
	if len(all) != 1 || !strings.Contains(all[0], ourHeader+"\r\n"+sentBody) {
		t.Fatalf("%q", all)
	}
	for _, flag := range []string{`\Seen`, `\Flagged`, `$MDNSent`} {
		if !strings.Contains(all[0], flag) {
			t.Errorf("no %s in %q", flag, all[0])
		}
	}
	records := sub.records(audit.Append)
	if len(records) != 1 || records[0].UIDs != fmt.Sprint(at.UID) || records[0].Reason != knownReason || records[0].Answer != "OK" || records[0].Folder != "Envoyés" {
		t.Errorf("trace %+v", records)
	}
	// The copy is gone: the message is appended as any other.
	c.ok("SELECT " + sentWire)
	c.ok(`STORE 1 +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	got = c.ok(literal(sentWire, "", clientHeader+"\r\n"+sentBody))
	if got[len(got)-1] == want {
		t.Errorf("a copy that is gone is answered: %q", got)
	}
	if all := in(c, sentWire); len(all) != 1 || !strings.Contains(all[0], clientHeader) {
		t.Errorf("%q", all)
	}
}

// TestSentCopyBcc: what the client's copy says of hidden recipients is kept with ours.
func TestSentCopyBcc(t *testing.T) {
	sub := newSubmitted(t, newFixture(t, nil), sentBody, nil)
	sub.place(ourHeader)
	c := sub.login(noemie)
	message := clientHeader + bccField + "\r\n" + sentBody
	first := c.ok(literal(sentWire, `(\Flagged) `, message))
	all := in(c, sentWire)
	if len(all) != 1 || !strings.Contains(all[0], ourHeader+bccField+"\r\n"+sentBody) || !strings.Contains(all[0], `\Seen`) || !strings.Contains(all[0], `\Flagged`) {
		t.Errorf("%q", all)
	}
	if records := sub.records(audit.Expunge); len(records) != 1 || records[0].UIDs != "1" || records[0].Reason == "" {
		t.Errorf("trace %+v", records)
	}
	// A second time the copy has it.
	second := c.ok(literal(sentWire, "", message))
	if again := in(c, sentWire); first[len(first)-1] != second[len(second)-1] || !slices.Equal(all, again) {
		t.Errorf("%q, then %q; %q", first, second, again)
	}
}

// TestSentCopyLater: a copy that the queue has still to put into Sent is waited for a little, and gets the client's Bcc in either case.
func TestSentCopyLater(t *testing.T) {
	message := clientHeader + bccField + "\r\n" + sentBody
	t.Run("not in time", func(t *testing.T) {
		sub := newSubmitted(t, newFixture(t, nil), sentBody, nil)
		c := sub.login(noemie)
		if got := c.ok(literal(sentWire, "", message)); got[len(got)-1] != "OK APPEND completed" {
			t.Errorf("answered %q", got)
		}
		if kept, err := sub.sent.Find(t.Context(), sub.copy.ID, time.Time{}); string(kept.Bcc) != bccField || err != nil {
			t.Errorf("%+v, %v", kept, err)
		}
		if all := in(c, sentWire); len(all) > 0 {
			t.Errorf("%q", all)
		}
		// Any other folder is none that it could be in.
		if got := c.ok(literal("Brouillons", "", message)); !strings.HasPrefix(got[len(got)-1], "OK [APPENDUID ") {
			t.Errorf("answered %q", got)
		}
		if records := sub.records(audit.Append); len(records) != 2 || records[0].Reason == records[1].Reason {
			t.Errorf("trace %+v", records)
		}
	})
	t.Run("in time", func(t *testing.T) {
		sub := newSubmitted(t, newFixture(t, func(o *Options) { o.SentWait = clientTimeout }), sentBody, nil)
		changed, stop := sub.st.Watch([]byte(store.PrefixSent))
		defer stop()
		go func() { // the queue, which has read what it is to write before the client said more
			select {
			case <-changed:
				sub.place(ourHeader)
			case <-t.Context().Done():
			}
		}()
		c := sub.login(noemie)
		if got := c.ok(literal(sentWire, "", message)); !strings.HasPrefix(got[len(got)-1], "OK [APPENDUID ") {
			t.Errorf("answered %q", got)
		}
		if all := in(c, sentWire); len(all) != 1 || !strings.Contains(all[0], ourHeader+bccField+"\r\n"+sentBody) {
			t.Errorf("%q", all)
		}
		if kept, err := sub.sent.Find(t.Context(), sub.copy.ID, time.Time{}); kept.Bcc != nil || kept.UID != 2 || err != nil {
			t.Errorf("%+v, %v", kept, err)
		}
	})
}

// TestSentCopyLarge: what does not fit into memory is held in a file, which is gone at once.
func TestSentCopyLarge(t *testing.T) {
	dir := t.TempDir()
	for _, spoolDir := range []string{dir, "", dir + "/none"} {
		sub := newSubmitted(t, newFixture(t, func(o *Options) { o.SpoolDir = spoolDir }), strings.Repeat("0123456789abcdef\r\n", 50000), nil)
		sub.place(ourHeader)
		c := sub.login(noemie)
		c.ok(literal(sentWire, "", message("small")))
		other := clientHeader + "\r\n" + strings.Repeat("x", 900000)
		want := 4 // the copy, the small one, the other one, and the client's copy
		switch spoolDir {
		case dir:
			want = 3
			c.ok(literal(sentWire, "", clientHeader+bccField+"\r\n"+sub.body))
			c.ok(literal(sentWire, "", other))
		case "":
			c.ok(literal(sentWire, "", clientHeader+"\r\n"+sub.body))
			c.ok(literal(sentWire, "", other))
		default:
			want = 2
			c.no(literal(sentWire, "", other), "NO [SERVERBUG]")
			c.no(literal(sentWire, "", other)+fmt.Sprintf(" {%d+}\r\n%s", len(other), other), "NO [SERVERBUG]")
		}
		all := in(c, sentWire)
		if len(all) != want {
			t.Errorf("%q: %d messages, want %d", spoolDir, len(all), want)
		}
		if spoolDir == dir && (!strings.HasSuffix(all[1], ourHeader+bccField+"\r\n"+sub.body+")") || !strings.HasSuffix(all[2], other+")")) {
			t.Errorf("not what was sent: %.300q", all)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

// TestSentCopyStoreDown: while the mailbox's store cannot be reached nothing is said to be there.
func TestSentCopyStoreDown(t *testing.T) {
	f, brittle := newBrittle(t)
	sub := newSubmitted(t, f, sentBody, nil)
	sub.place(ourHeader)
	c := sub.login(noemie)
	c.ok("STATUS INBOX (MESSAGES)")
	opened := 0
	brittle.meddle(func(_ mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
		opened++
		conn.Close() // the connection on which the copy is looked for
		return conn
	})
	c.no(literal(sentWire, "", clientHeader+"\r\n"+sentBody), "NO [UNAVAILABLE]")
	brittle.meddle(nil)
	if got := c.ok(literal(sentWire, "", clientHeader+"\r\n"+sentBody)); !strings.HasPrefix(got[len(got)-1], "OK [APPENDUID ") || opened == 0 {
		t.Errorf("answered %q after %d", got, opened)
	}
	if all := in(c, sentWire); len(all) != 1 {
		t.Errorf("%q", all)
	}
}

// TestSentCopyClientLost: half a message is none.
func TestSentCopyClientLost(t *testing.T) {
	sub := newSubmitted(t, newFixture(t, nil), sentBody, nil)
	sub.place(ourHeader)
	c := sub.login(noemie)
	c.send("x APPEND " + sentWire + " {1000+}\r\n" + clientHeader)
	c.close()
	if all := in(sub.login(noemie), sentWire); len(all) != 1 {
		t.Errorf("%q", all)
	}
}

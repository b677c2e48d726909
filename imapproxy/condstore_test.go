package imapproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"balorg/mail"
	"balorg/store/audit"
)

// enabledAt notes to which accounts' connections ENABLE CONDSTORE goes.
type enabledAt struct {
	mu       sync.Mutex
	accounts []string
}

func (e *enabledAt) watch(account mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
	return &tapped{ReadWriteCloser: conn, write: func(p []byte) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		for range bytes.Count(p, []byte(" ENABLE CONDSTORE\r\n")) {
			e.accounts = append(e.accounts, string(account))
		}
		return nil
	}}
}

func (e *enabledAt) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	slices.Sort(e.accounts)
	return strings.Join(e.accounts, " ")
}

// TestEnableCondStore: ENABLE names what is on, however it came to be, and reaches each connection once.
func TestEnableCondStore(t *testing.T) {
	f, store := newBrittle(t)
	var at enabledAt
	store.meddle(at.watch)
	c := f.login(claire)
	if got := c.ok("CAPABILITY"); !strings.Contains(got[0], " CONDSTORE ") || strings.Contains(got[0], "NOTIFY") {
		t.Errorf("CAPABILITY: %q", got)
	}
	c.ok("STATUS INBOX (MESSAGES)")
	for range 2 {
		if got := c.ok("ENABLE x condstore NOTIFY CONDSTORE"); got[0] != "* ENABLED CONDSTORE" || len(got) != 2 {
			t.Errorf("ENABLE: %q", got)
		}
	}
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
	if got := at.String(); got != claire+" "+urgences {
		t.Errorf("ENABLE went to %s", got)
	}
	if got := c.ok("ENABLE NOTIFY"); got[0] != "* ENABLED" {
		t.Errorf("ENABLE of what is not offered: %q", got)
	}
}

// TestCondStoreInAllAccounts: a command that switches CONDSTORE on does so for every mailbox of the session: the one that is selected,
// one whose connection is open, and one that is opened later.
func TestCondStoreInAllAccounts(t *testing.T) {
	for command, selected := range map[string]bool{ // whether the selected mailbox's store learns it from the command
		"SELECT INBOX (CONDSTORE)":                              false,
		"EXAMINE Comptes/" + urgences + "/INBOX (CONDSTORE)":    false,
		"STATUS Comptes/" + urgences + "/INBOX (HIGHESTMODSEQ)": false,
		`LIST "" Archives RETURN (STATUS (HIGHESTMODSEQ))`:      false,
		"FETCH 1 (MODSEQ)":                                      true,
		"UID FETCH 1 (FLAGS) (CHANGEDSINCE 1)":                  true,
		`STORE 1 (UNCHANGEDSINCE 99) +FLAGS (\Seen)`:            true,
		"UID SEARCH OR SEEN MODSEQ 1":                           true,
		"SEARCH RETURN (COUNT) MODSEQ 1":                        true,
	} {
		f, store := newBrittle(t)
		for _, account := range []string{"", "Comptes/" + secretariat + "/", "Comptes/" + urgences + "/"} {
			f.login(claire).append(account+"INBOX", "one", "")
		}
		var at enabledAt
		store.meddle(at.watch)
		c := f.login(claire)
		c.ok("STATUS Comptes/" + urgences + "/INBOX (MESSAGES)")
		c.ok("SELECT INBOX")
		if got := c.ok(`STORE 1 +FLAGS (\Flagged)`); strings.Contains(got[0], "MODSEQ") {
			t.Errorf("before: %q", got)
		}
		c.ok(command)
		for _, account := range []string{"", "Comptes/" + urgences + "/", "Comptes/" + secretariat + "/"} {
			c.ok("SELECT " + account + "INBOX")
			if got := c.ok(`STORE 1 -FLAGS (\Flagged)`); !strings.Contains(got[0], "FETCH (UID 1 MODSEQ (") {
				t.Errorf("%s, then in %sINBOX: %q", command, account, got)
			}
		}
		want := []string{secretariat, urgences}
		if !selected {
			want = []string{claire, secretariat, urgences}
		}
		if got := at.String(); got != strings.Join(want, " ") {
			t.Errorf("%s: ENABLE went to %s", command, got)
		}
	}
}

// TestCondStoreWithoutEnable: a mail store that has CONDSTORE and no ENABLE is told in another way, of which the client hears nothing.
func TestCondStoreWithoutEnable(t *testing.T) {
	f, store := newBrittle(t)
	store.meddle(func(_ mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
		return &tapped{
			ReadWriteCloser: conn,
			read: func(p []byte) {
				if at := bytes.Index(p, []byte(" ENABLE ")); at >= 0 {
					p[at+1] = 'X'
				}
			},
			write: func(p []byte) error {
				if bytes.Contains(p, []byte(" ENABLE ")) {
					t.Errorf("sent %q", p)
				}
				return nil
			},
		}
	})
	c := f.login(claire)
	c.append("INBOX", "one", "")
	if got := c.ok("ENABLE CONDSTORE"); len(got) != 2 || got[0] != "* ENABLED CONDSTORE" {
		t.Errorf("ENABLE: %q", got)
	}
	c.ok("SELECT INBOX")
	if got := c.ok(`STORE 1 +FLAGS (\Seen)`); !strings.Contains(got[0], "MODSEQ") {
		t.Errorf("STORE: %q", got)
	}
}

// TestCondStoreKeepsNumbers: a command that names messages by number finds them where the client knows them, though it switches CONDSTORE on.
func TestCondStoreKeepsNumbers(t *testing.T) {
	f := newFixture(t, nil)
	c, other := f.login(noemie), f.login(claire)
	for i := range 3 {
		c.append("INBOX", fmt.Sprint("m", i), "")
	}
	c.ok("SELECT INBOX")
	c.ok("STATUS Comptes/" + noemie + "/INBOX (MESSAGES)")
	other.ok("SELECT Comptes/" + secretariat + "/INBOX")
	other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.ok("EXPUNGE")
	if got := c.ok("FETCH 2 (UID MODSEQ)"); !has(got, "* 2 FETCH (UID 2 MODSEQ (3))") || strings.Contains(strings.Join(got, "|"), "EXPUNGE") {
		t.Errorf("FETCH: %q", got)
	}
	if got := c.ok("NOOP"); !has(got, "* 1 EXPUNGE") {
		t.Errorf("NOOP: %q", got)
	}
}

// TestCondStoreStoreLost: a mail store that has gone away does not keep the others from being used.
func TestCondStoreStoreLost(t *testing.T) {
	f, store := newBrittle(t)
	c := f.login(claire)
	c.append("INBOX", "one", "")
	c.ok("STATUS Comptes/" + urgences + "/INBOX (MESSAGES)")
	c.ok("SELECT INBOX")
	store.fail(urgences)
	c.ok("FETCH 1 (MODSEQ)")
	store.fail("")
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
	c.append("Comptes/"+urgences+"/INBOX", "two", "")
	if got := c.ok(`STORE 1 +FLAGS (\Seen)`); !strings.Contains(strings.Join(got, "|"), "MODSEQ") {
		t.Errorf("STORE: %q", got)
	}
}

// TestConflict: of two people who change the same message on the same knowledge the second is told what the first did.
func TestConflict(t *testing.T) {
	f := newFixture(t, nil)
	n, c := f.login(noemie), f.login(claire)
	n.append("INBOX", "one", "")
	n.append("INBOX", "two", "")
	n.ok("SELECT INBOX (CONDSTORE)")
	c.ok("SELECT Comptes/" + secretariat + "/INBOX (CONDSTORE)")
	if got := n.ok("STORE 1:2 (UNCHANGEDSINCE 3) +FLAGS.SILENT ($Done)"); !has(got, "* 1 FETCH (UID 1 MODSEQ (4))") || !has(got, "* 2 FETCH (UID 2 MODSEQ (4))") {
		t.Errorf("the first: %q", got)
	}
	got := c.ok("UID STORE 2 (UNCHANGEDSINCE 3) +FLAGS ($Done)")
	if last := got[len(got)-1]; !has(got, "* 2 FETCH (UID 2 MODSEQ (4) FLAGS ($Done))") || !strings.HasPrefix(last, "OK [MODIFIED 2] ") {
		t.Errorf("the second: %q", got)
	}
}

// TestTraceWithCondStore: the trace names the messages that were read or marked, and none that a conditional STORE left alone.
func TestTraceWithCondStore(t *testing.T) {
	f := newFixture(t, nil)
	c := f.login(noemie)
	for i := range 6 {
		c.append("INBOX", fmt.Sprint("m", i), "")
	}
	c.ok("SELECT INBOX (CONDSTORE)") // 7
	c.ok(`STORE 1 +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	c.ok("FETCH 2:3 (BODY.PEEK[])")
	c.ok(`STORE 1,3,5 +FLAGS (\Seen)`) // of UIDs 2, 4 and 6
	c.ok(`STORE 2:5 (UNCHANGEDSINCE 7) +FLAGS (\Deleted)`)
	c.ok(`UID STORE 2:4 (UNCHANGEDSINCE 7) +FLAGS (\Deleted)`)
	if got := uidsOf(f.records(audit.Read)); got != "3:4" {
		t.Errorf("read: %q", got)
	}
	if got := uidsOf(f.records(audit.StoreDeleted)); got != "1 3,5" {
		t.Errorf("marked: %q", got)
	}
}

func uidsOf(records []audit.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.UIDs)
	}
	return strings.Join(all, " ")
}

// TestTransferWithCondStore: copying across mail stores takes responses with modification sequences.
func TestTransferWithCondStore(t *testing.T) {
	f, _ := newBrittle(t)
	c := twoInINBOX(f)
	c.ok("ENABLE CONDSTORE")
	c.ok("MOVE 1:2 Comptes/" + urgences + "/INBOX")
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
	c.ok("COPY 2 INBOX")
	if got := c.ok("STATUS INBOX (MESSAGES)"); !has(got, "* STATUS INBOX (MESSAGES 1)") {
		t.Errorf("STATUS: %q", got)
	}
}

// plainStore is a mail store without CONDSTORE, as far as it says.
type plainStore struct{ MailStore }

func (p plainStore) Capabilities() []string {
	return slices.DeleteFunc(slices.Clone(p.MailStore.Capabilities()), func(c string) bool { return c == condStore })
}

func (p plainStore) Open(ctx context.Context, who Who) (io.ReadWriteCloser, error) {
	return p.MailStore.Open(ctx, who)
}

// TestCondStoreNotOffered: what one mail store of the session lacks is not offered, and not switched on at the others.
func TestCondStoreNotOffered(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Stores = map[string]MailStore{"local": plainStore{o.Stores["local"]}} })
	c := f.login(noemie)
	if got := c.ok("CAPABILITY"); strings.Contains(got[0], condStore) {
		t.Errorf("CAPABILITY: %q", got)
	}
	if got := c.ok("ENABLE CONDSTORE"); got[0] != "* ENABLED" {
		t.Errorf("ENABLE: %q", got)
	}
	c.append("INBOX", "one", "")
	c.ok("STATUS Comptes/" + noemie + "/INBOX (MESSAGES HIGHESTMODSEQ)")
	c.ok("SELECT INBOX")
	if got := c.ok(`STORE 1 +FLAGS (\Seen)`); strings.Contains(got[0], "MODSEQ") {
		t.Errorf("STORE: %q", got)
	}
}

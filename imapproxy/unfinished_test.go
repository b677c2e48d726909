package imapproxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"balorg/mail"
	"balorg/store/transfer"
)

// halfDone is a transfer of the first message of claire's INBOX to that of urgences, as a crash leaves it: both have the message.
func halfDone(t *testing.T, f *fixture, c *client, copied bool) transfer.Transfer {
	t.Helper()
	c.append("INBOX", "one", "")
	c.append("Comptes/"+urgences+"/INBOX", "one", "")
	place := func(address, folder string) transfer.Place {
		account, ok := f.snapshot().Account(mail.Address(address))
		if !ok {
			t.Fatal(address)
		}
		p := transfer.Place{Account: account.ID, Folder: "INBOX", UIDs: "1"}
		for _, line := range c.ok("STATUS " + folder + " (UIDVALIDITY)") {
			if _, after, ok := strings.Cut(line, "(UIDVALIDITY "); ok {
				if _, err := fmt.Sscanf(after, "%d", &p.UIDValidity); err != nil {
					t.Fatal(err)
				}
			}
		}
		return p
	}
	tr := transfer.Transfer{
		ID: transfer.NewID(), Person: "p", Copied: copied,
		Source: place(claire, "INBOX"), Target: place(urgences, "Comptes/"+urgences+"/INBOX"),
	}
	if err := f.transfers.Put(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// counts answers how many messages the two mailboxes of halfDone have.
func counts(c *client) (source, target int) {
	c.t.Helper()
	count := func(folder string) (n int) {
		line := c.ok("STATUS " + folder + " (MESSAGES)")[0]
		if _, err := fmt.Sscanf(line[strings.Index(line, "(MESSAGES "):], "(MESSAGES %d)", &n); err != nil {
			c.t.Fatal(err)
		}
		return n
	}
	return count("INBOX"), count("Comptes/" + urgences + "/INBOX")
}

// TestFinishTransfers: what a crash leaves is undone while not all has arrived, and finished from then on, if nobody has touched the copies.
func TestFinishTransfers(t *testing.T) {
	for _, tt := range []struct {
		name           string
		copied         bool
		before         func(*testing.T, *fixture, *client, *brittleStore, transfer.Transfer)
		left           int
		source, target int
	}{
		{"not all had arrived", false, nil, 0, 1, 0},
		{"all had arrived", true, nil, 0, 0, 1},
		{"a session works on it", true, func(_ *testing.T, f *fixture, _ *client, _ *brittleStore, tr transfer.Transfer) { f.proxy.work(tr.ID) }, 0, 1, 1},
		{"a store is down", true, func(_ *testing.T, _ *fixture, _ *client, s *brittleStore, _ transfer.Transfer) { s.fail(claire) }, 1, 1, 1},
		{"somebody removed the copy", true, func(_ *testing.T, _ *fixture, c *client, _ *brittleStore, _ transfer.Transfer) {
			c.ok("SELECT Comptes/" + urgences + "/INBOX")
			c.ok(`STORE 1 +FLAGS (\Deleted)`)
			c.ok("CLOSE")
		}, 0, 1, 0},
		{"the folder is another one", true, func(t *testing.T, f *fixture, _ *client, _ *brittleStore, tr transfer.Transfer) {
			t.Helper()
			tr.Source.UIDValidity++
			if err := f.transfers.Put(t.Context(), tr); err != nil {
				t.Fatal(err)
			}
		}, 0, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, store := newBrittle(t)
			c := f.login(claire)
			tr := halfDone(t, f, c, tt.copied)
			if tt.before != nil {
				tt.before(t, f, c, store, tr)
			}
			left, err := f.proxy.finishTransfers(t.Context())
			if err != nil || left != tt.left {
				t.Errorf("%d left, %v", left, err)
			}
			store.fail("")
			if source, target := counts(c); source != tt.source || target != tt.target {
				t.Errorf("%d in the source and %d in the destination, want %d and %d", source, target, tt.source, tt.target)
			}
			f.proxy.rest(tr.ID)
			if left, err := f.proxy.finishTransfers(t.Context()); err != nil || left != 0 {
				t.Errorf("later: %d left, %v", left, err)
			}
			if all, err := f.transfers.All(t.Context()); err != nil || len(all) > 0 {
				t.Errorf("still noted: %v, %v", all, err)
			}
		})
	}
}

// TestUndoneLater: copies that cannot be removed because their store went down are removed when it is back.
func TestUndoneLater(t *testing.T) {
	f, store := newBrittle(t)
	c := twoInINBOX(f)
	down := make(chan struct{})
	store.atZwei(func() error {
		go func() { // closing a connection waits for whoever writes to it
			store.fail(urgences)
			close(down)
		}()
		return errors.New("broken cable")
	})
	c.no("MOVE 1:2 Comptes/"+urgences+"/INBOX", "NO [UNAVAILABLE]")
	<-down
	store.meddle(nil)
	store.fail("")
	if _, err := f.proxy.finishTransfers(t.Context()); err != nil {
		t.Error(err)
	}
	if source, target := counts(c); source != 2 || target != 0 {
		t.Errorf("%d in the source and %d in the destination", source, target)
	}
	if all, err := f.transfers.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("still noted: %v, %v", all, err)
	}
}

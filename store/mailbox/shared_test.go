package mailbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"balorg/store/body"
	"balorg/store/storetest"
)

// openStore answers a mail store in memory, and INBOX with some messages.
func openStore(t *testing.T, messages int) (*Store, *Account) {
	t.Helper()
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(st, bodies, Options{})
	storetest.CheckAtEnd(t, st, s)
	a, err := s.Account(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		if _, err := a.Append(t.Context(), Inbox, strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\n", i)), FlagSet{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return s, a
}

func (a *Account) mustSelect(t *testing.T, readOnly bool) *View {
	t.Helper()
	v, err := a.Select(t.Context(), Inbox, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// TestSharedNumbers: views share one list of UIDs, and what one of them is told changes nothing for another.
func TestSharedNumbers(t *testing.T) {
	_, a := openStore(t, 5)
	v, w := a.mustSelect(t, false), a.mustSelect(t, true)
	if &v.uids[0] != &w.uids[0] {
		t.Error("each has a list of its own")
	}
	if _, err := v.StoreFlags(t.Context(), []uint32{1, 3}, AddFlags, FlagSet{System: Deleted}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Append(t.Context(), Inbox, strings.NewReader("\r\n"), FlagSet{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Sync(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sync(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(v.uids, w.uids); got != "[2 4 5 6] [1 2 3 4 5 6]" {
		t.Errorf("they have %s", got)
	}
	x := a.mustSelect(t, true)
	if f, want := x.Folder(), v.Folder(); fmt.Sprint(x.uids, f.Messages, f.Unseen, f.Deleted, f.Size) != fmt.Sprint([]uint32{2, 4, 5, 6}, 4, 4, 0, want.Size) || x.FirstUnseen() != 1 {
		t.Errorf("a new one has %v, %+v", x.uids, f)
	}
	if got := w.Folder(); got.Messages != 6 || got.Unseen != 6 || got.Deleted != 2 {
		t.Errorf("one that was told nothing has %+v", got)
	}
}

// TestLargeFoldersStay: an index without views stays, until indexes used later need its room.
func TestLargeFoldersStay(t *testing.T) {
	s, a := openStore(t, 1)
	v := a.mustSelect(t, true)
	x := v.x
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if w := a.mustSelect(t, true); w.x != x {
		t.Error("the folder was read anew")
	} else if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // each takes nearly half of the room
		other := newIndex(folderKey{"a", uint32(100 + i)})
		other.refs, other.messages = 1, make([]message, keptMessages/2)
		s.open.byID[other.key] = other
		s.open.release(other)
	}
	if len(s.open.idle) != 2 || s.open.held != keptMessages || s.open.lookup(x.key) != nil {
		t.Errorf("%d indexes of %d messages stay", len(s.open.idle), s.open.held)
	}
	if got := a.mustSelect(t, true); got.x == x || got.Len() != 1 {
		t.Error("it was not read anew")
	}
}

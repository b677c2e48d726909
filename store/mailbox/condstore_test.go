package mailbox_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"balorg/store/mailbox"
)

// TestStoreUnchanged: a message that another session has changed stays as it is, though this one has not been told; Sync then tells.
func TestStoreUnchanged(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.append(a, "INBOX", "\r\n1")
	since := f.append(a, "INBOX", "\r\n2").ModSeq
	one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
	if _, err := one.StoreFlags(t.Context(), []uint32{1}, mailbox.AddFlags, flagSet(t, `\Seen`)); err != nil {
		t.Fatal(err)
	}
	changed, modified, err := two.StoreUnchanged(t.Context(), []uint32{1, 2, 9}, mailbox.ReplaceFlags, flagSet(t, "work"), since)
	if err != nil || !slices.Equal(changed, []uint32{2}) || !slices.Equal(modified, []uint32{1}) {
		t.Fatalf("changed %v, modified %v, %v", changed, modified, err)
	}
	if got := flagsOf(two, 1) + ", " + flagsOf(two, 2); got != `\Seen, work` {
		t.Error(got)
	}
	if got := events(t, two, false); got != "keywords 0, flags 1" {
		t.Errorf("two is told %q", got)
	}
	m, _ := two.Message(1)
	if two.ModSeq() <= m.ModSeq {
		t.Errorf("told up to %d, message 1 has %d", two.ModSeq(), m.ModSeq)
	}
	// A keyword that no message gets is not made.
	if _, modified, err := one.StoreUnchanged(t.Context(), []uint32{1, 2}, mailbox.AddFlags, flagSet(t, "unused"), since); err != nil || len(modified) != 2 {
		t.Errorf("modified %v, %v", modified, err)
	}
	if got := one.Keywords(); !slices.Equal(got, []string{"work"}) {
		t.Errorf("keywords %v", got)
	}
	if _, _, err := f.open(a, "INBOX", true).StoreUnchanged(t.Context(), nil, mailbox.AddFlags, mailbox.FlagSet{}, since); !errors.Is(err, mailbox.ErrReadOnly) {
		t.Errorf("in a view for reading: %v", err)
	}
}

// TestStoreUnchangedSinceZero: what exists is left alone. A keyword exists where it is set, a system flag always.
func TestStoreUnchangedSinceZero(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.append(a, "INBOX", "\r\n1", "has")
	v := f.open(a, "INBOX", false)
	for _, tt := range []struct {
		op     mailbox.FlagOp
		flags  []string
		passes bool
	}{
		{mailbox.AddFlags, []string{"has"}, false},
		{mailbox.RemoveFlags, []string{"has"}, false},
		{mailbox.RemoveFlags, []string{"lacks"}, true},
		{mailbox.AddFlags, []string{"lacks", "has"}, false},
		{mailbox.AddFlags, []string{"lacks", `\Seen`}, false},
		{mailbox.RemoveFlags, []string{`\Seen`}, false},
		{mailbox.ReplaceFlags, []string{"lacks"}, false},
		{mailbox.AddFlags, nil, false},
		{mailbox.AddFlags, []string{"lacks"}, true},
		{mailbox.AddFlags, []string{"lacks"}, false},
	} {
		_, modified, err := v.StoreUnchanged(t.Context(), []uint32{1}, tt.op, flagSet(t, tt.flags...), 0)
		if err != nil || (len(modified) == 0) != tt.passes {
			t.Errorf("%v %v: modified %v, %v", tt.op, tt.flags, modified, err)
		}
	}
	if got := flagsOf(v, 1); got != "has lacks" {
		t.Errorf("flags %q", got)
	}
}

// TestStoreUnchangedRace: of sessions that change a message at the same time on the same knowledge, exactly one does.
func TestStoreUnchangedRace(t *testing.T) {
	const sessions, rounds = 5, 40
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	since := f.append(a, "INBOX", "\r\n1").ModSeq
	var views []*mailbox.View
	for range sessions {
		views = append(views, f.open(a, "INBOX", false))
	}
	for round := range rounds {
		if round%2 == 1 {
			since = 0 // and only the keyword counts
		}
		keyword := flagSet(t, fmt.Sprintf("k%d", round))
		outcomes, errs := make([]int, sessions), make([]error, sessions)
		var wg sync.WaitGroup
		for i, v := range views {
			wg.Go(func() {
				changed, modified, err := v.StoreUnchanged(t.Context(), []uint32{1}, mailbox.AddFlags, keyword, since)
				outcomes[i], errs[i] = len(changed)*10+len(modified), err
			})
		}
		wg.Wait()
		slices.Sort(outcomes)
		if err := errors.Join(errs...); err != nil || !slices.Equal(outcomes, []int{1, 1, 1, 1, 10}) {
			t.Fatalf("round %d: %v, %v", round, outcomes, err)
		}
		m, _ := views[0].Message(1)
		since = m.ModSeq
	}
}

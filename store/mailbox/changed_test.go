package mailbox_test

import (
	"slices"
	"testing"

	"balorg/store/mailbox"
)

// TestChangedSince: what came and whose flags changed, by this session and by others, among the messages that the view has.
func TestChangedSince(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	for range 4 {
		f.append(a, "INBOX", "\r\n")
	}
	one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
	flag := func(v *mailbox.View, name string, uids ...uint32) {
		t.Helper()
		if _, err := v.StoreFlags(t.Context(), uids, mailbox.AddFlags, flagSet(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, since uint64, want ...uint32) {
		t.Helper()
		if got := one.ChangedSince(since); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	opened := one.ModSeq()
	want("nothing", opened)
	flag(one, `\Seen`, 2)
	flag(two, `\Deleted`, 1, 3)
	want("flags", opened, 1, 2, 3)
	if _, err := two.Expunge(t.Context(), []uint32{1}); err != nil {
		t.Fatal(err)
	}
	f.append(a, "INBOX", "\r\n")
	want("before the new one is told", opened, 2, 3)
	if _, err := one.Sync(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	want("renumbered", opened, 1, 2, 4)
	known := one.ModSeq()
	want("known", known)
	f.append(a, "INBOX", "\r\n")
	f.append(a, "INBOX", "\r\n")
	if _, err := one.Sync(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	want("new ones alone", known, 5, 6)
	flag(one, `\Flagged`, 6)
	want("new, and changed", known, 5, 6)
	want("changed after it came", one.ModSeq(), 5)
}

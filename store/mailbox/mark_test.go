package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/mailbox"
)

// uidsOf are those of a view's messages.
func uidsOf(v *mailbox.View) (uids []uint32) {
	for seq := range v.Len() {
		uids = append(uids, v.UID(seq+1))
	}
	return uids
}

func store1(t *testing.T, v *mailbox.View, uids []uint32, op mailbox.FlagOp, flags ...string) []uint32 {
	t.Helper()
	changed, err := v.StoreFlags(t.Context(), uids, op, flagSet(t, flags...))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// agree holds what the rows and marks of some messages say against what the view does.
func agree(t *testing.T, v *mailbox.View, uids []uint32) (weight uint32) {
	t.Helper()
	rows, weight, err := v.Rows(t.Context(), uids)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, uid := range uids {
		m, _ := v.Message(v.Seq(uid))
		want = append(want, fmt.Sprint(m.UID, m.Flags, m.ModSeq))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows and marks say %v, the view %v", rows, want)
	}
	return weight
}

// TestMarks: what marks say is read with the rows, few of them or many, and is in the rows once it is folded.
func TestMarks(t *testing.T) {
	f := newFixture(t, mailbox.Options{MarkFrom: 3})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 40)
	v := f.open(a, "INBOX", false)
	all := uidsOf(v)
	sparse := []uint32{2, 20, 39}
	store1(t, v, all[:30], mailbox.AddFlags, `\Seen`, "Blue")
	store1(t, v, []uint32{1, 2, 3, 7, 9, 20, 21}, mailbox.RemoveFlags, `\Seen`)
	store1(t, v, []uint32{2, 9}, mailbox.ReplaceFlags, "Red") // rows, which are younger than the marks
	store1(t, v, []uint32{2, 20, 39}, mailbox.AddFlags, `\Answered`)
	for _, uids := range [][]uint32{all, sparse, {20}} {
		if weight := agree(t, v, uids); weight != 3 {
			t.Errorf("the marks weigh %d, want 3", weight)
		}
	}
	if got := flagsOf(v, 2) + ", " + flagsOf(v, 20) + ", " + flagsOf(v, 4) + ", " + flagsOf(v, 40); got != `\Answered Red, \Answered Blue, \Seen Blue, ` {
		t.Error(got)
	}
	// What changes nothing is no mark.
	if changed := store1(t, v, all[:30], mailbox.AddFlags, "blue"); !slices.Equal(changed, []uint32{2, 9}) {
		t.Errorf("changed %v", changed)
	}
	if err := a.Fold(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	for _, uids := range [][]uint32{all, sparse} {
		if weight := agree(t, v, uids); weight != 0 {
			t.Errorf("after folding the marks weigh %d", weight)
		}
	}
	if got := events(t, v, true); got != "keywords 0" {
		t.Errorf("told %q of its own changes", got)
	}
}

// TestMarkWhileFolding: a mark that comes while others are folded stays until the next time.
func TestMarkWhileFolding(t *testing.T) {
	f := newFixture(t, mailbox.Options{MarkFrom: 2})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 6)
	v := f.open(a, "INBOX", false)
	all := uidsOf(v)
	store1(t, v, all, mailbox.AddFlags, `\Seen`)
	ops := []mailbox.FlagOp{mailbox.RemoveFlags, mailbox.AddFlags}
	err := a.FoldAround(t.Context(), "INBOX", func() {
		store1(t, v, all, ops[0], `\Seen`)
		slices.Reverse(ops)
	})
	if err != nil {
		t.Fatal(err)
	}
	if weight := agree(t, v, all); weight != 2 {
		t.Errorf("the marks weigh %d, want 2", weight)
	}
	f.Store = mailbox.New(f.st, f.bodies, mailbox.Options{})
	if again := f.open(f.account(claire, 0), "INBOX", true); flagsOf(again, 1) != `\Seen` || flagsOf(again, 6) != `\Seen` {
		t.Errorf("after a restart %q, %q", flagsOf(again, 1), flagsOf(again, 6))
	}
}

// TestMarksOfOthers: a session is told what another did to messages that it then changed itself without knowing.
func TestMarksOfOthers(t *testing.T) {
	for _, from := range []int{1, 100} {
		f := newFixture(t, mailbox.Options{MarkFrom: from})
		a := f.account(claire, 0)
		f.fill(a, "INBOX", 5)
		one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
		store1(t, one, []uint32{2, 3}, mailbox.AddFlags, `\Flagged`)
		store1(t, two, []uint32{1, 2, 4}, mailbox.AddFlags, `\Seen`)
		store1(t, two, []uint32{2, 4, 5}, mailbox.AddFlags, `\Answered`)
		if got := events(t, two, true); got != "flags 2, flags 3" {
			t.Errorf("marks from %d: two is told %q", from, got)
		}
		if got := events(t, one, true); got != "flags 1, flags 2, flags 4, flags 5" {
			t.Errorf("marks from %d: one is told %q", from, got)
		}
	}
}

// TestMarksEnough: beyond what may be unfolded the rows are written, and marks come again once the background has folded.
func TestMarksEnough(t *testing.T) {
	f := newFixture(t, mailbox.Options{MarkFrom: 2, MarkMost: 4})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 2500)
	v := f.open(a, "INBOX", false)
	all := uidsOf(v)
	for i := range 7 {
		if changed := store1(t, v, all, mailbox.FlagOp(i%2), `\Seen`); len(changed) != len(all) {
			t.Fatalf("changed %d", len(changed))
		}
	}
	if weight := agree(t, v, all); weight != 4 {
		t.Errorf("the marks weigh %d, want 4", weight)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.RunFolding(ctx, func(err error) { t.Error(err) })
	}()
	folded, stop := f.st.Watch([]byte("m/c/"))
	defer stop()
	for deadline := time.After(10 * time.Second); agree(t, v, all) > 0; {
		select {
		case <-folded:
		case <-deadline:
			t.Fatal("it is not folded")
		}
	}
	cancel()
	<-ended
	store1(t, v, all, mailbox.RemoveFlags, `\Seen`)
	if weight := agree(t, v, all); weight != 1 {
		t.Errorf("after folding the marks weigh %d, want 1", weight)
	}
}

// TestScatteredMarks: a change of messages here and there, more than one mark holds, is several.
func TestScatteredMarks(t *testing.T) {
	const n = 24_001
	f, a := crowded(t, n)
	v := f.open(a, "INBOX", false)
	var odd []uint32
	for uid := uint32(1); uid <= n; uid += 2 {
		odd = append(odd, uid)
	}
	if changed := store1(t, v, odd, mailbox.AddFlags, `\Flagged`); !slices.Equal(changed, odd) {
		t.Errorf("changed %d, want %d", len(changed), len(odd))
	}
	if weight := agree(t, v, odd); weight < 5 || weight > 12 {
		t.Errorf("the marks weigh %d", weight)
	}
	since := v.Folder().HighestModSeq + 1
	changed, modified, err := v.StoreUnchanged(t.Context(), uidsOf(v), mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Seen}, since)
	if err != nil || len(changed)+len(modified) != n || len(modified) == 0 || len(changed) == 0 {
		t.Errorf("since %d changed %d, modified %d, %v", since, len(changed), len(modified), err)
	}
	agree(t, v, uidsOf(v))
	if problems, err := store.Check(t.Context(), f.st, f); err != nil || len(problems) > 0 {
		t.Errorf("%.3q, %v", problems, err)
	}
}

// TestDeleteMarked: a folder with marks is deleted with them, at once or when a crash cut the deletion short.
func TestDeleteMarked(t *testing.T) {
	opt := mailbox.Options{MarkFrom: 2}
	f := newFixture(t, opt)
	a := f.account(claire, 0)
	f.fill(a, "Archives", 4500)
	f.fill(a, "Corbeille", 3)
	for _, name := range []string{"Archives", "Corbeille"} {
		v := f.open(a, name, false)
		store1(t, v, uidsOf(v), mailbox.AddFlags, `\Seen`, `\Deleted`)
		if _, err := v.Expunge(t.Context(), uidsOf(v)[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Delete(t.Context(), "Corbeille"); err != nil {
		t.Fatal(err)
	}
	cut, err := mailbox.New(&cutStore{Store: f.st, left: 2}, f.bodies, opt).Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := cut.Delete(t.Context(), "Archives"); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), f.st, f); err != nil || len(problems) > 0 {
		t.Errorf("in the middle: %.3q, %v", problems, err)
	}
	f.Store = mailbox.New(f.st, f.bodies, opt)
	if u, err := f.account(claire, 0).Usage(t.Context()); err != nil || u.Messages != 0 {
		t.Errorf("left %+v, %v", u, err)
	}
}

// TestOldFolder: rows of folders from before there were marks are read.
func TestOldFolder(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 3)
	err := f.st.Update(t.Context(), func(tx store.Writer) error {
		for k, v := range tx.Scan([]byte("m/f/"), store.PrefixEnd([]byte("m/f/"))) {
			if v[0] != 2 || v[len(v)-1] != 0 {
				return fmt.Errorf("row %v", v)
			}
			old := slices.Clone(v[:len(v)-1])
			old[0] = 1
			if err := tx.Set(slices.Clone(k), old); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Store = mailbox.New(f.st, f.bodies, mailbox.Options{MarkFrom: 2})
	v := f.open(f.account(claire, 0), "INBOX", false)
	store1(t, v, []uint32{1, 2, 3}, mailbox.AddFlags, `\Seen`)
	if weight := agree(t, v, []uint32{1, 2, 3}); weight != 1 {
		t.Errorf("the marks weigh %d", weight)
	}
}

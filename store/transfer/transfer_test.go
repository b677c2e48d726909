package transfer_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"balorg/store"
	"balorg/store/storetest"
	"balorg/store/transfer"
)

func TestTransfers(t *testing.T) {
	st := storetest.New(t)
	table := transfer.New(st)
	ctx := t.Context()
	storetest.CheckAtEnd(t, st, table)
	one := transfer.Transfer{
		ID: "a", Person: "claire", Since: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		Source: transfer.Place{Account: "x", Folder: "INBOX", UIDValidity: 7, UIDs: "1:3"}, Target: transfer.Place{Account: "y", Folder: "Envoy&AOk-s"},
	}
	two := one
	two.ID = "b"
	for _, tr := range []transfer.Transfer{one, two} {
		if err := table.Put(ctx, tr); err != nil {
			t.Fatal(err)
		}
	}
	two.Copied, two.Target.UIDs = true, strings.Repeat("4294967295,", 2*transfer.MaxMessages)
	if err := table.Put(ctx, two); err != nil {
		t.Fatalf("a row of the largest size: %v", err)
	}
	got, err := table.All(ctx)
	slices.SortFunc(got, func(a, b transfer.Transfer) int { return cmp.Compare(a.ID, b.ID) })
	if diff := gocmp.Diff([]transfer.Transfer{one, two}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if err := table.Delete(ctx, "a", "b", "none"); err != nil {
		t.Error(err)
	}
	if got, err := table.All(ctx); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := transfer.New(st)
	err := st.Update(t.Context(), func(tx store.Writer) error {
		return cmp.Or(tx.Set([]byte("t/a"), []byte("{")), tx.Set([]byte("t/b"), []byte(`{"id":"c"}`)))
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(t.Context(), st, table)
	if err != nil || len(problems) != 2 {
		t.Errorf("%q, %v", problems, err)
	}
	if _, err := table.All(t.Context()); err == nil {
		t.Error("a damaged row is passed over")
	}
}

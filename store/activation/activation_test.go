package activation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/activation"
)

// TestLinks: a link works once, for seven days, until the next one is made; of the secret nothing is kept.
func TestLinks(t *testing.T) {
	db, err := store.Open(store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	table := activation.New(db)
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	create := func() string {
		t.Helper()
		secret, err := table.Create(t.Context(), "a", now)
		if err != nil || len(secret) < 22 {
			t.Fatalf("%q, %v", secret, err)
		}
		return secret
	}
	redeem := func(what, secret string, at time.Time, want error) {
		t.Helper()
		id, err := table.Redeem(t.Context(), secret, at)
		if !errors.Is(err, want) || (want == nil) != (id == "a") {
			t.Errorf("%s: %q, %v", what, id, err)
		}
	}
	first, second := create(), create()
	redeem("one that another replaced", first, now, activation.ErrNoLink)
	redeem("none", "", now, activation.ErrNoLink)
	redeem("after seven days", second, now.Add(activation.Life), activation.ErrNoLink)
	redeem("in time", second, now.Add(activation.Life-1), nil)
	redeem("again", second, now, activation.ErrNoLink)
	third := create()
	err = db.View(t.Context(), func(r store.Reader) error {
		for k, v := range r.Scan([]byte("v/"), []byte("v0")) {
			if s := string(k) + string(v); strings.Contains(s, third) {
				t.Errorf("the secret is kept in %q", k)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := table.All(t.Context()); err != nil || !all["a"].Made.Equal(now) {
		t.Errorf("%v, %v", all, err)
	}
	if problems, err := store.Check(t.Context(), db, table); err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
	if err := db.Update(t.Context(), func(tx store.Writer) error { return activation.Forget(tx, "a") }); err != nil {
		t.Fatal(err)
	}
	redeem("of an account that is no more", third, now, activation.ErrNoLink)
	if err := db.Update(t.Context(), func(tx store.Writer) error { return tx.Set([]byte("v/s/x"), []byte("b")) }); err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), db, table); err != nil || len(problems) != 1 {
		t.Errorf("check of half a link: %q, %v", problems, err)
	}
}

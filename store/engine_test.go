package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestViewsAreOfOneMoment: while somebody writes, with Badger being given what is pending every few transactions, each view sees all of a
// transaction or nothing, the same at its end as at its beginning, and never less than the view before.
func TestViewsAreOfOneMoment(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	const keys, rounds = 5, 2000
	key := func(i int) []byte { return fmt.Appendf(nil, "key%d", i) }
	ctx, done := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for last := ""; ctx.Err() == nil; {
				err := db.View(t.Context(), func(r Reader) error {
					var seen []string
					for range 2 {
						for i := range keys {
							value, err := r.Get(key(i))
							if err != nil && !errors.Is(err, ErrNotFound) {
								return err
							}
							seen = append(seen, string(value))
						}
						for _, value := range r.Scan([]byte("key"), []byte("kez")) {
							seen = append(seen, string(value))
						}
						for _, value := range r.ScanBack([]byte("key"), []byte("kez")) {
							seen = append(seen, string(value))
						}
					}
					for _, value := range seen {
						if value != seen[0] {
							return fmt.Errorf("a view sees %q", seen)
						}
					}
					if seen[0] < last {
						return fmt.Errorf("a view sees %q after %q", seen[0], last)
					}
					last = seen[0]
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range rounds {
		err := db.Update(t.Context(), func(tx Writer) error {
			if err := tx.Set(fmt.Appendf(nil, "other%d", n%100), nil); err != nil {
				return err
			}
			for i := range keys {
				if value, err := tx.Get(key(i)); n > 0 && string(value) != fmt.Sprintf("%08d", n-1) {
					return fmt.Errorf("round %d reads %q, %w", n, value, err)
				}
				if err := tx.Set(key(i), fmt.Appendf(nil, "%08d", n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	done()
	wg.Wait()
}

// TestDeletionIsPending: a key that Badger holds and that was deleted since is gone for all.
func TestDeletionIsPending(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, Options{Dir: dir})
	if err := errors.Join(put(db, "a", "v"), put(db, "b", "v"), db.engine.apply()); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx Writer) error { return tx.Delete([]byte("a")) }); err != nil {
		t.Fatal(err)
	}
	if db.engine.pending == nil {
		t.Fatal("nothing is pending")
	}
	if got := contents(t, db); has(t, db, "a") || len(got) != 1 {
		t.Errorf("holds %v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, openTest(t, Options{Dir: dir})); len(got) != 1 || got["b"] != "v" {
		t.Errorf("opened again: holds %v", got)
	}
}

// TestPendingIsBounded by keys and by octets.
func TestPendingIsBounded(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	applied := 0
	for i := range 3 * pendingKeys {
		if err := put(db, fmt.Sprint(i), "v"); err != nil {
			t.Fatal(err)
		}
		if db.engine.pending == nil {
			applied++
		}
	}
	if applied != 3 {
		t.Errorf("%d transactions with Badger", applied)
	}
	if err := put(db, "large", string(make([]byte, pendingCost))); err != nil || db.engine.pending != nil {
		t.Errorf("a large value is pending, %v", err)
	}
}

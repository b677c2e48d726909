package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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
	for i := range pendingCost / MaxValue {
		if err := put(db, fmt.Sprint("large", i), string(make([]byte, MaxValue))); err != nil {
			t.Fatal(err)
		}
	}
	if db.engine.pending != nil {
		t.Error("large values are pending")
	}
}

// TestLayers: layers say of every key what was written last, in few layers, and those who look at them see no more than was there when
// they came.
func TestLayers(t *testing.T) {
	var l, before layers
	want, wantBefore := make(map[string]string), make(map[string]string)
	rnd := rand.New(rand.NewPCG(1, 2))
	check := func(l layers, want map[string]string) {
		t.Helper()
		got := make(map[string]string)
		l.over(&view{}, func(func(key, value []byte) bool) {}, []byte("key10"), []byte("key90"), false)(func(key, value []byte) bool {
			got[string(key)] = string(value)
			return true
		})
		for i := range 100 {
			key := fmt.Sprintf("key%02d", i)
			value, known, err := l.get([]byte(key))
			if want[key] == "" && known && !errors.Is(err, ErrNotFound) || want[key] != "" && (err != nil || string(value) != want[key]) {
				t.Fatalf("%s is %q, %v, %v, and should be %q", key, value, known, err, want[key])
			}
			if "key10" <= key && key < "key90" && got[key] != want[key] {
				t.Fatalf("%s is scanned as %q and should be %q", key, got[key], want[key])
			}
		}
	}
	for n := range 500 {
		o := newOverlay()
		for range 1 + rnd.IntN(5) {
			key, value := fmt.Sprintf("key%02d", rnd.IntN(100)), fmt.Sprint(n)
			if rnd.IntN(4) == 0 {
				o.put(key, entry{deleted: true}, true)
				delete(want, key)
				continue
			}
			o.put(key, entry{value: []byte(value)}, true)
			want[key] = value
		}
		l = l.with(o)
		check(l, want)
		check(before, wantBefore)
		if rnd.IntN(10) == 0 {
			before, wantBefore = l, maps.Clone(want)
		}
		if len(l) > 8 {
			t.Fatalf("%d layers", len(l))
		}
		if keys, cost := l.size(); keys < len(want) || cost < keys*EntryCost {
			t.Fatalf("size %d, %d", keys, cost)
		}
	}
}

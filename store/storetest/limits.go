package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"balorg/store"
)

func testLimits(t *testing.T, st store.Store) {
	t.Helper()
	for name, fn := range map[string]func(tx store.Writer) error{
		"key":           func(tx store.Writer) error { return tx.Set(make([]byte, store.MaxKey+1), nil) },
		"value":         func(tx store.Writer) error { return tx.Set([]byte("k"), make([]byte, store.MaxValue+1)) },
		"key to delete": func(tx store.Writer) error { return tx.Delete(make([]byte, store.MaxKey+1)) },
		"octets":        func(tx store.Writer) error { return fill(tx, store.MaxTx/store.MaxValue+1, store.MaxValue) },
		"keys":          func(tx store.Writer) error { return fill(tx, store.MaxTx/store.EntryCost, 0) },
		"ignored": func(tx store.Writer) error {
			_ = tx.Set(make([]byte, store.MaxKey+1), nil)
			return tx.Set([]byte("k"), []byte("v"))
		},
	} {
		if err := st.Update(t.Context(), fn); !errors.Is(err, store.ErrTooBig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := st.Update(t.Context(), func(tx store.Writer) error { return tx.Set(nil, []byte("v")) }); err == nil {
		t.Error("an empty key was taken")
	}
	longest, largest := bytes.Repeat([]byte("k"), store.MaxKey), bytes.Repeat([]byte("v"), store.MaxValue)
	update(t, st, func(tx store.Writer) error { return tx.Set(longest, largest) })
	view(t, st, func(r store.Reader) {
		get(t, r, string(longest), string(largest))
		if got := dump(r, nil, nil, false); len(got) != len(longest)+1+len(largest) {
			t.Errorf("left behind: %d octets", len(got))
		}
	})
}

// fill writes n keys with values of size octets.
func fill(tx store.Writer, n, size int) error {
	value := make([]byte, size)
	for i := range n {
		if err := tx.Set(fmt.Appendf(nil, "fill/%06d", i), value); err != nil {
			return err
		}
	}
	return nil
}

// testLarge writes as much as one transaction takes, of few large and of many small values, and one key over and over.
func testLarge(t *testing.T, st store.Store) {
	t.Helper()
	for _, c := range []struct{ n, size int }{
		{store.MaxTx/(store.MaxValue+store.EntryCost+16) - 1, store.MaxValue},
		{store.MaxTx / (store.EntryCost + 16), 0},
	} {
		update(t, st, func(tx store.Writer) error { return fill(tx, c.n, c.size) })
		n := 0
		update(t, st, func(tx store.Writer) error {
			for k, v := range tx.Scan([]byte("fill/"), []byte("fill0")) {
				if n++; len(v) != c.size {
					t.Fatalf("%q has %d octets", k, len(v))
				}
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if n != c.n {
			t.Errorf("%d keys of %d", n, c.n)
		}
	}
	update(t, st, func(tx store.Writer) error {
		for i := range 40 { // ten times MaxTx, but only the last value counts
			if err := tx.Set([]byte("same"), bytes.Repeat([]byte{byte(i)}, store.MaxValue)); err != nil {
				return err
			}
		}
		return nil
	})
}

// testManyLarge has more large transactions wait than any engine takes at once.
func testManyLarge(t *testing.T, st store.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			err := st.Update(t.Context(), func(tx store.Writer) error {
				for i := range 6 {
					if err := tx.Set(fmt.Appendf(nil, "%02d/%d", w, i), make([]byte, store.MaxValue)); err != nil {
						return err
					}
				}
				b, err := tx.Get([]byte("writers"))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				return tx.Set([]byte("writers"), append(b, 'x'))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	view(t, st, func(r store.Reader) {
		get(t, r, "writers", strings.Repeat("x", 12))
		n := 0
		for range r.Scan([]byte("0"), []byte("2")) {
			n++
		}
		if n != 72 {
			t.Errorf("%d values", n)
		}
	})
}

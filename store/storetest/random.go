package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"balorg/store"
)

// testRandom does the same at random to a store and to a map, and compares.
func testRandom(t *testing.T, e Engine) {
	t.Helper()
	st := e.Open(t)
	rapid.Check(t, func(rt *rapid.T) {
		model := make(map[string]string)
		update(t, st, func(tx store.Writer) error {
			for k := range tx.Scan(nil, nil) {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		for range rapid.IntRange(1, 5).Draw(rt, "transactions") {
			randomTransaction(rt, st, model)
		}
	})
}

// keys are few and begin alike, so that transactions meet.
func keys() *rapid.Generator[string] { return rapid.StringMatching(`[ab]{1,3}`) }

func randomTransaction(rt *rapid.T, st store.Store, model map[string]string) {
	refused := errors.New("refused")
	fails := rapid.IntRange(0, 3).Draw(rt, "fails") == 0
	after := maps.Clone(model)
	err := st.Update(rt.Context(), func(tx store.Writer) error {
		for range rapid.IntRange(0, 12).Draw(rt, "steps") {
			key := keys().Draw(rt, "key")
			var err error
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				delete(after, key)
				err = tx.Delete([]byte(key))
			case 1:
				compare(rt, tx, after, key, keys().Draw(rt, "to"))
			default:
				value := rapid.StringN(0, 3, -1).Draw(rt, "value")
				after[key] = value
				err = tx.Set([]byte(key), []byte(value))
			}
			if err != nil {
				return err
			}
		}
		if fails {
			return refused
		}
		return nil
	})
	switch {
	case fails && errors.Is(err, refused):
	case !fails && err == nil:
		clear(model)
		maps.Copy(model, after)
	default:
		rt.Fatalf("update: %v", err)
	}
	err = st.View(rt.Context(), func(r store.Reader) error {
		compare(rt, r, model, "", "c")
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
}

// compare scans a span of the store and of the map, up and down.
func compare(rt *rapid.T, r store.Reader, model map[string]string, from, to string) {
	var want []string
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if k >= from && k < to {
			want = append(want, k+"="+model[k])
		}
	}
	if got := dump(r, []byte(from), []byte(to), false); got != strings.Join(want, " ") {
		rt.Fatalf("scan %q to %q: %q, want %q", from, to, got, want)
	}
	slices.Reverse(want)
	if got := dump(r, []byte(from), []byte(to), true); got != strings.Join(want, " ") {
		rt.Fatalf("scan back %q to %q: %q, want %q", from, to, got, want)
	}
}

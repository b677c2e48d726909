package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/store"
)

func testGet(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "a", "1", "b", "2", "b\x00", "3")
	update(t, st, func(tx store.Writer) error {
		key, value := []byte("c"), []byte("4")
		if err := tx.Set(key, value); err != nil {
			return err
		}
		key[0], value[0] = 'x', 'x' // the writer has copies
		get(t, tx, "c", "4")
		if err := tx.Delete([]byte("a")); err != nil {
			return err
		}
		get(t, tx, "a", "")
		return tx.Delete([]byte("nothing"))
	})
	view(t, st, func(r store.Reader) {
		for key, want := range map[string]string{"a": "", "b": "2", "b\x00": "3", "c": "4", "x": "", "": ""} {
			get(t, r, key, want)
		}
		first, err := r.Get([]byte("b"))
		if err != nil {
			t.Fatal(err)
		}
		first[0] = 'x' // is the caller's own
		get(t, r, "b", "2")
	})
	update(t, st, func(tx store.Writer) error { return tx.Set([]byte("empty"), nil) })
	view(t, st, func(r store.Reader) {
		if got, err := r.Get([]byte("empty")); err != nil || len(got) != 0 {
			t.Errorf("empty value: %q, %v", got, err)
		}
	})
}

func testScan(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "a", "1", "b", "2", "b/", "3", "b/x", "4", "b/y", "5", "b0", "6", "c", "7", "\xff", "8", "\xff\xff", "9")
	update(t, st, func(tx store.Writer) error { return tx.Delete([]byte("b/x")) })
	cases := []struct{ from, to, want string }{
		{"", "nil", "a=1 b=2 b/=3 b/y=5 b0=6 c=7 \xff=8 \xff\xff=9"},
		{"b/", "b0", "b/=3 b/y=5"},
		{"b", "b", ""},
		{"c", "b", ""},
		{"b", "c", "b=2 b/=3 b/y=5 b0=6"},
		{"b\x00", "b0\x00", "b/=3 b/y=5 b0=6"},
		{"bb", "bc", ""},
		{"\xff", "nil", "\xff=8 \xff\xff=9"},
		{"\xff\xff\xff", "nil", ""},
		{"", "", ""},
		{"", "a", ""},
		{"", "a\x00", "a=1"},
	}
	for _, c := range cases {
		to := []byte(c.to)
		if c.to == "nil" {
			to = nil
		}
		words := strings.Fields(c.want)
		slices.Reverse(words)
		view(t, st, func(r store.Reader) {
			if got := dump(r, []byte(c.from), to, false); got != c.want {
				t.Errorf("scan %q to %q: %q, want %q", c.from, c.to, got, c.want)
			}
			if got, want := dump(r, []byte(c.from), to, true), strings.Join(words, " "); got != want {
				t.Errorf("scan back %q to %q: %q, want %q", c.from, c.to, got, want)
			}
			if got := dump(r, nil, []byte("b"), false); got != "a=1" {
				t.Errorf("scan from nil: %q", got)
			}
		})
	}
	view(t, st, func(r store.Reader) {
		prefix := []byte("b/")
		if got := dump(r, prefix, store.PrefixEnd(prefix), false); got != "b/=3 b/y=5" {
			t.Errorf("scan of a prefix: %q", got)
		}
		if end := store.PrefixEnd([]byte("\xff\xff")); end != nil {
			t.Errorf("end of the last prefix: %q", end)
		}
		steps := 0
		for range r.Scan(nil, nil) { // two scans at once, and a break
			for range r.ScanBack(nil, nil) {
				steps++
			}
			break
		}
		if steps != 8 {
			t.Errorf("%d steps of an inner scan", steps)
		}
	})
}

func testScanOwnWrites(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "b", "1", "d", "1", "f", "1", "h", "1")
	update(t, st, func(tx store.Writer) error {
		for _, k := range []string{"d", "h", "zz"} {
			if err := tx.Delete([]byte(k)); err != nil {
				return err
			}
		}
		if err := setAll(tx, "a", "2", "c", "2", "f", "2", "g", "2", "h", "3", "z", "2"); err != nil {
			return err
		}
		for _, c := range []struct{ from, to, want, back string }{
			{"a", "zzz", "a=2 b=1 c=2 f=2 g=2 h=3 z=2", "z=2 h=3 g=2 f=2 c=2 b=1 a=2"},
			{"b", "g", "b=1 c=2 f=2", "f=2 c=2 b=1"},
			{"d", "e", "", ""},
			{"g", "g\x00", "g=2", "g=2"},
		} {
			if got := dump(tx, []byte(c.from), []byte(c.to), false); got != c.want {
				t.Errorf("scan %q to %q: %q, want %q", c.from, c.to, got, c.want)
			}
			if got := dump(tx, []byte(c.from), []byte(c.to), true); got != c.back {
				t.Errorf("scan back %q to %q: %q, want %q", c.from, c.to, got, c.back)
			}
		}
		return nil
	})
}

func testWriteInScan(t *testing.T, st store.Store) {
	t.Helper()
	update(t, st, func(tx store.Writer) error {
		for i := range 500 {
			if err := tx.Set(fmt.Appendf(nil, "k%03d", i), []byte("v")); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, st, func(tx store.Writer) error {
		n := 0
		for k := range tx.Scan([]byte("k"), []byte("l")) {
			n++
			if err := errors.Join(tx.Delete(k), tx.Set(append([]byte("new"), k...), []byte("v"))); err != nil {
				return err
			}
		}
		if n != 500 {
			t.Errorf("%d steps", n)
		}
		return nil
	})
	view(t, st, func(r store.Reader) {
		if got := dump(r, []byte("k"), []byte("l"), false); got != "" {
			t.Errorf("left: %q", got)
		}
		if got := strings.Count(dump(r, []byte("new"), []byte("o"), false), "="); got != 500 {
			t.Errorf("%d written", got)
		}
	})
}

func testIsolation(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "a", "1")
	view(t, st, func(r store.Reader) {
		done := make(chan error)
		go func() { // another goroutine: a view may not call the store itself
			done <- st.Update(context.Background(), func(tx store.Writer) error { return setAll(tx, "a", "2", "b", "2") })
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
		get(t, r, "a", "1")
		get(t, r, "b", "")
		if got := dump(r, nil, nil, false); got != "a=1" {
			t.Errorf("scan of an old view: %q", got)
		}
	})
	view(t, st, func(r store.Reader) { get(t, r, "a", "2") })
}

func testReopen(t *testing.T, e Engine) {
	t.Helper()
	st := e.Open(t)
	set(t, st, "a", "1", "b", "2")
	update(t, st, func(tx store.Writer) error { return tx.Delete([]byte("a")) })
	old := st
	st = e.Reopen(t, st)
	if err := old.View(t.Context(), func(store.Reader) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("view of a closed store: %v", err)
	}
	if err := old.Update(t.Context(), func(store.Writer) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("update of a closed store: %v", err)
	}
	set(t, st, "c", "3")
	st = e.Reopen(t, st)
	view(t, st, func(r store.Reader) {
		if got := dump(r, nil, nil, false); got != "b=2 c=3" {
			t.Errorf("after two reopenings: %q", got)
		}
	})
}

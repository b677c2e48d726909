package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"balorg/store"
)

// Engine opens one kind of store for the suite.
type Engine struct {
	// Open opens an empty store that is closed when the test ends.
	Open func(t *testing.T) store.Store
	// Reopen closes a store that Open gave and opens it again as after a restart. nil: the engine forgets on closing.
	Reopen func(t *testing.T, st store.Store) store.Store
}

// Run runs the conformance suite: what an engine must do to be a store.Store.
func Run(t *testing.T, e Engine) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, st store.Store){
		"get":             testGet,
		"scan":            testScan,
		"scan own writes": testScanOwnWrites,
		"write in a scan": testWriteInScan,
		"isolation":       testIsolation,
		"failed function": testFailed,
		"panic":           testPanic,
		"goexit":          testGoexit,
		"after commit":    testAfterCommit,
		"note":            testNote,
		"serial":          testSerial,
		"together":        testTogether,
		"context":         testContext,
		"watch":           testWatch,
		"limits":          testLimits,
		"large":           testLarge,
		"many large":      testManyLarge,
	} {
		t.Run(name, func(t *testing.T) { test(t, e.Open(t)) })
	}
	t.Run("random", func(t *testing.T) { testRandom(t, e) })
	if e.Reopen != nil {
		t.Run("reopen", func(t *testing.T) { testReopen(t, e) })
	}
}

func update(t *testing.T, st store.Store, fn func(store.Writer) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, st store.Store, fn func(store.Reader)) {
	t.Helper()
	if err := st.View(t.Context(), func(r store.Reader) error { fn(r); return nil }); err != nil {
		t.Fatal(err)
	}
}

// set writes pairs, in which a key stands before its value.
func set(t *testing.T, st store.Store, pairs ...string) {
	t.Helper()
	update(t, st, func(tx store.Writer) error { return setAll(tx, pairs...) })
}

func setAll(tx store.Writer, pairs ...string) error {
	for kv := range slices.Chunk(pairs, 2) {
		if err := tx.Set([]byte(kv[0]), []byte(kv[1])); err != nil {
			return err
		}
	}
	return nil
}

func get(t *testing.T, r store.Reader, key, want string) {
	t.Helper()
	got, err := r.Get([]byte(key))
	switch {
	case want == "" && !errors.Is(err, store.ErrNotFound):
		t.Errorf("get %q: %q, %v; want ErrNotFound", key, got, err)
	case want != "" && (err != nil || string(got) != want):
		t.Errorf("get %q: %q, %v; want %q", key, got, err, want)
	}
	v, oerr := r.Open([]byte(key))
	if errors.Is(oerr, store.ErrNotFound) != errors.Is(err, store.ErrNotFound) {
		t.Errorf("open %q: %v", key, oerr)
	}
	if oerr != nil {
		return
	}
	read, err := io.ReadAll(v)
	if err != nil || !bytes.Equal(read, got) || v.Size() != int64(len(got)) || v.Close() != nil {
		t.Errorf("open %q: %q of %d octets, %v; want %q", key, read, v.Size(), err, got)
	}
}

// dump answers what a scan yields as "key=value key=value". Keys must yield the same ones.
func dump(r store.Reader, from, to []byte, back bool) string {
	scan := r.Scan
	if back {
		scan = r.ScanBack
	}
	var all []string
	var scanned, listed []string
	for k, v := range scan(from, to) {
		all = append(all, string(k)+"="+string(v))
		scanned = append(scanned, string(k))
	}
	for k := range r.Keys(from, to) {
		listed = append(listed, string(k))
	}
	if back {
		slices.Reverse(listed)
	}
	if !slices.Equal(scanned, listed) {
		return fmt.Sprintf("keys %q", listed)
	}
	return strings.Join(all, " ")
}

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func segmentNames(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func large(i int) string { return fmt.Sprintf("%s%03d", PrefixLarge, i) }

// largeTest opens a state whose segments take little, and that sweeps only when it is told to.
func largeTest(t *testing.T, dir string) *DB {
	t.Helper()
	db := openTest(t, Options{Dir: dir})
	<-db.swept
	db.engine.large.limit = 10 * apartFrom
	return db
}

// fill writes so many values of apartFrom octets, ten to a segment.
func fill(t *testing.T, db *DB, n int) map[string]string {
	t.Helper()
	want := make(map[string]string)
	for i := range n {
		want[large(i)] = strings.Repeat(string(rune('a'+i%26)), apartFrom)
		if err := put(db, large(i), want[large(i)]); err != nil {
			t.Fatal(err)
		}
		apply(t, db) // one by one: the order within a batch is nobody's
	}
	return want
}

func apply(t *testing.T, db *DB) {
	t.Helper()
	if err := db.between(t.Context(), (*engine).apply); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, db *DB, want map[string]string, keys ...string) {
	t.Helper()
	err := db.Reclaim(t.Context(), func(tx Writer) error {
		for _, key := range keys {
			delete(want, key)
			if err := tx.Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, db *DB, want map[string]string) {
	t.Helper()
	if got := contents(t, db); !maps.Equal(got, want) {
		t.Errorf("holds %d keys, want %d", len(got), len(want))
	}
}

// TestLargeValuesStayOutOfTheEngine, small ones and those of other tables do not; what an older release kept there is read.
func TestLargeValuesStayOutOfTheEngine(t *testing.T) {
	dir := t.TempDir()
	db := largeTest(t, dir)
	want := map[string]string{
		large(1): strings.Repeat("l", MaxValue), large(2): "small", "other": strings.Repeat("o", MaxValue), large(3): strings.Repeat("old", apartFrom),
	}
	for _, key := range []string{large(1), large(2), "other"} {
		if err := put(db, key, want[key]); err != nil {
			t.Fatal(err)
		}
	}
	err := db.between(t.Context(), func(e *engine) error {
		err := e.badger.Update(func(txn *badger.Txn) error { return txn.Set([]byte(large(3)), []byte(want[large(3)])) })
		return errors.Join(err, e.apply())
	})
	if err != nil {
		t.Fatal(err)
	}
	if db.engine.large.current.size != MaxValue {
		t.Errorf("segments hold %d octets", db.engine.large.current.size)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Options{Dir: dir})
	holds(t, again, want)
	if err := put(again, large(4), want[large(1)]); err != nil {
		t.Fatal(err)
	}
	apply(t, again)
	if names := segmentNames(t, dir); len(names) != 2 {
		t.Errorf("written to a segment of before: %q", names)
	}
}

// outlasts tells whether the sweep waits for the views that began with some readers.
func outlasts(e *engine, old *readers) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.readers != old
}

// TestSweep gives back what is empty, moves what is left of what is mostly empty, and leaves the rest alone, while a view of before and an
// opened value go on to read what was there.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	db := largeTest(t, dir)
	want := fill(t, db, 35) // 0-9, 10-19, 20-29, 30-34
	names := segmentNames(t, dir)
	var opened *Value
	looking, look := make(chan struct{}), make(chan struct{})
	looked := make(chan error, 1)
	before := maps.Clone(want)
	go func() {
		looked <- db.View(context.Background(), func(r Reader) (err error) {
			close(looking)
			if opened, err = r.Open([]byte(large(0))); err != nil {
				return err
			}
			<-look
			for key, value := range before {
				if got, err := r.Get([]byte(key)); err != nil || string(got) != value {
					return fmt.Errorf("an older view reads %d octets of %q: %w", len(got), key, err)
				}
			}
			return nil
		})
	}()
	<-looking
	old := db.engine.readers
	for i := range 10 {
		remove(t, db, want, large(i))
	}
	for i := 10; i < 16; i++ {
		remove(t, db, want, large(i))
	}
	remove(t, db, want, large(20), large(30))
	swept := make(chan error, 1)
	go func() { swept <- db.sweep(context.Background(), db.engine) }()
	for !outlasts(db.engine, old) {
		runtime.Gosched()
	}
	if got := segmentNames(t, dir); !slices.Equal(got, names) {
		t.Errorf("removed while a view may read them: %q of %q are left", got, names)
	}
	close(look)
	if err := errors.Join(<-looked, <-swept); err != nil {
		t.Fatal(err)
	}
	left := segmentNames(t, dir)
	if slices.Contains(left, names[0]) || slices.Contains(left, names[1]) || !slices.Contains(left, names[2]) || !slices.Contains(left, names[3]) {
		t.Errorf("left of %q: %q", names, left)
	}
	holds(t, db, want)
	if got, err := io.ReadAll(opened); err != nil || string(got) != before[large(0)] {
		t.Errorf("the opened value reads %d octets, %v", len(got), err)
	}
	if err := errors.Join(opened.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	holds(t, openTest(t, Options{Dir: dir}), want)
}

// TestSweepLeavesWhatIsWrittenTo: nothing is left of it, and the next value goes there.
func TestSweepLeavesWhatIsWrittenTo(t *testing.T) {
	dir := t.TempDir()
	db := largeTest(t, dir)
	want := fill(t, db, 1)
	remove(t, db, want, large(0))
	if err := db.sweep(t.Context(), db.engine); err != nil {
		t.Fatal(err)
	}
	want = fill(t, db, 2)
	holds(t, db, want)
}

// TestSweepIsAsked for when much has been deleted, and at a start.
func TestSweepIsAsked(t *testing.T) {
	dir := t.TempDir()
	db := largeTest(t, dir)
	want := make(map[string]string)
	const values = sweepFrom / MaxValue
	for i := range values {
		if err := put(db, large(i), strings.Repeat("x", MaxValue)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range values {
		remove(t, db, want, large(i))
	}
	apply(t, db)
	if err := put(db, "other", "v"); err != nil {
		t.Fatal(err)
	}
	<-db.swept
	if names := segmentNames(t, dir); len(names) > 1 { // what is written to
		t.Errorf("%d segments are left", len(names))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Options{Dir: dir})
	<-again.swept
	if names := segmentNames(t, dir); len(names) > 0 {
		t.Errorf("left after a start: %q", names)
	}
}

// TestFullDiskAsksForASweep with little deleted, as any room counts then.
func TestFullDiskAsksForASweep(t *testing.T) {
	dir := t.TempDir()
	full := false
	db := openTest(t, Options{Dir: dir, MinFree: 1 << 20, Free: func(string) (int64, error) {
		if full {
			return 1 << 19, nil
		}
		return 1 << 40, nil
	}})
	<-db.swept
	db.engine.large.limit = 1
	for i := range 10 {
		if err := put(db, large(i), strings.Repeat("x", MaxValue)); err != nil {
			t.Fatal(err)
		}
		apply(t, db)
	}
	for i := range 9 {
		remove(t, db, nil, large(i))
	}
	apply(t, db)
	full = true
	if err := db.Room(1 << 40); !errors.Is(err, ErrFull) {
		t.Fatalf("room: %v", err)
	}
	<-db.swept
	if names := segmentNames(t, dir); len(names) != 1 {
		t.Errorf("left: %q", names)
	}
}

// TestDamagedSegment: octets that have changed are told from a value that is not there, and a sweep keeps them.
func TestDamagedSegment(t *testing.T) {
	dir := t.TempDir()
	db := largeTest(t, dir)
	want := fill(t, db, 30)
	for i := range 18 {
		remove(t, db, want, large(i%9+10*(i/9)))
	}
	names := segmentNames(t, dir)
	content, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	content[9*apartFrom+1]++ // of the one value that is left
	if err := os.WriteFile(names[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	err = db.View(t.Context(), func(r Reader) error {
		_, err := r.Get([]byte(large(9)))
		return err
	})
	if !errors.Is(err, errPlace) || errors.Is(err, ErrNotFound) {
		t.Errorf("damaged value: %v", err)
	}
	if err := db.sweep(t.Context(), db.engine); !errors.Is(err, errPlace) {
		t.Errorf("sweep: %v", err)
	}
	left := segmentNames(t, dir)
	if !slices.Contains(left, names[0]) || slices.Contains(left, names[1]) {
		t.Errorf("left of %q: %q", names, left)
	}
}

// TestSegmentSyncFails: a checkpoint whose sync of values fails is no checkpoint; they are read from the journal at the reopening.
func TestSegmentSyncFails(t *testing.T) {
	db := largeTest(t, t.TempDir())
	want := fill(t, db, 12)
	broken := errors.New("input/output error")
	db.engine.large.sync = func(*os.File) error { return broken }
	db.journalLimit = 1
	if err := put(db, "other", "v"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Errorf("update that met the error: %v", err)
	}
	<-db.reopened
	holds(t, db, want)
}

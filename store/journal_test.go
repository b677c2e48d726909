package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// copyState copies a folder's files as the disk would hold them: without the journal, or the journal alone.
func copyState(t *testing.T, from, to string, wanted func(name string) bool) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !wanted(entry.Name()) {
			continue
		}
		// The engine's files are 200 MB of holes.
		out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", filepath.Join(from, entry.Name()), to).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

func isJournal(name string) bool { return name == journalName }
func isEngine(name string) bool  { return name != journalName && name != "LOCK" }

// powerCut answers a folder that holds the engine's files as they were when engine was copied, and the journal as it is now: the engine
// made nothing durable meanwhile.
func powerCut(t *testing.T, engine, dir string) string {
	t.Helper()
	cut := t.TempDir()
	copyState(t, engine, cut, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return isEngine(name) && (err == nil || filepath.Ext(name) != segmentSuffix) // one that was removed is gone for good
	})
	copyState(t, dir, cut, isJournal)
	return cut
}

func contents(t *testing.T, db *DB) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := db.View(t.Context(), func(r Reader) error {
		for k, v := range r.Scan(nil, nil) {
			all[string(k)] = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPowerCutAtAnyTime does random transactions, with checkpoints between, and after each holds what a start would find, were the power
// cut then, against a map: with nothing of the engine's on disk but what the last checkpoint made durable.
func TestPowerCutAtAnyTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	dir, durable := t.TempDir(), t.TempDir()
	db := openTest(t, Options{Dir: dir})
	db.journalLimit = 16 << 10
	<-db.swept // no other than those below
	db.engine.large.limit = 16 << 10
	copyState(t, dir, durable, isEngine)
	want := make(map[string]string)
	checkpoints, cuts, swept := 0, 0, 0
	db.persist = func(e *engine, o *overlay) error {
		before := e.journal.end
		if err := db.checkpoint(e); err != nil {
			return err
		}
		if e.journal.end < before {
			checkpoints++
			copyState(t, dir, durable, isEngine)
		}
		return db.write(e, o)
	}
	for range 400 {
		err := db.Update(t.Context(), func(tx Writer) error {
			for range 1 + random.IntN(4) {
				key := fmt.Sprint(random.IntN(50))
				if random.IntN(2) == 0 {
					key = PrefixLarge + key
				}
				if random.IntN(4) == 0 {
					delete(want, key)
					if err := tx.Delete([]byte(key)); err != nil {
						return err
					}
					continue
				}
				want[key] = strings.Repeat(key, random.IntN(700))
				if err := tx.Set([]byte(key), []byte(want[key])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(20) == 0 {
			before := segmentNames(t, dir)
			if err := db.sweep(t.Context(), db.engine); err != nil {
				t.Fatal(err)
			}
			for _, name := range before {
				if !slices.Contains(segmentNames(t, dir), name) {
					swept++
				}
			}
		}
		if random.IntN(20) > 0 {
			continue
		}
		cuts++
		again, err := Open(Options{Dir: powerCut(t, durable, dir)})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, again); !maps.Equal(got, want) {
			t.Fatalf("after %d checkpoints: %d keys, want %d", checkpoints, len(got), len(want))
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if checkpoints < 5 || cuts < 5 || swept < 5 {
		t.Errorf("%d checkpoints, %d cuts and %d segments swept", checkpoints, cuts, swept)
	}
}

// TestFirstRecordTorn has the power cut while the first record after a checkpoint is written, when the disk holds its end and not yet its
// beginning: nothing of what the journal held before comes back.
func TestFirstRecordTorn(t *testing.T) {
	dir, durable := t.TempDir(), t.TempDir()
	db := openTest(t, Options{Dir: dir})
	for i := range 200 { // small ones, many of which stand in the first block, and the last ones do not
		if err := put(db, "key", fmt.Sprint("old", i)); err != nil {
			t.Fatal(err)
		}
	}
	db.journalLimit = 1
	copied := false
	var before []byte
	db.persist = func(e *engine, o *overlay) error {
		if err := db.checkpoint(e); err != nil {
			return err
		}
		copyState(t, dir, durable, isEngine)
		var err error
		if before, err = os.ReadFile(filepath.Join(dir, journalName)); err != nil {
			return err
		}
		copied = true
		db.journalLimit = journalLimit
		return db.write(e, o)
	}
	const block = 4096
	if err := put(db, "large", strings.Repeat("x", 3*block)); err != nil || !copied {
		t.Fatalf("%v, copied %t", err, copied)
	}
	cut := powerCut(t, durable, dir)
	path := filepath.Join(cut, journalName)
	torn, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(torn[:block], before)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Options{Dir: cut})
	if got := contents(t, again); !maps.Equal(got, map[string]string{"key": "old199"}) {
		t.Errorf("found %v", got)
	}
}

// TestRecordCutOff: a record that is not whole was never answered for; those before it were, and what is behind it is old.
func TestRecordCutOff(t *testing.T) {
	dir, durable := t.TempDir(), t.TempDir()
	db := openTest(t, Options{Dir: dir})
	copyState(t, dir, durable, isEngine)
	for i := range 3 {
		if err := put(db, fmt.Sprint(i), "value"); err != nil {
			t.Fatal(err)
		}
	}
	end := db.engine.journal.end
	one := end / 3
	for name, spoil := range map[string]func(content []byte) []byte{
		"octet changed":  func(b []byte) []byte { b[end-2]++; return b },
		"number changed": func(b []byte) []byte { b[2*one+journalHeader-1]++; return b },
		"cut off":        func(b []byte) []byte { return b[:end-1] },
		"header cut off": func(b []byte) []byte { return b[:2*one+5] },
		"zeros": func(b []byte) []byte {
			clear(b[2*one:])
			return b
		},
		"endless": func(b []byte) []byte { b[2*one+4] = 0xff; return b },
	} {
		t.Run(name, func(t *testing.T) {
			cut := powerCut(t, durable, dir)
			path := filepath.Join(cut, journalName)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second start finds what the first has left
				again, err := Open(Options{Dir: cut})
				if err != nil {
					t.Fatal(err)
				}
				if !has(t, again, "0") || !has(t, again, "1") || has(t, again, "2") {
					t.Errorf("holds %v", contents(t, again))
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestRecordInAMessage: what somebody puts into a value does not pass for a record, where a later, shorter journal ends just before it.
func TestRecordInAMessage(t *testing.T) {
	dir, durable := t.TempDir(), t.TempDir()
	db := openTest(t, Options{Dir: dir})
	j := db.engine.journal
	// What an attacker who guesses everything but the salt would send.
	forged := &journal{number: 1} // its record is number 2
	o := newOverlay()
	o.put("forged", entry{value: []byte("v")}, true)
	forged.encode(o)
	if err := put(db, "k", strings.Repeat("x", 100)+string(forged.buf)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, forged.buf)
	if at < 0 {
		t.Fatal("the value is not in the journal")
	}
	j.end, j.number = 0, 0 // as after a checkpoint
	copyState(t, dir, durable, isEngine)
	fit := at - journalHeader - len("\x00\x01b\x4b")
	if err := put(db, "b", strings.Repeat("y", fit)); err != nil {
		t.Fatal(err)
	}
	if j.end != int64(at) {
		t.Fatalf("the journal ends at %d, the forged record begins at %d", j.end, at)
	}
	again := openTest(t, Options{Dir: powerCut(t, durable, dir)})
	if !has(t, again, "b") || has(t, again, "forged") {
		t.Errorf("holds %v", contents(t, again))
	}
}

// TestOldRecords: what lies behind the last record, exactly where the next one will be, is of before the checkpoint.
func TestOldRecords(t *testing.T) {
	dir, durable := t.TempDir(), t.TempDir()
	db := openTest(t, Options{Dir: dir})
	if err := put(db, "k", "1"); err != nil {
		t.Fatal(err)
	}
	if err := put(db, "k", "2"); err != nil {
		t.Fatal(err)
	}
	copyState(t, dir, durable, isEngine)
	db.journalLimit = 0 // a checkpoint comes next
	if err := put(db, "k", "3"); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Options{Dir: powerCut(t, durable, dir)})
	if got := contents(t, again)["k"]; got != "3" {
		t.Errorf("the value is %q, not the last one", got)
	}
}

// TestSyncFails: a record whose sync fails is answered as an error; the state is opened anew and goes on.
func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, Options{Dir: dir})
	if err := put(db, "before", "v"); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	db.engine.journal.sync = func(*os.File) error { return broken }
	if err := put(db, "unknown", "v"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Errorf("update that met the error: %v", err)
	}
	<-db.reopened
	if err := put(db, "after", "v"); err != nil {
		t.Errorf("update after the reopening: %v", err)
	}
	if !has(t, db, "before") || !has(t, db, "after") {
		t.Error("what was acknowledged is not there")
	}
}

// TestEngineFailsBehindTheJournal: what is in the journal when the engine fails is found after the reopening, whole.
func TestEngineFailsBehindTheJournal(t *testing.T) {
	db := openTest(t, Options{Dir: t.TempDir()})
	once := true
	db.persist = func(e *engine, o *overlay) error {
		if once {
			once = false
			return errors.Join(e.journal.append(o), errors.New("input/output error"))
		}
		return db.write(e, o)
	}
	err := db.Update(context.Background(), func(tx Writer) error {
		return errors.Join(tx.Set([]byte("a"), []byte("v")), tx.Set([]byte("b"), []byte("v")))
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("update: %v", err)
	}
	<-db.reopened
	if !has(t, db, "a") || !has(t, db, "b") {
		t.Error("half of a transaction is there, or nothing, where the journal held all")
	}
}

// TestJournalIsSmall: it is emptied by a close, and bounded before.
func TestJournalIsSmall(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, Options{Dir: dir})
	value := strings.Repeat("x", MaxValue)
	for i := range 200 { // 50 MiB
		if err := put(db, fmt.Sprint(i%10), value); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, journalName)
	info, err := os.Stat(path)
	if err != nil || info.Size() > journalLimit+MaxTx+2*journalGrowth || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("%d octets, mode %v, %v", info.Size(), info.Mode(), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("closed: %d octets, %v", info.Size(), err)
	}
}

// TestJournalOfNonsense: a record whose sum is right and whose payload is none stops the start; it must not be passed over.
func TestJournalOfNonsense(t *testing.T) {
	for name, payload := range map[string]string{
		"neither set nor delete": "\x02\x01k\x01v",
		"key cut off":            "\x00\x09k",
		"no value":               "\x00\x01k",
		"no key":                 "\x00\x00\x00",
	} {
		if _, err := decodeChanges([]byte(payload)); !errors.Is(err, errJournal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSmallStacks: a goroutine that commits and then waits for long keeps no large stack for it.
func TestSmallStacks(t *testing.T) {
	db := openTest(t, Options{Dir: t.TempDir()})
	const most = 24 << 10
	stacks := func() int {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.StackInuse)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would shrink them
	before := stacks()
	const goroutines = 100
	committed, done := make(chan error), make(chan struct{})
	defer close(done)
	for i := range goroutines {
		go func() {
			committed <- put(db, fmt.Sprint(i), "v")
			<-done
		}()
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
	}
	if each := (stacks() - before) / goroutines; each > most {
		t.Errorf("a stack of %d octets", each)
	}
}

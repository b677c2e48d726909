package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// note writes a key and does not wait for the sync.
func note(t *testing.T, db *DB, key, value string) {
	t.Helper()
	if err := db.Note(t.Context(), func(tx Writer) error { return tx.Set([]byte(key), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

// countSyncs has each sync of the journal send a token.
func countSyncs(db *DB) <-chan struct{} {
	synced := make(chan struct{}, 1000)
	db.engine.journal.sync = func(f *os.File) error {
		synced <- struct{}{}
		return datasync(f)
	}
	return synced
}

// TestNoteWaitsForNoSync: one that is noted is seen at once and synced later, by itself or with whatever comes first that is to be durable.
func TestNoteWaitsForNoSync(t *testing.T) {
	db := openTest(t, Options{Dir: t.TempDir()})
	<-db.swept
	synced := countSyncs(db)
	note(t, db, "noted", "v")
	if !has(t, db, "noted") {
		t.Error("what was noted is not seen")
	}
	select { // fails when nobody syncs it
	case <-synced:
	case <-time.After(10 * time.Second):
		t.Fatal("what was noted is never synced")
	}
	if err := db.Update(t.Context(), func(Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if len(synced) > 0 {
		t.Error("a sync with nothing to make durable")
	}
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"an update", func() error { return put(db, "key", "v") }},
		{"an update that only looks", func() error { return db.Update(t.Context(), func(Writer) error { return nil }) }},
		{"a note with something to do afterwards", func() error {
			return db.Note(t.Context(), func(tx Writer) error {
				tx.AfterCommit(func() {
					if len(synced) == 0 {
						t.Error("AfterCommit comes before the sync")
					}
				})
				return tx.Set([]byte("key"), []byte("w"))
			})
		}},
	} {
		for len(synced) > 0 {
			<-synced
		}
		note(t, db, "noted", c.what)
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if len(synced) == 0 {
			t.Errorf("%s is answered before what was noted before it is durable", c.what)
		}
	}
}

// TestNoteOfAReopenedEngine: the time for a note's sync comes when its engine has been given up, and costs the next one nothing.
func TestNoteOfAReopenedEngine(t *testing.T) {
	db := openTest(t, Options{Dir: t.TempDir()})
	note(t, db, "noted", "v")
	former := db.engine
	db.retire(former)
	<-db.reopened
	db.flushDue(former.journal)
	if err := put(db, "after", "v"); err != nil {
		t.Error(err)
	}
	if !has(t, db, "noted") {
		t.Error("what was noted is lost, and the power was not cut")
	}
}

// lagging follows a state of which some transactions are noted: what it was when the journal was synced last.
type lagging struct {
	db      *DB
	want    map[string]string            // now
	states  map[uint64]map[string]string // after each record of the journal
	durable map[string]string
	end     int64 // of what is synced
}

func follow(db *DB) *lagging {
	l := &lagging{db: db, want: make(map[string]string), states: map[uint64]map[string]string{0: {}}, durable: make(map[string]string)}
	j := db.engine.journal
	j.sync = func(f *os.File) error {
		l.durable, l.end = l.states[j.number], j.end
		return datasync(f)
	}
	db.persist = func(e *engine, o *overlay) error {
		l.states[e.journal.number+1] = maps.Clone(l.want)
		return db.write(e, o)
	}
	return l
}

// cut answers a folder that holds the engine's files as they are, in which all it was given may have reached the disk, and of the journal what is
// synced.
func (l *lagging) cut(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyState(t, l.db.opt.Dir, dir, func(name string) bool { return name != "LOCK" })
	if err := os.Truncate(filepath.Join(dir, journalName), l.end); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPowerCutBehindNotes does random transactions of which most are noted, and holds what a start would find, were the power cut then, against
// the state of the last sync: all of that is there, and nothing of what came after it, though the engine's files are all on the disk.
func TestPowerCutBehindNotes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	db := openTest(t, Options{Dir: t.TempDir()})
	<-db.swept // no other than those below
	db.journalLimit = 64 << 10
	l := follow(db)
	behind := 0
	for range 100 {
		commit, keys := db.Note, 1+random.IntN(4)
		if random.IntN(4) == 0 {
			commit = db.Update
		}
		if random.IntN(15) == 0 {
			keys = pendingKeys // the engine gets them
		}
		err := commit(t.Context(), func(tx Writer) error {
			for range keys {
				key := fmt.Sprint(random.IntN(2 * pendingKeys))
				l.want[key] = strings.Repeat(key, random.IntN(40))
				if err := tx.Set([]byte(key), []byte(l.want[key])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(10) > 0 {
			continue
		}
		var dir string
		var durable map[string]string
		if err := db.between(t.Context(), func(*engine) error { // while nothing is synced
			if !maps.Equal(l.want, l.durable) {
				behind++
			}
			dir, durable = l.cut(t), l.durable
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		again, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, again); !maps.Equal(got, durable) {
			t.Fatalf("%d keys that are not those of the last sync, which were %d", len(got), len(durable))
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if behind == 0 {
		t.Error("the power was never cut with something noted and not synced")
	}
}

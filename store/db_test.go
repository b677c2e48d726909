package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func openTest(t *testing.T, opt Options) *DB {
	t.Helper()
	db, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(db *DB, key, value string) error {
	return db.Update(context.Background(), func(tx Writer) error { return tx.Set([]byte(key), []byte(value)) })
}

func has(t *testing.T, db *DB, key string) bool {
	t.Helper()
	var err error
	verr := db.View(t.Context(), func(r Reader) error {
		_, err = r.Get([]byte(key))
		return nil
	})
	if verr != nil || (err != nil && !errors.Is(err, ErrNotFound)) {
		t.Fatal(verr, err)
	}
	return err == nil
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, Options{Dir: dir})
}

func TestFolderIsClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	db := openTest(t, Options{Dir: dir})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openTest(t, Options{Dir: dir})
	info, err := os.Stat(dir)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("a state without folder was opened")
	}
}

// TestGroupCommit holds the first commit until many updates wait, and counts how many commits they take.
func TestGroupCommit(t *testing.T) { synctest.Test(t, groupCommit) }

func groupCommit(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	const writers = 50
	begun, release := make(chan struct{}), make(chan struct{})
	var commits atomic.Int32
	db.persist = func(e *engine, o *overlay) error {
		if commits.Add(1) == 1 {
			close(begun)
			<-release
		}
		return db.write(e, o)
	}
	var wg sync.WaitGroup
	write := func(key string) {
		wg.Go(func() {
			if err := put(db, key, "v"); err != nil {
				t.Error(err)
			}
		})
	}
	write("first")
	<-begun
	for i := range writers {
		write(fmt.Sprint(i))
	}
	synctest.Wait() // until all of them wait for the first to commit
	close(release)
	wg.Wait()
	if got := commits.Load(); got != 2 {
		t.Errorf("%d commits for %d updates, want 2", got, writers+1)
	}
}

// TestScanAfterRollback has a transaction fail in a batch whose others go on to scan what it had changed.
func TestScanAfterRollback(t *testing.T) { synctest.Test(t, scanAfterRollback) }

func scanAfterRollback(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	if err := put(db, "b", "kept"); err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(begun); <-release })
	db.persist = func(e *engine, o *overlay) error { once(); return db.write(e, o) }
	scan := func(r Reader) (all string) {
		for k, v := range r.Scan(nil, nil) {
			all += fmt.Sprintf("%s=%s ", k, v)
		}
		return all
	}
	refused := errors.New("refused")
	var wg sync.WaitGroup
	queue := func(want error, fn func(tx Writer) error) {
		wg.Go(func() {
			if err := db.Update(t.Context(), fn); !errors.Is(err, want) {
				t.Errorf("update: %v, want %v", err, want)
			}
		})
		synctest.Wait()
	}
	queue(nil, func(tx Writer) error { return tx.Set([]byte("first"), []byte("v")) })
	<-begun
	queue(refused, func(tx Writer) error {
		err := errors.Join(tx.Set([]byte("a"), []byte("lost")), tx.Set([]byte("b"), []byte("lost")), tx.Delete([]byte("first")))
		if got := scan(tx); got != "a=lost b=lost " {
			t.Errorf("scan of its own writes: %q", got)
		}
		return errors.Join(err, refused)
	})
	queue(nil, func(tx Writer) error {
		if got := scan(tx); got != "b=kept first=v " {
			t.Errorf("scan after a rollback: %q", got)
		}
		return tx.Set([]byte("a"), []byte("new"))
	})
	queue(nil, func(tx Writer) error {
		if got := scan(tx); got != "a=new b=kept first=v " {
			t.Errorf("scan of the batch: %q", got)
		}
		return nil
	})
	close(release)
	wg.Wait()
}

// TestCommitFails has the disk fail once: those in the commit and those that come before the reopening are told, nobody
// else, and the state is read back from disk.
func TestCommitFails(t *testing.T) {
	var log bytes.Buffer
	db := openTest(t, Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := put(db, "before", "v"); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	var failed atomic.Bool
	db.persist = func(e *engine, o *overlay) error {
		if !failed.Swap(true) {
			return broken
		}
		return db.write(e, o)
	}
	inside := make(chan struct{})
	leave := make(chan struct{})
	viewed := make(chan error)
	go func() { // a view that is open when the disk fails reads on, and the reopening waits for it
		viewed <- db.View(context.Background(), func(r Reader) error {
			close(inside)
			<-leave
			_, err := r.Get([]byte("before"))
			return err
		})
	}()
	<-inside
	err := db.Update(t.Context(), func(tx Writer) error {
		tx.AfterCommit(func() { t.Error("AfterCommit ran") })
		return tx.Set([]byte("lost"), []byte("v"))
	})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Errorf("update that met the error: %v", err)
	}
	if err := put(db, "early", "v"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("update before the reopening: %v", err)
	}
	if err := db.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	close(leave)
	if err := <-viewed; err != nil {
		t.Errorf("view under way: %v", err)
	}
	<-db.reopened
	if err := db.Ready(); err != nil {
		t.Errorf("ready after the reopening: %v", err)
	}
	if err := put(db, "after", "v"); err != nil {
		t.Errorf("update after the reopening: %v", err)
	}
	if !has(t, db, "before") || !has(t, db, "after") || has(t, db, "lost") || has(t, db, "early") {
		t.Error("what was acknowledged, and only that, is there")
	}
	if err := db.Close(); err != nil { // nobody writes to the log after it
		t.Error(err)
	}
	if !strings.Contains(log.String(), "state cannot be written") || !strings.Contains(log.String(), "state reopened") {
		t.Errorf("log: %s", log.String())
	}
}

// TestCommitOfAFullBatchFails fails the commit of the transactions before the one that did not fit with them: that one
// saw their writes, so it must fail too.
func TestCommitOfAFullBatchFails(t *testing.T) { synctest.Test(t, fullBatch) }

func fullBatch(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	begun, release := make(chan struct{}), make(chan struct{})
	var commits atomic.Int32
	db.persist = func(e *engine, o *overlay) error {
		switch commits.Add(1) {
		case 1:
			close(begun)
			<-release
			return db.write(e, o)
		default:
			return errors.New("input/output error")
		}
	}
	first := make(chan error)
	go func() { first <- put(db, "first", "v") }()
	<-begun
	const writers = 5 // 5 × 1 MiB
	results := make(chan error, writers)
	for i := range writers {
		go func() {
			results <- db.Update(context.Background(), func(tx Writer) error {
				for j := range 4 {
					if err := tx.Set(fmt.Appendf(nil, "%d/%d", i, j), make([]byte, MaxValue)); err != nil {
						return err
					}
				}
				return nil
			})
		}()
	}
	synctest.Wait() // until all of them wait for the first to commit
	close(release)
	if err := <-first; err != nil {
		t.Errorf("first: %v", err)
	}
	for range writers {
		if err := <-results; !errors.Is(err, ErrUnavailable) {
			t.Errorf("writer: %v", err)
		}
	}
	if got := commits.Load(); got != 2 {
		t.Errorf("%d commits", got)
	}
}

func TestCloseAnswersWhoWaits(t *testing.T) { synctest.Test(t, closeWaits) }

func closeWaits(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	in, out := make(chan struct{}), make(chan struct{})
	running := make(chan error)
	go func() {
		running <- db.Update(context.Background(), func(tx Writer) error {
			close(in)
			<-out
			return tx.Set([]byte("a"), []byte("v"))
		})
	}()
	<-in
	waiting := make(chan error)
	go func() { waiting <- put(db, "b", "v") }()
	synctest.Wait()
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	<-db.ctx.Done()
	close(out)
	if err := <-running; err != nil {
		t.Errorf("update that ran: %v", err)
	}
	if err := <-waiting; err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("update that waited: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := put(db, "c", "v"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("update after: %v", err)
	}
}

// TestFull walks the free space down and up again.
func TestFull(t *testing.T) {
	var free atomic.Int64
	free.Store(1000 << 20)
	db := openTest(t, Options{Dir: t.TempDir(), MinFree: 400 << 20, Free: func(string) (int64, error) { return free.Load(), nil }})
	reclaim := func() error {
		return db.Reclaim(t.Context(), func(tx Writer) error { return tx.Delete([]byte("a")) })
	}
	age := func() { // the reading, past spaceAge
		db.space.mu.Lock()
		defer db.space.mu.Unlock()
		db.space.at = db.space.at.Add(-2 * spaceAge)
	}
	for _, c := range []struct {
		free                  int64 // MiB
		update, reclaim, room error
	}{
		{1000, nil, nil, nil},
		{401, nil, nil, ErrFull},
		{399, ErrFull, nil, ErrFull},
		{101, ErrFull, nil, ErrFull},
		{99, ErrFull, ErrFull, ErrFull},
		{1000, nil, nil, nil},
	} {
		free.Store(c.free << 20)
		age()
		if err := put(db, "a", "v"); !errors.Is(err, c.update) {
			t.Errorf("%d MiB: update: %v", c.free, err)
		}
		if err := db.Ready(); !errors.Is(err, c.update) {
			t.Errorf("%d MiB: ready: %v", c.free, err)
		}
		if err := reclaim(); !errors.Is(err, c.reclaim) {
			t.Errorf("%d MiB: reclaim: %v", c.free, err)
		}
		if err := db.Room(10 << 20); !errors.Is(err, c.room) {
			t.Errorf("%d MiB: room for 10 MiB: %v", c.free, err)
		}
	}
}

// TestSpaceCountsWhatIsWritten between two readings.
func TestSpaceCountsWhatIsWritten(t *testing.T) {
	readings := 0
	s := &space{minFree: 100, read: func() (int64, error) { readings++; return 1000, nil }}
	for range 3 {
		if err := s.allows(false); err != nil {
			t.Fatal(err)
		}
		s.wrote(10)
	}
	if readings != 1 {
		t.Errorf("%d readings", readings)
	}
	s.wrote(300) // 1000 - 4×330 is below the guard: look again
	if err := s.allows(false); err != nil || readings != 2 {
		t.Errorf("%v after %d readings", err, readings)
	}
	s.read = func() (int64, error) { return 0, os.ErrPermission }
	s.wrote(1000)
	if err := s.allows(false); !errors.Is(err, os.ErrPermission) {
		t.Errorf("reading fails: %v", err)
	}
}

// TestSpaceCountsFiles: what was set aside for files between two readings is not given twice, to files or to the engine.
func TestSpaceCountsFiles(t *testing.T) {
	readings := 0
	s := &space{read: func() (int64, error) { readings++; return 1000, nil }}
	for range 3 {
		if err := s.reserve(100, 250); err != nil {
			t.Fatal(err)
		}
	}
	if readings != 1 {
		t.Errorf("%d readings", readings)
	}
	s.read = func() (int64, error) { readings++; return 250, nil } // they were written
	if err := s.reserve(100, 250); !errors.Is(err, ErrFull) || readings != 2 {
		t.Errorf("a file more: %v after %d readings", err, readings)
	}
	if err := s.room(251); !errors.Is(err, ErrFull) {
		t.Errorf("the engine: %v", err)
	}
	if err := s.room(250); err != nil {
		t.Errorf("a refused file counts: %v", err)
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	_, err := Open(Options{Dir: t.TempDir(), Free: func(string) (int64, error) { return 1 << 20, nil }})
	if !errors.Is(err, ErrFull) {
		t.Errorf("open: %v", err)
	}
}

func TestStatfs(t *testing.T) {
	if free, err := statfs(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("free space %d, %v", free, err)
	}
}

func TestReservedKey(t *testing.T) {
	db := openTest(t, Options{InMemory: true})
	if err := put(db, enginePrefix+"x", "v"); err == nil {
		t.Error("a key of the engine was taken")
	}
	if err := put(db, "x", "v"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestEngineLog(t *testing.T) {
	var out bytes.Buffer
	l := engineLog{slog.New(slog.NewTextHandler(&out, nil))}
	l.Infof("compaction %d\n", 1)
	l.Debugf("write %d", 2)
	l.Warningf("slow %d\n", 3)
	l.Errorf("broken %d\n", 4)
	if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(), `message="slow 3"`) {
		t.Errorf("log: %s", out.String())
	}
}

// TestCloseWithoutDisk: a state whose disk is gone does not keep the daemon from ending.
func TestCloseWithoutDisk(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	db.closeTimeout = 100 * time.Millisecond
	if err := db.Close(); !errors.Is(err, errUnclosed) {
		t.Errorf("close: %v", err)
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// enginePrefix starts the keys Badger keeps for itself.
const enginePrefix = "!badger!"

var (
	errEmptyKey    = errors.New("key is empty")
	errReservedKey = errors.New("key is reserved to the engine")
	errClosed      = fmt.Errorf("%w: it is closed", ErrUnavailable)
)

// ErrLocked is answered by Open when another process has the state open.
var ErrLocked = errors.New("the state is in use by another process")

// Sizes of the engine, as measured. Whoever makes a table, of which a compaction has ten at a time, holds buffers of a mem table's or a table's
// size and more, and Badger keeps eight of those, as large as the largest use made them: they decide how much memory it takes. Badger takes no value
// above 15 % of a mem table, nor a threshold.
const (
	memTableSize   = 2 << 20
	tableSize      = 256 << 10 // of the uppermost level; the next have twice as much
	valueLogSize   = 64 << 20  // preallocated twofold, sparse; holds nothing, since every value is below the threshold
	valueThreshold = 300 << 10
	blockCacheSize = 16 << 20
)

// Waits between attempts to reopen the engine after a write error.
const (
	reopenFirst = 100 * time.Millisecond
	reopenLimit = 30 * time.Second
)

// Options say where the state is kept. The zero value of each but Dir works.
type Options struct {
	// Dir is the folder of the state, made when it is not there, closed to others than its owner.
	Dir string
	// InMemory keeps the state in memory and nothing in Dir, for tests: it ends with Close.
	InMemory bool
	// MinFree is the free space of Dir's disk, in octets, below which writes are refused (ErrFull). 0: 256 MiB, which is also
	// the least that keeps a full disk from killing the process while the state is busy.
	MinFree int64
	// Free reads the free space of a folder's disk. nil: statfs.
	Free func(dir string) (int64, error)
	// Logger gets what the engine has to say. nil: nowhere.
	Logger *slog.Logger
}

// DB is the daemon's engine: Badger behind a journal, written by one at a time, who puts all waiting transactions under one sync.
// It is a Store. After a write or sync error everything answers ErrUnavailable until the engine, closed and opened anew in
// the background, reads back what the disk really holds.
type DB struct {
	opt     Options
	log     *slog.Logger
	space   *space
	watches *watches

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // reopener and sweeper
	// sweeping has a token when the segments are to be swept.
	sweeping chan struct{}

	mu      sync.Mutex
	queue   []*update
	writing bool    // somebody writes
	engine  *engine // nil: failed, being reopened
	closed  bool

	closeTimeout time.Duration
	journalLimit int64                         // a longer journal makes a checkpoint; of who writes
	persist      func(*engine, *overlay) error // write; replaced by tests that need a disk that fails
	reopened     chan struct{}                 // gets a token after each reopening
	swept        chan struct{}                 // and after each sweep
}

// Open opens the state, making it when there is none. ErrLocked when another process has it open.
func Open(opt Options) (*DB, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.MinFree == 0 {
		opt.MinFree = defaultMinFree
	}
	if opt.Free == nil {
		opt.Free = statfs
	}
	db := &DB{
		opt:          opt,
		log:          opt.Logger,
		space:        &space{minFree: opt.MinFree},
		watches:      newWatches(),
		sweeping:     make(chan struct{}, 1),
		closeTimeout: closeTimeout,
		journalLimit: journalLimit,
		reopened:     make(chan struct{}, 1),
		swept:        make(chan struct{}, 1),
	}
	db.persist = db.write
	if !opt.InMemory {
		db.space.read = func() (int64, error) { return opt.Free(opt.Dir) }
		if err := makeDir(opt.Dir); err != nil {
			return nil, err
		}
		// Badger writes while it opens; on a full disk it would be killed.
		if err := db.space.allows(true); err != nil {
			return nil, fmt.Errorf("open the state in %s: %w", opt.Dir, err)
		}
	}
	e, err := db.open()
	if err != nil {
		return nil, err
	}
	db.engine = e
	db.ctx, db.cancel = context.WithCancel(context.Background())
	if !opt.InMemory {
		db.wg.Go(db.sweepLoop)
		db.askSweep()
	}
	return db, nil
}

// makeDir makes the state's folder and closes it to others: Badger's own files have wider modes.
func makeDir(dir string) error {
	if dir == "" {
		return errors.New("the state has no folder")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state's folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close the state's folder to others: %w", err)
	}
	return nil
}

func (db *DB) open() (*engine, error) {
	opt := badger.DefaultOptions(db.opt.Dir)
	if db.opt.InMemory {
		opt = badger.DefaultOptions("").WithInMemory(true)
	}
	opt.SyncWrites = false // the journal is
	opt.MemTableSize = memTableSize
	opt.NumMemtables = 2
	opt.BaseTableSize = tableSize
	opt.NumLevelZeroTables = 8
	opt.NumLevelZeroTablesStall = 16
	opt.NumCompactors = 2
	opt.BlockCacheSize = blockCacheSize
	opt.Compression = options.Snappy // what is not written, and not mapped, is worth more than the time this takes
	opt.ValueLogFileSize = valueLogSize
	opt.ValueThreshold = valueThreshold
	opt.MetricsEnabled = false
	opt.DetectConflicts = false // one writer
	opt.Logger = engineLog{db.log}
	b, err := badger.Open(opt)
	if isLocked(err) {
		return nil, fmt.Errorf("open the state in %s: %w", db.opt.Dir, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open the state in %s: %w", db.opt.Dir, err)
	}
	e := &engine{badger: b, dir: db.opt.Dir, idle: make(chan struct{}), readers: newReaders()}
	if !db.opt.InMemory {
		if err := db.recover(e); err != nil {
			return nil, errors.Join(fmt.Errorf("open the state in %s: %w", db.opt.Dir, err), b.Close())
		}
	}
	return e, nil
}

// closeTimeout bounds the wait for the engine at the end. Badger tries for ever to write its last table, on a disk that is gone too; nothing is
// lost without it, for the journal has what the tables lack.
const closeTimeout = 20 * time.Second

// errUnclosed is what Close answers when the engine does not end.
var errUnclosed = errors.New("the engine cannot write its files to an end; the next start reads the journal")

// Close waits for the transactions and views that run, answers ErrUnavailable to all others, and closes the engine. One that does not end is left
// to itself after closeTimeout: what was answered is durable either way.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	db.mu.Unlock()
	db.cancel()
	db.wg.Wait()
	db.mu.Lock()
	e := db.engine
	db.engine = nil
	if e != nil {
		db.leave(e)
	}
	db.mu.Unlock()
	if e == nil {
		return nil
	}
	<-e.idle
	if err := db.end(e); err != nil {
		return fmt.Errorf("close the state: %w", err)
	}
	return nil
}

// end closes an engine that nobody uses any more, within bounds.
func (db *DB) end(e *engine) error {
	closed := make(chan error, 1)
	go func() { closed <- e.close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(db.closeTimeout):
		return errUnclosed
	}
}

// View implements Store.
func (db *DB) View(ctx context.Context, fn func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := db.acquire()
	if err != nil {
		return err
	}
	defer db.release(e)
	v := e.view()
	defer v.end()
	if err := fn(v); err != nil {
		return err
	}
	return v.err
}

// Update implements Store. An update that waits is taken back when ctx ends; once its function runs, the true result is
// answered.
func (db *DB) Update(ctx context.Context, fn func(Writer) error) error {
	return db.update(ctx, fn, updating)
}

// Reclaim implements Store. The guard keeps a quarter of MinFree even from it.
func (db *DB) Reclaim(ctx context.Context, fn func(Writer) error) error {
	return db.update(ctx, fn, reclaiming)
}

// Note implements Store.
func (db *DB) Note(ctx context.Context, fn func(Writer) error) error {
	return db.update(ctx, fn, noting)
}

// Watch implements Store.
func (db *DB) Watch(prefix []byte) (changed <-chan struct{}, stop func()) {
	return db.watches.add(string(prefix))
}

// Room answers ErrFull when n more octets on the state's disk would take it below the guard, and sets them aside when they do
// not: for those who write files beside the engine's, before they write.
func (db *DB) Room(n int64) error { return db.full(db.space.reserve(db.opt.MinFree, n)) }

// allows answers ErrFull when nothing may be written; to who frees space, when even that may not.
func (db *DB) allows(k kind) error { return db.full(db.space.allows(k != updating)) }

// full has room given back, where there is some, when err says that there is none.
func (db *DB) full(err error) error {
	if !errors.Is(err, ErrFull) {
		return err
	}
	if e, aerr := db.acquire(); aerr == nil {
		if e.large != nil && e.large.due(true) {
			db.askSweep()
		}
		db.release(e)
	}
	return err
}

// Ready answers nil when the state can be read and written, ErrUnavailable or ErrFull otherwise.
func (db *DB) Ready() error {
	e, err := db.acquire()
	if err != nil {
		return err
	}
	db.release(e)
	return db.allows(updating)
}

// Size is about how many octets the engine's files take, those of its tables as of the last minute.
func (db *DB) Size() int64 {
	e, err := db.acquire()
	if err != nil {
		return 0
	}
	defer db.release(e)
	tables, log := e.badger.Size()
	return tables + log + e.large.size()
}

// usable tells why the engine cannot be used. The caller holds db.mu.
func (db *DB) usable() error {
	switch {
	case db.closed:
		return errClosed
	case db.engine == nil:
		return ErrUnavailable
	}
	return nil
}

func (db *DB) acquire() (*engine, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.usable(); err != nil {
		return nil, err
	}
	db.engine.users++
	return db.engine, nil
}

func (db *DB) release(e *engine) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if e.users--; e.users == 0 && e.left {
		close(e.idle)
	}
}

// leave marks e as retired. The caller holds db.mu.
func (db *DB) leave(e *engine) {
	e.left = true
	if e.users == 0 {
		close(e.idle)
	}
}

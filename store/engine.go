package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// Bounds of what is held back from Badger: a transaction there costs as much as a sync, however small it is.
const (
	pendingCost = 1 << 20
	pendingKeys = 1024 // reads look at them first, in a few maps
)

// engine is one opened Badger with its journal and those who use it.
type engine struct {
	badger  *badger.DB
	dir     string
	journal *journal      // nil: kept in memory. Of who writes alone
	large   *segments     // nil: as the journal
	below   *badger.Txn   // nil, or a view of what Badger holds; of who writes alone
	users   int           // guarded by DB.mu
	idle    chan struct{} // closed when the engine is retired and the last user has gone
	left    bool          // retired
	broken  bool          // a write has failed

	// pending is in the journal, and Badger has not been given it yet, or is being given it: nil for nothing. Who writes alone changes
	// it, under mu. A view takes it and its transaction under mu, so that Badger holds nothing then that pending does not cover.
	mu      sync.RWMutex
	pending layers
	readers *readers // of the views that begin now
}

// readers counts views that began in one stretch of time, so that what none of them may read any more can be told.
type readers struct {
	n    atomic.Int64 // views, and 1 while the stretch lasts
	gone chan struct{}
}

func newReaders() *readers {
	r := &readers{gone: make(chan struct{})}
	r.n.Store(1)
	return r
}

func (r *readers) leave() {
	if r.n.Add(-1) == 0 {
		close(r.gone)
	}
}

// view is what has been written so far.
func (e *engine) view() *view {
	e.mu.RLock()
	defer e.mu.RUnlock()
	e.readers.n.Add(1)
	return &view{txn: e.badger.NewTransaction(false), pending: e.pending, large: e.large, among: e.readers}
}

// outlast answers a channel that is closed once every view that has begun by now has ended.
func (e *engine) outlast() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	former := e.readers
	e.readers = newReaders()
	former.leave()
	return former.gone
}

// latest is view for who writes alone.
func (e *engine) latest() *view {
	if e.below == nil {
		e.below = e.badger.NewTransaction(false)
	}
	return &view{txn: e.below, pending: e.pending, large: e.large}
}

func (e *engine) pend(l layers) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = l
}

// flush makes durable what the journal holds.
func (e *engine) flush() error {
	if e.journal == nil {
		return nil
	}
	return e.journal.flush()
}

// apply gives Badger what is pending, once all of that is durable: Badger makes tables of its own accord, and would have on disk a part of what the
// journal has lost. It syncs nothing else.
func (e *engine) apply() error {
	if e.pending == nil {
		return nil
	}
	if err := e.flush(); err != nil {
		return err
	}
	err := e.give(func(yield func(change) bool) {
		for _, o := range e.pending {
			for key, entry := range o.entries {
				if !yield(change{[]byte(key), entry.value, entry.deleted}) {
					return
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if e.below != nil {
		e.below.Discard()
		e.below = nil
	}
	e.pend(nil)
	return nil
}

// give writes changes to Badger, in as many transactions as it needs for them: readers see them in what is pending until all are there, and
// after a crash the journal has all of them.
func (e *engine) give(changes iter.Seq[change]) error {
	txn := e.badger.NewTransaction(true)
	defer func() { txn.Discard() }()
	for c := range changes {
		entry, err := e.entry(txn, c)
		if err == nil {
			err = giveOne(txn, entry, c.deleted)
		}
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err = txn.Commit(); err == nil {
				txn = e.badger.NewTransaction(true)
				err = giveOne(txn, entry, c.deleted)
			}
		}
		if err != nil {
			return fmt.Errorf("gather a batch: %w", err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit a batch: %w", err)
	}
	return nil
}

func giveOne(txn *badger.Txn, entry *badger.Entry, deleted bool) error {
	if deleted {
		return txn.Delete(entry.Key)
	}
	return txn.SetEntry(entry)
}

// entry answers what Badger is to hold of a change, whose value goes to its segment. What a deletion leaves behind in one is counted.
func (e *engine) entry(txn *badger.Txn, c change) (*badger.Entry, error) {
	entry := badger.NewEntry(c.key, c.value)
	if e.large == nil || !bytes.HasPrefix(c.key, []byte(PrefixLarge)) {
		return entry, nil
	}
	if c.deleted {
		return entry, e.free(txn, c.key)
	}
	if len(c.value) < apartFrom {
		return entry, nil
	}
	at, err := e.large.append(c.value)
	entry.Value, entry.UserMeta = at.encode(), metaApart
	return entry, err
}

func (e *engine) free(txn *badger.Txn, key []byte) error {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	at, apart, err := placeOf(item)
	if apart {
		e.large.freed.Add(int64(at.length))
	}
	return err
}

// settle makes durable what Badger has been given so far.
func (e *engine) settle() error {
	if err := e.large.settle(); err != nil {
		return err
	}
	return syncLogs(e.dir)
}

// recover opens the engine's journal and applies what is in it: what a power cut, or the end of the process, kept the engine from making
// durable.
func (db *DB) recover(e *engine) error {
	var err error
	if e.large, err = openSegments(e.dir); err != nil {
		return err
	}
	j, err := openJournal(e.dir)
	if err != nil {
		return err
	}
	records, err := j.replay(func(changes []change) error { return e.give(slices.Values(changes)) })
	if err == nil {
		err = e.settle()
	}
	if err == nil {
		err = j.clear()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("apply the journal: %w", err), e.large.close(), j.file.Close())
	}
	if records > 0 {
		db.log.Debug("journal applied", slog.Int("records", records))
	}
	e.journal = j
	return nil
}

// close closes the engine. The journal is emptied when all of it has reached the engine's files.
func (e *engine) close() error {
	var err error
	if !e.broken {
		err = e.apply()
	}
	if e.below != nil {
		e.below.Discard()
	}
	err = errors.Join(err, e.badger.Close())
	if e.journal == nil {
		return err
	}
	if err == nil && !e.broken {
		if err = e.settle(); err == nil {
			err = e.journal.clear()
		}
	}
	return errors.Join(err, e.large.close(), e.journal.file.Close())
}

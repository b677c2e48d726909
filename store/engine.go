package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// Bounds of what is held back from Badger: a transaction there costs as much as a sync, however small it is.
const (
	pendingCost = 256 << 10 // with MaxTx it is less than Badger takes in one transaction
	pendingKeys = 256       // reads look at them first
)

// engine is one opened Badger with its journal and those who use it.
type engine struct {
	badger  *badger.DB
	dir     string
	journal *journal      // nil: kept in memory. Of who writes alone
	below   *badger.Txn   // nil, or a view of what Badger holds; of who writes alone
	users   int           // guarded by DB.mu
	idle    chan struct{} // closed when the engine is retired and the last user has gone
	left    bool          // retired
	broken  bool          // a write has failed

	// pending is durable, and Badger has not been given it yet, or is being given it: nil for nothing. Who writes alone changes
	// it, under mu. A view takes it and its transaction under mu, so that Badger holds nothing then that pending does not cover.
	mu      sync.RWMutex
	pending layers
}

// view is what has been written so far.
func (e *engine) view() *view {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return &view{txn: e.badger.NewTransaction(false), pending: e.pending}
}

// latest is view for who writes alone.
func (e *engine) latest() *view {
	if e.below == nil {
		e.below = e.badger.NewTransaction(false)
	}
	return &view{txn: e.below, pending: e.pending}
}

func (e *engine) pend(l layers) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = l
}

// apply gives Badger what is pending. It syncs nothing.
func (e *engine) apply() error {
	if e.pending == nil {
		return nil
	}
	txn := e.badger.NewTransaction(true)
	defer txn.Discard()
	for _, o := range e.pending {
		for key, entry := range o.entries {
			if err := putTxn(txn, change{[]byte(key), entry.value, entry.deleted}); err != nil {
				return err
			}
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit a batch: %w", err)
	}
	if e.below != nil {
		e.below.Discard()
		e.below = nil
	}
	e.pend(nil)
	return nil
}

// recover opens the engine's journal and applies what is in it: what a power cut, or the end of the process, kept the engine from making
// durable.
func (db *DB) recover(e *engine) error {
	j, err := openJournal(e.dir)
	if err != nil {
		return err
	}
	records, err := j.replay(func(changes []change) error {
		txn := e.badger.NewTransaction(true)
		defer txn.Discard()
		for _, c := range changes {
			if err := putTxn(txn, c); err != nil {
				return err
			}
		}
		return txn.Commit()
	})
	if err == nil {
		err = syncLogs(e.dir)
	}
	if err == nil {
		err = j.clear()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("apply the journal: %w", err), j.file.Close())
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
		if err = syncLogs(e.dir); err == nil {
			err = e.journal.clear()
		}
	}
	return errors.Join(err, e.journal.file.Close())
}

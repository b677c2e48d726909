package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// errAborted is what the committer notes for a function that panicked or ended its goroutine; nobody reads it.
var errAborted = errors.New("transaction function did not return")

// update is one Update on its way through the committer. Its function runs in the goroutine of its caller, when the
// committer gives it its turn: so that a panic unwinds there, and the committer survives it.
type update struct {
	reclaim bool
	claimed atomic.Bool // by the committer, or by the caller that gives up: whoever is first
	turn    chan *tx
	ran     chan error
	done    chan error
}

// update queues fn and waits for its result.
func (db *DB) update(ctx context.Context, fn func(Writer) error, reclaim bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{reclaim: reclaim, turn: make(chan *tx, 1), ran: make(chan error, 1), done: make(chan error, 1)}
	if err := db.enqueue(u); err != nil {
		return err
	}
	select {
	case t := <-u.turn:
		return u.run(t, fn)
	case err := <-u.done:
		return err
	case <-ctx.Done():
	}
	if u.claimed.CompareAndSwap(false, true) {
		return ctx.Err()
	}
	select { // too late to give up: the true result is at most a commit away
	case t := <-u.turn:
		return u.run(t, fn)
	case err := <-u.done:
		return err
	}
}

func (u *update) run(t *tx, fn func(Writer) error) error {
	u.call(t, fn)
	if err := <-u.done; err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

func (u *update) call(t *tx, fn func(Writer) error) {
	err := errAborted
	defer func() { u.ran <- err }()
	if err = fn(t); err != nil {
		return
	}
	if err = t.failed; err == nil {
		err = t.err
	}
}

func (db *DB) enqueue(u *update) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.usable(); err != nil {
		return err
	}
	db.queue = append(db.queue, u)
	select {
	case db.wake <- struct{}{}:
	default:
	}
	return nil
}

// take answers every update that waits.
func (db *DB) take() []*update {
	db.mu.Lock()
	defer db.mu.Unlock()
	queue := db.queue
	db.queue = nil
	return queue
}

// commitLoop is the committer: the one goroutine that writes. It gives every update that waits its turn, one after another,
// and makes the writes of all durable with one sync.
func (db *DB) commitLoop() {
	defer db.wg.Done()
	for {
		select {
		case <-db.ctx.Done():
			for _, u := range db.take() {
				u.end(errClosed)
			}
			return
		case <-db.wake:
			if waiting := db.take(); len(waiting) > 0 {
				db.commitAll(waiting)
			}
		}
	}
}

// end answers an update that has not had its turn.
func (u *update) end(err error) {
	if u.claimed.CompareAndSwap(false, true) {
		u.done <- err
	}
}

// batch is a set of transactions that share one commit.
type batch struct {
	over    *overlay
	below   *badger.Txn
	members []*update
	number  int // of the last transaction
}

// newBatch begins a batch; number counts on from the one before, whose last transaction may move over.
func newBatch(e *engine, over *overlay, number int) *batch {
	return &batch{over: over, below: e.badger.NewTransaction(false), number: number}
}

func (db *DB) commitAll(waiting []*update) {
	e, err := db.acquire()
	if err != nil {
		for _, u := range waiting {
			u.end(err)
		}
		return
	}
	defer db.release(e)
	b := newBatch(e, newOverlay(), 0)
	defer func() { b.below.Discard() }()
	for i, u := range waiting {
		if !u.claimed.CompareAndSwap(false, true) {
			continue
		}
		if err := db.space.allows(u.reclaim); err != nil {
			u.done <- err
			continue
		}
		t := b.run(u)
		if t == nil {
			continue
		}
		if b.over.cost > MaxTx { // the batch is full: commit what came before, and begin the next one with this transaction
			next := newOverlay()
			t.move(next)
			if err := db.commit(e, b); err != nil {
				u.done <- err
				for _, rest := range waiting[i+1:] {
					rest.end(err)
				}
				return
			}
			b.below.Discard()
			b = newBatch(e, next, b.number)
		}
		b.members = append(b.members, u)
	}
	_ = db.commit(e, b) // every member has its answer
}

// run gives u its turn and answers its transaction, or nil when it failed and has been answered.
func (b *batch) run(u *update) *tx {
	b.number++
	t := &tx{view: &view{txn: b.below}, over: b.over, number: b.number}
	u.turn <- t
	if err := <-u.ran; err != nil {
		t.rollback()
		u.done <- err
		return nil
	}
	return t
}

// commit makes the batch durable and answers its members.
func (db *DB) commit(e *engine, b *batch) error {
	if len(b.over.entries) == 0 {
		b.answer(nil)
		return nil
	}
	err := db.persist(e, b.over)
	if err != nil {
		err = db.failed(e, err)
	} else {
		db.space.wrote(b.over.cost)
		db.watches.notify(b.over)
	}
	b.answer(err)
	if err == nil {
		db.checkpoint(e)
	}
	return err
}

func (b *batch) answer(err error) {
	for _, u := range b.members {
		u.done <- err
	}
}

// failed takes the engine out of use, and answers what those are told whom the error met.
func (db *DB) failed(e *engine, err error) error {
	db.log.LogAttrs(db.ctx, slog.LevelError, "state cannot be written", slog.Any("error", err))
	db.retire(e)
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// write makes the writes of a batch durable and gives them to the engine.
func (db *DB) write(e *engine, o *overlay) error {
	if e.journal != nil {
		if err := e.journal.append(o); err != nil {
			return fmt.Errorf("write a batch to the journal: %w", err)
		}
	}
	txn := e.badger.NewTransaction(true)
	defer txn.Discard()
	for key, entry := range o.entries {
		if err := putTxn(txn, change{[]byte(key), entry.value, entry.deleted}); err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit a batch: %w", err)
	}
	return nil
}

func putTxn(txn *badger.Txn, c change) (err error) {
	if c.deleted {
		err = txn.Delete(c.key)
	} else {
		err = txn.Set(c.key, c.value)
	}
	if err != nil {
		return fmt.Errorf("gather a batch: %w", err)
	}
	return nil
}

// checkpoint makes the engine's own files durable once the journal is long, and has it begin anew.
func (db *DB) checkpoint(e *engine) {
	if e.journal == nil || e.journal.end < db.journalLimit {
		return
	}
	if err := syncLogs(e.dir); err != nil {
		db.failed(e, fmt.Errorf("make the state's files durable: %w", err)) //nolint:errcheck // nobody waits for it
		return
	}
	e.journal.restart()
}

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// errAborted is what the committer notes for a function that panicked or ended its goroutine; nobody reads it.
var errAborted = errors.New("transaction function did not return")

// update is one Update on its way through the committer. Its function runs in the goroutine of its caller, when the
// committer gives it its turn: so that a panic unwinds there, and the committer survives it.
type update struct {
	reclaim bool
	between func(*engine) error // not nil: nothing is written, but this is called while nobody writes
	claimed atomic.Bool         // by the committer, or by the caller that gives up: whoever is first
	turn    chan *tx
	ran     chan error
	done    chan error
}

// update has fn run and its writes made durable: at once in this goroutine while nobody else writes, else with those that wait, by the
// committer.
func (db *DB) update(ctx context.Context, fn func(Writer) error, reclaim bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e := db.claim(); e != nil {
		return db.alone(e, fn, reclaim)
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

// claim answers the engine to who may write to it alone, until he calls yield; nil to others.
func (db *DB) claim() *engine {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.usable() != nil || db.writing || len(db.queue) > 0 {
		return nil
	}
	db.writing = true
	db.engine.users++
	return db.engine
}

// yield lets others write, beginning with those that wait.
func (db *DB) yield() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.writing = false
	if len(db.queue) > 0 {
		db.poke()
	}
}

// alone is a batch of one. It goes without the committer: handing over to another goroutine and back costs as much as a sync.
func (db *DB) alone(e *engine, fn func(Writer) error, reclaim bool) error {
	t, err := db.commitAlone(e, fn, reclaim)
	if err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

func (db *DB) commitAlone(e *engine, fn func(Writer) error, reclaim bool) (*tx, error) {
	defer db.yield() // also when fn panics
	defer db.release(e)
	if err := db.allows(reclaim); err != nil {
		return nil, err
	}
	b := newBatch(e, newOverlay(), 0)
	t := b.begin()
	if err := t.outcome(fn(t)); err != nil {
		return nil, err
	}
	return t, db.commit(e, b)
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
	err = t.outcome(fn(t))
}

// outcome is the error of a transaction whose function has answered err.
func (t *tx) outcome(err error) error {
	switch {
	case err != nil:
		return err
	case t.failed != nil:
		return t.failed
	}
	return t.err
}

func (db *DB) enqueue(u *update) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.usable(); err != nil {
		return err
	}
	db.queue = append(db.queue, u)
	if !db.writing {
		db.poke()
	}
	return nil
}

// poke wakes the committer.
func (db *DB) poke() {
	select {
	case db.wake <- struct{}{}:
	default:
	}
}

// take answers every update that waits, and keeps others from writing until yield; none while another writes, who will poke.
func (db *DB) take() []*update {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.writing {
		return nil
	}
	queue := db.queue
	db.writing = len(queue) > 0
	db.queue = nil
	return queue
}

// strand answers those that wait after the end.
func (db *DB) strand() []*update {
	db.mu.Lock()
	defer db.mu.Unlock()
	queue := db.queue
	db.queue = nil
	return queue
}

// commitLoop is the committer, the one goroutine that writes for others. It gives every update that waits its turn, one after another,
// and makes the writes of all durable with one sync.
func (db *DB) commitLoop() {
	for {
		select {
		case <-db.ctx.Done():
			endAll(db.strand(), errClosed)
			return
		case <-db.wake:
			if waiting := db.take(); len(waiting) > 0 {
				db.commitAll(waiting)
				db.yield()
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

func endAll(all []*update, err error) {
	for _, u := range all {
		u.end(err)
	}
}

// between calls fn while nobody writes. What it errs of is as bad as a write that failed.
func (db *DB) between(ctx context.Context, fn func(*engine) error) error {
	u := &update{between: fn, done: make(chan error, 1)}
	if err := db.enqueue(u); err != nil {
		return err
	}
	select {
	case err := <-u.done:
		return err
	case <-ctx.Done():
	}
	if u.claimed.CompareAndSwap(false, true) {
		return ctx.Err()
	}
	return <-u.done
}

// batch is a set of transactions that share one commit.
type batch struct {
	over    *overlay
	engine  *engine
	members []*update
	number  int // of the last transaction
}

// newBatch begins a batch; number counts on from the one before, whose last transaction may move over.
func newBatch(e *engine, over *overlay, number int) *batch {
	return &batch{over: over, engine: e, number: number}
}

func (db *DB) commitAll(waiting []*update) {
	e, err := db.acquire()
	if err != nil {
		endAll(waiting, err)
		return
	}
	defer db.release(e)
	b := newBatch(e, newOverlay(), 0)
	for i, u := range waiting {
		if !u.claimed.CompareAndSwap(false, true) {
			continue
		}
		if u.between != nil {
			if err = db.commit(e, b); err == nil {
				err = db.attempt(e, u.between)
			}
			u.done <- err
			if err != nil {
				endAll(waiting[i+1:], err)
				return
			}
			b = newBatch(e, newOverlay(), b.number)
			continue
		}
		if err := db.allows(u.reclaim); err != nil {
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
				endAll(waiting[i+1:], err)
				return
			}
			b = newBatch(e, next, b.number)
		}
		b.members = append(b.members, u)
	}
	_ = db.commit(e, b) // every member has its answer
}

// begin answers the next transaction of the batch.
func (b *batch) begin() *tx {
	b.number++
	return &tx{view: b.engine.latest(), over: b.over, number: b.number}
}

// run gives u its turn and answers its transaction, or nil when it failed and has been answered.
func (b *batch) run(u *update) *tx {
	t := b.begin()
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
	err := db.attempt(e, func(e *engine) error { return db.persist(e, b.over) })
	if err == nil {
		db.space.wrote(b.over.cost)
		db.watches.notify(b.over)
	}
	b.answer(err)
	return err
}

// attempt calls fn, which writes to the engine. An error is the engine's end.
func (db *DB) attempt(e *engine, fn func(*engine) error) error {
	err := fn(e)
	if err == nil {
		return nil
	}
	db.log.LogAttrs(db.ctx, slog.LevelError, "state cannot be written", slog.Any("error", err))
	db.retire(e)
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (b *batch) answer(err error) {
	for _, u := range b.members {
		u.done <- err
	}
}

// write makes the writes of a batch durable and has readers see them.
func (db *DB) write(e *engine, o *overlay) error {
	if e.journal != nil {
		if err := db.checkpoint(e); err != nil {
			return err
		}
		if err := e.journal.append(o); err != nil {
			return fmt.Errorf("write a batch to the journal: %w", err)
		}
	}
	all := e.pending.with(o)
	e.pend(all)
	if keys, cost := all.size(); cost >= pendingCost || keys >= pendingKeys {
		if err := e.apply(); err != nil {
			return err
		}
	}
	if e.large != nil && e.large.due(false) {
		db.askSweep()
	}
	return nil
}

// checkpoint makes the engine's own files durable once the journal is long, and has it begin anew.
func (db *DB) checkpoint(e *engine) error {
	if e.journal.end < db.journalLimit {
		return nil
	}
	if err := e.apply(); err != nil {
		return err
	}
	if err := e.settle(); err != nil {
		return fmt.Errorf("make the state's files durable: %w", err)
	}
	if err := e.journal.restart(); err != nil {
		return fmt.Errorf("begin the journal anew: %w", err)
	}
	return nil
}

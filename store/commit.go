package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// errAborted is noted for a function that panicked or ended its goroutine; nobody reads it.
var errAborted = errors.New("transaction function did not return")

// kind is what an update is allowed, and what it is promised.
type kind uint8

const (
	updating   kind = iota
	reclaiming      // the guard of free space lets it through
	noting          // as well, and it does not wait for the sync
)

// update is one that waits, until its turn comes or it is to lead. Its function runs in the goroutine of its caller: so that a panic unwinds there,
// and costs nobody else anything.
type update struct {
	kind    kind
	between func(*engine) error // not nil: nothing is written, but this is called while nobody writes
	claimed atomic.Bool         // by who leads, or by the caller that gives up: whoever is first
	lead    chan []*update      // those that came behind it: it is the caller's to commit for all of them
	turn    chan *tx
	ran     chan error
	done    chan error
}

func newUpdate(k kind) *update {
	return &update{kind: k, lead: make(chan []*update, 1), turn: make(chan *tx, 1), ran: make(chan error, 1), done: make(chan error, 1)}
}

// update has fn run and its writes committed: at once while nobody else writes; else the first of those that wait commits for all of them, in
// its own goroutine. Each hand-over to another costs as much as a sync does of the processor's time.
func (db *DB) update(ctx context.Context, fn func(Writer) error, k kind) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.claim() {
		return db.commitAll(&update{kind: k, done: make(chan error, 1)}, fn, nil)
	}
	u := newUpdate(k)
	if err := db.enqueue(u); err != nil {
		return err
	}
	select {
	case t := <-u.turn:
		return u.run(t, fn)
	case behind := <-u.lead:
		return db.commitAll(u, fn, behind)
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
	case behind := <-u.lead:
		return db.commitAll(u, fn, behind)
	case err := <-u.done:
		return err
	}
}

// claim tells whether the caller may write, until it calls yield.
func (db *DB) claim() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.writing || db.usable() != nil {
		return false
	}
	db.writing = true
	return true
}

// yield lets others write: the first of those that wait leads, with all behind it; among them those that whoever yields has not come to.
func (db *DB) yield(left []*update) {
	db.mu.Lock()
	defer db.mu.Unlock()
	queue := db.queue
	if len(left) > 0 {
		queue = append(left, queue...)
	}
	db.queue = nil
	for i, u := range queue {
		if u.claimed.CompareAndSwap(false, true) {
			u.lead <- queue[i+1:]
			return
		}
	}
	db.writing = false
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
	if db.writing {
		db.queue = append(db.queue, u)
		return nil
	}
	db.writing = true // who wrote has gone meanwhile
	u.claimed.Store(true)
	u.lead <- nil
	return nil
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
	u := newUpdate(reclaiming)
	u.between = fn
	if err := db.enqueue(u); err != nil {
		return err
	}
	select {
	case behind := <-u.lead:
		return db.commitAll(u, nil, behind)
	case err := <-u.done:
		return err
	case <-ctx.Done():
	}
	if u.claimed.CompareAndSwap(false, true) {
		return ctx.Err()
	}
	select {
	case behind := <-u.lead:
		return db.commitAll(u, nil, behind)
	case err := <-u.done:
		return err
	}
}

// batch is a set of transactions that share one commit.
type batch struct {
	over    *overlay
	engine  *engine
	members []*update
	number  int  // of the last transaction
	synced  bool // somebody waits for the sync
}

// newBatch begins a batch; number counts on from the one before, whose last transaction may move over.
func newBatch(e *engine, over *overlay, number int) *batch {
	return &batch{over: over, engine: e, number: number}
}

// join makes a transaction that ran a part of the batch. What is to be done after the commit must not come before the sync.
func (b *batch) join(u *update, t *tx) {
	b.members = append(b.members, u)
	b.synced = b.synced || u.kind != noting || len(t.after) > 0
}

// commitAll commits the update of the caller, who may write, and those behind it, and lets others write.
func (db *DB) commitAll(u *update, fn func(Writer) error, behind []*update) error {
	t, err := db.leading(u, fn, behind)
	if err != nil || t == nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// leading is commitAll without what comes after. When fn panics, the next of those behind leads.
func (db *DB) leading(u *update, fn func(Writer) error, behind []*update) (*tx, error) {
	defer func() { db.yield(behind) }()
	e, err := db.acquire()
	if err != nil {
		return nil, err // each of the others will find that itself
	}
	defer db.release(e)
	b := newBatch(e, newOverlay(), 0)
	t, err := db.first(b, u, fn)
	waiting := behind
	behind = nil
	if err != nil && u.between != nil {
		endAll(waiting, err)
		return nil, err
	}
	db.followers(b, waiting)
	if t != nil {
		err = <-u.done
	}
	return t, err
}

// first runs the update of the caller itself, whose transaction is answered when it is one that is to be committed with the batch.
func (db *DB) first(b *batch, u *update, fn func(Writer) error) (*tx, error) {
	if u.between != nil {
		return nil, db.attempt(b.engine, u.between)
	}
	if err := db.allows(u.kind); err != nil {
		return nil, err
	}
	t := b.begin()
	if err := t.outcome(fn(t)); err != nil {
		t.rollback()
		return nil, err
	}
	b.join(u, t)
	return t, nil
}

// followers runs those that wait, one after another, and commits them and what the batch has.
func (db *DB) followers(b *batch, waiting []*update) {
	e := b.engine
	for i, u := range waiting {
		if !u.claimed.CompareAndSwap(false, true) {
			continue
		}
		if u.between != nil {
			err := db.commit(e, b)
			if err == nil {
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
		if err := db.allows(u.kind); err != nil {
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
		b.join(u, t)
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
	b.over.synced = b.synced
	var err error
	switch {
	case len(b.over.entries) > 0:
		err = db.attempt(e, func(e *engine) error { return db.persist(e, b.over) })
	case b.synced: // what they have seen is durable
		err = db.attempt(e, (*engine).flush)
	}
	if err == nil && len(b.over.entries) > 0 {
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
		err := e.journal.append(o)
		if err == nil && o.synced {
			err = e.journal.flush()
		}
		if err != nil {
			return fmt.Errorf("write a batch to the journal: %w", err)
		}
		db.flushLater(e.journal)
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

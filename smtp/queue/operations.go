package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"balorg/store"
)

// ErrBusy is the answer when an attempt to deliver is under way just now.
var ErrBusy = errors.New("an attempt to deliver the message is under way")

// ErrNothingWaits is the answer where there is nothing to be tried again.
var ErrNothingWaits = errors.New("nothing of the message waits")

// Entry is a message with its items.
type Entry struct {
	Message
	Items []Item `json:"items"`
}

// Message answers a message's row, or ErrUnknown.
func (q *Queue) Message(ctx context.Context, id ID) (m Message, err error) {
	err = q.opt.Store.View(ctx, func(r store.Reader) error {
		m, err = getMessage(r, id)
		return err
	})
	return m, err
}

// Show answers a message with its items, delivered ones included, or ErrUnknown.
func (q *Queue) Show(ctx context.Context, id ID) (e Entry, err error) {
	err = q.opt.Store.View(ctx, func(r store.Reader) (err error) {
		e, err = entry(r, id)
		return err
	})
	return e, err
}

func entry(r store.Reader, id ID) (e Entry, err error) {
	if e.Message, err = getMessage(r, id); err != nil {
		return e, err
	}
	e.Items, err = itemsOf(r, id)
	return e, err
}

// listPart is how many messages List reads under one view.
const listPart = 500

// List gives yield the messages of which something waits, the oldest first, or with all those also that are done and still kept, until it
// answers false.
func (q *Queue) List(ctx context.Context, all bool, yield func(Entry) bool) error {
	from := []byte(tableMessage)
	end := store.PrefixEnd(from)
	for more := true; more; {
		var part []Entry
		err := q.opt.Store.View(ctx, func(r store.Reader) error {
			part, more = nil, false
			for k := range r.Scan(from, end) {
				if len(part) == listPart {
					from, more = append([]byte(nil), k...), true
					break
				}
				e, err := entry(r, ID(k[len(tableMessage):]))
				if err != nil {
					return err
				}
				if all || e.Waiting > 0 {
					part = append(part, e)
				}
			}
			return r.Err()
		})
		if err != nil {
			return fmt.Errorf("list the queue: %w", err)
		}
		for _, e := range part {
			if !yield(e) {
				return nil
			}
		}
	}
	return nil
}

// Retry has what waits of a message tried now, and takes a hold off it.
func (q *Queue) Retry(ctx context.Context, id ID) error {
	now := q.now()
	var waiting []Item
	err := q.opt.Store.Update(ctx, func(tx store.Writer) error {
		e, err := entry(tx, id)
		if err != nil {
			return err
		}
		waiting = nil
		for _, it := range e.Items {
			if it.State != Waiting {
				continue
			}
			it.Next = now
			waiting = append(waiting, it)
			if err := q.setItemTx(tx, it); err != nil {
				return err
			}
		}
		if len(waiting) == 0 {
			return ErrNothingWaits
		}
		if e.Held {
			e.Held = false
			return setMessage(tx, e.Message)
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	for _, it := range waiting {
		q.sched.remove(it.Message, it.N)
	}
	for _, d := range q.sched.dests {
		d.rest, d.restUntil = 0, time.Time{} // whoever asks knows that the way is free again
	}
	q.mu.Unlock()
	q.schedule(waiting)
	return nil
}

// Remove gives up what waits of a message, without a word to its sender. ErrBusy when an attempt is under way: then it may arrive.
func (q *Queue) Remove(ctx context.Context, id ID) (removed int, err error) {
	e, err := q.Show(ctx, id)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	busy := false
	for _, it := range e.Items {
		busy = busy || q.sched.known[itemRef{id, it.N}]
	}
	if !busy {
		q.sched.drop(func(r ref) bool { return r.id == id })
	}
	q.mu.Unlock()
	if busy {
		return 0, ErrBusy
	}
	err = q.opt.Store.Reclaim(ctx, func(tx store.Writer) error {
		now := q.now()
		e, err := entry(tx, id)
		if err != nil {
			return err
		}
		removed = 0
		for _, it := range e.Items {
			if it.State != Waiting {
				continue
			}
			removed++
			it.State, it.Next, it.Tried = Removed, time.Time{}, now
			if err := q.setItemTx(tx, it); err != nil {
				return err
			}
		}
		return q.settleTx(tx, id, removed, now)
	})
	if err != nil { // it waits as before
		q.schedule(waitingOf(e.Items))
		return 0, err
	}
	return removed, nil
}

func waitingOf(items []Item) []Item {
	var all []Item
	for _, it := range items {
		if it.State == Waiting {
			all = append(all, it)
		}
	}
	return all
}

// keepDone is how long the rows of a message are kept of which nothing waits.
const keepDone = 7 * 24 * time.Hour

// prunePart bounds what is removed in one transaction.
const prunePart = 500

// prune removes what is done for long, seals that no longer hold, and destinations that nothing goes to.
func (q *Queue) prune(ctx context.Context) error {
	q.mu.Lock()
	q.sched.sweep()
	q.mu.Unlock()
	now := q.now()
	for more := true; more; {
		err := q.opt.Store.Reclaim(ctx, func(tx store.Writer) error {
			var old [][]byte
			for k := range tx.Scan([]byte(tableDone), timeKey(tableDone, now.Add(-keepDone))) {
				if old = append(old, append([]byte(nil), k...)); len(old) == prunePart {
					break
				}
			}
			more = len(old) == prunePart
			for _, k := range old {
				if err := forget(tx, k); err != nil {
					return err
				}
			}
			return tx.Err()
		})
		if err != nil {
			return err
		}
	}
	return q.pruneSeals(ctx, now)
}

// forget removes the rows of a message that is done.
func forget(tx store.Writer, done []byte) error {
	id := ID(done[len(tableDone)+8:])
	items, err := itemsOf(tx, id)
	if err != nil {
		return err
	}
	for _, it := range items {
		if err := tx.Delete(itemKey(tableItem, id, it.N)); err != nil {
			return err
		}
	}
	if err := tx.Delete(messageKey(id)); err != nil {
		return err
	}
	return tx.Delete(done)
}

func (q *Queue) pruneSeals(ctx context.Context, now time.Time) error {
	prefix := []byte(tableSeal)
	var old [][]byte
	err := q.opt.Store.View(ctx, func(r store.Reader) error {
		for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			if at, ok := sealedAt(v); !ok || now.Sub(at) >= sealTime {
				old = append(old, append([]byte(nil), k...))
			}
		}
		return r.Err()
	})
	for err == nil && len(old) > 0 {
		part := old[:min(len(old), prunePart)]
		old = old[len(part):]
		err = q.opt.Store.Reclaim(ctx, func(tx store.Writer) error {
			for _, k := range part { // one that was sealed anew meanwhile stays
				v, err := tx.Get(k)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if at, ok := sealedAt(v); err == nil && (!ok || now.Sub(at) >= sealTime) {
					err = tx.Delete(k)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

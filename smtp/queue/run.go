package queue

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"balorg/smtp/wire"
	"balorg/store"
)

// schedule adds items that wait, once Run has loaded those that waited before.
func (q *Queue) schedule(items []Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.crew == nil {
		return // Run finds them in the store
	}
	for _, it := range items {
		q.addLocked(it)
	}
	q.startLocked()
}

func (q *Queue) addLocked(it Item) {
	dest := ""
	if c := q.ways.Carriers[it.Route]; c != nil {
		dest = c.Destination(it)
	}
	q.sched.add(it.Message, it.N, it.Next, it.Route, dest)
}

func (q *Queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default: // it is awake already
	}
}

// pruneEvery is how often what has aged is removed.
const pruneEvery = time.Minute

// Run carries what waits until ctx ends, then waits for the attempts under way, whose context ends as well. It is called once.
func (q *Queue) Run(ctx context.Context) error {
	c := &crew{ctx: ctx}
	if err := q.load(c); ctx.Err() != nil {
		return nil // told to stop before it had begun
	} else if err != nil {
		return fmt.Errorf("loading the queue: %w", err)
	}
	defer c.attempts.Wait()
	defer q.dismiss()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := q.start()
		timer.Stop()
		var due <-chan time.Time
		if !at.IsZero() {
			timer.Reset(max(0, at.Sub(q.now())))
			due = timer.C
		}
		select {
		case <-q.wake:
		case <-due:
		case <-prune.C:
			if err := q.prune(ctx); err != nil && ctx.Err() == nil {
				q.log.WarnContext(ctx, "removing what is done from the queue", slog.Any("error", err))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// load schedules what the store says is waiting.
func (q *Queue) load(c *crew) error {
	q.mu.Lock()
	defer q.mu.Unlock() // commits that come meanwhile wait to be added, and are then found twice or not at all
	q.sched = newSchedule(q.opt.MaxAttempts, q.opt.PerDestination)
	err := q.opt.Store.View(c.ctx, func(r store.Reader) error {
		prefix := []byte(tableWaiting)
		for k, row := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			id, n, ok := parseItemKey(tableWaiting, k)
			if !ok {
				continue // Check tells of it
			}
			it, ok := parseWaiting(row)
			if !ok {
				continue // held
			}
			it.Message, it.N = id, n
			q.addLocked(it)
		}
		return r.Err()
	})
	if err == nil {
		q.crew = c
	}
	return err
}

// retryFault is how long an item rests after a fault of ours: the store took nothing, a body could not be read.
const retryFault = time.Minute

// attempt carries items of one message once, writes down what came of it, and answers those that still wait. It is not ok when nothing
// could be written down.
func (q *Queue) attempt(ctx context.Context, route Route, batch []ref) (next []Item, unreachable, ok bool) {
	d, err := q.delivery(ctx, batch)
	if err != nil {
		if ctx.Err() == nil {
			q.log.ErrorContext(ctx, "reading the queue", slog.Any("id", batch[0].id), slog.Any("error", err))
		}
		return nil, false, false
	}
	if len(d.Items) == 0 {
		return nil, false, true // removed meanwhile
	}
	outcomes := q.carry(ctx, route, d)
	if next, err = q.record(ctx, d, outcomes); err != nil {
		q.log.ErrorContext(ctx, "writing down an attempt to deliver", slog.Any("id", d.Message.ID), slog.Any("error", err))
		return nil, false, false
	}
	unreachable = true
	for _, o := range outcomes {
		unreachable = unreachable && o.Unreachable
	}
	return next, unreachable, true
}

// delivery reads what is to be carried; items that no longer wait are left out.
func (q *Queue) delivery(ctx context.Context, batch []ref) (Delivery, error) {
	var d Delivery
	err := q.opt.Store.View(ctx, func(r store.Reader) (err error) {
		if d.Message, err = getMessage(r, batch[0].id); err != nil {
			return err
		}
		for _, ref := range batch {
			it, err := getItem(r, ref.id, ref.n)
			if err != nil {
				return err
			}
			if it.State == Waiting {
				d.Items = append(d.Items, it)
			}
		}
		return nil
	})
	d.Open = func(ctx context.Context) (io.ReadCloser, error) { return q.opt.Bodies.Open(ctx, d.Message.Body) }
	return d, err
}

// carry asks the carrier, whose faults cost nobody but its own items.
func (q *Queue) carry(ctx context.Context, route Route, d Delivery) (outcomes []Outcome) {
	defer func() {
		if v := recover(); v != nil {
			q.metrics.panics.Inc()
			q.log.ErrorContext(ctx, "carrying a message ended by a fault of the program", slog.Any("id", d.Message.ID), slog.Any("panic", fmt.Sprint(v)),
				slog.String("stack", string(debug.Stack())))
			outcomes = same(d, Outcome{Reply: *wire.NewReply(451, "4.3.0", "Internal error")})
		}
	}()
	c := q.ways.Carriers[route]
	if c == nil {
		return same(d, Outcome{Reply: *wire.NewReply(451, "4.3.5", "Nothing carries route %s", route)})
	}
	outcomes = c.Carry(ctx, d)
	if len(outcomes) != len(d.Items) {
		panic(fmt.Sprintf("%d outcomes of %d items", len(outcomes), len(d.Items)))
	}
	return outcomes
}

// same is one outcome for all items.
func same(d Delivery, o Outcome) []Outcome {
	all := make([]Outcome, len(d.Items))
	for i := range all {
		all[i] = o
	}
	return all
}

package queue

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"balorg/smtp/wire"
	"balorg/store"
)

// schedule adds items that wait, once Run has loaded those that waited before.
func (q *Queue) schedule(items []Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.running {
		return // Run finds them in the store
	}
	for _, it := range items {
		q.addLocked(it)
	}
	q.wakeUp()
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
	if err := q.load(ctx); ctx.Err() != nil {
		return nil // told to stop before it had begun
	} else if err != nil {
		return fmt.Errorf("loading the queue: %w", err)
	}
	var attempts sync.WaitGroup
	defer attempts.Wait()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := q.start(ctx, &attempts)
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
func (q *Queue) load(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock() // commits that come meanwhile wait to be added, and are then found twice or not at all
	q.sched = newSchedule(q.opt.MaxAttempts, q.opt.PerDestination)
	err := q.opt.Store.View(ctx, func(r store.Reader) error {
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
	q.running = err == nil
	return err
}

// start begins every attempt that may begin now, and answers when to look again.
func (q *Queue) start(ctx context.Context, attempts *sync.WaitGroup) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.sched.advance(now)
	for ctx.Err() == nil {
		batch, d := q.sched.take(now)
		if batch == nil {
			break
		}
		attempts.Go(func() {
			next, unreachable, ok := q.attempt(ctx, d.route, batch)
			q.mu.Lock()
			defer q.mu.Unlock()
			q.sched.finish(batch, d, unreachable, q.now())
			for _, it := range next {
				q.sched.add(it.Message, it.N, it.Next, d.route, d.name)
			}
			for _, r := range batch {
				if !ok { // nothing could be written down: they wait as they were
					q.sched.add(r.id, r.n, q.now().Add(retryFault), d.route, d.name)
				}
			}
			q.wakeUp()
		})
	}
	return q.sched.wakeAt(now)
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

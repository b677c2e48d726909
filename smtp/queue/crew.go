package queue

import (
	"context"
	"sync"
	"time"
)

// crew makes the attempts. Whoever adds to the schedule has it start what is due; and a worker that has done takes what is due next. So no other
// goroutine is woken for a message than the one that carries it, which has, as a rule, the stack that it takes from the one before. It is
// guarded by Queue.mu.
type crew struct {
	ctx      context.Context // Run's
	attempts sync.WaitGroup
	idle     []chan work // of workers that wait, the last one to do so first
	alarm    time.Time   // when Run looks again by itself; zero: never
}

// work is what is carried in one attempt.
type work struct {
	batch []ref
	dest  *destination
}

// maxIdle workers wait for work.
const maxIdle = 2 * defaultPerDestination

// start begins every attempt that may begin now, and answers when to look again.
func (q *Queue) start() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.crew.alarm = q.beginLocked()
	return q.crew.alarm
}

// startLocked is start for others than Run, which looks again when it has to do so sooner than it knows.
func (q *Queue) startLocked() {
	if at := q.beginLocked(); !at.IsZero() && (q.crew.alarm.IsZero() || at.Before(q.crew.alarm)) {
		q.crew.alarm = at
		q.wakeUp()
	}
}

func (q *Queue) beginLocked() time.Time {
	c, now := q.crew, q.now()
	q.sched.advance(now)
	for c.ctx.Err() == nil {
		batch, d := q.sched.take(now)
		if batch == nil {
			break
		}
		w := work{batch, d}
		if last := len(c.idle) - 1; last >= 0 {
			c.idle[last] <- w
			c.idle = c.idle[:last]
			continue
		}
		c.attempts.Go(func() { q.worker(c, w) })
	}
	return q.sched.wakeAt(now)
}

// worker makes attempts, the first of them w, until Run ends or enough others wait for work.
func (q *Queue) worker(c *crew, w work) {
	jobs := make(chan work, 1)
	for q.once(c, w, jobs) {
		select {
		case w = <-jobs:
		case <-c.ctx.Done():
			return
		}
	}
}

// once makes an attempt and answers whether the worker goes on with what comes on its channel.
func (q *Queue) once(c *crew, w work, jobs chan work) bool {
	next, unreachable, ok := q.attempt(c.ctx, w.dest.route, w.batch)
	q.mu.Lock()
	defer q.mu.Unlock()
	d := w.dest
	q.sched.finish(w.batch, d, unreachable, q.now())
	for _, it := range next {
		q.sched.add(it.Message, it.N, it.Next, d.route, d.name)
	}
	for _, r := range w.batch {
		if !ok { // nothing could be written down: they wait as they were
			q.sched.add(r.id, r.n, q.now().Add(retryFault), d.route, d.name)
		}
	}
	if q.crew == nil {
		return false
	}
	c.idle = append(c.idle, jobs)
	q.startLocked()
	if last := len(c.idle) - 1; last >= maxIdle && c.idle[last] == jobs {
		c.idle = c.idle[:last]
		return false
	}
	return true
}

// dismiss has nothing begin any more.
func (q *Queue) dismiss() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.crew = nil
}

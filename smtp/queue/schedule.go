package queue

import (
	"container/heap"
	"slices"
	"time"
)

// ref names a waiting item in memory: a hundred thousand of them are some megabytes.
type ref struct {
	id   ID
	n    uint16
	next time.Time
	dest *destination
}

// refs is a heap by time.
type refs []ref

func (r refs) Len() int           { return len(r) }
func (r refs) Less(i, j int) bool { return r[i].next.Before(r[j].next) }
func (r refs) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *refs) Push(x any)        { *r = append(*r, x.(ref)) } //nolint:forcetypeassert,errcheck // only refs are pushed
func (r *refs) Pop() any {
	old := *r
	last := old[len(old)-1]
	old[len(old)-1] = ref{}
	*r = old[:len(old)-1]
	return last
}

// destination is where items of one route go to together.
type destination struct {
	route Route
	name  string
	due   []ref // in the order in which they became due
	busy  int   // attempts under way
	// A destination that cannot be reached rests, and is then tried with one attempt.
	restUntil time.Time
	rest      time.Duration
	listed    bool // in schedule.ready
}

type destKey struct {
	route Route
	name  string
}

// schedule knows in memory what waits, and for when. It is guarded by Queue.mu.
type schedule struct {
	waiting refs
	ready   []*destination // those with something due, served in turn
	dests   map[destKey]*destination
	busy    int
	max     int
	perDest int
	// known holds every item here, true while an attempt is under way: none is ever scheduled twice.
	known map[itemRef]bool
}

type itemRef struct {
	id ID
	n  uint16
}

func newSchedule(limit, perDest int) schedule {
	return schedule{dests: make(map[destKey]*destination), known: make(map[itemRef]bool), max: limit, perDest: perDest}
}

func (s *schedule) add(id ID, n uint16, next time.Time, route Route, dest string) {
	if _, known := s.known[itemRef{id, n}]; known {
		return
	}
	s.known[itemRef{id, n}] = false
	key := destKey{route, dest}
	d := s.dests[key]
	if d == nil {
		d = &destination{route: route, name: dest}
		s.dests[key] = d
	}
	heap.Push(&s.waiting, ref{id, n, next, d})
}

// advance moves what is due to its destination.
func (s *schedule) advance(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].next.After(now) {
		r, _ := heap.Pop(&s.waiting).(ref)
		r.dest.due = append(r.dest.due, r)
		s.list(r.dest)
	}
}

func (s *schedule) list(d *destination) {
	if !d.listed && len(d.due) > 0 {
		d.listed = true
		s.ready = append(s.ready, d)
	}
}

// maxBatch bounds the items carried together: RFC 5321, 4.5.3.1.8 has every server take a hundred recipients.
const maxBatch = 100

// take answers the items of one message that are to be carried now, and their destination; nil when nothing can be started.
func (s *schedule) take(now time.Time) ([]ref, *destination) {
	if s.busy >= s.max {
		return nil, nil
	}
	for range len(s.ready) {
		d := s.ready[0]
		s.ready = s.ready[1:]
		d.listed = false
		if !d.free(now, s.perDest) {
			s.list(d)
			continue
		}
		batch := d.batch()
		s.list(d)
		s.busy++
		d.busy++
		for _, r := range batch {
			s.known[itemRef{r.id, r.n}] = true
		}
		return batch, d
	}
	return nil, nil
}

func (d *destination) free(now time.Time, limit int) bool {
	if d.rest > 0 { // lately unreachable: one attempt finds out
		return d.busy == 0 && !now.Before(d.restUntil)
	}
	return d.busy < limit
}

// batch takes the items at the head that belong to one message.
func (d *destination) batch() []ref {
	n := 1
	for n < len(d.due) && n < maxBatch && d.due[n].id == d.due[0].id {
		n++
	}
	batch := d.due[:n:n]
	if d.due = d.due[n:]; len(d.due) == 0 {
		d.due = nil
	}
	return batch
}

// Rests of a destination that cannot be reached.
const (
	firstRest = 30 * time.Second
	maxRest   = 10 * time.Minute
)

// finish ends an attempt.
func (s *schedule) finish(batch []ref, d *destination, unreachable bool, now time.Time) {
	s.busy--
	d.busy--
	for _, r := range batch {
		delete(s.known, itemRef{r.id, r.n})
	}
	switch {
	case !unreachable:
		d.rest, d.restUntil = 0, time.Time{}
	case d.rest == 0:
		d.rest = firstRest
		d.restUntil = now.Add(d.rest)
	case !now.Before(d.restUntil):
		d.rest = min(2*d.rest, maxRest)
		d.restUntil = now.Add(d.rest)
	}
}

// sweep lets go of a destination that nothing is known of.
func (s *schedule) sweep() {
	used := make(map[*destination]bool)
	for _, r := range s.waiting {
		used[r.dest] = true
	}
	for key, d := range s.dests {
		if !used[d] && len(d.due) == 0 && d.busy == 0 {
			delete(s.dests, key)
		}
	}
}

// wakeAt answers when there is something to do next, zero for nothing before an event.
func (s *schedule) wakeAt(now time.Time) time.Time {
	var at time.Time
	if len(s.waiting) > 0 {
		at = s.waiting[0].next
	}
	for _, d := range s.ready {
		if d.rest > 0 && d.restUntil.After(now) && (at.IsZero() || d.restUntil.Before(at)) {
			at = d.restUntil
		}
	}
	return at
}

// remove takes an item out, of whom somebody else decided; it answers false when an attempt is under way.
func (s *schedule) remove(id ID, n uint16) bool {
	switch busy, known := s.known[itemRef{id, n}]; {
	case busy:
		return false
	case known:
		s.drop(func(r ref) bool { return r.id == id && r.n == n })
	}
	return true
}

// drop takes out what match tells.
func (s *schedule) drop(match func(ref) bool) {
	gone := func(r ref) bool {
		if !match(r) {
			return false
		}
		delete(s.known, itemRef{r.id, r.n})
		return true
	}
	s.waiting = slices.DeleteFunc(s.waiting, gone)
	heap.Init(&s.waiting)
	for _, d := range s.dests {
		d.due = slices.DeleteFunc(d.due, gone)
	}
	listed := s.ready[:0]
	for _, d := range s.ready {
		if d.listed = len(d.due) > 0; d.listed {
			listed = append(listed, d)
		}
	}
	s.ready = listed
}

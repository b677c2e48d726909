package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
)

// Sweeping gives the room of deleted values back. What of a segment is alive is told by looking at every place that Badger holds, so that
// nothing has to be counted, and kept right through crashes, while values come and go.
const (
	// sweepFrom and sweepShare are how much must have been deleted since the last sweep: so many octets, and that part of all that is alive, for
	// a sweep looks at all of it. On a full disk a part of that is enough.
	sweepFrom      = segmentLimit / 2
	sweepShare     = 8
	sweepFullShare = 16

	moveAtOnce = 4         // segments that are moved before the room of what was there is given back
	moveChunk  = 512 << 10 // octets of values that one transaction moves: others wait meanwhile
)

// due tells whether enough has been deleted for a sweep.
func (s *segments) due(full bool) bool {
	need := max(sweepFrom, s.live.Load()/sweepShare)
	if full {
		need /= sweepFullShare
	}
	return s.freed.Load() >= need
}

// sweepLoop sweeps at the start, for what a crash left, and then whenever it is asked to.
func (db *DB) sweepLoop() {
	for {
		select {
		case <-db.ctx.Done():
			return
		case <-db.sweeping:
		}
		e, err := db.acquire()
		if err != nil {
			continue // the reopening will ask
		}
		if err := db.sweep(db.ctx, e); err != nil && db.ctx.Err() == nil {
			db.log.LogAttrs(db.ctx, slog.LevelWarn, "room of deleted values not given back", slog.Any("error", err))
		}
		db.release(e)
		select {
		case db.swept <- struct{}{}:
		default:
		}
	}
}

// askSweep has sweepLoop sweep.
func (db *DB) askSweep() {
	select {
	case db.sweeping <- struct{}{}:
	default:
	}
}

// sweep removes the segments of which nothing is left, and those of which less than half is once that has moved.
func (db *DB) sweep(ctx context.Context, e *engine) error {
	for more := true; more; {
		e.large.freed.Store(0)
		c, err := db.count(ctx, e)
		if err != nil {
			return err
		}
		e.large.live.Store(c.all)
		gone, move := c.judge()
		more = len(move) > moveAtOnce
		moved, merr := db.move(ctx, e, move[:min(moveAtOnce, len(move))])
		if err := errors.Join(merr, db.drop(ctx, e, append(gone, moved...))); err != nil {
			return err
		}
	}
	return nil
}

// census is what a sweep has found.
type census struct {
	size map[uint32]int64 // of each segment that nothing is added to any more
	live map[uint32]int64 // octets of it that have a place
	all  int64            // octets that have a place
}

// count takes the census. No place in one of its segments comes up after it has asked for the first that it leaves out.
func (db *DB) count(ctx context.Context, e *engine) (c census, err error) {
	var first uint32 // of those that are added to
	if err := db.between(ctx, func(e *engine) error {
		err := e.apply() // what was deleted last counts as well
		first = e.large.next
		if e.large.current != nil {
			first--
		}
		return err
	}); err != nil {
		return c, err
	}
	if c.size, err = e.large.list(); err != nil {
		return c, err
	}
	maps.DeleteFunc(c.size, func(number uint32, _ int64) bool { return number >= first })
	c.live = make(map[uint32]int64)
	err = e.places(ctx, func(_ []byte, at place) {
		c.live[at.segment] += int64(at.length)
		c.all += int64(at.length)
	})
	return c, err
}

// judge answers the segments of which nothing is left, and those of which less than half is, the emptiest first.
func (c census) judge() (gone, move []uint32) {
	for number, size := range c.size {
		switch live := c.live[number]; {
		case live == 0:
			gone = append(gone, number)
		case live < size/2:
			move = append(move, number)
		}
	}
	slices.SortFunc(move, func(a, b uint32) int { return int(c.live[a] - c.live[b]) })
	return gone, move
}

// places calls fn for each value that is in a segment. The key is valid during the call.
func (e *engine) places(ctx context.Context, fn func(key []byte, at place)) error {
	v := e.view()
	defer v.end()
	from := []byte(PrefixLarge)
	it := v.txn.NewIterator(iteratorOptions(from, PrefixEnd(from), false))
	defer it.Close()
	for it.Seek(from); it.ValidForPrefix(from); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		at, apart, err := placeOf(it.Item())
		if err != nil {
			return fmt.Errorf("key %q: %w", it.Item().Key(), err)
		}
		if apart {
			fn(it.Item().Key(), at)
		}
	}
	return nil
}

// value is one that is to move.
type value struct {
	key    []byte
	octets int64
}

// move writes what is left of some segments anew, and answers the segments for which that was done. One that cannot be read to its end stays.
func (db *DB) move(ctx context.Context, e *engine, from []uint32) (moved []uint32, err error) {
	if len(from) == 0 {
		return nil, nil
	}
	left := make(map[uint32][]value)
	err = e.places(ctx, func(key []byte, at place) {
		if slices.Contains(from, at.segment) {
			left[at.segment] = append(left[at.segment], value{slices.Clone(key), int64(at.length)})
		}
	})
	if err != nil {
		return nil, err
	}
	for _, number := range from {
		if merr := db.rewrite(ctx, left[number]); merr != nil {
			err = errors.Join(err, fmt.Errorf("move what is left of segment %d: %w", number, merr))
		} else {
			moved = append(moved, number)
		}
	}
	return moved, err
}

// rewrite sets values to what they are, as anybody would.
func (db *DB) rewrite(ctx context.Context, all []value) error {
	for len(all) > 0 {
		n, octets := 0, int64(0)
		for ; n < len(all) && (n == 0 || octets+all[n].octets <= moveChunk); n++ {
			octets += all[n].octets
		}
		err := db.Reclaim(ctx, func(tx Writer) error {
			for _, v := range all[:n] {
				octets, err := tx.Get(v.key)
				if err == nil {
					err = tx.Set(v.key, octets)
				}
				if err != nil && !errors.Is(err, ErrNotFound) { // it was deleted meanwhile
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// drop removes segments in which no value has its place any more, once Badger knows that, too, and all views have ended to which it was otherwise.
func (db *DB) drop(ctx context.Context, e *engine, numbers []uint32) error {
	if len(numbers) == 0 {
		return nil
	}
	if err := db.between(ctx, (*engine).apply); err != nil {
		return err
	}
	select {
	case <-e.outlast():
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, number := range numbers {
		if err := os.Remove(e.large.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a segment: %w", err)
		}
	}
	db.log.LogAttrs(ctx, slog.LevelDebug, "room of deleted values given back", slog.Int("segments", len(numbers)))
	return nil
}

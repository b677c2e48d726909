package mailbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// restFactor is how long work in the background rests, measured by how long it worked: whoever reads mail has the machine.
const restFactor = 3

// background are the folders that are to be worked on while nobody waits.
type background struct {
	mu     sync.Mutex
	wanted []folderKey
	wake   chan struct{} // capacity one
}

func (b *background) init() { b.wake = make(chan struct{}, 1) }

func (b *background) want(key folderKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.wanted, key) {
		return
	}
	b.wanted = append(b.wanted, key)
	select {
	case b.wake <- struct{}{}:
	default: // a token is there already
	}
}

func (b *background) next() (key folderKey, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wanted) == 0 {
		return key, false
	}
	key = b.wanted[0]
	b.wanted = b.wanted[1:]
	return key, true
}

// run calls work for the folders that are wanted, one at a time, until ctx is done.
func (b *background) run(ctx context.Context, work func(folderKey)) {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		for key, ok := b.next(); ok && ctx.Err() == nil; key, ok = b.next() {
			work(key)
		}
	}
}

// restFunc does a piece of work, and may rest behind it.
type restFunc func(work func() error) error

// leisure rests behind each piece of work.
func leisure(ctx context.Context) restFunc {
	return func(work func() error) error {
		start := time.Now()
		if err := work(); err != nil {
			return err
		}
		timer := time.NewTimer(restFactor * time.Since(start))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// atOnce does not rest.
func atOnce(work func() error) error { return work() }

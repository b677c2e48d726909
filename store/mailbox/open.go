package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"balorg/store"
)

// keptIndexes is how many folders without a view stay in memory: a client that goes through its folders, or comes back every
// minute, does not make each SELECT read them anew. All of them together are of no more than keptMessages, 32 MB.
const (
	keptIndexes  = 32
	keptMessages = 500_000
)

// openFolders are the indexes of folders that sessions have open, or had lately.
type openFolders struct {
	st   store.Store
	mu   sync.Mutex
	byID map[folderKey]*index
	idle []*index // without views, the longest unused first
	held int      // messages of those
}

func (o *openFolders) init(st store.Store) { o.st, o.byID = st, map[folderKey]*index{} }

// acquire answers the loaded index of a folder; release gives it back.
func (o *openFolders) acquire(ctx context.Context, key folderKey) (*index, error) {
	o.mu.Lock()
	x, ok := o.byID[key]
	if !ok {
		// It is known before it is loaded, so that it hears of changes committed after the view it is loaded from.
		x = newIndex(key)
		o.byID[key] = x
	}
	if i := slices.Index(o.idle, x); i >= 0 {
		o.forget(i)
	}
	x.refs++
	o.mu.Unlock()

	if !ok {
		err := x.load(ctx, o.st)
		x.mu.Lock()
		x.err = err
		x.mu.Unlock()
		if err != nil {
			o.drop(x)
		}
		close(x.ready)
	}
	select {
	case <-x.ready:
	case <-ctx.Done():
		o.release(x)
		return nil, ctx.Err()
	}
	x.mu.RLock()
	err, gone := x.err, x.gone
	x.mu.RUnlock()
	if err == nil && gone {
		err = ErrNoFolder
	}
	if err != nil {
		o.release(x)
		if !ok || ctx.Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		return o.acquire(ctx, key) // it was loading for a session that left
	}
	return x, nil
}

// drop takes an index out of use: the next acquire reads the folder anew.
func (o *openFolders) drop(x *index) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID[x.key] == x {
		delete(o.byID, x.key)
	}
}

func (o *openFolders) release(x *index) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x.refs--
	if x.refs > 0 || o.byID[x.key] != x {
		return
	}
	x.mu.RLock()
	size := len(x.messages)
	keep := !x.gone && !x.stale && size <= keptMessages
	x.mu.RUnlock()
	if !keep {
		delete(o.byID, x.key)
		return
	}
	o.idle, x.held = append(o.idle, x), size
	o.held += size
	for len(o.idle) > keptIndexes || o.held > keptMessages {
		delete(o.byID, o.idle[0].key)
		o.forget(0)
	}
}

// forget takes an index out of those without views.
func (o *openFolders) forget(i int) {
	o.held -= o.idle[i].held
	o.idle = slices.Delete(o.idle, i, i+1)
}

func (o *openFolders) lookup(key folderKey) *index {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byID[key]
}

// apply tells a folder's sessions of a durable change.
func (o *openFolders) apply(key folderKey, c change) {
	if x := o.lookup(key); x != nil {
		x.apply(c)
	}
}

// deleted ends a folder's views.
func (o *openFolders) deleted(key folderKey) {
	x := o.lookup(key)
	if x == nil {
		return
	}
	x.mu.Lock()
	x.gone = true
	close(x.advanced)
	x.advanced = make(chan struct{})
	x.wake()
	x.mu.Unlock()
	o.drop(x)
}

// await waits until the sessions of a folder, if any, can see the change of that modification sequence.
func (o *openFolders) await(ctx context.Context, key folderKey, modseq uint64) error {
	x := o.lookup(key)
	if x == nil {
		return nil
	}
	select {
	case <-x.ready:
	default: // being loaded: nobody sees it yet
		return nil
	}
	err := x.await(ctx, o.st, modseq)
	if errors.Is(err, ErrNoFolder) {
		return nil // deleted meanwhile; the change was made
	}
	return err
}

// reread has a folder read again before its sessions look at it the next time.
func (o *openFolders) reread(key folderKey) {
	if x := o.lookup(key); x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.stale = true
		x.wake()
	}
}

// doubt marks every open folder to be read again.
func (o *openFolders) doubt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.byID {
		x.mu.Lock()
		x.stale = true
		x.wake()
		x.mu.Unlock()
	}
}

// update runs a transaction. When the engine cannot tell whether it was committed, what sessions know is in doubt.
func (s *Store) update(ctx context.Context, fn func(store.Writer) error) error {
	return s.judge(s.st.Update(ctx, fn))
}

// reclaim is update for what only frees space.
func (s *Store) reclaim(ctx context.Context, fn func(store.Writer) error) error {
	return s.judge(s.st.Reclaim(ctx, fn))
}

func (s *Store) judge(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		s.open.doubt()
		return fmt.Errorf("change mailbox: %w", err)
	}
	return err
}

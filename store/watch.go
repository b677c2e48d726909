package store

import "sync"

// watches are the prefixes somebody waits on. A commit of many keys meets sessions by the thousand, so each key is looked
// up once per length of prefix in use, not compared with every prefix.
type watches struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
	lengths map[int]int // length of prefix → how many prefixes of waiting have it
}

func newWatches() *watches {
	return &watches{waiting: make(map[string]map[chan struct{}]struct{}), lengths: make(map[int]int)}
}

func (w *watches) add(prefix string) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting[prefix] == nil {
		w.waiting[prefix] = make(map[chan struct{}]struct{})
		w.lengths[len(prefix)]++
	}
	w.waiting[prefix][ch] = struct{}{}
	return ch, sync.OnceFunc(func() { w.remove(prefix, ch) })
}

func (w *watches) remove(prefix string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting[prefix], ch)
	if len(w.waiting[prefix]) > 0 {
		return
	}
	delete(w.waiting, prefix)
	if w.lengths[len(prefix)]--; w.lengths[len(prefix)] == 0 {
		delete(w.lengths, len(prefix))
	}
}

// notify wakes those who wait on a prefix of a key in o.
func (w *watches) notify(o *overlay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return
	}
	for key := range o.entries {
		for n := range w.lengths {
			if n > len(key) {
				continue
			}
			for ch := range w.waiting[key[:n]] {
				select {
				case ch <- struct{}{}:
				default: // a token is waiting already
				}
			}
		}
	}
}

package origin

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// How long a server that failed is left alone: doubled at each failure, and up to half as long again at random, so that not all
// sessions come back at once.
const (
	firstRest = 250 * time.Millisecond
	maxRest   = 10 * time.Second
)

// host is one address of a mail store.
type host struct {
	address string

	mu    sync.Mutex
	rest  time.Duration // the last one; 0: it worked
	until time.Time

	// stepwise says that the server did not stand several commands at a time and was logged in to by one after the other.
	stepwise atomic.Bool
}

// resting answers how long the server is still left alone.
func (h *host) resting(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.until.Sub(now))
}

// failed notes a failure and tells whether it is the first since the server worked.
func (h *host) failed(now time.Time) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return false // somebody who tried at the same time has noted it
	}
	first = h.rest == 0
	h.rest = min(max(2*h.rest, firstRest), maxRest)
	h.until = now.Add(h.rest + rand.N(h.rest/2)) //nolint:gosec // nobody guesses it to any use
	return first
}

func (h *host) worked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rest, h.until = 0, time.Time{}
}

package relay

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How long a connection waits for the next message, and how many messages it carries: servers count.
const (
	parkTime = 5 * time.Second
	maxUses  = 100
)

// pool bounds the connections of each destination and holds those that wait. A new one is only opened when none waits, so that those in use
// and those that wait are together no more than limit.
type pool struct {
	limit  int
	mu     sync.Mutex
	places map[string]*place
	closed bool
}

// place is one destination.
type place struct {
	slots  chan struct{} // one token a use
	users  int           // that use it or wait for it
	parked []*conn
}

func (p *pool) init(limit int) { p.limit, p.places = limit, make(map[string]*place) }

// acquire waits for one of the connections that may be in use.
func (p *pool) acquire(ctx context.Context, dest string) (release func(), err error) {
	p.mu.Lock()
	at := p.places[dest]
	if at == nil {
		at = &place{slots: make(chan struct{}, p.limit)}
		p.places[dest] = at
	}
	at.users++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		at.users--
		p.sweep(dest, at)
	}
	select {
	case at.slots <- struct{}{}:
		return func() { <-at.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// sweep lets go of a destination that nothing is known of.
func (p *pool) sweep(dest string, at *place) {
	if at.users == 0 && len(at.parked) == 0 {
		delete(p.places, dest)
	}
}

// take answers a connection that waits and still lives, or nil. The caller has acquired the destination.
func (p *pool) take(dest string) *conn {
	for {
		p.mu.Lock()
		at := p.places[dest]
		last := len(at.parked) - 1
		if last < 0 {
			p.mu.Unlock()
			return nil
		}
		c := at.parked[last] // the one that has waited least
		at.parked = at.parked[:last]
		c.expire.Stop()
		p.mu.Unlock()
		if c.silent() {
			return c
		}
		c.close()
	}
}

// park has a connection wait, on which the server waits for a command. The caller has acquired the destination.
func (p *pool) park(c *conn) {
	c.used++
	p.mu.Lock()
	at := p.places[c.dest]
	if p.closed || c.used >= maxUses {
		p.mu.Unlock()
		c.quit()
		return
	}
	defer p.mu.Unlock()
	at.parked = append(at.parked, c)
	c.expire = time.AfterFunc(parkTime, func() {
		if p.remove(c) {
			c.quit()
		}
	})
}

func (p *pool) remove(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.places[c.dest]
	if at == nil {
		return false
	}
	i := slices.Index(at.parked, c)
	if i < 0 {
		return false
	}
	at.parked = slices.Delete(at.parked, i, i+1)
	p.sweep(c.dest, at)
	return true
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var all []*conn
	for dest, at := range p.places {
		all = append(all, at.parked...)
		at.parked = nil
		p.sweep(dest, at)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.expire.Stop()
		c.quit()
	}
}

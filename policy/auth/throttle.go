package auth

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"balorg/mail"
)

const (
	window = time.Minute
	// familiarFor is how long a network stays familiar to an account after a success.
	familiarFor = 7 * 24 * time.Hour
	// knownWrongFor is how long a wrong password is recognised when it comes again: a phone with an old password asks every
	// few minutes, and must not use up the budget of the person who types the new one.
	knownWrongFor = time.Hour
	// repeats is how many times the budget of failures the same wrong passwords may cost in hashing.
	repeats = 3
	// maxTracked bounds the memory of each table, some tens of megabytes; at the bound those that matter least are dropped.
	maxTracked = 100_000
)

// pair is an account, by the address somebody tried, whether there is such an account or not, seen from a network.
type pair struct {
	network netip.Prefix
	who     mail.Address
}

// network is what one attacker is taken to own: an IPv4 /24, an IPv6 /64.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: a local socket; all of those are one network
	}
	return p
}

// counter counts within a window that starts with the first event.
type counter struct {
	since time.Time
	n     int
}

// current is what counts. A clock that was set back locks nobody for longer than a window: what it then has ahead counts from now on.
func (c *counter) current(now time.Time) int {
	switch since := now.Sub(c.since); {
	case since >= window:
		return 0
	case since < 0:
		c.since = now
	}
	return c.n
}

func (c *counter) add(now time.Time, n int) {
	if c.n = max(0, c.current(now)+n); now.Sub(c.since) >= window {
		c.since = now
	}
}

// record is what is remembered of a pair.
type record struct {
	fails, again counter
	success      time.Time
	wrong        []wrongOne
}

type wrongOne struct {
	mac [sha256.Size]byte
	at  time.Time
}

func (r *record) last() time.Time {
	last := r.success.Add(familiarFor)
	for _, w := range r.wrong {
		if end := w.at.Add(knownWrongFor); end.After(last) {
			last = end
		}
	}
	for _, c := range []counter{r.fails, r.again} {
		if end := c.since.Add(window); end.After(last) {
			last = end
		}
	}
	return last
}

// throttle decides, before any hashing, whether an attempt is looked at. Failures of a network against an account, of a network
// against all, and against an account from all unfamiliar networks are counted apart; an account in a network where it
// logged in lately has only its own budget there, which strangers elsewhere cannot use up.
type throttle struct {
	cfg Config
	now func() time.Time

	mu       sync.Mutex
	pairs    map[pair]*record
	networks map[netip.Prefix]*counter
	accounts map[mail.Address]*counter
	changed  map[LockKey]struct{} // since they were written last; nil: none is written
	wake     chan struct{}        // has one when something has changed
}

func newThrottle(cfg Config, now func() time.Time) *throttle {
	return &throttle{
		cfg: cfg, now: now,
		pairs: map[pair]*record{}, networks: map[netip.Prefix]*counter{}, accounts: map[mail.Address]*counter{}, wake: make(chan struct{}, 1),
	}
}

// attempt is one log-in under way. It has taken its place in every budget beforehand, so that many at once do not get past
// them; finish gives back what it did not use.
type attempt struct {
	t        *throttle
	pair     pair
	mac      [sha256.Size]byte
	familiar bool
	again    bool // this very password was wrong lately
}

// begin answers an attempt, or false when a budget is used up.
func (t *throttle) begin(p pair, mac [sha256.Size]byte) (*attempt, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	r := t.record(p, now)
	a := &attempt{t: t, pair: p, mac: mac, familiar: !r.success.IsZero() && now.Sub(r.success) < familiarFor}
	a.again = slices.ContainsFunc(r.wrong, func(w wrongOne) bool { return w.mac == mac && now.Sub(w.at) < knownWrongFor })
	if a.again {
		if r.again.current(now) >= repeats*t.cfg.FailuresPerMinute {
			return nil, false
		}
		r.again.add(now, 1)
		return a, true
	}
	if r.fails.current(now) >= t.cfg.FailuresPerMinute {
		return nil, false
	}
	if !a.familiar {
		network, account := tracked(t.networks, p.network, now), tracked(t.accounts, p.who, now)
		if network.current(now) >= t.cfg.NetworkFailuresPerMinute || account.current(now) >= t.cfg.AccountFailuresPerMinute {
			return nil, false
		}
		network.add(now, 1)
		account.add(now, 1)
	}
	r.fails.add(now, 1)
	t.touchPair(p, a.familiar)
	return a, true
}

// The outcomes of an attempt.
type outcome int

const (
	succeeded outcome = iota
	refused
	undecided
)

// finish says how the attempt ended.
func (a *attempt) finish(how outcome) {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	r := t.record(a.pair, now)
	if how == refused {
		if !a.again {
			r.wrong = append(r.wrong, wrongOne{a.mac, now})
			// As many as a window's failures: more would only recognise what is throttled anyway.
			r.wrong = r.wrong[max(0, len(r.wrong)-t.cfg.FailuresPerMinute):]
		}
		return
	}
	if how == succeeded {
		r.success = now
	}
	t.touchPair(a.pair, a.familiar)
	switch {
	case a.again:
		r.again.add(now, -1)
	default:
		r.fails.add(now, -1)
		if !a.familiar {
			tracked(t.networks, a.pair.network, now).add(now, -1)
			tracked(t.accounts, a.pair.who, now).add(now, -1)
		}
	}
}

// forgive drops what is known of wrong passwords for the addresses of an account, whose password was changed.
func (t *throttle) forgive(who ...mail.Address) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, r := range t.pairs {
		if slices.Contains(who, p.who) {
			r.wrong = nil
		}
	}
}

func (t *throttle) record(p pair, now time.Time) *record {
	r, ok := t.pairs[p]
	if !ok {
		if len(t.pairs) >= maxTracked {
			shrink(t.pairs, func(r *record) bool { return now.Before(r.last()) })
		}
		r = &record{}
		t.pairs[p] = r
	}
	return r
}

func tracked[K comparable](m map[K]*counter, key K, now time.Time) *counter {
	c, ok := m[key]
	if !ok {
		if len(m) >= maxTracked {
			shrink(m, func(c *counter) bool { return c.current(now) > 0 })
		}
		c = &counter{}
		m[key] = c
	}
	return c
}

// shrink makes room for an eighth: first what is of no use any more, then whatever comes first.
func shrink[K comparable, V any](m map[K]V, useful func(V) bool) {
	for key, v := range m {
		if !useful(v) {
			delete(m, key)
		}
	}
	for key := range m {
		if len(m) <= maxTracked-maxTracked/8 {
			return
		}
		delete(m, key)
	}
}

package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"balorg/mail"
)

// Locks is where what the throttle counts outlives the process.
type Locks interface {
	// Locks answers all that is kept.
	Locks(ctx context.Context) ([]Lock, error)
	// KeepLocks removes what is gone, and then writes what has changed. What it wrote before an error stays.
	KeepLocks(ctx context.Context, changed []Lock, gone []LockKey) error
}

// LockKind is what is counted.
type LockKind string

// The kinds of counts.
const (
	LockAccount LockKind = "account" // from all networks that are not familiar to it
	LockNetwork LockKind = "network" // against all accounts to which it is not familiar
	LockPair    LockKind = "pair"    // of the network against the account
)

// LockKey names a count.
type LockKey struct {
	Kind    LockKind
	Network netip.Prefix // not valid: connections without an address
	Account mail.Address // as it was given, whether there is such an account or not; empty: what is no address
}

// Lock is what is counted.
type Lock struct {
	LockKey
	Since    time.Time // when these failures began to be counted
	Failures int
	Success  time.Time // of a pair: when it was successful last, to the hour
}

// LockState is a count as it is listed.
type LockState struct {
	Lock
	Limit int
	Until time.Time // when these failures no longer count
}

// Locked tells whether no further attempt is looked at.
func (l LockState) Locked() bool { return l.Failures >= l.Limit }

const (
	// writeBehind is how long counts are gathered before they are written, and so what a crash may lose of them. However fast somebody
	// guesses, the disk has one write a second of it.
	writeBehind = time.Second
	// maxKept bounds what is kept on disk, some megabytes; at the bound what matters least is let go.
	maxKept = 50_000
	// successExact is how exact successes are kept: not every log-in is worth a write.
	successExact = time.Hour
)

// ledger brings what the throttle counts to Locks, a while later, and back after a restart.
type ledger struct {
	t     *throttle
	store Locks

	mu      sync.Mutex // held through a write
	written map[LockKey]Lock
	swept   time.Time
}

func newLedger(t *throttle, store Locks) *ledger {
	if store == nil {
		return nil
	}
	t.changed = make(map[LockKey]struct{})
	return &ledger{t: t, store: store, written: make(map[LockKey]Lock), swept: t.now()}
}

// touch notes that a count has changed. The caller holds t.mu.
func (t *throttle) touch(k LockKey) {
	if t.changed == nil {
		return
	}
	// Beyond the bound, when nothing can be written for long, what changes is known by memory alone.
	if len(t.changed) < maxKept {
		t.changed[k] = struct{}{}
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// touchPair notes that the counts of an attempt have changed. The caller holds t.mu.
func (t *throttle) touchPair(p pair, familiar bool) {
	t.touch(LockKey{LockPair, p.network, p.who})
	if !familiar {
		t.touch(LockKey{LockNetwork, p.network, ""})
		t.touch(LockKey{LockAccount, netip.Prefix{}, p.who})
	}
}

// lock answers a count, or false when there is nothing to it any more. The caller holds t.mu.
func (t *throttle) lock(k LockKey, now time.Time) (Lock, bool) {
	l := Lock{LockKey: k}
	var c *counter
	switch k.Kind {
	case LockAccount:
		c = t.accounts[k.Account]
	case LockNetwork:
		c = t.networks[k.Network]
	case LockPair:
		if r := t.pairs[pair{k.Network, k.Account}]; r != nil {
			c = &r.fails
			if !r.success.IsZero() && now.Sub(r.success) < familiarFor {
				l.Success = r.success.Truncate(successExact)
			}
		}
	}
	if c != nil {
		if l.Failures = c.current(now); l.Failures > 0 {
			l.Since = c.since.Round(0).Truncate(time.Millisecond) // as the clock on the wall has it
		}
	}
	return l, l.Failures > 0 || !l.Success.IsZero()
}

func (t *throttle) limit(kind LockKind) int {
	switch kind {
	case LockAccount:
		return t.cfg.AccountFailuresPerMinute
	case LockNetwork:
		return t.cfg.NetworkFailuresPerMinute
	case LockPair:
	}
	return t.cfg.FailuresPerMinute
}

// restore puts a kept count back. What lies ahead of the clock was written before the clock was set back: it counts from now on.
func (t *throttle) restore(l Lock, now time.Time) (useful bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := counter{since: earlier(l.Since, now), n: l.Failures}
	switch l.Kind {
	case LockAccount:
		*tracked(t.accounts, l.Account, now) = c
	case LockNetwork:
		*tracked(t.networks, l.Network, now) = c
	case LockPair:
		r := t.record(pair{l.Network, l.Account}, now)
		r.fails, r.success = c, earlier(l.Success, now)
	}
	_, useful = t.lock(l.LockKey, now)
	return useful
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// list answers what counts now, the fullest first.
func (t *throttle) list() []LockState {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var all []LockState
	add := func(k LockKey) {
		if l, ok := t.lock(k, now); ok && l.Failures > 0 {
			all = append(all, LockState{l, t.limit(k.Kind), l.Since.Add(window)})
		}
	}
	for a := range t.accounts {
		add(LockKey{Kind: LockAccount, Account: a})
	}
	for n := range t.networks {
		add(LockKey{Kind: LockNetwork, Network: n})
	}
	for p := range t.pairs {
		add(LockKey{LockPair, p.network, p.who})
	}
	slices.SortFunc(all, func(a, b LockState) int {
		return cmp.Or(cmp.Compare(b.Failures*a.Limit, a.Failures*b.Limit), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Account, b.Account), cmp.Compare(a.Network.String(), b.Network.String()))
	})
	return all
}

// clear begins the counts anew that match, and answers how many there were. What is known of wrong passwords goes with them.
func (t *throttle) clear(match func(LockKey) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	clearOne := func(k LockKey, c *counter) {
		if match(k) && c.current(now) > 0 {
			*c = counter{}
			n++
			t.touch(k)
		}
	}
	for a, c := range t.accounts {
		clearOne(LockKey{Kind: LockAccount, Account: a}, c)
	}
	for network, c := range t.networks {
		clearOne(LockKey{Kind: LockNetwork, Network: network}, c)
	}
	for p, r := range t.pairs {
		k := LockKey{LockPair, p.network, p.who}
		clearOne(k, &r.fails)
		if match(k) {
			r.again, r.wrong = counter{}, nil
		}
	}
	return n
}

// load puts back what was kept.
func (l *ledger) load(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.store.Locks(ctx)
	if err != nil {
		return fmt.Errorf("reading what was counted of refused log-ins: %w", err)
	}
	now := l.t.now()
	for _, one := range all {
		l.written[one.LockKey] = one
		if !l.t.restore(one, now) {
			l.t.mu.Lock()
			l.t.touch(one.LockKey) // so that it is removed
			l.t.mu.Unlock()
		}
	}
	return nil
}

// keep writes what has changed since.
func (l *ledger) keep(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, gone := l.changes()
	if len(changed)+len(gone) == 0 {
		return nil
	}
	if err := l.store.KeepLocks(ctx, changed, gone); err != nil {
		l.t.mu.Lock()
		defer l.t.mu.Unlock()
		for _, one := range changed {
			l.t.touch(one.LockKey)
		}
		for _, k := range gone {
			l.t.touch(k)
		}
		return err
	}
	for _, one := range changed {
		l.written[one.LockKey] = one
	}
	for _, k := range gone {
		delete(l.written, k)
	}
	return nil
}

// changes are what differs from what is written. Once in a window, what is written is looked through for what no longer counts.
func (l *ledger) changes() (changed []Lock, gone []LockKey) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	now := l.t.now()
	keys := l.t.changed
	l.t.changed = make(map[LockKey]struct{})
	if sinceSwept := now.Sub(l.swept); sinceSwept >= window || sinceSwept < 0 || len(keys) >= maxKept {
		l.swept = now
		for k := range l.written {
			keys[k] = struct{}{}
		}
	}
	for k := range keys {
		one, useful := l.t.lock(k, now)
		before, known := l.written[k]
		switch {
		case !useful && known:
			gone = append(gone, k)
		case useful && (!known || one.Failures != before.Failures || !one.Since.Equal(before.Since) || !one.Success.Equal(before.Success)):
			changed = append(changed, one)
		}
	}
	if len(l.written)+len(changed) <= maxKept {
		return changed, gone
	}
	return l.squeeze(changed, gone)
}

// squeeze lets go of what matters least: what is far from its limit, unless the account was successful there. The caller holds t.mu.
func (l *ledger) squeeze(changed []Lock, gone []LockKey) ([]Lock, []LockKey) {
	all := maps.Clone(l.written)
	for _, one := range changed {
		all[one.LockKey] = one
	}
	for _, k := range gone {
		delete(all, k)
	}
	ranked := make([]Lock, 0, len(all))
	for _, one := range all {
		ranked = append(ranked, one)
	}
	slices.SortFunc(ranked, func(a, b Lock) int { return cmp.Compare(l.weight(b), l.weight(a)) })
	for _, one := range ranked[min(len(ranked), maxKept-maxKept/8):] {
		delete(all, one.LockKey)
		if _, known := l.written[one.LockKey]; known {
			gone = append(gone, one.LockKey)
		}
	}
	changed = slices.DeleteFunc(changed, func(one Lock) bool { _, stays := all[one.LockKey]; return !stays })
	return changed, gone
}

// weight is the share of its limit that a count has reached; a success weighs as much as a budget half used up.
func (l *ledger) weight(one Lock) float64 {
	share := float64(one.Failures) / float64(l.t.limit(one.Kind))
	if !one.Success.IsZero() {
		share += 0.5
	}
	return share
}

// run keeps what changes until ctx ends, and then once more.
func (l *ledger) run(ctx context.Context, failed func(error)) {
	var before error
	for {
		select {
		case <-l.t.wake:
		case <-ctx.Done():
			if err := l.keep(context.WithoutCancel(ctx)); err != nil && before == nil {
				failed(err)
			}
			return
		}
		wait := time.NewTimer(writeBehind)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			continue
		}
		err := l.keep(ctx)
		if err != nil && before == nil && !errors.Is(err, context.Canceled) {
			failed(err)
		}
		before = err
	}
}

// LoadLocks puts back what was counted before a restart.
func (a *Authenticator) LoadLocks(ctx context.Context) error {
	if a.ledger == nil {
		return nil
	}
	return a.ledger.load(ctx)
}

// RunLocks keeps what is counted until ctx ends; failed is told when that begins to fail, which stops no log-in.
func (a *Authenticator) RunLocks(ctx context.Context, failed func(error)) {
	if a.ledger != nil {
		a.ledger.run(ctx, failed)
	}
}

// Locked is how many of a kind no attempt is looked at of at the moment.
func (a *Authenticator) Locked(kind LockKind) (n int) {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	now, limit := t.now(), t.limit(kind)
	count := func(c *counter) {
		if c.current(now) >= limit {
			n++
		}
	}
	switch kind {
	case LockAccount:
		for _, c := range t.accounts {
			count(c)
		}
	case LockNetwork:
		for _, c := range t.networks {
			count(c)
		}
	case LockPair:
		for _, r := range t.pairs {
			count(&r.fails)
		}
	}
	return n
}

// Locks lists what is counted of refused log-ins at the moment, the fullest first.
func (a *Authenticator) Locks() []LockState { return a.throttle.list() }

// ClearLocks begins the counts anew that match, and answers how many there were. They are cleared even when that cannot be written.
func (a *Authenticator) ClearLocks(ctx context.Context, match func(LockKey) bool) (int, error) {
	n := a.throttle.clear(match)
	if a.ledger == nil {
		return n, nil
	}
	return n, a.ledger.keep(ctx)
}

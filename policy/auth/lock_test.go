package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"balorg/mail"
)

// locks is a Locks in memory.
type locks struct {
	mu     sync.Mutex
	rows   map[LockKey]Lock
	writes int
	err    error
}

func newLocks() *locks { return &locks{rows: map[LockKey]Lock{}} }

func (l *locks) Locks(context.Context) (all []Lock, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.rows {
		all = append(all, one)
	}
	return all, l.err
}

func (l *locks) KeepLocks(_ context.Context, changed []Lock, gone []LockKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.writes++
	for _, one := range changed {
		l.rows[one.LockKey] = one
	}
	for _, k := range gone {
		delete(l.rows, k)
	}
	return nil
}

// seen is how often something was written, and what is kept of a key; once whoever writes waits again.
func (l *locks) seen(k LockKey) (writes int, one Lock, ok bool) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok = l.rows[k]
	return l.writes, one, ok
}

func (l *locks) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// started is a clinic whose counts are kept in l; stop ends it as the daemon does, and a crash is not to call it.
func started(t *testing.T, l *locks) (c *clinic, stop func()) {
	t.Helper()
	c = newClinic(t, Config{})
	c.throttle = newThrottle(c.cfg, time.Now)
	c.ledger = newLedger(c.throttle, l)
	if err := c.LoadLocks(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.RunLocks(ctx, func(error) {})
	}()
	return c, func() { cancel(); <-done }
}

func guesses(c *clinic, user string, from netip.Addr, n int) (looked int) {
	for i := range n {
		if _, err := c.try(user, fmt.Sprintf("guess %d", i), from); errors.Is(err, ErrRefused) {
			looked++
		}
	}
	return looked
}

func TestLocksOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newLocks()
		c, stop := started(t, kept)
		if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
			t.Fatal(err)
		}
		if got := guesses(c, "claire.durand"+at, stranger, 40); got != 20 {
			t.Fatalf("%d guesses looked at", got)
		}
		stop()

		c, stop = started(t, kept)
		if got := guesses(c, "claire.durand"+at, stranger, 40); got != 0 {
			t.Errorf("after the restart %d guesses were looked at", got)
		}
		for i := range 200 { // up to the account's own limit
			guesses(c, "claire.durand"+at, netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 1)
		}
		if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
			t.Errorf("after the restart her ward is no longer familiar: %v", err)
		}
		wait(window)
		if got := guesses(c, "claire.durand"+at, stranger, 1); got != 1 {
			t.Errorf("a minute later still locked")
		}
		stop()
		wait(familiarFor)
		c, stop = started(t, kept)
		guesses(c, "paul.bernard"+at, stranger, 1)
		wait(2 * writeBehind)
		stop()
		if len(kept.rows) != 3 { // Paul's, his account's, the network's
			t.Errorf("kept when nothing else counts: %+v", kept.rows)
		}
	})
}

// TestWriteBehind: the disk has one write a second, however fast somebody guesses, and a crash loses a second of it.
func TestWriteBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newLocks()
		c, stop := started(t, kept)
		for i := range 100 {
			guesses(c, fmt.Sprintf("user%d%s", i, at), stranger, 10)
		}
		k := LockKey{Kind: LockNetwork, Network: networkOf(stranger)}
		if writes, _, _ := kept.seen(k); writes != 0 {
			t.Errorf("%d writes while somebody guesses", writes)
		}
		wait(writeBehind)
		if writes, one, _ := kept.seen(k); writes != 1 || one.Failures != 200 {
			t.Errorf("%d writes of 1000 guesses; the network has %+v", writes, one)
		}
		wait(time.Hour)
		if writes, _, _ := kept.seen(k); writes != 1 {
			t.Errorf("%d writes while nobody comes", writes)
		}
		// What is successful again and again costs a write an hour.
		for range 50 {
			c.Forget("id-claire.durand")
			if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
				t.Fatal(err)
			}
			wait(time.Minute)
		}
		stop()
		if writes, _, _ := kept.seen(k); writes > 4 {
			t.Errorf("%d writes of fifty log-ins in as many minutes", writes)
		}
	})
}

func TestLocksOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newLocks()
		c, stop := started(t, kept)
		kept.fail(errors.New("no space left on device"))
		guesses(c, "claire.durand"+at, stranger, 20)
		wait(10 * time.Second)
		if _, err := c.try("paul.bernard"+at, "demo-paul.bernard", ward); err != nil {
			t.Errorf("a log-in on a full disk: %v", err)
		}
		kept.fail(nil)
		wait(2 * writeBehind)
		if _, one, _ := kept.seen(LockKey{LockPair, networkOf(stranger), "claire.durand" + at}); one.Failures != 20 {
			t.Errorf("once there is room again: %+v", one)
		}
		if n, err := c.ClearLocks(t.Context(), func(LockKey) bool { return true }); n != 3 || err != nil {
			t.Errorf("cleared %d, %v", n, err)
		}
		stop()
	})
}

// TestClockSetBack: what was counted in what is now the future locks for a minute, not until then.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newLocks()
		k := LockKey{LockPair, networkOf(stranger), "claire.durand" + at}
		ahead := time.Now().Add(365 * 24 * time.Hour)
		kept.rows[k] = Lock{LockKey: k, Since: ahead, Failures: 20, Success: ahead}
		c, stop := started(t, kept)
		if got := guesses(c, "claire.durand"+at, stranger, 1); got != 0 {
			t.Error("what was counted is forgotten")
		}
		wait(window)
		if got := guesses(c, "claire.durand"+at, stranger, 1); got != 1 {
			t.Error("locked for longer than a minute")
		}
		// And while the daemon runs, without a clock that only goes forward.
		now := ahead.Round(0)
		th := newThrottle(Config{FailuresPerMinute: 1}.withDefaults(), func() time.Time { return now })
		p := pair{networkOf(stranger), "a@b"}
		th.begin(p, [32]byte{1})
		now = now.Add(-24 * time.Hour)
		if _, ok := th.begin(p, [32]byte{2}); ok {
			t.Error("set back, the clock unlocks")
		}
		now = now.Add(window)
		if _, ok := th.begin(p, [32]byte{3}); !ok {
			t.Error("set back, the clock locks for longer than a minute")
		}
		stop()
	})
}

// TestLocksAreBounded: an attacker with many networks fills no disk, and does not push out what is locked or successful.
func TestLocksAreBounded(t *testing.T) {
	now := time.Now()
	kept := newLocks()
	th := newThrottle(Config{AccountFailuresPerMinute: 1 << 30}.withDefaults(), func() time.Time { return now })
	l := newLedger(th, kept)
	good := pair{networkOf(ward), "claire@example.net"}
	a, _ := th.begin(good, [32]byte{})
	a.finish(succeeded)
	locked := pair{networkOf(stranger), "claire@example.net"}
	for i := range 20 {
		if a, ok := th.begin(locked, [32]byte{byte(i)}); ok {
			a.finish(refused)
		}
	}
	for i := range maxKept {
		if i%1000 == 0 {
			if err := l.keep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p := pair{networkOf(netip.AddrFrom16([16]byte{0x20, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)})), mail.Address("claire@example.net")}
		if a, ok := th.begin(p, [32]byte{1}); ok {
			a.finish(refused)
		}
	}
	if err := l.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(kept.rows) > maxKept || len(l.written) != len(kept.rows) {
		t.Errorf("%d rows are kept, %d known", len(kept.rows), len(l.written))
	}
	for _, p := range []pair{good, locked} {
		if _, ok := kept.rows[LockKey{LockPair, p.network, p.who}]; !ok {
			t.Errorf("%v was pushed out", p)
		}
	}
	if len(th.changed) > maxKept {
		t.Errorf("%d changes wait", len(th.changed))
	}
	now = now.Add(familiarFor)
	if err := l.keep(t.Context()); err != nil || len(kept.rows) != 0 {
		t.Errorf("a week later %d rows are left, %v", len(kept.rows), err)
	}
}

func TestClearLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newLocks()
		c, stop := started(t, kept)
		defer stop()
		guesses(c, "claire.durand"+at, stranger, 20)
		guesses(c, "paul.bernard"+at, stranger, 5)
		all := c.Locks()
		if len(all) != 5 || !all[0].Locked() || all[0].Kind != LockPair || all[0].Account != "claire.durand"+at || all[1].Locked() {
			t.Fatalf("listed %+v", all)
		}
		if until := time.Until(all[0].Until); until <= 0 || until > window {
			t.Errorf("locked for %v", until)
		}
		n, err := c.ClearLocks(t.Context(), func(k LockKey) bool { return k.Account == "claire.durand"+at })
		if n != 2 || err != nil {
			t.Errorf("cleared %d, %v", n, err)
		}
		if _, _, still := kept.seen(all[0].LockKey); still {
			t.Error("what was cleared is kept")
		}
		if _, err := c.try("claire.durand"+at, "demo-claire.durand", stranger); err != nil {
			t.Errorf("after clearing: %v", err)
		}
		for _, one := range c.Locks() {
			if one.Account == "claire.durand"+at || one.Locked() {
				t.Errorf("still listed: %+v", one)
			}
		}
	})
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"balorg/mail"
	"balorg/policy"
)

func TestThrottle(t *testing.T) {
	guess := func(c *clinic, user string, i int, from netip.Addr) error {
		_, err := c.try(user+at, fmt.Sprintf("guess %d", i), from)
		return err
	}
	// spend makes n different guesses and answers how many were looked at.
	spend := func(c *clinic, user string, n int, from func(i int) netip.Addr) (looked int) {
		for i := range n {
			if err := guess(c, user, i, from(i)); errors.Is(err, ErrRefused) {
				looked++
			}
		}
		return looked
	}
	one := func(a netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return a } }
	near := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	far := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i), 1}) }

	t.Run("a network against an account", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, Config{})
			if got := spend(c, "claire.durand", 40, near); got != 20 {
				t.Errorf("%d of 40 guesses looked at, want 20", got)
			}
			_, err := c.try("claire.durand"+at, "demo-claire.durand", ward)
			var unavailable *Unavailable
			if !errors.As(err, &unavailable) || unavailable.Reason.Code != policy.ReasonThrottled || errors.Is(err, ErrRefused) {
				t.Errorf("throttled: %v", err)
			}
			if c.hashes.Load() != 20 {
				t.Errorf("%d hashes, want 20: throttling comes first", c.hashes.Load())
			}
			if _, err := c.try("paul.bernard"+at, "demo-paul.bernard", ward); err != nil {
				t.Errorf("a colleague in the same network: %v", err)
			}
			wait(time.Minute)
			if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
				t.Errorf("a minute later: %v", err)
			}
		})
	})
	t.Run("unknown accounts are throttled alike", func(t *testing.T) {
		c := newClinic(t, Config{})
		if got := spend(c, "nobody", 40, near); got != 20 {
			t.Errorf("%d of 40 guesses looked at, want 20", got)
		}
	})
	t.Run("being throttled tells of no account", func(t *testing.T) {
		for _, user := range []string{"claire.durand", "nobody"} {
			c := newClinic(t, Config{})
			spend(c, user, 40, near)
			if _, err := c.try(user+"@sapins.mssante.fr", "guess", ward); !errors.Is(err, ErrRefused) {
				t.Errorf("%s by the other address: %v", user, err)
			}
		}
	})
	t.Run("many networks against an account", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, Config{})
			if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
				t.Fatal(err)
			}
			wait(11 * time.Minute) // the password itself is no longer remembered
			if got := spend(c, "claire.durand", 250, far); got != 100 {
				t.Errorf("%d of 250 guesses looked at, want 100", got)
			}
			if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
				t.Errorf("strangers locked the ward out: %v", err)
			}
			if err := guess(c, "claire.durand", 1, stranger); !errors.Is(err, ErrTemporary) {
				t.Errorf("one more network: %v", err)
			}
		})
	})
	t.Run("a network against many accounts", func(t *testing.T) {
		c := newClinic(t, Config{})
		looked := 0
		for i := range 300 {
			if err := guess(c, fmt.Sprintf("user%d", i), 0, stranger); errors.Is(err, ErrRefused) {
				looked++
			}
		}
		if looked != 200 {
			t.Errorf("%d of 300 guesses looked at, want 200", looked)
		}
	})
	t.Run("successes cost nothing", func(t *testing.T) {
		c := newClinic(t, Config{NetworkFailuresPerMinute: 1, AccountFailuresPerMinute: 1, FailuresPerMinute: 1})
		for _, user := range []string{"claire.durand", "paul.bernard", "lea.petit", "noemie.martin"} {
			if _, err := c.try(user+at, "demo-"+user, ward); err != nil {
				t.Errorf("%s: %v", user, err)
			}
			c.Forget(mail.AccountID("id-" + user)) // so that the next one is looked at, too
			if _, err := c.try(user+at, "demo-"+user, stranger); err != nil {
				t.Errorf("%s elsewhere: %v", user, err)
			}
		}
	})
	t.Run("the same wrong password counts once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, Config{})
			for range 30 { // a phone with the old password, every minute or faster
				if err := guess(c, "claire.durand", 0, ward); !errors.Is(err, ErrRefused) {
					t.Fatal(err)
				}
			}
			if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
				t.Errorf("the person with the new password: %v", err)
			}
			looked := 31
			for range 100 {
				if err := guess(c, "claire.durand", 0, ward); errors.Is(err, ErrRefused) {
					looked++
				}
			}
			if looked != 62 {
				t.Errorf("the same password was hashed %d times in a minute, want 62 at most", looked)
			}
			if err := c.SetPassword(t.Context(), "id-claire.durand", NewSecret("a password that is new")); err != nil {
				t.Fatal(err)
			}
			for p, r := range c.throttle.pairs {
				if len(r.wrong) > 0 {
					t.Errorf("after a change of the password, wrong ones of %s are remembered", p.who)
				}
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		c := newClinic(t, Config{HashSlots: 4})
		var looked atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if err := guess(c, "claire.durand", i, ward); errors.Is(err, ErrRefused) {
					looked.Add(1)
				}
			})
		}
		wg.Wait()
		if got := looked.Load(); got != 20 {
			t.Errorf("%d of 40 guesses at once looked at, want 20", got)
		}
	})
	t.Run("configured", func(t *testing.T) {
		c := newClinic(t, Config{FailuresPerMinute: 3})
		if got := spend(c, "claire.durand", 10, one(ward)); got != 3 {
			t.Errorf("%d guesses looked at, want 3", got)
		}
	})
}

func TestThrottleForgetsTheOldest(t *testing.T) {
	now := time.Now()
	th := newThrottle(Config{}.withDefaults(), func() time.Time { return now })
	for i := range maxTracked + 10 {
		p := pair{network: networkOf(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})), who: mail.Address(fmt.Sprint(i))}
		if a, ok := th.begin(p, [32]byte{}); ok {
			a.finish(refused)
		}
	}
	if len(th.pairs) > maxTracked || len(th.accounts) > maxTracked {
		t.Errorf("%d pairs, %d accounts tracked", len(th.pairs), len(th.accounts))
	}
}

func TestNetworkOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.0/24", "2001:db8:1:2:3::1": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := networkOf(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("networkOf(%s) = %s, want %s", in, got, want)
		}
	}
	if got := networkOf(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address: %s", got)
	}
}

// TestReservedSlot: strangers fill every slot they may have, and somebody in a familiar network still gets in.
func TestReservedSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		first, err := s.take(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, maxWaiting+5)
		for range maxWaiting + 5 {
			go func() {
				release, err := s.take(ctx, false)
				if err == nil {
					defer release()
				}
				results <- err
			}()
		}
		synctest.Wait()
		for range 5 {
			if err := <-results; !errors.Is(err, errQueueFull) {
				t.Errorf("beyond the queue: %v", err)
			}
		}
		familiar, err := s.take(t.Context(), true)
		if err != nil {
			t.Fatalf("familiar: %v", err)
		}
		familiar()
		cancel()
		for range maxWaiting {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("waiting when cancelled: %v", err)
			}
		}
		first()
		if release, err := s.take(t.Context(), false); err != nil {
			t.Errorf("after all is over: %v", err)
		} else {
			release()
		}
	})
}

package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/store/mailbox"
)

// busyClient is a session that works while others do, and believes what Sync tells it.
type busyClient struct {
	*mailbox.View
	a     *mailbox.Account
	rnd   *rand.Rand
	uids  []uint32
	flags map[uint32]string
}

func (c *busyClient) sync(ctx context.Context, allow bool) error {
	list, err := c.Sync(ctx, allow)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch e.Kind {
		case mailbox.EventExpunge:
			if !allow || int(e.Seq) > len(c.uids) || c.uids[e.Seq-1] != e.UID {
				return fmt.Errorf("expunge of %d (UID %d) in %v, allowed: %v", e.Seq, e.UID, c.uids, allow)
			}
			c.uids = slices.Delete(c.uids, int(e.Seq-1), int(e.Seq))
			delete(c.flags, e.UID)
		case mailbox.EventExists:
			for seq := uint32(len(c.uids) + 1); seq <= e.Seq; seq++ {
				c.uids = append(c.uids, c.UID(seq))
				c.learn(seq)
			}
		case mailbox.EventFlags:
			c.learn(e.Seq)
		case mailbox.EventRecent, mailbox.EventKeywords:
		}
	}
	if int(c.Len()) != len(c.uids) || !slices.IsSorted(c.uids) {
		return fmt.Errorf("the view has %d messages, its client %v", c.Len(), c.uids)
	}
	return nil
}

func (c *busyClient) learn(seq uint32) {
	m, _ := c.Message(seq)
	c.flags[m.UID] = words(string(mailbox.AppendFlags(nil, m.Flags, c.Keywords())))
}

func (c *busyClient) some() []uint32 {
	var out []uint32
	for _, uid := range c.uids {
		if c.rnd.IntN(4) == 0 {
			out = append(out, uid)
		}
	}
	return out
}

func (c *busyClient) step(ctx context.Context) error {
	var err error
	switch c.rnd.IntN(8) {
	case 0, 1:
		_, err = c.a.Append(ctx, "INBOX", strings.NewReader("\r\nx"), mailbox.FlagSet{}, time.Now())
	case 2, 3:
		set := mailbox.FlagSet{System: mailbox.System(c.rnd.IntN(32)) &^ mailbox.Deleted, Keywords: []string{fmt.Sprintf("k%d", c.rnd.IntN(9))}}
		var changed []uint32
		changed, err = c.StoreFlags(ctx, c.some(), mailbox.FlagOp(c.rnd.IntN(3)), set)
		for _, uid := range changed {
			c.learn(c.Seq(uid))
		}
	case 4:
		if gone := c.some(); len(gone) > 0 { // one at most, or nothing would be left to work on
			_, err = c.StoreFlags(ctx, gone[:1], mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted})
			_, eerr := c.Expunge(ctx, nil)
			err = errors.Join(err, eerr)
		}
	case 5:
		_, err = c.Copy(ctx, c.some(), c.a, "INBOX")
	case 6:
		_, err = c.Move(ctx, c.some(), c.a, "INBOX")
	default:
		return c.sync(ctx, true)
	}
	if errors.Is(err, mailbox.ErrOverQuota) {
		err = nil
	}
	return errors.Join(err, c.sync(ctx, c.rnd.IntN(2) == 0))
}

// TestBusyFolder: sessions that change one folder at the same time all end up believing the same, and the quota holds. The
// fixture then verifies every counter.
func TestBusyFolder(t *testing.T) {
	t.Run("rows", func(t *testing.T) { testBusyFolder(t, mailbox.Options{}) })
	t.Run("marks", func(t *testing.T) { testBusyFolder(t, mailbox.Options{MarkFrom: 2, MarkMost: 20}) })
}

func testBusyFolder(t *testing.T, opt mailbox.Options) {
	t.Helper()
	const sessions, steps, quota = 6, 150, 3 * 60
	f := newFixture(t, opt)
	folded, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(folded)
		for {
			select {
			case <-end:
				return
			default:
			}
			if err := f.account(claire, quota).Fold(t.Context(), "INBOX"); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var clients []*busyClient
	for i := range sessions {
		a := f.account(claire, quota)
		v := f.open(a, "INBOX", false)
		clients = append(clients, &busyClient{View: v, a: a, rnd: rand.New(rand.NewPCG(1, uint64(i))), flags: map[uint32]string{}})
	}
	errs := make([]error, sessions)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for range steps {
				if errs[i] = c.step(t.Context()); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	close(end)
	<-folded
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if u, err := clients[0].a.Usage(t.Context()); err != nil || u.Octets > quota {
		t.Errorf("usage %+v, %v", u, err)
	}
	f.Store = mailbox.New(f.st, f.bodies, opt) // what is on disk, not what they share
	fresh := f.open(f.account(claire, quota), "INBOX", true)
	if fresh.Len() < 5 {
		t.Errorf("only %d messages are left: nothing was tested", fresh.Len())
	}
	for i, c := range clients {
		if err := c.sync(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		for seq := range fresh.Len() {
			m, _ := fresh.Message(seq + 1)
			want := words(string(mailbox.AppendFlags(nil, m.Flags, fresh.Keywords())))
			if c.UID(seq+1) != m.UID || c.flags[m.UID] != want {
				t.Errorf("session %d: message %d is UID %d with %q, its client believes UID %d with %q", i, seq+1, m.UID, want, c.UID(seq+1), c.flags[m.UID])
			}
		}
		if c.Len() != fresh.Len() {
			t.Errorf("session %d has %d messages, want %d", i, c.Len(), fresh.Len())
		}
	}
}

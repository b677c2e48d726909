package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/smtp/wire"
)

// TestWaitingRow: what the index says of an item is read back as it was.
func TestWaitingRow(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 123, time.UTC)
	for _, it := range []Item{
		{State: Waiting, Next: at, Route: Relay, Recipient: wire.Recipient{Address: "dr@chu.fr"}},
		{State: Waiting, Next: at, Route: Sent, Account: mail.AccountID("claireclaireclai")},
		{State: Waiting, Next: at, Route: Deliver, Account: mail.AccountID("claireclaireclai"), Recipient: wire.Recipient{Address: "claire@sapins.fr"}},
	} {
		got, ok := parseWaiting(waitingRow(it))
		if got.Next = got.Next.UTC(); !ok {
			t.Errorf("the row of %+v cannot be read", it)
		}
		if diff := cmp.Diff(it, got); diff != "" {
			t.Error(diff)
		}
	}
	for _, row := range [][]byte{nil, []byte("short"), []byte("12345678relay"), []byte("12345678relay\x00account")} {
		if it, ok := parseWaiting(row); ok {
			t.Errorf("%q is read as %+v", row, it)
		}
	}
}

// TestHeld: a message that is held is not tried, neither after a restart, until somebody releases it.
func TestHeld(t *testing.T) {
	f := newFixture(t, nil)
	stop := f.run()
	id := f.putHeld(true, to("a@a.fr")...)
	stop()
	f.open(nil)
	f.run()
	other := f.put(to("b@b.fr")...)
	f.untilStates(other, "delivered")
	f.pass(time.Hour)
	if got := f.states(id); got != "waiting" || len(f.carrier.seen) != 1 {
		t.Errorf("the message that is held is %s, after %d attempts in all", got, len(f.carrier.seen))
	}
	if err := f.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.untilStates(id, "delivered")
}

// TestDueAfterRestart: what was not due before a restart is not due after it.
func TestDueAfterRestart(t *testing.T) {
	f := newFixture(t, nil)
	f.carrier.answer = func(Delivery, Item) Outcome { return Outcome{} }
	stop := f.run()
	id := f.put(to("a@a.fr")...)
	f.until("the first attempt", func() bool {
		e, err := f.Show(t.Context(), id)
		return err == nil && e.Items[0].Attempts == 1
	})
	stop()
	f.open(nil)
	f.carrier.answer = func(Delivery, Item) Outcome { return Outcome{Result: ResultDelivered} }
	f.run()
	other := f.put(to("b@b.fr")...)
	f.untilStates(other, "delivered")
	if got := f.states(id); got != "waiting" {
		t.Errorf("the message is %s before its time", got)
	}
	f.pass(8 * time.Minute)
	f.untilStates(id, "delivered")
}

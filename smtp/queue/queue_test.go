package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/mail"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

const claire = mail.AccountID("claireclaireclai")

// carrier answers what a test says, and tells what it was asked.
type carrier struct {
	mu     sync.Mutex
	answer func(Delivery, Item) Outcome
	seen   []string // "id: recipients"
	asked  chan struct{}
}

func (c *carrier) Destination(it Item) string { return it.Recipient.Address.Domain() }

func (c *carrier) Carry(ctx context.Context, d Delivery) []Outcome {
	r, err := d.Open(ctx)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Outcome
	var to []string
	for _, it := range d.Items {
		to = append(to, string(it.Recipient.Address))
		all = append(all, c.answer(d, it))
	}
	c.seen = append(c.seen, strings.Join(to, " "))
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return all
}

// fixture is a queue on a store in memory, with a clock that a test moves.
type fixture struct {
	*Queue
	t       *testing.T
	st      *store.DB
	boxes   *mailbox.Store
	bodies  *body.Bodies
	carrier *carrier
	mu      sync.Mutex
	time    time.Time
}

func newFixture(t *testing.T, reporter Reporter) *fixture {
	t.Helper()
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, st: st, bodies: bodies, boxes: mailbox.New(st, bodies, mailbox.Options{}), time: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
		carrier: &carrier{asked: make(chan struct{}, 1), answer: func(Delivery, Item) Outcome { return Outcome{Result: ResultDelivered} }},
	}
	f.open(reporter)
	storetest.CheckAtEnd(t, st, f.boxes, f, body.Checker{Bodies: bodies, Referrers: []body.Referrer{f.boxes, f}})
	return f
}

// open makes the queue on what the store holds, as after a restart.
func (f *fixture) open(reporter Reporter) {
	f.Queue = New(Options{
		Store: f.st, Bodies: f.bodies, Trace: audit.New(f.st), Now: f.clock,
	})
	f.Use(Ways{Carriers: map[Route]Carrier{Relay: f.carrier}, Reporter: reporter})
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.time
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	f.time = f.time.Add(d)
	f.mu.Unlock()
	f.wakeUp()
}

// run runs the queue until the test ends, or the answered function is called.
func (f *fixture) run() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	q := f.Queue
	go func() { done <- q.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("run: %v", err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

// put accepts a message for some recipients.
func (f *fixture) put(to ...wire.Recipient) ID {
	f.t.Helper()
	return f.putHeld(false, to...)
}

func (f *fixture) putHeld(held bool, to ...wire.Recipient) ID {
	f.t.Helper()
	content := f.content("Subject: x\r\n\r\nhello\r\n")
	defer content.Discard()
	m := Message{
		ID: NewID(f.clock()), Size: content.Size(), From: wire.Sender{Address: "sec@sapins.mssante.fr"}, Origin: Submission, Accepted: f.clock(),
		Mailbox: audit.Party{ID: claire, Address: "claire@sapins.fr"}, Held: held,
	}
	var items []Item
	for _, r := range to {
		items = append(items, Item{Route: Relay, Recipient: r, State: Waiting})
	}
	err := f.st.Update(f.t.Context(), func(tx store.Writer) (err error) {
		if m.Body, err = content.StoreTx(tx); err != nil {
			return err
		}
		if err := f.EnqueueTx(tx, m, items); err != nil {
			return err
		}
		_, err = f.bodies.Unref(tx, m.Body)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return m.ID
}

func (f *fixture) content(text string) *mailbox.Message {
	f.t.Helper()
	content, err := f.boxes.NewMessage(f.t.Context())
	if err == nil {
		_, err = io.WriteString(content, text)
	}
	if err == nil {
		err = content.Finish()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return content
}

// until waits for what is to come true.
func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("%s does not come true", what)
		}
	}
}

// states answers the states of a message's items.
func (f *fixture) states(id ID) string {
	e, err := f.Show(f.t.Context(), id)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, it := range e.Items {
		all = append(all, string(it.State))
	}
	return strings.Join(all, " ")
}

func (f *fixture) untilStates(id ID, want string) {
	f.t.Helper()
	f.until(want, func() bool { return f.states(id) == want })
}

func to(addresses ...mail.Address) []wire.Recipient {
	var all []wire.Recipient
	for _, a := range addresses {
		all = append(all, wire.Recipient{Address: a})
	}
	return all
}

func TestDelivered(t *testing.T) {
	f := newFixture(t, nil)
	early := f.put(to("early@a.fr")...)
	f.run()
	f.untilStates(early, "delivered")
	id := f.put(to("a@a.fr", "b@b.fr", "c@a.fr")...)
	f.untilStates(id, "delivered delivered delivered")
	e, err := f.Show(t.Context(), id)
	if err != nil || e.Waiting != 0 || e.Body != 0 || e.Items[0].Attempts != 1 {
		t.Errorf("delivered: %+v, %v", e, err)
	}
	f.carrier.mu.Lock()
	slices.Sort(f.carrier.seen)
	if got := fmt.Sprint(f.carrier.seen); got != "[a@a.fr c@a.fr b@b.fr early@a.fr]" && got != "[a@a.fr b@b.fr c@a.fr early@a.fr]" {
		t.Errorf("carried %s", got)
	}
	f.carrier.mu.Unlock()
	// The rows stay for a week, then go.
	f.pass(keepDone - time.Hour)
	if err := f.prune(t.Context()); err != nil || f.states(id) != "delivered delivered delivered" {
		t.Errorf("after six days: %s, %v", f.states(id), err)
	}
	f.pass(2 * time.Hour)
	if err := f.prune(t.Context()); err != nil || f.states(id) != ErrUnknown.Error() {
		t.Errorf("after a week: %s, %v", f.states(id), err)
	}
}

func TestRetries(t *testing.T) {
	f := newFixture(t, nil)
	f.carrier.answer = func(Delivery, Item) Outcome {
		return Outcome{Reply: *wire.NewReply(451, "4.3.0", "later"), Peer: "mx.a.fr"}
	}
	f.run()
	id := f.put(to("a@a.fr")...)
	accepted := f.clock()
	item := func() Item {
		e, err := f.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return e.Items[0]
	}
	var ages []time.Duration
	for n := 1; ; n++ {
		f.until("an attempt", func() bool { return item().Attempts == n })
		it := item()
		if it.State == Failed {
			break
		}
		ages = append(ages, it.Next.Sub(accepted))
		if it.Delayed != (f.clock().Sub(accepted) >= 2*time.Hour) {
			t.Errorf("delayed %t at %v", it.Delayed, f.clock().Sub(accepted))
		}
		f.pass(it.Next.Sub(f.clock()))
	}
	if got := fmt.Sprint(ages[:9]); got != "[7m30s 15m0s 30m0s 1h0m0s 2h0m0s 4h0m0s 8h0m0s 16h0m0s 24h0m0s]" {
		t.Errorf("tried at %s", got)
	}
	if last := ages[len(ages)-1]; last != 120*time.Hour {
		t.Errorf("given up after %v", last)
	}
	if it := item(); it.Reply != "451 4.3.0 later" || it.Peer != "mx.a.fr" {
		t.Errorf("kept %+v", it)
	}
}

// TestRestart stops the queue with an item waiting and one delivered, and opens it anew.
func TestRestart(t *testing.T) {
	f := newFixture(t, nil)
	f.carrier.answer = func(_ Delivery, it Item) Outcome {
		if it.Recipient.Address.Local() == "later" {
			return Outcome{}
		}
		return Outcome{Result: ResultDelivered}
	}
	stop := f.run()
	id := f.put(to("a@a.fr", "later@b.fr")...)
	f.until("the first attempts", func() bool {
		e, err := f.Show(t.Context(), id)
		return err == nil && e.Items[0].State == Delivered && e.Items[1].Attempts == 1
	})
	stop()
	f.open(nil)
	f.carrier.answer = func(Delivery, Item) Outcome { return Outcome{Result: ResultDelivered} }
	f.run()
	f.pass(8 * time.Minute)
	f.untilStates(id, "delivered delivered")
	if n := len(f.carrier.seen); n != 3 {
		t.Errorf("%d attempts", n)
	}
}

// TestStoppedAtStart: a daemon that is told to stop while it begins ends in order.
func TestStoppedAtStart(t *testing.T) {
	f := newFixture(t, nil)
	f.put(to("a@a.fr")...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx); err != nil {
		t.Error(err)
	}
}

// reports composes one report to claire for each kind.
type reports struct {
	f    *fixture
	mu   sync.Mutex
	told []string
	err  error
}

func (r *reports) Report(_ context.Context, kind ReportKind, d Delivery) (*Draft, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	var who []string
	for _, it := range d.Items {
		who = append(who, string(it.Recipient.Address))
	}
	r.told = append(r.told, string(kind)+": "+strings.Join(who, " "))
	return &Draft{
		Message: Message{ID: NewID(r.f.clock()), Origin: Report, Accepted: r.f.clock()},
		Content: r.f.content("Subject: report\r\n\r\n"),
		Items:   []Item{{Route: Deliver, Account: claire, State: Waiting, Recipient: wire.Recipient{Notify: wire.NotifyNever}}},
	}, nil
}

func TestReports(t *testing.T) {
	r := &reports{}
	f := newFixture(t, r)
	r.f = f
	f.carrier.answer = func(_ Delivery, it Item) Outcome {
		switch it.Recipient.Address.Local() {
		case "bad", "silent":
			return Outcome{Result: ResultFailed, Reply: *wire.NewReply(550, "5.1.1", "unknown")}
		case "good":
			return Outcome{Result: ResultDelivered, Relayed: true}
		}
		return Outcome{}
	}
	f.run()
	id := f.put(
		wire.Recipient{Address: "bad@a.fr"}, wire.Recipient{Address: "silent@a.fr", Notify: wire.NotifyNever},
		wire.Recipient{Address: "good@a.fr", Notify: wire.NotifySuccess}, wire.Recipient{Address: "slow@a.fr"},
	)
	f.untilStates(id, "failed failed delivered waiting")
	for range 6 { // until it is two hours old
		e, err := f.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		n := e.Items[3].Attempts
		f.pass(e.Items[3].Next.Sub(f.clock()))
		f.until("an attempt", func() bool { e, err := f.Show(t.Context(), id); return err == nil && e.Items[3].Attempts > n })
	}
	want := []string{"failure: bad@a.fr", "success: good@a.fr", "delay: slow@a.fr"}
	r.mu.Lock()
	if !slices.Equal(r.told, want) {
		t.Errorf("told %q, want %q", r.told, want)
	}
	r.mu.Unlock()
	var queued int
	if err := f.List(t.Context(), false, func(e Entry) bool {
		if e.Origin == Report {
			queued++
		}
		return true
	}); err != nil || queued != 3 {
		t.Errorf("%d reports queued, %v", queued, err)
	}
}

// TestReportFails has a failure wait for as long as its report cannot be made.
func TestReportFails(t *testing.T) {
	r := &reports{err: errors.New("no report today")}
	f := newFixture(t, r)
	r.f = f
	f.carrier.answer = func(Delivery, Item) Outcome { return Outcome{Result: ResultFailed} }
	f.run()
	id := f.put(to("a@a.fr")...)
	<-f.carrier.asked
	f.until("the item waits again", func() bool { f.Queue.mu.Lock(); defer f.Queue.mu.Unlock(); return f.sched.busy == 0 })
	if got := f.states(id); got != "waiting" {
		t.Errorf("state %s", got)
	}
	r.mu.Lock()
	r.err = nil
	r.mu.Unlock()
	f.pass(2 * retryFault)
	f.untilStates(id, "failed")
}

// TestCommit delivers into our own store in the transaction that notes it, once, and defers what that refuses.
func TestCommit(t *testing.T) {
	f := newFixture(t, nil)
	box, err := f.boxes.Account(t.Context(), claire, 10)
	if err != nil {
		t.Fatal(err)
	}
	f.carrier.answer = func(d Delivery, it Item) Outcome {
		return Outcome{Result: ResultDelivered, Commit: func(tx store.Writer) error {
			if it.Recipient.Address.Local() == "other" {
				return nil
			}
			_, err := box.DeliverBodyTx(tx, mailbox.Inbox, d.Message.Body, d.Message.Size, mailbox.FlagSet{}, f.clock())
			return err
		}}
	}
	f.run()
	id := f.put(to("claire@a.fr", "other@a.fr")...)
	f.untilStates(id, "waiting delivered")
	e, err := f.Show(t.Context(), id)
	if err != nil || e.Items[0].Reply != "452 4.2.2 The mailbox is full" || e.Items[0].Attempts != 1 {
		t.Errorf("deferred: %+v, %v", e.Items[0], err)
	}
	if box, err = f.boxes.Account(t.Context(), claire, 0); err != nil {
		t.Fatal(err)
	}
	f.pass(8 * time.Minute)
	f.untilStates(id, "delivered delivered")
	folder, err := box.Status(t.Context(), mailbox.Inbox)
	if err != nil || folder.Messages != 1 {
		t.Errorf("INBOX: %+v, %v", folder, err)
	}
}

func TestRetryAndRemove(t *testing.T) {
	f := newFixture(t, nil)
	f.carrier.answer = func(Delivery, Item) Outcome { return Outcome{Unreachable: true} }
	f.run()
	id := f.put(to("a@a.fr", "b@a.fr")...)
	tried := func(n int) func() bool {
		return func() bool {
			e, err := f.Show(t.Context(), id)
			f.Queue.mu.Lock()
			defer f.Queue.mu.Unlock()
			return err == nil && e.Items[0].Attempts == n && f.sched.busy == 0
		}
	}
	f.until("the first attempt", tried(1))
	if err := f.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.until("the second attempt", tried(2))
	if n, err := f.Remove(t.Context(), id); err != nil || n != 2 {
		t.Errorf("removed %d, %v", n, err)
	}
	if got := f.states(id); got != "removed removed" {
		t.Errorf("states %s", got)
	}
	if f.waiting() != 0 {
		t.Errorf("%d items wait", f.waiting())
	}
	for _, unknown := range []func() error{
		func() error { return f.Retry(t.Context(), "0000000000000000") },
		func() error { _, err := f.Remove(t.Context(), "0000000000000000"); return err },
	} {
		if err := unknown(); !errors.Is(err, ErrUnknown) {
			t.Errorf("unknown message: %v", err)
		}
	}
	if err := f.Retry(t.Context(), id); err == nil {
		t.Error("nothing waits, and it is tried again")
	}
}

// TestRest leaves a destination that cannot be reached alone, whatever is queued for it, and does not hold up others.
func TestRest(t *testing.T) {
	f := newFixture(t, nil)
	down := true
	f.carrier.answer = func(_ Delivery, it Item) Outcome {
		if down && it.Recipient.Address.Domain() == "down.fr" {
			return Outcome{Unreachable: true}
		}
		return Outcome{Result: ResultDelivered}
	}
	f.run()
	first := f.put(to("a@down.fr")...)
	f.until("the first attempt", func() bool { e, err := f.Show(t.Context(), first); return err == nil && e.Items[0].Attempts == 1 })
	f.until("its end", func() bool { f.Queue.mu.Lock(); defer f.Queue.mu.Unlock(); return f.sched.busy == 0 })
	var waiting []ID
	for range 5 {
		waiting = append(waiting, f.put(to("a@down.fr")...))
	}
	up := f.put(to("a@up.fr")...)
	f.untilStates(up, "delivered")
	f.carrier.mu.Lock()
	n := len(f.carrier.seen)
	down = false
	f.carrier.mu.Unlock()
	if n != 2 {
		t.Errorf("%d attempts", n)
	}
	f.pass(firstRest)
	for _, id := range waiting {
		f.untilStates(id, "delivered")
	}
}

func TestSeal(t *testing.T) {
	f := newFixture(t, nil)
	seal := func(s Seal, id ID) (former ID, found bool) {
		t.Helper()
		err := f.st.Update(t.Context(), func(tx store.Writer) (err error) {
			former, found, err = f.SealTx(tx, s, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return former, found
	}
	a := NewSeal(claire, "<1@a>", []mail.Address{"a@a.fr", "b@a.fr"}, [32]byte{1})
	if a != NewSeal(claire, "<1@a>", []mail.Address{"b@a.fr", "a@a.fr"}, [32]byte{1}) {
		t.Error("the order of recipients counts")
	}
	for _, other := range []Seal{
		NewSeal("x", "<1@a>", []mail.Address{"a@a.fr", "b@a.fr"}, [32]byte{1}), NewSeal(claire, "<2@a>", []mail.Address{"a@a.fr", "b@a.fr"}, [32]byte{1}),
		NewSeal(claire, "<1@a>", []mail.Address{"a@a.fr"}, [32]byte{1}), NewSeal(claire, "<1@a>", []mail.Address{"a@a.fr", "b@a.fr"}, [32]byte{2}),
	} {
		if a == other {
			t.Error("two messages have one seal")
		}
	}
	first, second := NewID(f.clock()), NewID(f.clock())
	if _, found := seal(a, first); found {
		t.Error("found before it was sealed")
	}
	if former, found := seal(a, second); !found || former != first {
		t.Errorf("sent again: %q, %t", former, found)
	}
	f.pass(sealTime)
	if _, found := seal(a, second); found {
		t.Error("found after its time")
	}
	f.pass(sealTime)
	if err := f.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, found := seal(a, first); found {
		t.Error("found after it was pruned")
	}
}

func TestNewID(t *testing.T) {
	now := time.Now()
	if a, b := NewID(now), NewID(now.Add(time.Millisecond)); a >= b || len(a) != idLength {
		t.Errorf("ids %s, %s", a, b)
	}
}

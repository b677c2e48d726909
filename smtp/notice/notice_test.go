package notice

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/identity"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

const (
	claire = mail.AccountID("claire.durand")
	noemie = mail.AccountID("noemie.martin")
	sec    = mail.AccountID("secretariat")
	urg    = mail.AccountID("urgences")
)

// sentNotice is one as it left.
type sentNotice struct {
	from   wire.Sender
	to     []mail.Address
	octets string
}

// fakeHop keeps what leaves, or answers what a test says.
type fakeHop struct {
	mu     sync.Mutex
	got    []sentNotice
	asked  int
	answer func() queue.Outcome
}

func (h *fakeHop) Destination(mail.Address) string { return "out" }

func (h *fakeHop) Send(ctx context.Context, d queue.Delivery) []queue.Outcome {
	octets, err := read(ctx, d)
	if err != nil { // the daemon ends
		return slices.Repeat([]queue.Outcome{{Reply: *wire.NewReply(451, "4.3.0", "%v", err)}}, len(d.Items))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	o := queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.0.0", "taken")}
	if h.answer != nil {
		o = h.answer()
	}
	m := sentNotice{from: d.Message.From, octets: string(octets)}
	var outcomes []queue.Outcome
	for _, it := range d.Items {
		m.to = append(m.to, it.Recipient.Address)
		outcomes = append(outcomes, o)
	}
	if o.Result == queue.ResultDelivered {
		h.got = append(h.got, m)
	}
	return outcomes
}

func read(ctx context.Context, d queue.Delivery) ([]byte, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (h *fakeHop) left() []sentNotice {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (f *fixture) asked() int {
	f.hop.mu.Lock()
	defer f.hop.mu.Unlock()
	return f.hop.asked
}

func (h *fakeHop) answers(o *queue.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = nil
	if o != nil {
		h.answer = func() queue.Outcome { return *o }
	}
}

// fixture is a service over real tables, with the demo's accounts and a clock that tests move.
type fixture struct {
	*Service
	t      *testing.T
	st     *store.DB
	boxes  *mailbox.Store
	bodies *body.Bodies
	queue  *queue.Queue
	hop    fakeHop
	reg    *prometheus.Registry
	stop   func()

	mu   sync.Mutex
	time time.Time
	snap *policy.Snapshot
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, st: st, bodies: bodies, boxes: mailbox.New(st, bodies, mailbox.Options{}),
		time: time.Date(2026, 11, 24, 9, 0, 0, 0, time.FixedZone("", 3600)), snap: demo(t, nil),
	}
	f.open()
	t.Cleanup(func() { f.stop() })
	storetest.CheckAtEnd(t, st, Table{}, f.boxes, f.queue, body.Checker{Bodies: bodies, Referrers: []body.Referrer{f.boxes, f.queue}, Contents: true})
	return f
}

// demo answers the demo's accounts, with a change to their files.
func demo(t *testing.T, change func(*policy.Roster)) *policy.Snapshot {
	t.Helper()
	read := func(name string) []configs.File {
		data, err := fs.ReadFile(configs.Examples, "demo/"+name)
		if err != nil {
			t.Fatal(err)
		}
		return []configs.File{{Name: name, Data: data}}
	}
	roster, problems := policy.Load(policy.Source{Accounts: read("accounts.yaml"), Delegations: read("delegations.yaml"), Mailstores: []string{"local"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if change != nil {
		change(roster)
	}
	var ids []policy.Identity
	for _, a := range roster.Accounts {
		ids = append(ids, policy.Identity{ID: mail.AccountID(a.Address.Local()), Address: a.Address, Kind: a.Kind, State: policy.IdentityLive})
	}
	return policy.NewSnapshot(roster, ids, nil)
}

// open makes queue and service on what the store holds, as after a restart.
func (f *fixture) open() {
	f.queue = queue.New(queue.Options{Store: f.st, Bodies: f.bodies, Trace: audit.New(f.st), Now: f.clock})
	f.reg = prometheus.NewRegistry()
	f.Service = New(Options{
		From: From{"Messagerie MSSanté de la clinique", "notifications@clinique.example"}, Link: "https://mail.clinique.example/", Language: "fr",
		Templates: DefaultTemplates(), Snapshot: f.snapshot, Store: f.st, Boxes: f.boxes, Bodies: f.bodies, Queue: f.queue,
		Metrics: f.reg, Now: f.clock,
	})
	f.queue.Use(queue.Ways{Carriers: map[queue.Route]queue.Carrier{queue.Notify: f.Carrier(&f.hop)}})
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	running := f.queue
	go func() { done <- running.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) { // stopped before it began
			f.t.Errorf("the queue: %v", err)
		}
	})
}

func (f *fixture) restart() {
	f.stop()
	f.open()
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.time
}

func (f *fixture) snapshot() *policy.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}

func (f *fixture) change(change func(*policy.Roster)) {
	snap := demo(f.t, change)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snap = snap
}

func (f *fixture) receive(mailbox mail.AccountID, n int) {
	f.t.Helper()
	for range n {
		if err := f.st.Update(f.t.Context(), func(tx store.Writer) error { return f.ReceivedTx(tx, mailbox) }); err != nil {
			f.t.Fatal(err)
		}
	}
}

// after lets time pass and does what is due then.
func (f *fixture) after(d time.Duration) {
	f.t.Helper()
	f.mu.Lock()
	f.time = f.time.Add(d)
	f.mu.Unlock()
	if _, err := f.pass(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// until waits for what the queue's workers do.
func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("%s does not come about", what)
		}
	}
}

// waiting answers how many notices wait in the queue, or are under way.
func (f *fixture) waiting() (n int) {
	f.t.Helper()
	if err := f.queue.List(f.t.Context(), false, func(queue.Entry) bool { n++; return true }); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// retry has everything tried at once that is not under way.
func (f *fixture) retry() {
	f.t.Helper()
	if err := f.queue.List(f.t.Context(), false, func(e queue.Entry) bool {
		f.queue.Retry(f.t.Context(), e.ID) // one under way is not tried again
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
}

// drain waits until everything has left. An attempt that was cut off by a restart is made again.
func (f *fixture) drain() {
	f.t.Helper()
	f.until("the end of all attempts", func() bool { f.retry(); return f.waiting() == 0 })
}

// told waits until so many notices have been sent in all, and nothing else waits, and answers the last one.
func (f *fixture) told(n int) string {
	f.t.Helper()
	f.until("the end of all attempts", func() bool { return f.waiting() == 0 })
	got := f.hop.left()
	if len(got) != n {
		f.t.Fatalf("%d notices, want %d", len(got), n)
	}
	if n == 0 {
		return ""
	}
	return got[n-1].octets
}

// rows answers how many rows the table holds.
func (f *fixture) rows() (n int) {
	f.t.Helper()
	err := f.st.View(f.t.Context(), func(r store.Reader) error {
		for range r.Scan([]byte(store.PrefixNotice), store.PrefixEnd([]byte(store.PrefixNotice))) {
			n++
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// result answers how many notices ended so, since the last restart.
func (f *fixture) result(name string) float64 {
	f.t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == name {
			return m.GetCounter().GetValue()
		}
	}
	f.t.Fatalf("no result %s", name)
	return 0
}

// TestNotice is the life of a notice: at once, then one at the end of the rest, and no row when all is quiet.
func TestNotice(t *testing.T) {
	f := newFixture(t)
	f.receive(urg, 3)
	if n := f.rows(); n != 0 {
		t.Errorf("%d rows, though nobody is notified", n)
	}
	f.receive(sec, 1)
	f.after(0)
	first := f.told(1)
	got := f.hop.left()[0]
	if got.from.Address != "" || !slices.Equal(got.to, []mail.Address{"noemie.martin@example.net"}) || !strings.Contains(first, "\r\nUn nouveau message est arriv=C3=A9 ") {
		t.Errorf("from %q to %v:\n%s", got.from.Address, got.to, first)
	}
	f.receive(sec, 2)
	f.after(14 * time.Minute)
	f.told(1)
	f.receive(sec, 1)
	f.after(time.Minute)
	if second := f.told(2); !strings.Contains(second, "\r\n3 nouveaux messages sont arriv=C3=A9s ") {
		t.Errorf("coalesced:\n%s", second)
	}
	f.after(15 * time.Minute)
	f.told(2)
	if n := f.rows(); n != 0 {
		t.Errorf("%d rows at the end", n)
	}
	f.receive(sec, 1)
	f.after(0)
	f.told(3)
	if f.result(resultQueued) != 3 || f.result(resultSent) != 3 {
		t.Error("metrics", f.result(resultQueued), f.result(resultSent))
	}
}

// TestEachForThemselves: two people and two mailboxes have rests of their own.
func TestEachForThemselves(t *testing.T) {
	f := newFixture(t)
	f.change(func(r *policy.Roster) {
		for i := range r.Delegations {
			if r.Delegations[i].Account.Local() == string(claire) {
				r.Delegations[i].Notify = true
			}
		}
	})
	f.receive(sec, 1)
	f.after(0)
	f.told(2)
	f.receive(urg, 1)
	f.after(0)
	f.told(3)
	f.receive(claire, 1)
	f.after(0)
	if own := f.told(4); !strings.Contains(own, "=C2=AB Dr Claire Durand =C2=BB") {
		t.Errorf("her own mailbox:\n%s", own)
	}
}

// TestRestart: what a crash interrupts is neither lost nor repeated.
func TestRestart(t *testing.T) {
	f := newFixture(t)
	f.receive(sec, 2)
	f.restart() // before it was queued
	f.after(0)
	if text := f.told(1); !strings.Contains(text, "2 nouveaux messages") {
		t.Errorf("after a restart:\n%s", text)
	}
	f.receive(sec, 1)
	f.restart()
	f.after(time.Minute)
	f.told(1)
	f.stop() // queued, and not sent
	f.after(14 * time.Minute)
	if f.waiting() != 1 {
		t.Fatal("nothing is queued")
	}
	f.open()
	f.after(0)
	f.told(2)
	f.restart()
	f.after(time.Minute)
	f.told(2)
}

// TestWithdrawn: who has lost the delegation or has another address is told nothing, whether the notice is queued or not.
func TestWithdrawn(t *testing.T) {
	without := func(r *policy.Roster) {
		r.Delegations = slices.DeleteFunc(r.Delegations, func(d policy.Delegation) bool { return d.Account.Local() == string(noemie) })
	}
	moved := func(r *policy.Roster) {
		for _, a := range r.Accounts {
			if a.Address.Local() == string(noemie) {
				a.Notify = "other@example.net"
			}
		}
	}
	t.Run("before it is queued", func(t *testing.T) {
		f := newFixture(t)
		f.receive(sec, 1)
		f.change(without)
		f.after(0)
		f.told(0)
		if f.rows() != 0 || f.result(resultWithdrawn) != 1 {
			t.Error("rows or metric left")
		}
	})
	for name, change := range map[string]func(*policy.Roster){"delegation": without, "address": moved} {
		t.Run("queued, "+name, func(t *testing.T) {
			f := newFixture(t)
			f.stop()
			f.receive(sec, 1)
			f.after(0)
			f.change(change)
			f.open()
			f.told(0)
			if f.asked() != 0 || f.result(resultWithdrawn) != 1 {
				t.Error("asked, or not counted")
			}
		})
	}
}

// TestOut: a way out that fails holds the next notice back, with a growing count, and after an hour the notice is given up.
func TestOut(t *testing.T) {
	f := newFixture(t)
	f.hop.answers(&queue.Outcome{Reply: *wire.NewReply(451, "4.4.1", "No next hop")})
	f.receive(sec, 1)
	f.after(0)
	f.until("an attempt", func() bool { return f.asked() == 1 })
	f.receive(sec, 2)
	f.after(20 * time.Minute)
	if n := f.waiting(); n != 1 {
		t.Fatalf("%d notices wait", n)
	}
	f.until("a second attempt", func() bool { f.retry(); return f.asked() > 1 })
	f.after(41 * time.Minute) // the first is over an hour old now, and the second is queued
	f.until("giving up", func() bool { f.retry(); return f.result(resultGivenUp) == 1 })
	f.hop.answers(nil)
	f.until("the second notice", func() bool { f.retry(); return len(f.hop.left()) == 1 })
	if text := f.told(1); !strings.Contains(text, "2 nouveaux messages") {
		t.Errorf("after it was given up:\n%s", text)
	}
	f.hop.answers(&queue.Outcome{Result: queue.ResultFailed, Reply: *wire.NewReply(550, "5.1.1", "Nobody")})
	f.receive(sec, 1)
	f.after(15 * time.Minute)
	f.told(1)
	if f.result(resultRefused) != 1 {
		t.Error("a refusal is not counted")
	}
}

// TestRestAfterSending: the rest begins when a notice leaves, not when it was queued.
func TestRestAfterSending(t *testing.T) {
	f := newFixture(t)
	f.stop()
	f.receive(sec, 1)
	f.after(0)
	f.after(10 * time.Minute)
	f.open()
	f.told(1)
	f.receive(sec, 1)
	f.after(14 * time.Minute)
	f.told(1)
	f.after(time.Minute)
	f.told(2)
}

// TestMeanwhile: what comes while a notice is being written is told of by the next.
func TestMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.receive(sec, 1)
	rows, _, err := f.due(t.Context())
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	f.receive(sec, 2)
	if err := f.tell(t.Context(), rows[0]); err != nil {
		t.Fatal(err)
	}
	if text := f.told(1); !strings.Contains(text, "Un nouveau message") {
		t.Errorf("the first:\n%s", text)
	}
	f.after(15 * time.Minute)
	if text := f.told(2); !strings.Contains(text, "2 nouveaux messages") {
		t.Errorf("the second:\n%s", text)
	}
}

// TestClock: one that is put back does not keep anybody from being told.
func TestClock(t *testing.T) {
	f := newFixture(t)
	f.receive(sec, 1)
	f.after(0)
	f.told(1)
	f.mu.Lock()
	f.time = f.time.Add(-24 * time.Hour)
	f.mu.Unlock()
	f.receive(sec, 1)
	f.after(0)
	f.told(2)
}

// TestOnlyNotices: the way out without a trust space takes nothing else.
func TestOnlyNotices(t *testing.T) {
	f := newFixture(t)
	for _, c := range []queue.Carrier{f.Carrier(&f.hop), NoCarrier{}} {
		d := queue.Delivery{
			Message: queue.Message{Origin: queue.Submission, Accepted: f.clock()},
			Items:   []queue.Item{{Route: queue.Notify, Recipient: wire.Recipient{Address: "noemie.martin@example.net"}, Account: sec, Arg: string(noemie)}},
		}
		if o := c.Carry(t.Context(), d); len(o) != 1 || o[0].Result != queue.ResultFailed || f.asked() != 0 {
			t.Errorf("%T: %+v", c, o)
		}
	}
}

// TestRun queues on its own what is received, and what is due later.
func TestRun(t *testing.T) {
	f := newFixture(t)
	f.now, f.opt.Every = time.Now, 50*time.Millisecond
	f.mu.Lock()
	f.time = time.Now().Add(time.Minute) // the queue is not to find that its messages are from the future
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	f.receive(sec, 1)
	f.until("the first notice", func() bool { return len(f.hop.left()) == 1 })
	f.receive(sec, 2)
	f.until("the second", func() bool { return len(f.hop.left()) == 2 })
	f.until("the end of the rest", func() bool { return f.rows() == 0 && f.waiting() == 0 })
	cancel()
	<-done
}

func TestForget(t *testing.T) {
	f := newFixture(t)
	f.stop()
	fill := func() {
		f.receive(sec, 1)
		f.receive(claire, 1)
		if err := f.st.Update(t.Context(), func(tx store.Writer) error { return SetSeenTx(tx, sec, Seen{1, 2}) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		id   mail.AccountID
		left int
	}{{sec, 2}, {noemie, 3}, {claire, 3}, {urg, 5}} {
		fill()
		var more bool
		err := f.st.Reclaim(t.Context(), func(tx store.Writer) (err error) {
			more, err = Forget(tx, tt.id)
			return err
		})
		if err != nil || more || f.rows() != tt.left {
			t.Errorf("forgetting %s: %d rows, %v, %v", tt.id, f.rows(), more, err)
		}
		if err := Clear(t.Context(), f.st); err != nil || f.rows() != 0 {
			t.Errorf("clearing: %d rows, %v", f.rows(), err)
		}
	}
	fill()
	var owners []string
	err := f.st.View(t.Context(), func(r store.Reader) error {
		return identity.Owner(Table{}).Owners(t.Context(), r, func(what string, id mail.AccountID) { owners = append(owners, what+" "+string(id)) })
	})
	slices.Sort(owners)
	if want := "notices of a mailbox claire.durand,notices of a mailbox secretariat,notices to a person claire.durand,notices to a person noemie.martin,watched mailbox secretariat"; err != nil || strings.Join(owners, ",") != want {
		t.Errorf("owners %q, %v", owners, err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	err := st.Update(t.Context(), func(tx store.Writer) error {
		for k, v := range map[string]string{"n/p/a/b": "{", "n/p/a/c": `{"mailbox":"a","person":"c","count":1,"due":"2026-11-24T09:00:00Z"}`, "n/w/a": "{}", "n/d/x": "", "n/d/12345678a/z": ""} {
			if err := tx.Set([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), st, Table{}); err != nil || len(problems) != 5 {
		t.Errorf("%q, %v", problems, err)
	}
}

// Package watch looks at the INBOX of mailboxes that live on IMAP servers, for messages that somebody is to be notified of. It only
// looks: folders are opened read-only, headers are peeked at, and nothing on the server changes.
//
// What has been counted is noted, by UIDVALIDITY and UIDNEXT, in the transaction that notes the messages to be told of: a crash, a server
// that is down or a connection that is lost repeats nothing and loses nothing. A mailbox that is looked at for the first time, or whose
// UIDVALIDITY has changed, starts from what is there, and nobody is told of that.
//
// The server's client is a library's. Its faults, and ours, end a visit and never the daemon.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/notice"
	"balorg/store"
)

// Notes is told of messages.
type Notes interface {
	// AddTx notes messages that a mailbox received.
	AddTx(tx store.Writer, mailbox mail.AccountID, n int) error
}

// Options are what a Watcher works with. The zero value of the times and of MaxConnections means the defaults.
type Options struct {
	// Wanted answers the mailboxes on servers that somebody is notified of now.
	Wanted func() []*policy.Account
	// Open answers a connection that is logged in as the mailbox and begins with a greeting.
	Open  func(context.Context, *policy.Account) (net.Conn, error)
	Notes Notes
	Store store.Store
	// MaxConnections is how many connections there are at a time, to all servers.
	MaxConnections int
	PollEvery      time.Duration // for mailboxes without a connection of their own
	IdleFor        time.Duration // after which IDLE is begun anew: below the 29 minutes of RFC 2177
	StepTime       time.Duration // for one command
	FirstRest      time.Duration // after a failure; it doubles up to MaxRest
	MaxRest        time.Duration
	Logger         *slog.Logger
	Metrics        prometheus.Registerer
}

const (
	defaultConnections = 100
	defaultPoll        = 5 * time.Minute
	defaultIdle        = 27 * time.Minute
	defaultStep        = time.Minute
	defaultFirstRest   = 2 * time.Second
	defaultMaxRest     = 10 * time.Minute
	// maxVisits bounds those who log in and look at a time. They leave room for as many connections.
	maxVisits = 4
)

// Watcher watches mailboxes.
type Watcher struct {
	opt      Options
	log      *slog.Logger
	changed  chan struct{}
	visiting chan struct{} // one token for each that logs in and looks
	idling   chan struct{} // one token for each that has a connection of its own
	modes    *prometheus.GaugeVec
	failures prometheus.Counter
}

// New makes a Watcher. Nothing is watched before Run.
func New(opt Options) *Watcher {
	if opt.MaxConnections == 0 {
		opt.MaxConnections = defaultConnections
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&opt.PollEvery, defaultPoll},
		{&opt.IdleFor, defaultIdle},
		{&opt.StepTime, defaultStep},
		{&opt.FirstRest, defaultFirstRest},
		{&opt.MaxRest, defaultMaxRest},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	visits := min(maxVisits, (opt.MaxConnections+1)/2)
	w := &Watcher{
		opt: opt, log: opt.Logger, changed: make(chan struct{}, 1),
		visiting: make(chan struct{}, visits), idling: make(chan struct{}, opt.MaxConnections-visits),
		modes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "balorg_gateway_watched_mailboxes_count", Help: "Mailboxes on servers that are watched for notifications, by how.",
		}, []string{"mode"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_gateway_watch_failures_total", Help: "Looks at a mailbox on a server that failed.",
		}),
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, m := range []mode{modeIdle, modePoll, modeDown} {
		w.modes.WithLabelValues(string(m))
	}
	if opt.Metrics != nil {
		opt.Metrics.MustRegister(w.modes, w.failures)
	}
	return w
}

// Changed says that Wanted may answer others now.
func (w *Watcher) Changed() {
	select {
	case w.changed <- struct{}{}:
	default: // it is known already
	}
}

// watched is one mailbox that is being watched.
type watched struct {
	account *policy.Account
	stop    context.CancelFunc
	done    chan struct{}
}

// Run watches until ctx ends. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	running := make(map[mail.AccountID]*watched)
	defer func() {
		for _, one := range running {
			one.stop()
			<-one.done
		}
	}()
	for {
		wanted := make(map[mail.AccountID]*policy.Account)
		for _, a := range w.opt.Wanted() {
			wanted[a.ID] = a
		}
		for id, one := range running {
			if a := wanted[id]; a == nil || a.Mailstore != one.account.Mailstore || a.Address != one.account.Address || a.MSSante != one.account.MSSante {
				one.stop()
				<-one.done
				delete(running, id)
			}
		}
		if err := w.forget(ctx, wanted); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "forgetting mailboxes that are no longer watched", slog.Any("error", err))
		}
		for id, a := range wanted {
			if running[id] == nil {
				running[id] = w.start(ctx, a)
			}
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}

// forget removes what is noted of mailboxes that are not wanted: whoever wants to be notified of one later is not told of what came before.
func (w *Watcher) forget(ctx context.Context, wanted map[mail.AccountID]*policy.Account) error {
	var noted []mail.AccountID
	err := w.opt.Store.View(ctx, func(r store.Reader) (err error) {
		noted, err = notice.Watched(r)
		return err
	})
	noted = slices.DeleteFunc(noted, func(id mail.AccountID) bool { return wanted[id] != nil })
	if err != nil || len(noted) == 0 {
		return err
	}
	return w.opt.Store.Reclaim(ctx, func(tx store.Writer) error {
		for _, id := range noted {
			if err := notice.UnseeTx(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Watcher) start(ctx context.Context, account *policy.Account) *watched {
	ctx, stop := context.WithCancel(ctx)
	one := &watched{account: account, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(one.done)
		w.watch(ctx, account)
	}()
	return one
}

// mode is how a mailbox is watched.
type mode string

const (
	modeIdle mode = "idle" // on a connection of its own
	modePoll mode = "poll"
	modeDown mode = "down" // its server does not answer, or has not been asked yet
)

// status is how a mailbox is watched now, as the metrics tell.
type status struct {
	modes *prometheus.GaugeVec
	now   mode
}

func (s *status) set(m mode) {
	if s.now == m {
		return
	}
	if s.now != "" {
		s.modes.WithLabelValues(string(s.now)).Dec()
	}
	if s.now = m; m != "" {
		s.modes.WithLabelValues(string(m)).Inc()
	}
}

// watch looks at one mailbox until ctx ends.
func (w *Watcher) watch(ctx context.Context, account *policy.Account) {
	st := &status{modes: w.modes}
	st.set(modeDown)
	defer st.set("")
	rest, told := w.opt.FirstRest, false
	pause(ctx, rand.N(rest)) // not all at once
	for ctx.Err() == nil {
		began := time.Now()
		err := w.visit(ctx, account, st)
		if err == nil {
			st.set(modePoll)
			rest, told = w.opt.FirstRest, false
			pause(ctx, jitter(w.opt.PollEvery))
			continue
		}
		if ctx.Err() != nil {
			return
		}
		w.failures.Inc()
		if told = told && st.now == modeDown; !told { // once for each time that it goes down
			told = true
			w.log.WarnContext(ctx, "a mailbox cannot be watched for notifications; it is tried again", slog.Any("mailbox", account.Address), slog.Any("error", err))
		}
		if time.Since(began) > rest { // it held for a while
			rest = w.opt.FirstRest
		}
		st.set(modeDown)
		pause(ctx, jitter(rest))
		rest = min(2*rest, w.opt.MaxRest)
	}
}

// jitter is between three and five quarters of a time, so that those who failed together do not come back together.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take waits for a token.
func take(ctx context.Context, tokens chan struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// visit looks at a mailbox, and goes on where the server tells of new messages and there is room for a connection. A fault of the program is
// an error like others.
func (w *Watcher) visit(ctx context.Context, account *policy.Account, st *status) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.log.ErrorContext(ctx, "watching a mailbox ended by a fault of the program", slog.Any("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("a fault of the program: %v", v)
		}
	}()
	if err := take(ctx, w.visiting); err != nil {
		return err
	}
	leave := sync.OnceFunc(func() { <-w.visiting })
	defer leave()
	conn, err := w.opt.Open(ctx, account)
	if err != nil {
		return err
	}
	v := newVisitor(w, account.ID, conn)
	defer v.close()
	defer context.AfterFunc(ctx, v.cut)()
	if err := v.open(ctx); err != nil || !v.canIdle() {
		return err
	}
	select {
	case w.idling <- struct{}{}:
		defer func() { <-w.idling }()
	default:
		return nil // no room: it is polled
	}
	leave()
	st.set(modeIdle)
	return v.idle(ctx)
}

// Package queue keeps the messages that are not everywhere yet where they are to go, durably, and sees to it that they get there.
//
// A Message is a body with an envelope. What is left to do about it are its Items: one for each recipient, each with a Route that says
// who carries it. Items of one destination are carried together; the outcome of every attempt is written down before anything
// else is done with it. What has failed, and what has waited long, is told to the sender by a report, composed and queued in the
// very transaction that notes the failure.
//
// What holds at every commit, and Check verifies: a message has as many waiting items as its row says; an item is in the index of
// waiting ones exactly while it waits; the queue holds one reference to a message's body while anything waits. A delivered item keeps
// its row (keepDone): absence would prove nothing, neither to an administrator nor after a crash.
//
// Keys, below store.PrefixQueue; numbers are big-endian:
//
//	q/m/<message id>            Message (encode.go)
//	q/r/<message id>/<n 2>      Item (encode.go)
//	q/w/<message id>/<n 2>      the item waits: for when and for where (waitingRow); empty while the message is held
//	q/d/<seconds 8><message id> empty: nothing waits any more, since then
//	q/s/<seal 16>               seconds 8, message id: what was accepted a moment ago (Seal)
package queue

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// ID names a message of the queue: in the answer to whoever handed it over, in its Received field, in log and trace. Ids are in the order
// of time.
type ID string

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// NewID makes an id at a time.
func NewID(now time.Time) ID {
	var b [10]byte // 48 bits of milliseconds, 32 at random
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails (crypto/rand)
	return ID(strings.ToLower(idEncoding.EncodeToString(b[:])))
}

// Origin says how a message came.
type Origin string

// The origins.
const (
	Submission Origin = "submission"
	Inbound    Origin = "inbound"
	LMTP       Origin = "lmtp"
	Report     Origin = "report" // our own, on a message that could not be delivered
	Notice     Origin = "notice" // our own, on mail that came in
)

// Message is one message of the queue.
type Message struct {
	ID       ID          `json:"id"`
	Body     body.ID     `json:"body,omitempty"` // 0: nothing waits any more, and the queue has let go of it
	Size     int64       `json:"size"`
	From     wire.Sender `json:"from"`
	Person   audit.Party `json:"person,omitzero"`  // who submitted it
	Mailbox  audit.Party `json:"mailbox,omitzero"` // as which mailbox; of inbound messages nobody
	Origin   Origin      `json:"origin"`
	Accepted time.Time   `json:"accepted"`
	Waiting  int         `json:"waiting"` // items
	Held     bool        `json:"held,omitempty"`
}

// Route says who carries an item.
type Route string

// The routes.
const (
	Relay    Route = "relay"    // to another operator
	Deliver  Route = "deliver"  // to a mailbox of this platform
	Sent     Route = "sent"     // the copy in the sender's Sent folder
	Answered Route = "answered" // marks the message that this one answers
	Notify   Route = "notify"   // a notification, on its own way out
)

// State says how far an item is.
type State string

// The states. All but Waiting are final.
const (
	Waiting   State = "waiting"
	Delivered State = "delivered"
	Failed    State = "failed"
	Removed   State = "removed" // by an administrator
)

// Item is what is to be done about a message for one recipient.
type Item struct {
	Message   ID             `json:"message"`
	N         uint16         `json:"n"`
	Route     Route          `json:"route"`
	Recipient wire.Recipient `json:"recipient,omitzero"`
	Account   mail.AccountID `json:"account,omitempty"` // of routes within the platform
	Arg       string         `json:"arg,omitempty"`     // what else the carrier needs
	State     State          `json:"state"`
	Attempts  int            `json:"attempts,omitempty"`
	Next      time.Time      `json:"next,omitzero"` // of the next attempt
	Tried     time.Time      `json:"tried,omitzero"`
	Reply     string         `json:"reply,omitempty"` // the last one of the next hop, or what went wrong
	Peer      string         `json:"peer,omitempty"`  // the next hop
	TLS       string         `json:"tls,omitempty"`   // its version
	Delayed   bool           `json:"delayed,omitempty"`
}

// Delivery is a message on its way to one destination.
type Delivery struct {
	Message Message
	Items   []Item
	// Open answers the message's octets, from the start.
	Open func(context.Context) (io.ReadCloser, error)
}

// Result is how an attempt went.
type Result uint8

// The results.
const (
	ResultDeferred Result = iota // to be tried again, until the message is too old
	ResultDelivered
	ResultFailed
	ResultHeld // not now, and it is nobody's fault: the item waits and does not age
)

// Outcome is what an attempt came to for one item.
type Outcome struct {
	Result Result
	Reply  wire.Reply // of the next hop, or in its place ours
	Peer   string     // the next hop, as far as one was reached
	TLS    string
	// Relayed says that the next hop sends no report of success, though the sender asked for one (RFC 3461, 5.2.2).
	Relayed bool
	// Unreachable says that the next hop could not even be asked: other messages for it need not try at once.
	Unreachable bool
	// Commit is run in the transaction that notes the outcome, nil for nothing: a delivery into our own store is there exactly when it is
	// noted. When it errs, nothing is noted and the item is deferred; so it is none for what has left the platform, which would be sent again.
	Commit func(store.Writer) error
}

// Carrier carries the items of a route.
type Carrier interface {
	// Destination names where an item goes: items of one destination are carried together and share its limits. It is asked once when an
	// item is scheduled.
	Destination(Item) string
	// Carry tries once and answers an outcome for each item, in their order. It returns soon after ctx ends.
	Carry(context.Context, Delivery) []Outcome
}

// ReportKind says what a report tells.
type ReportKind string

// The kinds.
const (
	ReportFailure ReportKind = "failure"
	ReportDelay   ReportKind = "delay"
	ReportSuccess ReportKind = "success"
)

// Reporter composes reports to senders.
type Reporter interface {
	// Report answers the report on items of a message, and to whom it goes; nil when nobody is to be told.
	Report(ctx context.Context, kind ReportKind, d Delivery) (*Draft, error)
}

// Draft is a message to be queued. Its content is finished, and discarded by the queue.
type Draft struct {
	Message Message
	Content *mailbox.Message
	Items   []Item
}

// Bodies is where the octets of messages are.
type Bodies interface {
	Open(context.Context, body.ID) (*body.Reader, error)
	Ref(store.Writer, body.ID) error
	Unref(store.Writer, body.ID) (gone bool, err error)
}

// Config is how long and how often is tried. The zero value means the defaults.
type Config struct {
	Retry       []time.Duration `yaml:"retry"`                 // ages of a message at which it is tried again
	RetryEvery  time.Duration   `yaml:"retry_every,positive"`  // and after the last of them
	DelayNotice time.Duration   `yaml:"delay_notice,positive"` // the age at which a sender is told that it waits
	Lifetime    time.Duration   `yaml:"lifetime,positive"`     // the age at which it is given up
	MaxAttempts int             `yaml:"max_attempts,positive"` // at a time, to all destinations
}

// Defaults of Config: RFC 5321, 4.5.4.1 asks for two attempts in the first hour and four to five days.
const (
	defaultRetryEvery     = 8 * time.Hour
	defaultDelayNotice    = 2 * time.Hour
	defaultLifetime       = 5 * 24 * time.Hour
	defaultMaxAttempts    = 100
	defaultPerDestination = 20
)

func (c Config) withDefaults() Config {
	if len(c.Retry) == 0 {
		c.Retry = []time.Duration{
			7*time.Minute + 30*time.Second, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
		}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.RetryEvery, defaultRetryEvery}, {&c.DelayNotice, defaultDelayNotice}, {&c.Lifetime, defaultLifetime}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = defaultMaxAttempts
	}
	return c
}

// nextAttempt answers when a message accepted at a time is tried again after a failure now.
func (c Config) nextAttempt(accepted, now time.Time) time.Time {
	age := now.Sub(accepted)
	for _, at := range c.Retry {
		if at > age {
			return accepted.Add(at)
		}
	}
	last := c.Retry[len(c.Retry)-1]
	return accepted.Add(last + max(0, age-last).Truncate(c.RetryEvery) + c.RetryEvery)
}

// Options are what a Queue works with.
type Options struct {
	Config
	PerDestination int // attempts at a time to one destination; 0 means 20
	Store          store.Store
	Bodies         Bodies
	Trace          *audit.Log
	Logger         *slog.Logger
	Now            func() time.Time // nil: time.Now
}

// Ways are how messages get where they go.
type Ways struct {
	Carriers map[Route]Carrier
	Reporter Reporter // nil: nobody is told of anything
	Metrics  prometheus.Registerer
}

// Queue is the queue of one daemon. Its methods may be used by any number of goroutines.
type Queue struct {
	opt     Options
	ways    Ways
	log     *slog.Logger
	now     func() time.Time
	metrics metrics

	mu    sync.Mutex
	sched schedule
	crew  *crew         // not nil once Run has loaded what waits: from now on commits add to the schedule, and start what is due
	wake  chan struct{} // of Run; capacity one
}

// New makes the queue on what the store holds, for those who put something into it or look at it. Nothing is carried before Run.
func New(opt Options) *Queue {
	opt.Config = opt.withDefaults()
	if opt.PerDestination == 0 {
		opt.PerDestination = defaultPerDestination
	}
	q := &Queue{opt: opt, log: opt.Logger, now: opt.Now, wake: make(chan struct{}, 1)}
	if q.now == nil {
		q.now = time.Now
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	q.sched = newSchedule(opt.MaxAttempts, opt.PerDestination)
	return q
}

// Lifetime is how long a message is tried.
func (q *Queue) Lifetime() time.Duration { return q.opt.Lifetime }

// Use says how messages get where they go. It is called once, before Run.
func (q *Queue) Use(ways Ways) {
	q.ways = ways
	q.metrics = newMetrics(ways.Metrics, q)
}

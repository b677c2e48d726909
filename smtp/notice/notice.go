// Package notice tells people, at their ordinary address, that a mailbox they may open has received something: that, how many, and
// nothing else. No sender, no subject, no content leaves the platform in a notice.
//
// What holds at every commit: a message that a mailbox received has been added to what each person who wants to be told has not been
// told of, in the transaction that delivered it; and a notice is in the queue exactly when its messages are no longer in that count. So a
// crash repeats nothing and loses nothing. Somebody is told at once, then at most once in Config.Every for each mailbox; a notice that
// cannot be sent holds back the next one for the same person and mailbox, whose count goes on growing, and is given up within an hour.
//
// No delivery depends on any of this: what goes wrong with a notice is a number in the metrics.
//
// Keys, below store.PrefixNotice; numbers are big-endian:
//
//	n/p/<mailbox id>/<person id>                     JSON of pending
//	n/d/<milliseconds 8><mailbox id>/<person id>     empty: when that row is due
//	n/w/<mailbox id>                                 JSON of Seen
package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// Queue is where notices go.
type Queue interface {
	EnqueueTx(tx store.Writer, m queue.Message, items []queue.Item) error
	Message(ctx context.Context, id queue.ID) (queue.Message, error)
}

// Hop is the way to ordinary addresses.
type Hop interface {
	Destination(to mail.Address) string
	// Send tries once and answers an outcome for each recipient, in their order.
	Send(ctx context.Context, d queue.Delivery) []queue.Outcome
}

// Options are what a Service works with.
type Options struct {
	From      From
	Link      string        // where people read their mail; empty: no line about it
	Every     time.Duration // between two notices to a person about a mailbox; 0 means the default
	Language  string        // of people who have none of their own
	Templates *Templates
	Snapshot  func() *policy.Snapshot
	Store     store.Store
	Boxes     *mailbox.Store
	Bodies    *body.Bodies
	Queue     Queue
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	Now       func() time.Time // nil: time.Now
}

// Limits in time.
const (
	defaultEvery = 15 * time.Minute
	// giveUp is the age at which a notice is no longer sent: it would tell of what people have seen by then.
	giveUp = time.Hour
	// retryFault is how long Run rests after a fault of ours: the store took nothing.
	retryFault = time.Minute
)

// Service notes what mailboxes receive and tells of it. Its methods may be used by any number of goroutines.
type Service struct {
	opt       Options
	log       *slog.Logger
	now       func() time.Time
	metrics   metrics
	templates atomic.Pointer[Templates]
}

// New makes the Service. Nobody is told of anything before Run.
func New(opt Options) *Service {
	if opt.Every == 0 {
		opt.Every = defaultEvery
	}
	s := &Service{opt: opt, log: opt.Logger, now: opt.Now, metrics: newMetrics(opt.Metrics)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetTemplates(opt.Templates)
	return s
}

// SetTemplates changes the texts of notices from now on.
func (s *Service) SetTemplates(t *Templates) { s.templates.Store(t) }

// ReceivedTx notes a message in a mailbox within the transaction that delivers it.
func (s *Service) ReceivedTx(tx store.Writer, mailbox mail.AccountID) error {
	return s.AddTx(tx, mailbox, 1)
}

// AddTx notes several messages. Nothing is written when nobody wants to be told.
func (s *Service) AddTx(tx store.Writer, mailbox mail.AccountID, n int) error {
	now := s.now()
	for _, who := range s.opt.Snapshot().Notified(mailbox) {
		p := pair{mailbox, who.Person.ID}
		before, err := getTx(tx, p)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("note a message to be told of: %w", err)
		}
		row := before
		row.pair = p
		row.Count += n
		if err != nil || row.Due.Sub(now) > s.opt.Every { // the clock was put back, or Every made shorter
			row.Due = now
		}
		if err := putTx(tx, before, row); err != nil {
			return fmt.Errorf("note a message to be told of: %w", err)
		}
	}
	return nil
}

// address answers where a person is told of a mailbox, if they are to be.
func (s *Service) address(snap *policy.Snapshot, p pair) (who policy.Notified, ok bool) {
	for _, who := range snap.Notified(p.Mailbox) {
		if who.Person.ID == p.Person {
			return who, true
		}
	}
	return policy.Notified{}, false
}

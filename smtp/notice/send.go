package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/mailbox"
)

// Run queues notices as they become due, until ctx ends. It is called once.
func (s *Service) Run(ctx context.Context) {
	changed, stop := s.opt.Store.Watch([]byte(tableDue))
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, err := s.pass(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "queueing notifications", slog.Any("error", err))
			next = s.now().Add(retryFault)
		}
		timer.Stop()
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(max(0, next.Sub(s.now())))
			due = timer.C
		}
		select {
		case <-changed:
			if err != nil { // what is due waits for the end of the fault; what was committed is due as well
				select {
				case <-due:
				case <-ctx.Done():
				}
			}
		case <-due:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// part is how many rows are read under one view.
const part = 100

// pass deals with all that is due and answers when something is next; zero: nothing before an event.
func (s *Service) pass(ctx context.Context) (next time.Time, err error) {
	for {
		var rows []pending
		rows, next, err = s.due(ctx)
		for _, row := range rows {
			if err == nil {
				err = s.tell(ctx, row)
			}
		}
		if err != nil || len(rows) == 0 {
			return next, err
		}
	}
}

// due answers rows that are due, and the time of the first that is not.
func (s *Service) due(ctx context.Context) (rows []pending, next time.Time, err error) {
	now := s.now()
	err = s.opt.Store.View(ctx, func(r store.Reader) error {
		for k := range r.Scan([]byte(tableDue), store.PrefixEnd([]byte(tableDue))) {
			p, ok := parseDue(k)
			if !ok {
				continue // Check tells of it
			}
			row, err := getTx(r, p)
			if err != nil {
				s.log.ErrorContext(ctx, "a notification cannot be read: run `balorg check-store`", slog.Any("error", err))
				continue
			}
			if row.Due.After(now) {
				next = row.Due
				break
			}
			if rows = append(rows, row); len(rows) == part {
				break
			}
		}
		return nil
	})
	return rows, next, err
}

// tell deals with one row that is due.
func (s *Service) tell(ctx context.Context, row pending) error {
	snap := s.opt.Snapshot()
	box, known := snap.ByID(row.Mailbox)
	who, wanted := s.address(snap, row.pair)
	switch {
	case !known || !wanted:
		if row.Count > 0 {
			s.metrics.notices.WithLabelValues(resultWithdrawn).Inc()
		}
		return s.change(ctx, s.opt.Store.Reclaim, row.pair, func(tx store.Writer, now pending) error { return deleteTx(tx, now) })
	case row.Count == 0:
		return s.change(ctx, s.opt.Store.Reclaim, row.pair, func(tx store.Writer, now pending) error {
			if now.Count > 0 {
				return nil // the next look at what is due sees it
			}
			return deleteTx(tx, now)
		})
	case s.waits(ctx, row):
		return s.postpone(ctx, row.pair)
	}
	err := s.queue(ctx, row, box, who)
	if _, ok := errors.AsType[*textError](err); ok {
		s.log.ErrorContext(ctx, "a notification cannot be written; look at notifications.templates", slog.Any("error", err))
		return s.postpone(ctx, row.pair)
	}
	return err
}

// waits tells whether the last notice is still in the queue, and not too old to be sent.
func (s *Service) waits(ctx context.Context, row pending) bool {
	if row.Queued == "" || s.now().Sub(row.Since) >= giveUp {
		return false
	}
	m, err := s.opt.Queue.Message(ctx, row.Queued)
	return err == nil && m.Waiting > 0
}

// change runs fn on a row as it is within a transaction; on one that is gone it does nothing.
func (s *Service) change(ctx context.Context, update func(context.Context, func(store.Writer) error) error, p pair, fn func(store.Writer, pending) error) error {
	err := update(ctx, func(tx store.Writer) error {
		row, err := getTx(tx, p)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(tx, row)
	})
	if err != nil {
		return fmt.Errorf("note a notification: %w", err)
	}
	return nil
}

// restTx has a row rest from now on.
func (s *Service) restTx(tx store.Writer, row pending) error {
	rested := row
	rested.Due = s.now().Add(s.opt.Every)
	return putTx(tx, row, rested)
}

func (s *Service) postpone(ctx context.Context, p pair) error {
	return s.change(ctx, s.opt.Store.Update, p, s.restTx)
}

// queue writes a notice and queues it, in the transaction that takes its messages out of the count.
func (s *Service) queue(ctx context.Context, row pending, box *policy.Account, who policy.Notified) error {
	at := s.now()
	id := queue.NewID(at)
	content, err := s.compose(ctx, letter{to: who.At, box: box, language: who.Person.Language, count: row.Count, id: id, at: at})
	if err != nil {
		return err
	}
	defer content.Discard()
	m := queue.Message{
		ID: id, Size: content.Size(), From: wire.Sender{Body: wire.Body7Bit}, Mailbox: audit.Party{ID: box.ID, Address: box.Address},
		Origin: queue.Notice, Accepted: at,
	}
	item := queue.Item{
		Route: queue.Notify, Recipient: wire.Recipient{Address: who.At, Notify: wire.NotifyNever}, Account: box.ID, Arg: string(who.Person.ID),
		State: queue.Waiting,
	}
	queued := false
	err = s.change(ctx, s.opt.Store.Update, row.pair, func(tx store.Writer, now pending) error {
		queued = now.Count > 0
		if !queued {
			return nil
		}
		told := now
		told.Count = max(0, now.Count-row.Count) // what came since is told of next time
		told.Queued, told.Since, told.Due = id, at, at.Add(s.opt.Every)
		if err := putTx(tx, now, told); err != nil {
			return err
		}
		return s.enqueueTx(tx, m, item, content)
	})
	if err == nil && queued {
		s.metrics.notices.WithLabelValues(resultQueued).Inc()
	}
	return err
}

func (s *Service) enqueueTx(tx store.Writer, m queue.Message, item queue.Item, content *mailbox.Message) error {
	var err error
	if m.Body, err = content.StoreTx(tx); err != nil {
		return err
	}
	if err := s.opt.Queue.EnqueueTx(tx, m, []queue.Item{item}); err != nil {
		return err
	}
	_, err = s.opt.Bodies.Unref(tx, m.Body) // the queue has a reference of its own
	return err
}

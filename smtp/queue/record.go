package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/mailbox"
)

// record writes down what an attempt came to, with the reports that it calls for, and answers the items that still wait.
//
// What has been delivered is written down whatever happens to the rest: a full disk may keep reports and our own mailboxes from taking
// anything, and then those wait.
func (q *Queue) record(ctx context.Context, d Delivery, outcomes []Outcome) ([]Item, error) {
	ctx = context.WithoutCancel(ctx) // what has been done is written down even when the daemon is told to stop meanwhile
	outcomes = slices.Clone(outcomes)
	full := false
	for {
		j := q.judgeAll(d, outcomes, full)
		next, err := q.commit(ctx, d, j, outcomes)
		var failed *commitError
		switch {
		case errors.As(err, &failed):
			q.log.WarnContext(ctx, "delivering", slog.Any("id", d.Message.ID), slog.Any("error", failed.err))
			outcomes[failed.item] = Outcome{Reply: commitReply(failed.err)}
			continue
		case errors.Is(err, store.ErrFull) && !full:
			full = true
			for i, o := range outcomes {
				if o.Commit != nil {
					outcomes[i] = Outcome{Reply: commitReply(err)}
				}
			}
			continue
		case err != nil:
			return nil, err
		}
		for i, it := range j.items {
			q.metrics.attempts.WithLabelValues(string(it.Route), string(it.State)).Inc()
			q.log.InfoContext(ctx, "attempt", slog.Any("id", it.Message), slog.Any("route", it.Route), slog.Any("state", it.State),
				slog.String("domain", it.Recipient.Address.Domain()), slog.Int("code", outcomes[i].Reply.Code), slog.Int("attempts", it.Attempts))
		}
		return next, nil
	}
}

// commitError says which of several deliveries could not be committed.
type commitError struct {
	item int
	err  error
}

func (e *commitError) Error() string { return e.err.Error() }

// commitReply is what is kept of a delivery into our own store that failed.
func commitReply(err error) wire.Reply {
	switch {
	case errors.Is(err, mailbox.ErrOverQuota):
		return *wire.NewReply(452, "4.2.2", "The mailbox is full")
	case errors.Is(err, store.ErrFull):
		return *wire.NewReply(452, "4.3.1", "The disk is full")
	}
	return *wire.NewReply(451, "4.3.0", "%v", err)
}

// judgement is an attempt as it is to be written down.
type judgement struct {
	items  []Item
	told   map[ReportKind][]Item // what senders are to be told
	frugal bool                  // only what frees room, or must be kept at any price
}

// judgeAll decides what becomes of the items. On a full disk what would need a report waits.
func (q *Queue) judgeAll(d Delivery, outcomes []Outcome, full bool) judgement {
	now := q.now()
	j := judgement{items: make([]Item, len(d.Items)), told: make(map[ReportKind][]Item), frugal: full}
	for i, was := range d.Items {
		it := q.judge(d.Message, was, outcomes[i], now)
		if full && it.State == Failed {
			it.State, it.Next = Waiting, now.Add(retryFault)
		}
		j.items[i] = it
		switch {
		case full:
		case it.State == Failed && wants(it, wire.NotifyFailure):
			j.told[ReportFailure] = append(j.told[ReportFailure], it)
		case it.State == Waiting && it.Delayed && !was.Delayed && wants(it, wire.NotifyDelay):
			j.told[ReportDelay] = append(j.told[ReportDelay], it)
		case it.State == Delivered && it.Recipient.Notify&wire.NotifySuccess != 0 && (outcomes[i].Relayed || it.Route == Deliver):
			j.told[ReportSuccess] = append(j.told[ReportSuccess], it)
		}
	}
	return j
}

// judge answers an item as it is after an attempt.
func (q *Queue) judge(m Message, it Item, o Outcome, now time.Time) Item {
	it.Tried, it.Peer, it.TLS = now, o.Peer, o.TLS
	if it.Reply = o.Reply.String(); len(it.Reply) > maxReply {
		it.Reply = it.Reply[:maxReply]
	}
	if o.Result == ResultHeld {
		it.Next = now.Add(q.opt.Retry[0])
		return it
	}
	it.Attempts++
	switch o.Result {
	case ResultDelivered:
		it.State, it.Next = Delivered, time.Time{}
	case ResultFailed:
		it.State, it.Next = Failed, time.Time{}
	case ResultDeferred, ResultHeld:
		age := now.Sub(m.Accepted)
		it.Delayed = it.Delayed || age >= q.opt.DelayNotice
		if it.Next = q.opt.nextAttempt(m.Accepted, now); age >= q.opt.Lifetime {
			it.State, it.Next = Failed, time.Time{}
		}
	}
	return it
}

// maxReply bounds what is kept of a next hop's answer, in octets.
const maxReply = 1000

// wants tells whether the sender wants to hear of a failure or delay: unless they said otherwise, they do (RFC 3461, 4.1).
func wants(it Item, what wire.Notify) bool {
	if it.Route == Sent || it.Route == Answered || it.Route == Notify {
		return false // nothing that a sender asked for
	}
	return it.Recipient.Notify == 0 || it.Recipient.Notify&what != 0
}

// drafts composes the reports that an attempt calls for.
func (q *Queue) drafts(ctx context.Context, d Delivery, told map[ReportKind][]Item) (all []*Draft, err error) {
	if q.ways.Reporter == nil {
		return nil, nil
	}
	for _, kind := range []ReportKind{ReportFailure, ReportDelay, ReportSuccess} {
		if d.Items = told[kind]; len(d.Items) == 0 {
			continue
		}
		draft, err := q.ways.Reporter.Report(ctx, kind, d)
		if err != nil {
			discard(all)
			return nil, fmt.Errorf("composing a report: %w", err)
		}
		if draft != nil {
			all = append(all, draft)
		}
	}
	return all, nil
}

func discard(drafts []*Draft) {
	for _, draft := range drafts {
		draft.Content.Discard()
	}
}

// commit writes items and reports in one transaction.
func (q *Queue) commit(ctx context.Context, d Delivery, j judgement, outcomes []Outcome) (next []Item, err error) {
	drafts, err := q.drafts(ctx, d, j.told)
	if err != nil {
		return nil, err
	}
	defer discard(drafts)
	update := q.opt.Store.Update
	switch {
	case carriedAway(outcomes) && len(drafts) == 0:
		update = q.opt.Store.Note
	case j.frugal:
		update = q.opt.Store.Reclaim
	}
	err = update(ctx, func(tx store.Writer) error {
		for i, o := range outcomes {
			if o.Commit == nil || o.Result != ResultDelivered {
				continue
			}
			if err := o.Commit(tx); err != nil && !errors.Is(err, store.ErrUnavailable) {
				return &commitError{i, err}
			} else if err != nil {
				return err
			}
		}
		next = nil
		for _, it := range j.items {
			if it.State == Waiting {
				next = append(next, it)
			}
			if err := q.setItemTx(tx, it); err != nil {
				return err
			}
		}
		if err := q.settleTx(tx, d.Message.ID, len(j.items)-len(next), q.now()); err != nil {
			return err
		}
		if err := q.traceTx(tx, d.Message, j.items); err != nil {
			return err
		}
		return q.enqueueDrafts(tx, drafts)
	})
	return next, err
}

// carriedAway tells whether all there is to note is that others have taken the message. When the power goes before that is on disk, it is sent
// again, as it is when the power goes before it can be noted; nothing else depends on it. What is written in our own mailboxes, whose UIDs
// clients keep, and what senders are told, is to be durable.
func carriedAway(outcomes []Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Result != ResultDelivered || o.Commit != nil })
}

// setItemTx writes an item that was waiting, of a message that is not held, or no longer.
func (q *Queue) setItemTx(tx store.Writer, it Item) error {
	var err error
	if it.State == Waiting {
		err = setWaiting(tx, it, false)
	} else {
		err = tx.Delete(itemKey(tableWaiting, it.Message, it.N))
	}
	if err != nil {
		return err
	}
	return setItem(tx, it)
}

// settleTx notes that some items of a message wait no more, and lets go of its body with the last.
func (q *Queue) settleTx(tx store.Writer, id ID, done int, now time.Time) error {
	if done == 0 {
		return nil
	}
	m, err := getMessage(tx, id)
	if err != nil {
		return err
	}
	if m.Waiting -= done; m.Waiting > 0 {
		return setMessage(tx, m)
	}
	gone, err := q.opt.Bodies.Unref(tx, m.Body)
	if err != nil {
		return fmt.Errorf("letting go of a message: %w", err)
	}
	if gone {
		if err := mailbox.DropDetail(tx, m.Body); err != nil {
			return err
		}
	}
	m.Body = 0
	if err := tx.Set(doneKey(now, id), nil); err != nil {
		return err
	}
	return setMessage(tx, m)
}

// traceTx writes into the trace what came to an end.
func (q *Queue) traceTx(tx store.Writer, m Message, items []Item) error {
	for _, it := range items {
		if it.State == Waiting || it.Route == Notify {
			continue
		}
		action := audit.Deliver
		if it.State == Failed {
			action = audit.Undelivered
		}
		err := q.opt.Trace.AppendTx(tx, audit.Record{
			Time: q.now(), Action: action, Mailbox: m.Mailbox, Protocol: "smtp", Session: string(m.ID),
			Request: string(it.Route) + " " + string(it.Recipient.Address), Answer: it.Reply, Client: it.Peer,
		})
		if err != nil {
			return fmt.Errorf("tracing: %w", err)
		}
	}
	return nil
}

// enqueueDrafts queues reports.
func (q *Queue) enqueueDrafts(tx store.Writer, drafts []*Draft) error {
	for _, draft := range drafts {
		m := draft.Message
		var err error
		if m.Body, err = draft.Content.StoreTx(tx); err != nil {
			return err
		}
		if err := q.EnqueueTx(tx, m, draft.Items); err != nil {
			return err
		}
		if _, err := q.opt.Bodies.Unref(tx, m.Body); err != nil { // the queue has a reference of its own
			return fmt.Errorf("queue a report: %w", err)
		}
	}
	return nil
}

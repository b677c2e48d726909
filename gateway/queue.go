package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"balorg/gateway/control"
	"balorg/smtp/queue"
	"balorg/store/audit"
)

// QueueArgs are for the operations on the queue: an id of a message, or of OpQueueRetry also "all", and whether OpQueueList tells of messages
// too of which nothing waits any more.
type QueueArgs struct {
	ID  queue.ID
	All bool
}

// queueOperations are those on the queue, with a daemon or without.
func (st *state) queueOperations() map[string]control.Op {
	return map[string]control.Op{
		OpQueueList: operation(func(ctx context.Context, args QueueArgs, emit func(any) error) error {
			var failed error
			err := st.queue.List(ctx, args.All, func(e queue.Entry) bool {
				failed = emit(e)
				return failed == nil
			})
			return errors.Join(err, failed)
		}),
		OpQueueShow: operation(func(ctx context.Context, args QueueArgs, emit func(any) error) error {
			e, err := st.queue.Show(ctx, args.id())
			if err != nil {
				return queueError(args.ID, err)
			}
			return emit(e)
		}),
		OpQueueRetry:  operation(st.retryQueued),
		OpQueueRemove: operation(st.removeQueued),
	}
}

// id is the id as it is kept: people copy it from a bounce, in any case.
func (a QueueArgs) id() queue.ID { return queue.ID(strings.ToLower(strings.TrimSpace(string(a.ID)))) }

func queueError(id queue.ID, err error) error {
	if errors.Is(err, queue.ErrUnknown) {
		return fmt.Errorf("the queue has no message %q; `balorg queue list --all` shows them", id)
	}
	return err
}

// retryQueued has one message tried now, or all of which anything waits.
func (st *state) retryQueued(ctx context.Context, args QueueArgs, emit func(any) error) error {
	if !args.All {
		if err := st.queue.Retry(ctx, args.id()); err != nil {
			return queueError(args.ID, err)
		}
		if err := st.queueAdministered(ctx, args.id(), "queue retry"); err != nil {
			return err
		}
		return emit(fmt.Sprintf("message %s is tried now", args.id()))
	}
	var ids []queue.ID
	if err := st.queue.List(ctx, false, func(e queue.Entry) bool { ids = append(ids, e.ID); return true }); err != nil {
		return err
	}
	for _, id := range ids {
		if err := st.queue.Retry(ctx, id); err != nil && !errors.Is(err, queue.ErrUnknown) && !errors.Is(err, queue.ErrNothingWaits) {
			return err
		}
	}
	if err := st.queueAdministered(ctx, "all", "queue retry"); err != nil {
		return err
	}
	return emit(fmt.Sprintf("%d messages are tried now", len(ids)))
}

// removeQueued gives a message up. Its sender is told nothing.
func (st *state) removeQueued(ctx context.Context, args QueueArgs, emit func(any) error) error {
	n, err := st.queue.Remove(ctx, args.id())
	if err != nil {
		return queueError(args.ID, err)
	}
	if err := st.queueAdministered(ctx, args.id(), "queue remove"); err != nil {
		return err
	}
	return emit(fmt.Sprintf("message %s is no longer sent to %d recipients", args.id(), n))
}

func (st *state) queueAdministered(ctx context.Context, id queue.ID, request string) error {
	r := audit.Record{Action: audit.Administer, Protocol: "control", Request: request + " " + string(id), Answer: "OK"}
	if m, err := st.queue.Message(ctx, id); err == nil {
		r.Mailbox = m.Mailbox
	}
	return st.trace.Append(ctx, r)
}

// QueueEntry is what OpQueueList and OpQueueShow answer.
type QueueEntry = queue.Entry

// QueueID names a message of the queue.
type QueueID = queue.ID

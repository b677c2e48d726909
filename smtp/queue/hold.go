package queue

import (
	"context"
	"fmt"

	"balorg/store"
)

// HoldAll holds every message that waits, and answers how many there are: they go when somebody retries them. It is for a state that was
// restored, whose messages may have gone out since it was written; the queue does not run meanwhile.
func (q *Queue) HoldAll(ctx context.Context) (held int, err error) {
	var waiting []Message
	err = q.List(ctx, false, func(e Entry) bool {
		waiting = append(waiting, e.Message)
		return true
	})
	if err != nil {
		return 0, err
	}
	for _, m := range waiting {
		err := q.opt.Store.Update(ctx, func(tx store.Writer) error {
			m.Held = true
			items, err := itemsOf(tx, m.ID)
			if err != nil {
				return err
			}
			for _, it := range items {
				if it.State != Waiting {
					continue
				}
				if err := setWaiting(tx, it, true); err != nil {
					return err
				}
			}
			return setMessage(tx, m)
		})
		if err != nil {
			return held, fmt.Errorf("hold a message: %w", err)
		}
		held++
	}
	return held, nil
}

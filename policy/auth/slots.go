package auth

import (
	"context"
	"errors"
	"sync/atomic"
)

// maxWaiting bounds the queue for hash slots: at 30 ms a hash, whoever is last in it waits about two seconds.
const maxWaiting = 64

var errQueueFull = errors.New("too many passwords are being checked")

// slots bound how many hashes run at a time: each takes 19 MiB and a core. One slot is for familiar callers only, those whose
// account logged in from their network lately, so that strangers who keep the others busy do not shut them out.
type slots struct {
	common   chan struct{}
	reserved chan struct{}

	strangers atomic.Int64 // waiting
	familiar  atomic.Int64
}

func newSlots(n int) *slots {
	return &slots{common: make(chan struct{}, max(1, n-1)), reserved: make(chan struct{}, min(1, n-1))}
}

// take waits for a slot and answers the function that gives it back.
func (s *slots) take(ctx context.Context, familiar bool) (release func(), err error) {
	waiting, reserved := &s.strangers, chan struct{}(nil) // a nil channel is never ready
	if familiar {
		waiting, reserved = &s.familiar, s.reserved
	}
	defer waiting.Add(-1)
	if waiting.Add(1) > maxWaiting {
		return nil, errQueueFull
	}
	select {
	case s.common <- struct{}{}:
		return func() { <-s.common }, nil
	case reserved <- struct{}{}:
		return func() { <-s.reserved }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

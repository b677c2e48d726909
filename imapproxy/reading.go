package imapproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"balorg/imapproxy/wire"
)

// A mail store's connection is read by the session's goroutine while that waits for the answer to a command of its own, or the client for that to a
// FETCH or STORE, and by nobody between two of them: most sessions are over by then, or a moment later in IDLE, and each handing over from one goroutine to another
// wakes a thread. A goroutine of its own (pump) takes over for good once other commands are piped, or several, or once the client has said nothing for
// attendAfter: news of the selected mailbox, and the end of the connection, reach the client then as they come.

// attendAfter is how long a client may say nothing before somebody listens to its mail stores.
const attendAfter = time.Second

// attend has a goroutine of its own read from here on.
func (u *upstream) attend() {
	if !u.pumped {
		u.pumped = true
		u.in.Expect(false)
		go u.pump()
	}
}

// attend has all mail stores of the session listened to.
func (s *session) attend() {
	for _, u := range s.ups {
		u.attend()
	}
}

// unattended tells whether somebody is to listen to a mail store before long.
func (s *session) unattended() bool {
	for _, u := range s.ups {
		if !u.pumped {
			return true
		}
	}
	return false
}

// pumped tells whether a mail store's reader may write to the client.
func (s *session) pumped() bool {
	for _, u := range s.ups {
		if u.pumped {
			return true
		}
	}
	return false
}

// pump reads responses until the connection ends.
func (u *upstream) pump() {
	defer close(u.ended)
	u.lose(u.fenced(func() error { return u.read(nil, true) }))
}

// lose tells all who wait that the connection has ended, and why.
func (u *upstream) lose(err error) {
	u.mu.Lock()
	u.lost = err
	queue := u.queue
	u.queue = nil
	close(u.change)
	u.change = make(chan struct{})
	u.mu.Unlock()
	u.letGo(err)
	wasSelected := u.selection.Load() != nil
	for _, ex := range queue {
		ex.done(nil)
	}
	var gone *clientError
	switch {
	case errors.As(err, &gone):
		u.s.cut(err)
	case wasSelected:
		u.s.p.log.Warn("mail store of the selected mailbox lost", slog.Any("session", u.s.id), slog.Any("mailbox", u.account.Address), slog.Any("error", err))
		text := "The mailbox's store is not reachable any more"
		if errors.Is(err, errStoreBye) {
			text = "The mailbox was closed by its store: perhaps somebody has removed or renamed it"
		}
		u.s.end(text, err)
	}
}

// fenced keeps a fault in reading one connection from ending the daemon: it ends the connection.
func (u *upstream) fenced(read func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			u.s.fault(v)
			err = errFault
		}
	}()
	return read()
}

// read reads responses until enough says that it is; nil never does. With flush the client gets what is relayed whenever nothing more is there.
func (u *upstream) read(enough func() bool, flush bool) error {
	for enough == nil || !enough() {
		resp, err := u.in.Next()
		if err != nil {
			return err
		}
		switch resp.Kind {
		case wire.Tagged:
			u.in.Expect(false)
			err = u.finish(resp.Tag)
		case wire.Continuation:
			u.proceed()
		default:
			err = u.untagged(resp)
		}
		if err != nil {
			return err
		}
		if flush && !u.in.Buffered() {
			if err := u.s.out.flush(); err != nil {
				return &clientError{err}
			}
		}
	}
	return nil
}

// runAlone is run while nobody else reads.
func (u *upstream) runAlone(ctx context.Context, command []byte, data func(*wire.ResponseReader, *wire.Response) (bool, error)) (*reply, error) {
	var answer *reply
	ex := &exchange{data: data, proceed: make(chan struct{}, 1), done: func(r *reply) { answer = r }}
	if err := u.send(ctx, ex); err != nil {
		return nil, err
	}
	err := u.writeCommand(ctx, ex, command)
	if err == nil {
		err = u.flush()
	}
	if err == nil {
		err = u.readAlone(ctx, func() bool { return answer != nil }, false) // the session flushes with its answer
	}
	if answer != nil { // perhaps before all of the command was sent
		return answer, nil
	}
	return nil, err
}

// readAlone is read in the session's goroutine. The end of ctx ends the connection: of a response that is read in part nothing can be
// made later.
func (u *upstream) readAlone(ctx context.Context, enough func() bool, flush bool) error {
	u.in.Expect(true)
	unwatch := u.closeWith(ctx)
	err := u.fenced(func() error { return u.read(enough, flush) })
	if !unwatch() || err != nil {
		u.broken = true
	}
	if err == nil {
		return nil
	}
	u.lose(err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// closeWith has the connection closed when ctx ends, until stop is called, which tells whether that came first. For the context of a
// client's session, which nearly all commands have, cut does it: watching it anew for each costs more.
func (u *upstream) closeWith(ctx context.Context) (stop func() bool) {
	if ctx != u.s.ctx || u.s.conn == nil {
		return context.AfterFunc(ctx, func() { u.conn.Close() }) //nolint:errcheck // the reader sees it
	}
	u.s.alone.Store(u)
	if ctx.Err() != nil { // either cut sees the connection, or we see that it was called
		u.conn.Close() //nolint:errcheck // as above
	}
	return func() bool { return u.s.alone.CompareAndSwap(u, nil) && ctx.Err() == nil }
}

// maxAlone bounds a command that is sent before anybody reads the answer to the one that asks for its UIDs: the mail store must take both
// though nobody takes what it says.
const maxAlone = 4 << 10

// attendUnlessAlone has the selected mail store read by a goroutine of its own from here on, unless the session can read the answer to a command
// itself: the client waits for it, as it has sent nothing more, and what it is about comes at once and without end, so that a client that
// leaves meanwhile is noticed.
func (s *session) attendUnlessAlone(cmd *wire.Command) {
	switch cmd.Name {
	case "FETCH", "UID FETCH", "STORE", "UID STORE":
		if !s.in.Buffered() && len(cmd.Args) <= maxAlone {
			return
		}
	}
	s.sel.up.attend()
}

// answerAlone reads the answers to what has been piped, if nobody else does. What goes wrong ends the session, as with a reader of its own.
func (s *session) answerAlone() {
	if s.sel == nil || s.sel.up.pumped || s.sel.up.oldest() == nil {
		return
	}
	up := s.sel.up
	if err := up.readAlone(s.ctx, func() bool { return up.oldest() == nil }, true); err != nil {
		s.log().Debug("reading from the mail store", slog.Any("error", err))
	}
}

// listen waits for the client to say something. When it does not before long, its mail stores are listened to meanwhile.
func (s *session) listen() {
	if !s.unattended() {
		return
	}
	if !s.compressed { // an inflater that has met a deadline cannot go on
		s.conn.patience = attendAfter
		err := s.in.Await()
		s.conn.patience = 0
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return // what else went wrong, the next read meets as well
		}
	}
	s.attend()
}

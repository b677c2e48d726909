package imapproxy

import (
	"errors"
	"strings"
	"time"

	"balorg/imapproxy/wire"
)

// maxDone is longer than any line that can end an IDLE.
const maxDone = 64

// idle answers IDLE (RFC 2177): the selected mailbox's news flow while the client waits. Without a selected mailbox there is
// nothing to tell, and no mail store is asked.
func (s *session) idle(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad("IDLE takes no arguments")
	}
	s.closeUnused(time.Minute)
	var ex *exchange
	var answered chan *reply
	begin := func() { s.out.printf("+ idling\r\n") }
	if s.sel != nil && s.sel.up.caps["IDLE"] {
		answered = make(chan *reply, 1)
		// News that come right behind the mail store's "+" may be read before this goroutine runs on. Thunderbird that is told of them
		// before it is told to wait loses its place.
		ex = &exchange{asks: true, asked: begin, proceed: make(chan struct{}, 1), done: func(r *reply) { answered <- r }}
		if err := s.sel.up.send(s.ctx, ex); err != nil {
			return err
		}
		s.sel.up.out.WriteString("IDLE\r\n") //nolint:errcheck // the buffer keeps the error for flush
		switch err := s.sel.up.awaitProceed(s.ctx, ex); {
		case errors.Is(err, errAnswered): // it does not want to
			r, err := awaitReply(s.ctx, answered)
			if err != nil {
				return err
			}
			return storeAnswer(r)
		case err != nil:
			return err
		}
	} else {
		begin()
	}
	s.attend()
	var line []byte
	rerr := s.out.flush()
	if rerr == nil {
		line, rerr = s.in.ReadLine(maxDone)
	}
	// Whatever became of the client, the mail store is told: else the next command would wait for its IDLE for ever.
	if ex != nil && s.ctx.Err() == nil {
		s.sel.up.out.WriteString("DONE\r\n") //nolint:errcheck // as above
		if err := s.sel.up.flush(); err != nil {
			return err
		}
		s.sel.up.owes(ex)
		if _, err := awaitReply(s.ctx, answered); err != nil {
			return err
		}
	}
	if rerr != nil {
		if !s.readError(rerr) {
			s.done = true
		}
		return errAnswered
	}
	if !strings.EqualFold(string(line), "DONE") {
		return bad("IDLE ends with DONE")
	}
	return nil
}

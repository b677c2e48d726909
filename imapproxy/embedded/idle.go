package embedded

import (
	"fmt"
	"strings"

	"balorg/imapproxy/wire"
)

// idle answers IDLE (RFC 2177): the mailbox's changes are told as they come, until the client sends a line.
func (s *session) idle(cmd *wire.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	s.printf("+ idling\r\n")
	var changed <-chan struct{}
	if s.view != nil {
		s.tell(true)
		changed = s.view.Changed()
	}
	s.in.Rest()
	s.line = nil
	for !s.done && s.lost == nil && !s.in.Buffered() && !s.from.waiting() {
		s.to.flush()
		select {
		case <-changed:
			s.tell(true)
		case <-s.from.readable: // the loop looks; the token is not needed by whoever reads
		}
	}
	s.to.flush()
	if s.done || s.lost != nil {
		return s.lost
	}
	line, err := s.in.ReadLine(maxDone)
	if err != nil {
		s.readError(err)
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	if !strings.EqualFold(string(line), "DONE") {
		return bad("IDLE ends with DONE")
	}
	return nil
}

package embedded

import (
	"errors"
	"fmt"
	"io"
	"time"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// append answers APPEND. Whatever can be known beforehand is checked before the client is asked for the message.
func (s *session) append(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("APPEND takes a message as a literal")
	}
	head, err := wire.ParseAppend(cmd.Args)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(head.Mailbox)
	if err != nil {
		return err
	}
	flags, err := mailbox.ParseFlags(head.Flags)
	if err != nil {
		return err
	}
	if err := s.checkAppend(name, cmd.Message); err != nil {
		return err
	}
	date := time.Now()
	if head.Date != "" {
		if date, err = wire.ParseDateTime(head.Date); err != nil {
			return err
		}
	}
	m, err := s.srv.boxes.NewMessage(s.ctx)
	if err != nil {
		return err
	}
	defer m.Discard()
	if err := s.receive(m); err != nil {
		return err
	}
	p, err := s.account.Deliver(s.ctx, name, m, flags, date)
	if err != nil {
		return orTryCreate(err)
	}
	return ok(fmt.Sprintf("APPENDUID %d %d", p.UIDValidity, p.UID), "APPEND completed")
}

func (s *session) checkAppend(name string, m *wire.Literal) error {
	limit := s.srv.boxes.MaxMessage()
	switch {
	case m.Binary:
		return no("UNKNOWN-CTE", "Binary messages are not supported")
	case m.Size == 0:
		return no("CANNOT", "A message has at least one octet")
	case limit > 0 && m.Size > limit:
		return mailbox.ErrTooLarge
	}
	f, err := s.account.Status(s.ctx, name)
	if err != nil {
		return orTryCreate(err)
	}
	if f.NoSelect {
		return orTryCreate(mailbox.ErrNoSelect)
	}
	u, err := s.account.Usage(s.ctx)
	if err != nil {
		return err
	}
	if u.Limit > 0 && m.Size > u.Limit-u.Octets {
		return mailbox.ErrOverQuota
	}
	return nil
}

// receive streams the message's octets into m and reads the end of the command. An error of m is answered after all octets have
// been passed over.
func (s *session) receive(m *mailbox.Message) error {
	octets, err := s.in.AcceptLiteral(s.proceed)
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	buf := s.buffer()
	defer s.srv.buffers.Put(buf)
	_, failed := io.CopyBuffer(writerOnly{m}, octets, *buf)
	more, err := s.in.EndAppend()
	var syntax *wire.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errBroken, err)
	case more:
		return bad("APPEND takes one message")
	}
	return failed
}

// writerOnly hides what else a writer can do from io.CopyBuffer, which would not use its buffer.
type writerOnly struct{ io.Writer }

// buffer lends a buffer for streaming.
func (s *session) buffer() *[]byte {
	return s.srv.buffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

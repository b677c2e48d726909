package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// maxAppended is how many messages one APPEND may bring: what is known of them besides their octets is gathered in memory, and stored in one
// transaction.
const maxAppended = 500

// append answers APPEND, of one message or of several, which are then stored all or none (RFC 3502). Whatever can be known beforehand is
// checked before the client is asked for a message.
func (s *session) append(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("APPEND takes a message as a literal")
	}
	head, err := wire.ParseAppend(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(head.Mailbox)
	if err != nil {
		return err
	}
	if err := s.appendTo(name); err != nil {
		return err
	}
	room, err := s.room()
	if err != nil {
		return err
	}
	var all mailbox.Together
	defer all.Discard()
	for more := true; more; {
		if all.Len() == maxAppended {
			return errTooManyAppended()
		}
		in, err := s.incoming(head, cmd.Message, room)
		if err != nil {
			return err
		}
		room -= in.Message.Size()
		if err := all.Add(in); err != nil {
			in.Message.Discard()
			return s.passed(err)
		}
		if more, err = s.in.EndAppend(); err != nil {
			return endError(err)
		}
		if more {
			if head, err = wire.ParseNextAppend(cmd.Args); err != nil {
				return err
			}
		}
	}
	placed, err := s.account.DeliverAll(s.ctx, name, &all)
	if err != nil {
		return orTryCreate(err)
	}
	uids := make([]uint32, len(placed))
	for i, p := range placed {
		uids[i] = p.UID
	}
	return ok(appendCode(placed[0].UIDValidity, uids), "APPEND completed")
}

func appendCode(validity uint32, uids []uint32) string {
	return fmt.Sprintf("APPENDUID %d %s", validity, wire.FormatNumbers(uids))
}

func errTooManyAppended() error { return no("LIMIT", "Too many messages in one APPEND") }

// endError is what an error of the end of a message means.
func endError(err error) error {
	if _, is := errors.AsType[*wire.SyntaxError](err); is {
		return err
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// appendTo checks that messages can be put into a mailbox.
func (s *session) appendTo(name string) error {
	f, err := s.account.Status(s.ctx, name)
	if err != nil {
		return orTryCreate(err)
	}
	if f.NoSelect {
		return orTryCreate(mailbox.ErrNoSelect)
	}
	return nil
}

// unlimited is the room of an account without quota.
const unlimited = 1 << 62

// room answers how many octets the account has left.
func (s *session) room() (int64, error) {
	u, err := s.account.Usage(s.ctx)
	if err != nil || u.Limit == 0 {
		return unlimited, err
	}
	return u.Limit - u.Octets, nil
}

// incoming takes the message that was announced. An error of the mail store is answered after all octets have been passed over.
func (s *session) incoming(head wire.Append, m *wire.Literal, room int64) (in mailbox.Incoming, err error) {
	if head.UTF8 && !m.Binary {
		return in, bad("What stands in UTF8 (…) is a literal8") // RFC 6855, 4
	}
	if in.Flags, err = mailbox.ParseFlags(head.Flags); err != nil {
		return in, err
	}
	if in.Date = time.Now(); head.Date != "" {
		if in.Date, err = wire.ParseDateTime(head.Date); err != nil {
			return in, err
		}
	}
	limit := s.srv.boxes.MaxMessage()
	switch {
	case m.Size == 0:
		return in, no("CANNOT", "A message has at least one octet") // RFC 3502, 6.3.11: so does a client give up
	case limit > 0 && m.Size > limit:
		return in, mailbox.ErrTooLarge
	case m.Size > room:
		return in, mailbox.ErrOverQuota
	}
	if in.Message, err = s.srv.boxes.NewMessage(s.ctx); err != nil {
		return in, err
	}
	if err := s.receive(in.Message, m.Binary); err != nil {
		in.Message.Discard()
		return in, err
	}
	return in, nil
}

// receive streams the message's octets into m. EndAppend is for the caller, but when it errs.
func (s *session) receive(m *mailbox.Message, binary bool) error {
	octets, err := s.in.AcceptLiteral(s.proceed)
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	into := &taken{w: m, binary: binary}
	buf := s.buffer()
	defer s.srv.buffers.Put(buf)
	_, failed := io.CopyBuffer(into, octets, *buf)
	switch {
	case failed == nil && into.nul:
		failed = no("UNKNOWN-CTE", "Messages with NUL in them cannot be kept")
	case failed == nil:
		return nil
	}
	return s.passed(failed)
}

// passed is why a message that has been accepted is not taken, once its command has been read on to the next message or its end.
func (s *session) passed(failed error) error {
	if _, err := s.in.EndAppend(); err != nil {
		return endError(err)
	}
	return failed
}

// taken is what a message on its way in is written to. A message that was announced as binary may hold NUL (RFC 3516, 4.4), which no other
// client could be given: that is noticed.
type taken struct {
	w           io.Writer
	binary, nul bool
}

func (t *taken) Write(p []byte) (int, error) {
	t.nul = t.nul || t.binary && bytes.IndexByte(p, 0) >= 0
	return t.w.Write(p)
}

// buffer lends a buffer for streaming.
func (s *session) buffer() *[]byte {
	return s.srv.buffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

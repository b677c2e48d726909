package smtp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"balorg/smtp/wire"
)

// What a Handler must not do. Its client is told to try again.
var (
	errUnread  = errors.New("the handler accepted a message without having read it whole")
	errReplies = errors.New("the handler gave another number of replies than it owes")
)

// data takes a message (RFC 5321, 4.1.1.4).
func (s *session) data(string) error {
	if err := s.readyForContent(); err != nil {
		return err
	}
	if s.chunking {
		return badSequence("The message comes by BDAT") // RFC 3030, 2
	}
	s.reply(&wire.Reply{Code: 354, Text: "Go ahead, and end with a dot alone on a line"})
	if err := s.out.Flush(); err != nil {
		s.done = true
		return errAnswered
	}
	newlines := wire.RefuseBare
	if s.client.Role == Submission { // programs that print mail do not know better
		newlines = wire.NormaliseBare
	}
	content := wire.NewDataReader(s.in, s.service.MaxMessage, newlines)
	s.conn.begin()
	replies, err := s.deliver(content)
	unfinished := content.Drain()
	s.conn.finish()
	recipients := len(s.tx.To)
	s.reset()
	if unfinished != nil {
		return s.broken(unfinished)
	}
	s.conclude(replies, err, recipients)
	return errAnswered
}

// content is what both ways of sending a message have.
type content interface {
	io.Reader
	Fault() error // what is wrong with what was read
	Done() bool   // all of it has been read
}

// deliver gives a message to the handler, and holds it to its word.
func (s *session) deliver(c content) ([]wire.Reply, error) {
	// The end of the session ends the reading; what has been read whole is finished, for the client is to know what became of it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	env := s.tx.Clone()
	owed := 1
	if s.client.Role == LMTP {
		owed = len(env.To)
	}
	m := &message{content: c, cancel: cancel}
	defer m.stop()
	replies, err := s.handler.Data(ctx, env, m)
	switch {
	case c.Fault() != nil:
		return nil, c.Fault()
	case err != nil:
		return nil, err
	case !c.Done():
		return nil, errUnread
	case len(replies) != owed:
		return nil, errReplies
	}
	return replies, nil
}

// message is a message's content as its handler reads it. At its end the time begins in which the handler must finish.
type message struct {
	content content
	cancel  context.CancelFunc
	timer   *time.Timer
}

func (m *message) Read(p []byte) (int, error) {
	n, err := m.content.Read(p)
	if errors.Is(err, io.EOF) {
		m.hurry()
	}
	return n, err
}

// WriteTo passes the content on in blocks as they are read.
func (m *message) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, m.content)
	if err == nil {
		m.hurry()
	}
	return n, err
}

func (m *message) hurry() {
	if m.timer == nil {
		m.timer = time.AfterFunc(commitTimeout, m.cancel)
	}
}

func (m *message) stop() {
	if m.timer != nil {
		m.timer.Stop()
	}
}

// conclude answers for a message that has come whole, or was refused and skipped.
func (s *session) conclude(replies []wire.Reply, err error, recipients int) {
	s.messages++
	if err != nil {
		r, internal := replyTo(err)
		if internal {
			s.log.Error("message not taken", slog.Any("error", err))
		}
		owed := 1
		if s.client.Role == LMTP {
			owed = recipients
		}
		for range owed {
			replies = append(replies, *r)
		}
	}
	worst := &replies[0]
	for i := range replies {
		r := &replies[i]
		s.reply(r)
		s.srv.metrics.messages.WithLabelValues(string(s.client.Role), resultOf(r)).Inc()
		if r.Positive() {
			s.refusals = 0 // who has mail that is wanted may have some that is not
		}
		if r.Code == closing || worst.Positive() {
			worst = r
		}
	}
	s.note(worst)
}

func resultOf(r *wire.Reply) string {
	switch {
	case r.Positive():
		return "ok"
	case r.Permanent():
		return "refused"
	}
	return "temporary"
}

// broken ends the session whose message has not come to its end: what comes next on the connection may still be content, and must
// not run as commands.
func (s *session) broken(err error) error {
	s.srv.metrics.broken.WithLabelValues(string(s.client.Role)).Inc()
	s.done = true
	switch {
	case errors.Is(err, wire.ErrFlood):
		r, _ := replyTo(err)
		s.reply(r)
		s.say(wire.NewReply(closing, "4.3.4", "The message is far too large to be read to its end"))
	default:
		s.readError(err)
	}
	return errAnswered
}

package smtp

import (
	"errors"
	"fmt"

	"balorg/smtp/wire"
)

// errAborted is what a handler reads when the client gives a message up between two chunks.
var errAborted = errors.New("the client has given the message up")

// bdat takes a chunk of a message (RFC 3030, 2). The first one calls the handler, whose reading then takes the commands in between.
func (s *session) bdat(args string) error {
	chunk, err := wire.ParseChunk(args)
	if err != nil {
		s.say(wire.NewReply(closing, "4.7.0", "What follows cannot be understood"))
		s.done = true
		return err
	}
	if err := s.admitted(); err != nil {
		s.say(wire.NewReply(closing, "4.7.0", "No chunk is read before that"))
		s.done = true
		return err
	}
	if err := s.readyForContent(); err != nil {
		return s.skip(chunk, err)
	}
	var broken error // of the connection, between two chunks
	content := wire.NewChunkReader(s.in, s.service.MaxMessage, chunk, func() (wire.Chunk, error) {
		next, err := s.nextChunk()
		broken = err
		return next, err
	})
	s.chunking = true
	s.conn.begin()
	replies, err := s.deliver(content)
	if broken == nil {
		broken = content.Drain()
	}
	s.conn.finish()
	recipients, last := len(s.tx.To), content.Last()
	s.reset()
	switch {
	case errors.Is(broken, errAborted):
	case broken != nil:
		return s.broken(broken)
	case !last: // refused, or failed, before all of it has come
		s.spoilt = true
		if err == nil {
			err = errUnread
		}
		return err
	default:
		s.conclude(replies, err, recipients)
	}
	return errAnswered
}

// skip takes the octets of a chunk that is refused.
func (s *session) skip(chunk wire.Chunk, refusal error) error {
	s.conn.begin()
	err := s.in.Skip(chunk.Size, s.service.MaxMessage)
	s.conn.finish()
	if err != nil {
		return s.broken(err)
	}
	return refusal
}

// nextChunk answers the chunk before and waits for the next one; it runs while the handler reads. RFC 3030, 2 lets other commands come in
// between.
func (s *session) nextChunk() (wire.Chunk, error) {
	s.conn.paused = true
	defer func() { s.conn.paused = false }()
	s.reply(okay("2.0.0", "Chunk received"))
	for {
		cmd, err := s.command()
		if err != nil {
			if _, ok := errors.AsType[*wire.Reply](err); !ok {
				return wire.Chunk{}, fmt.Errorf("between two chunks: %w", err)
			}
			s.answer(err)
		} else if chunk, ok, err := s.between(cmd); ok || err != nil {
			return chunk, err
		}
		if s.done {
			return wire.Chunk{}, errAborted
		}
	}
}

// between runs a command that comes between two chunks, or answers the chunk that it is.
func (s *session) between(cmd wire.Command) (chunk wire.Chunk, ok bool, err error) {
	switch cmd.Verb {
	case "BDAT":
		chunk, err := wire.ParseChunk(cmd.Args)
		if err == nil {
			return chunk, true, nil
		}
		s.answer(err)
		s.say(wire.NewReply(closing, "4.7.0", "What follows cannot be understood"))
		s.done = true
	case "RSET", "QUIT", "EHLO", "HELO", "LHLO":
		s.next = &cmd
		return wire.Chunk{}, false, errAborted
	default:
		s.dispatch(cmd)
	}
	return wire.Chunk{}, false, nil
}

package embedded

import (
	"bytes"
	"log/slog"
	"sync/atomic"

	"balorg/imapproxy/wire"
	"balorg/store/body"
)

// Sections from passFrom octets on are not copied into the connection: its reader takes them from the message, passBuffer at a time.
const (
	passFrom   = bufferSize / 2
	passBuffer = 64 << 10
)

// stream writes n octets of the message. An error leaves an announced literal unfinished: only the end of the connection is then
// not taken for something else.
func (s *source) stream(off, n int64) error {
	f := s.f
	if f.lost != nil || f.ctx.Err() != nil {
		return errBroken
	}
	p := &passing{session: f.session, reader: s.reader, users: s.users, end: off + n}
	s.users.Add(1)
	if n >= passFrom {
		f.lost = f.to.pass(p, n)
		return f.lost
	}
	defer p.release()
	for n > 0 && f.lost == nil {
		part, err := p.octets(n, n)
		if err != nil {
			return err
		}
		f.write(part)
		n -= int64(len(part))
	}
	return f.lost
}

// passing is a part of a message on its way to the client.
type passing struct {
	session *session
	reader  *body.Reader
	users   *atomic.Int32
	end     int64 // where in the message it ends
	buf     *[]byte
}

// octets implements piece.
func (p *passing) octets(left, max int64) ([]byte, error) {
	s := p.session
	if p.buf == nil {
		p.buf = s.srv.passing.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	}
	part, err := p.reader.Octets(*p.buf, p.end-left, int(min(left, max, passBuffer)))
	if err != nil {
		s.log.ErrorContext(s.ctx, "reading a message", slog.Any("error", err))
		return nil, errBroken
	}
	if bytes.IndexByte(part, 0) >= 0 {
		part = append((*p.buf)[:0], part...)
		wire.ReplaceNUL(part)
	}
	return part, nil
}

// release implements piece.
func (p *passing) release() {
	if p.buf != nil {
		p.session.srv.passing.Put(p.buf)
		p.buf = nil
	}
	leave(p.users, p.reader)
}

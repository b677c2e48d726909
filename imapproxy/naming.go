package imapproxy

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
)

// Names are kept in the wire form of RFC 3501, whatever the client and each mail store are told: that has one form for each of them. How they are
// read and written is each connection's own.

// The capabilities of names, and quoted strings, in UTF-8 (RFC 6855, RFC 9755; RFC 9051).
const (
	utf8Accept = "UTF8=ACCEPT"
	imap4rev2  = "IMAP4rev2"
)

// changesNames tells whether a capability that is enabled has names in UTF-8.
func changesNames(capability string) bool { return capability == utf8Accept || capability == imap4rev2 }

// naming is how the client writes names.
func (s *session) naming() wire.Naming {
	if slices.ContainsFunc(s.enabled, changesNames) {
		return wire.UTF8
	}
	return wire.UTF7
}

// naming is how the mail store does. One that came to the session after the client had enabled what it has not is spoken to as ever.
func (u *upstream) naming() wire.Naming {
	if slices.ContainsFunc(u.s.enabled, func(name string) bool { return changesNames(name) && u.caps[strings.ToUpper(name)] }) {
		return wire.UTF8
	}
	return wire.UTF7
}

// onlyASCII tells whether the header of a message that the client appends must be ASCII: it could have said that it knows others, and has not
// (RFC 9755, 4).
func (s *session) onlyASCII() bool { return s.naming() == wire.UTF7 && s.offers(utf8Accept) }

func errNotASCII() *answer {
	return no("CANNOT", "The header of the message is not ASCII: that is for clients that enable UTF8=ACCEPT or IMAP4rev2")
}

// watchedPiece is how much of a message is read at a time until its header has ended.
const watchedPiece = 4 << 10

// pass copies a message of size octets and tells whether its header, where that is to be ASCII, is not.
func (s *session) pass(w io.Writer, r io.Reader, size int64) (notASCII bool, err error) {
	watch := headerWatch{w: w, over: !s.onlyASCII()}
	for !watch.over && size > 0 {
		n, err := io.CopyN(&watch, r, min(size, watchedPiece))
		if err != nil {
			return false, err
		}
		size -= n
	}
	_, err = io.CopyN(w, r, size)
	return watch.beyond, err
}

// headerWatch looks at the header of what is written.
type headerWatch struct {
	w      io.Writer
	inLine bool // the line so far is not empty
	over   bool // the header has ended
	beyond bool // it is not ASCII
}

func (h *headerWatch) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case h.over, c == '\r':
		case c == '\n':
			h.over, h.inLine = !h.inLine, false
		default:
			h.inLine = true
			h.beyond = h.beyond || c >= 0x80
		}
	}
	return h.w.Write(p)
}

// spoiled is no end of an APPEND, nor of a message in parentheses, in any grammar.
const spoiled = " )x\r\n"

// spoil ends a command whose message has been sent in a way that makes the mail store take none of it.
func (a *appending) spoil(ctx context.Context) error {
	a.up.out.WriteString(spoiled) //nolint:errcheck // the buffer keeps the error for flush
	if err := a.up.flush(); err != nil {
		return err
	}
	a.up.owes(a.ex)
	r, err := awaitReply(ctx, a.answered)
	if err == nil && r.ok() {
		err = fmt.Errorf("%w: APPEND with a fault in it was taken", wire.ErrResponse)
	}
	return err
}

// checkBinary refuses a literal8 that the mail store does not take: as part of a message (RFC 3516), or around one that may have UTF-8 in its header
// (RFC 6855, 4).
func (u *upstream) checkBinary(head wire.Append, m *wire.Literal) error {
	switch {
	case head.UTF8 && !u.caps[utf8Accept]:
		return bad("Expected a date or the message")
	case head.UTF8 && !m.Binary:
		return bad("What stands in UTF8 (…) is a literal8")
	case !head.UTF8 && m.Binary && !u.caps["BINARY"]:
		return errNoBinary()
	}
	return nil
}

package wire

import (
	"bytes"
	"io"
)

// appendState is how far the message of an APPEND has come.
type appendState uint8

const (
	noMessage        appendState = iota
	messageAnnounced             // its announcement has been read
	messageAccepted              // its octets are being read
)

// announced takes note of a message and of what stands before it.
func (r *Reader) announced(lit *Literal, args []byte) {
	lit.Wrapped = bytes.HasSuffix(args, []byte("("))
	r.cmd.Args = bytes.TrimSuffix(args, []byte(" "))
	r.cmd.Message = lit
	r.message = messageAnnounced
}

// AcceptLiteral takes the message of the APPEND that was read last and answers its octets, exactly Size of them; contin is as in
// ReadCommand. An early end of the connection is io.ErrUnexpectedEOF. EndAppend follows.
func (r *Reader) AcceptLiteral(contin func() error) (io.Reader, error) {
	if r.message != messageAnnounced {
		return nil, syntax("No message announced")
	}
	if !r.cmd.Message.NonSync {
		if err := contin(); err != nil {
			return nil, err
		}
	}
	r.message = messageAccepted
	r.literal = io.LimitedReader{R: r.br, N: r.cmd.Message.Size}
	return (*messageReader)(r), nil
}

// messageReader reads the octets of an accepted message.
type messageReader Reader

func (m *messageReader) Read(p []byte) (int, error) {
	n, err := m.literal.Read(p)
	if err == io.EOF && m.literal.N > 0 { //nolint:errorlint // LimitedReader answers the very value
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// RefuseLiteral passes over the message of the APPEND that was read last, and what follows it in the command; the caller then answers
// NO or BAD. A client that waits to be asked ({n}) gives the command up by itself; from one that does not ({n+}) up to
// Limits.Message octets are skipped, more is ErrClose. Without a message it does nothing.
func (r *Reader) RefuseLiteral() error {
	if r.message != messageAnnounced {
		return nil
	}
	r.message = noMessage
	if !r.cmd.Message.NonSync {
		return nil
	}
	if r.cmd.Message.Size > r.lim.Message {
		return r.lose(errLiteralTooLong)
	}
	if err := r.discard(r.cmd.Message.Size); err != nil {
		return err
	}
	return r.skipTail()
}

// skipTail skips the rest of an APPEND behind a message.
func (r *Reader) skipTail() error {
	r.buf = r.buf[:0]
	line, err := r.readLine(r.lim.Line)
	if err != nil {
		return err
	}
	return r.skipRest(line, r.lim.Message)
}

// EndAppend reads what follows an accepted message, of which octets not read yet are skipped. When another message follows
// (MULTIAPPEND, RFC 3502) more is true, and the command's Args and Message are now those of that one, which is to be accepted
// or refused in turn. A *SyntaxError is as in ReadCommand.
func (r *Reader) EndAppend() (more bool, err error) {
	if r.message != messageAccepted {
		return false, nil
	}
	r.message = noMessage
	if err := r.discard(r.literal.N); err != nil {
		return false, err
	}
	wrapped := r.cmd.Message.Wrapped
	r.cmd.Message = nil
	r.buf = r.buf[:0]
	line, err := r.readLine(r.lim.Line)
	if err != nil {
		return false, err
	}
	closed := true
	if wrapped {
		line, closed = bytes.CutPrefix(line, []byte(")"))
	}
	if len(line) == 0 && closed {
		return false, nil
	}
	lit, at, fault := announcement(line, r.lim.UTF8)
	if fault == "" && (!closed || lit == nil || line[0] != ' ' || at == 0) {
		fault = "Nothing but another message may follow a message"
	}
	if fault != "" {
		if err := r.skipRest(line, r.lim.Message); err != nil {
			return false, err
		}
		return false, &SyntaxError{Tag: r.cmd.Tag, Text: fault}
	}
	r.announced(lit, line[1:at])
	return true, nil
}

// finishMessage brings an APPEND to its end whose caller did not.
func (r *Reader) finishMessage() error {
	switch r.message {
	case messageAnnounced:
		return r.RefuseLiteral()
	case messageAccepted:
		r.message = noMessage
		if err := r.discard(r.literal.N); err != nil {
			return err
		}
		return r.skipTail()
	}
	return nil
}

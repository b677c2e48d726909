// Package wire is IMAP's grammar (RFC 3501, RFC 9051 and the extensions balorg offers): reading commands and responses, parsing
// their arguments, writing both. It knows nothing of accounts, rights or messages.
//
// Invariants:
//   - Memory is bounded by Limits, whatever the peer sends.
//   - Octets of a refused literal or of an over-long line never run as commands: they are skipped, or the connection is to
//     be closed (ErrClose).
//   - Nothing read here holds a NUL, a bare CR or a bare LF outside a literal, so that what is passed on cannot be cut into
//     lines anew by its next reader.
package wire

import (
	"errors"
	"fmt"
)

// SyntaxError says that a command does not follow the grammar. The whole command has been read, so that the connection can go
// on behind it: the answer is "tag BAD text", or "* BAD text" without a tag.
type SyntaxError struct {
	Tag  string // empty when the command had none, or from a Parser
	Text string // for the client; holds nothing of what it sent
}

func (e *SyntaxError) Error() string { return "syntax error: " + e.Text }

// ErrClose is why a connection cannot go on: there is no telling where the next command begins. Errors that stand for it wrap it.
var ErrClose = errors.New("connection has to be closed")

// The reasons to close.
var (
	errLineTooLong    = fmt.Errorf("line too long: %w", ErrClose)
	errLiteralTooLong = fmt.Errorf("literal too long to be skipped: %w", ErrClose)
)

// Limits bound what a Reader takes. A zero field means its default.
type Limits struct {
	Line    int   // octets of one line; a longer one closes. Default 8 KB
	Literal int64 // octets of one literal, the message of an APPEND aside. Default 8 KB
	Command int   // octets of one command, all its lines and literals, the message of an APPEND aside. Default 4 × Line
	Skip    int64 // octets of refused non-synchronising literals skipped in one command; more closes. Default 16 × Literal
	Message int64 // the same for the message of an APPEND. Default Skip
	UTF8    bool  // a line that is not UTF-8 makes its command a fault
}

const (
	defaultLine    = 8 << 10
	defaultLiteral = 8 << 10
)

func (l Limits) withDefaults() Limits {
	if l.Line <= 0 {
		l.Line = defaultLine
	}
	if l.Literal <= 0 {
		l.Literal = defaultLiteral
	}
	if l.Command <= 0 {
		l.Command = 4 * l.Line
	}
	if l.Skip <= 0 {
		l.Skip = 16 * l.Literal
	}
	if l.Message <= 0 {
		l.Message = l.Skip
	}
	return l
}

func syntax(text string) error { return &SyntaxError{Text: text} }

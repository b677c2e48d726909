package imapproxy

import (
	"context"
	"errors"
	"fmt"

	"balorg/imapproxy/wire"
	"balorg/policy/auth"
	"balorg/store"
	"balorg/store/subscription"
)

// answer is how a command ends: the tagged line without its tag. It is an error so that a handler can return it from any
// depth. Its text is for the client; what went wrong inside goes to the log.
type answer struct {
	status string // OK, NO or BAD
	code   string // response code without brackets (RFC 9051, 7.1), or ""
	text   string
}

func (a *answer) Error() string { return a.String() }

func (a *answer) String() string {
	if a.code == "" {
		return a.status + " " + a.text
	}
	return fmt.Sprintf("%s [%s] %s", a.status, a.code, a.text)
}

// short is the answer as the trace keeps it: without text.
func (a *answer) short() string {
	if a.code == "" {
		return a.status
	}
	return fmt.Sprintf("%s [%s]", a.status, a.code)
}

func no(code, text string) *answer   { return &answer{"NO", code, text} }
func bad(text string) *answer        { return &answer{"BAD", "", text} }
func okay(code, text string) *answer { return &answer{"OK", code, text} }

// Answers that several commands give. A mailbox that one may not open and one that does not exist look the same.
func errNoMailbox() *answer { return no("NONEXISTENT", "No such mailbox") }

func errNoRight() *answer {
	return no("NOPERM", "You do not have the right to do this in this mailbox")
}

func errUnavailable() *answer {
	return no("UNAVAILABLE", "The mailbox cannot be reached at the moment")
}

// errAnswered is what a handler returns when the tagged line is sent elsewhere: by the mail store's reader, or already.
var errAnswered = errors.New("answered")

// errLost is why exchanges with a mail store end when its connection does: another may be had. errDown is why there is none.
var (
	errLost = errors.New("the connection to the mail store is lost")
	errDown = errors.New("no connection to the mail store")
)

// errStoreBye is why a connection ends that the mail store has closed in order.
var errStoreBye = errors.New("the mail store said BYE")

// errFault is why a connection to a mail store ends when reading it met a fault of the program.
var errFault = errors.New("fault of the program")

// answerTo turns an error into the one answer the client gets.
func answerTo(err error) (a *answer, internal bool) {
	var syntax *wire.SyntaxError
	switch {
	case err == nil:
		return okay("", "completed"), false
	case errors.As(err, &a):
		return a, false
	case errors.As(err, &syntax):
		return bad(syntax.Text), false
	case errors.Is(err, auth.ErrRefused):
		return no("AUTHENTICATIONFAILED", "Authentication failed"), false
	case errors.Is(err, auth.ErrTemporary):
		return no("UNAVAILABLE", "Authentication is not possible at the moment, please try again"), false
	case errors.Is(err, subscription.ErrLongName):
		return no("CANNOT", "Mailbox name is too long"), false
	case errors.Is(err, subscription.ErrTooMany):
		return no("LIMIT", "Too many subscriptions"), false
	case errors.Is(err, store.ErrFull):
		return no("LIMIT", "The server's disk is full"), true
	case errors.Is(err, errLost), errors.Is(err, errDown), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return errUnavailable(), true
	default:
		return no("SERVERBUG", "Internal error"), true
	}
}

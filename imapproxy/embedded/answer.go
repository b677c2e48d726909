package embedded

import (
	"errors"

	"balorg/imapproxy/wire"
	"balorg/store"
	"balorg/store/mailbox"
)

// answer is how a command ends: the tagged line without its tag. It is an error so that a handler can return it from any depth.
type answer struct {
	status string // OK, NO or BAD
	code   string // response code without brackets, or ""
	text   string
}

func (a *answer) Error() string { return a.status + " " + a.text }

func ok(code, text string) error { return &answer{"OK", code, text} }
func no(code, text string) error { return &answer{"NO", code, text} }
func bad(text string) error      { return &answer{"BAD", "", text} }

// errBroken ends a connection whose stream cannot be made whole again: a literal was announced that could not be read.
var errBroken = errors.New("response could not be finished")

// refusals are the answers for the errors of the mail store.
var refusals = []struct {
	err    error
	answer answer
}{
	{mailbox.ErrNoFolder, answer{"NO", "NONEXISTENT", "No such mailbox"}},
	{mailbox.ErrFolderExists, answer{"NO", "ALREADYEXISTS", "Mailbox exists already"}},
	{mailbox.ErrBadName, answer{"NO", "CANNOT", "Mailbox name is not allowed"}},
	{mailbox.ErrNoSelect, answer{"NO", "CANNOT", "Mailbox is only a level of the hierarchy"}},
	{mailbox.ErrHasChildren, answer{"NO", "HASCHILDREN", "Mailbox has others below it"}},
	{mailbox.ErrInbox, answer{"NO", "CANNOT", "This cannot be done with INBOX"}},
	{mailbox.ErrUseTaken, answer{"NO", "USEATTR", "Another mailbox has this special use"}},
	{mailbox.ErrTooManyFolders, answer{"NO", "LIMIT", "Too many mailboxes"}},
	{mailbox.ErrOverQuota, answer{"NO", "OVERQUOTA", "Mailbox is over its quota"}},
	{mailbox.ErrTooLarge, answer{"NO", "TOOBIG", "Message is too large"}},
	{mailbox.ErrReadOnly, answer{"NO", "READ-ONLY", "Mailbox is open for reading only"}},
	{mailbox.ErrBadFlag, answer{"BAD", "", "Flag is not valid"}},
	{mailbox.ErrTooManyKeywords, answer{"NO", "LIMIT", "Too many keywords in this mailbox"}},
	{mailbox.ErrExpunged, answer{"NO", "EXPUNGEISSUED", "Some of the messages no longer exist"}},
	{mailbox.ErrUnreadable, answer{"NO", "CORRUPTION", "Some of the messages are damaged in the store"}},
	{mailbox.ErrNoMessage, answer{"BAD", "", "No such message"}},
	{mailbox.ErrUIDsUsedUp, answer{"NO", "LIMIT", "Mailbox has given its last UID"}},
	{store.ErrTooBig, answer{"NO", "LIMIT", "This is too much for one command"}},
	{store.ErrFull, answer{"NO", "LIMIT", "The server has no room left"}},
	{store.ErrUnavailable, answer{"NO", "UNAVAILABLE", "The mail store is not available at the moment"}},
}

// answerTo turns an error into the one answer the client gets; internal says that it is one for the log.
func answerTo(err error) (a *answer, internal bool) {
	var syntax *wire.SyntaxError
	switch {
	case err == nil:
		return &answer{status: "OK"}, false
	case errors.Is(err, wire.ErrCharset):
		return &answer{"NO", "BADCHARSET (US-ASCII UTF-8)", "Charset is not supported"}, false
	case errors.As(err, &syntax):
		return &answer{"BAD", "", syntax.Text}, false
	case errors.As(err, &a):
		return a, false
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &r.answer, errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrFull)
		}
	}
	return &answer{"NO", "SERVERBUG", "Internal error"}, true
}

// orTryCreate is err, saying of a missing mailbox that it can be created (RFC 3501, 7.1: TRYCREATE).
func orTryCreate(err error) error {
	if errors.Is(err, mailbox.ErrNoFolder) || errors.Is(err, mailbox.ErrNoSelect) {
		return no("TRYCREATE", "No such mailbox")
	}
	return err
}

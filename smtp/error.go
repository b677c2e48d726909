package smtp

import (
	"context"
	"errors"

	"balorg/policy/auth"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/mailbox"
)

// Replies that several commands give.
func okay(enhanced, text string) *wire.Reply {
	return &wire.Reply{Code: 250, Enhanced: enhanced, Text: text}
}

func badSequence(text string) *wire.Reply { return wire.NewReply(503, "5.5.1", "%s", text) }

func errUnavailable() *wire.Reply {
	return wire.NewReply(451, "4.3.0", "This is not possible at the moment, please try again later")
}

// replyTo turns an error into the one reply the client gets. internal says that the cause is worth a line in the log.
func replyTo(err error) (r *wire.Reply, internal bool) {
	switch {
	case errors.As(err, &r):
		return r, false
	case errors.Is(err, wire.ErrBareNewline):
		return wire.NewReply(550, "5.6.11", "The message holds a CR or an LF that stands alone"), false
	case errors.Is(err, wire.ErrTextLine):
		return wire.NewReply(550, "5.6.0", "The message has a line of more than %d octets", wire.MaxTextLine), false
	case errors.Is(err, wire.ErrNUL):
		return wire.NewReply(550, "5.6.0", "The message holds a NUL octet"), false
	case errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrFlood), errors.Is(err, mailbox.ErrTooLarge):
		return wire.NewReply(552, "5.3.4", "The message is too large"), false
	case errors.Is(err, mailbox.ErrOverQuota):
		return wire.NewReply(452, "4.2.2", "The mailbox is full"), false
	case errors.Is(err, auth.ErrRefused):
		return wire.NewReply(535, "5.7.8", "Authentication failed"), false
	case errors.Is(err, auth.ErrTemporary):
		return wire.NewReply(454, "4.7.0", "Authentication is not possible at the moment, please try again"), false
	case errors.Is(err, store.ErrFull):
		return wire.NewReply(452, "4.3.1", "The server's disk is full, please try again later"), true
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUnavailable(), true
	default:
		return errUnavailable(), true
	}
}

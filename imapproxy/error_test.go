package imapproxy

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"balorg/imapproxy/wire"
	"balorg/policy/auth"
	"balorg/store"
	"balorg/store/subscription"
)

// TestAnswers holds every error that reaches a client against what it is told: a code it can act on, and no word of ours that
// says more than it may know.
func TestAnswers(t *testing.T) {
	secret := errors.New("open /var/lib/balorg/db: host mail7.intern")
	for _, tt := range []struct {
		err      error
		want     string
		internal bool
	}{
		{nil, "OK completed", false},
		{errNoMailbox(), "NO [NONEXISTENT] No such mailbox", false},
		{fmt.Errorf("selecting: %w", errNoRight()), "NO [NOPERM] You do not have the right to do this in this mailbox", false},
		{&wire.SyntaxError{Text: "A space is missing"}, "BAD A space is missing", false},
		{auth.ErrRefused, "NO [AUTHENTICATIONFAILED] Authentication failed", false},
		{&auth.Refusal{User: "x"}, "NO [AUTHENTICATIONFAILED] Authentication failed", false},
		{auth.ErrTemporary, "NO [UNAVAILABLE] Authentication is not possible at the moment, please try again", false},
		{fmt.Errorf("subscription: %w", subscription.ErrLongName), "NO [CANNOT] Mailbox name is too long", false},
		{fmt.Errorf("subscription: %w", subscription.ErrTooMany), "NO [LIMIT] Too many subscriptions", false},
		{fmt.Errorf("tracing: %w", store.ErrFull), "NO [LIMIT] The server's disk is full", true},
		{fmt.Errorf("tracing: %w", store.ErrUnavailable), "NO [UNAVAILABLE] The mailbox cannot be reached at the moment", true},
		{fmt.Errorf("%w: %w", errLost, secret), "NO [UNAVAILABLE] The mailbox cannot be reached at the moment", true},
		{fmt.Errorf("opening: %w", context.DeadlineExceeded), "NO [UNAVAILABLE] The mailbox cannot be reached at the moment", true},
		{secret, "NO [SERVERBUG] Internal error", true},
	} {
		a, internal := answerTo(tt.err)
		if a.String() != tt.want || internal != tt.internal {
			t.Errorf("%v: %q, internal %v; want %q, %v", tt.err, a, internal, tt.want, tt.internal)
		}
	}
}

// TestStoreAnswers: of a mail store's answer only codes that clients act on pass, none with a mailbox name, and never its text.
func TestStoreAnswers(t *testing.T) {
	for _, tt := range []struct {
		reply reply
		want  string
	}{
		{reply{"OK", ""}, "OK completed"},
		{reply{"OK", "APPENDUID 1 2"}, "OK [APPENDUID 1 2] completed"},
		{reply{"OK", "COPYUID 1 2:3 4:5"}, "OK [COPYUID 1 2:3 4:5] completed"},
		{reply{"OK", "CAPABILITY IMAP4rev1 X-SECRET"}, "OK completed"},
		{reply{"NO", "TRYCREATE"}, "NO [TRYCREATE] No such mailbox"},
		{reply{"NO", "overquota"}, "NO [overquota] The mailbox is full"},
		{reply{"NO", "REFERRAL imap://mail7.intern/INBOX"}, "NO The mail store refused the command"},
		{reply{"NO", ""}, "NO The mail store refused the command"},
		{reply{"BAD", ""}, "BAD The command is not valid"},
	} {
		if got := storeAnswer(&tt.reply).String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.reply, got, tt.want)
		}
	}
}

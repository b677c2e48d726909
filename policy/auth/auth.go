// Package auth answers who somebody is: it reads what a client offers as credentials, verifies them at a bounded cost, and
// asks policy which mailbox opens. Three things hold whatever happens:
//
//   - A refusal tells nothing. Unknown account, wrong password, organisational mailbox, mailbox without delegation: the answer is
//     ErrRefused, after the same work. The true reason is in the Refusal, for the trace.
//   - What is not the client's fault is ErrTemporary: clients forget a password that is refused, not one that could not be
//     checked.
//   - Hashing is bounded and throttled before it starts, without letting a stranger lock anybody out.
package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"balorg/mail"
	"balorg/policy"
)

var (
	// ErrRefused is the one answer to credentials that do not open what they ask for.
	ErrRefused = errors.New("authentication refused")
	// ErrTemporary means that the credentials could not be checked now; the same ones may be right later.
	ErrTemporary = errors.New("authentication is temporarily unavailable")
	// ErrUnset is what Passwords answers for an account that has no password, and Tokens where there is no such token.
	ErrUnset = errors.New("no such credential is set")
)

// The mechanisms that carry a password.
const (
	MechanismPlain = "PLAIN"
	MechanismLogin = "LOGIN"
)

// Refusal is an ErrRefused with what the trace needs and the client must not learn.
type Refusal struct {
	Reason  policy.Reason
	Person  *policy.Account // nil when there is no such account
	Mailbox *policy.Account // nil when none was found
	User    string          // the user name as it was given
}

func (r *Refusal) Error() string { return fmt.Sprintf("%v: %s", ErrRefused, r.Reason.Text) }

// Is makes a Refusal an ErrRefused for errors.Is.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// Unavailable is an ErrTemporary with its cause, for the trace.
type Unavailable struct {
	Reason policy.Reason
	Person *policy.Account // nil when there is no such account
	User   string          // the user name as it was given
	Err    error           // what went wrong, or nil
}

func (u *Unavailable) Error() string { return fmt.Sprintf("%v: %s", ErrTemporary, u.Reason.Text) }

// Is makes an Unavailable an ErrTemporary for errors.Is.
func (u *Unavailable) Is(target error) bool { return target == ErrTemporary }

func (u *Unavailable) Unwrap() error { return u.Err }

// Request is one attempt to log in.
type Request struct {
	Mechanism string // as SASL names it; LOGIN also for IMAP's command
	User      string // the user name, in any of the contract's forms
	Authzid   string // SASL authorization identity, or empty
	Password  Secret
	Remote    netip.Addr
	Protocol  string // imap, smtp, ldap, portal
	Session   string // id of the session that asks

	Certificates []*x509.Certificate // of EXTERNAL: what the client showed in TLS, not verified
}

// Result is a successful login: the person, and the mailbox they opened.
type Result struct {
	Person  *policy.Account
	Mailbox *policy.Account
	Access  policy.Access
	Means   policy.Means // what they logged in with
}

// Credential is what a Verifier checks.
type Credential struct {
	Address   mail.Address // the account's identifier, or what was given where there is none
	Mechanism string
	Secret    Secret
	Remote    netip.Addr
	Protocol  string
	Familiar  bool // this account logged in from this network lately
}

// Verifier checks one kind of credential. person is nil when no account that may log in was named: the verifier then does
// the same work before it refuses.
type Verifier interface {
	// Remembers tells, at next to no cost, whether the credential was right a moment ago and still is.
	Remembers(person *policy.Account, cred Credential) (policy.Means, bool)
	// Verify answers what a right credential is, a *Refusal with its Reason for a wrong one, and any other error when it
	// cannot tell.
	Verify(ctx context.Context, person *policy.Account, cred Credential) (policy.Means, error)
}

// Passwords is where password hashes are kept, by account.
type Passwords interface {
	// Password answers the PHC string set for the account, or ErrUnset.
	Password(ctx context.Context, id mail.AccountID) (hash string, err error)
	// SetPassword keeps hash durably; an empty one removes the password.
	SetPassword(ctx context.Context, id mail.AccountID, hash string) error
}

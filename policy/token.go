package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"balorg/mail"
)

// Scope is a protocol that a device token is good for. The portal is none: who holds a device's token must not change what its
// owner logs in with.
type Scope string

// The scopes.
const (
	ScopeIMAP Scope = "imap"
	ScopeSMTP Scope = "smtp"
	ScopeLDAP Scope = "ldap"
)

// Scopes are all of them, in order.
func Scopes() []Scope { return []Scope{ScopeIMAP, ScopeSMTP, ScopeLDAP} }

// ParseScopes reads scopes: each once, in the order of Scopes, and all of them when none is named.
func ParseScopes(names []string) ([]Scope, error) {
	if len(names) == 0 {
		return Scopes(), nil
	}
	for _, name := range names {
		if !slices.Contains(Scopes(), Scope(name)) {
			return nil, fmt.Errorf("%q is no protocol of device tokens; write imap, smtp or ldap", name)
		}
	}
	return slices.DeleteFunc(Scopes(), func(s Scope) bool { return !slices.Contains(names, string(s)) }), nil
}

// Token is a device token as decisions need it.
type Token struct {
	ID       string
	Account  mail.AccountID
	Name     string
	Scopes   []Scope
	Mailbox  mail.AccountID // the one it opens; empty: what its owner's password opens
	Created  time.Time
	LastUsed time.Time // zero: never
}

// Expired tells whether the token was not used for longer than allowed.
func (t Token) Expired(now time.Time, unused time.Duration) bool {
	last := t.Created
	if t.LastUsed.After(last) {
		last = t.LastUsed
	}
	return now.Sub(last) > unused
}

// ResolveToken decides, as Resolve does for a password, who logs in with a device token over a protocol and which mailbox opens. A
// token of one mailbox opens that when none is named, and no other. It is false, with the true reason in Access.Reason, for
// all that the token is not for.
func (s *Snapshot) ResolveToken(t Token, l Login, protocol Scope) (person *Account, access Access, ok bool) {
	person, reason, ok := s.Login(l.Person)
	switch {
	case !ok:
		return person, Access{Reason: reason}, false
	case person.ID != t.Account:
		return person, Access{Reason: Reason{
			Code: ReasonWrongSecret, Text: fmt.Sprintf("the device token is not one of %s", person.Address),
		}}, false
	case !slices.Contains(t.Scopes, protocol):
		return person, Access{Reason: Reason{
			Code: ReasonTokenScope, Text: fmt.Sprintf("the device token %q of %s is not for %s", t.Name, person.Address, protocol),
		}}, false
	case t.Mailbox == "":
		return s.Resolve(l)
	}
	if person.Is(l.Authz) {
		l.Authz = ""
	}
	if l.Authz == "" && l.Form == "" {
		access, ok = s.Open(person.ID, t.Mailbox)
		return person, access, ok
	}
	if person, access, ok = s.Resolve(l); ok && access.Mailbox.ID != t.Mailbox {
		return person, Access{Mailbox: access.Mailbox, Reason: tokenBound(access.Mailbox)}, false
	}
	return person, access, ok
}

func tokenBound(mailbox *Account) Reason {
	return Reason{ReasonTokenMailbox, fmt.Sprintf("the session is bound to another mailbox than %s by its device token", mailbox.Address), mailbox.Pos}
}

// ForToken decides whether an account may have a device token that opens a mailbox, or, where mailbox is empty, what the account
// itself opens.
func (s *Snapshot) ForToken(person, mailbox mail.Address) (owner, opens *Account, d Decision) {
	owner, reason, ok := s.Login(person)
	if !ok || mailbox == "" {
		return owner, nil, Decision{ok, reason}
	}
	opens, ok = s.byAddress[mailbox]
	switch {
	case !ok:
		return owner, nil, Decision{Reason: s.unknown(mailbox)}
	case opens.State == Closed:
		return owner, opens, Decision{Reason: closedReason(opens)}
	}
	access, ok := s.Open(owner.ID, opens.ID)
	return owner, opens, Decision{ok, access.Reason}
}

// Bound is a snapshot as a session sees it that is bound to one mailbox by a device token, whatever else its person may open. What
// it does not bind is the snapshot's.
type Bound struct {
	*Snapshot
	only mail.AccountID
}

// Bound binds what is asked to one mailbox; an empty one binds nothing.
func (s *Snapshot) Bound(only mail.AccountID) Bound { return Bound{s, only} }

func (b Bound) outside(id mail.AccountID) bool { return b.only != "" && id != b.only }

// Open is the snapshot's, within the bound.
func (b Bound) Open(person, mailbox mail.AccountID) (Access, bool) {
	access, ok := b.Snapshot.Open(person, mailbox)
	if ok && b.outside(mailbox) {
		return Access{Mailbox: access.Mailbox, Reason: tokenBound(access.Mailbox)}, false
	}
	return access, ok
}

// Mailboxes is the snapshot's, within the bound.
func (b Bound) Mailboxes(person mail.AccountID) []Access {
	return slices.DeleteFunc(b.Snapshot.Mailboxes(person), func(a Access) bool { return b.outside(a.Mailbox.ID) })
}

// SendAs is the snapshot's, within the bound.
func (b Bound) SendAs(person, mailbox mail.AccountID, from mail.Address) SendDecision {
	d := b.Snapshot.SendAs(person, mailbox, from)
	if d.Allowed && b.outside(d.Mailbox.ID) {
		return SendDecision{Mailbox: d.Mailbox, Reason: tokenBound(d.Mailbox)}
	}
	return d
}

// Method is a way to log in, in the words of the trace.
type Method string

// The methods.
const (
	MethodPassword    Method = "password"
	MethodToken       Method = "token"
	MethodDirectory   Method = "directory" // the password of the site's directory
	MethodOAuth       Method = "oauth"
	MethodCertificate Method = "certificate"
)

// Means is what somebody logged in with, as long as the session lives.
type Means struct {
	Method Method
	// ID is of the credential: when that is revoked or changed, the sessions that have it end. It tells nothing of a secret.
	ID string
	// Name is what a person calls it: the name of a device, the client of an access token.
	Name string
	// Only is the one mailbox the session may use; empty: all that the person may.
	Only mail.AccountID
	// Until is when the session ends at the latest; zero: it may go on.
	Until time.Time
}

// String is for the trace.
func (m Means) String() string {
	if m.Name == "" {
		return string(m.Method)
	}
	return fmt.Sprintf("%s %q", m.Method, strings.ToValidUTF8(m.Name, "?"))
}

package policy

import (
	"errors"
	"fmt"
	"strings"

	"balorg/mail"
)

// maxLogin bounds a user name: two addresses, a separator.
const maxLogin = 2*254 + 1

// Login is who authenticates and which mailbox they name, as written: any of an account's two addresses may stand in either
// place, so only a snapshot can tell whether Form and Authz agree (Resolve).
type Login struct {
	Person mail.Address
	Form   mail.Address // the mailbox of `mailbox*person` or `person/mailbox`, or empty
	Authz  mail.Address // the authorization identity, or empty
}

// ParseLogin reads a user name, `person`, `mailbox*person` or `person/mailbox`, and an authorization identity, which may be
// empty.
func ParseLogin(user, authzid string) (Login, error) {
	if len(user) > maxLogin || len(authzid) > maxLogin {
		return Login{}, errors.New("the user name is too long")
	}
	var l Login
	person, mailbox := user, ""
	star, slash := strings.Count(user, "*"), strings.Count(user, "/")
	switch {
	case star+slash > 1:
		return Login{}, errors.New("the user name names more than one mailbox")
	case star == 1:
		mailbox, person, _ = strings.Cut(user, "*")
	case slash == 1:
		person, mailbox, _ = strings.Cut(user, "/")
	}
	var err error
	if l.Person, err = mail.ParseAddress(person); err != nil {
		return Login{}, fmt.Errorf("reading the user name: %w", err)
	}
	if star+slash == 1 {
		if l.Form, err = mail.ParseAddress(mailbox); err != nil {
			return Login{}, fmt.Errorf("reading the mailbox in the user name: %w", err)
		}
	}
	if authzid != "" {
		if l.Authz, err = mail.ParseAddress(authzid); err != nil {
			return Login{}, fmt.Errorf("reading the authorization identity: %w", err)
		}
	}
	return l, nil
}

// Resolve decides who logs in and which mailbox opens, in the contract's order: the authorization identity when it is not
// the person, else the mailbox of the user name's form, else the default account, else the person's own mailbox. It is
// false, with the true reason in Access.Reason, when the person may not log in, may not open the mailbox, or when
// authorization identity and form disagree; the person is set when there is such an account. Whether the person is who they
// say is not its concern.
func (s *Snapshot) Resolve(l Login) (person *Account, access Access, ok bool) {
	person, reason, ok := s.Login(l.Person)
	if !ok {
		return person, Access{Reason: reason}, false
	}
	if person.Is(l.Authz) {
		l.Authz = ""
	}
	if l.Authz != "" && l.Form != "" && !s.same(l.Authz, l.Form) {
		return person, Access{Reason: Reason{
			Code: ReasonDisagree,
			Text: fmt.Sprintf("the authorization identity names %s and the user name %s", l.Authz, l.Form),
		}}, false
	}
	name := l.Authz
	if name == "" {
		name = l.Form
	}
	if name == "" {
		access = s.Default(person.ID)
		return person, access, true
	}
	mailbox, found := s.byAddress[name]
	if !found {
		return person, Access{Reason: s.unknown(name)}, false
	}
	if mailbox.State == Closed {
		return person, Access{Mailbox: mailbox, Reason: closedReason(mailbox)}, false
	}
	access, ok = s.Open(person.ID, mailbox.ID)
	return person, access, ok
}

// same tells whether two addresses name one account, or are one address.
func (s *Snapshot) same(a, b mail.Address) bool {
	account, ok := s.byAddress[a]
	return a == b || (ok && account == s.byAddress[b])
}

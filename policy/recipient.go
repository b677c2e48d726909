package policy

import (
	"fmt"

	"balorg/mail"
)

// Trusted tells whether a domain is in the trust space. It is asked with domains as mail.Address has them.
type Trusted func(domain string) bool

// RecipientDecision says whether a message may go to an address.
type RecipientDecision struct {
	Allowed bool
	Local   *Account // the account of this platform that has the address; nil: it is another operator's
	Reason  Reason
}

// Recipient decides on one recipient of a message that goes out as d says. It is asked when the recipient is named, and again before
// each attempt to deliver: accounts, and the trust space, change meanwhile.
func (s *Snapshot) Recipient(d SendDecision, to mail.Address, trusted Trusted) RecipientDecision {
	if local := s.Receives(to); local.Allowed || s.IsLocal(to.Domain()) {
		return local
	}
	if !trusted(to.Domain()) {
		return RecipientDecision{Reason: untrusted(to)}
	}
	if !d.OffPlatform {
		return RecipientDecision{Reason: d.OffReason}
	}
	return RecipientDecision{Allowed: true, Reason: Reason{Code: ReasonTrusted, Text: fmt.Sprintf("%s is in the trust space", to.Domain())}}
}

// Receives tells whether the address is an account of this platform that takes mail: all do but those whose owner is not settled.
func (s *Snapshot) Receives(to mail.Address) RecipientDecision {
	account, ok := s.byAddress[to]
	switch {
	case !ok:
		return RecipientDecision{Reason: s.unknown(to)}
	case account.State == Closed:
		return RecipientDecision{Reason: closedReason(account)}
	}
	return RecipientDecision{Allowed: true, Local: account, Reason: Reason{ReasonLocal, fmt.Sprintf("%s is an account of this platform", to), account.Pos}}
}

// InboundSender decides whether a message from outside may say that it is from an address, in its envelope or its header: from the trust
// space, and never from a domain of this platform, whose people submit. The null path is for notices and always allowed.
func (s *Snapshot) InboundSender(from mail.Address, trusted Trusted) (Reason, bool) {
	switch {
	case from == "":
		return Reason{Code: ReasonTrusted, Text: "a notice has no sender"}, true
	case s.IsLocal(from.Domain()):
		return Reason{Code: ReasonLocalSender, Text: fmt.Sprintf("%s is a domain of this platform, and the message comes from outside", from.Domain())}, false
	case !trusted(from.Domain()):
		return untrusted(from), false
	}
	return Reason{Code: ReasonTrusted, Text: fmt.Sprintf("%s is in the trust space", from.Domain())}, true
}

func untrusted(a mail.Address) Reason {
	return Reason{Code: ReasonUntrusted, Text: fmt.Sprintf("%s is not in the trust space", a.Domain())}
}

// IsLocal tells whether accounts of this platform have their addresses in the domain.
func (s *Snapshot) IsLocal(domain string) bool { return s.domains[domain] }

// Notified is somebody who wants to be told that a mailbox received something.
type Notified struct {
	Person *Account
	At     mail.Address // their ordinary address
}

// Notified answers who wants to be told that a mailbox received something: its owner when they named an address for that, and those of
// its delegates who want it and named one. Who may not open the mailbox now is not told. The answer is shared and read-only: it is asked
// for every message, within the transaction that delivers it.
func (s *Snapshot) Notified(mailbox mail.AccountID) []Notified { return s.notified[mailbox] }

// Announced answers the mailboxes that somebody is notified of, in order of address.
func (s *Snapshot) Announced() []*Account {
	var all []*Account
	for _, a := range s.accounts {
		if a.ID != "" && len(s.notified[a.ID]) > 0 {
			all = append(all, a)
		}
	}
	return all
}

// noteNotified finds out, once for the snapshot, who is notified of what.
func (s *Snapshot) noteNotified() {
	s.notified = make(map[mail.AccountID][]Notified)
	for _, person := range s.accounts {
		if person.Notify == "" || person.ID == "" || !person.Kind.Nominative() {
			continue
		}
		for _, access := range s.Mailboxes(person.ID) {
			if access.Notify || access.Own {
				id := access.Mailbox.ID
				s.notified[id] = append(s.notified[id], Notified{Person: person, At: person.Notify})
			}
		}
	}
}

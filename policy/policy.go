// Package policy decides: which account an address is, what a person may open and with which rights, as whom they may
// send, whose entries they may see. A Roster is what the administrator's files say, checked; a Snapshot is a roster joined
// with the identities that accounts keep for ever and with personal choices, and it answers every question. Snapshots never
// change: a reload builds another one and swaps a pointer, so a decision is made on one consistent set of rules.
//
// Decisions are pure functions and each carries its Reason, with the file and line it comes from: the trace, the
// explain command and the session that is refused all speak of the same cause.
package policy

import (
	"fmt"

	"balorg/configs"
	"balorg/mail"
)

// Kind says what an account stands for; the words are the field's (TypeBAL, in lower case) and Med is ours.
type Kind string

// The kinds of account.
const (
	Per Kind = "per" // a professional with a national number (RPPS or ADELI)
	Med Kind = "med" // a person without one
	Org Kind = "org" // the mailbox of a service; nobody logs in to it directly
	App Kind = "app" // a piece of software
)

// UnmarshalText reads a kind.
func (k *Kind) UnmarshalText(text []byte) error {
	switch kind := Kind(text); kind {
	case Per, Med, Org, App:
		*k = kind
		return nil
	case "cab":
		return fmt.Errorf("cab exists in the national directory only; write per, med, org or app")
	default:
		return fmt.Errorf("%q is not a kind of account; write per, med, org or app", text)
	}
}

// Nominative tells whether the kind is a person's: only persons may be given a delegation.
func (k Kind) Nominative() bool { return k == Per || k == Med }

// State says how far an account is in use.
type State string

// The states of an account. Closed is never written in a file: it is the state of an address that came back after its
// removal and awaits the administrator's word (see Identity).
const (
	Active        State = "active"
	Preregistered State = "preregistered" // no password yet; receives
	Suspended     State = "suspended"     // no login, and nobody opens it; receives
	Closed        State = "closed"
)

// UnmarshalText reads a state as files have it.
func (s *State) UnmarshalText(text []byte) error {
	switch state := State(text); state {
	case Active, Preregistered, Suspended:
		*s = state
		return nil
	default:
		return fmt.Errorf("%q is not a state; write active, preregistered or suspended", text)
	}
}

// SendMode says under whose name a delegate writes from a mailbox.
type SendMode string

// The ways of sending.
const (
	SendNo       SendMode = "no"        // not at all
	SendAs       SendMode = "as"        // as the mailbox; nothing names the person
	SendOnBehalf SendMode = "on-behalf" // as the mailbox, with the person as Sender
)

// UnmarshalText reads a way of sending.
func (m *SendMode) UnmarshalText(text []byte) error {
	switch mode := SendMode(text); mode {
	case SendNo, SendAs, SendOnBehalf:
		*m = mode
		return nil
	default:
		return fmt.Errorf("%q is not a way of sending; write no, as or on-behalf", text)
	}
}

// Sender says as whom mail goes out that a person writes under their own address.
type Sender string

// The senders.
const (
	SenderNominative Sender = "nominative" // as the person
	SenderDefault    Sender = "default"    // as the person's default account
)

// UnmarshalText reads a sender.
func (s *Sender) UnmarshalText(text []byte) error {
	switch sender := Sender(text); sender {
	case SenderNominative, SenderDefault:
		*s = sender
		return nil
	default:
		return fmt.Errorf("%q is not a sender; write nominative or default", text)
	}
}

// Structure is the national number of the structure a mailbox belongs to; at most one field is set.
type Structure struct {
	FINESS string `json:"finess,omitempty"`
	SIRET  string `json:"siret,omitempty"`
	SIREN  string `json:"siren,omitempty"`
}

// Account is one mailbox of the platform and, unless it is an Org, one who may log in. Accounts are shared by all who ask a
// snapshot: they are read-only.
type Account struct {
	ID      mail.AccountID // empty in a Roster; a Snapshot has it
	Address mail.Address   // the identifier, which the site's mail system need not know
	MSSante mail.Address   // the address in the trust space, or empty
	Kind    Kind
	State   State

	Label       string // the name recipients see: an org's description, a person's titre, prénom and nom
	Nom         string
	Prenom      string
	Titre       string
	Description string
	RPPS        string
	ADELI       string
	Profession  string // code, two digits
	Service     string
	Structure   Structure
	Responsible mail.Address // identifier of the professional who answers for an Org or App; never shown to users

	RedList   bool // hidden by the directory; in a Snapshot also by the person's own wish
	Admin     bool
	Sender    Sender
	Notify    mail.Address // the ordinary address for notifications, or empty
	Mailstore string       // name of a mail store of the daemon's configuration
	Quota     int64        // octets; zero: no limit of its own
	Language  string       // fr, en, or empty for the platform's

	RedListWish bool // on the red list by the person's wish alone: they may take it back; never in a Roster

	Pos configs.Pos // where the files define it
}

// Published is the address others know the account by: the MSSanté address, or the identifier when there is none.
func (a *Account) Published() mail.Address {
	if a.MSSante != "" {
		return a.MSSante
	}
	return a.Address
}

// Is tells whether address is the account's identifier or its MSSanté address.
func (a *Account) Is(address mail.Address) bool {
	return address != "" && (address == a.Address || address == a.MSSante)
}

// Delegation is the grant of an organisational mailbox to a person, both by identifier.
type Delegation struct {
	Mailbox mail.Address
	Account mail.Address
	Rights  Right
	Send    SendMode
	Default bool
	Notify  bool
	Pos     configs.Pos
}

// Roster is what accounts.yaml and delegations.yaml say, after every check. Accounts are in order of address, delegations
// in order of mailbox and account.
type Roster struct {
	Accounts    []*Account
	Delegations []Delegation
}

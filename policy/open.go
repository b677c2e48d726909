package policy

import (
	"fmt"

	"balorg/mail"
)

// Access is what a person may do in one mailbox.
type Access struct {
	Mailbox *Account
	Own     bool // the person's own mailbox
	Rights  Right
	Send    SendMode
	Default bool // opened when the person names no mailbox
	Notify  bool // the person is told of what it receives
	Reason  Reason
}

// Login tells whether the account with this address may authenticate at all. The account is nil when there is none; the
// reason says why, either way.
func (s *Snapshot) Login(person mail.Address) (*Account, Reason, bool) {
	account, ok := s.byAddress[person]
	if !ok {
		return nil, s.unknown(person), false
	}
	if reason, ok := mayLogIn(account); !ok {
		return account, reason, false
	}
	return account, Reason{ReasonLogin, string(account.Address) + " is active", account.Pos}, true
}

func (s *Snapshot) unknown(a mail.Address) Reason {
	if identity, ok := s.gone[a]; ok {
		return Reason{
			Code: ReasonRemoved,
			Text: fmt.Sprintf("%s is no longer in the accounts file; its mail is parked since %s", a, identity.Since.Format("2006-01-02")),
		}
	}
	return Reason{Code: ReasonUnknown, Text: fmt.Sprintf("no account has the address %s", a)}
}

// mayLogIn tells whether an account may authenticate at all, and why not.
func mayLogIn(a *Account) (Reason, bool) {
	if a.Kind == Org {
		return Reason{ReasonOrgLogin, fmt.Sprintf("%s is an organisational mailbox; people open it with their own account", a.Address), a.Pos}, false
	}
	switch a.State {
	case Closed:
		return closedReason(a), false
	case Suspended:
		return Reason{ReasonSuspended, fmt.Sprintf("%s is suspended", a.Address), a.Pos}, false
	case Preregistered:
		return Reason{ReasonNotActive, fmt.Sprintf("%s is pre-registered and has no password yet", a.Address), a.Pos}, false
	case Active:
	}
	return Reason{}, true
}

func closedReason(a *Account) Reason {
	text := "%s came back after it had been removed, or has become another kind of account; it stays closed until `balorg account restore %[1]s` or `balorg account new %[1]s`"
	return Reason{ReasonClosed, fmt.Sprintf(text, a.Address), a.Pos}
}

// Open tells whether a person may open a mailbox, and with which rights. Access.Reason says why or why not; the mailbox
// of a refusal is set when it exists. A person who may not log in opens nothing, and a suspended mailbox is opened
// by nobody: it receives, and waits.
func (s *Snapshot) Open(person, mailbox mail.AccountID) (Access, bool) {
	who, ok := s.byID[person]
	if !ok {
		return Access{Reason: Reason{Code: ReasonUnknown, Text: "the account that asks is not, or no longer, in the accounts file"}}, false
	}
	box, ok := s.byID[mailbox]
	if !ok {
		return Access{Reason: Reason{Code: ReasonUnknown, Text: "the mailbox is not, or no longer, in the accounts file"}}, false
	}
	if reason, ok := mayLogIn(who); !ok {
		return Access{Mailbox: box, Reason: reason}, false
	}
	if person == mailbox {
		return s.own(who), true
	}
	g := s.grant(person, mailbox)
	if g == nil {
		return Access{Mailbox: box, Reason: Reason{
			Code: ReasonNotDelegated,
			Text: fmt.Sprintf("no delegation gives %s to %s", box.Address, who.Address),
			Pos:  box.Pos,
		}}, false
	}
	return g.access(who)
}

func (s *Snapshot) own(a *Account) Access {
	home := true
	for _, g := range s.grants[a.ID] {
		if g.usable() && g.isHome {
			home = false
		}
	}
	return Access{
		Mailbox: a, Own: true, Rights: PresetManage, Send: SendAs, Default: home,
		Reason: Reason{ReasonOwn, string(a.Address) + " is the account's own mailbox", a.Pos},
	}
}

// usable tells whether anybody may open the mailbox now.
func (g *grant) usable() bool { return g.mailbox.State != Suspended }

// access is asked for with every command: what it answers is put together without more ado.
func (g *grant) access(who *Account) (Access, bool) {
	if !g.usable() {
		return Access{Mailbox: g.mailbox, Reason: Reason{
			ReasonSuspended, fmt.Sprintf("%s is suspended", g.mailbox.Address), g.mailbox.Pos,
		}}, false
	}
	return Access{
		Mailbox: g.mailbox, Rights: g.Rights, Send: g.Send, Default: g.isHome, Notify: g.notify,
		Reason: Reason{
			ReasonDelegated,
			string(g.mailbox.Address) + " is delegated to " + string(who.Address) + ": " + g.Rights.Preset() + ", send " + string(g.Send),
			g.Pos,
		},
	}, true
}

// Mailboxes answers all a person may open: their own first, the delegated ones in order of address. It is empty for one who
// may not log in.
func (s *Snapshot) Mailboxes(person mail.AccountID) []Access {
	who, ok := s.byID[person]
	if !ok {
		return nil
	}
	if _, ok := mayLogIn(who); !ok {
		return nil
	}
	all := []Access{s.own(who)}
	for _, g := range s.grants[person] {
		if access, ok := g.access(who); ok {
			all = append(all, access)
		}
	}
	return all
}

// Default answers the mailbox that opens when the person names none: the default account, or their own when there is none or
// it cannot be opened. Ask only for accounts that may log in: for others the Mailbox is nil.
func (s *Snapshot) Default(person mail.AccountID) Access {
	for _, access := range s.Mailboxes(person) {
		if access.Default {
			return access
		}
	}
	return Access{Reason: Reason{Code: ReasonUnknown, Text: "the account may not log in"}}
}

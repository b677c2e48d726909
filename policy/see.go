package policy

import (
	"fmt"

	"balorg/mail"
)

// Decision is a yes or no with its reason.
type Decision struct {
	Allowed bool
	Reason  Reason
}

// See decides whether viewer, having opened a mailbox, may see the directory entry with this address. An address that is no
// account of the platform stands for an entry of the national directory. To everybody else a red-listed entry must look as if it
// did not exist: no decision may be told to the viewer other than by leaving the entry out.
func (s *Snapshot) See(viewer, opened mail.AccountID, entry mail.Address) Decision {
	access, ok := s.Open(viewer, opened)
	if !ok {
		return Decision{Reason: access.Reason}
	}
	account, local := s.byAddress[entry]
	if !local {
		return seeNational(access.Mailbox, entry)
	}
	who := s.byID[viewer]
	switch {
	case account.State == Closed:
		return Decision{Reason: closedReason(account)}
	case account.State != Active:
		return Decision{Reason: Reason{ReasonHidden, fmt.Sprintf("%s is %s and not shown", account.Address, account.State), account.Pos}}
	case !account.RedList:
		return Decision{true, Reason{ReasonVisible, fmt.Sprintf("%s is an account of this platform", account.Address), account.Pos}}
	case account == who, account == access.Mailbox:
		return Decision{true, Reason{ReasonOwn, fmt.Sprintf("%s is on the red list, and the viewer's own", account.Address), account.Pos}}
	case who.Admin:
		return Decision{true, Reason{ReasonAdmin, fmt.Sprintf("%s is on the red list; %s is an administrator", account.Address, who.Address), who.Pos}}
	}
	return Decision{Reason: Reason{ReasonRedList, fmt.Sprintf("%s is on the red list", account.Address), account.Pos}}
}

func seeNational(opened *Account, entry mail.Address) Decision {
	if opened.MSSante == "" {
		return Decision{Reason: Reason{
			ReasonNoMSSante,
			fmt.Sprintf("%s is not of this platform, and the opened mailbox %s has no MSSanté address", entry, opened.Address),
			opened.Pos,
		}}
	}
	return Decision{true, Reason{
		ReasonVisible,
		fmt.Sprintf("the opened mailbox %s has an MSSanté address; the national directory's entry of %s is shown if there is one", opened.Address, entry),
		opened.Pos,
	}}
}

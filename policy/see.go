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

// Listing says to whom the directory shows an account.
type Listing int

// The listings.
const (
	Unlisted  Listing = iota // to nobody: it is not in use
	RedListed                // to itself and administrators; to everybody else as if it did not exist
	Listed
)

// Listing says to whom the directory shows the account.
func (a *Account) Listing() Listing {
	switch {
	case a.State != Active:
		return Unlisted
	case a.RedList:
		return RedListed
	}
	return Listed
}

// Sight is what one who has opened a mailbox sees of the directory. The zero value sees nothing.
type Sight struct {
	Local     bool              // the platform's accounts that are listed
	National  bool              // entries of the national directory that are of no account of the platform
	RedListed bool              // accounts on the red list as well
	Own       [2]mail.AccountID // accounts seen even on the red list: the person's, and the mailbox opened
}

// Sight decides what viewer, having opened a mailbox, sees. It is false, with the reason, when they may not have it open.
func (s *Snapshot) Sight(viewer, opened mail.AccountID) (Sight, Decision) {
	access, ok := s.Open(viewer, opened)
	if !ok {
		return Sight{}, Decision{Reason: access.Reason}
	}
	return Sight{
		Local: true, National: access.Mailbox.MSSante != "", RedListed: s.byID[viewer].Admin,
		Own: [2]mail.AccountID{viewer, access.Mailbox.ID},
	}, Decision{true, access.Reason}
}

// Sees tells whether an account of the platform is shown.
func (s Sight) Sees(a *Account) bool {
	if a.ID == "" || !s.Local {
		return false
	}
	switch a.Listing() {
	case Listed:
		return true
	case RedListed:
		return s.RedListed || s.Own[0] == a.ID || s.Own[1] == a.ID
	default:
		return false
	}
}

// See decides whether viewer, having opened a mailbox, may see the directory entry with this address. An address that is no
// account of the platform stands for an entry of the national directory. To everybody else a red-listed entry must look as if it
// did not exist: no decision may be told to the viewer other than by leaving the entry out.
func (s *Snapshot) See(viewer, opened mail.AccountID, entry mail.Address) Decision {
	sight, opens := s.Sight(viewer, opened)
	if !opens.Allowed {
		return opens
	}
	account, local := s.byAddress[entry]
	if !local {
		return seeNational(sight, s.byID[opened], entry)
	}
	who := s.byID[viewer]
	decision := Decision{Allowed: sight.Sees(account)}
	switch listing := account.Listing(); {
	case account.State == Closed:
		decision.Reason = closedReason(account)
	case listing == Unlisted:
		decision.Reason = Reason{ReasonHidden, fmt.Sprintf("%s is %s and not shown", account.Address, account.State), account.Pos}
	case listing == Listed:
		decision.Reason = Reason{ReasonVisible, fmt.Sprintf("%s is an account of this platform", account.Address), account.Pos}
	case !decision.Allowed:
		decision.Reason = Reason{ReasonRedList, redListed(account), account.Pos}
	case account.ID == viewer || account.ID == opened:
		decision.Reason = Reason{ReasonOwn, redListed(account) + ", and the viewer's own", account.Pos}
	default:
		decision.Reason = Reason{ReasonAdmin, fmt.Sprintf("%s; %s is an administrator", redListed(account), who.Address), who.Pos}
	}
	return decision
}

func redListed(a *Account) string {
	if a.RedListWish {
		return fmt.Sprintf("%s is on the red list by their own wish", a.Address)
	}
	return fmt.Sprintf("%s is on the red list", a.Address)
}

func seeNational(sight Sight, opened *Account, entry mail.Address) Decision {
	if !sight.National {
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

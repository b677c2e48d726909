package policy

import (
	"cmp"
	"slices"
	"strings"

	"balorg/mail"
)

// Snapshot is one immutable set of rules. All methods may be called concurrently; all accounts they answer are
// shared and read-only.
type Snapshot struct {
	byAddress map[mail.Address]*Account // by identifier and by MSSanté address
	byID      map[mail.AccountID]*Account
	gone      map[mail.Address]Identity // parked accounts, for the reason of a refusal
	grants    map[mail.AccountID][]*grant
	accounts  []*Account      // in order of address
	domains   map[string]bool // those of all addresses
	lapsed    []Choice
	notified  map[mail.AccountID][]Notified // by mailbox
}

// grant is a delegation between two accounts that have ids, personal choices laid over it.
type grant struct {
	Delegation
	mailbox *Account
	isHome  bool // the person's default account
	notify  bool
}

// NewSnapshot joins a checked roster with the identities of its accounts and with personal choices. An account without
// a live identity is Closed; Reconcile makes identities for those that need one.
func NewSnapshot(r *Roster, identities []Identity, choices []Choice) *Snapshot {
	s := &Snapshot{
		byAddress: make(map[mail.Address]*Account, 2*len(r.Accounts)),
		byID:      make(map[mail.AccountID]*Account, len(r.Accounts)),
		gone:      map[mail.Address]Identity{},
		grants:    make(map[mail.AccountID][]*grant, len(r.Delegations)),
		domains:   map[string]bool{},
	}
	current := currentIdentities(identities)
	for _, listed := range r.Accounts {
		account := *listed
		if identity, ok := current[account.Address]; ok && identity.State == IdentityLive {
			account.ID = identity.ID
			s.byID[account.ID] = &account
		} else {
			account.State = Closed
		}
		s.accounts = append(s.accounts, &account)
		s.byAddress[account.Address] = &account
		s.domains[account.Address.Domain()] = true
		if account.MSSante != "" {
			s.domains[account.MSSante.Domain()] = true
			s.byAddress[account.MSSante] = &account
		}
	}
	for address, identity := range current {
		if _, listed := s.byAddress[address]; !listed {
			s.gone[address] = identity
		}
	}
	for _, d := range r.Delegations {
		person, mailbox := s.byAddress[d.Account], s.byAddress[d.Mailbox]
		if person == nil || mailbox == nil || person.ID == "" || mailbox.ID == "" {
			continue
		}
		s.grants[person.ID] = append(s.grants[person.ID], &grant{
			Delegation: d, mailbox: mailbox, isHome: d.Default, notify: d.Notify,
		})
	}
	for _, grants := range s.grants {
		slices.SortFunc(grants, func(a, b *grant) int {
			return strings.Compare(string(a.mailbox.Address), string(b.mailbox.Address))
		})
	}
	s.applyChoices(choices)
	s.noteNotified()
	return s
}

// Account finds an account by its identifier or its MSSanté address.
func (s *Snapshot) Account(a mail.Address) (*Account, bool) {
	account, ok := s.byAddress[a]
	return account, ok
}

// ByID finds an account that is in the files and not closed.
func (s *Snapshot) ByID(id mail.AccountID) (*Account, bool) {
	account, ok := s.byID[id]
	return account, ok
}

// Held is a delegation with the person's own choices laid over it.
type Held struct {
	Delegation
	Home     bool // the person's default account
	Notified bool
}

// Delegations answers every delegation between accounts in use, in order of mailbox and person.
func (s *Snapshot) Delegations() []Held {
	var all []Held
	for _, grants := range s.grants {
		for _, g := range grants {
			all = append(all, Held{g.Delegation, g.isHome, g.notify})
		}
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(strings.Compare(string(a.Mailbox), string(b.Mailbox)), strings.Compare(string(a.Account), string(b.Account)))
	})
	return all
}

// Accounts answers every account of the files in order of address, closed ones included.
func (s *Snapshot) Accounts() []*Account { return slices.Clone(s.accounts) }

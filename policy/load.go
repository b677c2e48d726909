package policy

import (
	"cmp"
	"slices"
	"strings"

	"balorg/configs"
	"balorg/mail"
)

// Source is what a roster is made of.
type Source struct {
	Accounts    []configs.File
	Delegations []configs.File
	Mailstores  []string // names of the mail stores the daemon has

	// Set when files are missing from Accounts or Delegations, which is for the caller to report: then nothing is said of what they may
	// have held.
	AccountsMissing, DelegationsMissing bool
}

// Load reads accounts and delegations and checks every rule. It answers a roster even when there are problems, for tools
// that look into a broken configuration; only one without errors (Problems.Err) may be served. Problems are sorted.
func Load(src Source) (*Roster, configs.Problems) {
	l := &loader{
		byAddress:  map[mail.Address]*entry{},
		mailstores: src.Mailstores,
		homes:      map[mail.Address]configs.Pos{},
		numbers:    map[string]configs.Pos{},
		noAccounts: src.AccountsMissing, noDelegations: src.DelegationsMissing,
	}
	for _, file := range src.Accounts {
		var content accountsFile
		found := configs.Decode(file.Name, file.Data, &content)
		l.problems = append(l.problems, found...)
		l.noAccounts = l.noAccounts || (found.Err() != nil && content.Accounts == nil)
		for i := range content.Accounts {
			l.addAccount(&content.Accounts[i])
		}
	}
	for _, e := range l.entries {
		l.checkResponsible(e)
	}
	for _, file := range src.Delegations {
		var content delegationsFile
		found := configs.Decode(file.Name, file.Data, &content)
		l.problems = append(l.problems, found...)
		l.noDelegations = l.noDelegations || (found.Err() != nil && content.Delegations == nil)
		for i := range content.Delegations {
			l.addDelegation(&content.Delegations[i])
		}
	}
	l.checkOrgs()
	return l.roster(), l.problems.Sorted()
}

type loader struct {
	problems   configs.Problems
	entries    []*entry
	byAddress  map[mail.Address]*entry // identifiers and MSSanté addresses
	mailstores []string
	granted    map[grantKey]configs.Pos
	grants     []Delegation
	homes      map[mail.Address]configs.Pos // where each person's default account is set
	numbers    map[string]configs.Pos       // where each person's national number is set
	searched   int                          // likely addresses looked for
	// A file of the kind could not be read at all. That is one problem, and not another for each account it may define.
	noAccounts, noDelegations bool
}

// entry is an account together with what the file said about it.
type entry struct {
	Account
	file     *accountEntry
	attached int // delegates
	// unreadable: the file names the account, and what it says about it is wrong.
	unreadable bool
}

type grantKey struct{ mailbox, account mail.Address }

func (l *loader) roster() *Roster {
	r := &Roster{Delegations: l.grants}
	for _, e := range l.entries {
		r.Accounts = append(r.Accounts, &e.Account)
	}
	slices.SortFunc(r.Accounts, func(a, b *Account) int { return strings.Compare(string(a.Address), string(b.Address)) })
	slices.SortFunc(r.Delegations, func(a, b Delegation) int {
		return cmp.Or(strings.Compare(string(a.Mailbox), string(b.Mailbox)), strings.Compare(string(a.Account), string(b.Account)))
	})
	return r
}

// addAccount takes one account over. One without a readable address or kind was reported by the decoder and can be
// checked no further; its address is kept, so that what refers to it is not reported as well.
func (l *loader) addAccount(f *accountEntry) {
	if f.Address.V == "" {
		return
	}
	if f.Kind.V == "" {
		e := &entry{file: f, unreadable: true, Account: Account{Pos: f.Pos}}
		if l.claim(mail.Address(f.Address.V), f.Address.Pos, e) && f.MSSante.V != "" && f.MSSante.V != f.Address.V {
			l.claim(mail.Address(f.MSSante.V), f.MSSante.Pos, e)
		}
		return
	}
	e := &entry{file: f, Account: Account{
		Address: mail.Address(f.Address.V), MSSante: mail.Address(f.MSSante.V),
		Kind: f.Kind.V, State: f.State.Or(Active),
		Nom: string(f.Nom.V), Prenom: string(f.Prenom.V), Titre: string(f.Titre.V), Description: string(f.Description.V),
		RPPS: f.RPPS.V, ADELI: f.ADELI.V, Profession: f.Profession.V, Service: string(f.Service.V),
		Structure:   Structure{FINESS: f.Structure.FINESS.V, SIRET: f.Structure.SIRET.V, SIREN: f.Structure.SIREN.V},
		Responsible: mail.Address(f.Responsible.V),
		RedList:     f.RedList.V, Admin: f.Admin.V, Sender: f.Sender.Or(SenderNominative), Notify: mail.Address(f.Notify.V),
		Mailstore: f.Mailstore.V, Quota: int64(f.Quota.V), Language: string(f.Language.V),
		Pos: f.Pos,
	}}
	e.Label = label(&e.Account)
	if !l.claim(e.Address, f.Address.Pos, e) {
		return
	}
	if e.MSSante != "" && e.MSSante != e.Address && !l.claim(e.MSSante, f.MSSante.Pos, e) {
		e.MSSante = ""
	}
	l.entries = append(l.entries, e)
	l.checkNames(e)
	l.checkNumbers(e)
	l.checkSettings(e)
}

// claim gives an address to an account: identifiers and MSSanté addresses share one space.
func (l *loader) claim(a mail.Address, at configs.Pos, e *entry) bool {
	if holder, taken := l.byAddress[a]; taken {
		l.problems.Add(at, "", "%s is used twice; it belongs to the account at %s", a, holder.Pos)
		return false
	}
	l.byAddress[a] = e
	return true
}

// label is the name recipients see.
func label(a *Account) string {
	if !a.Kind.Nominative() && a.Description != "" {
		return a.Description
	}
	words := []string{a.Titre, a.Prenom, a.Nom}
	if !a.Kind.Nominative() {
		words = []string{a.Nom, a.Prenom}
	}
	name := strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " ")
	if name == "" {
		return string(a.Address)
	}
	return name
}

// addDelegation takes the grants of one mailbox over.
func (l *loader) addDelegation(f *delegationEntry) {
	if f.Mailbox.V == "" {
		return
	}
	mailbox := l.byAddress[mail.Address(f.Mailbox.V)]
	switch {
	case mailbox == nil:
		l.dangling(f.Mailbox)
		return
	case mailbox.unreadable:
		return
	case mailbox.Kind != Org:
		l.problems.Add(f.Mailbox.Pos, "only org mailboxes are shared; kinds per and med are individual, an app's is its own",
			"%s is of kind %s and cannot be delegated", f.Mailbox.V, mailbox.Kind)
		return
	}
	for i := range f.Accounts {
		l.addGrant(mailbox, &f.Accounts[i])
	}
}

func (l *loader) addGrant(mailbox *entry, f *delegateEntry) {
	if f.Account.V == "" {
		return
	}
	person := l.byAddress[mail.Address(f.Account.V)]
	switch {
	case person == nil:
		l.dangling(f.Account)
		return
	case person.unreadable:
		mailbox.attached++
		return
	case !person.Kind.Nominative():
		l.problems.Add(f.Account.Pos, "delegate to the accounts of persons (per, med)",
			"%s is of kind %s and cannot be a delegate", f.Account.V, person.Kind)
		return
	}
	key := grantKey{mailbox.Address, person.Address}
	if first, twice := l.granted[key]; twice {
		l.problems.Add(f.Pos, "", "%s is delegated to %s twice; first at %s", mailbox.Address, person.Address, first)
		return
	}
	if l.granted == nil {
		l.granted = map[grantKey]configs.Pos{}
	}
	l.granted[key] = f.Pos
	mailbox.attached++
	l.checkGrant(mailbox, person, f)
	l.grants = append(l.grants, Delegation{
		Mailbox: mailbox.Address, Account: person.Address, Rights: f.Rights.V, Send: f.Send.Or(SendNo),
		Default: f.Default.V, Notify: f.Notify.V, Pos: f.Pos,
	})
}

// dangling reports an address that no account has.
func (l *loader) dangling(a configs.Value[address]) {
	if !l.noAccounts {
		l.problems.Add(a.Pos, l.nearest(a.V), "no account has the address %s", a.V)
	}
}

// maxNearest bounds the search for likely addresses: with half an accounts file missing, ten thousand references dangle, and
// comparing each with every account would hold the reload for minutes.
const maxNearest = 20

// nearest is the hint for an address that no account has.
func (l *loader) nearest(a address) string {
	const otherwise = "add the account to the accounts file first"
	if l.searched++; l.searched > maxNearest {
		return otherwise
	}
	candidates := make([]string, 0, len(l.byAddress))
	for known := range l.byAddress {
		if known.Domain() == mail.Address(a).Domain() || known.Local() == mail.Address(a).Local() {
			candidates = append(candidates, string(known))
		}
	}
	slices.Sort(candidates)
	if near, ok := configs.Nearest(string(a), candidates); ok {
		return "did you mean " + near + "?"
	}
	return otherwise
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"balorg/gateway/control"
	"balorg/gateway/portal"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/smtp/notice"
	"balorg/store/activation"
	"balorg/store/audit"
)

// The operations on accounts that have no password yet, or that nobody uses.
const (
	OpInvite   = "account.invite"
	OpRemind   = "account.remind"
	OpInactive = "account.inactive"
)

// Arguments and answers of these operations.
type (
	// InviteArgs are for OpInvite. Print: the link is answered, not mailed.
	InviteArgs struct {
		Address mail.Address
		Print   bool
	}
	// Invited is what OpInvite answers: where the link was mailed to, or the link itself.
	Invited struct {
		Address mail.Address `json:"address"`
		SentTo  mail.Address `json:"sent_to,omitempty"`
		Link    string       `json:"link,omitempty"`
		Why     string       `json:"why,omitempty"` // why it was not mailed
	}
	// RemindArgs are for OpRemind. Look: nobody is written to.
	RemindArgs struct{ Look bool }
	// Reminded is what OpRemind answers of a preregistered account.
	Reminded struct {
		Address mail.Address `json:"address"`
		Label   string       `json:"label"`
		Last    time.Time    `json:"last,omitzero"` // the reminder before this one
		SentTo  mail.Address `json:"sent_to,omitempty"`
		Why     string       `json:"why,omitempty"` // why none was sent now
	}
)

// writeLetter mails a letter to a person by the route of notifications; nil where there is none.
type writeLetter func(ctx context.Context, l notice.Letter, person *policy.Account, link string) error

// inviter makes activation links.
type inviter struct {
	st    *state
	base  func() (string, error) // of the portal's pages
	write writeLetter
	look  func(context.Context) (*policy.Snapshot, error)
}

// activationPath is where the portal has the page.
const activationPath = "/activation/"

func (i inviter) operations() map[string]control.Op {
	return map[string]control.Op{
		OpInvite: operation(func(ctx context.Context, args InviteArgs, emit func(any) error) error {
			answer, err := i.invite(ctx, args)
			if err != nil {
				return err
			}
			return emit(answer)
		}),
		OpInactive: i.inactiveOperation(),
		OpRemind: operation(func(ctx context.Context, args RemindArgs, emit func(any) error) error {
			return i.remind(ctx, args.Look, emit)
		}),
	}
}

// invitable tells what keeps an account from being invited.
func (i inviter) invitable(ctx context.Context, person *policy.Account) error {
	switch {
	case !person.Kind.Nominative():
		return fmt.Errorf("%s is of kind %s: nobody logs in to it with a password", person.Address, person.Kind)
	case person.ID == "":
		return fmt.Errorf("%s is closed: run `balorg account restore` or `balorg account new` first", person.Address)
	case person.State == policy.Suspended:
		return fmt.Errorf("%s is suspended in the accounts file", person.Address)
	case person.State == policy.Preregistered:
		return nil
	}
	switch _, err := i.st.settings.Password(ctx, person.ID); {
	case err == nil:
		return fmt.Errorf("%s has a password already; `balorg account passwd` sets another", person.Address)
	case !errors.Is(err, auth.ErrUnset):
		return err
	}
	return nil
}

func (i inviter) invite(ctx context.Context, args InviteArgs) (Invited, error) {
	snap, err := i.look(ctx)
	if err != nil {
		return Invited{}, err
	}
	person, ok := snap.Account(args.Address)
	if !ok {
		return Invited{}, fmt.Errorf("no account has the address %s", args.Address)
	}
	if err := i.invitable(ctx, person); err != nil {
		return Invited{}, err
	}
	answer := Invited{Address: person.Address}
	if !args.Print {
		answer.Why = i.unreachable(person)
	}
	link, err := i.link(ctx, person)
	if err != nil {
		return Invited{}, err
	}
	if args.Print || answer.Why != "" {
		answer.Link = link
	} else {
		if err := i.write(ctx, notice.Invitation, person, link); err != nil {
			return Invited{}, err
		}
		answer.SentTo = person.Notify
	}
	return answer, i.st.administered(ctx, person, "account invite")
}

// letterAfter is what somebody is written who had a link at a time, or none.
func letterAfter(last time.Time) notice.Letter {
	if last.IsZero() {
		return notice.Invitation
	}
	return notice.Reminder
}

// unreachable says why a person cannot be written to; empty when they can.
func (i inviter) unreachable(person *policy.Account) string {
	switch {
	case i.write == nil:
		return "no daemon with a section notifications is running"
	case person.Notify == "":
		return "the account has no ordinary address (notify)"
	}
	return ""
}

func (i inviter) link(ctx context.Context, person *policy.Account) (string, error) {
	base, err := i.base()
	if err != nil {
		return "", err
	}
	secret, err := i.st.links.Create(ctx, person.ID, time.Now())
	return base + activationPath + secret, err
}

// remind sends a new link to everybody who is preregistered, and tells when they were reminded before.
func (i inviter) remind(ctx context.Context, look bool, emit func(any) error) error {
	snap, err := i.look(ctx)
	if err != nil {
		return err
	}
	made, err := i.st.links.All(ctx)
	if err != nil {
		return err
	}
	for _, person := range snap.Accounts() {
		if person.State != policy.Preregistered {
			continue
		}
		answer := Reminded{Address: person.Address, Label: person.Label, Last: made[person.ID].Made, Why: i.unreachable(person)}
		if !look && answer.Why == "" {
			link, err := i.link(ctx, person)
			if err != nil {
				return err
			}
			if err := i.write(ctx, letterAfter(answer.Last), person, link); err != nil {
				return err
			}
			answer.SentTo = person.Notify
			if err := i.st.administered(ctx, person, "account remind"); err != nil {
				return err
			}
		}
		if err := emit(answer); err != nil {
			return err
		}
	}
	return nil
}

// inviter is that of the running daemon.
func (g *Gateway) inviter() inviter {
	i := inviter{
		st:   g.st,
		base: func() (string, error) { return portalBase(g.config(), g.https.server.addresses()) },
		look: func(context.Context) (*policy.Snapshot, error) { return g.snapshot.Load(), nil },
	}
	if g.notices != nil {
		i.write = g.notices.Write
	}
	return i
}

// activate sets the first password of whoever has the secret of a link. A password that cannot be used does not use the link up.
func (g *Gateway) activate(ctx context.Context, secret string, password auth.Secret) error {
	if err := g.auth.CheckPassword(password); err != nil {
		return err
	}
	id, err := g.st.links.Redeem(ctx, secret, time.Now())
	if errors.Is(err, activation.ErrNoLink) {
		return portal.ErrNoLink
	}
	if err != nil {
		return err
	}
	snap := g.snapshot.Load()
	person, ok := snap.ByID(id)
	if !ok || g.inviter().invitable(ctx, person) != nil {
		return portal.ErrNoLink // something has happened to the account since it was invited
	}
	if err := g.auth.SetPassword(ctx, id, password); err != nil {
		return err
	}
	party := audit.Party{ID: person.ID, Address: person.Address}
	err = g.st.trace.Append(ctx, audit.Record{
		Time: time.Now(), Action: audit.Administer, Protocol: "portal", Request: "activation", Answer: "OK", Person: party, Mailbox: party,
	})
	if err != nil {
		return err
	}
	if choice, ok := snap.ChooseActivated(id); ok {
		return g.choose(ctx, choice)
	}
	return nil
}

// InactiveArgs are for OpInactive. Warn: those who have not logged in for eleven months are written to.
type InactiveArgs struct{ Warn bool }

// InactiveEntry is an account nobody has used for eleven months.
type InactiveEntry struct {
	Address mail.Address `json:"address"`
	Kind    policy.Kind  `json:"kind"`
	Label   string       `json:"label"`
	Used    time.Time    `json:"used,omitzero"` // last; an org's by any of its people
	Known   time.Time    `json:"known"`         // since when the account is there, for one that was never used
	Delete  bool         `json:"delete"`        // for a year: it must go
	Warned  mail.Address `json:"warned,omitempty"`
	Why     string       `json:"why,omitempty"` // why nobody was warned
}

// Bounds of the CNIL's rule (délibération 2014-239): a mailbox nobody authenticated to for a year is deleted, after its user was warned.
const (
	warnMonths   = 11
	deleteMonths = 12
)

func (i inviter) inactiveOperation() control.Op {
	return func(ctx context.Context, raw json.RawMessage, emit func(any) error) error {
		var args InactiveArgs
		if err := json.Unmarshal(raw, &args); err != nil {
			return fmt.Errorf("reading the arguments: %w", err)
		}
		snap, err := i.look(ctx)
		if err != nil {
			return err
		}
		logins, err := i.st.lastLogins(ctx, false)
		if err != nil {
			return err
		}
		known, err := i.st.identities(ctx)
		if err != nil {
			return err
		}
		since := map[mail.AccountID]time.Time{}
		for _, identity := range known {
			since[identity.ID] = identity.Since
		}
		for _, e := range inactive(snap, logins, since, time.Now()) {
			if args.Warn && !e.Delete {
				if err := i.warn(ctx, snap, &e); err != nil {
					return err
				}
			}
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// inactive answers the accounts nobody has used for eleven months, those to be deleted first. An org is used by all its people.
func inactive(snap *policy.Snapshot, logins, since map[mail.AccountID]time.Time, now time.Time) []InactiveEntry {
	used := map[mail.Address]time.Time{}
	for _, account := range snap.Accounts() {
		used[account.Address] = logins[account.ID]
	}
	for _, held := range snap.Delegations() {
		if last := used[held.Account]; last.After(used[held.Mailbox]) {
			used[held.Mailbox] = last
		}
	}
	var warn, remove []InactiveEntry
	for _, account := range snap.Accounts() {
		if account.ID == "" {
			continue
		}
		last := used[account.Address]
		e := InactiveEntry{Address: account.Address, Kind: account.Kind, Label: account.Label, Used: last, Known: since[account.ID]}
		from := last
		if from.IsZero() {
			from = e.Known
		}
		switch {
		case !from.After(now.AddDate(0, -deleteMonths, 0)):
			e.Delete = true
			remove = append(remove, e)
		case !from.After(now.AddDate(0, -warnMonths, 0)):
			warn = append(warn, e)
		}
	}
	return append(remove, warn...)
}

func (i inviter) warn(ctx context.Context, snap *policy.Snapshot, e *InactiveEntry) error {
	person, ok := snap.Account(e.Address)
	if !ok {
		return nil
	}
	if !person.Kind.Nominative() {
		e.Why = "its people are warned for their own accounts"
		return nil
	}
	if e.Why = i.unreachable(person); e.Why != "" {
		return nil
	}
	link, err := i.base()
	if err != nil {
		link = "" // they log in with their mail program
	}
	if err := i.write(ctx, notice.Inactive, person, link); err != nil {
		return err
	}
	e.Warned = person.Notify
	return i.st.administered(ctx, person, "account inactive")
}

// offlineInviter is that of a command while no daemon runs: links can be printed.
func (o *offline) inviter(a admin) inviter {
	return inviter{st: o.st, look: a.snapshot, base: func() (string, error) {
		return portalBase(o.loaded.Config, texts(o.loaded.Config.Listen.HTTPS))
	}}
}

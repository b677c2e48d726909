package gateway

import (
	"context"
	"fmt"
	"time"

	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/amend"
	"balorg/store/audit"
)

// AccountsArgs are for OpAccountList; what is empty selects all.
type AccountsArgs struct {
	State, Kind, Text string       // as in policy.Filter
	Address           mail.Address // the account with this identifier or MSSanté address; it must be there
}

// AccountEntry is an account as administrators see it.
type AccountEntry struct {
	Address   mail.Address      `json:"address"`
	Kind      policy.Kind       `json:"kind"`
	State     string            `json:"state"` // a policy.State, Closed included
	Label     string            `json:"label"`
	Fields    amend.Fields      `json:"fields"` // what the files say, by key
	Pos       string            `json:"pos"`    // where they say it
	LastLogin time.Time         `json:"last_login,omitzero"`
	Opens     []DelegationEntry `json:"opens,omitempty"`  // mailboxes delegated to it
	Opened    []DelegationEntry `json:"opened,omitempty"` // persons it is delegated to
}

// DelegationsArgs are for OpDelegationList; what is empty selects all.
type DelegationsArgs struct{ Mailbox, Person mail.Address }

// DelegationEntry is a delegation, the person's own choices laid over it.
type DelegationEntry struct {
	Mailbox mail.Address    `json:"mailbox"`
	Person  mail.Address    `json:"person"`
	Rights  string          `json:"rights"`
	Send    policy.SendMode `json:"send"`
	Default bool            `json:"default"`
	Notify  bool            `json:"notify"`
	Pos     string          `json:"pos"`
}

func (a admin) accountOperations(logins func(context.Context) (map[mail.AccountID]time.Time, error)) map[string]control.Op {
	return map[string]control.Op{
		OpAccountList: operation(func(ctx context.Context, args AccountsArgs, emit func(any) error) error {
			snap, err := a.look(ctx)
			if err != nil {
				return err
			}
			last, err := logins(ctx)
			if err != nil {
				return err
			}
			return listAccounts(snap, last, args, emit)
		}),
		OpDelegationList: operation(func(ctx context.Context, args DelegationsArgs, emit func(any) error) error {
			snap, err := a.look(ctx)
			if err != nil {
				return err
			}
			return listDelegations(snap, args, emit)
		}),
	}
}

func listAccounts(snap *policy.Snapshot, last map[mail.AccountID]time.Time, args AccountsArgs, emit func(any) error) error {
	accounts := snap.Accounts()
	if args.Address != "" {
		account, ok := snap.Account(args.Address)
		if !ok {
			return fmt.Errorf("no account has the address %s", args.Address)
		}
		accounts = []*policy.Account{account}
	}
	opens, opened := map[mail.Address][]DelegationEntry{}, map[mail.Address][]DelegationEntry{}
	for _, held := range snap.Delegations() {
		opens[held.Account] = append(opens[held.Account], delegationEntry(held))
		opened[held.Mailbox] = append(opened[held.Mailbox], delegationEntry(held))
	}
	filter := policy.Filter{State: policy.State(args.State), Kind: policy.Kind(args.Kind), Text: args.Text}
	for _, account := range accounts {
		if !filter.Matches(account) {
			continue
		}
		err := emit(AccountEntry{
			Address: account.Address, Kind: account.Kind, State: string(account.State), Label: account.Label, Fields: amend.FieldsOf(account),
			Pos: account.Pos.String(), LastLogin: last[account.ID], Opens: opens[account.Address], Opened: opened[account.Address],
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func delegationEntry(h policy.Held) DelegationEntry {
	return DelegationEntry{
		Mailbox: h.Mailbox, Person: h.Account, Rights: h.Rights.Preset(), Send: h.Send, Default: h.Home, Notify: h.Notified, Pos: h.Pos.String(),
	}
}

func listDelegations(snap *policy.Snapshot, args DelegationsArgs, emit func(any) error) error {
	for _, address := range []*mail.Address{&args.Mailbox, &args.Person} {
		if *address == "" {
			continue
		}
		account, ok := snap.Account(*address)
		if !ok {
			return fmt.Errorf("no account has the address %s", *address)
		}
		*address = account.Address
	}
	for _, held := range snap.Delegations() {
		if (args.Mailbox != "" && args.Mailbox != held.Mailbox) || (args.Person != "" && args.Person != held.Account) {
			continue
		}
		if err := emit(delegationEntry(held)); err != nil {
			return err
		}
	}
	return nil
}

// lastLogins answers when each person last logged in: what is kept, and what the trace has since. With note, that is kept, too.
func (st *state) lastLogins(ctx context.Context, note bool) (map[mail.AccountID]time.Time, error) {
	logins, upTo, err := st.logins.All(ctx)
	if err != nil {
		return nil, err
	}
	later := map[mail.AccountID]time.Time{}
	seen := upTo
	err = st.trace.List(ctx, audit.Filter{After: upTo, Action: audit.Login}, func(r audit.Record) bool {
		seen = max(seen, r.Seq)
		if id := r.Person.ID; id != "" && r.Time.After(logins[id]) {
			logins[id], later[id] = r.Time, r.Time
		}
		return true
	})
	if err != nil || !note || seen == upTo {
		return logins, err
	}
	// Of an account that is no more nothing is kept.
	known, err := st.identities(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[mail.AccountID]time.Time{}
	for _, i := range known {
		if at, ok := later[i.ID]; ok {
			kept[i.ID] = at
		}
	}
	return logins, st.logins.Note(ctx, kept, seen)
}

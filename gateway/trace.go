package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
)

// listAudit answers records of the trace. It works on a state whose files are broken, and on addresses that are no longer in
// them: whose account is gone is looked for by address, since its id may be gone as well.
func (st *state) listAudit(ctx context.Context, a admin, args AuditArgs, emit func(any) error) error {
	snap, err := a.look(ctx)
	var broken configs.Problems
	switch {
	case errors.As(err, &broken):
		snap = policy.NewSnapshot(&policy.Roster{}, nil, nil)
	case err != nil:
		return err
	}
	f := audit.Filter{Since: args.Since, Action: audit.Action(args.Action)}
	var mailbox, person mail.Address // of accounts that are gone
	for _, w := range []struct {
		asked mail.Address
		id    *mail.AccountID
		gone  *mail.Address
	}{{args.Mailbox, &f.Mailbox, &mailbox}, {args.Person, &f.Person, &person}} {
		account, ok := snap.Account(w.asked)
		switch {
		case !ok:
			*w.gone = w.asked
		case account.ID == "": // closed: the records are of one who had the address before
			*w.gone = account.Address
		default:
			*w.id = account.ID
		}
	}
	found := false
	var failed error
	err = st.trace.List(ctx, f, func(r audit.Record) bool {
		if (mailbox != "" && r.Mailbox.Address != mailbox) || (person != "" && r.Person.Address != person) {
			return true
		}
		found = true
		failed = emit(r)
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil || found {
		return err
	}
	return st.everKnown(ctx, mailbox, person)
}

// everKnown answers an error for the first of some addresses that no account has and none had lately.
func (st *state) everKnown(ctx context.Context, addresses ...mail.Address) error {
	known, err := st.identities(ctx)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if address != "" && !slices.ContainsFunc(known, func(i policy.Identity) bool { return i.Address == address }) {
			return fmt.Errorf("no account has the address %s", address)
		}
	}
	return nil
}

// lineEmitter sends what is written to it line by line.
type lineEmitter struct{ emit func(any) error }

func (l lineEmitter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if err := l.emit(json.RawMessage(strings.TrimRight(line, "\n"))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

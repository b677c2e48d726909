package policy

import "fmt"

// The shares beyond which a reload looks like an accident, unless the configuration says otherwise.
const (
	DefaultGuardShare   = 0.20
	DefaultGuardAtLeast = 5
)

// SweepError is a reload that would remove so much that a person should confirm it.
type SweepError struct {
	What           string // "accounts" or "delegations"
	Removed, Known int
}

func (e *SweepError) Error() string {
	return fmt.Sprintf("the files remove %d of %d %s; reload by force if this is meant", e.Removed, e.Known, e.What)
}

// Guard answers a SweepError when going from old to new removes at least atLeast accounts and more than maxShare of them, or as
// much of the delegations. A truncated or half-copied file is thus not taken for an administrator's will.
func Guard(old, new *Roster, maxShare float64, atLeast int) error {
	type pair struct{ mailbox, account string }
	accounts := func(r *Roster) map[pair]bool {
		set := make(map[pair]bool, len(r.Accounts))
		for _, a := range r.Accounts {
			set[pair{account: string(a.Address)}] = true
		}
		return set
	}
	delegations := func(r *Roster) map[pair]bool {
		set := make(map[pair]bool, len(r.Delegations))
		for _, d := range r.Delegations {
			set[pair{string(d.Mailbox), string(d.Account)}] = true
		}
		return set
	}
	sweep := func(what string, before, after map[pair]bool) error {
		removed := 0
		for key := range before {
			if !after[key] {
				removed++
			}
		}
		if removed >= atLeast && float64(removed) > maxShare*float64(len(before)) {
			return &SweepError{What: what, Removed: removed, Known: len(before)}
		}
		return nil
	}
	if err := sweep("accounts", accounts(old), accounts(new)); err != nil {
		return err
	}
	return sweep("delegations", delegations(old), delegations(new))
}

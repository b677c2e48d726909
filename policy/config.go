package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Config is what the daemon's configuration says about accounts and delegations that leave. The zero value means the
// defaults.
type Config struct {
	KeepRemoved  time.Duration `yaml:"keep_removed,positive"`   // how long the mail of a removed account is parked
	GuardShare   Share         `yaml:"guard_share,positive"`    // a reload that removes more than this share …
	GuardAtLeast int           `yaml:"guard_at_least,positive"` // … and at least this many is held
}

// Share is a part of a whole, from 0 to 1.
type Share float64

// UnmarshalText reads a share. A percentage, which would mean that no reload is ever held, is none.
func (s *Share) UnmarshalText(text []byte) error {
	share, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return fmt.Errorf("%q is not a share from 0 to 1; write 0.2 for a fifth", text)
	}
	*s = Share(share)
	return nil
}

// Park is how long the mail of a removed account is kept.
func (c Config) Park() time.Duration { return cmp.Or(c.KeepRemoved, DefaultPark) }

// Hold takes out of changes, as Reconcile made them, those that park an account, when they are so many that the files look cut
// short, and answers how many. Nobody can log in to an account that is not in the files either way; but a parked one that
// comes back stays closed until an administrator speaks for it, which nobody wants to do for half a hospital.
func (c Config) Hold(known, changes []Identity) (kept []Identity, held int) {
	inUse := 0
	for _, i := range known {
		if i.State == IdentityLive || i.State == IdentityClosed {
			inUse++
		}
	}
	for _, i := range changes {
		if i.State == IdentityParked {
			held++
			continue
		}
		kept = append(kept, i)
	}
	share, atLeast := cmp.Or(c.GuardShare, DefaultGuardShare), cmp.Or(c.GuardAtLeast, DefaultGuardAtLeast)
	if held < atLeast || float64(held) <= float64(share)*float64(inUse) {
		return changes, 0
	}
	return kept, held
}

// Guard is the function Guard with the configured shares.
func (c Config) Guard(old, new *Roster) error {
	return Guard(old, new, float64(cmp.Or(c.GuardShare, DefaultGuardShare)), cmp.Or(c.GuardAtLeast, DefaultGuardAtLeast))
}

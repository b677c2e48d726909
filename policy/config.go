package policy

import (
	"cmp"
	"time"
)

// Config is what the daemon's configuration says about accounts and delegations that leave. The zero value means the
// defaults.
type Config struct {
	KeepRemoved  time.Duration `yaml:"keep_removed"`   // how long the mail of a removed account is parked
	GuardShare   float64       `yaml:"guard_share"`    // a reload that removes more than this share …
	GuardAtLeast int           `yaml:"guard_at_least"` // … and at least this many is held
}

// Park is how long the mail of a removed account is kept.
func (c Config) Park() time.Duration { return cmp.Or(c.KeepRemoved, DefaultPark) }

// Guard is the function Guard with the configured shares.
func (c Config) Guard(old, new *Roster) error {
	return Guard(old, new, cmp.Or(c.GuardShare, DefaultGuardShare), cmp.Or(c.GuardAtLeast, DefaultGuardAtLeast))
}

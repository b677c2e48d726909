package auth

import (
	"cmp"
	"runtime"
	"time"

	"balorg/configs"
)

// Config is the section authentication of the daemon's configuration. The zero value means the defaults.
type Config struct {
	Pos                      configs.Pos
	MinPassword              int                `yaml:"min_password,positive"`                // characters
	FailuresPerMinute        int                `yaml:"failures_per_minute,positive"`         // of a network against one account
	NetworkFailuresPerMinute int                `yaml:"network_failures_per_minute,positive"` // of a network against all accounts
	AccountFailuresPerMinute int                `yaml:"account_failures_per_minute,positive"` // against an account from all unfamiliar networks
	Remember                 time.Duration      `yaml:"remember,positive"`                    // how long a right password needs no hashing
	HashSlots                int                `yaml:"hash_slots,positive"`                  // hashes at a time
	TokenUnused              time.Duration      `yaml:"token_unused,positive"`                // how long a device token may go unused
	Methods                  Ways               `yaml:"methods"`
	OIDC                     OIDCConfig         `yaml:"oidc"`
	LDAP                     LDAPConfig         `yaml:"ldap"`
	Certificates             CertificatesConfig `yaml:"certificates"`
}

// Defaults of the section authentication.
const (
	defaultMinPassword     = 12
	defaultFailures        = 20
	defaultNetworkFailures = 200
	defaultAccountFailures = 100
	defaultRemember        = 10 * time.Minute
	defaultTokenUnused     = 30 * 24 * time.Hour
)

// Unused is how long a device token may go unused.
func (c Config) Unused() time.Duration { return c.withDefaults().TokenUnused }

// Shortest is the shortest password that may be set, in characters.
func (c Config) Shortest() int { return c.withDefaults().MinPassword }

func (c Config) withDefaults() Config {
	c.MinPassword = cmp.Or(c.MinPassword, defaultMinPassword)
	c.FailuresPerMinute = cmp.Or(c.FailuresPerMinute, defaultFailures)
	c.NetworkFailuresPerMinute = cmp.Or(c.NetworkFailuresPerMinute, defaultNetworkFailures)
	c.AccountFailuresPerMinute = cmp.Or(c.AccountFailuresPerMinute, defaultAccountFailures)
	c.Remember = cmp.Or(c.Remember, defaultRemember)
	c.TokenUnused = cmp.Or(c.TokenUnused, defaultTokenUnused)
	// One slot is kept for familiar networks, so there are two at least; a hash keeps a core busy for 30 ms.
	c.HashSlots = cmp.Or(c.HashSlots, max(2, runtime.GOMAXPROCS(0)))
	return c
}

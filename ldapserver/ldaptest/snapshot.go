// Package ldaptest is what the tests of the directory share: the demo's accounts as rules.
package ldaptest

import (
	"strings"
	"testing"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
)

// Snapshot makes the rules of the demo's files, edited: old and new texts in turns.
func Snapshot(tb testing.TB, replace ...string) *policy.Snapshot {
	tb.Helper()
	src := policy.Source{Mailstores: []string{"local"}}
	for name, files := range map[string]*[]configs.File{"demo/accounts.yaml": &src.Accounts, "demo/delegations.yaml": &src.Delegations} {
		data, err := configs.Examples.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		text := strings.NewReplacer(replace...).Replace(string(data))
		*files = []configs.File{{Name: name, Data: []byte(text)}}
	}
	roster, problems := policy.Load(src)
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	var identities []policy.Identity
	for _, a := range roster.Accounts {
		identities = append(identities, policy.Identity{ID: mail.AccountID("id-" + a.Address.Local()), Address: a.Address, State: policy.IdentityLive})
	}
	return policy.NewSnapshot(roster, identities, nil)
}

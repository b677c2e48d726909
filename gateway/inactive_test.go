package gateway

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"balorg/mail"
	"balorg/policy"
)

// TestInactiveAccounts: a year without a login is too long, eleven months are told of; an org is used by any of its people.
func TestInactiveAccounts(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(months, days int) time.Time { return now.AddDate(0, -months, days) }
	used := map[mail.AccountID]time.Time{
		"busy": ago(0, -1), "warned": ago(11, 0), "almost": ago(11, 1), "gone": ago(12, 0), "lastday": ago(12, 1),
	}
	since := map[mail.AccountID]time.Time{"new": ago(1, 0), "never": ago(13, 0)}
	var roster policy.Roster
	var identities []policy.Identity
	account := func(name string, kind policy.Kind) {
		address := mail.Address(name + "@a.fr")
		roster.Accounts = append(roster.Accounts, &policy.Account{Address: address, Kind: kind, State: policy.Active})
		identities = append(identities, policy.Identity{ID: mail.AccountID(name), Address: address, Kind: kind, State: policy.IdentityLive})
	}
	for _, name := range []string{"almost", "busy", "gone", "lastday", "never", "new", "warned"} {
		account(name, policy.Med)
	}
	for box, people := range map[string][]string{"busybox": {"gone", "busy"}, "deadbox": {"gone", "never"}, "sleepy": {"lastday", "gone"}} {
		account(box, policy.Org)
		since[mail.AccountID(box)] = ago(24, 0)
		for _, person := range people {
			roster.Delegations = append(roster.Delegations, policy.Delegation{
				Mailbox: mail.Address(box + "@a.fr"), Account: mail.Address(person + "@a.fr"), Rights: policy.PresetWrite,
			})
		}
	}
	var got []string
	for _, e := range inactive(policy.NewSnapshot(&roster, identities, nil), used, since, now) {
		got = append(got, fmt.Sprintf("%s %v", e.Address.Local(), e.Delete))
	}
	slices.Sort(got)
	want := []string{"deadbox true", "gone true", "lastday false", "never true", "sleepy false", "warned false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

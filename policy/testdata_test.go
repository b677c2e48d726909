package policy_test

import (
	"io/fs"
	"testing"
	"time"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
)

var day0 = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

const (
	claire   = mail.Address("claire.durand@clinique-des-sapins.fr")
	noemie   = mail.Address("noemie.martin@clinique-des-sapins.fr")
	paul     = mail.Address("paul.bernard@clinique-des-sapins.fr")
	lea      = mail.Address("lea.petit@clinique-des-sapins.fr")
	marc     = mail.Address("marc.roux@clinique-des-sapins.fr")
	sec      = mail.Address("secretariat@clinique-des-sapins.fr")
	urg      = mail.Address("urgences@clinique-des-sapins.fr")
	imagerie = mail.Address("imagerie-auto@clinique-des-sapins.fr")
	sophie   = mail.Address("sophie.moreau@clinique-des-sapins.fr")
)

func everybody() []mail.Address {
	return []mail.Address{claire, noemie, paul, lea, marc, sec, urg, imagerie, sophie}
}

// demoRoster reads the demo's own files.
func demoRoster(t *testing.T) *policy.Roster {
	t.Helper()
	return loadFrom(t, "demo/accounts.yaml", "demo/delegations.yaml")
}

func loadFrom(t *testing.T, accounts, delegations string) *policy.Roster {
	t.Helper()
	read := func(name string) []configs.File {
		data, err := fs.ReadFile(configs.Examples, name)
		if err != nil {
			t.Fatal(err)
		}
		return []configs.File{{Name: name, Data: data}}
	}
	roster, problems := policy.Load(policy.Source{
		Accounts: read(accounts), Delegations: read(delegations), Mailstores: []string{"local"},
	})
	if len(problems) > 0 {
		t.Fatalf("loading %s and %s:\n%v", accounts, delegations, problems)
	}
	return roster
}

// idOf makes ids that a failing test can be read by.
func idOf(a mail.Address) mail.AccountID { return mail.AccountID("id-" + a.Local()) }

func liveIdentities(r *policy.Roster) []policy.Identity {
	var ids []policy.Identity
	for _, a := range r.Accounts {
		ids = append(ids, policy.Identity{ID: idOf(a.Address), Address: a.Address, State: policy.IdentityLive, Since: day0})
	}
	return ids
}

func demo(t *testing.T) *policy.Snapshot {
	t.Helper()
	return changed(t, func(*policy.Roster) {})
}

// changed is the demo with its roster edited.
func changed(t *testing.T, edit func(*policy.Roster)) *policy.Snapshot {
	t.Helper()
	r := demoRoster(t)
	edit(r)
	return policy.NewSnapshot(r, liveIdentities(r), nil)
}

func account(t *testing.T, r *policy.Roster, a mail.Address) *policy.Account {
	t.Helper()
	for _, listed := range r.Accounts {
		if listed.Address == a {
			return listed
		}
	}
	t.Fatalf("no account %s", a)
	return nil
}

func withoutAccount(r *policy.Roster, gone mail.Address) {
	var accounts []*policy.Account
	for _, a := range r.Accounts {
		if a.Address != gone {
			accounts = append(accounts, a)
		}
	}
	r.Accounts = accounts
	withoutGrants(r, func(d policy.Delegation) bool { return d.Mailbox == gone || d.Account == gone })
}

func withoutGrants(r *policy.Roster, drop func(policy.Delegation) bool) {
	var kept []policy.Delegation
	for _, d := range r.Delegations {
		if !drop(d) {
			kept = append(kept, d)
		}
	}
	r.Delegations = kept
}

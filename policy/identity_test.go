package policy_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/policy"

	gocmp "github.com/google/go-cmp/cmp"
)

// life is the story of addresses, told day by day.
type life struct {
	t     *testing.T
	known []policy.Identity
	names map[mail.AccountID]string // A1, A2, … in order of birth, per address
}

func (l *life) reload(day int, addresses ...string) {
	r := &policy.Roster{}
	for _, a := range addresses {
		r.Accounts = append(r.Accounts, &policy.Account{Address: mail.Address(a)})
	}
	l.apply(policy.Reconcile(l.known, r, onDay(day), policy.DefaultPark)...)
}

func onDay(day int) time.Time { return day0.Add(time.Duration(day) * 24 * time.Hour) }

func (l *life) apply(changes ...policy.Identity) {
	l.known = policy.ApplyIdentities(l.known, changes)
	for _, change := range changes {
		if l.names[change.ID] == "" {
			n := 1
			for _, name := range l.names {
				if strings.HasPrefix(name, string(change.Address)) {
					n++
				}
			}
			l.names[change.ID] = string(change.Address) + string(rune('0'+n))
		}
	}
}

func (l *life) expect(want ...string) {
	l.t.Helper()
	var got []string
	for _, identity := range l.known {
		got = append(got, l.names[identity.ID]+" "+string(identity.State))
	}
	slices.SortFunc(got, cmp.Compare[string])
	if diff := gocmp.Diff(want, got); diff != "" {
		l.t.Errorf("identities (-want +got):\n%s", diff)
	}
}

func newLife(t *testing.T) *life {
	t.Helper()
	return &life{t: t, names: map[mail.AccountID]string{}}
}

func TestIdentityLives(t *testing.T) {
	l := newLife(t)
	l.reload(0, "a", "b")
	l.expect("a1 live", "b1 live")
	l.reload(1, "a", "b")
	l.expect("a1 live", "b1 live")
	l.reload(2, "b")
	l.expect("a1 parked", "b1 live")
	l.reload(32, "b") // 30 days to the hour: not yet
	l.expect("a1 parked", "b1 live")
	l.reload(33, "b")
	l.expect("a1 expired", "b1 live")
	l.reload(34, "a", "b") // the former mail is gone: nothing to protect
	l.expect("a1 expired", "a2 live", "b1 live")
}

func TestIdentityReturns(t *testing.T) {
	l := newLife(t)
	l.reload(0, "a")
	l.reload(1)
	l.reload(2, "a")
	l.expect("a1 closed")
	l.reload(100, "a") // an administrator has yet to speak
	l.expect("a1 closed")
	restored, err := policy.Restore(l.known, "a", onDay(100))
	if err != nil {
		t.Fatal(err)
	}
	l.apply(restored)
	l.expect("a1 live")
	l.reload(101, "a")
	l.expect("a1 live")
}

func TestIdentityAnew(t *testing.T) {
	l := newLife(t)
	l.reload(0, "a")
	l.reload(1)
	l.reload(2, "a")
	changes, err := policy.Renew(l.known, "a", onDay(3))
	if err != nil {
		t.Fatal(err)
	}
	l.apply(changes...)
	l.expect("a1 parked", "a2 live")
	l.reload(4, "a") // the former identity does not close the new one
	l.expect("a1 parked", "a2 live")
	l.reload(5)
	l.reload(6, "a") // the one parked last comes back
	l.expect("a1 parked", "a2 closed")
	l.reload(34, "a")
	l.expect("a1 expired", "a2 closed")
	l.reload(35) // removed again while closed: its time starts again
	l.expect("a1 expired", "a2 parked")
	l.reload(66)
	l.expect("a1 expired", "a2 expired")
}

func TestIdentityReturnsTooLate(t *testing.T) {
	l := newLife(t)
	l.reload(0, "a")
	l.reload(1)
	l.reload(60, "a") // nobody reloaded meanwhile
	l.expect("a1 expired", "a2 live")
}

func TestRestoreRefuses(t *testing.T) {
	l := newLife(t)
	l.reload(0, "a", "b")
	l.reload(1, "a")
	for address, want := range map[mail.Address]string{
		"a": "the account is in use, not closed",
		"b": "the account was removed; put it back in the accounts file first",
		"c": "no account ever had this address",
	} {
		if _, err := policy.Restore(l.known, address, onDay(2)); err == nil || err.Error() != "restoring "+string(address)+": "+want {
			t.Errorf("restoring %s: %v", address, err)
		}
		if _, err := policy.Renew(l.known, address, onDay(2)); err == nil || err.Error() != "starting "+string(address)+" anew: "+want {
			t.Errorf("starting %s anew: %v", address, err)
		}
	}
}

// TestReconcileHealsDoubles: two live identities of one address should not be; the older one is parked, not served.
func TestReconcileHealsDoubles(t *testing.T) {
	known := []policy.Identity{
		{ID: "old", Address: "a", State: policy.IdentityLive, Since: onDay(0)},
		{ID: "new", Address: "a", State: policy.IdentityLive, Since: onDay(1)},
	}
	r := &policy.Roster{Accounts: []*policy.Account{{Address: "a"}}}
	want := []policy.Identity{{ID: "old", Address: "a", State: policy.IdentityParked, Since: onDay(2)}}
	if diff := gocmp.Diff(want, policy.Reconcile(known, r, onDay(2), policy.DefaultPark)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestKindChanges: what a person received never becomes a team's by an edit of the file, nor the other way round.
func TestKindChanges(t *testing.T) {
	for _, tt := range []struct {
		from, to policy.Kind
		want     policy.IdentityState
	}{
		{policy.Med, policy.Med, policy.IdentityLive},
		{policy.Med, policy.Per, policy.IdentityLive}, // got a national number
		{"", policy.Org, policy.IdentityLive},         // a state from before kinds were kept
		{policy.Med, policy.Org, policy.IdentityClosed},
		{policy.Org, policy.Per, policy.IdentityClosed},
		{policy.App, policy.Org, policy.IdentityClosed},
	} {
		known := []policy.Identity{{ID: "a", Address: "a@b.fr", Kind: tt.from, State: policy.IdentityLive, Since: day0}}
		r := &policy.Roster{Accounts: []*policy.Account{{Address: "a@b.fr", Kind: tt.to}}}
		known = policy.ApplyIdentities(known, policy.Reconcile(known, r, onDay(1), policy.DefaultPark))
		if len(known) != 1 || known[0].State != tt.want || known[0].Kind != tt.to {
			t.Errorf("%s becomes %s: %+v", tt.from, tt.to, known)
		}
		if again := policy.Reconcile(known, r, onDay(2), policy.DefaultPark); len(again) > 0 {
			t.Errorf("%s became %s; a day later %+v", tt.from, tt.to, again)
		}
		if tt.want != policy.IdentityClosed {
			continue
		}
		back, err := policy.Restore(known, "a@b.fr", onDay(2))
		if err != nil || back.ID != "a" || back.State != policy.IdentityLive {
			t.Errorf("restored: %+v, %v", back, err)
		}
	}
}

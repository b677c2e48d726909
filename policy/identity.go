package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"balorg/mail"
)

// IdentityState says what has become of the account an identity was made for.
type IdentityState string

// The states of an identity.
const (
	IdentityLive    IdentityState = "live"    // the account is in the files
	IdentityParked  IdentityState = "parked"  // removed from the files; the mail is kept for a while
	IdentityClosed  IdentityState = "closed"  // the address came back; nobody may use it until restored or made new
	IdentityExpired IdentityState = "expired" // parked for too long: mail, credentials and the identity are to be deleted
)

// DefaultPark is how long the mail of a removed account is kept.
const DefaultPark = 30 * 24 * time.Hour

// Identity ties an opaque id to the address it was first seen under. Credentials, settings and mail hang on the id. Several
// identities may share an address over time; at most one of them is live or closed.
type Identity struct {
	ID      mail.AccountID
	Address mail.Address
	Kind    Kind // "" in a state from before kinds were kept
	State   IdentityState
	Since   time.Time // when it came into this state
}

// alike tells whether an account of one kind may become one of another without being somebody else: a person gets a national number,
// and loses none of their mail. A person's mailbox that became a team's would give it away.
func alike(a, b Kind) bool { return a == b || a.Nominative() && b.Nominative() || a == "" }

// Reconcile compares the identities known with the accounts of a roster and answers those to write: a new address becomes a
// new live identity, a removed one is parked, an address that comes back is closed (its mail might be somebody else's
// now), and so is one whose kind changes between a person's, a team's and a piece of software's; one parked longer than
// parkFor expires. A closed identity does not expire: an administrator has yet to speak.
func Reconcile(known []Identity, r *Roster, now time.Time, parkFor time.Duration) []Identity {
	current := currentIdentities(known)
	listed := make(map[mail.Address]bool, len(r.Accounts))
	var changes []Identity
	for _, account := range r.Accounts {
		listed[account.Address] = true
		identity, ok := current[account.Address]
		switch {
		case !ok:
			changes = append(changes, newIdentity(account, now))
		case identity.State == IdentityParked && now.Sub(identity.Since) > parkFor:
			// The former mail is as good as deleted, so nothing of it can be opened under the address.
			changes = append(changes, newIdentity(account, now))
		case identity.State == IdentityParked, !alike(identity.Kind, account.Kind):
			identity.Kind = account.Kind
			changes = append(changes, identity.become(IdentityClosed, now))
		case identity.Kind != account.Kind:
			identity.Kind = account.Kind
			changes = append(changes, identity)
		}
	}
	for _, identity := range known {
		here := listed[identity.Address] && current[identity.Address].ID == identity.ID
		if !here && (identity.State == IdentityLive || identity.State == IdentityClosed) {
			changes = append(changes, identity.become(IdentityParked, now))
		}
	}
	return append(changes, Expire(known, now, parkFor)...)
}

// Expire answers the changes that time alone makes, files or no files: accounts that were parked for too long expire.
func Expire(known []Identity, now time.Time, parkFor time.Duration) []Identity {
	var changes []Identity
	for _, identity := range known {
		if identity.State == IdentityParked && now.Sub(identity.Since) > parkFor {
			changes = append(changes, identity.become(IdentityExpired, now))
		}
	}
	return changes
}

// Restore answers the change that gives a closed address its former mail, settings and credentials back.
func Restore(known []Identity, address mail.Address, now time.Time) (Identity, error) {
	identity, ok := currentIdentities(known)[address]
	if !ok || identity.State != IdentityClosed {
		return Identity{}, fmt.Errorf("restoring %s: %w", address, notClosed(identity, ok))
	}
	return identity.become(IdentityLive, now), nil
}

// Renew answers the changes that give a closed address to somebody new: a fresh identity, and the former one parked.
func Renew(known []Identity, address mail.Address, now time.Time) ([]Identity, error) {
	identity, ok := currentIdentities(known)[address]
	if !ok || identity.State != IdentityClosed {
		return nil, fmt.Errorf("starting %s anew: %w", address, notClosed(identity, ok))
	}
	return []Identity{
		identity.become(IdentityParked, now),
		{mail.NewAccountID(), address, identity.Kind, IdentityLive, now},
	}, nil
}

func newIdentity(account *Account, now time.Time) Identity {
	return Identity{mail.NewAccountID(), account.Address, account.Kind, IdentityLive, now}
}

func notClosed(identity Identity, known bool) error {
	switch {
	case !known:
		return fmt.Errorf("no account ever had this address")
	case identity.State == IdentityParked:
		return fmt.Errorf("the account was removed; put it back in the accounts file first")
	}
	return fmt.Errorf("the account is in use, not closed")
}

func (i Identity) become(state IdentityState, now time.Time) Identity {
	i.State, i.Since = state, now
	return i
}

// currentIdentities answers, for each address, the identity that speaks for it: the live or closed one, else the one parked
// last. Expired ones speak for nothing.
func currentIdentities(known []Identity) map[mail.Address]Identity {
	current := make(map[mail.Address]Identity, len(known))
	for _, identity := range known {
		if identity.State == IdentityExpired {
			continue
		}
		other, ok := current[identity.Address]
		if !ok || compareClaim(identity, other) > 0 {
			current[identity.Address] = identity
		}
	}
	return current
}

func compareClaim(a, b Identity) int {
	inUse := func(i Identity) int {
		if i.State == IdentityParked {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(inUse(a), inUse(b)), a.Since.Compare(b.Since), strings.Compare(string(a.ID), string(b.ID)))
}

// ApplyIdentities answers known with changes laid over, in order of address and id.
func ApplyIdentities(known, changes []Identity) []Identity {
	byID := make(map[mail.AccountID]Identity, len(known)+len(changes))
	for _, identity := range slices.Concat(known, changes) {
		byID[identity.ID] = identity
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b Identity) int {
		return cmp.Or(strings.Compare(string(a.Address), string(b.Address)), strings.Compare(string(a.ID), string(b.ID)))
	})
}

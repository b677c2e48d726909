// Package identity keeps the account ids that were given out, and the address and state of each. An id is never given
// again; several ids may have had one address over time.
//
// Keys: i/<account id> → JSON of Identity.
package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Identity is one account id.
type Identity struct {
	ID      mail.AccountID `json:"id"`
	Address mail.Address   `json:"address"`
	Kind    string         `json:"kind,omitempty"`
	State   string         `json:"state"` // what the states are is policy's to say
	Since   time.Time      `json:"since"` // when it came into this state
}

// Get answers the identity with this id, or store.ErrNotFound.
func Get(r store.Reader, id mail.AccountID) (Identity, error) {
	b, err := r.Get(key(id))
	if err != nil {
		return Identity{}, fmt.Errorf("identity %s: %w", id, err)
	}
	return decode(b)
}

// All answers every identity, in order of id.
func All(r store.Reader) ([]Identity, error) {
	var all []Identity
	prefix := []byte(store.PrefixIdentity)
	for _, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		i, err := decode(v)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, r.Err()
}

// Put writes an identity under its id.
func Put(tx store.Writer, i Identity) error {
	if i.ID == "" {
		return errors.New("identity has no id")
	}
	b, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("identity %s: %w", i.ID, err)
	}
	return tx.Set(key(i.ID), b)
}

// Delete forgets an identity.
func Delete(tx store.Writer, id mail.AccountID) error { return tx.Delete(key(id)) }

func key(id mail.AccountID) []byte { return []byte(store.PrefixIdentity + string(id)) }

func decode(b []byte) (Identity, error) {
	var i Identity
	if err := json.Unmarshal(b, &i); err != nil {
		return Identity{}, fmt.Errorf("identity: %w", err)
	}
	return i, nil
}

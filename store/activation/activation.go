// Package activation keeps the links by which people without a password choose their first one. A link is a secret of 128 random bits, of
// which only the hash is kept; it works once, for seven days, and the next link of the same account takes its place.
//
// Keys:
//
//	v/a/<account id>       → JSON of Invitation
//	v/s/<SHA-256, base 16> → the account's id
package activation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Life is how long a link works.
const Life = 7 * 24 * time.Hour

// ErrNoLink is the answer to a secret that is none, has been used, or is too old.
var ErrNoLink = errors.New("there is no such activation link")

const (
	accountPrefix = store.PrefixActivation + "a/"
	secretPrefix  = store.PrefixActivation + "s/"
)

// Invitation is what is known of an account's last link.
type Invitation struct {
	Hash string    `json:"hash,omitempty"` // empty: it was used
	Made time.Time `json:"made"`           // which is when the person was reminded last
}

// Table reads and writes links.
type Table struct{ st store.Store }

// New answers the links kept in st.
func New(st store.Store) *Table { return &Table{st} }

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Create makes a link for an account and answers its secret, which is kept nowhere. A former link works no more.
func (t *Table) Create(ctx context.Context, account mail.AccountID, now time.Time) (secret string, err error) {
	secret = rand.Text() // 130 bits
	err = t.st.Update(ctx, func(tx store.Writer) error {
		before, err := get(tx, account)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if before.Hash != "" {
			if err := tx.Delete([]byte(secretPrefix + before.Hash)); err != nil {
				return err
			}
		}
		hash := hashOf(secret)
		if err := tx.Set([]byte(secretPrefix+hash), []byte(account)); err != nil {
			return err
		}
		return put(tx, account, Invitation{Hash: hash, Made: now.UTC()})
	})
	if err != nil {
		return "", fmt.Errorf("make an activation link: %w", err)
	}
	return secret, nil
}

// Redeem uses a link up and answers whose it is, or ErrNoLink.
func (t *Table) Redeem(ctx context.Context, secret string, now time.Time) (account mail.AccountID, err error) {
	err = t.st.Update(ctx, func(tx store.Writer) error {
		account = ""
		key := []byte(secretPrefix + hashOf(secret))
		owner, err := tx.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoLink
		}
		if err != nil {
			return err
		}
		found := mail.AccountID(owner)
		i, err := get(tx, found)
		if err != nil {
			return err
		}
		if age := now.Sub(i.Made); age >= Life {
			return ErrNoLink
		}
		account, i.Hash = found, ""
		return errors.Join(tx.Delete(key), put(tx, found, i))
	})
	switch {
	case errors.Is(err, ErrNoLink):
		return "", ErrNoLink
	case err != nil:
		return "", fmt.Errorf("use an activation link: %w", err)
	}
	return account, nil
}

// All answers the last invitation of each account that ever had one.
func (t *Table) All(ctx context.Context) (map[mail.AccountID]Invitation, error) {
	all := map[mail.AccountID]Invitation{}
	err := t.st.View(ctx, func(r store.Reader) error {
		for k, v := range r.Scan([]byte(accountPrefix), store.PrefixEnd([]byte(accountPrefix))) {
			var i Invitation
			if err := json.Unmarshal(v, &i); err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
			all[mail.AccountID(k[len(accountPrefix):])] = i
		}
		return r.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("activation links: %w", err)
	}
	return all, nil
}

func get(r store.Reader, account mail.AccountID) (i Invitation, err error) {
	b, err := r.Get([]byte(accountPrefix + string(account)))
	if err == nil {
		err = json.Unmarshal(b, &i)
	}
	return i, err
}

func put(tx store.Writer, account mail.AccountID, i Invitation) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return tx.Set([]byte(accountPrefix+string(account)), b)
}

// Forget removes what is kept of an account that is no more.
func Forget(tx store.Writer, account mail.AccountID) error {
	i, err := get(tx, account)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if i.Hash != "" {
		if err := tx.Delete([]byte(secretPrefix + i.Hash)); err != nil {
			return err
		}
	}
	return tx.Delete([]byte(accountPrefix + string(account)))
}

// Check implements store.Checker: each link is that of an account that knows it, and the other way round.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixActivation)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		key, sound := string(k), false
		switch {
		case len(key) > len(accountPrefix) && key[:len(accountPrefix)] == accountPrefix:
			var i Invitation
			sound = json.Unmarshal(v, &i) == nil && !i.Made.IsZero()
			if sound && i.Hash != "" {
				owner, err := r.Get([]byte(secretPrefix + i.Hash))
				sound = err == nil && string(owner) == key[len(accountPrefix):]
			}
		case len(key) > len(secretPrefix) && key[:len(secretPrefix)] == secretPrefix:
			i, err := get(r, mail.AccountID(v))
			sound = err == nil && i.Hash == key[len(secretPrefix):]
		}
		if !sound {
			report("activation link: a row is damaged, or has lost its other half")
		}
	}
	return r.Err()
}

// Owners implements identity.Owner.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	for k := range r.Scan([]byte(accountPrefix), store.PrefixEnd([]byte(accountPrefix))) {
		fn("activation link", mail.AccountID(k[len(accountPrefix):]))
	}
	return r.Err()
}

// Package token keeps device tokens: what a scanner or a mail client logs in with in place of its owner's password. The secret
// itself is kept nowhere, only its SHA-256, which is enough for 128 random bits. What a token opens is policy's to say.
//
// Keys:
//
//	k/h/<SHA-256 of the secret, 32>   → account id, "/", token id
//	k/t/<account id>/<token id>       → JSON of row
package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Token is a device's way in, without its secret.
type Token struct {
	ID       string         `json:"id"`
	Account  mail.AccountID `json:"account"`
	Name     string         `json:"name"`              // of the device
	Scopes   []string       `json:"scopes"`            // protocols
	Mailbox  mail.AccountID `json:"mailbox,omitempty"` // the one it opens; empty: what its owner's password opens
	Created  time.Time      `json:"created"`
	LastUsed time.Time      `json:"last_used,omitzero"` // to the hour, more or less; zero: never
}

// Hash stands for a secret.
type Hash = [sha256.Size]byte

type row struct {
	Token
	Hash []byte `json:"hash"`
}

const (
	byHash  = store.PrefixToken + "h/"
	byOwner = store.PrefixToken + "t/"

	// maxTokens of one account: a person has a few devices.
	maxTokens = 50
	// usedPeriod is how exact LastUsed is: a client that asks for mail every minute must not write every minute.
	usedPeriod = time.Hour
	// forgetChunk rows go in one transaction, far below store.MaxTx.
	forgetChunk = 1000
)

var (
	// ErrTooMany is the answer when an account has as many tokens as it may.
	ErrTooMany = errors.New("the account has too many device tokens")
	// ErrNameTaken is the answer to a name that another token of the account has.
	ErrNameTaken = errors.New("the account has a device token of that name")
)

// Table reads and writes tokens.
type Table struct{ st store.Store }

// New answers the tokens kept in st.
func New(st store.Store) *Table { return &Table{st} }

// NewID makes a token's id, short enough to type and never the same twice.
func NewID() string { return strings.ToLower(rand.Text()[:10]) }

// Add keeps a token durably under the hash of its secret.
func (t *Table) Add(ctx context.Context, tok Token, hash Hash) error {
	if tok.ID == "" || tok.Account == "" || strings.ContainsRune(tok.ID, '/') {
		return errors.New("a device token needs an id and an account")
	}
	value, err := json.Marshal(row{tok, hash[:]})
	if err != nil {
		return fmt.Errorf("device token of %s: %w", tok.Account, err)
	}
	err = t.st.Update(ctx, func(tx store.Writer) error {
		others, err := list(tx, tok.Account)
		switch {
		case err != nil:
			return err
		case len(others) >= maxTokens:
			return ErrTooMany
		case slices.ContainsFunc(others, func(o row) bool { return o.Name == tok.Name }):
			return ErrNameTaken
		}
		if err := tx.Set(ownerKey(tok.Account, tok.ID), value); err != nil {
			return err
		}
		return tx.Set(hashKey(hash[:]), []byte(string(tok.Account)+"/"+tok.ID))
	})
	if err != nil {
		return fmt.Errorf("keep a device token of %s: %w", tok.Account, err)
	}
	return nil
}

// List answers the tokens of an account, or of all when it is empty, the oldest first.
func (t *Table) List(ctx context.Context, account mail.AccountID) ([]Token, error) {
	var all []Token
	err := t.st.View(ctx, func(r store.Reader) error {
		rows, err := list(r, account)
		for _, row := range rows {
			all = append(all, row.Token)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("device tokens: %w", err)
	}
	slices.SortFunc(all, func(a, b Token) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

func list(r store.Reader, account mail.AccountID) ([]row, error) {
	prefix := []byte(byOwner)
	if account != "" {
		prefix = ownerKey(account, "")
	}
	var all []row
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		var one row
		if err := json.Unmarshal(v, &one); err != nil {
			return nil, fmt.Errorf("device token %q: %w", k, err)
		}
		all = append(all, one)
	}
	return all, r.Err()
}

// ByHash answers the token whose secret has this hash, or store.ErrNotFound.
func (t *Table) ByHash(ctx context.Context, hash Hash) (Token, error) {
	var found row
	err := t.st.View(ctx, func(r store.Reader) error {
		at, err := r.Get(hashKey(hash[:]))
		if err != nil {
			return err
		}
		value, err := r.Get([]byte(byOwner + string(at)))
		if err != nil {
			return err
		}
		return json.Unmarshal(value, &found)
	})
	if err != nil {
		return Token{}, fmt.Errorf("device token: %w", err)
	}
	return found.Token, nil
}

// Used notes that a token was used, unless that was noted within the last hour or the token is gone.
func (t *Table) Used(ctx context.Context, tok Token, now time.Time) error {
	if now.Sub(tok.LastUsed) < usedPeriod {
		return nil
	}
	err := t.st.Update(ctx, func(tx store.Writer) error {
		key := ownerKey(tok.Account, tok.ID)
		value, err := tx.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		var kept row
		if err := json.Unmarshal(value, &kept); err != nil {
			return err
		}
		kept.LastUsed = now
		if value, err = json.Marshal(kept); err != nil {
			return err
		}
		return tx.Set(key, value)
	})
	if err != nil {
		return fmt.Errorf("note the use of device token %s: %w", tok.ID, err)
	}
	return nil
}

// Revoke removes a token durably; it answers false when the account has none of that id.
func (t *Table) Revoke(ctx context.Context, account mail.AccountID, id string) (bool, error) {
	found := false
	err := t.st.Reclaim(ctx, func(tx store.Writer) error {
		value, err := tx.Get(ownerKey(account, id))
		if found = err == nil; errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return remove(tx, value)
	})
	if err != nil {
		return false, fmt.Errorf("revoke device token %s: %w", id, err)
	}
	return found, nil
}

func remove(tx store.Writer, value []byte) error {
	var gone row
	if err := json.Unmarshal(value, &gone); err != nil {
		return err
	}
	if err := tx.Delete(hashKey(gone.Hash)); err != nil {
		return err
	}
	return tx.Delete(ownerKey(gone.Account, gone.ID))
}

// RemoveUnused removes the tokens that were neither made nor used since then.
func (t *Table) RemoveUnused(ctx context.Context, since time.Time) error {
	for more := true; more; {
		err := t.st.Reclaim(ctx, func(tx store.Writer) (err error) {
			more, err = removeWhere(tx, func(tok Token) bool { return tok.Created.Before(since) && tok.LastUsed.Before(since) })
			return err
		})
		if err != nil {
			return fmt.Errorf("remove unused device tokens: %w", err)
		}
	}
	return nil
}

// Forget removes the tokens of an account that is no more, and those of others that open it: in one transaction as many as it
// takes, and more tells whether there are more.
func Forget(tx store.Writer, id mail.AccountID) (more bool, err error) {
	return removeWhere(tx, func(tok Token) bool { return tok.Account == id || tok.Mailbox == id })
}

func removeWhere(tx store.Writer, gone func(Token) bool) (more bool, err error) {
	n, prefix := 0, []byte(byOwner)
	for k, v := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		var one row
		if err := json.Unmarshal(v, &one); err != nil {
			return false, fmt.Errorf("device token %q: %w", k, err)
		}
		if !gone(one.Token) {
			continue
		}
		if n++; n > forgetChunk {
			return true, tx.Err()
		}
		if err := remove(tx, v); err != nil {
			return false, err
		}
	}
	return false, tx.Err()
}

func hashKey(hash []byte) []byte { return append([]byte(byHash), hash...) }

func ownerKey(account mail.AccountID, id string) []byte {
	return []byte(byOwner + string(account) + "/" + id)
}

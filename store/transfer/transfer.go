// Package transfer keeps the copies and moves between mail stores that are under way. Two stores have no transaction in common:
// what a crash or a store that goes down leaves half done is found here, and undone or finished later.
//
// Keys: t/<id> → JSON of Transfer.
package transfer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Place is messages of one folder.
type Place struct {
	Account     mail.AccountID `json:"account"`
	Folder      string         `json:"folder"` // in wire form, as the account's owner sees it
	UIDValidity uint32         `json:"uid_validity,omitempty"`
	UIDs        string         `json:"uids,omitempty"` // an IMAP set
}

// MaxMessages is how many messages one Transfer may tell of, so that its row stays below store.MaxValue whatever their UIDs
// are. A larger COPY or MOVE makes several.
const MaxMessages = 5000

// Transfer is one COPY or MOVE between two mail stores, or a part of a large one.
type Transfer struct {
	ID     string         `json:"id"`
	Person mail.AccountID `json:"person"` // who asked for it
	Since  time.Time      `json:"since"`
	Source Place          `json:"source"` // UIDs are those that have been copied, in the order of Target's
	Target Place          `json:"target"`
	// Copied says that all messages of a MOVE are in Target: what is left is to remove those of Source. Until then what is in
	// Target is to be removed.
	Copied bool `json:"copied,omitempty"`
}

// NewID makes the id of a transfer.
func NewID() string { return strings.ToLower(rand.Text()) }

// Table reads and writes transfers, each in a transaction of its own.
type Table struct{ st store.Store }

// New answers the transfers kept in st.
func New(st store.Store) *Table { return &Table{st} }

// Put keeps a transfer durably, in place of what was kept under its id.
func (t *Table) Put(ctx context.Context, tr Transfer) error {
	row, err := json.Marshal(tr)
	if err == nil {
		err = t.st.Update(ctx, func(tx store.Writer) error { return tx.Set(key(tr.ID), row) })
	}
	if err != nil {
		return fmt.Errorf("note a transfer: %w", err)
	}
	return nil
}

// Delete forgets transfers, all at once. It goes through the guard of a full disk like what frees space.
func (t *Table) Delete(ctx context.Context, ids ...string) error {
	err := t.st.Reclaim(ctx, func(tx store.Writer) error {
		for _, id := range ids {
			if err := tx.Delete(key(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget a transfer: %w", err)
	}
	return nil
}

// All answers the transfers that are kept, in no order that means anything.
func (t *Table) All(ctx context.Context) ([]Transfer, error) {
	var all []Transfer
	err := t.st.View(ctx, func(r store.Reader) error {
		return scan(r, func(_ []byte, tr Transfer, err error) error {
			all = append(all, tr)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read transfers: %w", err)
	}
	return all, nil
}

// Check implements store.Checker: every row can be read and stands under its own key.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	return scan(r, func(k []byte, tr Transfer, err error) error {
		if err != nil || string(key(tr.ID)) != string(k) || tr.Source.Account == "" || tr.Target.Account == "" {
			report(fmt.Sprintf("transfer %q: its row is damaged", k))
		}
		return nil
	})
}

func scan(r store.Reader, fn func(key []byte, tr Transfer, err error) error) error {
	prefix := []byte(store.PrefixTransfer)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		var tr Transfer
		err := json.Unmarshal(v, &tr)
		if err := fn(k, tr, err); err != nil {
			return err
		}
	}
	return r.Err()
}

func key(id string) []byte { return []byte(store.PrefixTransfer + id) }

// Package subscription keeps which folders of which accounts a person subscribed to or unsubscribed from. Only what the person
// said is kept; what holds for all other folders is decided by those who ask.
//
// Keys: s/<person id>/<account id>/<folder, UTF-8> → 1 octet, 1 subscribed, 0 unsubscribed.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"balorg/mail"
	"balorg/store"
)

const (
	// maxFolder keeps a key below store.MaxKey.
	maxFolder = store.MaxKey - 64
	// maxFolders is of how many folders of one account a person may have said something. They need not exist, so without it
	// a client could fill the disk; an account has fewer.
	maxFolders = 4000
	// forgetChunk rows go in one transaction: far below store.MaxTx even with the longest names.
	forgetChunk = 2000
)

var (
	// ErrLongName is the answer when a folder's name is too long to be subscribed to.
	ErrLongName = errors.New("folder name is too long")
	// ErrTooMany is the answer when the person has said something of as many folders of the account as they may.
	ErrTooMany = errors.New("too many subscriptions")
)

// Table reads and writes subscriptions.
type Table struct{ st store.Store }

// New answers the subscriptions kept in st.
func New(st store.Store) *Table { return &Table{st} }

// Overrides answers what the person said of the account's folders, by name: true for subscribed.
func (t *Table) Overrides(ctx context.Context, person, account mail.AccountID) (map[string]bool, error) {
	said := make(map[string]bool)
	prefix := key(person, account, "")
	err := t.st.View(ctx, func(r store.Reader) error {
		for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			said[string(k[len(prefix):])] = len(v) == 1 && v[0] == 1
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("subscriptions of %s: %w", person, err)
	}
	return said, nil
}

// Set keeps durably whether the person is subscribed to the folder, which need not exist (RFC 9051, 6.3.7).
func (t *Table) Set(ctx context.Context, person, account mail.AccountID, folder string, subscribed bool) error {
	if len(folder) > maxFolder {
		return ErrLongName
	}
	value := []byte{0}
	if subscribed {
		value[0] = 1
	}
	err := t.st.Update(ctx, func(tx store.Writer) error {
		if err := hasRoom(tx, person, account, folder); err != nil {
			return err
		}
		return tx.Set(key(person, account, folder), value)
	})
	if err != nil {
		return fmt.Errorf("subscription of %s: %w", person, err)
	}
	return nil
}

// hasRoom answers ErrTooMany when the person may not say something of one folder more.
func hasRoom(tx store.Writer, person, account mail.AccountID, folder string) error {
	if _, err := tx.Get(key(person, account, folder)); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	n, prefix := 0, key(person, account, "")
	for range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		n++
	}
	if n >= maxFolders {
		return ErrTooMany
	}
	return tx.Err()
}

// Forget removes what an account that is no more said, and what others said of its folders: in one transaction as much as it
// takes, and more tells whether there is more.
func Forget(tx store.Writer, id mail.AccountID) (more bool, err error) {
	n, prefix := 0, []byte(store.PrefixSubscription)
	for k := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		person, rest, _ := strings.Cut(string(k[len(prefix):]), "/")
		account, _, _ := strings.Cut(rest, "/")
		if person != string(id) && account != string(id) {
			continue
		}
		if n++; n > forgetChunk {
			return true, tx.Err()
		}
		if err := tx.Delete(append([]byte(nil), k...)); err != nil {
			return false, err
		}
	}
	return false, tx.Err()
}

func key(person, account mail.AccountID, folder string) []byte {
	return []byte(store.PrefixSubscription + string(person) + "/" + string(account) + "/" + folder)
}

// Check implements store.Checker: every row names a person, an account and a folder, and says yes or no.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixSubscription)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		parts := strings.SplitN(string(k[len(prefix):]), "/", 3)
		if len(parts) != 3 || slices.Contains(parts, "") || len(v) != 1 || v[0] > 1 {
			report(fmt.Sprintf("subscription %q: its row is damaged", k))
		}
	}
	return r.Err()
}

// Owners implements identity.Owner.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	prefix := []byte(store.PrefixSubscription)
	for k := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		person, rest, _ := strings.Cut(string(k[len(prefix):]), "/")
		account, _, _ := strings.Cut(rest, "/")
		fn("subscription", mail.AccountID(person))
		fn("subscribed folder", mail.AccountID(account))
	}
	return r.Err()
}

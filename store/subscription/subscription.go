// Package subscription keeps which folders of which accounts a person subscribed to or unsubscribed from. Only what the person
// said is kept; what holds for all other folders is decided by those who ask.
//
// Keys: s/<person id>/<account id>/<folder, UTF-8> → 1 octet, 1 subscribed, 0 unsubscribed.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"balorg/mail"
	"balorg/store"
)

// maxFolder keeps a key below store.MaxKey.
const maxFolder = store.MaxKey - 64

// ErrLongName is the answer when a folder's name is too long to be subscribed to.
var ErrLongName = errors.New("folder name is too long")

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
	err := t.st.Update(ctx, func(tx store.Writer) error { return tx.Set(key(person, account, folder), value) })
	if err != nil {
		return fmt.Errorf("subscription of %s: %w", person, err)
	}
	return nil
}

// Forget removes what an account that is no more said, and what others said of its folders.
func Forget(tx store.Writer, id mail.AccountID) error {
	prefix := []byte(store.PrefixSubscription)
	for k := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		person, rest, _ := strings.Cut(string(k[len(prefix):]), "/")
		account, _, _ := strings.Cut(rest, "/")
		if person != string(id) && account != string(id) {
			continue
		}
		if err := tx.Delete(append([]byte(nil), k...)); err != nil {
			return err
		}
	}
	return tx.Err()
}

func key(person, account mail.AccountID, folder string) []byte {
	return []byte(store.PrefixSubscription + string(person) + "/" + string(account) + "/" + folder)
}

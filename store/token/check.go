package token

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"balorg/mail"
	"balorg/store"
)

// Check implements store.Checker: every token stands under its own key, and each hash leads to the token that has it.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixToken)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		hash, isHash := strings.CutPrefix(string(k), byHash)
		switch {
		case isHash:
			value, err := r.Get([]byte(byOwner + string(v)))
			var one row
			if err != nil || json.Unmarshal(value, &one) != nil || string(one.Hash) != hash {
				report(fmt.Sprintf("device token %s: its hash leads to another, or to none", v))
			}
		case strings.HasPrefix(string(k), byOwner):
			checkRow(r, string(k), v, report)
		default:
			report(fmt.Sprintf("device token %q: its key is damaged", k))
		}
	}
	return r.Err()
}

func checkRow(r store.Reader, key string, value []byte, report func(problem string)) {
	var one row
	if json.Unmarshal(value, &one) != nil || string(ownerKey(one.Account, one.ID)) != key || len(one.Hash) != sha256.Size {
		report(fmt.Sprintf("device token %q: its row is damaged", key))
		return
	}
	if at, err := r.Get(hashKey(one.Hash)); err != nil || byOwner+string(at) != key {
		report(fmt.Sprintf("device token %s: its secret does not lead to it", one.ID))
	}
}

// Owners implements identity.Owner.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	rows, err := list(r, "")
	for _, one := range rows {
		fn("device token", one.Account)
		if one.Mailbox != "" {
			fn("mailbox of a device token", one.Mailbox)
		}
	}
	return err
}

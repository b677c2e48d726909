package setting

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"balorg/mail"
	"balorg/store"
)

// Check implements store.Checker: every choice can be read and stands under its own key, and no password is empty.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixChoice)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		var c Choice
		if err := json.Unmarshal(v, &c); err != nil || string(choiceKey(c)) != string(k) {
			report(fmt.Sprintf("choice %q: its row is damaged", k))
		}
	}
	prefix = []byte(store.PrefixPassword)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		if len(v) == 0 {
			report(fmt.Sprintf("password of account %s: it is empty", k[len(prefix):]))
		}
	}
	return r.Err()
}

// Owners implements identity.Owner. Whom a choice is about is not told: that account may be gone, and the choice lapses.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	prefix := []byte(store.PrefixPassword)
	for k := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		fn("password", mail.AccountID(k[len(prefix):]))
	}
	prefix = []byte(store.PrefixChoice)
	for k := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		person, _, _ := strings.Cut(string(k[len(prefix):]), "/")
		fn("choice", mail.AccountID(person))
	}
	return r.Err()
}

package identity

import (
	"context"
	"encoding/json"
	"fmt"

	"balorg/mail"
	"balorg/store"
)

// Owner is a table whose rows hang on account ids: it calls fn for each id it holds something of, once or more.
type Owner interface {
	Owners(ctx context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error
}

// Checker verifies that each identity can be read and stands under its id, and that what the Owners hold belongs to an id that
// was given out: what hangs on no identity is found by nobody and never removed. It is a store.Checker.
type Checker struct{ Owners []Owner }

// Check implements store.Checker.
func (c Checker) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	known := make(map[mail.AccountID]bool)
	prefix := []byte(store.PrefixIdentity)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		id := mail.AccountID(k[len(prefix):])
		known[id] = true
		var i Identity
		if err := json.Unmarshal(v, &i); err != nil || i.ID != id || i.Address == "" || i.State == "" {
			report(fmt.Sprintf("identity %s: its row is damaged", id))
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	for _, o := range c.Owners {
		err := o.Owners(ctx, r, func(what string, id mail.AccountID) {
			if !known[id] {
				report(fmt.Sprintf("%s of account %s: it has no identity", what, id))
			}
		})
		if err != nil {
			return fmt.Errorf("owners in %T: %w", o, err)
		}
	}
	return nil
}

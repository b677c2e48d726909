// Package lastlogin keeps when each person last logged in, for longer than the trace does: a mailbox nobody has used for a year is to be
// deleted (CNIL 2014-239), and the trace is kept for half a year. What is kept is read off the trace, up to a record that is remembered.
//
// Keys:
//
//	u/c              → decimal seq of the last record that was looked at
//	u/l/<account id> → the time, RFC 3339
package lastlogin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"balorg/mail"
	"balorg/store"
)

const (
	cursorKey = store.PrefixLastLogin + "c"
	loginsKey = store.PrefixLastLogin + "l/"
)

// Table reads and writes last logins.
type Table struct{ st store.Store }

// New answers the last logins kept in st.
func New(st store.Store) *Table { return &Table{st} }

// All answers the last login of each account that ever logged in, and the record of the trace up to which that is so.
func (t *Table) All(ctx context.Context) (logins map[mail.AccountID]time.Time, upTo uint64, err error) {
	logins = map[mail.AccountID]time.Time{}
	err = t.st.View(ctx, func(r store.Reader) error {
		upTo, err = cursor(r)
		if err != nil {
			return err
		}
		for k, v := range r.Scan([]byte(loginsKey), store.PrefixEnd([]byte(loginsKey))) {
			at, err := time.Parse(time.RFC3339, string(v))
			if err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
			logins[mail.AccountID(k[len(loginsKey):])] = at
		}
		return r.Err()
	})
	if err != nil {
		return nil, 0, fmt.Errorf("last logins: %w", err)
	}
	return logins, upTo, nil
}

func cursor(r store.Reader) (uint64, error) {
	value, err := r.Get([]byte(cursorKey))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(value), 10, 64)
}

// chunk rows go in one transaction.
const chunk = 2000

// Note keeps later logins, and up to which record of the trace they were looked for. What a crash leaves half done is done again.
func (t *Table) Note(ctx context.Context, logins map[mail.AccountID]time.Time, upTo uint64) error {
	ids := make([]mail.AccountID, 0, len(logins))
	for id := range logins {
		ids = append(ids, id)
	}
	for done := false; !done; {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		done = len(ids) == 0
		err := t.st.Update(ctx, func(tx store.Writer) error {
			for _, id := range part {
				if err := tx.Set([]byte(loginsKey+string(id)), []byte(logins[id].UTC().Format(time.RFC3339))); err != nil {
					return err
				}
			}
			if !done {
				return nil
			}
			return tx.Set([]byte(cursorKey), strconv.AppendUint(nil, upTo, 10))
		})
		if err != nil {
			return fmt.Errorf("note last logins: %w", err)
		}
	}
	return nil
}

// Forget removes what is kept of an account that is no more.
func Forget(tx store.Writer, id mail.AccountID) error {
	return tx.Delete([]byte(loginsKey + string(id)))
}

// Check implements store.Checker: every row can be read.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixLastLogin)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		var err error
		switch {
		case string(k) == cursorKey:
			_, err = strconv.ParseUint(string(v), 10, 64)
		case len(k) > len(loginsKey) && string(k[:len(loginsKey)]) == loginsKey:
			_, err = time.Parse(time.RFC3339, string(v))
		default:
			err = errors.New("no such key")
		}
		if err != nil {
			report(fmt.Sprintf("last login %q: its row is damaged", k))
		}
	}
	return r.Err()
}

// Owners implements identity.Owner.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	for k := range r.Scan([]byte(loginsKey), store.PrefixEnd([]byte(loginsKey))) {
		fn("last login", mail.AccountID(k[len(loginsKey):]))
	}
	return r.Err()
}

package notice

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/smtp/queue"
	"balorg/store"
)

// The tables below store.PrefixNotice.
const (
	tablePerson = store.PrefixNotice + "p/"
	tableDue    = store.PrefixNotice + "d/"
	tableSeen   = store.PrefixNotice + "w/"
)

// pair is a mailbox and somebody who wants to be told of it.
type pair struct {
	Mailbox mail.AccountID `json:"mailbox"`
	Person  mail.AccountID `json:"person"`
}

// pending is what a person has not been told of. There is a row from the first message on until the person has been told and has then had
// their rest.
type pending struct {
	pair
	Count  int       `json:"count"`            // messages not told of; 0: the row waits for the end of the rest
	Due    time.Time `json:"due"`              // when to look at the row
	Queued queue.ID  `json:"queued,omitempty"` // the last notice
	Since  time.Time `json:"since,omitzero"`   // when that was queued
}

// Seen is how far a mailbox on a server has been looked at: messages with lower UIDs have been counted, or were there before.
type Seen struct {
	UIDValidity uint32 `json:"uid_validity"`
	UIDNext     uint32 `json:"uid_next"`
}

func (p pair) tail() string { return string(p.Mailbox) + "/" + string(p.Person) }

func (p pair) key() []byte { return []byte(tablePerson + p.tail()) }

func (p pending) dueKey() []byte {
	return append(dueTime(p.Due), p.tail()...)
}

func dueTime(t time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte(tableDue), uint64(t.UnixMilli()))
}

func parsePair(tail string) (pair, bool) {
	mailbox, person, ok := strings.Cut(tail, "/")
	return pair{mail.AccountID(mailbox), mail.AccountID(person)}, ok && mailbox != "" && person != ""
}

// parseDue reads a key of tableDue.
func parseDue(key []byte) (pair, bool) {
	rest := strings.TrimPrefix(string(key), tableDue)
	if len(rest) < 8 {
		return pair{}, false
	}
	return parsePair(rest[8:])
}

// getTx answers a row, or store.ErrNotFound.
func getTx(r store.Reader, p pair) (pending, error) {
	var row pending
	value, err := r.Get(p.key())
	if err != nil {
		return row, err
	}
	if err := json.Unmarshal(value, &row); err != nil {
		return row, fmt.Errorf("what is to be told of: %w", err)
	}
	return row, nil
}

// putTx writes a row in place of the one before, which may be zero.
func putTx(tx store.Writer, before, row pending) error {
	value, err := json.Marshal(row)
	if err != nil {
		return err
	}
	if !before.Due.Equal(row.Due) {
		if !before.Due.IsZero() {
			if err := tx.Delete(before.dueKey()); err != nil {
				return err
			}
		}
		if err := tx.Set(row.dueKey(), nil); err != nil {
			return err
		}
	}
	return tx.Set(row.key(), value)
}

func deleteTx(tx store.Writer, row pending) error {
	if err := tx.Delete(row.dueKey()); err != nil {
		return err
	}
	return tx.Delete(row.key())
}

func seenKey(mailbox mail.AccountID) []byte { return []byte(tableSeen + string(mailbox)) }

// SeenTx answers how far a mailbox has been looked at; false when it has not been.
func SeenTx(r store.Reader, mailbox mail.AccountID) (Seen, bool, error) {
	var s Seen
	value, err := r.Get(seenKey(mailbox))
	if errors.Is(err, store.ErrNotFound) {
		return s, false, nil
	}
	if err == nil {
		err = json.Unmarshal(value, &s)
	}
	if err != nil {
		return s, false, fmt.Errorf("how far a mailbox was looked at: %w", err)
	}
	return s, true, nil
}

// SetSeenTx notes how far a mailbox has been looked at.
func SetSeenTx(tx store.Writer, mailbox mail.AccountID, s Seen) error {
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return tx.Set(seenKey(mailbox), value)
}

// UnseeTx forgets how far a mailbox has been looked at: nobody wants to be told of it any more, and who does later is not told of
// what comes until then.
func UnseeTx(tx store.Writer, mailbox mail.AccountID) error { return tx.Delete(seenKey(mailbox)) }

// chunk bounds the rows deleted in one transaction, far below store.MaxTx.
const chunk = 2000

// Forget removes what there is of an account that is no more, as a mailbox and as a person: in one transaction as much as it takes, and
// more tells whether there is more.
func Forget(tx store.Writer, id mail.AccountID) (more bool, err error) {
	if err := tx.Delete(seenKey(id)); err != nil {
		return false, err
	}
	return deleteWhere(tx, func(p pair) bool { return p.Mailbox == id || p.Person == id })
}

// Clear removes everything: for a start without notifications, so that nobody is told later of what came while nobody was to be told.
func Clear(ctx context.Context, st store.Store) error {
	for more := true; more; {
		some := false
		err := st.View(ctx, func(r store.Reader) error {
			for range r.Scan([]byte(store.PrefixNotice), store.PrefixEnd([]byte(store.PrefixNotice))) {
				some = true
				break
			}
			return nil
		})
		if err != nil || !some {
			return err
		}
		err = st.Reclaim(ctx, func(tx store.Writer) (err error) {
			more, err = deleteWhere(tx, func(pair) bool { return true })
			if err != nil || more {
				return err
			}
			seen := keysOf(tx, tableSeen, func([]byte) bool { return true })
			more = len(seen) > chunk
			return deleteAll(tx, seen)
		})
		if err != nil {
			return fmt.Errorf("forget what was to be told: %w", err)
		}
	}
	return nil
}

func deleteWhere(tx store.Writer, where func(pair) bool) (more bool, err error) {
	rows := keysOf(tx, tablePerson, func(k []byte) bool {
		p, ok := parsePair(strings.TrimPrefix(string(k), tablePerson))
		return ok && where(p)
	})
	due := keysOf(tx, tableDue, func(k []byte) bool {
		p, ok := parseDue(k)
		return ok && where(p)
	})
	if err := tx.Err(); err != nil {
		return false, err
	}
	if err := deleteAll(tx, rows); err != nil {
		return false, err
	}
	return len(rows) > chunk || len(due) > chunk, deleteAll(tx, due)
}

// keysOf answers at most chunk+1 keys of a table.
func keysOf(r store.Reader, table string, where func(key []byte) bool) [][]byte {
	var all [][]byte
	for k := range r.Scan([]byte(table), store.PrefixEnd([]byte(table))) {
		if where(k) {
			all = append(all, slices.Clone(k))
		}
		if len(all) > chunk {
			break
		}
	}
	return all
}

func deleteAll(tx store.Writer, keys [][]byte) error {
	for _, k := range keys[:min(len(keys), chunk)] {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Table verifies the rows.
type Table struct{}

// Check implements store.Checker: every row can be read and stands under its own key, and each pair has one time at which it is due.
func (Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	rows := 0
	for k, v := range r.Scan([]byte(tablePerson), store.PrefixEnd([]byte(tablePerson))) {
		rows++
		var row pending
		if err := json.Unmarshal(v, &row); err != nil || string(row.key()) != string(k) || row.Count < 0 || row.Due.IsZero() {
			report(fmt.Sprintf("notices %q: the row is damaged", k))
			continue
		}
		if _, err := r.Get(row.dueKey()); errors.Is(err, store.ErrNotFound) {
			report(fmt.Sprintf("notices %q: the row is due at no time", k))
		} else if err != nil {
			return err
		}
	}
	due := 0
	for k := range r.Scan([]byte(tableDue), store.PrefixEnd([]byte(tableDue))) {
		due++
		p, ok := parseDue(k)
		if !ok {
			report(fmt.Sprintf("notices: a key %q that means nothing", k))
			continue
		}
		row, err := getTx(r, p)
		if err != nil || string(row.dueKey()) != string(k) {
			report(fmt.Sprintf("notices %q: nothing is due then", k))
		}
	}
	if due != rows {
		report(fmt.Sprintf("notices: %d rows, %d times at which they are due", rows, due))
	}
	for k, v := range r.Scan([]byte(tableSeen), store.PrefixEnd([]byte(tableSeen))) {
		var s Seen
		if err := json.Unmarshal(v, &s); err != nil || s.UIDValidity == 0 || s.UIDNext == 0 {
			report(fmt.Sprintf("notices %q: the row is damaged", k))
		}
	}
	return r.Err()
}

// Owners implements identity.Owner.
func (Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	for k := range r.Scan([]byte(tablePerson), store.PrefixEnd([]byte(tablePerson))) {
		if p, ok := parsePair(strings.TrimPrefix(string(k), tablePerson)); ok {
			fn("notices of a mailbox", p.Mailbox)
			fn("notices to a person", p.Person)
		}
	}
	for k := range r.Scan([]byte(tableSeen), store.PrefixEnd([]byte(tableSeen))) {
		fn("watched mailbox", mail.AccountID(strings.TrimPrefix(string(k), tableSeen)))
	}
	return r.Err()
}

// Watched answers the mailboxes that have been looked at.
func Watched(r store.Reader) ([]mail.AccountID, error) {
	var all []mail.AccountID
	for k := range r.Scan([]byte(tableSeen), store.PrefixEnd([]byte(tableSeen))) {
		all = append(all, mail.AccountID(strings.TrimPrefix(string(k), tableSeen)))
	}
	return all, r.Err()
}

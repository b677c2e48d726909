// Package sent keeps for a day what was sent, so that the client's own APPEND of the same message to Sent is recognised: the daemon
// has put a copy there already, and a team must not find every message twice.
//
// Keys: e/<mailbox id>/<person id>/<16 octets of SHA-256 of the message's id and its body's hash, hexadecimal> → Copy (encode).
package sent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/store"
	"balorg/store/fields"
)

// Keep is how long a copy is recognised. A client that was offline when it sent appends when it is back; one that takes longer leaves
// a second copy.
const Keep = 24 * time.Hour

// pruneChunk rows go in one transaction: far below store.MaxTx, since a deletion writes no value.
const pruneChunk = 2000

// ID is what a client's copy and ours have in common. Headers differ: the client's names the person, and holds Bcc.
type ID struct {
	Mailbox   mail.AccountID `json:"mailbox"`
	Person    mail.AccountID `json:"person"`
	MessageID string         `json:"message_id"` // of the client's copy, with its angle brackets; empty: it has none
	Body      header.Hash    `json:"-"`          // of what the client sent
}

// Copy is one message in Sent, or on its way there.
type Copy struct {
	ID
	Time time.Time `json:"time"`
	// Where the copy is: the folder's name in UTF-8, as the mail store says it. UID is 0 until it has been placed, Folder
	// empty until it is known.
	Folder      string `json:"folder,omitempty"`
	UIDValidity uint32 `json:"uid_validity,omitempty"`
	UID         uint32 `json:"uid,omitempty"`
	// Bcc is the field of the client's copy, all its lines, that ours still has to get.
	Bcc []byte `json:"bcc,omitempty"`
}

// copyRow begins the row of a Copy.
const copyRow = 1

func (c Copy) encode() []byte {
	row := append(make([]byte, 0, 160), copyRow)
	row = fields.AppendText(row, c.Mailbox)
	row = fields.AppendText(row, c.Person)
	row = fields.AppendText(row, c.MessageID)
	row = append(row, c.Body[:]...)
	row = fields.AppendTime(row, c.Time)
	row = fields.AppendText(row, c.Folder)
	row = fields.AppendUint(row, uint64(c.UIDValidity))
	row = fields.AppendUint(row, uint64(c.UID))
	return fields.AppendText(row, string(c.Bcc))
}

// jsonCopy is a Copy as it was kept once.
type jsonCopy struct {
	Copy
	Hash string `json:"body"`
}

// Table reads and writes copies.
type Table struct{ st store.Store }

// New answers the copies kept in st.
func New(st store.Store) *Table { return &Table{st} }

// PutTx keeps a copy as part of the transaction in which the message is accepted.
func PutTx(tx store.Writer, c Copy) error {
	if err := tx.Set(c.key(), c.encode()); err != nil {
		return fmt.Errorf("note a sent message: %w", err)
	}
	return nil
}

// FindTx answers a copy, or store.ErrNotFound.
func FindTx(r store.Reader, id ID) (Copy, error) {
	value, err := r.Get(id.key())
	if err != nil {
		return Copy{}, err
	}
	return parse(value)
}

// PlaceTx notes where a copy has been put, and answers it as it was before. withBcc tells that it holds what was kept as Bcc. A copy
// that is not known any more is store.ErrNotFound, and nothing is to be noted.
func PlaceTx(tx store.Writer, id ID, folder string, uidValidity, uid uint32, withBcc bool) (Copy, error) {
	before, err := FindTx(tx, id)
	if err != nil {
		return Copy{}, err
	}
	c := before
	c.Folder, c.UIDValidity, c.UID = folder, uidValidity, uid
	if withBcc {
		c.Bcc = nil
	}
	return before, PutTx(tx, c)
}

// Place is PlaceTx in a transaction of its own.
func (t *Table) Place(ctx context.Context, id ID, folder string, uidValidity, uid uint32, withBcc bool) error {
	err := t.st.Update(ctx, func(tx store.Writer) error {
		_, err := PlaceTx(tx, id, folder, uidValidity, uid, withBcc)
		return err
	})
	if err != nil {
		return fmt.Errorf("note where a copy is: %w", err)
	}
	return nil
}

// SetBcc keeps the field Bcc of the client's copy until ours has it.
func (t *Table) SetBcc(ctx context.Context, id ID, field []byte) error {
	err := t.st.Update(ctx, func(tx store.Writer) error {
		c, err := FindTx(tx, id)
		if err != nil {
			return err
		}
		c.Bcc = field
		return PutTx(tx, c)
	})
	if err != nil {
		return fmt.Errorf("note the Bcc of a copy: %w", err)
	}
	return nil
}

// Any tells whether the person has sent anything as the mailbox since a time.
func (t *Table) Any(ctx context.Context, mailbox, person mail.AccountID, since time.Time) (found bool, err error) {
	prefix := prefix(mailbox, person)
	err = t.st.View(ctx, func(r store.Reader) error {
		for _, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			c, err := parse(v)
			if err != nil {
				return err
			}
			if found = !c.Time.Before(since); found {
				break
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("read sent messages: %w", err)
	}
	return found, nil
}

// Find answers a copy that was sent since a time, or store.ErrNotFound.
func (t *Table) Find(ctx context.Context, id ID, since time.Time) (c Copy, err error) {
	err = t.st.View(ctx, func(r store.Reader) (err error) {
		c, err = FindTx(r, id)
		if err == nil && c.Time.Before(since) {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return Copy{}, fmt.Errorf("find a sent message: %w", err)
	}
	return c, nil
}

// Await answers a copy once it has been placed, or as it is when ctx ends.
func (t *Table) Await(ctx context.Context, id ID) (Copy, error) {
	changed, stop := t.st.Watch(id.key())
	defer stop()
	for {
		c, err := t.Find(context.WithoutCancel(ctx), id, time.Time{})
		if err != nil || c.UID > 0 || ctx.Err() != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Prune forgets what was sent before a time, and answers how many copies that were.
func (t *Table) Prune(ctx context.Context, before time.Time) (n int, err error) {
	for more := true; more; {
		deleted := 0
		err := t.st.Reclaim(ctx, func(tx store.Writer) (err error) {
			deleted, more, err = deleteWhere(tx, func(c Copy) bool { return c.Time.Before(before) })
			return err
		})
		if err != nil {
			return n, fmt.Errorf("forget sent messages: %w", err)
		}
		n += deleted
	}
	return n, nil
}

// Forget removes what an account that is no more sent, and what was sent as it: in one transaction as much as it takes, and more tells
// whether there is more.
func Forget(tx store.Writer, id mail.AccountID) (more bool, err error) {
	_, more, err = deleteWhere(tx, func(c Copy) bool { return c.Mailbox == id || c.Person == id })
	return more, err
}

func deleteWhere(tx store.Writer, where func(Copy) bool) (n int, more bool, err error) {
	var keys [][]byte
	err = scan(tx, func(k []byte, c Copy, err error) error {
		if err == nil && where(c) && len(keys) <= pruneChunk {
			keys = append(keys, slices.Clone(k))
		}
		return err
	})
	if err != nil {
		return 0, false, err
	}
	more = len(keys) > pruneChunk
	keys = keys[:min(pruneChunk, len(keys))]
	for _, k := range keys {
		if err := tx.Delete(k); err != nil {
			return 0, false, err
		}
	}
	return len(keys), more, nil
}

// Check implements store.Checker: every row can be read and stands under its own key.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	return scan(r, func(k []byte, c Copy, err error) error {
		if err != nil || string(c.key()) != string(k) || c.Mailbox == "" || c.Person == "" || c.Time.IsZero() {
			report(fmt.Sprintf("sent message %q: its row is damaged", k))
		}
		return nil
	})
}

// Owners implements identity.Owner.
func (t *Table) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	return scan(r, func(k []byte, _ Copy, _ error) error {
		mailbox, rest, _ := strings.Cut(strings.TrimPrefix(string(k), store.PrefixSent), "/")
		person, _, _ := strings.Cut(rest, "/")
		fn("sent message", mail.AccountID(mailbox))
		fn("sender of a message", mail.AccountID(person))
		return nil
	})
}

func scan(r store.Reader, fn func(key []byte, c Copy, err error) error) error {
	prefix := []byte(store.PrefixSent)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		c, err := parse(v)
		if err := fn(k, c, err); err != nil {
			return err
		}
	}
	return r.Err()
}

var errHash = errors.New("not a hash")

func parse(value []byte) (Copy, error) {
	if len(value) == 0 || value[0] != '{' {
		return decode(value)
	}
	var kept jsonCopy
	if err := json.Unmarshal(value, &kept); err != nil {
		return Copy{}, fmt.Errorf("a sent message: %w", err)
	}
	hash, err := hex.DecodeString(kept.Hash)
	if err != nil || len(hash) != len(kept.Body) {
		return Copy{}, fmt.Errorf("a sent message: %w", errHash)
	}
	kept.Body = header.Hash(hash)
	return kept.Copy, nil
}

func decode(value []byte) (c Copy, err error) {
	if len(value) == 0 || value[0] != copyRow {
		return c, fmt.Errorf("a sent message: %w", fields.ErrDamaged)
	}
	r := fields.NewReader(value)
	c.Mailbox, c.Person, c.MessageID = mail.AccountID(r.Text()), mail.AccountID(r.Text()), r.Text()
	copy(c.Body[:], r.Fixed(len(c.Body)))
	c.Time, c.Folder = r.Time(), r.Text()
	c.UIDValidity, c.UID = uint32(r.Uint()), uint32(r.Uint())
	if bcc := r.Bytes(); len(bcc) > 0 {
		c.Bcc = slices.Clone(bcc)
	}
	if err := r.End(); err != nil {
		return c, fmt.Errorf("a sent message: %w", err)
	}
	return c, nil
}

func prefix(mailbox, person mail.AccountID) []byte {
	return []byte(store.PrefixSent + string(mailbox) + "/" + string(person) + "/")
}

func (id ID) key() []byte {
	sum := sha256.Sum256(append([]byte(id.MessageID+"\x00"), id.Body[:]...))
	return hex.AppendEncode(prefix(id.Mailbox, id.Person), sum[:16])
}

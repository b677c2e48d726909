// Package audit keeps the trace: who did what in which mailbox, for ever in order, chained by hash so that no record can be
// changed, removed or slipped in without Verify naming the place.
//
// A record's hash is SHA-256 over the hash of the record before it and the record's stored octets, which are JSON; Export
// writes both, so that anybody can verify the chain without balorg. Records leave the trace by age only (Prune),
// which keeps a signed checkpoint of the last one that left: the chain goes on from it.
//
// Keys, below store.PrefixAudit; numbers are big-endian:
//
//	a/r/<seq 8>                  record: hash 32, then JSON
//	a/m/<mailbox id>/<seq 8>     empty: the records about a mailbox
//	a/p/<person id>/<seq 8>      empty: the records of a person
//	a/t/<hour 8>                 lowest and highest seq of the records of that hour since 1970, 8 octets each
//	a/h                          head: seq 8 and hash 32 of the last record
//	a/c                          checkpoint, JSON
//	a/k                          the seed of the key that signs checkpoints
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Action says what was done.
type Action string

// The actions of the trace.
const (
	Login        Action = "login"
	Refusal      Action = "refusal" // of a login, an open, a command
	Open         Action = "open"    // a folder was selected or examined
	Read         Action = "read"    // a body or part of one was fetched
	Append       Action = "append"
	StoreDeleted Action = "store_deleted" // \Deleted was set
	Expunge      Action = "expunge"
	Copy         Action = "copy"
	Move         Action = "move"
	FolderChange Action = "folder"      // a folder was created, renamed or, with its messages, deleted
	Send         Action = "send"        // a message was accepted from a person
	Receive      Action = "receive"     // a message was accepted from outside
	Deliver      Action = "deliver"     // a message reached the next hop or a mailbox
	Undelivered  Action = "undelivered" // a message was given up for a recipient
	SessionEnd   Action = "session_end"
	Administer   Action = "administer" // by a command or page of an administrator
)

// Actions lists every action.
func Actions() []Action {
	return []Action{
		Login, Refusal, Open, Read, Append, StoreDeleted, Expunge, Copy, Move, FolderChange, Send, Receive, Deliver, Undelivered,
		SessionEnd, Administer,
	}
}

// Party is an account as it was called then. The id is empty when the address is no account's.
type Party struct {
	ID      mail.AccountID `json:"id,omitempty"`
	Address mail.Address   `json:"address,omitempty"`
}

// Record is one thing done, or refused. It holds nothing of what a message says.
type Record struct {
	Seq         uint64    `json:"seq"`  // given by the trace, from 1, without gaps
	Time        time.Time `json:"time"` // with the offset of local time
	Action      Action    `json:"action"`
	Person      Party     `json:"person,omitzero"`  // who was authenticated
	Mailbox     Party     `json:"mailbox,omitzero"` // in whose mailbox
	Folder      string    `json:"folder,omitempty"`
	UIDValidity uint32    `json:"uid_validity,omitempty"`
	UIDs        string    `json:"uids,omitempty"`    // an IMAP set
	Count       int64     `json:"count,omitempty"`   // how many messages, where UIDs do not say
	Request     string    `json:"request,omitempty"` // without literals and secrets
	Answer      string    `json:"answer,omitempty"`  // as in the protocol: OK, NO [NOPERM]
	Reason      string    `json:"reason,omitempty"`  // the true one of a refusal
	Means       string    `json:"means,omitempty"`   // of a login: what with, and which device
	Protocol    string    `json:"protocol,omitempty"`
	Session     string    `json:"session,omitempty"`
	Client      string    `json:"client,omitempty"` // address and port
}

// maxRecord keeps a record below store.MaxValue.
const maxRecord = store.MaxValue - sha256.Size

// ErrTooLarge is the answer to a record that cannot be kept whole.
var ErrTooLarge = errors.New("record of the trace is too large")

type hash = [sha256.Size]byte

func chain(before hash, record []byte) hash {
	h := sha256.New()
	h.Write(before[:])
	h.Write(record)
	return hash(h.Sum(nil))
}

// Log is the trace kept in a store.
type Log struct {
	st   store.Store
	wait later
}

// New answers the trace kept in st.
func New(st store.Store) *Log { return &Log{st: st} }

// Append adds a record, whose Seq it gives, and answers when it is durable: records of many sessions share a sync. A zero
// Time becomes now. Nothing is queued or dropped: who waits is the caller. What Later was given is written ahead of it.
//
// It goes through the free-space guard like what frees space does: a full disk must not keep people from logging in and
// deleting mail, and they are traced when they do.
func (l *Log) Append(ctx context.Context, r Record) error {
	if err := l.write(ctx, []Record{r}); err != nil {
		return fmt.Errorf("append to the trace: %w", err)
	}
	return nil
}

// AppendTx is Append within a transaction.
func (l *Log) AppendTx(tx store.Writer, r Record) error {
	head, err := readHead(tx)
	if err != nil {
		return err
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Seq = head.seq + 1
	octets, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a record of the trace: %w", err)
	}
	if len(octets) > maxRecord {
		return ErrTooLarge
	}
	head = position{r.Seq, chain(head.hash, octets)}
	if err := tx.Set(recordKey(r.Seq), append(head.hash[:], octets...)); err != nil {
		return err
	}
	if err := index(tx, r); err != nil {
		return err
	}
	return tx.Set(headKey(), head.encode())
}

// index writes the rows that find a record by mailbox, person and time.
func index(tx store.Writer, r Record) error {
	for _, k := range indexKeys(r) {
		if err := tx.Set(k, nil); err != nil {
			return err
		}
	}
	h, known, err := readHour(tx, r.Time)
	if err != nil {
		return err
	}
	if !known {
		h.first = r.Seq
	}
	h.last = r.Seq
	return tx.Set(hourKey(r.Time), h.encode())
}

func indexKeys(r Record) (keys [][]byte) {
	if r.Mailbox.ID != "" {
		keys = append(keys, seqKey(mailboxPrefix(r.Mailbox.ID), r.Seq))
	}
	if r.Person.ID != "" {
		keys = append(keys, seqKey(personPrefix(r.Person.ID), r.Seq))
	}
	return keys
}

// position is a place in the chain: a record and its hash. The zero value is before the first record.
type position struct {
	seq  uint64
	hash hash
}

func (p position) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, p.seq), p.hash[:]...)
}

func readHead(r store.Reader) (position, error) {
	b, err := r.Get(headKey())
	if errors.Is(err, store.ErrNotFound) {
		return position{}, nil
	}
	if err != nil {
		return position{}, fmt.Errorf("head of the trace: %w", err)
	}
	if len(b) != 8+sha256.Size {
		return position{}, damaged("the head has %d octets", len(b))
	}
	return position{binary.BigEndian.Uint64(b), hash(b[8:])}, nil
}

// hour is the span of records of one hour. A clock that is set back makes spans overlap.
type hour struct{ first, last uint64 }

func (h hour) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, h.first), h.last)
}

func decodeHour(b []byte) (hour, error) {
	if len(b) != 16 {
		return hour{}, fmt.Errorf("hour of the trace has %d octets", len(b))
	}
	return hour{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}

func readHour(r store.Reader, at time.Time) (h hour, known bool, err error) {
	b, err := r.Get(hourKey(at))
	if errors.Is(err, store.ErrNotFound) {
		return hour{}, false, nil
	}
	if err != nil {
		return hour{}, false, fmt.Errorf("hour of the trace: %w", err)
	}
	h, err = decodeHour(b)
	return h, true, err
}

// stored is a record as it lies in the store.
type stored struct {
	seq    uint64 // by its key
	hash   hash
	octets []byte
}

func decodeStored(key, value []byte) (stored, error) {
	prefix := recordPrefix()
	if len(key) != len(prefix)+8 || len(value) < sha256.Size {
		return stored{}, damaged("the record under %q is damaged", key)
	}
	return stored{
		seq:    binary.BigEndian.Uint64(key[len(prefix):]),
		hash:   hash(value[:sha256.Size]),
		octets: value[sha256.Size:],
	}, nil
}

func (s stored) record() (Record, error) {
	var r Record
	if err := json.Unmarshal(s.octets, &r); err != nil {
		return Record{}, damaged("record %d cannot be read: %v", s.seq, err)
	}
	return r, nil
}

package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"balorg/mail"
	"balorg/store"
)

// maxItems bounds the items of one message: they are numbered in two octets, and written in one transaction.
const maxItems = 2000

// EnqueueTx puts a message into the queue as part of the caller's transaction. Items that are Waiting wait from now on, or from their Next;
// others are kept as they are: what has been done within the transaction already. Numbers and message ids of items are given here.
// While anything waits the queue holds a reference to the body of its own.
func (q *Queue) EnqueueTx(tx store.Writer, m Message, items []Item) error {
	if len(items) == 0 || len(items) > min(maxItems, math.MaxUint16) {
		return fmt.Errorf("queue a message for %d recipients", len(items))
	}
	var waiting []Item
	for i, it := range items {
		it.Message, it.N = m.ID, uint16(i)
		if it.State == Waiting {
			if it.Next.IsZero() {
				it.Next = m.Accepted
			}
			waiting = append(waiting, it)
			if err := setWaiting(tx, it, m.Held); err != nil {
				return err
			}
		}
		if err := setItem(tx, it); err != nil {
			return err
		}
	}
	if m.Waiting = len(waiting); m.Waiting == 0 {
		m.Body = 0
		if err := tx.Set(doneKey(m.Accepted, m.ID), nil); err != nil {
			return err
		}
	} else if err := q.opt.Bodies.Ref(tx, m.Body); err != nil {
		return fmt.Errorf("queue a message: %w", err)
	}
	if err := setMessage(tx, m); err != nil {
		return err
	}
	if !m.Held {
		tx.AfterCommit(func() { q.schedule(waiting) })
	}
	return nil
}

// sealTime is how long a client that lost the answer to its message may take to send it again, and be answered as before.
const sealTime = 10 * time.Minute

// Seal names what makes a message the same when it is handed over again: who sends what to whom.
type Seal [16]byte

// NewSeal makes the seal of a message: the person, its Message-ID, its recipients in any order, and the hash of its octets as the client
// sent them.
func NewSeal(person mail.AccountID, messageID string, to []mail.Address, content [sha256.Size]byte) Seal {
	h := sha256.New()
	for _, part := range []string{string(person), messageID} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(content[:])
	var sum [sha256.Size]byte // of recipients in whatever order: an exclusive or of their hashes
	for _, a := range to {
		for i, b := range sha256.Sum256([]byte(a)) {
			sum[i] ^= b
		}
	}
	h.Write(sum[:])
	return Seal(h.Sum(nil))
}

// SealTx marks the message as accepted under id, unless the same one was accepted a moment ago: then it answers the id of that.
func (q *Queue) SealTx(tx store.Writer, seal Seal, id ID) (former ID, found bool, err error) {
	key := append([]byte(tableSeal), seal[:]...)
	now := q.now()
	row, err := tx.Get(key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", false, fmt.Errorf("read the queue: %w", err)
	}
	if at, ok := sealedAt(row); ok && now.Sub(at) < sealTime {
		return ID(row[8:]), true, nil
	}
	return "", false, tx.Set(key, append(binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), id...))
}

// sealedAt reads the time in a seal's row.
func sealedAt(row []byte) (time.Time, bool) {
	if len(row) != 8+idLength {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(row)), 0), true
}

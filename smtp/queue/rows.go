package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"balorg/store"
)

// The tables below store.PrefixQueue, see the package comment.
const (
	tableMessage = store.PrefixQueue + "m/"
	tableItem    = store.PrefixQueue + "r/"
	tableWaiting = store.PrefixQueue + "w/"
	tableDone    = store.PrefixQueue + "d/"
	tableSeal    = store.PrefixQueue + "s/"
)

// idLength is that of every ID: 10 octets in base 32.
const idLength = 16

// ErrUnknown is the answer to an id that no message of the queue has.
var ErrUnknown = errors.New("no such message in the queue")

func messageKey(id ID) []byte { return append([]byte(tableMessage), id...) }

func itemKey(table string, id ID, n uint16) []byte {
	return binary.BigEndian.AppendUint16(itemPrefix(table, id), n)
}

func itemPrefix(table string, id ID) []byte {
	return append(append([]byte(table), id...), '/')
}

// parseItemKey reads the key of an item in one of its tables.
func parseItemKey(table string, key []byte) (id ID, n uint16, ok bool) {
	rest := bytes.TrimPrefix(key, []byte(table))
	if len(rest) != idLength+3 || rest[idLength] != '/' {
		return "", 0, false
	}
	return ID(rest[:idLength]), binary.BigEndian.Uint16(rest[idLength+1:]), true
}

func timeKey(table string, at time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte(table), uint64(at.Unix()))
}

func doneKey(at time.Time, id ID) []byte { return append(timeKey(tableDone, at), id...) }

func getMessage(r store.Reader, id ID) (Message, error) { return get(r, messageKey(id), decodeMessage) }

func getItem(r store.Reader, id ID, n uint16) (Item, error) {
	return get(r, itemKey(tableItem, id, n), decodeItem)
}

func get[T any](r store.Reader, key []byte, decode func([]byte) (T, error)) (got T, err error) {
	row, err := r.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return got, ErrUnknown
	}
	if err != nil {
		return got, fmt.Errorf("read the queue: %w", err)
	}
	if got, err = decode(row); err != nil {
		return got, fmt.Errorf("read the queue: row %q: %w", key, err)
	}
	return got, nil
}

func setMessage(tx store.Writer, m Message) error { return tx.Set(messageKey(m.ID), m.encode()) }

func setItem(tx store.Writer, it Item) error {
	return tx.Set(itemKey(tableItem, it.Message, it.N), it.encode())
}

// itemsOf answers the items of a message in their order.
func itemsOf(r store.Reader, id ID) ([]Item, error) {
	var all []Item
	prefix := itemPrefix(tableItem, id)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		it, err := decodeItem(v)
		if err != nil {
			return nil, fmt.Errorf("read the queue: row %q: %w", k, err)
		}
		all = append(all, it)
	}
	return all, r.Err()
}

package queue

import (
	"bytes"
	"context"
	"fmt"

	"balorg/store"
	"balorg/store/body"
)

// Bodies implements body.Referrer: one reference for each message of which something waits.
func (q *Queue) Bodies(_ context.Context, r store.Reader, fn func(body.ID)) error {
	prefix := []byte(tableMessage)
	for _, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		if m, err := decodeMessage(v); err == nil && m.Body != 0 {
			fn(m.Body)
		}
	}
	return r.Err()
}

// Check implements store.Checker.
func (q *Queue) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(tableMessage)
	messages := make(map[ID]bool)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		m, err := decodeMessage(v)
		id := ID(k[len(prefix):])
		messages[id] = true
		if err != nil || m.ID != id {
			report(fmt.Sprintf("queue: the row of message %s is damaged", id))
			continue
		}
		if err := checkMessage(r, m, report); err != nil {
			return err
		}
	}
	for _, table := range []string{tableItem, tableWaiting} {
		for k := range r.Scan([]byte(table), store.PrefixEnd([]byte(table))) {
			id, n, ok := parseItemKey(table, k)
			if !ok || !messages[id] {
				report(fmt.Sprintf("queue: %q belongs to no message", k))
			} else if _, err := getItem(r, id, n); err != nil {
				report(fmt.Sprintf("queue: item %d of message %s: %v", n, id, err))
			}
		}
	}
	for k := range r.Scan([]byte(tableDone), store.PrefixEnd([]byte(tableDone))) {
		if len(k) != len(tableDone)+8+idLength || !messages[ID(k[len(tableDone)+8:])] {
			report(fmt.Sprintf("queue: %q belongs to no message", k))
		}
	}
	return r.Err()
}

func checkMessage(r store.Reader, m Message, report func(problem string)) error {
	items, err := itemsOf(r, m.ID)
	if err != nil {
		report(fmt.Sprintf("queue: message %s: %v", m.ID, err))
		return nil
	}
	waiting := 0
	for _, it := range items {
		row, err := r.Get(itemKey(tableWaiting, m.ID, it.N))
		want := []byte(nil)
		if it.State == Waiting {
			waiting++
			if !m.Held {
				want = waitingRow(it)
			}
		}
		if (err == nil) != (it.State == Waiting) || !bytes.Equal(row, want) {
			report(fmt.Sprintf("queue: item %d of message %s is %s, and its index says otherwise", it.N, m.ID, it.State))
		}
	}
	if waiting != m.Waiting || (waiting > 0) != (m.Body != 0) {
		report(fmt.Sprintf("queue: message %s has %d items that wait; its row says %d", m.ID, waiting, m.Waiting))
	}
	return r.Err()
}

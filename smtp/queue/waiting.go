package queue

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"

	"balorg/mail"
	"balorg/smtp/wire"
	"balorg/store"
)

// The index of waiting items says when and where to each is to go: a start reads nothing else, however long the queue is.

// waitingRow is what the index holds of an item: when it is tried next, 8 octets of nanoseconds, then what Carrier.Destination may ask for. It is
// empty while the message is held.
func waitingRow(it Item) []byte {
	row := binary.BigEndian.AppendUint64(nil, uint64(it.Next.UnixNano()))
	return append(row, strings.Join([]string{string(it.Route), string(it.Account), string(it.Recipient.Address)}, "\x00")...)
}

// parseWaiting reads it back; it is not ok for a message that is held.
func parseWaiting(row []byte) (it Item, ok bool) {
	if len(row) < 8 {
		return it, false
	}
	fields := bytes.SplitN(row[8:], []byte{0}, 3)
	if len(fields) != 3 {
		return it, false
	}
	return Item{
		State: Waiting, Next: time.Unix(0, int64(binary.BigEndian.Uint64(row))), Route: Route(fields[0]), Account: mail.AccountID(fields[1]),
		Recipient: wire.Recipient{Address: mail.Address(fields[2])},
	}, true
}

func setWaiting(tx store.Writer, it Item, held bool) error {
	var row []byte
	if !held {
		row = waitingRow(it)
	}
	return tx.Set(itemKey(tableWaiting, it.Message, it.N), row)
}

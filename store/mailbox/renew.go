package mailbox

import (
	"context"
	"fmt"

	"balorg/store"
)

// renewPart is how many folders one transaction of Renew gives a new UIDVALIDITY.
const renewPart = 500

// Renew gives every folder a new UIDVALIDITY (RFC 3501, 2.3.1.1), of a state that was restored: clients may know UIDs that were given after
// it was written, and that other messages will get. No folder is open meanwhile.
func (s *Store) Renew(ctx context.Context) error {
	var keys []folderKey
	err := s.st.View(ctx, func(r store.Reader) error {
		keys = keys[:0]
		for k := range r.Keys([]byte(tableFolder), store.PrefixEnd([]byte(tableFolder))) {
			if id, rest, ok := split(tableFolder, k); ok {
				keys = append(keys, folderKey{id, lastUint32(rest)})
			}
		}
		return r.Err()
	})
	for len(keys) > 0 && err == nil {
		part := keys[:min(renewPart, len(keys))]
		keys = keys[len(part):]
		err = s.update(ctx, func(tx store.Writer) error { return s.renew(tx, part) })
	}
	if err != nil {
		return fmt.Errorf("give folders a new UIDVALIDITY: %w", err)
	}
	return nil
}

func (s *Store) renew(tx store.Writer, keys []folderKey) error {
	e := s.edit(tx)
	for _, key := range keys {
		b, err := tx.Get(key.in(tableFolder))
		if err != nil {
			return err
		}
		row, err := decodeFolder(b)
		if err != nil {
			return err
		}
		if row.UIDValidity, err = e.validity(); err != nil {
			return err
		}
		if err := tx.Set(key.in(tableFolder), row.encode()); err != nil {
			return err
		}
	}
	return nil
}

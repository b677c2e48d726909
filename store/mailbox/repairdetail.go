package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox/structure"
)

// RepairDetails parses messages anew whose stored structure or header is gone or damaged, and removes what is stored of messages that are gone, while
// sessions go on. It reports what it did.
func (s *Store) RepairDetails(ctx context.Context, report func(string)) error {
	broken, strays, err := s.brokenDetails(ctx)
	if err != nil {
		return fmt.Errorf("mend message structures: %w", err)
	}
	r := &repair{Store: s, report: report}
	parsed := 0
	for _, id := range broken {
		done, err := s.parseAnew(ctx, id)
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrFull)):
			return fmt.Errorf("mend message structures: %w", err)
		case err != nil:
			report(fmt.Sprintf("body %d: its structure is damaged, and it cannot be read to make another: %v", id, err))
		case done:
			parsed++
			report(fmt.Sprintf("body %d: its message was parsed anew", id))
		}
	}
	if err := r.remove(ctx, strays, "structures of messages that are gone"); err != nil {
		return fmt.Errorf("mend message structures: %w", err)
	}
	if parsed == 0 {
		return nil
	}
	return s.forgetUnreadable(ctx)
}

// sound tells whether what is stored of the message in a body can be read, and fits together.
func sound(r store.Reader, id body.ID) error {
	b, err := readOne(r, tableStructure, id)
	if err != nil {
		return err
	}
	var d Detail
	if b == nil {
		return errors.New("there is none")
	}
	if err := d.decode(b); err != nil {
		return err
	}
	if _, err := d.Parts(); err != nil {
		return err
	}
	header, err := readOne(r, tableHeader, id)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if _, n, ok := d.Section(nil, structure.Header); !ok || n != int64(len(header)) && (header != nil || n <= structure.MaxHeader) {
		return fmt.Errorf("header of %d octets, where the structure says %d", len(header), n)
	}
	return nil
}

// brokenDetails answers the bodies whose details have to be made anew, and keys of details that no body is there for.
func (s *Store) brokenDetails(ctx context.Context) (broken []body.ID, strays [][]byte, err error) {
	err = s.st.View(ctx, func(r store.Reader) error {
		seen := map[body.ID]bool{}
		err := s.Bodies(ctx, r, func(id body.ID) { seen[id] = true })
		if err != nil {
			return err
		}
		for id := range seen {
			if sound(r, id) != nil {
				broken = append(broken, id)
			}
		}
		for _, table := range []string{tableStructure, tableHeader} {
			for k := range r.Keys([]byte(table), store.PrefixEnd([]byte(table))) {
				if len(k) == len(table)+9 {
					id := body.ID(binary.BigEndian.Uint64(k[len(table):]))
					if seen[id] {
						continue
					}
					if kept, err := body.Kept(r, id); err != nil {
						return err
					} else if kept {
						continue
					}
				}
				strays = append(strays, slices.Clone(k))
			}
		}
		return r.Err()
	})
	slices.Sort(broken)
	return broken, strays, err
}

// parseAnew reads a message and stores what it finds. It answers false where the body went meanwhile.
func (s *Store) parseAnew(ctx context.Context, id body.ID) (done bool, err error) {
	r, err := s.bodies.Open(ctx, id)
	if err != nil {
		return false, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	parser := structure.NewParser(structure.Limits{})
	if _, err := io.Copy(parser, r); err != nil {
		return false, err
	}
	res := parser.Finish()
	err = s.st.Update(ctx, func(tx store.Writer) error {
		kept, err := body.Kept(tx, id)
		if done = kept; err != nil || !kept {
			return err
		}
		for _, table := range []string{tableStructure, tableHeader} {
			for k := range tx.Keys(bodyKey(table, id, 0), bodyKey(table, id+1, 0)) {
				if err := tx.Delete(slices.Clone(k)); err != nil {
					return err
				}
			}
		}
		if err := setPieces(tx, tableStructure, id, pieces(encodeStructure(&res))); err != nil || res.Header == nil {
			return err
		}
		return setPieces(tx, tableHeader, id, pieces(res.Header))
	})
	return done, err
}

// forgetUnreadable removes the signatures that say of a message that it cannot be read: now it may be.
func (s *Store) forgetUnreadable(ctx context.Context) error {
	var keys [][]byte
	err := s.st.View(ctx, func(r store.Reader) error {
		for k, b := range r.Scan([]byte(tableSignature), store.PrefixEnd([]byte(tableSignature))) {
			if sig, err := decodeSignature(b); err == nil && sig.all {
				keys = append(keys, slices.Clone(k))
			}
		}
		return r.Err()
	})
	if err != nil {
		return err
	}
	return (&repair{Store: s, report: func(string) {}}).remove(ctx, keys, "")
}

// Holders reports which messages are those of damaged bodies. It is a store.Checker, to run after body.Checker has told which (Damaged).
type Holders struct {
	Store   *Store
	Damaged func() map[body.ID]bool
}

// Check implements store.Checker.
func (h Holders) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	damaged := h.Damaged()
	if len(damaged) == 0 {
		return nil
	}
	for k, v := range r.Scan([]byte(tableMessage), store.PrefixEnd([]byte(tableMessage))) {
		if err := ctx.Err(); err != nil {
			return err
		}
		uid := lastUint32(k)
		m, err := decodeMessage(uid, v)
		key, _, ok := folderOf(tableMessage, k)
		if ok && err == nil && damaged[m.Body] {
			report(fmt.Sprintf("mailbox %s, folder %d, message %d: what it says is damaged or lost (body %d)", key.account, key.folder, uid, m.Body))
		}
	}
	return r.Err()
}

package mailbox

import (
	"context"
	"errors"
	"fmt"
	"math"

	"balorg/store"
)

// What one transaction of folding reads and writes: others do not wait for long.
const (
	foldedAtOnce = 500
	readAtOnce   = 20_000
)

// RunFolding writes marks into the rows of their messages, at leisure, until ctx is done. It calls report where it could not: the folder is looked at
// again when many of its messages are changed the next time.
func (s *Store) RunFolding(ctx context.Context, report func(error)) {
	s.folding.run(ctx, func(key folderKey) {
		if err := s.fold(ctx, key, leisure(ctx)); err != nil && ctx.Err() == nil {
			report(fmt.Errorf("fold changes of folder %d of %s: %w", key.folder, key.account, err))
		}
	})
}

// fold writes the marks that a folder has now into its rows, and then removes them. Whatever it is ended by, nothing has to be known of how far
// it came: a row that has a mark already is younger than it, and the marks are there until all rows have them.
func (s *Store) fold(ctx context.Context, key folderKey, rest restFunc) error {
	var all marks
	err := s.st.View(ctx, func(r store.Reader) error {
		row, err := readFolder(r, key)
		if err == nil {
			all, err = readMarks(r, key, &row)
		}
		return err
	})
	if err == nil && len(all) > 0 {
		for from, last := all.first(), all.last(); from <= last && err == nil; {
			err = rest(func() (err error) {
				from, err = s.foldRows(ctx, key, from)
				return err
			})
		}
		if err == nil {
			err = s.dropMarks(ctx, key, all[len(all)-1].modseq)
		}
	}
	if errors.Is(err, ErrNoFolder) { // deleted meanwhile, and its marks with it
		return nil
	}
	return err
}

// foldRows writes some of the rows from a UID on, and answers the UID that is next.
func (s *Store) foldRows(ctx context.Context, key folderKey, from uint32) (next uint32, err error) {
	// The rows are there already: a full disk does not matter.
	return next, s.reclaim(ctx, func(tx store.Writer) error {
		row, err := readFolder(tx, key)
		if err != nil {
			return err
		}
		over, err := readMarks(tx, key, &row)
		if err != nil {
			return err
		}
		var found []message
		next = math.MaxUint32
		read := 0
		err = scanMessages(tx, key, nil, from, func(m message) bool {
			if read++; len(found) == s.foldedAtOnce || read > readAtOnce {
				next = m.UID
				return false
			}
			if over.lay(&m) {
				found = append(found, m)
			}
			return true
		})
		for i := 0; i < len(found) && err == nil; i++ {
			err = tx.Set(key.message(found[i].UID), found[i].encode())
		}
		return err
	})
}

// dropMarks removes the marks up to a modification sequence, which all rows have.
func (s *Store) dropMarks(ctx context.Context, key folderKey, upTo uint64) error {
	return s.reclaim(ctx, func(tx store.Writer) error {
		row, err := readFolder(tx, key)
		if err != nil {
			return err
		}
		var keys [][]byte
		err = eachMark(tx, key, func(k []byte, m mark, weighs uint32, err error) error {
			if err == nil && m.modseq <= upTo {
				keys = append(keys, append([]byte(nil), k...))
				row.Unfolded -= min(weighs, row.Unfolded)
			}
			return err
		})
		for i := 0; i < len(keys) && err == nil; i++ {
			err = tx.Delete(keys[i])
		}
		if err != nil {
			return err
		}
		return tx.Set(key.in(tableFolder), row.encode())
	})
}

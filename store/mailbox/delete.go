package mailbox

import (
	"context"
	"errors"
	"fmt"

	"balorg/mail"
	"balorg/store"
)

// Delete deletes a folder with its messages. One with folders below becomes a level that cannot be selected; levels above
// that only led to it go too. Sessions that have it open are told ErrNoFolder.
func (a *Account) Delete(ctx context.Context, name string) error {
	name, err := canonical(name)
	if err != nil {
		return ErrNoFolder
	}
	if name == Inbox {
		return ErrInbox
	}
	defer a.s.known.changed()
	var key folderKey
	err = a.s.reclaim(ctx, func(tx store.Writer) (err error) {
		key, err = a.condemn(tx, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete folder: %w", err)
	}
	a.s.open.deleted(key)
	return a.bury(ctx)
}

// condemn takes a folder's name away in one transaction; its messages go in as many as they need (bury).
func (a *Account) condemn(tx store.Writer, name string) (folderKey, error) {
	key, err := findFolder(tx, a.id, name)
	if err != nil {
		return key, err
	}
	row, err := readFolder(tx, key)
	if err != nil {
		return key, err
	}
	children, err := a.below(tx, name)
	if err != nil {
		return key, err
	}
	if row.NoSelect && len(children) > 0 {
		return key, ErrHasChildren
	}
	e := a.s.edit(tx)
	if err := tx.Delete(nameKey(a.id, name)); err != nil {
		return key, err
	}
	if len(children) > 0 { // a new row: the name may be created again, with another UIDVALIDITY
		if err := e.create(a.id, name, NoUse, true); err != nil {
			return key, err
		}
	}
	f, err := e.adopt(key, row)
	if err != nil {
		return key, err
	}
	f.row.Dying = true
	if err := e.save(); err != nil {
		return key, err
	}
	return key, a.prune(e, name)
}

// bury removes what is left of the account's deleted folders.
func (a *Account) bury(ctx context.Context) error {
	var dying []folderKey
	err := a.s.st.View(ctx, func(r store.Reader) error {
		return scanFolders(r, a, func(key folderKey, row *folderRow) error {
			if row.Dying {
				dying = append(dying, key)
			}
			return nil
		})
	})
	for i := 0; err == nil && i < len(dying); i++ {
		for n, more := chunk, true; more && err == nil; {
			err = a.s.reclaim(ctx, func(tx store.Writer) (err error) {
				more, err = a.s.dissolve(tx, dying[i], n)
				return err
			})
			if errors.Is(err, store.ErrTooBig) && n > 1 { // as in remove
				n, more, err = n/2, true, nil
			}
		}
	}
	if err != nil {
		return fmt.Errorf("remove deleted folder: %w", err)
	}
	return nil
}

// dissolve removes up to n of a deleted folder's rows, at last the folder's own, and tells whether there are more.
func (s *Store) dissolve(tx store.Writer, key folderKey, n int) (more bool, err error) {
	b, err := tx.Get(key.in(tableFolder))
	if errors.Is(err, store.ErrNotFound) { // another session was at it too
		return false, nil
	}
	if err != nil {
		return false, err
	}
	row, err := decodeFolder(b)
	if err != nil {
		return false, err
	}
	e := s.edit(tx)
	f, err := e.adopt(key, row)
	if err != nil {
		return false, err
	}
	over, err := readMarks(tx, key, &f.row)
	if err != nil {
		return false, err
	}
	var messages []message
	err = scanMessages(tx, key, over, 0, func(m message) bool {
		messages = append(messages, m)
		return len(messages) < n
	})
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		f.count(&m, -1)
		if err := tx.Delete(key.message(m.UID)); err != nil {
			return false, err
		}
		if err := s.unref(tx, m.Body); err != nil {
			return false, err
		}
	}
	if len(messages) == n {
		return true, e.save()
	}
	if err := f.eraseMarks(); err != nil {
		return false, err
	}
	return s.erase(e, key, n)
}

// eraseMarks removes the marks, which are few, of a folder that has no messages any more.
func (f *folderEdit) eraseMarks() error {
	var keys [][]byte
	prefix := f.key.in(tableMark)
	for k := range f.tx.Keys(prefix, store.PrefixEnd(prefix)) {
		keys = append(keys, append([]byte(nil), k...))
	}
	if err := f.tx.Err(); err != nil {
		return err
	}
	for _, k := range keys {
		if err := f.tx.Delete(k); err != nil {
			return err
		}
	}
	f.row.Unfolded = 0
	return nil
}

// erase removes up to n of the records of expunged messages and of the signatures, and the folder's row with the last.
func (s *Store) erase(e *edit, key folderKey, n int) (more bool, err error) {
	var keys [][]byte
	for _, table := range []string{tableExpunged, tableSignature} {
		prefix := key.in(table)
		for k := range e.tx.Keys(prefix, store.PrefixEnd(prefix)) {
			if len(keys) == n {
				break
			}
			keys = append(keys, append([]byte(nil), k...))
		}
	}
	if err := e.tx.Err(); err != nil {
		return false, err
	}
	for _, k := range keys {
		if err := e.tx.Delete(k); err != nil {
			return false, err
		}
	}
	if err := e.save(); err != nil || len(keys) == n {
		return err == nil, err
	}
	return false, e.tx.Delete(key.in(tableFolder))
}

// Remove deletes an account's whole mailbox; an account that has none is no error. Its sessions are told ErrNoFolder.
func (s *Store) Remove(ctx context.Context, id mail.AccountID) error {
	a := &Account{s: s, id: id}
	defer s.known.changed()
	var keys []folderKey
	err := s.reclaim(ctx, func(tx store.Writer) error {
		keys = keys[:0]
		e := s.edit(tx)
		if _, err := e.account(id); err != nil {
			return err
		}
		rows := map[folderKey]folderRow{}
		err := scanFolders(tx, a, func(key folderKey, row *folderRow) error {
			rows[key] = *row
			return nil
		})
		if err != nil {
			return err
		}
		for key, row := range rows {
			f, err := e.adopt(key, row)
			if err != nil {
				return err
			}
			if !row.Dying {
				if err := tx.Delete(nameKey(id, row.Name)); err != nil {
					return err
				}
			}
			f.row.Dying = true
			keys = append(keys, key)
		}
		return e.save()
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove mailbox %s: %w", id, err)
	}
	for _, key := range keys {
		s.open.deleted(key)
	}
	if err := a.bury(ctx); err != nil {
		return err
	}
	err = s.reclaim(ctx, func(tx store.Writer) error { return tx.Delete(accountKey(id)) })
	if err != nil {
		return fmt.Errorf("remove mailbox %s: %w", id, err)
	}
	return nil
}

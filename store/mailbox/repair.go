package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
)

// repair is one Repair under way.
type repair struct {
	*Store
	report     func(string)
	unclaimed  []body.ID            // bodies that message rows which cannot be read may have had, ascending
	validities map[uint32]folderKey // given to folders
	lost       int                  // messages that have lost their bodies
	folders    map[mail.AccountID][]uint32
	found      map[messageKey]body.ID // of messages whose rows are made anew
}

type messageKey struct {
	folderKey
	uid uint32
}

// Repair mends the rows of accounts, folders and messages, while sessions go on: each folder in a transaction of its own, which holds others up for as
// long as its rows take to be read when it is damaged, and not at all else. No message is ever dropped. One whose row cannot be read gets
// the one body of unclaimed (body.Checker.Unclaimed) that stands between its neighbours', or none: ErrUnreadable to who asks for it. A
// UIDVALIDITY is given anew where it is lost, or another folder has it. Repair reports what it did, and answers how many messages have lost their bodies.
func (s *Store) Repair(ctx context.Context, unclaimed []body.ID, report func(string)) (lost int, err error) {
	r := &repair{Store: s, report: report, unclaimed: unclaimed, validities: map[uint32]folderKey{}, folders: map[mail.AccountID][]uint32{}, found: map[messageKey]body.ID{}}
	for _, step := range []func(context.Context) error{r.look, r.mendAccountRows, r.claim, r.mendFolders, r.mendNames, r.mendSums} {
		if err := step(ctx); err != nil {
			return r.lost, fmt.Errorf("mend mailboxes: %w", err)
		}
	}
	return r.lost, nil
}

func (r *repair) said(key folderKey, format string, args ...any) {
	r.report(fmt.Sprintf("mailbox %s, folder %d: ", key.account, key.folder) + fmt.Sprintf(format, args...))
}

// look finds all folders there is anything of, and removes keys that are none.
func (r *repair) look(ctx context.Context) error {
	var strays [][]byte
	highest := uint32(0)
	err := r.st.View(ctx, func(v store.Reader) error {
		for k := range v.Keys([]byte(tableAccount), store.PrefixEnd([]byte(tableAccount))) {
			r.folders[mail.AccountID(k[len(tableAccount):])] = nil
		}
		for _, table := range []string{tableFolder, tableMessage, tableExpunged, tableMark, tableSignature} {
			for from, end := []byte(table), store.PrefixEnd([]byte(table)); from != nil; {
				var next []byte
				for k := range v.Keys(from, end) {
					key, rest, ok := folderOf(table, k)
					if !ok || table == tableFolder && len(rest) > 0 || table == tableMessage && len(rest) != 4 {
						strays = append(strays, slices.Clone(k))
						next = append(slices.Clone(k), 0)
					} else {
						if list := r.folders[key.account]; !slices.Contains(list, key.folder) {
							r.folders[key.account] = append(list, key.folder)
						}
						next = store.PrefixEnd(key.in(table))
						if table == tableMessage { // the others are few
							next = append(key.message(1<<32-1), 0)
						}
					}
					break
				}
				from = next
			}
		}
		var err error
		if highest, err = readValidity(v); errors.Is(err, errRow) {
			err = nil
		}
		return errors.Join(err, v.Err(), r.readValidities(v))
	})
	if err != nil {
		return err
	}
	if err := r.remove(ctx, strays, "keys that name no folder"); err != nil {
		return err
	}
	given := uint32(0)
	for validity := range r.validities {
		given = max(given, validity)
	}
	if given <= highest {
		return nil
	}
	r.report("mailboxes: the highest UIDVALIDITY given was set")
	return r.st.Update(ctx, func(tx store.Writer) error {
		return tx.Set([]byte(keyValidity), binary.BigEndian.AppendUint32(nil, given))
	})
}

// readValidities notes which folder has which UIDVALIDITY; of two the one that comes first keeps it.
func (r *repair) readValidities(v store.Reader) error {
	for k, b := range v.Scan([]byte(tableFolder), store.PrefixEnd([]byte(tableFolder))) {
		key, _, ok := folderOf(tableFolder, k)
		row, err := decodeFolder(b)
		if _, given := r.validities[row.UIDValidity]; ok && err == nil && !given && row.UIDValidity > 0 {
			r.validities[row.UIDValidity] = key
		}
	}
	return v.Err()
}

// remove removes keys that belong to nothing.
func (r *repair) remove(ctx context.Context, keys [][]byte, what string) error {
	for part := range slices.Chunk(keys, chunk) {
		err := r.st.Reclaim(ctx, func(tx store.Writer) error {
			for _, k := range part {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(keys) > 0 {
		r.report(fmt.Sprintf("mailboxes: %d %s were removed", len(keys), what))
	}
	return nil
}

// mendAccountRows makes rows that are gone or damaged; mendSums counts.
func (r *repair) mendAccountRows(ctx context.Context) error {
	for id, folders := range r.folders {
		said := ""
		err := r.st.Update(ctx, func(tx store.Writer) error {
			said = ""
			row, err := readAccount(tx, id)
			switch {
			case errors.Is(err, store.ErrNotFound) || errors.Is(err, errRow):
				row, said = accountRow{}, "its row was made anew"
			case err != nil:
				return err
			}
			for _, f := range folders {
				if f > row.LastFolder {
					row.LastFolder, said = f, "its row was mended"
				}
			}
			if said == "" {
				return nil
			}
			return tx.Set(accountKey(id), row.encode())
		})
		if err != nil {
			return err
		}
		if said != "" {
			r.report(fmt.Sprintf("mailbox %s: %s", id, said))
		}
	}
	return nil
}

// claim decides which messages without row get which of the bodies that nobody claims: where there are as many of both between two neighbours, and
// none of those bodies may be another folder's. Mail must not come into somebody else's hands.
func (r *repair) claim(ctx context.Context) error {
	if len(r.unclaimed) == 0 {
		return nil
	}
	claims := map[body.ID]int{}
	var all []*mending
	for id, folders := range r.folders {
		for _, folder := range folders {
			err := r.st.View(ctx, func(v store.Reader) error {
				m, err := r.examine(v, folderKey{id, folder})
				if err == nil && len(m.damaged) > 0 {
					all = append(all, &mending{repair: r, key: m.key, damaged: m.damaged})
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	for _, m := range all {
		m.claim(func(_ []gap, bodies []body.ID) {
			for _, id := range bodies {
				claims[id]++
			}
		})
	}
	for _, m := range all {
		m.claim(func(gaps []gap, bodies []body.ID) {
			if len(gaps) != len(bodies) || slices.ContainsFunc(bodies, func(id body.ID) bool { return claims[id] > 1 }) {
				return
			}
			for i, g := range gaps {
				r.found[messageKey{m.key, g.uid}] = bodies[i]
			}
		})
	}
	r.lost = 0
	return nil
}

func (r *repair) mendFolders(ctx context.Context) error {
	for id, folders := range r.folders {
		slices.Sort(folders)
		for _, folder := range folders {
			if err := r.mendFolder(ctx, folderKey{id, folder}); err != nil {
				return fmt.Errorf("mailbox %s, folder %d: %w", id, folder, err)
			}
		}
	}
	return nil
}

// mendNames lets every name lead to its folder and every folder be found by its name, and gives the account its INBOX.
func (r *repair) mendNames(ctx context.Context) error {
	for id := range r.folders {
		var said []string
		work := func(v store.Reader) (n naming, err error) {
			n = naming{id: id}
			return n, n.look(v, &Account{s: r.Store, id: id})
		}
		var n naming
		err := r.st.View(ctx, func(v store.Reader) (err error) {
			n, err = work(v)
			return err
		})
		if err != nil {
			return err
		}
		if len(n.wrong) == 0 && len(n.nameless) == 0 && n.inbox {
			continue
		}
		err = r.st.Update(ctx, func(tx store.Writer) error {
			n, err := work(tx)
			if err != nil {
				return err
			}
			said, err = n.mend(r.edit(tx))
			return err
		})
		if err != nil {
			return err
		}
		for _, s := range said {
			r.report(fmt.Sprintf("mailbox %s: %s", id, s))
		}
		r.known.changed()
	}
	return nil
}

// naming is how an account's folders and names fit together.
type naming struct {
	id       mail.AccountID
	wrong    [][]byte // keys of names that lead nowhere
	taken    map[string]bool
	nameless []folderKey
	rows     map[uint32]folderRow
	inbox    bool
}

func (n *naming) look(v store.Reader, a *Account) error {
	n.rows, n.taken = map[uint32]folderRow{}, map[string]bool{}
	err := scanFolders(v, a, func(key folderKey, row *folderRow) error {
		if !row.Dying {
			n.rows[key.folder] = *row
		}
		return nil
	})
	if err != nil {
		return err
	}
	found := map[uint32]bool{}
	prefix := accountPrefix(tableName, n.id)
	for k, b := range v.Scan(prefix, store.PrefixEnd(prefix)) {
		name, folder := string(k[len(prefix):]), lastUint32(b)
		if row, ok := n.rows[folder]; !ok || row.Name != name {
			n.wrong = append(n.wrong, slices.Clone(k))
			continue
		}
		found[folder], n.taken[name] = true, true
	}
	for folder := range n.rows {
		if !found[folder] {
			n.nameless = append(n.nameless, folderKey{n.id, folder})
		}
	}
	slices.SortFunc(n.nameless, func(a, b folderKey) int { return int(a.folder) - int(b.folder) })
	n.inbox = n.taken[Inbox]
	return v.Err()
}

func (n *naming) mend(e *edit) (said []string, err error) {
	for _, k := range n.wrong {
		if err := e.tx.Delete(k); err != nil {
			return nil, err
		}
		said = append(said, "a name that led nowhere was removed")
	}
	for _, key := range n.nameless {
		row := n.rows[key.folder]
		if n.taken[row.Name] { // both are kept
			row.Name = fmt.Sprintf("%s-%d", row.Name, key.folder)
			if err := e.tx.Set(key.in(tableFolder), row.encode()); err != nil {
				return nil, err
			}
		}
		n.taken[row.Name] = true
		if err := e.setName(key, row.Name); err != nil {
			return nil, err
		}
		said = append(said, fmt.Sprintf("folder %d can be found by its name again", key.folder))
	}
	if !n.taken[Inbox] {
		if err := e.create(n.id, Inbox, NoUse, false); err != nil {
			return nil, err
		}
		said = append(said, "it has an INBOX again")
	}
	return said, e.save()
}

// mendSums has every account's row say what its folders' rows add up to.
func (r *repair) mendSums(ctx context.Context) error {
	for id := range r.folders {
		changed := false
		sum := func(v store.Reader) (is, should accountRow, err error) {
			if is, err = readAccount(v, id); err != nil {
				return is, should, err
			}
			should = accountRow{LastFolder: is.LastFolder}
			err = scanFolders(v, &Account{s: r.Store, id: id}, func(_ folderKey, row *folderRow) error {
				should.Messages, should.Octets = should.Messages+int64(row.Messages), should.Octets+row.Size
				return nil
			})
			return is, should, err
		}
		err := r.st.View(ctx, func(v store.Reader) error {
			is, should, err := sum(v)
			changed = is != should
			return err
		})
		if err == nil && changed {
			err = r.st.Update(ctx, func(tx store.Writer) error {
				_, should, err := sum(tx)
				if err != nil {
					return err
				}
				return tx.Set(accountKey(id), should.encode())
			})
			r.report(fmt.Sprintf("mailbox %s: its messages and octets were counted", id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

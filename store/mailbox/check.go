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

// Check implements store.Checker: every counter is what the rows say, every name leads to its folder and back, no UID or
// modification sequence is above what the folder gave, and every message has its structure.
func (s *Store) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	c := checker{r: r, report: report, accounts: map[mail.AccountID]*accountCheck{}, bodies: map[body.ID]bool{}}
	for _, step := range []func() error{c.readAccounts, c.checkFolders, c.checkNames, c.checkStrays, c.checkAccounts, c.checkDetails} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Bodies implements body.Referrer: it calls fn for the body of each message. A damaged row refers to none; Check reports it.
func (s *Store) Bodies(ctx context.Context, r store.Reader, fn func(body.ID)) error {
	for k, v := range r.Scan([]byte(tableMessage), store.PrefixEnd([]byte(tableMessage))) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m, err := decodeMessage(lastUint32(k), v); err == nil && m.Body > 0 { // else the body is lost
			fn(m.Body)
		}
	}
	return r.Err()
}

// Owners implements identity.Owner.
func (s *Store) Owners(_ context.Context, r store.Reader, fn func(what string, id mail.AccountID)) error {
	for k := range r.Scan([]byte(tableAccount), store.PrefixEnd([]byte(tableAccount))) {
		fn("mailbox", mail.AccountID(k[len(tableAccount):]))
	}
	return r.Err()
}

type checker struct {
	r        store.Reader
	report   func(string)
	accounts map[mail.AccountID]*accountCheck
	bodies   map[body.ID]bool
}

// accountCheck is an account's row, and what its folders add up to.
type accountCheck struct {
	row              accountRow
	messages, octets int64
	names            map[string]uint32
}

func (c *checker) readAccounts() error {
	for k, v := range c.r.Scan([]byte(tableAccount), store.PrefixEnd([]byte(tableAccount))) {
		id := mail.AccountID(k[len(tableAccount):])
		row, err := decodeAccount(v)
		if err != nil {
			c.report(fmt.Sprintf("mailbox %s: %v", id, err))
		}
		c.accounts[id] = &accountCheck{row: row, names: map[string]uint32{}}
	}
	return c.r.Err()
}

// split takes the account and the rest off a key of a table by account.
func split(table string, key []byte) (mail.AccountID, []byte, bool) {
	key = key[len(table):]
	i := slices.Index(key, '/')
	if i < 0 {
		return "", nil, false
	}
	return mail.AccountID(key[:i]), key[i+1:], true
}

func (c *checker) checkFolders() error {
	rows := map[folderKey]folderRow{}
	for k, v := range c.r.Scan([]byte(tableFolder), store.PrefixEnd([]byte(tableFolder))) {
		id, rest, ok := split(tableFolder, k)
		row, err := decodeFolder(v)
		if a := c.accounts[id]; !ok || a == nil || len(rest) != 4 {
			c.report(fmt.Sprintf("mailbox: folder key %q belongs to no account", k))
			continue
		}
		key := folderKey{id, lastUint32(rest)}
		if err != nil {
			c.report(fmt.Sprintf("mailbox %s, folder %d: %v", id, key.folder, err))
			if err := c.messages(key, nil, func(m message) { c.bodies[m.Body] = true }); err != nil {
				return err
			}
			continue
		}
		rows[key] = row
	}
	if err := c.r.Err(); err != nil {
		return err
	}
	highest, err := readValidity(c.r)
	if err != nil {
		return err
	}
	validities := map[uint32]bool{}
	for key, row := range rows {
		if validities[row.UIDValidity] || row.UIDValidity > highest || row.UIDValidity == 0 {
			c.report(fmt.Sprintf("mailbox %s: UIDVALIDITY %d is given twice, or above the highest given", key.account, row.UIDValidity))
		}
		validities[row.UIDValidity] = true
		if err := c.checkFolder(key, &row); err != nil {
			return err
		}
	}
	return nil
}

// messages calls fn for the folder's messages, with the marks over them, and reports those that cannot be read.
func (c *checker) messages(key folderKey, over marks, fn func(message)) error {
	prefix := key.in(tableMessage)
	for k, v := range c.r.Scan(prefix, store.PrefixEnd(prefix)) {
		m, err := decodeMessage(lastUint32(k), v)
		if err != nil {
			c.report(fmt.Sprintf("mailbox %s, folder %d, message %d: %v", key.account, key.folder, m.UID, err))
			continue
		}
		over.lay(&m)
		fn(m)
	}
	return c.r.Err()
}

func (c *checker) checkFolder(key folderKey, row *folderRow) error {
	complain := func(format string, args ...any) {
		c.report(fmt.Sprintf("mailbox %s, folder %d: ", key.account, key.folder) + fmt.Sprintf(format, args...))
	}
	a := c.accounts[key.account]
	if key.folder > a.row.LastFolder {
		complain("id is above the highest given")
	}
	if !row.Dying {
		a.names[row.Name] = key.folder
	}
	got := folderRow{FirstRecent: row.FirstRecent}
	sum := folderEdit{edit: &edit{}, row: got, account: &accountRow{}}
	over, err := c.checkMarks(key, row, complain)
	if err != nil {
		return err
	}
	err = c.messages(key, over, func(m message) {
		sum.count(&m, +1)
		c.bodies[m.Body] = true
		if m.UID >= row.UIDNext || m.UID == 0 || m.ModSeq > row.HighestModSeq || m.ModSeq == 0 {
			complain("message %d has a UID or modification sequence that was not given yet", m.UID)
		}
		if m.Body == 0 {
			complain("message %d has lost what it said", m.UID)
			delete(c.bodies, 0)
		}
		if m.Flags.Keywords>>len(row.Keywords) != 0 {
			complain("message %d has a keyword without name", m.UID)
		}
	})
	if err != nil {
		return err
	}
	got = sum.row
	if got.Messages != row.Messages || got.Unseen != row.Unseen || got.Deleted != row.Deleted || got.Size != row.Size || got.Recent != row.Recent {
		complain("has %d messages, %d unseen, %d deleted, %d recent, %d octets; its row says %d, %d, %d, %d, %d",
			got.Messages, got.Unseen, got.Deleted, got.Recent, got.Size, row.Messages, row.Unseen, row.Deleted, row.Recent, row.Size)
	}
	a.messages += int64(got.Messages)
	a.octets += got.Size
	if row.NoSelect && row.Messages > 0 {
		complain("is a level only and has messages")
	}
	if err := c.checkSignatures(key, row, complain); err != nil {
		return err
	}
	return c.checkExpunged(key, row, complain)
}

// checkMarks answers the folder's marks.
func (c *checker) checkMarks(key folderKey, row *folderRow, complain func(string, ...any)) (all marks, err error) {
	unfolded := uint32(0)
	err = eachMark(c.r, key, func(_ []byte, m mark, weighs uint32, err error) error {
		if err != nil {
			complain("a record of changed flags is damaged")
			return nil //nolint:nilerr // it is reported
		}
		if m.modseq > row.HighestModSeq || m.uids[len(m.uids)-1].hi > row.UIDNext {
			complain("flags were changed with modification sequence %d, or of messages, that were not given yet", m.modseq)
		}
		unfolded += weighs
		all = append(all, m)
		return nil
	})
	if unfolded != row.Unfolded {
		complain("has records of changed flags that weigh %d; its row says %d", unfolded, row.Unfolded)
	}
	return all, err
}

// checkSignatures looks at what searches are narrowed by. What is of other texts than today's is not used, and goes when the folder is next
// looked at.
func (c *checker) checkSignatures(key folderKey, row *folderRow, complain func(string, ...any)) error {
	prefix := key.in(tableSignature)
	last := uint32(0)
	for k, v := range c.r.Scan(prefix, store.PrefixEnd(prefix)) {
		at, ok := stretchOf(k[len(prefix):])
		if ok && !at.usable() {
			continue
		}
		if _, err := decodeSignature(v); !ok || err != nil || !intact(v) {
			complain("a signature of its messages is damaged")
			continue
		}
		if at.first <= last || at.last >= row.UIDNext {
			complain("signatures of messages %d to %d overlap, or are of messages that were not given yet", at.first, at.last)
		}
		last = at.last
	}
	return c.r.Err()
}

func (c *checker) checkExpunged(key folderKey, row *folderRow, complain func(string, ...any)) error {
	prefix := key.in(tableExpunged)
	for k, v := range c.r.Scan(prefix, store.PrefixEnd(prefix)) {
		uids, err := decodeUIDs(v)
		if err != nil || len(k) != len(prefix)+8 {
			complain("its record of expunged messages is damaged")
			continue
		}
		if modseq := binary.BigEndian.Uint64(k[len(prefix):]); modseq > row.HighestModSeq {
			complain("expunged messages with modification sequence %d, which was not given yet", modseq)
		}
		for _, uid := range uids {
			if _, err := c.r.Get(key.message(uid)); !errors.Is(err, store.ErrNotFound) {
				complain("message %d is recorded as expunged and is there", uid)
			}
			if uid >= row.UIDNext {
				complain("message %d is recorded as expunged and was not given yet", uid)
			}
		}
	}
	return c.r.Err()
}

func (c *checker) checkNames() error {
	for k, v := range c.r.Scan([]byte(tableName), store.PrefixEnd([]byte(tableName))) {
		id, name, ok := split(tableName, k)
		a := c.accounts[id]
		if !ok || a == nil || a.names[string(name)] != lastUint32(v) {
			c.report(fmt.Sprintf("mailbox %s: a folder's name leads to folder %d, which is not called so", id, lastUint32(v)))
			continue
		}
		delete(a.names, string(name))
	}
	for id, a := range c.accounts {
		for _, folder := range a.names {
			c.report(fmt.Sprintf("mailbox %s: folder %d cannot be found by its name", id, folder))
		}
	}
	return c.r.Err()
}

// checkStrays looks for messages and records of folders that are not there.
func (c *checker) checkStrays() error {
	for _, table := range []string{tableMessage, tableExpunged, tableMark, tableSignature} {
		var last folderKey
		for k := range c.r.Scan([]byte(table), store.PrefixEnd([]byte(table))) {
			id, rest, ok := split(table, k)
			if !ok || len(rest) < 4 {
				c.report(fmt.Sprintf("mailbox: key %q is not valid", k))
				continue
			}
			key := folderKey{id, lastUint32(rest[:4])}
			if key == last {
				continue
			}
			last = key
			if _, err := c.r.Get(key.in(tableFolder)); errors.Is(err, store.ErrNotFound) {
				c.report(fmt.Sprintf("mailbox %s: rows of folder %d, which is not there", id, key.folder))
			}
		}
	}
	return c.r.Err()
}

func (c *checker) checkAccounts() error {
	for id, a := range c.accounts {
		if a.row.Messages != a.messages || a.row.Octets != a.octets {
			c.report(fmt.Sprintf("mailbox %s: has %d messages, %d octets; its row says %d, %d", id, a.messages, a.octets, a.row.Messages, a.row.Octets))
		}
	}
	return nil
}

// checkDetails looks for messages without structure, and structures without message. The body of a message that is only on its way
// somewhere has its structure, too.
func (c *checker) checkDetails() error {
	for id := range c.bodies {
		if err := sound(c.r, id); err != nil {
			c.report(fmt.Sprintf("body %d: no structure of its message: %v", id, err))
		}
	}
	for _, table := range []string{tableStructure, tableHeader} {
		for k := range c.r.Scan([]byte(table), store.PrefixEnd([]byte(table))) {
			if len(k) != len(table)+9 {
				c.report(fmt.Sprintf("mailbox: structure %q has no name of a body", k))
				continue
			}
			id := body.ID(binary.BigEndian.Uint64(k[len(table):]))
			if c.bodies[id] {
				continue
			}
			if kept, err := body.Kept(c.r, id); err != nil {
				return err
			} else if !kept {
				c.report(fmt.Sprintf("mailbox: structure %q of a body that is gone", k))
			}
		}
	}
	return c.r.Err()
}

package mailbox

import (
	"errors"
	"fmt"
	"math"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
)

// edit is one transaction's work on accounts and folders. Rows are read once, changed in memory, and written by save, which
// also hands each folder's change to its open sessions once it is durable.
type edit struct {
	s        *Store
	tx       store.Writer
	accounts map[mail.AccountID]*accountRow
	folders  map[folderKey]*folderEdit
}

// folderEdit is the work on one folder. All of it has one modification sequence.
type folderEdit struct {
	*edit
	key     folderKey
	account *accountRow
	row     folderRow
	change  change
}

func (s *Store) edit(tx store.Writer) *edit {
	return &edit{s: s, tx: tx, accounts: map[mail.AccountID]*accountRow{}, folders: map[folderKey]*folderEdit{}}
}

func (e *edit) account(id mail.AccountID) (*accountRow, error) {
	if row, ok := e.accounts[id]; ok {
		return row, nil
	}
	row, err := readAccount(e.tx, id)
	if err != nil {
		return nil, err
	}
	e.accounts[id] = &row
	return &row, nil
}

// folder answers the work on a folder that can hold messages.
func (e *edit) folder(key folderKey) (*folderEdit, error) {
	if f, ok := e.folders[key]; ok {
		return f, nil
	}
	row, err := readFolder(e.tx, key)
	if err != nil {
		return nil, err
	}
	if row.NoSelect {
		return nil, ErrNoSelect
	}
	return e.adopt(key, row)
}

func (e *edit) adopt(key folderKey, row folderRow) (*folderEdit, error) {
	account, err := e.account(key.account)
	if err != nil {
		return nil, err
	}
	f := &folderEdit{edit: e, key: key, account: account, row: row}
	e.folders[key] = f
	return f, nil
}

// named is folder by name.
func (e *edit) named(id mail.AccountID, name string) (*folderEdit, error) {
	key, err := findFolder(e.tx, id, name)
	if err != nil {
		return nil, err
	}
	return e.folder(key)
}

// modseq answers the modification sequence of this transaction's changes to the folder.
func (f *folderEdit) modseq() uint64 {
	if f.change.modseq == 0 {
		f.row.HighestModSeq++
		f.change.modseq = f.row.HighestModSeq
	}
	return f.change.modseq
}

func (f *folderEdit) count(m *message, by int) {
	n := uint32(by) // two's complement: adding it subtracts when by is -1
	f.row.Messages += n
	if m.Flags.System&Seen == 0 {
		f.row.Unseen += n
	}
	if m.Flags.System&Deleted != 0 {
		f.row.Deleted += n
	}
	if m.UID >= f.row.FirstRecent {
		f.row.Recent += n
	}
	f.row.Size += int64(by) * m.Size
	f.account.Messages += int64(by)
	f.account.Octets += int64(by) * m.Size
}

// add puts a message into the folder, giving it the next UID.
func (f *folderEdit) add(m message) (message, error) {
	if f.row.UIDNext == math.MaxUint32 {
		return m, ErrUIDsUsedUp
	}
	m.UID, m.ModSeq, m.Saved = f.row.UIDNext, f.modseq(), uint32(min(max(f.s.opt.Now().Unix(), 0), math.MaxUint32))
	f.row.UIDNext++
	f.count(&m, +1)
	f.change.added = append(f.change.added, m)
	return m, f.put(&m)
}

func (f *folderEdit) put(m *message) error {
	if err := f.tx.Set(f.key.message(m.UID), m.encode()); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// rewrite writes the row of a message whose flags are others now; the caller has counted it.
func (f *folderEdit) rewrite(m message) error {
	m.ModSeq = f.modseq()
	f.change.flags = append(f.change.flags, m)
	return f.put(&m)
}

// take takes a message out of the folder; its body keeps the reference.
func (f *folderEdit) take(m message) error {
	f.modseq()
	f.count(&m, -1)
	f.change.expunged = append(f.change.expunged, m.UID)
	if err := f.tx.Delete(f.key.message(m.UID)); err != nil {
		return fmt.Errorf("delete message: %w", err)
	}
	return nil
}

// remove takes a message out of the folder and lets its body go.
func (f *folderEdit) remove(m message) error {
	if err := f.take(m); err != nil {
		return err
	}
	return f.s.unref(f.tx, m.Body)
}

func (s *Store) unref(tx store.Writer, id body.ID) error {
	gone, err := s.bodies.Unref(tx, id)
	if errors.Is(err, store.ErrNotFound) { // a message that is damaged can be removed
		return DropDetail(tx, id)
	}
	if err != nil {
		return fmt.Errorf("let body %d go: %w", id, err)
	}
	if gone {
		return DropDetail(tx, id)
	}
	return nil
}

// keywords answers the bits of names, giving new ones a bit when grow.
func (f *folderEdit) keywords(names []string, grow bool) (uint64, error) {
	var bits uint64
	for _, name := range names {
		i := keywordIndex(f.row.Keywords, name)
		if i < 0 && grow {
			if len(f.row.Keywords) == MaxKeywords {
				return bits, ErrTooManyKeywords
			}
			i = len(f.row.Keywords)
			// A new slice: the old one may be in the hands of sessions.
			f.row.Keywords = append(f.row.Keywords[:i:i], name)
			f.change.keywords = f.row.Keywords
			f.modseq()
		}
		if i >= 0 {
			bits |= 1 << i
		}
	}
	return bits, nil
}

// What is expunged is on record for the last keptChanges (or Options.KeptChanges) modification sequences of a folder, and up to forgetEvery more: to a client
// that was away for longer, all UIDs that are not there have to be told as gone (RFC 7162, 3.2.5). Without a bound the record
// would outgrow the folder.
const (
	keptChanges = 100_000
	forgetEvery = 1_000
)

// forgetExpunged removes from the record what is older than that, every now and then.
func (f *folderEdit) forgetExpunged() error {
	kept := f.s.opt.KeptChanges
	if f.change.modseq <= kept || f.change.modseq%forgetEvery != 0 {
		return nil
	}
	for k := range f.tx.Scan(f.key.in(tableExpunged), f.key.expunged(f.change.modseq-kept)) {
		if err := f.tx.Delete(append([]byte(nil), k...)); err != nil {
			return err
		}
	}
	return f.tx.Err()
}

// save writes the rows of all that was worked on.
func (e *edit) save() error {
	for key, f := range e.folders {
		if err := e.tx.Set(key.in(tableFolder), f.row.encode()); err != nil {
			return fmt.Errorf("write folder: %w", err)
		}
		if f.change.modseq == 0 {
			continue
		}
		if len(f.change.expunged) > 0 {
			if err := e.tx.Set(key.expunged(f.change.modseq), encodeUIDs(f.change.expunged)); err != nil {
				return fmt.Errorf("record expunged messages: %w", err)
			}
		}
		if err := f.forgetExpunged(); err != nil {
			return fmt.Errorf("forget expunged messages: %w", err)
		}
		e.tx.AfterCommit(func() { e.s.open.apply(key, f.change) })
	}
	for id, row := range e.accounts {
		if err := e.tx.Set(accountKey(id), row.encode()); err != nil {
			return fmt.Errorf("write account: %w", err)
		}
	}
	return nil
}

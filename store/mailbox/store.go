package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
)

// Names says in which language the folders every account has are named.
type Names uint8

// The languages.
const (
	FrenchNames Names = iota
	EnglishNames
)

// standardFolder is a folder every account starts with.
type standardFolder struct {
	name string
	use  SpecialUse
}

func (n Names) folders() []standardFolder {
	if n == EnglishNames {
		return []standardFolder{{Inbox, NoUse}, {"Drafts", Drafts}, {"Sent", Sent}, {"Junk", Junk}, {"Trash", Trash}, {"Archive", Archive}}
	}
	return []standardFolder{{Inbox, NoUse}, {"Brouillons", Drafts}, {"Envoyés", Sent}, {"Indésirables", Junk}, {"Corbeille", Trash}, {"Archives", Archive}}
}

// Options are what a Store needs to know. The zero value works.
type Options struct {
	Names      Names
	MaxMessage int64            // octets of one message; 0: no limit
	Now        func() time.Time // nil: time.Now
	// KeptChanges is for how many changes of a folder what they expunged stays on record. 0: 100 000.
	KeptChanges uint64
	// MarkFrom is from how many messages on a change of their flags is one record. 0: 64.
	MarkFrom int
	// MarkMost is how much such records that are not in the rows yet may weigh in a folder, each at least 1. 0: 128. A quarter of it has them
	// folded in the background.
	MarkMost uint32
}

// Store is the mail store. It is safe for concurrent use and shared by all sessions; there must be one only on a state,
// since sessions learn of one another's changes in memory.
type Store struct {
	st     store.Store
	bodies *body.Bodies
	opt    Options
	open   openFolders
	known  known
	// signing makes the index of searches, folding writes marks into rows.
	signing, folding background
	foldedAtOnce     int
	objects          objects
}

// New answers the mail store on st and bodies. Both stay the caller's to close.
func New(st store.Store, bodies *body.Bodies, opt Options) *Store {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.KeptChanges == 0 {
		opt.KeptChanges = keptChanges
	}
	if opt.MarkFrom == 0 {
		opt.MarkFrom = markFrom
	}
	if opt.MarkMost == 0 {
		opt.MarkMost = markMost
	}
	s := &Store{st: st, bodies: bodies, opt: opt, foldedAtOnce: foldedAtOnce}
	s.open.init(st)
	s.signing.init()
	s.folding.init()
	return s
}

// MaxMessage is the limit of one message in octets, 0 for none.
func (s *Store) MaxMessage() int64 { return s.opt.MaxMessage }

// Account is one mailbox with its folders. It is safe for concurrent use and costs nothing to keep.
type Account struct {
	s     *Store
	id    mail.AccountID
	quota int64
}

// Account answers the mailbox of an account, whose messages may take quota octets in all (0: no limit). On first use it is
// created with INBOX and the special-use folders.
func (s *Store) Account(ctx context.Context, id mail.AccountID, quota int64) (*Account, error) {
	a := &Account{s: s, id: id, quota: quota}
	if s.known.has(id) {
		return a, nil
	}
	at := s.known.now()
	err := s.st.View(ctx, func(r store.Reader) error {
		_, err := readAccount(r, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = s.st.Update(ctx, a.create)
		if err != nil {
			return nil, fmt.Errorf("create mailbox %s: %w", id, err)
		}
	case err != nil:
		return nil, err
	}
	// A deletion that a crash interrupted is finished here.
	if err := a.bury(ctx); err != nil {
		return nil, err
	}
	s.known.remember(at, id)
	return a, nil
}

func (a *Account) create(tx store.Writer) error {
	if _, err := readAccount(tx, a.id); !errors.Is(err, store.ErrNotFound) {
		return err // somebody else was first
	}
	e := a.s.edit(tx)
	e.accounts[a.id] = &accountRow{}
	for _, f := range a.s.opt.Names.folders() {
		if err := e.create(a.id, f.name, f.use, false); err != nil {
			return err
		}
	}
	return e.save()
}

// create makes a folder. Ids are never given again, and a UIDVALIDITY neither, to any folder of any account: a client sees the
// INBOX of another account under the same name when its default account changes, and must notice.
func (e *edit) create(id mail.AccountID, name string, use SpecialUse, noSelect bool) error {
	account, err := e.account(id)
	if err != nil {
		return err
	}
	account.LastFolder++
	key := folderKey{id, account.LastFolder}
	row := folderRow{Name: name, SpecialUse: use, NoSelect: noSelect, UIDNext: 1, FirstRecent: 1, HighestModSeq: 1}
	if row.UIDValidity, err = e.validity(); err != nil {
		return err
	}
	if _, err := e.adopt(key, row); err != nil {
		return err
	}
	return e.setName(key, name)
}

func (e *edit) validity() (uint32, error) {
	last, err := readValidity(e.tx)
	if err != nil {
		return 0, err
	}
	now := uint32(min(max(e.s.opt.Now().Unix(), 1), math.MaxUint32/2))
	last = max(last+1, now)
	if err := e.tx.Set([]byte(keyValidity), binary.BigEndian.AppendUint32(nil, last)); err != nil {
		return 0, fmt.Errorf("write UIDVALIDITY: %w", err)
	}
	return last, nil
}

func (e *edit) setName(key folderKey, name string) error {
	id := folderKey{folder: key.folder}.in("") // "/" and the number; lastUint32 reads it
	if err := e.tx.Set(nameKey(key.account, name), id); err != nil {
		return fmt.Errorf("write folder name: %w", err)
	}
	return nil
}

// ID is the account's id.
func (a *Account) ID() mail.AccountID { return a.id }

// Usage answers what the account holds.
func (a *Account) Usage(ctx context.Context) (Usage, error) {
	u := Usage{Limit: a.quota}
	err := a.s.st.View(ctx, func(r store.Reader) error {
		row, err := readAccount(r, a.id)
		u.Messages, u.Octets = row.Messages, row.Octets
		return err
	})
	return u, err
}

// fits answers ErrOverQuota when size more octets would exceed the quota.
func (a *Account) fits(row *accountRow, size int64) error {
	if a.quota > 0 && row.Octets+size > a.quota {
		return ErrOverQuota
	}
	return nil
}

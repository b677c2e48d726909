// Package directory is what the LDAP front end answers from: the accounts of this platform and the imported national directory, as two indexes that are
// searched as one, and who sees what of them.
//
// A View is one consistent state of both, with the rules of the same moment; it never changes. A reload of the accounts builds a new local index and
// marks anew which national rows are of an account of ours; an import swaps the national index. Each makes another view and swaps a pointer, so that a search
// sees one of the two and nothing between.
//
// Whether somebody sees an entry is decided for each candidate before it counts: what is hidden changes no count, position, page or limit.
package directory

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/mail"
	"balorg/policy"
)

// The units below the suffix.
const (
	Local    = "local"
	National = "national"
)

// Directory holds the current view. Its methods may be called by any number of goroutines.
type Directory struct {
	now func() time.Time

	mu       sync.Mutex // held by who makes a view
	national *index.Index
	view     atomic.Pointer[View]
}

// New makes a directory that is empty until it is told of accounts. A nil clock is the system's.
func New(now func() time.Time) *Directory {
	if now == nil {
		now = time.Now
	}
	return &Directory{now: now}
}

// View is the current state; nil when there is none: nothing may then be shown.
func (d *Directory) View() *View { return d.view.Load() }

// View is one state of the directory.
type View struct {
	Snapshot *policy.Snapshot
	Local    *Source
	National *Source // nil: none was imported
}

// Source is the entries of one unit.
type Source struct {
	Unit  string
	Index *index.Index
	// Constants is the record of what all entries have alike (package entry).
	Constants []byte
	hidden    bitmap                    // of Local those on the red list; of National those whose address is one of ours
	byID      map[mail.AccountID]uint32 // of Local
}

// SetAccounts makes a view of these rules: the next search obeys them. When that fails there is no view any more: nobody is shown who may no longer be.
func (d *Directory) SetAccounts(snap *policy.Snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := &View{Snapshot: snap}
	var before *Source
	if last := d.view.Load(); last != nil {
		before = last.Local
	}
	if d.national != nil {
		next.National = newNational(d.national, snap)
	}
	local, err := d.newLocal(snap, before)
	if err != nil {
		d.view.Store(nil)
		return err
	}
	next.Local = local
	d.view.Store(next)
	return nil
}

// SetNational puts another national directory in the place of the one there is; nil takes it away.
func (d *Directory) SetNational(x *index.Index) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.national = x
	last := d.view.Load()
	if last == nil {
		return
	}
	next := *last
	next.National = nil
	if x != nil {
		next.National = newNational(x, next.Snapshot)
	}
	d.view.Store(&next)
}

// HasNational tells whether a national directory is served, or would be once there are accounts.
func (d *Directory) HasNational() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.national != nil
}

// newNational marks the rows that are not shown: an address that is one of ours stands once, as ours, and not at all when ours is hidden.
func newNational(x *index.Index, snap *policy.Snapshot) *Source {
	s := &Source{Unit: National, Index: x, Constants: entry.AppendRecord(nil, x.Constants()), hidden: newBitmap(x.Len())}
	for _, a := range snap.Accounts() {
		for _, address := range []mail.Address{a.Address, a.MSSante} {
			if n, ok := x.Find([]byte(address)); ok {
				s.hidden.set(n)
			}
		}
	}
	return s
}

// Constants are the attributes that all mailboxes of an index have alike.
func Constants(modified time.Time) []entry.Attribute {
	return []entry.Attribute{
		{Type: schema.ObjectClass, Values: schema.MailboxClasses()},
		{Type: schema.StructuralObjectClass, Values: []string{"inetOrgPerson"}},
		{Type: schema.ModifyTimestamp, Values: []string{modified.UTC().Format("20060102150405Z")}},
		{Type: schema.HasSubordinates, Values: []string{"FALSE"}},
		{Type: schema.SubschemaSubentry, Values: []string{SubschemaName}},
	}
}

// Eye is what one viewer sees of one source.
type Eye struct {
	hidden bitmap // nil: sees all
	own    [2]uint32
}

const nobody = ^uint32(0)

// Eye answers what somebody sees of the source; false when it does not exist for them.
func (s *Source) Eye(sight policy.Sight) (Eye, bool) {
	eye := Eye{hidden: s.hidden, own: [2]uint32{nobody, nobody}}
	if s.Unit == National {
		return eye, sight.National
	}
	if sight.RedListed {
		eye.hidden = nil
	}
	for i, id := range sight.Own {
		if n, ok := s.byID[id]; ok {
			eye.own[i] = n
		}
	}
	return eye, sight.Local
}

// Sees tells whether the viewer sees an entry.
func (e *Eye) Sees(n uint32) bool {
	return !e.hidden.has(n) || n == e.own[0] || n == e.own[1]
}

// bitmap is a set of entries; a nil one is empty.
type bitmap []uint64

func newBitmap(n uint32) bitmap { return make(bitmap, (uint64(n)+63)/64) }

func (b bitmap) set(n uint32) { b[n>>6] |= 1 << (n & 63) }

func (b bitmap) has(n uint32) bool { return b != nil && b[n>>6]>>(n&63)&1 != 0 }

func (b bitmap) count() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

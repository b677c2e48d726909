package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"balorg/store"
	"balorg/store/body"
)

// View is a folder as one session sees it. Its sequence numbers change in Sync only. It is for one goroutine at a time, but
// for Changed.
type View struct {
	a        *Account
	x        *index
	folder   Folder
	readOnly bool
	changed  chan struct{}

	uids     []uint32 // by sequence number, from 1
	shared   bool     // uids are the index's: not to be changed in place
	lastUID  uint32   // the highest UID the view has had
	modseq   uint64   // flags and new messages up to here are known
	expunged uint64   // expunges up to here are known; under the index's lock
	recent   []uidRange
	recents  uint32
	keywords int // how many Sync has told
	// The modification sequences of changes of flags that this view made itself: Sync does not tell them again, but for those messages, by UID, that
	// others had changed before and the view was not told.
	own    map[uint64][]uint32
	closed bool
}

// uidRange is lo <= UID < hi.
type uidRange struct{ lo, hi uint32 }

// Select opens a folder. A read-write view takes the \Recent messages, which no later one has.
func (a *Account) Select(ctx context.Context, name string, readOnly bool) (*View, error) {
	name, err := canonical(name)
	if err != nil {
		return nil, ErrNoFolder
	}
	var key folderKey
	var row folderRow
	err = a.s.st.View(ctx, func(r store.Reader) (err error) {
		if key, err = findFolder(r, a.id, name); err == nil {
			row, err = readFolder(r, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if row.NoSelect {
		return nil, ErrNoSelect
	}
	x, err := a.s.open.acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	v := &View{a: a, x: x, folder: row.folder(key.folder), readOnly: readOnly, changed: make(chan struct{}, 1), own: map[uint64][]uint32{}}
	if err := x.settle(ctx, a.s.st); err != nil {
		a.s.open.release(x)
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	v.expunged = x.modseq
	v.begin()
	x.views[v] = struct{}{}
	if first, _ := x.find(x.signed + 1); len(x.messages)-first >= stretchMessages {
		a.s.signing.want(key)
	}
	return v, nil
}

// Close ends the view.
func (v *View) Close() error {
	if v.closed {
		return nil
	}
	v.closed = true
	x := v.x
	x.mu.Lock()
	delete(x.views, v)
	x.forget()
	first, save := x.firstRecent, x.firstRecent > x.savedRecent && !x.gone
	if save {
		x.savedRecent = first
	}
	x.mu.Unlock()
	defer v.a.s.open.release(x)
	if !save {
		return nil
	}
	// Which messages are \Recent is written once per session, not at each delivery: a crash makes some recent again.
	// It is a row that is there already: a full disk does not matter.
	err := v.a.s.reclaim(context.Background(), func(tx store.Writer) error { return v.a.s.saveRecent(tx, x.key, first) })
	if err != nil && !errors.Is(err, ErrNoFolder) {
		return fmt.Errorf("close folder: %w", err)
	}
	return nil
}

func (s *Store) saveRecent(tx store.Writer, key folderKey, first uint32) error {
	e := s.edit(tx)
	f, err := e.folder(key)
	if err != nil {
		return err
	}
	if first <= f.row.FirstRecent {
		return nil
	}
	f.row.FirstRecent, f.row.Recent = first, 0
	err = scanMessages(tx, key, nil, first, func(message) bool {
		f.row.Recent++
		return true
	})
	if err != nil {
		return err
	}
	return e.save()
}

// Folder answers the folder: its counters are those of the view.
func (v *View) Folder() Folder {
	f := v.folder
	v.x.mu.RLock()
	defer v.x.mu.RUnlock()
	f.UIDNext, f.HighestModSeq = max(v.lastUID+1, f.UIDNext), v.modseq
	f.Messages, f.Recent, f.Keywords = v.Len(), v.recents, v.x.keywords
	if v.current() {
		f.Unseen, f.Deleted, f.Size = v.x.sums.unseen, v.x.sums.deleted, v.x.sums.size
		return f
	}
	f.Unseen, f.Deleted, f.Size = 0, 0, 0
	for i := range v.uids {
		if m, ok := v.get(i); ok {
			f.Size += m.Size
			if m.Flags.System&Seen == 0 {
				f.Unseen++
			}
			if m.Flags.System&Deleted != 0 {
				f.Deleted++
			}
		}
	}
	return f
}

// current tells whether the view has all that the index has and nothing else, under the index's lock.
func (v *View) current() bool { return v.modseq == v.x.modseq && v.expunged >= v.x.lastExpunge }

// ModSeq is the modification sequence up to which the session has been told of changes, but for expunges.
func (v *View) ModSeq() uint64 { return v.modseq }

// ReadOnly tells whether the view may change the folder.
func (v *View) ReadOnly() bool { return v.readOnly }

// Keywords names the bits of Flags.Keywords. The list only grows; Sync says when it did (EventKeywords), which may be after
// Message shows a bit of a new one. The slice is not the caller's to change.
func (v *View) Keywords() []string {
	v.x.mu.RLock()
	defer v.x.mu.RUnlock()
	return v.x.keywords
}

// Len is how many messages the view has: the highest sequence number.
func (v *View) Len() uint32 { return uint32(len(v.uids)) }

// Recent is how many of them are \Recent.
func (v *View) Recent() uint32 { return v.recents }

// UID answers the UID of a message, 0 when there is no such sequence number.
func (v *View) UID(seq uint32) uint32 {
	if seq == 0 || int64(seq) > int64(len(v.uids)) {
		return 0
	}
	return v.uids[seq-1]
}

// Seq answers the sequence number of a message, 0 when the view does not have it.
func (v *View) Seq(uid uint32) uint32 {
	i, ok := slices.BinarySearch(v.uids, uid)
	if !ok {
		return 0
	}
	return uint32(i + 1)
}

// SeqAtLeast answers the first sequence number whose UID is uid or more, Len()+1 when there is none.
func (v *View) SeqAtLeast(uid uint32) uint32 {
	i, _ := slices.BinarySearch(v.uids, uid)
	return uint32(i + 1)
}

// Message answers what is known of a message, from memory. A message that another session expunged is still answered, as it
// was, until Sync says that it is gone.
func (v *View) Message(seq uint32) (Meta, bool) {
	if v.UID(seq) == 0 {
		return Meta{}, false
	}
	v.x.mu.RLock()
	m, ok := v.get(int(seq - 1))
	v.x.mu.RUnlock()
	if !ok {
		return Meta{}, false
	}
	var saved time.Time
	if m.Saved > 0 {
		saved = time.Unix(int64(m.Saved), 0).UTC()
	}
	return Meta{
		UID: m.UID, Flags: m.Flags, Recent: v.isRecent(m.UID), ModSeq: m.ModSeq, Size: m.Size, Body: m.Body,
		Date: time.Unix(m.Date, 0).In(zone(m.Zone)), Saved: saved,
	}, true
}

// Expunged tells whether another session has expunged a message that the view still has.
func (v *View) Expunged(seq uint32) bool {
	uid := v.UID(seq)
	v.x.mu.RLock()
	defer v.x.mu.RUnlock()
	_, there := v.x.find(uid)
	return uid != 0 && !there
}

func zone(minutes int16) *time.Location {
	if minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", int(minutes)*60)
}

// get answers message i of the view, from 0, under the index's lock.
func (v *View) get(i int) (message, bool) {
	uid := v.uids[i]
	if i < len(v.x.messages) && v.x.messages[i].UID == uid { // all but always
		return v.x.messages[i], true
	}
	if j, ok := v.x.find(uid); ok {
		return v.x.messages[j], true
	}
	g, ok := v.x.ghosts[uid]
	return g.message, ok
}

// FirstUnseen answers the sequence number of the first message without \Seen, 0 when there is none.
func (v *View) FirstUnseen() uint32 {
	v.x.mu.Lock()
	defer v.x.mu.Unlock()
	if v.current() {
		return v.x.firstUnseen()
	}
	for i := range v.uids {
		if m, ok := v.get(i); ok && m.Flags.System&Seen == 0 {
			return uint32(i + 1)
		}
	}
	return 0
}

func (v *View) isRecent(uid uint32) bool {
	i := sort.Search(len(v.recent), func(i int) bool { return v.recent[i].hi > uid })
	return i < len(v.recent) && v.recent[i].lo <= uid
}

// Changed answers the channel that gets a token when Sync may have something to say; tokens coalesce.
func (v *View) Changed() <-chan struct{} { return v.changed }

// Open opens the octets of a message; ErrExpunged when another session has expunged it, ErrUnreadable when they are not there. The reader is
// the caller's to close.
func (v *View) Open(ctx context.Context, seq uint32) (*body.Reader, error) {
	m, ok := v.Message(seq)
	if !ok {
		return nil, ErrNoMessage
	}
	r, err := v.a.s.bodies.Open(ctx, m.Body)
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil || errors.Is(err, store.ErrUnavailable):
		return nil, fmt.Errorf("open message: %w", err)
	}
	there, terr := v.holds(ctx, m.UID)
	switch {
	case terr != nil:
		return nil, fmt.Errorf("open message: %w", terr)
	case !there:
		return nil, ErrExpunged
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// holds tells whether the folder has the message now.
func (v *View) holds(ctx context.Context, uid uint32) (there bool, err error) {
	err = v.a.s.st.View(ctx, func(r store.Reader) error {
		_, err := r.Get(v.x.key.message(uid))
		there = err == nil
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return err
	})
	return there, err
}

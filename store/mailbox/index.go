package mailbox

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"balorg/store"
)

// change is what one transaction did to a folder, for the sessions that have it open. Each has the modification sequence
// after the one before.
type change struct {
	modseq   uint64
	added    []message
	flags    []message
	mark     *mark
	expunged []uint32
	keywords []string // the whole list when it grew
}

// index is an open folder in memory: what FETCH FLAGS, SEARCH by flag or date and sequence numbers need, for all views of it.
// 64 octets a message. It holds what transactions committed, in their order: they end in any order, so a change that comes
// early waits in early for those before it.
//
// Lock order: openFolders.mu before index.mu. Neither is held while the store is asked.
type index struct {
	key   folderKey
	ready chan struct{} // closed once loaded, or err is set

	mu          sync.RWMutex
	err         error // loading failed: of no use
	gone        bool  // the folder has been deleted
	stale       bool  // a commit's outcome is unknown: reload before use
	validity    uint32
	uidNext     uint32
	modseq      uint64 // all changes up to it are in
	lastFlags   uint64 // the last change of flags
	lastExpunge uint64 // the last expunge
	firstRecent uint32 // messages from here on are \Recent to the next read-write view
	savedRecent uint32 // what the folder's row says
	signed      uint32 // messages up to here have a signature, as far as is known
	messages    []message
	sums        sums
	numbers     []uint32 // the UIDs of messages, which views share; nil: to be made
	keywords    []string
	early       map[uint64]change
	advanced    chan struct{} // closed and replaced when modseq grows
	views       map[*View]struct{}
	// Expunged messages some view has not been told of: it still answers for them.
	ghosts map[uint32]ghost

	refs, held int // under openFolders.mu; how many messages it is counted for while it has no view
}

// sums are what the messages of an index come to.
type sums struct {
	unseen, deleted uint32
	size            int64
	first           uint32 // number of the first unseen message, as of the modification sequence at
	at              uint64
}

func (s *sums) count(m *message, by int) {
	if m.Flags.System&Seen == 0 {
		s.unseen += uint32(by)
	}
	if m.Flags.System&Deleted != 0 {
		s.deleted += uint32(by)
	}
	s.size += int64(by) * m.Size
}

// uids answers the UIDs of all messages, which nobody may change, under the write lock.
func (x *index) uids() []uint32 {
	if x.numbers == nil {
		x.numbers = make([]uint32, len(x.messages))
		for i := range x.messages {
			x.numbers[i] = x.messages[i].UID
		}
	}
	return x.numbers
}

// firstUnseen answers the number of the first message without \Seen, from 1, 0 when there is none, under the write lock.
func (x *index) firstUnseen() uint32 {
	if x.sums.unseen == 0 {
		return 0
	}
	if x.sums.at != x.modseq {
		i := slices.IndexFunc(x.messages, func(m message) bool { return m.Flags.System&Seen == 0 })
		x.sums.first, x.sums.at = uint32(i+1), x.modseq
	}
	return x.sums.first
}

type ghost struct {
	message
	modseq uint64 // of the expunge
}

func newIndex(key folderKey) *index {
	return &index{
		key: key, ready: make(chan struct{}), early: map[uint64]change{}, advanced: make(chan struct{}),
		views: map[*View]struct{}{}, ghosts: map[uint32]ghost{},
	}
}

// load reads the folder, or reads it again. What the index has heard of meanwhile is kept where it is newer.
func (x *index) load(ctx context.Context, st store.Store) error {
	var row folderRow
	var messages []message
	err := st.View(ctx, func(r store.Reader) (err error) {
		if row, err = readFolder(r, x.key); err != nil {
			return err
		}
		if row.NoSelect {
			return ErrNoSelect
		}
		over, err := readMarks(r, x.key, &row)
		if err != nil {
			return err
		}
		messages = make([]message, 0, row.Messages+row.Messages/8)
		return scanMessages(r, x.key, over, 0, func(m message) bool {
			messages = append(messages, m)
			return true
		})
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stale = false
	if row.HighestModSeq < x.modseq {
		return nil
	}
	x.replace(&row, messages)
	x.drain()
	return nil
}

// replace puts what is on disk in the place of what the index held.
func (x *index) replace(row *folderRow, messages []message) {
	old := x.messages
	x.messages, x.keywords = messages, row.Keywords
	x.numbers, x.sums = nil, sums{}
	for i := range messages {
		x.sums.count(&messages[i], +1)
	}
	x.validity, x.uidNext = row.UIDValidity, row.UIDNext
	x.firstRecent, x.savedRecent = max(x.firstRecent, row.FirstRecent), row.FirstRecent
	for _, m := range old {
		if _, ok := x.find(m.UID); !ok {
			x.ghosts[m.UID] = ghost{m, row.HighestModSeq}
		}
	}
	if len(old) > 0 {
		x.lastFlags, x.lastExpunge = row.HighestModSeq, row.HighestModSeq
	}
	x.advance(row.HighestModSeq)
}

// apply takes a change once its transaction is durable.
func (x *index) apply(c change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.modseq <= x.modseq {
		return
	}
	x.early[c.modseq] = c
	if x.modseq > 0 { // loaded
		x.drain()
	}
}

func (x *index) drain() {
	moved := false
	for {
		c, ok := x.early[x.modseq+1]
		if !ok {
			break
		}
		delete(x.early, c.modseq)
		x.take(c)
		x.modseq, moved = c.modseq, true
	}
	if moved {
		x.advance(x.modseq)
	}
}

func (x *index) take(c change) {
	for _, m := range c.flags {
		if i, ok := x.find(m.UID); ok {
			x.sums.count(&x.messages[i], -1)
			x.sums.count(&m, +1)
			x.messages[i] = m
			x.lastFlags = c.modseq
		}
	}
	if c.mark != nil {
		x.lay(c.mark)
	}
	if len(c.added)+len(c.expunged) > 0 {
		x.numbers = nil
	}
	for _, m := range c.added {
		x.sums.count(&m, +1)
		x.messages = append(x.messages, m)
		x.uidNext = m.UID + 1
	}
	if c.keywords != nil {
		x.keywords = c.keywords
	}
	if len(c.expunged) == 0 {
		return
	}
	x.lastExpunge = c.modseq
	slices.Sort(c.expunged)
	i := 0
	x.messages = slices.DeleteFunc(x.messages, func(m message) bool {
		for i < len(c.expunged) && c.expunged[i] < m.UID {
			i++
		}
		if i == len(c.expunged) || c.expunged[i] != m.UID {
			return false
		}
		x.sums.count(&m, -1)
		if len(x.views) > 0 {
			x.ghosts[m.UID] = ghost{m, c.modseq}
		}
		return true
	})
}

// lay makes the change of many messages.
func (x *index) lay(c *mark) {
	for _, r := range c.uids {
		for i, _ := x.find(r.lo); i < len(x.messages) && x.messages[i].UID < r.hi; i++ {
			m := &x.messages[i]
			x.sums.count(m, -1)
			m.Flags, m.ModSeq = c.op.apply(m.Flags, c.flags), c.modseq
			x.sums.count(m, +1)
		}
	}
	x.lastFlags = c.modseq
}

// advance says that the index now holds all changes up to modseq.
func (x *index) advance(modseq uint64) {
	x.modseq = modseq
	for early := range x.early {
		if early <= modseq {
			delete(x.early, early)
		}
	}
	close(x.advanced)
	x.advanced = make(chan struct{})
	x.wake()
}

func (x *index) wake() {
	for v := range x.views {
		select {
		case v.changed <- struct{}{}:
		default: // a token is there already
		}
	}
}

// find answers where the message of that UID is.
func (x *index) find(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(x.messages, uid, byUID)
}

func byUID(m message, uid uint32) int { return cmp.Compare(m.UID, uid) }

// forget drops the ghosts that all views have been told of.
func (x *index) forget() {
	if len(x.ghosts) == 0 {
		return
	}
	told := x.modseq
	for v := range x.views {
		told = min(told, v.expunged)
	}
	for uid, g := range x.ghosts {
		if g.modseq <= told {
			delete(x.ghosts, uid)
		}
	}
}

// gapPatience is how long a change may be missing while a later one is known. The missing one's owner has committed it and only
// needs to run; when it never comes (its commit's outcome was unknown, or its owner died) the folder is read again.
const gapPatience = time.Second

// await waits until the index holds the changes up to modseq, so that a session sees what it did.
func (x *index) await(ctx context.Context, st store.Store, modseq uint64) error {
	timer := time.NewTimer(gapPatience)
	defer timer.Stop()
	for {
		x.mu.RLock()
		done, stale, advanced := x.modseq >= modseq || x.gone, x.stale, x.advanced
		x.mu.RUnlock()
		switch {
		case stale:
			if err := x.load(ctx, st); err != nil {
				return err
			}
			continue
		case done:
			return nil
		}
		select {
		case <-advanced:
		case <-timer.C:
			if err := x.load(ctx, st); err != nil {
				return err
			}
			timer.Reset(gapPatience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits until no change is known to be missing.
func (x *index) settle(ctx context.Context, st store.Store) error {
	x.mu.RLock()
	last, stale := x.modseq, x.stale
	for modseq := range x.early {
		last = max(last, modseq)
	}
	known := x.modseq
	x.mu.RUnlock()
	if last == known && !stale {
		return nil
	}
	return x.await(ctx, st, last)
}

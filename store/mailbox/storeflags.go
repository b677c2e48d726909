package mailbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"balorg/store"
)

// chunk is how many messages one transaction changes: with a row, a reference to a body and a record each they stay far below
// store.MaxTx, and other sessions' commits are not held up for long.
const chunk = 2000

// StoreFlags changes the flags of messages and answers the UIDs of those whose flags are different now, ascending; the new
// flags are in Message. uids is ascending; messages that are gone are skipped. Large sets are several transactions: on an
// error the first of them may have been made, and are answered.
func (v *View) StoreFlags(ctx context.Context, uids []uint32, op FlagOp, flags FlagSet) (changed []uint32, err error) {
	changed, _, err = v.storeFlags(ctx, uids, flagChange{op, flags, math.MaxUint64})
	return changed, err
}

// StoreUnchanged is StoreFlags for the messages that have not changed since: modified are the UIDs of those whose modification
// sequence is higher, which stay as they are, ascending. For each message this is decided in the transaction that changes it,
// whatever the view knows. With a sequence of 0 keywords can be set and removed that a message does not have, and nothing else.
func (v *View) StoreUnchanged(ctx context.Context, uids []uint32, op FlagOp, flags FlagSet, since uint64) (changed, modified []uint32, err error) {
	return v.storeFlags(ctx, uids, flagChange{op, flags, since})
}

// flagChange is what is to be done with flags.
type flagChange struct {
	op    FlagOp
	flags FlagSet
	since uint64 // messages with a higher modification sequence stay as they are
}

// passes tells whether the change may be made to a message; keywords are the bits of those that it names and the folder has.
//
// RFC 7162, 3.1.3: a sequence of 0 fails where what is to be changed exists. A keyword that is not set does not exist, a system
// flag always does.
func (c *flagChange) passes(m *message, keywords uint64) bool {
	if m.ModSeq <= c.since {
		return true
	}
	named := c.op != ReplaceFlags && c.flags.System == 0 && len(c.flags.Keywords) > 0
	return c.since == 0 && named && m.Flags.Keywords&keywords == 0
}

// errBehind is answered by a transaction that is to change more messages than it may read, since others have changed the folder a moment ago.
var errBehind = errors.New("the folder in memory is not the latest")

func (v *View) storeFlags(ctx context.Context, uids []uint32, c flagChange) (changed, modified []uint32, err error) {
	if v.readOnly {
		return nil, nil, ErrReadOnly
	}
	for n := len(uids); len(uids) > 0; {
		part := uids[:min(n, len(uids))]
		s := storing{flagChange: c, view: v}
		err := v.storePart(ctx, part, &s)
		if errors.Is(err, errBehind) {
			n = chunk
			continue
		}
		if len(changed)+len(modified) == 0 {
			changed, modified = s.changed, s.modified
		} else {
			changed, modified = append(changed, s.changed...), append(modified, s.modified...)
		}
		if err != nil {
			return changed, modified, fmt.Errorf("store flags: %w", err)
		}
		if s.through > 0 { // the transaction was full
			done, _ := slices.BinarySearch(part, s.through+1)
			part = part[:done]
		}
		uids = uids[len(part):]
		n = len(uids)
	}
	return changed, modified, nil
}

func (v *View) storePart(ctx context.Context, uids []uint32, s *storing) error {
	commit := v.a.s.update
	if s.op == AddFlags && s.flags.System == Deleted && len(s.flags.Keywords) == 0 {
		commit = v.a.s.reclaim // the first half of removing mail, which a full disk must not refuse
	}
	unfolded := uint32(0)
	err := commit(ctx, func(tx store.Writer) error {
		*s = storing{flagChange: s.flagChange, view: v}
		err := s.run(v.a.s.edit(tx), uids)
		unfolded = s.unfolded
		return err
	})
	if err != nil {
		*s = storing{}
		return err
	}
	if unfolded >= v.a.s.opt.MarkMost/foldPart {
		v.a.s.folding.want(v.x.key)
	}
	if s.modseq > 0 {
		// Where another session had changed a message too and this one was not told, Sync still has to.
		v.own[s.modseq] = s.untold
	}
	return v.x.await(ctx, v.a.s.st, max(s.modseq, s.met))
}

// storing is the change of flags in one transaction.
type storing struct {
	flagChange
	view     *View
	changed  []uint32 // those that are different now
	untold   []uint32 // those of them of which the session did not know how they were
	modified []uint32
	modseq   uint64 // of the change; 0: nothing is different
	met      uint64 // the highest sequence of modified: Sync tells what other sessions did to them
	through  uint32 // the last UID it came to, where it stopped before the end
	unfolded uint32 // what the folder's marks weigh now

	f        *folderEdit
	keywords uint64
	grow     bool
	inRows   int       // the most messages that are written as rows
	rows     []message // of the first of them, as they are to be
	mark     mark
	err      error
}

func (s *storing) run(e *edit, uids []uint32) (err error) {
	if s.f, err = e.folder(s.view.x.key); err != nil {
		return err
	}
	if s.keywords, err = s.f.keywords(s.flags.Keywords, false); err != nil {
		return err
	}
	s.grow, s.inRows = s.op != RemoveFlags, chunk
	if s.f.roomForMarks() {
		s.inRows = e.s.opt.MarkFrom - 1
	}
	if err = s.f.walk(uids, s.one); err == nil {
		err = s.err
	}
	if err != nil || len(s.changed) == 0 {
		return err
	}
	if len(s.changed) > s.inRows {
		s.mark.op, s.mark.flags = s.op, Flags{s.flags.System & allSystem, s.keywords}
		err = s.f.mark(s.mark)
	}
	for i := 0; len(s.changed) <= s.inRows && i < len(s.rows) && err == nil; i++ {
		err = s.f.rewrite(s.rows[i])
	}
	if err != nil {
		return err
	}
	s.modseq, s.unfolded = s.f.change.modseq, s.f.row.Unfolded
	return e.save()
}

// one decides about one message, and tells whether there is room for more.
func (s *storing) one(m *message) bool {
	if !s.passes(m, s.keywords) {
		s.modified, s.met = append(s.modified, m.UID), max(s.met, m.ModSeq)
		return true
	}
	if s.grow { // only now: a keyword that no message gets is not made
		if s.keywords, s.err = s.f.keywords(s.flags.Keywords, true); s.err != nil {
			return false
		}
		s.grow = false
	}
	flags := s.op.apply(m.Flags, Flags{s.flags.System & allSystem, s.keywords})
	if flags == m.Flags {
		return true
	}
	if !s.view.told(m) {
		s.untold = append(s.untold, m.UID)
	}
	s.f.count(m, -1)
	after := *m
	after.Flags = flags
	s.f.count(&after, +1)
	if s.changed = append(s.changed, m.UID); len(s.changed) <= s.inRows {
		s.rows = append(s.rows, after)
	}
	s.mark.add(m.UID)
	if len(s.mark.uids) == markRanges || len(s.changed) == s.inRows && s.inRows == chunk {
		s.through = m.UID
		return false
	}
	return true
}

// Expunge removes those of uids (ascending; nil: all messages of the folder) that have \Deleted, and answers the UIDs it
// removed. The view has them until Sync(ctx, true).
func (v *View) Expunge(ctx context.Context, uids []uint32) ([]uint32, error) {
	if v.readOnly {
		return nil, ErrReadOnly
	}
	if uids == nil {
		uids = v.deleted()
	}
	gone, err := v.a.s.remove(ctx, v.x.key, uids, Deleted)
	if err != nil {
		return gone, fmt.Errorf("expunge: %w", err)
	}
	return gone, nil
}

func (v *View) deleted() (uids []uint32) {
	v.x.mu.RLock()
	defer v.x.mu.RUnlock()
	for i := range v.x.messages {
		if v.x.messages[i].Flags.System&Deleted != 0 {
			uids = append(uids, v.x.messages[i].UID)
		}
	}
	return uids
}

// remove removes those of uids that have all flags of having.
func (s *Store) remove(ctx context.Context, key folderKey, uids []uint32, having System) (gone []uint32, err error) {
	for n := chunk; len(uids) > 0; {
		part := uids[:min(n, len(uids))]
		var removed []uint32
		var modseq uint64
		err := s.reclaim(ctx, func(tx store.Writer) error {
			removed, modseq = nil, 0
			e := s.edit(tx)
			f, err := e.folder(key)
			if err != nil {
				return err
			}
			found, err := f.messages(part)
			for i := 0; i < len(found) && err == nil; i++ {
				if m := found[i]; m.Flags.System&having == having {
					removed = append(removed, m.UID)
					err = f.remove(m)
				}
			}
			if err != nil || len(removed) == 0 {
				return err
			}
			modseq = f.change.modseq
			return e.save()
		})
		if errors.Is(err, store.ErrTooBig) && len(part) > 1 { // the structures of odd messages are many rows each
			n = len(part) / 2
			continue
		}
		if err != nil {
			return gone, err
		}
		uids = uids[len(part):]
		gone = append(gone, removed...)
		if err := s.open.await(ctx, key, modseq); err != nil {
			return gone, err
		}
	}
	if len(gone) >= stretchMessages {
		s.signing.want(key) // nothing may be left of a whole stretch
	}
	return gone, nil
}

// AddFlagsTo adds flags to messages of a folder for nobody's session: its \Recent messages stay so for those who open it. uids is
// ascending; messages that are gone are skipped.
func (a *Account) AddFlagsTo(ctx context.Context, name string, uids []uint32, flags FlagSet) error {
	v, err := a.Select(ctx, name, true)
	if err != nil {
		return err
	}
	v.readOnly = false // only now: a view that may write takes the \Recent messages when it opens
	_, err = v.StoreFlags(ctx, uids, AddFlags, flags)
	return errors.Join(err, v.Close())
}

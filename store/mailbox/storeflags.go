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

func (v *View) storeFlags(ctx context.Context, uids []uint32, c flagChange) (changed, modified []uint32, err error) {
	if v.readOnly {
		return nil, nil, ErrReadOnly
	}
	for part := range slices.Chunk(uids, chunk) {
		s := storing{flagChange: c, key: v.x.key}
		err := v.storeChunk(ctx, part, &s)
		for _, m := range s.before {
			changed = append(changed, m.UID)
		}
		modified = append(modified, s.modified...)
		if err != nil {
			return changed, modified, fmt.Errorf("store flags: %w", err)
		}
	}
	return changed, modified, nil
}

func (v *View) storeChunk(ctx context.Context, uids []uint32, s *storing) error {
	commit := v.a.s.update
	if s.op == AddFlags && s.flags.System == Deleted && len(s.flags.Keywords) == 0 {
		commit = v.a.s.reclaim // the first half of removing mail, which a full disk must not refuse
	}
	err := commit(ctx, func(tx store.Writer) error {
		*s = storing{flagChange: s.flagChange, key: s.key}
		return s.run(v.a.s.edit(tx), uids)
	})
	if err != nil {
		*s = storing{}
		return err
	}
	for _, m := range s.before {
		// Where another session had changed the message too and this one was not told, Sync still has to.
		if m.ModSeq <= v.modseq || v.own[m.UID] == m.ModSeq {
			v.own[m.UID] = s.modseq
		}
	}
	return v.x.await(ctx, v.a.s.st, max(s.modseq, s.met))
}

// storing is the change of flags in one transaction.
type storing struct {
	flagChange
	key      folderKey
	before   []message // those that are different now
	modified []uint32
	modseq   uint64 // of the change; 0: nothing is different
	met      uint64 // the highest sequence of modified: Sync tells what other sessions did to them
}

func (s *storing) run(e *edit, uids []uint32) error {
	f, err := e.folder(s.key)
	if err != nil {
		return err
	}
	keywords, err := f.keywords(s.flags.Keywords, false)
	if err != nil {
		return err
	}
	grow := s.op != RemoveFlags
	err = eachMessage(e.tx, s.key, uids, func(m message) error {
		if !s.passes(&m, keywords) {
			s.modified, s.met = append(s.modified, m.UID), max(s.met, m.ModSeq)
			return nil
		}
		if grow { // only now: a keyword that no message gets is not made
			if keywords, err = f.keywords(s.flags.Keywords, true); err != nil {
				return err
			}
			grow = false
		}
		flags := s.op.apply(m.Flags, Flags{s.flags.System & allSystem, keywords})
		if flags == m.Flags {
			return nil
		}
		s.before = append(s.before, m)
		return f.setFlags(m, flags)
	})
	if err != nil || f.change.modseq == 0 {
		return err
	}
	s.modseq = f.change.modseq
	return e.save()
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
			err = eachMessage(tx, key, part, func(m message) error {
				if m.Flags.System&having != having {
					return nil
				}
				removed = append(removed, m.UID)
				return f.remove(m)
			})
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

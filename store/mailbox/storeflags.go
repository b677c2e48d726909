package mailbox

import (
	"context"
	"errors"
	"fmt"
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
	if v.readOnly {
		return nil, ErrReadOnly
	}
	for part := range slices.Chunk(uids, chunk) {
		done, err := v.storeChunk(ctx, part, op, flags)
		changed = append(changed, done...)
		if err != nil {
			return changed, fmt.Errorf("store flags: %w", err)
		}
	}
	return changed, nil
}

func (v *View) storeChunk(ctx context.Context, uids []uint32, op FlagOp, flags FlagSet) ([]uint32, error) {
	var before []message
	var modseq uint64
	commit := v.a.s.update
	if op == AddFlags && flags.System == Deleted && len(flags.Keywords) == 0 {
		commit = v.a.s.reclaim // the first half of removing mail, which a full disk must not refuse
	}
	err := commit(ctx, func(tx store.Writer) error {
		before, modseq = before[:0], 0
		e := v.a.s.edit(tx)
		f, err := e.folder(v.x.key)
		if err != nil {
			return err
		}
		keywords, err := f.keywords(flags.Keywords, op != RemoveFlags)
		if err != nil {
			return err
		}
		arg := Flags{flags.System & allSystem, keywords}
		err = eachMessage(tx, v.x.key, uids, func(m message) error {
			flags := op.apply(m.Flags, arg)
			if flags == m.Flags {
				return nil
			}
			before = append(before, m)
			return f.setFlags(m, flags)
		})
		if err != nil || f.change.modseq == 0 {
			return err
		}
		modseq = f.change.modseq
		return e.save()
	})
	if err != nil {
		return nil, err
	}
	changed := make([]uint32, len(before))
	for i, m := range before {
		changed[i] = m.UID
		// Where another session had changed the message too and this one was not told, Sync still has to.
		if m.ModSeq <= v.modseq || v.own[m.UID] == m.ModSeq {
			v.own[m.UID] = modseq
		}
	}
	return changed, v.x.await(ctx, v.a.s.st, modseq)
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
	return gone, nil
}

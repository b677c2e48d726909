package mailbox

import (
	"context"
	"fmt"
	"slices"

	"balorg/store"
)

// Vanished answers the UIDs of messages that were expunged after a modification sequence and that the view does not have, ascending. It is
// not complete when the record does not reach back that far: then any UID that the view does not have may be of such a message.
func (v *View) Vanished(ctx context.Context, since uint64) (uids []uint32, complete bool, err error) {
	err = v.a.s.st.View(ctx, func(r store.Reader) error {
		uids = nil
		row, err := readFolder(r, v.x.key)
		if err != nil {
			return err
		}
		if complete = since >= row.HighestModSeq || row.HighestModSeq-since <= v.a.s.opt.KeptChanges; !complete || since >= row.HighestModSeq {
			return nil
		}
		for _, b := range r.Scan(v.x.key.expunged(since+1), store.PrefixEnd(v.x.key.in(tableExpunged))) {
			gone, err := decodeUIDs(b)
			if err != nil {
				return err
			}
			uids = append(uids, gone...)
		}
		return r.Err()
	})
	if err != nil {
		return nil, false, fmt.Errorf("read expunged messages: %w", err)
	}
	slices.Sort(uids)
	return slices.DeleteFunc(slices.Compact(uids), func(uid uint32) bool { return v.Seq(uid) != 0 }), complete, nil
}

// Told is the modification sequence up to which the session has been told of all changes, expunges among them.
func (v *View) Told() uint64 {
	v.x.mu.RLock()
	defer v.x.mu.RUnlock()
	if v.x.lastExpunge > v.expunged {
		return min(v.expunged, v.modseq)
	}
	return v.modseq
}

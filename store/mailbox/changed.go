package mailbox

import "slices"

// ChangedSince answers the sequence numbers of the messages that came, or whose flags changed, after a modification sequence, whoever it was: what View
// has of them now may be of later than ModSeq. Ascending.
func (v *View) ChangedSince(modseq uint64) []uint32 {
	x := v.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.modseq <= modseq {
		return nil
	}
	from := 0
	if x.lastFlags <= modseq { // only new ones, which are behind all others
		from = len(x.messages)
		for from > 0 && x.messages[from-1].ModSeq > modseq {
			from--
		}
	}
	var changed []uint32
	i := 0
	for k := from; k < len(x.messages); k++ {
		m := &x.messages[k]
		if m.ModSeq <= modseq {
			continue
		}
		at, found := slices.BinarySearch(v.uids[i:], m.UID)
		if i += at; found {
			changed = append(changed, uint32(i+1))
		}
	}
	return changed
}

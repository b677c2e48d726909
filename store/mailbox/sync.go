package mailbox

import (
	"context"
	"slices"
)

// Sync brings the view up to date and answers what changed, in the order to be told. Expunges are taken up only when
// allowExpunge, since they move sequence numbers (RFC 3501, 7.4.1); until then the view keeps the messages. ErrNoFolder means
// that the folder has been deleted.
func (v *View) Sync(ctx context.Context, allowExpunge bool) ([]Event, error) {
	if err := v.x.settle(ctx, v.a.s.st); err != nil {
		return nil, err
	}
	x := v.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return nil, ErrNoFolder
	}
	var events []Event
	if allowExpunge && x.lastExpunge > v.expunged {
		events = v.dropExpunged(events)
		v.expunged = x.modseq
		x.forget()
	}
	if x.modseq == v.modseq {
		return events, nil
	}
	known, length, recents, keywords := v.modseq, len(v.uids), v.recents, v.keywords
	lastUID := v.lastUID
	v.refresh()
	if len(v.uids) != length {
		events = append(events, Event{Kind: EventExists, Seq: v.Len()})
	}
	if v.recents != recents {
		events = append(events, Event{Kind: EventRecent, Seq: v.recents})
	}
	if v.keywords != keywords {
		events = append(events, Event{Kind: EventKeywords})
	}
	if x.lastFlags > known {
		events = v.tellFlags(events, known, lastUID)
	}
	clear(v.own)
	return events, nil
}

// dropExpunged takes the messages out that the index no longer has.
func (v *View) dropExpunged(events []Event) []Event {
	kept, j := v.uids[:0], 0
	if v.shared {
		kept, v.shared = make([]uint32, 0, len(v.uids)), false
	}
	for _, uid := range v.uids {
		for j < len(v.x.messages) && v.x.messages[j].UID < uid {
			j++
		}
		if j < len(v.x.messages) && v.x.messages[j].UID == uid {
			kept = append(kept, uid)
			continue
		}
		events = append(events, Event{Kind: EventExpunge, Seq: uint32(len(kept) + 1), UID: uid})
		if v.isRecent(uid) {
			v.recents--
		}
	}
	v.uids = kept
	return events
}

// begin takes up all messages, under the index's lock.
func (v *View) begin() {
	x := v.x
	v.uids, v.shared, v.lastUID = slices.Clip(x.uids()), true, x.uidNext-1
	recent := uidRange{x.firstRecent, x.uidNext}
	v.addRecent(recent)
	if recent.lo < recent.hi {
		first, _ := x.find(recent.lo)
		v.recents = uint32(len(x.messages) - first)
	}
	if !v.readOnly {
		x.firstRecent = max(x.firstRecent, x.uidNext)
	}
	v.keywords, v.modseq = len(x.keywords), x.modseq
}

// refresh takes up new messages and keywords, under the index's lock.
func (v *View) refresh() {
	x := v.x
	start, _ := x.find(v.lastUID + 1)
	if x.uidNext > x.firstRecent {
		if !v.readOnly {
			v.addRecent(uidRange{x.firstRecent, x.uidNext})
			x.firstRecent = x.uidNext
		} else {
			v.addRecent(uidRange{max(x.firstRecent, v.lastUID+1), x.uidNext})
		}
	}
	v.shared = v.shared && start == len(x.messages) // else the list is copied when it grows: it has no room
	for _, m := range x.messages[start:] {
		v.uids = append(v.uids, m.UID)
		if v.isRecent(m.UID) {
			v.recents++
		}
	}
	v.lastUID = max(v.lastUID, x.uidNext-1)
	v.keywords, v.modseq = len(x.keywords), x.modseq
}

func (v *View) addRecent(r uidRange) {
	if r.lo >= r.hi {
		return
	}
	if n := len(v.recent); n > 0 && v.recent[n-1].hi == r.lo {
		v.recent[n-1].hi = r.hi
		return
	}
	v.recent = append(v.recent, r)
}

// tellFlags adds an event for each message up to lastUID whose flags changed after known, but by another session.
func (v *View) tellFlags(events []Event, known uint64, lastUID uint32) []Event {
	var at uint64 // the last sequence looked up, which many in a row have
	var own bool
	var untold []uint32
	i := 0
	for k := range v.x.messages {
		m := &v.x.messages[k]
		if m.UID > lastUID {
			break
		}
		if m.ModSeq <= known {
			continue
		}
		if m.ModSeq != at {
			at = m.ModSeq
			untold, own = v.own[at]
		}
		if own && !includes(untold, m.UID) {
			continue
		}
		for i < len(v.uids) && v.uids[i] < m.UID {
			i++
		}
		if i < len(v.uids) && v.uids[i] == m.UID {
			events = append(events, Event{Kind: EventFlags, Seq: uint32(i + 1), UID: m.UID})
		}
	}
	return events
}

// told tells whether the session knows the flags of a message, which may be of later than it was told of changes: its own.
func (v *View) told(m *message) bool {
	if m.ModSeq <= v.modseq {
		return true
	}
	untold, own := v.own[m.ModSeq]
	return own && !includes(untold, m.UID)
}

// includes tells whether a list has a UID. Most are empty.
func includes(uids []uint32, uid uint32) bool {
	if len(uids) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(uids, uid)
	return ok
}

package mailbox

import (
	"encoding/binary"
	"fmt"
	"slices"

	"balorg/store"
)

// mark is a change of the flags of many messages, written once for all of them instead of anew with each row. A folder is its rows with its marks
// laid over them in the order of their modification sequences: a row that is younger than a mark has it already. Folding (fold.go)
// writes the rows and removes the marks.
type mark struct {
	modseq uint64 // not in the row: the key says it
	op     FlagOp
	flags  Flags
	uids   []uidRange // ascending, of messages that are different by it
	at     int        // which range the last message laid over was in or before
}

// A change of fewer messages than markFrom is written with their rows: that is as fast, and nothing has to be folded.
const (
	markFrom = 64
	// markRanges bounds a mark to 100 KB; the rest of a change is another.
	markRanges = 10_000
	// Marks that weigh a quarter of markMost are folded in the background. Above it changes are written with the rows again, so that reading a
	// folder never has more than that to lay over.
	markMost = 128
	foldPart = 4
	// markPage is how many octets of a mark weigh as much as the mark itself.
	markPage = 4 << 10
)

func (k folderKey) mark(modseq uint64) []byte {
	return binary.BigEndian.AppendUint64(k.in(tableMark), modseq)
}

// weight is what a mark whose row has so many octets counts for in its folder's Unfolded.
func weight(octets int) uint32 { return 1 + uint32(octets/markPage) }

func (m *mark) encode() []byte {
	b := []byte{rowVersion, byte(m.op), byte(m.flags.System)}
	b = binary.AppendUvarint(b, m.flags.Keywords)
	last := uint32(0)
	for _, r := range m.uids {
		b = binary.AppendUvarint(b, uint64(r.lo-last))
		b = binary.AppendUvarint(b, uint64(r.hi-r.lo))
		last = r.hi
	}
	return b
}

func decodeMark(key folderKey, k, b []byte) (m mark, err error) {
	d := newDecoder(b)
	m.op, m.flags.System = FlagOp(d.byte()), System(d.byte())
	m.flags.Keywords = d.uint()
	last := uint64(0)
	for !d.bad && len(d.b) > 0 {
		lo := last + d.uint()
		hi := lo + d.uint()
		if lo == 0 || hi <= lo || hi > 1<<32-1 {
			d.fail()
			break
		}
		m.uids = append(m.uids, uidRange{uint32(lo), uint32(hi)})
		last = hi
	}
	if n := len(key.in(tableMark)); len(k) == n+8 {
		m.modseq = binary.BigEndian.Uint64(k[n:])
	}
	if m.op > ReplaceFlags || m.flags.System&^allSystem != 0 || m.modseq == 0 || len(m.uids) == 0 {
		d.fail()
	}
	return m, d.end("mark of messages")
}

// add takes a message into the mark, whose UID is above those it has.
func (m *mark) add(uid uint32) {
	if n := len(m.uids); n > 0 && m.uids[n-1].hi == uid {
		m.uids[n-1].hi++
		return
	}
	m.uids = append(m.uids, uidRange{uid, uid + 1})
}

// lay makes the change to a message where that is of before it, and tells whether it did. Messages come in ascending order.
func (m *mark) lay(msg *message) bool {
	for m.at < len(m.uids) && m.uids[m.at].hi <= msg.UID {
		m.at++
	}
	if msg.ModSeq >= m.modseq || m.at == len(m.uids) || msg.UID < m.uids[m.at].lo {
		return false
	}
	msg.Flags, msg.ModSeq = m.op.apply(msg.Flags, m.flags), m.modseq
	return true
}

// marks are those of one folder, in order, on their way over its messages.
type marks []mark

func (m marks) lay(msg *message) (changed bool) {
	for i := range m {
		changed = m[i].lay(msg) || changed
	}
	return changed
}

// last is the highest UID of a message that one of them is of.
func (m marks) last() (uid uint32) {
	for i := range m {
		uid = max(uid, m[i].uids[len(m[i].uids)-1].hi-1)
	}
	return uid
}

// first is the lowest.
func (m marks) first() (uid uint32) {
	for i := range m {
		if lo := m[i].uids[0].lo; i == 0 || lo < uid {
			uid = lo
		}
	}
	return uid
}

// readMarks answers the marks of a folder with that row.
func readMarks(r store.Reader, key folderKey, row *folderRow) (all marks, err error) {
	if row.Unfolded == 0 {
		return nil, nil
	}
	return all, eachMark(r, key, func(_ []byte, m mark, _ uint32, err error) error {
		all = append(all, m)
		return err
	})
}

// eachMark calls fn for what the folder has in the table of marks: its key, and what it says and weighs, or why it cannot be read.
func eachMark(r store.Reader, key folderKey, fn func(k []byte, m mark, weighs uint32, err error) error) error {
	prefix := key.in(tableMark)
	for k, b := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		m, err := decodeMark(key, k, b)
		if err := fn(k, m, weight(len(b)), err); err != nil {
			return err
		}
	}
	return r.Err()
}

// mark makes a change to many messages of the folder; those that it counts, the caller has counted.
func (f *folderEdit) mark(m mark) error {
	m.modseq = f.modseq()
	f.change.mark = &m
	b := m.encode()
	f.row.Unfolded += weight(len(b))
	if err := f.tx.Set(f.key.mark(m.modseq), b); err != nil {
		return fmt.Errorf("write mark of messages: %w", err)
	}
	return nil
}

// roomForMarks tells whether changes of many messages may be marks.
func (f *folderEdit) roomForMarks() bool { return f.row.Unfolded < f.s.opt.MarkMost }

// walk calls fn for those of uids (ascending) that the index has, until it answers false, if all that it holds is of that modification
// sequence.
func (x *index) walk(at uint64, uids []uint32, fn func(*message) bool) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.stale || x.modseq != at {
		return false
	}
	rest := x.messages
	for _, uid := range uids {
		if len(rest) == 0 {
			break
		}
		if rest[0].UID != uid { // all but never
			i, ok := slices.BinarySearchFunc(rest, uid, byUID)
			if rest = rest[i:]; !ok {
				continue
			}
		}
		if !fn(&rest[0]) {
			break
		}
		rest = rest[1:]
	}
	return true
}

// walk calls fn for those of uids (ascending) that the folder has in this transaction, until it answers false: from memory where that is of
// this very moment, which it is unless others have just changed the folder, too. Then only a chunk of messages may be asked for, else it answers
// errBehind. fn does not ask the store, and keeps no message.
func (f *folderEdit) walk(uids []uint32, fn func(*message) bool) error {
	// The index holds what is durable; of this transaction, and of those before it in its batch, it knows nothing.
	if x := f.s.open.lookup(f.key); x != nil && f.change.modseq == 0 && x.walk(f.row.HighestModSeq, uids, fn) {
		return nil
	}
	if len(uids) > chunk {
		return errBehind
	}
	over, err := readMarks(f.tx, f.key, &f.row)
	if err != nil {
		return err
	}
	found, err := readMessages(f.tx, f.key, over, uids)
	for i := range found {
		if err != nil || !fn(&found[i]) {
			break
		}
	}
	return err
}

// messages answers those of uids (ascending, a chunk at most) that the folder has in this transaction.
func (f *folderEdit) messages(uids []uint32) ([]message, error) {
	found := make([]message, 0, len(uids))
	err := f.walk(uids, func(m *message) bool {
		found = append(found, *m)
		return true
	})
	return found, err
}

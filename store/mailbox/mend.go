package mailbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"balorg/store"
	"balorg/store/body"
)

// mending is what is to be done about one folder.
type mending struct {
	*repair
	key      folderKey
	is       []byte // its row; nil: none
	was, row folderRow
	readable bool
	rewrite  []message // rows of messages that are made anew
	drop     [][]byte
	set      [][2][]byte // records of expunged messages, by key
	anew     bool        // the folder gets another UIDVALIDITY
	over     marks
	touch    bool // a mark is lost: clients are to ask for the flags of all messages
	said     []string

	maxUID    uint32
	maxModSeq uint64
	keywords  uint64
	recorded  map[uint32]bool // as expunged
	messages  int
	damaged   []gap
}

// gap is where a message's row is gone or cannot be read: the bodies of its neighbours.
type gap struct {
	uid           uint32
	before, after body.ID
	date          int64
	gone          bool
}

func (m *mending) say(format string, args ...any) {
	m.said = append(m.said, fmt.Sprintf(format, args...))
}

// mendFolder looks at a folder on a view; only when something is wrong it looks again in a transaction, and mends.
func (r *repair) mendFolder(ctx context.Context, key folderKey) error {
	var m *mending
	err := r.st.View(ctx, func(v store.Reader) (err error) {
		m, err = r.examine(v, key)
		return err
	})
	if err != nil || !m.wrong() {
		return err
	}
	err = r.st.Update(ctx, func(tx store.Writer) error {
		if m, err = r.examine(tx, key); err != nil || !m.wrong() {
			return err
		}
		return m.write(tx)
	})
	if err != nil {
		return err
	}
	for _, s := range m.said {
		r.said(key, "%s", s)
	}
	return nil
}

func (m *mending) wrong() bool {
	return len(m.rewrite)+len(m.drop)+len(m.set) > 0 || m.anew || !m.gone() && !bytes.Equal(m.was.encode(), m.row.encode())
}

// gone tells whether nothing is left of the folder but strays.
func (m *mending) gone() bool { return m.is == nil && m.messages == 0 }

func (r *repair) examine(v store.Reader, key folderKey) (*mending, error) {
	m := &mending{repair: r, key: key, recorded: map[uint32]bool{}}
	b, err := v.Get(key.in(tableFolder))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	m.is = b
	if b != nil {
		m.row, err = decodeFolder(b)
		m.readable = err == nil
	}
	if !m.readable {
		m.row = folderRow{}
	}
	m.was = m.row
	sum := folderEdit{edit: &edit{}, row: folderRow{FirstRecent: m.row.FirstRecent}, account: &accountRow{}}
	if err := m.examineMarks(v); err != nil {
		return nil, err
	}
	good, err := m.examineMessages(v)
	if err != nil {
		return nil, err
	}
	if err := m.examineExpunged(v); err != nil {
		return nil, err
	}
	if err := m.examineSignatures(v); err != nil {
		return nil, err
	}
	if m.gone() {
		m.dropMarks()
		return m, nil
	}
	if !m.readable {
		if err := m.invent(v); err != nil {
			return nil, err
		}
		sum.row.FirstRecent = m.row.FirstRecent
	}
	m.findGone(good)
	m.complete(good)
	for i := range good {
		sum.count(&good[i], +1)
	}
	was := m.was
	m.row.Messages, m.row.Unseen, m.row.Deleted, m.row.Recent, m.row.Size = sum.row.Messages, sum.row.Unseen, sum.row.Deleted, sum.row.Recent, sum.row.Size
	if m.readable && (was.Messages != m.row.Messages || was.Unseen != m.row.Unseen || was.Deleted != m.row.Deleted || was.Recent != m.row.Recent || was.Size != m.row.Size) {
		m.say("its messages were counted: %d, where its row said %d", m.row.Messages, was.Messages)
	}
	if missing := int(was.Messages) - len(good) - len(m.damaged); m.readable && missing > 0 {
		m.lost += missing // their rows are gone
	}
	return m, nil
}

// examineMessages answers the messages as they are to be, those that cannot be read without what they have lost.
func (m *mending) examineMessages(v store.Reader) (good []message, err error) {
	prefix := m.key.in(tableMessage)
	var open []int // in m.damaged, without what comes after
	for k, b := range v.Scan(prefix, store.PrefixEnd(prefix)) {
		if len(k) != len(prefix)+4 {
			m.drop = append(m.drop, slices.Clone(k))
			continue
		}
		m.messages++
		uid := lastUint32(k)
		m.maxUID = max(m.maxUID, uid)
		msg, err := decodeMessage(uid, b)
		if err != nil {
			g := gap{uid: uid}
			if n := len(good); n > 0 {
				g.before, g.date = good[n-1].Body, good[n-1].Date
			}
			open = append(open, len(m.damaged))
			m.damaged = append(m.damaged, g)
			continue
		}
		if msg.Body == 0 {
			m.lost++ // an earlier repair found none for it
		}
		for _, i := range open {
			m.damaged[i].after = msg.Body
		}
		open = open[:0]
		m.over.lay(&msg)
		m.maxModSeq = max(m.maxModSeq, msg.ModSeq)
		m.keywords |= msg.Flags.Keywords
		good = append(good, msg)
	}
	return good, v.Err()
}

// examineMarks reads the folder's marks. What one said that is gone, or cannot be read, is lost: its messages have the flags they had before, and a
// mark that changes none has clients ask for those of all.
func (m *mending) examineMarks(v store.Reader) error {
	m.row.Unfolded = 0
	next := m.row.UIDNext
	prefix := m.key.in(tableMessage)
	for k := range v.ScanBack(prefix, store.PrefixEnd(prefix)) {
		next = max(next, lastUint32(k)+1)
		break
	}
	err := eachMark(v, m.key, func(k []byte, c mark, weighs uint32, err error) error {
		if err != nil || m.readable && c.uids[len(c.uids)-1].hi > next {
			m.drop, m.touch = append(m.drop, slices.Clone(k)), true
			return nil //nolint:nilerr // it is mended
		}
		m.row.Unfolded += weighs
		m.over = append(m.over, c)
		m.maxModSeq = max(m.maxModSeq, c.modseq)
		m.keywords |= c.flags.Keywords
		return nil
	})
	m.touch = m.touch || m.was.Unfolded > m.row.Unfolded
	if m.touch {
		m.say("a record of changed flags is lost; its messages have the flags they had before")
	} else if m.readable && m.was.Unfolded < m.row.Unfolded {
		m.say("its records of changed flags were counted")
	}
	return err
}

// dropMarks removes those of a folder of which nothing is left.
func (m *mending) dropMarks() {
	for _, c := range m.over {
		m.drop = append(m.drop, m.key.mark(c.modseq))
	}
}

// examineExpunged looks at the records of expunged messages. Of one that cannot be read every UID is told that is not there and in no other.
func (m *mending) examineExpunged(v store.Reader) error {
	prefix := m.key.in(tableExpunged)
	var broken [][]byte
	for k, b := range v.Scan(prefix, store.PrefixEnd(prefix)) {
		uids, err := decodeUIDs(b)
		switch {
		case len(k) != len(prefix)+8 || m.gone():
			m.drop = append(m.drop, slices.Clone(k))
			continue
		case err != nil:
			broken = append(broken, slices.Clone(k))
			continue
		}
		m.maxModSeq = max(m.maxModSeq, binary.BigEndian.Uint64(k[len(prefix):]))
		kept := uids[:0]
		there := false
		for _, uid := range uids {
			if _, err := v.Get(m.key.message(uid)); err == nil {
				there = true
				continue
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			m.maxUID = max(m.maxUID, uid)
			m.recorded[uid] = true
			kept = append(kept, uid)
		}
		if there {
			m.say("a record of expunged messages named some that are there")
			m.set = append(m.set, [2][]byte{slices.Clone(k), encodeUIDs(kept)})
		}
	}
	if err := v.Err(); err != nil || len(broken) == 0 {
		return err
	}
	var missing []uint32
	for uid := uint32(1); uid <= m.maxUID; uid++ {
		if _, err := v.Get(m.key.message(uid)); errors.Is(err, store.ErrNotFound) && !m.recorded[uid] {
			missing = append(missing, uid)
		}
	}
	for i, k := range broken {
		m.maxModSeq = max(m.maxModSeq, binary.BigEndian.Uint64(k[len(prefix):]))
		if i < len(broken)-1 || len(missing) == 0 {
			m.drop = append(m.drop, k)
			continue
		}
		m.set = append(m.set, [2][]byte{k, encodeUIDs(missing)})
	}
	m.say("a damaged record of expunged messages was made anew")
	return nil
}

func (m *mending) examineSignatures(v store.Reader) error {
	prefix := m.key.in(tableSignature)
	last, dropped := uint32(0), 0
	for k, b := range v.Scan(prefix, store.PrefixEnd(prefix)) {
		at, ok := stretchOf(k[len(prefix):])
		if ok && !at.usable() && !m.gone() {
			continue
		}
		if _, err := decodeSignature(b); !ok || err != nil || !intact(b) || at.first <= last || m.gone() {
			m.drop, dropped = append(m.drop, slices.Clone(k)), dropped+1
			continue
		}
		last = at.last
	}
	if dropped > 0 {
		m.say("%d signatures for searches were removed; they are made again", dropped)
	}
	return v.Err()
}

// invent makes a row for a folder whose own is gone or cannot be read. Its UIDVALIDITY is lost, so that it gets another.
func (m *mending) invent(v store.Reader) error {
	m.row = folderRow{UIDNext: 1, HighestModSeq: 1, Unfolded: m.row.Unfolded, Name: fmt.Sprintf("%s-%d", m.recovered(), m.key.folder)}
	m.anew = true
	prefix := accountPrefix(tableName, m.key.account)
	for k, b := range v.Scan(prefix, store.PrefixEnd(prefix)) {
		if lastUint32(b) == m.key.folder {
			m.row.Name = string(k[len(prefix):])
		}
	}
	for _, f := range m.opt.Names.folders() {
		if f.name == m.row.Name {
			m.row.SpecialUse = f.use
		}
	}
	m.row.FirstRecent = m.maxUID + 1
	m.say("its row was made anew, with another UIDVALIDITY")
	return v.Err()
}

func (m *mending) recovered() string {
	if m.opt.Names == EnglishNames {
		return "Recovered"
	}
	return "Récupéré"
}

// complete brings the row up to what the messages say, and decides what becomes of those that cannot be read, which it adds to good.
func (m *mending) complete(good []message) {
	row := &m.row
	if m.readable && m.maxUID >= row.UIDNext {
		m.say("UIDs up to %d are given", m.maxUID)
	}
	row.UIDNext = max(row.UIDNext, m.maxUID+1)
	if m.readable && m.maxModSeq > row.HighestModSeq {
		m.say("its highest modification sequence was raised")
	}
	row.HighestModSeq = max(row.HighestModSeq, m.maxModSeq, 1)
	if n := bits.Len64(m.keywords); n > len(row.Keywords) {
		row.Keywords = slices.Clone(row.Keywords)
		for len(row.Keywords) < n {
			row.Keywords = append(row.Keywords, fmt.Sprintf("recovered-%d", len(row.Keywords)+1))
		}
		m.say("keywords without name got one")
	}
	if row.NoSelect && m.messages > 0 {
		row.NoSelect = false
		m.say("it has messages and can be selected")
	}
	if owner, given := m.validities[row.UIDValidity]; !m.anew && (!given || owner != m.key) {
		m.anew = true
		m.say("its UIDVALIDITY was another folder's; it got another")
	}
	for i := range good {
		if good[i].ModSeq == 0 || good[i].UID == 0 {
			m.rewrite = append(m.rewrite, good[i])
		}
	}
	m.touch = m.touch && row.UIDNext > 1
	if len(m.rewrite)+len(m.damaged) > 0 || m.touch {
		row.HighestModSeq++
	}
}

// findGone looks for messages whose rows are gone: those that the folder's row counts and that are not on record as expunged. They
// matter only where there are bodies that nobody claims.
func (m *mending) findGone(good []message) {
	if !m.readable || len(m.unclaimed) == 0 || int(m.row.Messages) <= m.messages || m.row.HighestModSeq > m.opt.KeptChanges {
		return
	}
	next := 0
	for uid := uint32(1); uid < m.row.UIDNext; uid++ {
		for next < len(good) && good[next].UID < uid {
			next++
		}
		if next < len(good) && good[next].UID == uid || m.recorded[uid] || slices.ContainsFunc(m.damaged, func(g gap) bool { return g.uid == uid }) {
			continue
		}
		g := gap{uid: uid, gone: true}
		if next > 0 {
			g.before, g.date = good[next-1].Body, good[next-1].Date
		}
		if next < len(good) {
			g.after = good[next].Body
		}
		m.damaged = append(m.damaged, g)
	}
	slices.SortFunc(m.damaged, func(a, b gap) int { return int(int64(a.uid) - int64(b.uid)) })
}

// claim finds the bodies that may be those of messages without row: of neighbours, those that came between theirs.
func (m *mending) claim(fn func(gaps []gap, bodies []body.ID)) {
	for gaps := m.damaged; len(gaps) > 0; {
		n := 1
		for n < len(gaps) && gaps[n].before == gaps[0].before && gaps[n].after == gaps[0].after {
			n++
		}
		first, _ := slices.BinarySearch(m.unclaimed, gaps[0].before+1)
		last := len(m.unclaimed)
		if gaps[0].after > 0 {
			last, _ = slices.BinarySearch(m.unclaimed, gaps[0].after)
		}
		fn(gaps[:n], m.unclaimed[first:max(first, last)])
		gaps = gaps[n:]
	}
}

// rowsOfDamaged are the rows that messages get whose own cannot be read.
func (m *mending) rowsOfDamaged(tx store.Reader) (rows []message, err error) {
	for _, g := range m.damaged {
		msg := message{UID: g.uid, ModSeq: m.row.HighestModSeq, Date: g.date}
		if msg.Body = m.found[messageKey{m.key, g.uid}]; msg.Body > 0 {
			if msg.Size, err = body.Size(tx, msg.Body); err != nil {
				return nil, err
			}
			m.say("message %d: its row was made anew; flags and dates are lost", g.uid)
		} else if m.lost++; g.gone {
			m.say("message %d: is gone", g.uid)
			continue
		} else {
			m.say("message %d: what it said is lost; its UID is kept", g.uid)
		}
		rows = append(rows, msg)
	}
	return rows, nil
}

// write writes what examine found to be right, and has sessions see it.
func (m *mending) write(tx store.Writer) error {
	for _, k := range m.drop {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	for _, kv := range m.set {
		if err := tx.Set(kv[0], kv[1]); err != nil {
			return err
		}
	}
	if m.gone() {
		return nil
	}
	rows, err := m.rowsOfDamaged(tx)
	if err != nil {
		return err
	}
	sum := folderEdit{edit: &edit{}, row: m.row, account: &accountRow{}}
	for _, msg := range rows {
		sum.count(&msg, +1)
	}
	m.row = sum.row
	for _, msg := range m.rewrite {
		if msg.UID == 0 { // no client can name it
			if err := tx.Delete(m.key.message(0)); err != nil {
				return err
			}
			msg.UID = m.row.UIDNext
			m.row.UIDNext++
		}
		msg.ModSeq = m.row.HighestModSeq
		rows = append(rows, msg)
	}
	for _, msg := range rows {
		if err := tx.Set(m.key.message(msg.UID), msg.encode()); err != nil {
			return err
		}
	}
	if m.touch {
		b := (&mark{op: AddFlags, uids: []uidRange{{1, m.row.UIDNext}}}).encode()
		m.row.Unfolded += weight(len(b))
		if err := tx.Set(m.key.mark(m.row.HighestModSeq), b); err != nil {
			return err
		}
	}
	e := m.edit(tx)
	if m.anew {
		if m.row.UIDValidity, err = e.validity(); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		if m.anew {
			m.open.deleted(m.key) // its sessions have to begin again
			m.validities[m.row.UIDValidity] = m.key
		} else {
			m.open.reread(m.key)
		}
	})
	return tx.Set(m.key.in(tableFolder), m.row.encode())
}

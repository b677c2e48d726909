package store

import (
	"bytes"
	"iter"
	"maps"
	"slices"
)

// overlay holds the writes of one batch of transactions that are not in the engine yet.
type overlay struct {
	entries map[string]entry
	keys    []string // sorted; may hold keys that were rolled back and are no longer in entries
	fresh   []string // keys not yet merged into keys
	cost    int
	synced  bool // the batch is to be synced before it is answered
}

// entry is the newest write of a key.
type entry struct {
	value   []byte
	deleted bool
	by      int // number of the transaction in the batch that wrote it
}

func newOverlay() *overlay { return &overlay{entries: make(map[string]entry)} }

func entryCost(key string, e entry) int { return len(key) + len(e.value) + EntryCost }

// put replaces the entry of key, present telling whether it has one afterwards, and answers what was there before.
func (o *overlay) put(key string, e entry, present bool) (old entry, had bool) {
	old, had = o.entries[key]
	if had {
		o.cost -= entryCost(key, old)
	}
	if !present {
		delete(o.entries, key)
		return old, had
	}
	o.entries[key] = e
	o.cost += entryCost(key, e)
	if !had {
		o.fresh = append(o.fresh, key)
	}
	return old, had
}

// get answers a copy of what the overlay says of a key, known where it says something.
func (o *overlay) get(key []byte) (value []byte, known bool, err error) {
	e, known := o.entries[string(key)]
	switch {
	case !known:
		return nil, false, nil
	case e.deleted:
		return nil, true, ErrNotFound
	}
	return append([]byte{}, e.value...), true, nil
}

// freeze makes it an overlay that many may read at a time: there is nothing left to sort.
func (o *overlay) freeze() { o.span(nil, nil) }

// with answers a frozen overlay that holds o's writes and more's over them. Both are frozen.
func (o *overlay) with(more *overlay) *overlay {
	sum := &overlay{entries: make(map[string]entry, len(o.entries)+len(more.entries)), keys: mergeKeys(o.keys, more.keys)}
	maps.Copy(sum.entries, o.entries)
	sum.cost = o.cost + more.cost
	for key, e := range more.entries {
		if former, had := o.entries[key]; had {
			sum.cost -= entryCost(key, former)
		}
		sum.entries[key] = e
	}
	return sum
}

// layers are frozen overlays, the oldest first, each over those before it. Each is more than twice as large as the next, so that one more
// copies few of those that are there, and there are few to be asked for a key.
type layers []*overlay

// with answers layers that hold o's writes, too. o must not be written to any more.
func (l layers) with(o *overlay) layers {
	o.freeze()
	n := len(l)
	for ; n > 0 && len(l[n-1].entries) <= 2*len(o.entries); n-- {
		o = l[n-1].with(o)
	}
	return append(slices.Clone(l[:n]), o)
}

// size is how many keys there are, and what they cost; one that several layers hold counts for each.
func (l layers) size() (keys, cost int) {
	for _, o := range l {
		keys += len(o.entries)
		cost += o.cost
	}
	return keys, cost
}

// get is overlay.get of the newest layer that knows the key.
func (l layers) get(key []byte) (value []byte, known bool, err error) {
	for _, o := range slices.Backward(l) {
		if value, known, err = o.get(key); known {
			return value, true, err
		}
	}
	return nil, false, nil
}

// over yields what v yields below, with the layers' writes over it.
func (l layers) over(v *view, below iter.Seq2[[]byte, []byte], from, to []byte, back bool) iter.Seq2[[]byte, []byte] {
	for _, o := range l {
		if len(o.span(from, to)) > 0 {
			below = o.over(v, below, from, to, back)
		}
	}
	return below
}

// span answers the sorted keys with from <= key < to. The slice stays as it is while more is written.
func (o *overlay) span(from, to []byte) []string {
	if len(o.fresh) > 0 {
		slices.Sort(o.fresh)
		o.keys = mergeKeys(o.keys, o.fresh)
		o.fresh = o.fresh[:0]
	}
	lo, _ := slices.BinarySearch(o.keys, string(from))
	hi := len(o.keys)
	if to != nil {
		hi, _ = slices.BinarySearch(o.keys, string(to))
	}
	return o.keys[lo:max(lo, hi)]
}

// mergeKeys makes a new slice: scans under way keep theirs.
func mergeKeys(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return slices.Compact(append(append(out, a...), b...))
}

// undo is how one write is taken back.
type undo struct {
	key    string
	before entry
	had    bool
}

// tx is the Writer of one transaction: the engine's view below, the batch's overlay above.
type tx struct {
	*view
	over    *overlay
	number  int
	journal []undo
	own     int // cost of the keys this transaction wrote
	after   []func()
	failed  error // a refused write; the transaction cannot succeed any more
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if value, known, err := t.over.get(key); known {
		return value, err
	}
	return t.view.Get(key)
}

// Open implements Reader.
func (t *tx) Open(key []byte) (*Value, error) {
	if value, known, err := t.over.get(key); known {
		return newValue(value), err
	}
	return t.view.Open(key)
}

// Keys implements Reader.
func (t *tx) Keys(from, to []byte) iter.Seq[[]byte] {
	return keys(t.over.over(t.view, t.span(from, to, false), from, to, false))
}

func (t *tx) Set(key, value []byte) error {
	if err := checkWrite(key, value); err != nil {
		return t.refuse(err)
	}
	return t.write(string(key), entry{value: append([]byte{}, value...), by: t.number})
}

func (t *tx) Delete(key []byte) error {
	if err := checkWrite(key, nil); err != nil {
		return t.refuse(err)
	}
	return t.write(string(key), entry{deleted: true, by: t.number})
}

func (t *tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }

func (t *tx) refuse(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

func (t *tx) write(key string, e entry) error {
	before, had := t.over.put(key, e, true)
	t.journal = append(t.journal, undo{key, before, had})
	t.own += entryCost(key, e)
	if had && before.by == t.number {
		t.own -= entryCost(key, before)
	}
	if t.own > MaxTx {
		return t.refuse(ErrTooBig)
	}
	return nil
}

// rollback takes back all writes of the transaction.
func (t *tx) rollback() {
	for _, u := range slices.Backward(t.journal) {
		t.over.put(u.key, u.before, u.had)
	}
	t.journal, t.own = nil, 0
}

// move takes the transaction's writes out of its overlay and into another. Only the last transaction of a batch can be
// moved.
func (t *tx) move(to *overlay) {
	writes := make(map[string]entry, len(t.journal))
	for _, u := range t.journal {
		writes[u.key] = t.over.entries[u.key]
	}
	t.rollback()
	for key, e := range writes {
		to.put(key, e, true)
	}
	t.over = to
}

func (t *tx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return t.over.over(t.view, t.view.Scan(from, to), from, to, false)
}

func (t *tx) ScanBack(from, to []byte) iter.Seq2[[]byte, []byte] {
	return t.over.over(t.view, t.view.ScanBack(from, to), from, to, true)
}

// over yields what v yields below, with the overlay's writes over it.
func (o *overlay) over(v *view, below iter.Seq2[[]byte, []byte], from, to []byte, back bool) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		o.merge(v, below, o.span(from, to), back, yield)
	}
}

// merge yields the pairs of below, which descend when back is set, with the overlay's writes of keys over them.
func (o *overlay) merge(v *view, below iter.Seq2[[]byte, []byte], keys []string, back bool, yield func(key, value []byte) bool) {
	peek := func() string {
		if back {
			return keys[len(keys)-1]
		}
		return keys[0]
	}
	// take steps over the overlay's next key and yields its write. It answers whether to go on, and whether the key is
	// one the overlay decides: one that was rolled back is not.
	take := func() (more, ours bool) {
		key := peek()
		if back {
			keys = keys[:len(keys)-1]
		} else {
			keys = keys[1:]
		}
		e, ours := o.entries[key]
		return !ours || e.deleted || yield([]byte(key), e.value), ours
	}
	for key, value := range below {
		for len(keys) > 0 && before(peek(), string(key), back) {
			if more, _ := take(); !more {
				return
			}
		}
		if len(keys) > 0 && peek() == string(key) {
			more, ours := take()
			if !more {
				return
			}
			if ours {
				continue
			}
		}
		if !yield(key, value) {
			return
		}
	}
	for len(keys) > 0 && v.err == nil {
		if more, _ := take(); !more {
			return
		}
	}
}

func before(a, b string, back bool) bool {
	if back {
		return a > b
	}
	return a < b
}

func checkWrite(key, value []byte) error {
	switch {
	case len(key) == 0:
		return errEmptyKey
	case len(key) > MaxKey, len(value) > MaxValue:
		return ErrTooBig
	case bytes.HasPrefix(key, []byte(enginePrefix)):
		return errReservedKey
	}
	return nil
}

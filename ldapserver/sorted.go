package ldapserver

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// hit is an entry that a sorted search has found.
type hit struct {
	part int32
	n    uint32 // in its source; of a container and of another directory's entries, its place there
}

// list is the matches of one part, in order.
type list struct {
	part *part
	at   int32
	hits []uint64 // rank by the first key, and number: they compare as the entries do when there is one key
}

// sorted answers a search in an order (RFC 2891), a window of it (VLV) or pages.
func (s *search) sorted(ctx context.Context, asked requestControls) wire.Result {
	if asked.unsorted != wire.Success {
		var result wire.Result
		switch {
		case asked.vlv != nil:
			return wire.Result{Code: asked.unsorted, Text: "it cannot be sorted by this attribute or rule", Controls: []wire.ResponseControl{wire.Sorted(asked.unsorted, asked.fault)}}
		case asked.paged != nil:
			result = s.page(ctx, asked.paged)
		default:
			result = s.stream(ctx)
		}
		result.Controls = append(result.Controls, wire.Sorted(asked.unsorted, asked.fault))
		return result
	}
	lists, err := s.collect(ctx, asked.sort)
	if err != nil {
		return s.failed(err)
	}
	merged := &merge{s: s, keys: asked.sort, lists: lists}
	var result wire.Result
	switch {
	case asked.vlv != nil:
		result = s.window(merged, asked.vlv)
	case asked.paged != nil:
		result = s.sortedPage(merged, asked.paged)
	default:
		for h, ok := merged.next(); ok; h, ok = merged.next() {
			if err := s.answerHit(h); err != nil {
				result = s.failed(err)
				break
			}
		}
	}
	result.Controls = append(result.Controls, wire.Sorted(wire.Success, nil))
	return result
}

// answerHit answers an entry that was found.
func (s *search) answerHit(h hit) error {
	p := &s.parts[h.part]
	switch {
	case p.container != nil:
		return s.answerEntry(p.container)
	case p.remote != nil:
		return s.answerEntry(s.remote[h.part][h.n])
	}
	return s.answer(p, h.n)
}

// collect finds all that matches, each part's in order.
func (s *search) collect(ctx context.Context, keys []sortKey) ([]list, error) {
	var lists []list
	for i := range s.parts {
		p := &s.parts[i]
		l := list{part: p, at: int32(i)}
		var err error
		switch {
		case p.container != nil:
			if s.query.Matches(p.container) {
				l.hits = []uint64{0}
			}
		case p.remote != nil:
			s.collectRemote(ctx, &l, keys)
		default:
			err = s.collectSource(&l, keys)
		}
		if err != nil {
			return nil, err
		}
		if len(l.hits) > 0 {
			lists = append(lists, l)
		}
	}
	return lists, nil
}

func (s *search) collectSource(l *list, keys []sortKey) error {
	p, x := l.part, l.part.source.Index
	plan := s.prepare(p)
	add := func(n uint32) bool {
		if p.eye.Sees(n) {
			rank := uint64(x.Rank(keys[0].attribute, n))
			if keys[0].reverse {
				rank = uint64(^uint32(rank))
			}
			l.hits = append(l.hits, rank<<32|uint64(n))
		}
		return true
	}
	if p.single != nobody {
		if plan.Matches(p.single) {
			add(p.single)
		}
		return nil
	}
	if !plan.Each(add) {
		return errTime
	}
	if len(keys) == 1 {
		slices.Sort(l.hits)
		return nil
	}
	slices.SortFunc(l.hits, func(a, b uint64) int {
		if a>>32 != b>>32 {
			return cmp.Compare(a, b)
		}
		for _, k := range keys[1:] {
			order := cmp.Compare(x.Rank(k.attribute, uint32(a)), x.Rank(k.attribute, uint32(b)))
			if k.reverse {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return cmp.Compare(uint32(a), uint32(b))
	})
	return nil
}

// merge takes the entries of several sorted lists in one order.
type merge struct {
	s     *search
	keys  []sortKey
	lists []list
}

// len is how many entries are left.
func (m *merge) len() int {
	n := 0
	for i := range m.lists {
		n += len(m.lists[i].hits)
	}
	return n
}

// next takes the first.
func (m *merge) next() (hit, bool) {
	best := -1
	for i := range m.lists {
		if len(m.lists[i].hits) == 0 {
			continue
		}
		if best < 0 || m.compare(m.head(i), m.head(best)) < 0 {
			best = i
		}
	}
	if best < 0 {
		return hit{}, false
	}
	h := m.head(best)
	m.lists[best].hits = m.lists[best].hits[1:]
	return h, true
}

// skip takes n entries off.
func (m *merge) skip(n int) {
	for range n {
		if _, ok := m.next(); !ok {
			return
		}
	}
}

func (m *merge) head(i int) hit {
	return hit{m.lists[i].at, uint32(m.lists[i].hits[0])}
}

// compare puts entries of different parts in order, by the text of their keys.
func (m *merge) compare(a, b hit) int {
	for _, k := range m.keys {
		order := compareKeys(m.s.sortKey(a, k.attribute), m.s.sortKey(b, k.attribute))
		if k.reverse {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.n, b.n))
}

// compareKeys: an entry without a value comes last (RFC 2891, 2.2).
func compareKeys(a, b []byte) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return bytes.Compare(a, b)
}

// sortKey is the folded value an entry is sorted by; nil when it has none.
func (s *search) sortKey(h hit, a schema.Attribute) []byte {
	p := &s.parts[h.part]
	if p.source != nil {
		key, ok := p.source.Index.SortKey(a, h.n)
		if !ok {
			return nil
		}
		return key
	}
	e := p.container
	if p.remote != nil {
		e = s.remote[h.part][h.n]
	}
	var lowest []byte
	for _, v := range e.Values(a) {
		if folded, ok := a.Fold([]byte{}, []byte(v)); ok && (lowest == nil || bytes.Compare(folded, lowest) < 0) {
			lowest = folded
		}
	}
	return lowest
}

// window answers a part of the sorted list (draft-ietf-ldapext-ldapv3-vlv-09).
func (s *search) window(m *merge, v *wire.VLV) wire.Result {
	count := m.len()
	var position int // of the target, from 1
	switch {
	case v.ByValue:
		position = 1 + s.before(m, v.Value)
	case v.Offset == 0:
		return wire.Result{
			Code: wire.OffsetRangeError, Text: "the first entry has the offset 1",
			Controls: []wire.ResponseControl{wire.VLVResponse(0, int32(count), wire.OffsetRangeError)},
		}
	case v.Count == 0 || v.Offset == 1 || v.Offset > v.Count:
		position = int(v.Offset)
		if v.Count != 0 && v.Offset > v.Count {
			position = count
		}
	default: // the client's idea of where, in a list as long as it thinks
		position = int(int64(count) * int64(v.Offset) / int64(v.Count))
	}
	position = max(min(position, count+1), 1)
	first := max(position-1-min(int(v.Before), s.limit), 0)
	last := min(position-1+min(int(v.After), s.limit), count-1)
	m.skip(first)
	result := wire.Result{}
	for i := first; i <= last; i++ {
		h, ok := m.next()
		if !ok {
			break
		}
		if err := s.answerHit(h); err != nil {
			result = s.failed(err)
			break
		}
	}
	result.Controls = []wire.ResponseControl{wire.VLVResponse(int32(position), int32(count), wire.Success)}
	return result
}

// before counts the entries that stand before a value of the first key.
func (s *search) before(m *merge, value []byte) int {
	k := m.keys[0]
	folded, ok := k.attribute.Fold([]byte{}, value)
	if !ok {
		folded = value
	}
	count := 0
	for i := range m.lists {
		l := &m.lists[i]
		n, _ := slices.BinarySearchFunc(l.hits, folded, func(packed uint64, want []byte) int {
			order := compareKeys(s.sortKey(hit{l.at, uint32(packed)}, k.attribute), want)
			if k.reverse {
				order = -order
			}
			if order < 0 {
				return -1
			}
			return 1
		})
		count += n
	}
	return count
}

// sortedPage answers one page of the sorted list, behind the entry where the last one ended.
func (s *search) sortedPage(m *merge, asked *wire.Paged) wire.Result {
	k, result := s.beginPage(asked)
	if result.Code != wire.Success || asked.Size == 0 {
		return result
	}
	var last *hit
	more := false
	behind := k.Part < 0 // the first page's entries all are
	for h, ok := m.next(); ok; h, ok = m.next() {
		if behind = behind || s.isBehind(m, h, k); !behind {
			continue
		}
		if more = s.answered >= s.limit; more {
			break
		}
		if err := s.answerHit(h); err != nil {
			return s.failed(err)
		}
		last = &h
	}
	if last != nil {
		s.note(m, *last, k)
	}
	return s.endPage(k, more)
}

// note keeps where an entry stands.
func (s *search) note(m *merge, h hit, k *cookie) {
	k.Part, k.Keys = int(h.part), nil
	for _, key := range m.keys {
		k.Keys = append(k.Keys, slices.Clone(s.sortKey(h, key.attribute)))
	}
	name, mail := s.identity(h)
	k.Name, k.Mail = slices.Clone(name), slices.Clone(mail)
}

// identity is what puts entries with equal keys in order within a part.
func (s *search) identity(h hit) (name, mail []byte) {
	switch p := &s.parts[h.part]; {
	case p.container != nil:
		return nil, []byte(p.container.DN)
	case p.remote != nil:
		return nil, []byte(s.remote[h.part][h.n].DN)
	default:
		name, _ = p.source.Index.SortKey(schema.CN, h.n)
		return name, p.source.Index.Mail(h.n)
	}
}

// isBehind tells whether an entry stands behind the one that a cookie names.
func (s *search) isBehind(m *merge, h hit, k *cookie) bool {
	if len(k.Keys) != len(m.keys) {
		return false
	}
	for i, key := range m.keys {
		order := compareKeys(s.sortKey(h, key.attribute), k.Keys[i])
		if key.reverse {
			order = -order
		}
		if order != 0 {
			return order > 0
		}
	}
	name, mail := s.identity(h)
	return cmp.Or(cmp.Compare(int(h.part), k.Part), bytes.Compare(name, k.Name), bytes.Compare(mail, k.Mail)) > 0
}

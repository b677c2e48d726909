package wire

// QResync is what stands in the parentheses behind QRESYNC in a SELECT (RFC 7162, 3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       NumSet // UIDs; no ranges when not given
	// MatchSeqs[i] was the sequence number of MatchUIDs[i] when the client last looked, both ascending.
	MatchSeqs, MatchUIDs []uint32
}

// maxMatched bounds the sequence numbers that a client tells of; RFC 7162, 3.2.5.2 has it send some dozen.
const maxMatched = 10_000

// ParseQResync reads what Select.QResync holds.
func ParseQResync(args []byte) (q QResync, err error) {
	p := NewParser(args)
	if q.UIDValidity, err = p.Number(); err != nil {
		return q, err
	}
	if err := p.SP(); err != nil {
		return q, err
	}
	modseq, err := p.Number64()
	if err != nil {
		return q, err
	}
	q.ModSeq = uint64(modseq)
	if !p.Take(' ') {
		return q, p.End()
	}
	if p.Peek() != '(' {
		if q.Known, err = p.plainSet(); err != nil {
			return q, err
		}
		if !p.Take(' ') {
			return q, p.End()
		}
	}
	if err := p.matches(&q); err != nil {
		return q, err
	}
	return q, p.End()
}

// plainSet reads a set that names its numbers: without "*" and "$".
func (p *Parser) plainSet() (NumSet, error) {
	set, err := p.NumSet()
	if err != nil {
		return set, err
	}
	if set.Saved {
		return set, syntax("Numbers are wanted")
	}
	for _, r := range set.Ranges {
		if r.First == 0 || r.Last == 0 {
			return set, syntax("Numbers are wanted")
		}
	}
	return set, nil
}

// matches reads "(sequence-numbers uids)".
func (p *Parser) matches(q *QResync) error {
	var lists [2][]uint32
	if err := p.Expect('('); err != nil {
		return err
	}
	for i := range lists {
		if i > 0 {
			if err := p.SP(); err != nil {
				return err
			}
		}
		set, err := p.plainSet()
		if err != nil {
			return err
		}
		if lists[i], err = numbersOf(set); err != nil {
			return err
		}
	}
	if len(lists[0]) != len(lists[1]) {
		return syntax("Sequence numbers and UIDs are not as many")
	}
	q.MatchSeqs, q.MatchUIDs = lists[0], lists[1]
	return p.Expect(')')
}

// numbersOf answers the numbers of a set, ascending.
func numbersOf(set NumSet) (list []uint32, err error) {
	for _, r := range set.Resolve(0) {
		if uint64(len(list))+uint64(r.Last-r.First) >= maxMatched {
			return nil, syntax("Too many numbers")
		}
		for n := r.First; ; n++ {
			list = append(list, n)
			if n == r.Last {
				break
			}
		}
	}
	return list, nil
}

package wire

import (
	"cmp"
	"slices"
	"strconv"
)

// NumRange is a range of sequence numbers or UIDs, both ends within. 0 stands for "*" until the set is resolved.
type NumRange struct{ First, Last uint32 }

// NumSet is a set of sequence numbers or of UIDs, as a client wrote it.
type NumSet struct {
	Ranges []NumRange // in the client's order, First and Last too
	Saved  bool       // "$": the saved result of SEARCH (RFC 5182)
}

// NumSet reads a sequence set.
func (p *Parser) NumSet() (NumSet, error) {
	if p.Take('$') {
		return NumSet{Saved: true}, nil
	}
	var set NumSet
	for {
		first, err := p.seqNumber()
		if err != nil {
			return NumSet{}, err
		}
		last := first
		if p.Take(':') {
			if last, err = p.seqNumber(); err != nil {
				return NumSet{}, err
			}
		}
		set.Ranges = append(set.Ranges, NumRange{first, last})
		if !p.Take(',') {
			return set, nil
		}
	}
}

func (p *Parser) seqNumber() (uint32, error) {
	if p.Take('*') {
		return 0, nil
	}
	n, err := p.Number()
	if err == nil && n == 0 {
		err = syntax("Message numbers begin at 1")
	}
	return n, err
}

// ParseNumSet reads a whole text as a sequence set.
func ParseNumSet(s string) (NumSet, error) {
	p := NewParser([]byte(s))
	set, err := p.NumSet()
	if err != nil {
		return NumSet{}, err
	}
	return set, p.End()
}

// String is the set as it was written.
func (s NumSet) String() string {
	if s.Saved {
		return "$"
	}
	var b []byte
	for i, r := range s.Ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeqNumber(b, r.First)
		if r.Last != r.First {
			b = appendSeqNumber(append(b, ':'), r.Last)
		}
	}
	return string(b)
}

func appendSeqNumber(b []byte, n uint32) []byte {
	if n == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// Resolve answers the set as ranges in ascending order that do not touch, "*" being highest. The ranges of an open end reach from
// highest when they begin above it (RFC 3501, 9: "*:4").
func (s NumSet) Resolve(highest uint32) []NumRange {
	ranges := make([]NumRange, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		if r.First == 0 {
			r.First = highest
		}
		if r.Last == 0 {
			r.Last = highest
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First
		}
		if r.Last > 0 {
			r.First = max(r.First, 1)
			ranges = append(ranges, r)
		}
	}
	slices.SortFunc(ranges, func(a, b NumRange) int { return cmp.Compare(a.First, b.First) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Contains tells whether n is in the set, "*" being highest.
func (s NumSet) Contains(n, highest uint32) bool {
	for _, r := range s.Ranges {
		first, last := r.First, r.Last
		if first == 0 {
			first = highest
		}
		if last == 0 {
			last = highest
		}
		if min(first, last) <= n && n <= max(first, last) {
			return true
		}
	}
	return false
}

package wire

// SortKey is what a SORT criterion compares (RFC 5256; RFC 5957).
type SortKey uint8

// The sort keys.
const (
	SortArrival SortKey = iota
	SortCc
	SortDate
	SortFrom
	SortSize
	SortSubject
	SortTo
	SortDisplayFrom
	SortDisplayTo
)

var sortKeys = map[string]SortKey{
	"ARRIVAL": SortArrival, "CC": SortCc, "DATE": SortDate, "FROM": SortFrom, "SIZE": SortSize, "SUBJECT": SortSubject, "TO": SortTo,
	"DISPLAYFROM": SortDisplayFrom, "DISPLAYTO": SortDisplayTo,
}

// SortCriterion is one criterion of SORT.
type SortCriterion struct {
	Key     SortKey
	Reverse bool
}

// Sort is the arguments of SORT and UID SORT.
type Sort struct {
	Search   // RETURN is of RFC 5267
	Criteria []SortCriterion
}

// maxCriteria bounds the work of comparing two messages: there are nine keys, each of use once.
const maxCriteria = 20

// ParseSort reads the arguments of SORT. In a charset other than US-ASCII and UTF-8 it answers ErrCharset.
func ParseSort(args []byte) (s Sort, err error) {
	p := &searchParser{Parser: NewParser(args)}
	if p.word("RETURN") {
		if err := p.returns(&s.Search); err != nil {
			return s, err
		}
	}
	reverse := false
	err = p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		if word == "REVERSE" && !reverse {
			reverse = true
			return nil
		}
		key, ok := sortKeys[word]
		if !ok || len(s.Criteria) == maxCriteria {
			return syntax("Unknown sort criterion")
		}
		s.Criteria = append(s.Criteria, SortCriterion{key, reverse})
		reverse = false
		return nil
	})
	if err != nil {
		return s, err
	}
	if reverse || len(s.Criteria) == 0 {
		return s, syntax("Sort criterion is missing")
	}
	if err := p.SP(); err != nil {
		return s, err
	}
	if err := p.charset(&s.Search); err != nil {
		return s, err
	}
	return s, p.program(&s.Search)
}

// Thread is the arguments of THREAD and UID THREAD.
type Thread struct {
	Search
	Algorithm string // upper case
}

// ParseThread reads the arguments of THREAD. In a charset other than US-ASCII and UTF-8 it answers ErrCharset.
func ParseThread(args []byte) (t Thread, err error) {
	p := &searchParser{Parser: NewParser(args)}
	if t.Algorithm, err = p.Word(); err != nil {
		return t, err
	}
	if err := p.SP(); err != nil {
		return t, err
	}
	if err := p.charset(&t.Search); err != nil {
		return t, err
	}
	return t, p.program(&t.Search)
}

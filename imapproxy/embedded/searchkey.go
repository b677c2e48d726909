package embedded

import (
	"slices"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
	"balorg/store/mailbox/text"
)

// candidate is a message under test; content is nil while it is tested by what is in memory.
type candidate struct {
	seq     uint32
	meta    *mailbox.Meta
	content *content
	without []bool // what words the message is known not to hold, by their number; nil: of none
}

// compiled is a search made ready for a mailbox.
type compiled struct {
	session *session
	test    func(*candidate) verdict
	want    mailbox.Want // what content needs
	words   []word

	length, highest uint32
	now             time.Time
}

func (s *session) compile(key *wire.SearchKey) (*compiled, error) {
	c := &compiled{session: s, length: s.view.Len(), now: time.Now()}
	c.highest = s.view.UID(c.length)
	var err error
	c.test, err = c.key(key)
	return c, err
}

func (c *compiled) key(k *wire.SearchKey) (func(*candidate) verdict, error) {
	switch k.Op {
	case wire.SearchAnd, wire.SearchOr, wire.SearchNot:
		return c.combined(k)
	case wire.SearchFlag:
		return c.flag(k.Text), nil
	case wire.SearchHeader, wire.SearchBody, wire.SearchText, wire.SearchSentBefore, wire.SearchSentOn, wire.SearchSentSince:
		return c.reading(k), nil
	case wire.SearchThreadID: // no message has one
		return func(*candidate) verdict { return fails }, nil
	case wire.SearchEmailID:
		return c.content(k.Text)
	}
	return c.plain(k), nil
}

// plain are the tests of what is in memory.
func (c *compiled) plain(k *wire.SearchKey) func(*candidate) verdict {
	day := dayOf(k.Date)
	var test func(*candidate) bool
	switch k.Op {
	case wire.SearchSet, wire.SearchUID:
		test = c.inSet(k)
	case wire.SearchLarger:
		test = func(m *candidate) bool { return m.meta.Size > k.Number }
	case wire.SearchSmaller:
		test = func(m *candidate) bool { return m.meta.Size < k.Number }
	case wire.SearchModSeq: // RFC 7162, 3.1.5: there is one sequence for all that a message has
		test = func(m *candidate) bool { return m.meta.ModSeq >= uint64(k.Number) }
	case wire.SearchOlder: // RFC 5032, 3: what is exactly as old is found by both
		test = func(m *candidate) bool { return c.age(m) >= k.Number }
	case wire.SearchYounger:
		test = func(m *candidate) bool { return c.age(m) <= k.Number }
	case wire.SearchSavedBefore:
		test = func(m *candidate) bool { return dayOf(savedOf(m.meta)) < day }
	case wire.SearchSavedOn:
		test = func(m *candidate) bool { return dayOf(savedOf(m.meta)) == day }
	case wire.SearchSavedSince:
		test = func(m *candidate) bool { return dayOf(savedOf(m.meta)) >= day }
	case wire.SearchBefore:
		test = func(m *candidate) bool { return dayOf(m.meta.Date) < day }
	case wire.SearchOn:
		test = func(m *candidate) bool { return dayOf(m.meta.Date) == day }
	default: // wire.SearchSince
		test = func(m *candidate) bool { return dayOf(m.meta.Date) >= day }
	}
	return func(m *candidate) verdict { return verdictOf(test(m)) }
}

// inSet tests sequence numbers or UIDs. What "$" stands for is known by UID (RFC 5182).
func (c *compiled) inSet(k *wire.SearchKey) func(*candidate) bool {
	if k.Set.Saved {
		saved := c.session.saved
		return func(m *candidate) bool {
			_, found := slices.BinarySearch(saved, m.meta.UID)
			return found
		}
	}
	if k.Op == wire.SearchUID {
		set := k.Set.Resolve(c.highest)
		return func(m *candidate) bool { return inRanges(set, m.meta.UID) }
	}
	set := k.Set.Resolve(c.length)
	return func(m *candidate) bool { return inRanges(set, m.seq) }
}

// age is how many seconds ago a message arrived.
func (c *compiled) age(m *candidate) int64 { return c.now.Unix() - m.meta.Date.Unix() }

// savedOf is when a message was put into its folder; where that is not known, its internal date stands for it (RFC 8514, 4.3).
func savedOf(m *mailbox.Meta) time.Time {
	if m.Saved.IsZero() {
		return m.Date
	}
	return m.Saved
}

// content tests for the messages whose content has an id (RFC 8474, 6).
func (c *compiled) content(email string) (func(*candidate) verdict, error) {
	ids, err := c.session.srv.boxes.ObjectIDs(c.session.ctx)
	if err != nil {
		return nil, err
	}
	id, known := ids.Content(email)
	return func(m *candidate) verdict { return verdictOf(known && m.meta.Body == id) }, nil
}

// dayOf is a day as a number that grows with it; time and zone are disregarded (RFC 3501, 6.4.4).
func dayOf(t time.Time) int {
	y, m, d := t.Date()
	return y*10000 + int(m)*100 + d
}

func inRanges(set []wire.NumRange, n uint32) bool {
	_, found := slices.BinarySearchFunc(set, n, func(r wire.NumRange, n uint32) int {
		switch {
		case r.Last < n:
			return -1
		case r.First > n:
			return 1
		}
		return 0
	})
	return found
}

func (c *compiled) flag(name string) func(*candidate) verdict {
	if strings.EqualFold(name, `\Recent`) {
		return func(m *candidate) verdict { return verdictOf(m.meta.Recent) }
	}
	set, err := mailbox.ParseFlags([]string{name})
	if err != nil { // no message has a flag that cannot be set
		return func(*candidate) verdict { return fails }
	}
	mask := mailbox.Flags{System: set.System}
	for i, k := range c.session.view.Keywords() {
		if len(set.Keywords) > 0 && strings.EqualFold(k, set.Keywords[0]) {
			mask.Keywords = 1 << i
		}
	}
	return func(m *candidate) verdict {
		return verdictOf(m.meta.Flags.System&mask.System != 0 || m.meta.Flags.Keywords&mask.Keywords != 0)
	}
}

func (c *compiled) combined(k *wire.SearchKey) (func(*candidate) verdict, error) {
	tests := make([]func(*candidate) verdict, len(k.Keys))
	for i := range k.Keys {
		var err error
		if tests[i], err = c.key(&k.Keys[i]); err != nil {
			return nil, err
		}
	}
	switch k.Op {
	case wire.SearchNot:
		return func(m *candidate) verdict {
			v := tests[0](m)
			if v == unknown {
				return unknown
			}
			return verdictOf(v == fails)
		}, nil
	case wire.SearchOr:
		return decides(tests, holds), nil
	default:
		return decides(tests, fails), nil
	}
}

// decides tests until one verdict decides: fails an AND, holds an OR.
func decides(tests []func(*candidate) verdict, by verdict) func(*candidate) verdict {
	return func(m *candidate) verdict {
		result := verdictOf(by == fails)
		for _, test := range tests {
			switch v := test(m); v {
			case by:
				return by
			case unknown:
				result = unknown
			}
		}
		return result
	}
}

// reading are the tests that read the message.
func (c *compiled) reading(k *wire.SearchKey) func(*candidate) verdict {
	c.want |= mailbox.WantHeader
	if k.Op == wire.SearchBody || k.Op == wire.SearchText {
		c.want |= mailbox.WantStructure
	}
	needle := []byte(text.Fold(k.Text))
	day := dayOf(k.Date)
	number := len(c.words)
	c.words = append(c.words, word{k.Op, mailbox.GramsOf(needle)})
	return func(m *candidate) verdict {
		if m.content == nil {
			if m.without != nil && m.without[number] {
				return fails
			}
			return unknown
		}
		if m.content.abandoned() {
			return fails
		}
		switch k.Op {
		case wire.SearchHeader:
			return verdictOf(m.content.headerHolds(k.Field, needle))
		case wire.SearchBody:
			return verdictOf(m.content.bodyHolds(needle, false))
		case wire.SearchText:
			return verdictOf(m.content.headerHolds("", needle) || m.content.bodyHolds(needle, true))
		}
		sent, ok := m.content.sent()
		switch {
		case !ok:
			return fails
		case k.Op == wire.SearchSentBefore:
			return verdictOf(dayOf(sent) < day)
		case k.Op == wire.SearchSentOn:
			return verdictOf(dayOf(sent) == day)
		}
		return verdictOf(dayOf(sent) >= day)
	}
}

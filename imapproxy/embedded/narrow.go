package embedded

import (
	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// word is what a search looks for in a message.
type word struct {
	op    wire.SearchOp
	grams mailbox.Grams
}

// missing tells whether no message of a signature holds the word.
func (w *word) missing(s *mailbox.Signature) bool {
	switch w.op {
	case wire.SearchHeader:
		return !s.HeadersMay(w.grams)
	case wire.SearchBody:
		return !s.PartsMay(w.grams)
	case wire.SearchText:
		return !s.HeadersMay(w.grams) && !s.PartsMay(w.grams)
	}
	return false // dates
}

// So many messages are read rather than narrowed, and so many without signature are worth making some.
const (
	fewOpen    = 16
	manyUnread = 100
)

// narrow decides what can be decided by what signatures say of the texts of messages: sure are those for which the search holds, left those that
// have to be read.
func (c *compiled) narrow(open []uint32) (sure, left []uint32, err error) {
	if len(open) <= fewOpen || !c.hasWords() {
		return nil, open, nil
	}
	view := c.session.view
	without := make([]bool, len(c.words))
	kept, next, unsigned := open[:0], 0, 0
	pass := func(until uint32) { // those that nothing is known of
		for next < len(open) && view.UID(open[next]) < until {
			kept = append(kept, open[next])
			next++
			unsigned++
		}
	}
	first, last := view.UID(open[0]), view.UID(open[len(open)-1])
	err = view.Signatures(c.session.ctx, first, last, func(from, to uint32, s *mailbox.Signature) {
		pass(from)
		for i := range c.words {
			without[i] = c.words[i].missing(s)
		}
		for next < len(open) && view.UID(open[next]) <= to {
			seq := open[next]
			next++
			m, ok := view.Message(seq)
			if !ok {
				continue // expunged meanwhile
			}
			switch c.test(&candidate{seq: seq, meta: &m, without: without}) {
			case holds: // of NOT
				sure = append(sure, seq)
			case unknown:
				kept = append(kept, seq)
			}
		}
	})
	pass(last + 1)
	if unsigned >= manyUnread {
		view.WantSignatures()
	}
	return sure, kept, err
}

func (c *compiled) hasWords() bool {
	for _, w := range c.words {
		if len(w.grams) > 0 {
			return true
		}
	}
	return false
}

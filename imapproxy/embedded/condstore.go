package embedded

import (
	"slices"
	"strconv"

	"balorg/store/mailbox"
)

// useCondStore makes the client one that is told modification sequences, because a command of its says that it knows them (RFC 7162,
// 3.1). The first time it is also told where the selected mailbox stands.
func (s *session) useCondStore() {
	if s.condStore {
		return
	}
	s.condStore = true
	if s.view != nil {
		s.tellHighest()
	}
}

// appendFetchHead begins a FETCH response that nobody asked for, or that STORE did. To a client that uses CONDSTORE it tells UID and
// modification sequence (RFC 7162, 3.2.4).
func (s *session) appendFetchHead(b []byte, seq uint32, m *mailbox.Meta, uid bool) []byte {
	b = appendCount(b, seq, " FETCH (")
	if uid || s.condStore {
		b = strconv.AppendUint(append(b, "UID "...), uint64(m.UID), 10)
		b = append(b, ' ')
	}
	if s.condStore {
		b = append(appendModSeq(append(b, "MODSEQ "...), m), ' ')
	}
	return b
}

func appendModSeq(b []byte, m *mailbox.Meta) []byte {
	return append(strconv.AppendUint(append(b, '('), m.ModSeq, 10), ')')
}

// appendSequenceOf appends a FETCH response that tells a message's modification sequence and no flags.
func (s *session) appendSequenceOf(b []byte, seq uint32, m *mailbox.Meta) []byte {
	b = s.appendFetchHead(b, seq, m, true)
	return append(b[:len(b)-1], ")\r\n"...)
}

// changedSince keeps those of seqs whose modification sequence is higher.
func (s *session) changedSince(seqs []uint32, modseq uint64) []uint32 {
	return slices.DeleteFunc(seqs, func(seq uint32) bool {
		m, ok := s.view.Message(seq)
		return !ok || m.ModSeq <= modseq
	})
}

// highestOf answers the highest modification sequence of messages, 0 for none.
func (s *session) highestOf(seqs ...uint32) uint64 {
	highest := uint64(0)
	for _, seq := range seqs {
		if m, ok := s.view.Message(seq); ok {
			highest = max(highest, m.ModSeq)
		}
	}
	return highest
}

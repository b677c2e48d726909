package embedded

import (
	"slices"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// store answers STORE and UID STORE.
func (s *session) store(cmd *wire.Command) error {
	st, err := wire.ParseStore(cmd.Args)
	if err != nil {
		return err
	}
	if st.Conditional {
		s.useCondStore()
	}
	flags, err := mailbox.ParseFlags(st.Flags)
	if err != nil {
		return err
	}
	seqs, err := s.resolve(st.Set, isUID(cmd))
	if err != nil {
		return err
	}
	if s.view.ReadOnly() {
		return mailbox.ErrReadOnly
	}
	stored := &stored{session: s, silent: st.Silent, byUID: isUID(cmd), known: len(s.view.Keywords())}
	if st.Conditional {
		_, stored.modified, err = s.view.StoreUnchanged(s.ctx, s.uids(seqs), flagOp(st.Op), flags, st.UnchangedSince)
	} else {
		_, err = s.view.StoreFlags(s.ctx, s.uids(seqs), flagOp(st.Op), flags)
	}
	if err != nil {
		return err
	}
	return stored.tell(seqs)
}

// stored is a STORE that has been done.
type stored struct {
	*session
	silent, byUID bool
	known         int      // keywords the client knew of before
	modified      []uint32 // UIDs of the messages that stay as they are, because they changed before
	keywords      []string
	failed        []uint32 // the same as the client numbers them
	missing       bool     // another session has expunged some
}

// tell tells what became of the messages and answers how the command ends.
func (s *stored) tell(seqs []uint32) error {
	if s.silent && !s.condStore {
		return nil
	}
	s.keywords = s.view.Keywords()
	b := s.line[:0]
	if len(s.keywords) != s.known {
		b = s.appendFlagLists(b) // a client learns of a keyword before it meets it
	}
	for _, seq := range seqs {
		b = s.appendOne(b, seq)
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	s.send(b)
	missing := s.missing && !s.byUID && !s.silent
	code := "MODIFIED " + wire.FormatNumbers(s.failed)
	switch {
	case len(s.failed) == 0 && missing:
		return mailbox.ErrExpunged
	case len(s.failed) == 0:
		return nil
	case missing: // RFC 7162, 3.1.3, example 11
		return no(code, "Some of the messages no longer exist")
	}
	return ok(code, "Some of the messages have changed before")
}

// appendOne appends what is to be told of one message.
func (s *stored) appendOne(b []byte, seq uint32) []byte {
	if s.view.Expunged(seq) { // the others are told
		s.missing = true
		return b
	}
	m, ok := s.view.Message(seq)
	if !ok {
		return b
	}
	if _, failed := slices.BinarySearch(s.modified, m.UID); failed {
		number := seq
		if s.byUID {
			number = m.UID
		}
		s.failed = append(s.failed, number)
		if m.ModSeq > s.view.ModSeq() {
			return b // as with all that other sessions changed, session.tell tells its flags
		}
		return s.appendFlagsOf(b, seq, &m, s.keywords, s.byUID)
	}
	if s.silent {
		return s.appendSequenceOf(b, seq, &m)
	}
	return s.appendFlagsOf(b, seq, &m, s.keywords, s.byUID)
}

func flagOp(op wire.StoreOp) mailbox.FlagOp {
	switch op {
	case wire.StoreAdd:
		return mailbox.AddFlags
	case wire.StoreRemove:
		return mailbox.RemoveFlags
	default:
		return mailbox.ReplaceFlags
	}
}

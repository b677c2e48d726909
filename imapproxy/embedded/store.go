package embedded

import (
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
		return bad("Unknown STORE modifier")
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
	before := len(s.view.Keywords())
	_, err = s.view.StoreFlags(s.ctx, s.uids(seqs), flagOp(st.Op), flags)
	if err != nil || st.Silent {
		return err
	}
	keywords := s.view.Keywords()
	b := s.line[:0]
	if len(keywords) != before {
		b = s.appendFlagLists(b) // a client learns of a keyword before it meets it
	}
	missing := false
	for _, seq := range seqs {
		if s.view.Expunged(seq) { // the others are told
			missing = true
			continue
		}
		if m, ok := s.view.Message(seq); ok {
			b = s.appendFlagsOf(b, seq, &m, keywords, isUID(cmd))
		}
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	s.send(b)
	if missing && !isUID(cmd) {
		return mailbox.ErrExpunged
	}
	return nil
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

package embedded

import (
	"errors"
	"log/slog"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// selectFolder answers SELECT and EXAMINE.
func (s *session) selectFolder(cmd *wire.Command) error {
	sel, err := wire.ParseSelect(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	var q wire.QResync
	if sel.QResync != nil {
		if !s.qresync { // RFC 7162, 3.2.5
			return bad("QRESYNC is not enabled")
		}
		if q, err = wire.ParseQResync(sel.QResync); err != nil {
			return err
		}
	}
	name, err := wire.DecodeMailbox(sel.Mailbox)
	if err != nil {
		return err
	}
	// RFC 3501, 6.3.1: what was selected is not any more, even when this fails.
	if s.view != nil {
		s.printf("* OK [CLOSED] Previous mailbox is closed\r\n") // RFC 7162, 3.2.11
	}
	s.unselect()
	if sel.CondStore {
		s.useCondStore()
	}
	view, err := s.account.Select(s.ctx, name, cmd.Name == "EXAMINE")
	if err != nil {
		return err
	}
	s.view, s.name = view, name
	f := view.Folder()
	b := s.appendFlagLists(s.line[:0])
	b = appendCount(b, f.Messages, " EXISTS\r\n")
	if s.rev2 {
		s.send(b)
		if err := s.tellSelected(sel.Mailbox, f.Name); err != nil {
			s.unselect()
			return err
		}
	} else {
		s.send(appendCount(b, f.Recent, " RECENT\r\n"))
		if unseen := view.FirstUnseen(); unseen > 0 {
			s.printf("* OK [UNSEEN %d] First unseen message\r\n", unseen)
		}
	}
	s.printf("* OK [UIDVALIDITY %d] UIDs are valid\r\n* OK [UIDNEXT %d] Next UID\r\n", f.UIDValidity, f.UIDNext)
	s.printf("* OK [HIGHESTMODSEQ %d] Highest\r\n", f.HighestModSeq)
	if id, err := s.mailboxID(f); err == nil {
		s.printf("* OK [MAILBOXID (%s)] Id\r\n", id)
	} else { // mail can be read without
		s.log.WarnContext(s.ctx, "mailbox opened without its id", slog.Any("error", err))
	}
	if sel.QResync != nil {
		if err := s.resync(&q); err != nil {
			s.unselect()
			return err
		}
	}
	if view.ReadOnly() {
		return ok("READ-ONLY", "EXAMINE completed")
	}
	return ok("READ-WRITE", "SELECT completed")
}

// tellSelected tells in a LIST response what has been selected under a name that may have another spelling (RFC 9051, 6.3.2).
func (s *session) tellSelected(said, name string) error {
	folders, err := s.account.Folders(s.ctx)
	if err != nil {
		return err
	}
	listing, err := s.listing(folders)
	if err != nil {
		return err
	}
	l := wire.List{Patterns: []string{name}, Extended: true, Naming: s.naming}
	for _, found := range l.Answer(listing, mailbox.Delimiter) {
		if found.Name != said {
			found.OldName = said
		}
		s.send(found.Append(s.line[:0], "LIST", mailbox.Delimiter))
	}
	return nil
}

const systemFlags = `\Answered \Flagged \Deleted \Seen \Draft`

// appendFlagLists appends which flags the mailbox has and which can be changed.
func (s *session) appendFlagLists(b []byte) []byte {
	names := strings.Join(append([]string{systemFlags}, s.view.Keywords()...), " ")
	b = append(append(append(b, "* FLAGS ("...), names...), ")\r\n* OK [PERMANENTFLAGS ("...)
	if s.view.ReadOnly() {
		return append(b, ")] Read-only\r\n"...)
	}
	b = append(b, names...)
	if len(s.view.Keywords()) < mailbox.MaxKeywords {
		b = append(b, ` \*`...) // RFC 3501, 7.1: new keywords can be made
	}
	return append(b, ")] Flags that can be changed\r\n"...)
}

// closeFolder answers CLOSE, which removes the messages marked \Deleted without telling (RFC 3501, 6.4.2), and UNSELECT.
func (s *session) closeFolder(cmd *wire.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	defer s.unselect()
	if cmd.Name == "UNSELECT" || s.view.ReadOnly() {
		return nil
	}
	told := s.view.Told()
	gone, err := s.view.Expunge(s.ctx, nil)
	if errors.Is(err, mailbox.ErrNoFolder) {
		return nil // deleted by another session: there is nothing left to remove
	}
	if err != nil {
		return err
	}
	return s.closed(told, gone)
}

// expunge answers EXPUNGE and UID EXPUNGE; what is gone is told as any change is.
func (s *session) expunge(cmd *wire.Command) error {
	if !isUID(cmd) {
		if err := noArguments(cmd); err != nil {
			return err
		}
		return s.expungeOf(nil)
	}
	p := wire.NewParser(cmd.Args)
	set, err := p.NumSet()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	seqs, err := s.resolve(set, true)
	if err != nil {
		return err
	}
	if s.view.ReadOnly() {
		return mailbox.ErrReadOnly
	}
	if len(seqs) == 0 {
		return nil
	}
	return s.expungeOf(s.uids(seqs))
}

func (s *session) expungeOf(uids []uint32) error {
	gone, err := s.view.Expunge(s.ctx, uids)
	s.removed = len(gone) > 0
	return err
}

// resolve answers the sequence numbers of the messages in a set, ascending. UIDs that are not there are passed over; a sequence
// number that is not is a fault of the client (RFC 3501, 9: seq-number).
func (s *session) resolve(set wire.NumSet, byUID bool) ([]uint32, error) {
	length := s.view.Len()
	var seqs []uint32
	if set.Saved {
		for _, uid := range s.saved {
			if seq := s.view.Seq(uid); seq > 0 {
				seqs = append(seqs, seq)
			}
		}
		return seqs, nil
	}
	if !byUID {
		for _, r := range set.Ranges {
			if max(r.First, r.Last) > length || length == 0 {
				return nil, bad("No such message")
			}
		}
		for _, r := range set.Resolve(length) {
			for n := r.First; n <= r.Last; n++ {
				seqs = append(seqs, n)
			}
		}
		return seqs, nil
	}
	for _, r := range set.Resolve(s.view.UID(length)) {
		for n := s.view.SeqAtLeast(r.First); n <= length && s.view.UID(n) <= r.Last; n++ {
			seqs = append(seqs, n)
		}
	}
	return seqs, nil
}

func (s *session) uids(seqs []uint32) []uint32 {
	uids := make([]uint32, len(seqs))
	for i, seq := range seqs {
		uids[i] = s.view.UID(seq)
	}
	return uids
}

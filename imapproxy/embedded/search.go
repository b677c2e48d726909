package embedded

import (
	"slices"
	"strconv"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
	"balorg/store/mailbox/text"
)

// search answers SEARCH and UID SEARCH (RFC 3501, 6.4.4; RFC 4731).
func (s *session) search(cmd *wire.Command) error {
	sr, err := wire.ParseSearch(cmd.Args)
	if err != nil {
		return err
	}
	if sr.Save || usesSaved(&sr.Key) {
		return bad("No search result is saved here")
	}
	tellsModSeq := sr.Key.UsesModSeq()
	if tellsModSeq {
		s.useCondStore()
	}
	c, err := s.compile(&sr.Key)
	if err != nil {
		return err
	}
	found, err := c.run()
	if err != nil {
		return err
	}
	modseq := uint64(0)
	if tellsModSeq && len(found) > 0 {
		modseq = s.sequenceOf(&sr, found)
	}
	if isUID(cmd) {
		found = s.uids(found)
	}
	if sr.Extended {
		s.tellExtended(cmd, &sr, found, modseq)
		return nil
	}
	b := append(s.line[:0], "* SEARCH"...)
	for _, n := range found {
		b = strconv.AppendUint(append(b, ' '), uint64(n), 10)
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	if modseq > 0 {
		b = append(strconv.AppendUint(append(b, " (MODSEQ "...), modseq, 10), ')')
	}
	s.send(append(b, "\r\n"...))
	return nil
}

// sequenceOf answers the highest modification sequence of the messages that an answer tells of: of all that were found, but where only
// the first or last is told (RFC 4731, 3.2).
func (s *session) sequenceOf(sr *wire.Search, found []uint32) uint64 {
	first, last := found[0], found[len(found)-1]
	switch {
	case !sr.Extended || sr.All || sr.Count:
		return s.highestOf(found...)
	case sr.Min && sr.Max:
		return s.highestOf(first, last)
	case sr.Min:
		return s.highestOf(first)
	}
	return s.highestOf(last)
}

func usesSaved(k *wire.SearchKey) bool {
	return k.Set.Saved || slices.ContainsFunc(k.Keys, func(k wire.SearchKey) bool { return usesSaved(&k) })
}

// tellExtended writes the ESEARCH response; without results MIN, MAX and ALL are left out (RFC 4731, 3.1).
func (s *session) tellExtended(cmd *wire.Command, sr *wire.Search, found []uint32, modseq uint64) {
	b := append(s.line[:0], "* ESEARCH (TAG "...)
	b = append(wire.AppendString(b, cmd.Tag), ')')
	if isUID(cmd) {
		b = append(b, " UID"...)
	}
	if len(found) > 0 && sr.Min {
		b = strconv.AppendUint(append(b, " MIN "...), uint64(found[0]), 10)
	}
	if len(found) > 0 && sr.Max {
		b = strconv.AppendUint(append(b, " MAX "...), uint64(found[len(found)-1]), 10)
	}
	if sr.Count {
		b = strconv.AppendInt(append(b, " COUNT "...), int64(len(found)), 10)
	}
	if len(found) > 0 && sr.All {
		b = append(append(b, " ALL "...), wire.FormatNumbers(found)...)
	}
	if modseq > 0 {
		b = strconv.AppendUint(append(b, " MODSEQ "...), modseq, 10)
	}
	s.send(append(b, "\r\n"...))
}

// verdict is what is known of a message and a test.
type verdict uint8

const (
	fails verdict = iota
	holds
	unknown // the message itself has to be read
)

func verdictOf(b bool) verdict {
	if b {
		return holds
	}
	return fails
}

// run answers the sequence numbers of the messages for which the search holds. Flags, dates and sizes are in memory and mostly decide;
// only what remains is read, in batches.
func (c *compiled) run() ([]uint32, error) {
	var found, open []uint32
	s := c.session
	for seq := uint32(1); seq <= s.view.Len(); seq++ {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		m, ok := s.view.Message(seq)
		if !ok {
			continue
		}
		switch c.test(&candidate{seq: seq, meta: &m}) {
		case holds:
			found = append(found, seq)
		case unknown:
			open = append(open, seq)
		}
	}
	if len(open) == 0 {
		return found, nil
	}
	var reads text.Reader
	err := s.view.Details(s.ctx, open, c.want, func(seq uint32, d *mailbox.Detail) error {
		m, ok := s.view.Message(seq)
		if !ok || d == nil {
			return nil // expunged by another session meanwhile
		}
		read := &content{session: s, seq: seq, detail: d, reads: &reads}
		defer read.close()
		if c.test(&candidate{seq: seq, meta: &m, content: read}) == holds {
			found = append(found, seq)
		}
		return read.err
	})
	slices.Sort(found)
	return found, err
}

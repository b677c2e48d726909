package embedded

import (
	"slices"
	"strconv"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
	"balorg/store/mailbox/text"
)

// search answers SEARCH and UID SEARCH (RFC 3501, 6.4.4; RFC 4731; RFC 5182).
func (s *session) search(cmd *wire.Command) error {
	sr, err := wire.ParseSearch(cmd.Args)
	if fault := s.checkCharset(sr.Charset, false); fault != nil {
		err = fault
	}
	if err != nil {
		return s.unsaved(&sr, err)
	}
	if s.rev2 && !sr.Extended { // RFC 9051, 6.4.4: every answer is an ESEARCH
		sr.Extended, sr.All = true, true
	}
	r, err := s.find(cmd, &sr)
	if err != nil {
		return s.unsaved(&sr, err)
	}
	r.tell("SEARCH")
	return nil
}

// found is the result of a SEARCH, or of one that SORT or THREAD puts in order.
type found struct {
	*session
	cmd    *wire.Command
	ask    *wire.Search
	seqs   []uint32        // ascending, or as sorted
	modseq bool            // the client is told modification sequences along with it
	fixed  *wire.SearchKey // what is to be followed, where that is asked for
}

// find does a search, and saves its result where that is asked for.
func (s *session) find(cmd *wire.Command, ask *wire.Search) (*found, error) {
	r := &found{session: s, cmd: cmd, ask: ask, modseq: ask.Key.UsesModSeq()}
	if ask.Update {
		if s.follows(cmd.Tag) { // RFC 5267, 4.3
			return nil, bad("The tag is that of a search whose result is kept up to date")
		}
		r.fixed = s.fix(&ask.Key)
	}
	if r.modseq {
		s.useCondStore()
	}
	c, err := s.compile(&ask.Key)
	if err != nil {
		return nil, err
	}
	if r.seqs, err = c.run(); err != nil {
		return nil, err
	}
	return r, nil
}

// tell answers the command: in the response of that name, or in an ESEARCH when it has RETURN.
func (r *found) tell(response string) {
	if r.ask.Save {
		r.save()
	}
	modseq := uint64(0)
	if r.modseq && len(r.seqs) > 0 {
		modseq = r.highestSequence()
	}
	numbers := r.seqs
	if isUID(r.cmd) {
		numbers = r.uids(r.seqs)
	}
	if r.ask.Extended {
		r.tellExtended(numbers, modseq)
		if r.ask.Update {
			r.follow(response == "SEARCH")
		}
		return
	}
	b := append(append(r.line[:0], "* "...), response...)
	for _, n := range numbers {
		b = strconv.AppendUint(append(b, ' '), uint64(n), 10)
		if len(b) > bufferSize/2 {
			r.write(b)
			b = b[:0]
		}
	}
	if modseq > 0 {
		b = append(strconv.AppendUint(append(b, " (MODSEQ "...), modseq, 10), ')')
	}
	r.send(append(b, "\r\n"...))
}

// first and last answer the messages that MIN and MAX tell of: those of a sorted result are the first and the last of that order (RFC 5267).
func (r *found) first() uint32 { return r.seqs[0] }
func (r *found) last() uint32  { return r.seqs[len(r.seqs)-1] }

// highestSequence answers the highest modification sequence of the messages that an answer tells of.
func (r *found) highestSequence() uint64 { return r.highestOf(r.told()...) }

// told answers the messages that an answer tells of: all that were found, but where only the first, the last or a part is told (RFC 4731,
// 3.2; RFC 5182, 2.4).
func (r *found) told() []uint32 {
	partial := r.ask.Partial != (wire.NumRange{})
	if !r.ask.Extended || r.ask.All || r.ask.Count || !r.ask.Min && !r.ask.Max && !partial || len(r.seqs) == 0 {
		return r.seqs
	}
	var told []uint32
	if r.ask.Min {
		told = append(told, r.first())
	}
	if r.ask.Max {
		told = append(told, r.last())
	}
	if partial {
		told = append(told, part(r.seqs, r.ask.Partial)...)
	}
	return told
}

// part answers the results that a PARTIAL tells of (RFC 5267, 4.4): 500:400 is 400:500, and what is beyond the last is left out.
func part(numbers []uint32, r wire.NumRange) []uint32 {
	first, last := min(r.First, r.Last), max(r.First, r.Last)
	if int64(first) > int64(len(numbers)) {
		return nil
	}
	return numbers[first-1 : min(int64(last), int64(len(numbers)))]
}

// save keeps the result for "$" (RFC 5182).
func (r *found) save() {
	r.saved = r.uids(r.told())
	slices.Sort(r.saved)
	r.saved = slices.Compact(r.saved)
}

// unsaved is err of a search that was to be saved: where it is answered NO, "$" is empty from then on (RFC 5182, 2.1).
func (s *session) unsaved(ask *wire.Search, err error) error {
	if a, _ := answerTo(err); ask.Save && a.status == "NO" {
		s.saved = nil
	}
	return err
}

// tellExtended writes the ESEARCH response; without results MIN, MAX and ALL are left out (RFC 4731, 3.1), and there is none to a client
// that only has the result saved (RFC 5182, 2.1).
func (r *found) tellExtended(numbers []uint32, modseq uint64) {
	ask := r.ask
	partial := ask.Partial != (wire.NumRange{})
	if !ask.Min && !ask.Max && !ask.Count && !ask.All && !ask.Update && !partial {
		return
	}
	b := append(r.line[:0], "* ESEARCH (TAG "...)
	b = append(wire.AppendString(b, r.cmd.Tag), ')')
	if isUID(r.cmd) {
		b = append(b, " UID"...)
	}
	if len(numbers) > 0 && ask.Min {
		b = strconv.AppendUint(append(b, " MIN "...), uint64(numbers[0]), 10)
	}
	if len(numbers) > 0 && ask.Max {
		b = strconv.AppendUint(append(b, " MAX "...), uint64(numbers[len(numbers)-1]), 10)
	}
	if ask.Count {
		b = strconv.AppendInt(append(b, " COUNT "...), int64(len(numbers)), 10)
	}
	if len(numbers) > 0 && ask.All {
		b = append(append(b, " ALL "...), wire.FormatOrdered(numbers)...)
	}
	if partial {
		b = append(append(append(b, " PARTIAL ("...), wire.FormatPartial(ask.Partial)...), ' ')
		if some := part(numbers, ask.Partial); len(some) > 0 {
			b = append(append(b, wire.FormatOrdered(some)...), ')')
		} else {
			b = append(b, "NIL)"...)
		}
	}
	if modseq > 0 {
		b = strconv.AppendUint(append(b, " MODSEQ "...), modseq, 10)
	}
	r.send(append(b, "\r\n"...))
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
	return c.among(c.session.view.Len(), func(i uint32) uint32 { return i + 1 })
}

// among is run for n messages only, which one answers by sequence number, ascending.
func (c *compiled) among(n uint32, one func(uint32) uint32) ([]uint32, error) {
	var found, open []uint32
	s := c.session
	for i := range n {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		seq := one(i)
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
	sure, open, err := c.narrow(open)
	found = append(found, sure...)
	if err != nil || len(open) == 0 {
		slices.Sort(found)
		return found, err
	}
	var reads text.Reader
	err = s.view.Details(s.ctx, open, c.want, func(seq uint32, d *mailbox.Detail) error {
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

package embedded

import (
	"balorg/imapproxy/order"
	"balorg/imapproxy/wire"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// sort answers SORT and UID SORT (RFC 5256; with RETURN, RFC 5267).
func (s *session) sort(cmd *wire.Command) error {
	sr, err := wire.ParseSort(cmd.Args)
	if fault := s.checkCharset(sr.Charset, true); fault != nil {
		err = fault
	}
	if err != nil {
		return s.unsaved(&sr.Search, err)
	}
	r, err := s.find(cmd, &sr.Search)
	if err == nil {
		r.seqs, err = s.sorted(r.seqs, sr.Criteria)
	}
	if err != nil {
		return s.unsaved(&sr.Search, err)
	}
	r.tell("SORT")
	return nil
}

var sortsBy = [...]order.By{
	wire.SortArrival: order.Arrival, wire.SortCc: order.Cc, wire.SortDate: order.Date, wire.SortFrom: order.From, wire.SortSize: order.Size,
	wire.SortSubject: order.Subject, wire.SortTo: order.To, wire.SortDisplayFrom: order.DisplayFrom, wire.SortDisplayTo: order.DisplayTo,
}

// maxSortMemory bounds what the texts of one SORT or THREAD take: subjects of 60 octets of two million messages.
const maxSortMemory = 128 << 20

// errSortMemory says that the texts are more than that.
func errSortMemory() error { return no("LIMIT", "The messages are too many to be sorted") }

// sorted answers messages in the order of criteria. Internal dates and sizes are in memory; for all else the stored structures are read
// once, and what sorting makes of them is remembered for the next time.
func (s *session) sorted(seqs []uint32, criteria []wire.SortCriterion) ([]uint32, error) {
	by := make([]order.Criterion, len(criteria))
	reads := false
	for i, c := range criteria {
		by[i] = order.Criterion{By: sortsBy[c.Key], Reverse: c.Reverse}
		reads = reads || by[i].By != order.Arrival && by[i].By != order.Size
	}
	messages := make([]order.Message, 0, len(seqs))
	for _, seq := range seqs {
		if m, ok := s.view.Message(seq); ok {
			messages = append(messages, order.Message{Seq: seq, Arrived: m.Date.Unix(), Sent: m.Date.Unix(), Size: m.Size})
		}
	}
	if reads {
		if err := s.readKeys(messages, by); err != nil {
			return nil, err
		}
	}
	return order.Sort(messages, by), nil
}

// readKeys reads what the criteria compare. A message that another session has expunged meanwhile keeps its place with empty texts.
func (s *session) readKeys(messages []order.Message, by []order.Criterion) error {
	ids := make([]body.ID, len(messages))
	for i := range messages {
		if m, ok := s.view.Message(messages[i].Seq); ok {
			ids[i] = m.Body
		}
	}
	packed := make([]packedKeys, len(messages))
	missing := s.srv.keys.find(ids, packed)
	seqs := make([]uint32, len(missing))
	for n, i := range missing {
		seqs[n] = messages[i].Seq
	}
	n, memory := 0, 0
	err := s.view.Details(s.ctx, seqs, mailbox.WantStructure, func(_ uint32, d *mailbox.Detail) error {
		i := missing[n]
		if n++; d != nil {
			packed[i] = packKeys(d.Envelope)
			memory += len(packed[i])
		}
		if memory > maxSortMemory {
			return errSortMemory()
		}
		return s.ctx.Err()
	})
	if err != nil {
		return err
	}
	s.srv.keys.keep(ids, packed, missing)
	for i := range messages {
		packed[i].into(&messages[i], by)
	}
	return nil
}

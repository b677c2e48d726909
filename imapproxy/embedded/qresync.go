package embedded

import (
	"slices"

	"balorg/imapproxy/wire"
)

// useQResync makes the client one that is told of expunged messages by UID (RFC 7162, 3.2.3), and of modification sequences.
func (s *session) useQResync() {
	s.useCondStore()
	s.qresync = true
}

// tellHighest tells up to where the client knows all that has happened.
func (s *session) tellHighest() {
	s.printf("* OK [HIGHESTMODSEQ %d] Highest\r\n", s.view.Told())
}

// resync tells what has changed in the mailbox that has just been opened since the client last saw it (RFC 7162, 3.2.5).
func (s *session) resync(q *wire.QResync) error {
	if q.UIDValidity != s.view.Folder().UIDValidity {
		return nil // the client has to begin anew
	}
	known := q.Known.Resolve(s.view.Folder().UIDNext - 1)
	if q.Known.Ranges == nil {
		known = wire.NumSet{Ranges: []wire.NumRange{{First: 1}}}.Resolve(s.view.Folder().UIDNext - 1)
	}
	if err := s.tellEarlier(known, q.ModSeq, s.matched(q)); err != nil {
		return err
	}
	var changed []uint32
	for seq := uint32(1); seq <= s.view.Len(); seq++ {
		if m, ok := s.view.Message(seq); ok && m.ModSeq > q.ModSeq && inRanges(known, m.UID) {
			changed = append(changed, seq)
		}
	}
	s.tellFlags(changed)
	return nil
}

// tellFlags tells the flags of messages.
func (s *session) tellFlags(seqs []uint32) {
	b := s.line[:0]
	keywords := s.view.Keywords()
	for _, seq := range seqs {
		if m, ok := s.view.Message(seq); ok {
			b = s.appendFlagsOf(b, seq, &m, keywords, true)
		}
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	s.send(b)
}

// matched answers the highest UID up to which the client has all the messages that are there: of what it says of sequence numbers the last
// that is still so (RFC 7162, 3.2.5.2). As many messages below one of the same UID are the same ones, since none ever comes in between.
func (s *session) matched(q *wire.QResync) (uid uint32) {
	for i, seq := range q.MatchSeqs {
		if s.view.UID(seq) != q.MatchUIDs[i] {
			break
		}
		uid = q.MatchUIDs[i]
	}
	return uid
}

// tellEarlier tells which UIDs among known are of messages expunged after a modification sequence. When nobody remembers, all are told that
// are not there, but for those up to matched.
func (s *session) tellEarlier(known []wire.NumRange, since uint64, matched uint32) error {
	gone, complete, err := s.view.Vanished(s.ctx, since)
	if err != nil {
		return err
	}
	if !complete {
		s.tellVanished("(EARLIER) ", s.absent(known, matched))
		return nil
	}
	gone = slices.DeleteFunc(gone, func(uid uint32) bool { return !inRanges(known, uid) })
	s.tellVanished("(EARLIER) ", runsOf(gone))
	return nil
}

// absent answers the UIDs among known, above a UID, that the mailbox does not have.
func (s *session) absent(known []wire.NumRange, above uint32) (absent []wire.NumRange) {
	highest := s.view.Folder().UIDNext - 1
	for _, r := range known {
		r.Last = min(r.Last, highest) // what comes behind may still be given to a message
		next := max(r.First, above+1) // the first that may be absent
		for seq := s.view.SeqAtLeast(next); next <= r.Last; seq++ {
			uid := s.view.UID(seq) // 0 behind the last
			if uid == 0 || uid > r.Last {
				absent = append(absent, wire.NumRange{First: next, Last: r.Last})
				break
			}
			if uid > next {
				absent = append(absent, wire.NumRange{First: next, Last: uid - 1})
			}
			next = uid + 1
		}
	}
	return absent
}

// runsOf joins ascending numbers to ranges.
func runsOf(numbers []uint32) (runs []wire.NumRange) {
	for _, n := range numbers {
		if last := len(runs) - 1; last >= 0 && runs[last].Last+1 == n {
			runs[last].Last = n
			continue
		}
		runs = append(runs, wire.NumRange{First: n, Last: n})
	}
	return runs
}

// vanishedRun is how many ranges one response tells: a line of no more than some kilobytes.
const vanishedRun = 500

// tellVanished writes VANISHED responses.
func (s *session) tellVanished(earlier string, uids []wire.NumRange) {
	for part := range slices.Chunk(uids, vanishedRun) {
		s.printf("* VANISHED %s%s\r\n", earlier, wire.NumSet{Ranges: part})
	}
}

// closed answers what CLOSE tells a client of QRESYNC, who knew all up to told, when it has expunged something: up to where it knows all now. That
// is beyond its own expunge when there has been no other change: by what others have marked as deleted meanwhile more is gone than the
// client can know (RFC 7162, 3.2.8).
func (s *session) closed(told uint64, gone []uint32) error {
	if !s.qresync || len(gone) == 0 {
		return nil
	}
	if _, err := s.view.Sync(s.ctx, true); err == nil && s.view.Told() == told+1 {
		told++
	}
	return ok(highestCode(told), "CLOSE completed")
}

package embedded

import (
	"log/slog"
	"slices"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// following are the searches of the selected mailbox whose results the client is kept informed of: contexts with UPDATE (RFC 5267, 4.3).
type following struct {
	searches []*followed
	since    uint64 // changes up to this modification sequence have been looked at
	highest  uint32 // the highest UID then
}

// followed is one of them.
type followed struct {
	tag   string
	byUID bool
	key   *wire.SearchKey
	found []uint32 // UIDs of the result as the client knows it, ascending
	due   []uint32 // UIDs of messages that could not be looked at, ascending
	// last says that the key names the last message, "*", by UID: that may come to be another one.
	last bool
}

// A client may have so many (Dovecot gives as many), and with more than one so many UIDs are remembered: 8 MB.
const (
	maxFollowed      = 10
	maxFollowedFound = 2 << 20
)

// follows tells whether a tag is that of a search whose result is followed.
func (s *session) follows(tag string) bool {
	return slices.ContainsFunc(s.following.searches, func(f *followed) bool { return f.tag == tag })
}

// follow keeps the client informed of the result from now on, or says that it is not: of one that is sorted, which only CONTEXT=SORT does, of one that
// changes as time passes, and of too many.
func (r *found) follow(can bool) {
	kept := len(r.seqs)
	for _, f := range r.following.searches {
		kept += len(f.found)
	}
	refused := ""
	switch {
	case !can:
		refused = "Sorted results are not kept up to date"
	case r.fixed.Ages():
		refused = "Results that depend on the time of day are not kept up to date"
	case len(r.following.searches) == maxFollowed, len(r.following.searches) > 0 && kept > maxFollowedFound:
		refused = "Too many results are kept up to date"
	}
	if refused != "" {
		r.printf("* NO [NOUPDATE %q] %s\r\n", r.cmd.Tag, refused)
		return
	}
	if len(r.following.searches) == 0 {
		r.following.since, r.following.highest = r.view.ModSeq(), r.view.UID(r.view.Len())
	}
	r.following.searches = append(r.following.searches, &followed{tag: r.cmd.Tag, byUID: isUID(r.cmd), key: r.fixed, found: r.uids(r.seqs), last: namesLast(r.fixed)})
}

// cancelUpdate answers CANCELUPDATE (RFC 5267, 4.3.5).
func (s *session) cancelUpdate(cmd *wire.Command) error {
	tags, err := wire.ParseTags(cmd.Args)
	if err != nil {
		return err
	}
	known := len(s.following.searches)
	s.following.searches = slices.DeleteFunc(s.following.searches, func(f *followed) bool { return slices.Contains(tags, f.tag) })
	if known-len(s.following.searches) < len(tags) {
		return no("", "There is no such search")
	}
	return nil
}

// fix answers a key that names by UID what the key names by number and by "$": what these stand for later makes no difference (RFC 5267, 4.3).
func (s *session) fix(key *wire.SearchKey) *wire.SearchKey {
	fixed := *key
	if fixed.Keys != nil {
		fixed.Keys = make([]wire.SearchKey, len(key.Keys))
		for i := range key.Keys {
			fixed.Keys[i] = *s.fix(&key.Keys[i])
		}
	}
	switch {
	case key.Set.Saved:
		fixed.Op, fixed.Set = wire.SearchUID, wire.NumSet{Ranges: runsOf(s.saved)}
	case key.Op == wire.SearchSet:
		fixed.Op, fixed.Set = wire.SearchUID, wire.NumSet{}
		length := s.view.Len()
		for _, r := range key.Set.Resolve(length) {
			if r.First <= length { // no message will have a UID between two that are there
				fixed.Set.Ranges = append(fixed.Set.Ranges, wire.NumRange{First: s.view.UID(r.First), Last: s.view.UID(min(r.Last, length))})
			}
		}
	}
	return &fixed
}

// namesLast tells whether a key names the last message by UID.
func namesLast(key *wire.SearchKey) bool {
	return slices.ContainsFunc(key.Set.Ranges, func(r wire.NumRange) bool { return r.First == 0 || r.Last == 0 }) ||
		slices.ContainsFunc(key.Keys, func(k wire.SearchKey) bool { return namesLast(&k) })
}

// tellRemoved tells of which results messages are going, before they are told to be gone: with the numbers that they still have for the client.
func (s *session) tellRemoved(events []mailbox.Event) {
	for _, f := range s.following.searches {
		var gone, numbers []uint32
		before := uint32(0) // expunges; each is told with the number that those before it leave
		for _, e := range events {
			if e.Kind != mailbox.EventExpunge {
				continue
			}
			if _, found := slices.BinarySearch(f.found, e.UID); found {
				gone = append(gone, e.UID)
				numbers = append(numbers, e.Seq+before)
			}
			before++
		}
		if f.byUID {
			numbers = gone
		}
		f.found = without(f.found, gone)
		s.tellChange(f, "REMOVEFROM", numbers)
	}
}

// tellResults tells how results change by what has come and by the flags that have changed, which has been told before. Nothing else is looked at.
func (s *session) tellResults() {
	if len(s.following.searches) == 0 {
		return
	}
	var changed []uint32
	if now := s.view.ModSeq(); now != s.following.since {
		changed = s.uids(s.view.ChangedSince(s.following.since))
		s.following.since = now
	}
	var ends []uint32 // the message that was the last, and the one that is
	if last := s.view.UID(s.view.Len()); last != s.following.highest {
		ends = []uint32{min(last, s.following.highest), max(last, s.following.highest)}
		s.following.highest = last
	}
	for _, f := range s.following.searches {
		looked := joined(changed, f.due)
		if f.last {
			looked = joined(looked, ends)
		}
		if len(looked) == 0 {
			continue
		}
		s.tellResult(f, looked)
	}
}

// tellResult tells how messages change one result.
func (s *session) tellResult(f *followed, uids []uint32) {
	seqs := make([]uint32, 0, len(uids))
	for _, uid := range uids {
		if seq := s.view.Seq(uid); seq > 0 {
			seqs = append(seqs, seq)
		}
	}
	c, err := s.compile(f.key)
	var hold []uint32
	if err == nil {
		hold, err = c.among(uint32(len(seqs)), func(i uint32) uint32 { return seqs[i] })
	}
	if err != nil {
		if len(f.due) == 0 && s.ctx.Err() == nil {
			s.log.WarnContext(s.ctx, "result of a search waits for a message that cannot be read", slog.Any("error", err))
		}
		f.due = uids // with the next news
		return
	}
	f.due = nil
	var added, removed, addedUIDs, removedUIDs []uint32
	for _, seq := range seqs {
		uid := s.view.UID(seq)
		_, was := slices.BinarySearch(f.found, uid)
		_, is := slices.BinarySearch(hold, seq)
		number := seq
		if f.byUID {
			number = uid
		}
		switch {
		case is && !was:
			added, addedUIDs = append(added, number), append(addedUIDs, uid)
		case was && !is:
			removed, removedUIDs = append(removed, number), append(removedUIDs, uid)
		}
	}
	f.found = with(without(f.found, removedUIDs), addedUIDs)
	s.tellChange(f, "REMOVEFROM", removed)
	s.tellChange(f, "ADDTO", added)
}

// tellChange writes ESEARCH responses that add to a result or take from it. The position 0 leaves to the client where: the order is the mailbox's.
func (s *session) tellChange(f *followed, how string, numbers []uint32) {
	for part := range slices.Chunk(runsOf(numbers), vanishedRun) {
		b := append(wire.AppendString(append(s.line[:0], "* ESEARCH (TAG "...), f.tag), ')')
		if f.byUID {
			b = append(b, " UID"...)
		}
		b = append(append(append(b, ' '), how...), " (0 "...)
		s.send(append(append(b, wire.NumSet{Ranges: part}.String()...), ")\r\n"...))
	}
}

// without answers an ascending list without the numbers of another one. The list is not the caller's any more.
func without(list, numbers []uint32) []uint32 {
	if len(numbers) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(n uint32) bool {
		for len(numbers) > 0 && numbers[0] < n {
			numbers = numbers[1:]
		}
		return len(numbers) > 0 && numbers[0] == n
	})
}

// with answers an ascending list with the numbers of another one that are not in it. The list is not the caller's any more.
func with(list, numbers []uint32) []uint32 {
	i := len(list) - 1
	list = append(list, numbers...)
	for k := len(list) - 1; len(numbers) > 0; k-- {
		if last := numbers[len(numbers)-1]; i < 0 || list[i] < last {
			list[k], numbers = last, numbers[:len(numbers)-1]
			continue
		}
		list[k] = list[i]
		i--
	}
	return list
}

// joined answers the numbers of two ascending lists, each once.
func joined(a, b []uint32) []uint32 {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

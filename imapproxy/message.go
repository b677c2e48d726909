package imapproxy

import (
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// fetch answers FETCH and UID FETCH. Reading a message's content is traced with the UIDs of the messages.
func (s *session) fetch(cmd *wire.Command) error {
	f, err := wire.ParseFetch(cmd.Args)
	if err != nil {
		return err
	}
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	if f.UsesCondStore() {
		if err := s.useCondStore(s.sel.up); err != nil {
			return err
		}
	}
	if !f.ReadsContent() {
		return s.pipe(cmd, cmd.Args, nil)
	}
	// With CHANGEDSINCE all of the set counts as read: asked beforehand which of them changed, the mail store might leave one out that
	// changes before it answers.
	return s.pipeTraced(cmd, audit.Read, f.Set.String(), false)
}

// pipeTraced pipes a command on a set of messages (of the deleted ones, when deletedOnly) and records it with their UIDs.
func (s *session) pipeTraced(cmd *wire.Command, action audit.Action, set string, deletedOnly bool) error {
	sel := s.sel
	s.attendUnlessAlone(cmd)
	uids, err := sel.whichUIDs(s, set, isUID(cmd), deletedOnly)
	if err != nil {
		return err
	}
	request := requestText(cmd)
	return s.pipe(cmd, cmd.Args, func(r *reply) (audit.Record, bool) {
		uids.spare(r.code)
		if len(uids.uids) == 0 && r.ok() {
			return audit.Record{}, false // nothing was there to be read or removed
		}
		return sel.record(action, request, uids.String()), true
	})
}

func isUID(cmd *wire.Command) bool { return len(cmd.Name) > 4 && cmd.Name[:4] == "UID " }

// requestText is a command as the trace keeps it: such commands hold sets, items, flags and folder names, no content.
func requestText(cmd *wire.Command) string {
	if len(cmd.Args) == 0 {
		return cmd.Name
	}
	return cmd.Name + " " + string(cmd.Args[:min(len(cmd.Args), maxTracedRequest)])
}

// store answers STORE and UID STORE: each flag asks a right of its own (RFC 4314, 4).
func (s *session) store(cmd *wire.Command) error {
	st, err := wire.ParseStore(cmd.Args)
	if err != nil {
		return err
	}
	rights := needs(cmd.Name)
	deletes := false
	for _, f := range st.Flags {
		rights |= policy.FlagRight(f)
		deletes = deletes || policy.FlagRight(f) == policy.DeleteMsgs
	}
	if st.Op == wire.StoreReplace || len(st.Flags) == 0 {
		rights |= policy.Seen | policy.Write | policy.DeleteMsgs // it clears all the others
	}
	if err := s.checkSelected(cmd, rights); err != nil {
		return err
	}
	if st.Conditional {
		if err := s.useCondStore(s.sel.up); err != nil {
			return err
		}
	}
	if deletes && st.Op != wire.StoreRemove {
		return s.pipeTraced(cmd, audit.StoreDeleted, st.Set.String(), false)
	}
	return s.pipe(cmd, cmd.Args, nil)
}

// search answers SEARCH, SORT and THREAD, with UID and without.
func (s *session) search(cmd *wire.Command) error {
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	if !s.usesCondStore() && wire.NamesModSeq(cmd.Args) {
		if err := s.useCondStore(s.sel.up); err != nil {
			return err
		}
	}
	if strings.HasSuffix(cmd.Name, "THREAD") {
		return s.pipe(cmd, cmd.Args, nil)
	}
	args, named, err := s.following(cmd)
	if err != nil {
		return err
	}
	return s.pipeNamed(cmd, args, nil, named)
}

// expunge answers EXPUNGE and UID EXPUNGE.
func (s *session) expunge(cmd *wire.Command) error {
	set := ""
	p := wire.NewParser(cmd.Args)
	if isUID(cmd) {
		uids, err := p.NumSet()
		if err != nil {
			return err
		}
		set = uids.String()
	}
	if err := p.End(); err != nil {
		return err
	}
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	return s.pipeTraced(cmd, audit.Expunge, set, true)
}

// copy answers COPY and MOVE, with UID and without: within an account the mail store does it, between accounts we do.
func (s *session) copy(cmd *wire.Command) error {
	c, err := wire.ParseCopy(cmd.Args, s.naming())
	if err != nil {
		return err
	}
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	into, _ := policy.NeedsIntoDestination(cmd.Name)
	to, err := s.locate(cmd, c.Mailbox, into)
	if err != nil {
		return err
	}
	if to.account.ID != s.sel.up.account.ID {
		if s.together(to) {
			return s.copyAcross(cmd, c.Set.String(), to)
		}
		return s.transfer(cmd, c.Set.String(), to)
	}
	action := audit.Copy
	if isMove(cmd) {
		action = audit.Move
	}
	inside := &wire.Command{Tag: cmd.Tag, Name: cmd.Name}
	if inside.Args, err = s.sel.up.appendFolder([]byte(c.Set.String()+" "), to.folder); err != nil {
		return err
	}
	return s.pipeTraced(inside, action, c.Set.String(), false)
}

func isMove(cmd *wire.Command) bool { return cmd.Name == "MOVE" || cmd.Name == "UID MOVE" }

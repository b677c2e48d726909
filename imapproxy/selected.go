package imapproxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// selectFolder answers SELECT and EXAMINE. Who may only read opens by EXAMINE, whatever they asked, so that the mail store
// itself keeps \Seen as it is and answers [READ-ONLY].
func (s *session) selectFolder(cmd *wire.Command) error {
	args, err := wire.ParseSelect(cmd.Args, s.naming())
	if err != nil {
		return err
	}
	// RFC 9051, 6.3.2: a SELECT that fails leaves nothing selected.
	selectedBefore := s.sel != nil
	if err := s.unselect(); err != nil {
		return err
	}
	if selectedBefore {
		s.out.printf("* OK [CLOSED] Previous mailbox is closed\r\n") // RFC 7162, 3.2.11: what comes now is of the next one
	}
	if args.CondStore {
		if err := s.useCondStore(nil); err != nil {
			return err
		}
	}
	at, err := s.locate(cmd, args.Mailbox, needs(cmd.Name))
	if err != nil {
		return err
	}
	up, err := s.upstream(at.account)
	if err != nil {
		return err
	}
	readOnly := cmd.Name == "EXAMINE" || !at.access.Rights.Has(policy.Seen|policy.Write)
	verb := "SELECT "
	if readOnly {
		verb = "EXAMINE "
	}
	command, err := up.appendFolder([]byte(verb), at.folder)
	if err != nil {
		return err
	}
	if command, err = up.appendParameters(command, args); err != nil {
		return err
	}
	sel := &selection{up: up, folder: at.folder, name: args.Mailbox, rights: at.access.Rights, readOnly: readOnly}
	up.selection.Store(sel)
	// A reload between locate and the line above did not see the selection.
	s.Recheck(s.p.opt.Snapshot())
	r, err := up.run(s.ctx, command, sel.opening)
	if err != nil {
		up.selection.Store(nil)
		return err
	}
	record := withAnswer(sel.record(audit.Open, verb+at.folder, ""), r)
	if r.ok() && args.QResync == nil {
		// On disk in a moment, and before anything is read in it (see logIn).
		s.p.opt.Trace.Later(s.stamped(s.mine(record)))
	} else if terr := s.trace(s.ctx, record); terr != nil {
		up.selection.Store(nil)
		return terr
	}
	if !r.ok() {
		up.selection.Store(nil)
		return storeAnswer(r)
	}
	s.sel = sel
	if readOnly {
		return okay("READ-ONLY", "completed")
	}
	return okay("READ-WRITE", "completed")
}

// appendParameters appends those of SELECT (RFC 7162), where the mail store has them.
func (u *upstream) appendParameters(command []byte, args wire.Select) ([]byte, error) {
	var list []string
	if args.CondStore {
		list = append(list, "CONDSTORE")
	}
	if args.QResync != nil {
		list = append(list, "QRESYNC ("+string(args.QResync)+")")
	}
	if len(list) == 0 {
		return command, nil
	}
	if args.CondStore && !u.caps["CONDSTORE"] || args.QResync != nil && !u.caps["QRESYNC"] {
		return nil, bad("SELECT takes no parameters here")
	}
	return append(command, " ("+strings.Join(list, " ")+")"...), nil
}

// opening notes what SELECT says of the mailbox, and lets it pass.
func (sel *selection) opening(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
	if resp.Is("LIST") {
		return true, sel.relayListed(in)
	}
	if !resp.Is("OK") || !bytes.HasPrefix(resp.Rest, []byte("[UIDVALIDITY ")) {
		return false, nil
	}
	digits, _, _ := bytes.Cut(resp.Rest[len("[UIDVALIDITY "):], []byte("]"))
	if n, err := strconv.ParseUint(string(digits), 10, 32); err == nil {
		sel.uidValidity = uint32(n)
	}
	return false, nil
}

// relayListed tells the client what its mail store has listed the mailbox as, which it does from IMAP4rev2 on (RFC 9051, 6.3.2), under the client's name.
func (sel *selection) relayListed(in *wire.ResponseReader) error {
	line, err := in.Collect(maxLine)
	if err != nil {
		return err
	}
	f, err := parseListed(sel.up.naming().NewParser(bytes.TrimPrefix(line, []byte("* LIST "))))
	if err != nil {
		return err
	}
	s := sel.up.s
	name, own := sel.up.names.fromStore(f.name)
	if !own || !slices.Contains(s.enabled, imap4rev2) {
		return nil
	}
	shown := wire.Listed{Name: s.clientName(sel.up.account, name), Attrs: sel.attrs(f.attrs), Naming: s.naming()}
	if shown.Name != sel.name {
		shown.OldName = sel.name
	}
	s.out.write(shown.Append(nil, "LIST", delimiter))
	return nil
}

// attrs are a folder's as the client is told of them: special uses are shown of the opened mailbox's own folders alone.
func (sel *selection) attrs(attrs []string) []string {
	if sel.up.account.ID != sel.up.s.opened.ID {
		return slices.DeleteFunc(attrs, isSpecialUse)
	}
	return attrs
}

// unselect lets go of what is selected, without expunging.
func (s *session) unselect() error {
	if s.sel == nil {
		return nil
	}
	up := s.sel.up
	s.sel = nil
	up.selection.Store(nil)
	verb := "UNSELECT"
	if !up.caps["UNSELECT"] {
		// A mail store without UNSELECT: an EXAMINE of a mailbox that is not there deselects and expunges nothing
		// (RFC 3691, 2).
		verb = `EXAMINE ""`
	}
	_, err := up.run(s.ctx, []byte(verb), nil)
	return err
}

// closeFolder answers CLOSE and UNSELECT. CLOSE expunges, and is traced like EXPUNGE; without the right it only closes.
func (s *session) closeFolder(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad(cmd.Name + " takes no arguments")
	}
	access, _ := s.access(s.sel.up.account.ID)
	if cmd.Name == "UNSELECT" || s.sel.readOnly || !access.Rights.Has(policy.Expunge) {
		return s.unselect()
	}
	sel := s.sel
	uids, err := sel.whichUIDs(s, "", false, true)
	if err != nil {
		return err
	}
	s.sel = nil
	sel.up.selection.Store(nil)
	r, err := sel.up.run(s.ctx, []byte("CLOSE"), nil)
	if err != nil {
		return err
	}
	if len(uids.uids) > 0 {
		if err := s.trace(s.ctx, withAnswer(sel.record(audit.Expunge, "CLOSE", uids.String()), r)); err != nil {
			return err
		}
	}
	return storeAnswer(r)
}

// noop goes to the mail store of the selected mailbox, whose news it brings.
func (s *session) noop(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad("NOOP takes no arguments")
	}
	if s.sel == nil {
		return nil
	}
	return s.forward(cmd)
}

// forward sends a command to the selected mailbox's store as it is.
func (s *session) forward(cmd *wire.Command) error {
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	return s.pipe(cmd, cmd.Args, nil)
}

// checkSelected checks that the person has rights in the selected mailbox now.
func (s *session) checkSelected(cmd *wire.Command, rights policy.Right) error {
	access, ok := s.access(s.sel.up.account.ID)
	changes := rights&^policy.PresetRead != 0
	if ok && access.Rights.Has(rights) && (!changes || !s.sel.readOnly) {
		return nil
	}
	reason := access.Reason
	if ok {
		reason.Text = fmt.Sprintf("%s; %s needs %s", reason.Text, cmd.Name, rights)
	}
	a := errNoRight()
	if ok && s.sel.readOnly && access.Rights.Has(rights) {
		a = no("READ-ONLY", "The mailbox is open for reading only")
	}
	return s.refused(cmd, party(s.sel.up.account), reason, a)
}

// pipe sends a command to the selected mail store without waiting; its tagged answer goes to the client from the store's
// reader, after the record that traced makes (nil: none) is durable.
func (s *session) pipe(cmd *wire.Command, args []byte, traced func(*reply) (audit.Record, bool)) error {
	return s.pipeNamed(cmd, args, traced, nil)
}

// pipeNamed is pipe that says by which tag the mail store knows the command (exchange.named).
func (s *session) pipeNamed(cmd *wire.Command, args []byte, traced func(*reply) (audit.Record, bool), named func(tag string)) error {
	sel, tag, name := s.sel, cmd.Tag, cmd.Name
	up := sel.up
	ex := &exchange{client: tag, named: named, proceed: make(chan struct{}, 1)}
	ex.done = func(r *reply) {
		if r == nil {
			// Client or mail store is gone, and the session with it. What was under way is traced all the same: who reads a
			// message and leaves before the end has read it.
			if traced != nil {
				s.traceLost(traced)
			}
			return
		}
		if named != nil && !r.ok() {
			sel.followed.forget(ex.tag)
		}
		var err error = storeAnswer(r)
		if traced != nil {
			if record, ok := traced(r); ok {
				if terr := s.trace(s.ctx, withAnswer(record, r)); terr != nil {
					err = terr
				}
			}
		}
		s.sendAnswer(tag, name, err)
	}
	s.attendUnlessAlone(cmd)
	if err := up.send(s.ctx, ex); err != nil {
		return err
	}
	up.out.WriteString(name) //nolint:errcheck // the buffer keeps the error for flush
	if len(args) > 0 {
		up.out.WriteByte(' ') //nolint:errcheck // as above
	}
	if err := up.writeCommand(s.ctx, ex, args); err != nil {
		return err
	}
	return errAnswered
}

// lostAnswer stands in the trace for the answer to a command that the end of the connection cut off.
const lostAnswer = "connection lost"

func (s *session) traceLost(traced func(*reply) (audit.Record, bool)) {
	record, _ := traced(&reply{status: "NO"})
	record.Answer = lostAnswer
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), traceTimeout)
	defer cancel()
	if err := s.trace(ctx, record); err != nil {
		s.log().ErrorContext(ctx, "tracing a command that was cut off", slog.Any("error", err))
	}
}

// needs is the right a command asks of its mailbox.
func needs(command string) policy.Right {
	rights, _ := policy.Needs(command)
	return rights
}

// storeAnswer is the client's answer for a mail store's: its code where clients act on it, in words of ours, since a store's
// text may name its host, its paths or its folders.
func storeAnswer(r *reply) *answer {
	code := passedCode(r.code)
	switch r.status {
	case "OK":
		return okay(code, "completed")
	case "BAD":
		return &answer{"BAD", code, "The command is not valid"}
	}
	return no(code, refusalText(code))
}

func withAnswer(record audit.Record, r *reply) audit.Record {
	a := storeAnswer(r)
	if strings.HasPrefix(a.code, "MAILBOXID ") { // says nothing to who reads the trace
		a.code = ""
	}
	record.Answer = a.short()
	return record
}

package imapproxy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/store/audit"
	"balorg/store/transfer"
)

// transferring is one COPY or MOVE from the selected mailbox to a folder in another mail store: each message streams from its store
// into the other's APPEND. Either all messages are there, or those that came over are removed again; what is moved leaves its
// folder only when all have arrived. Nothing is deduplicated. What has been done is noted in the state as it is done, so that a
// crash, or a store that goes down, leaves nothing half done for good (FinishTransfers).
type transferring struct {
	s        *session
	ctx      context.Context //nolint:containedctx // of the steps that must not be left half done
	cmd      *wire.Command
	sel      *selection
	src, dst *upstream
	to       place
	notes    []transfer.Transfer // what is noted, in parts of transfer.MaxMessages
	parts    []transferPart      // what each of them tells of
	validity uint32
}

// transferPart is UIDs copied, ascending, and their UIDs in the destination, in the same order.
type transferPart struct{ from, uids []uint32 }

// transferChunk is for how many messages flags and dates are asked at a time.
const transferChunk = 500

// transfer answers COPY and MOVE between two mail stores.
func (s *session) transfer(cmd *wire.Command, set string, to place) error {
	uids, err := s.sel.resolve(s, set, isUID(cmd))
	if err != nil {
		return err
	}
	dst, err := s.upstream(to.account)
	if err != nil {
		return err
	}
	ctx, stop := s.settling()
	defer stop()
	t := &transferring{s: s, ctx: ctx, cmd: cmd, sel: s.sel, src: s.sel.up, dst: dst, to: to}
	defer t.release()
	if err := t.copyAll(uids); err != nil {
		return t.fail(err)
	}
	if err := t.traceCopies(); err != nil {
		return t.fail(err)
	}
	if isMove(cmd) {
		return t.removeMoved()
	}
	if err := t.forget(); err != nil {
		return err // the copies are undone later, so that they must not be told
	}
	return okay(t.copyUID(), "completed")
}

func (t *transferring) copyAll(uids []uint32) error {
	for chunk := range slices.Chunk(uids, transferChunk) {
		messages, err := t.s.transferable(t.sel, wire.FormatNumbers(chunk))
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := t.begin(); err != nil {
				return err
			}
			if err := t.one(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin notes that a message is about to be copied, unless that is known.
func (t *transferring) begin() error {
	if n := len(t.parts); n > 0 && len(t.parts[n-1].from) < transfer.MaxMessages {
		return nil
	}
	note := transfer.Transfer{
		ID: transfer.NewID(), Person: t.s.person.ID, Since: time.Now(),
		Source: transfer.Place{Account: t.sel.up.account.ID, Folder: t.sel.folder, UIDValidity: t.sel.uidValidity},
		Target: transfer.Place{Account: t.to.account.ID, Folder: t.to.folder},
	}
	t.s.p.work(note.ID)
	t.notes, t.parts = append(t.notes, note), append(t.parts, transferPart{})
	return t.s.p.opt.Transfers.Put(t.ctx, note)
}

// copied notes that a message has arrived.
func (t *transferring) copied(uid uint32, target string) error {
	note, part := &t.notes[len(t.notes)-1], &t.parts[len(t.parts)-1]
	part.from = append(part.from, uid)
	part.uids = wire.AppendNumbers(part.uids, []byte(target))
	note.Source.UIDs, note.Target.UIDs = wire.FormatNumbers(part.from), wire.FormatNumbers(part.uids)
	note.Target.UIDValidity = t.validity
	return t.s.p.opt.Transfers.Put(t.ctx, *note)
}

// forget ends the notes: nothing is left to be done.
func (t *transferring) forget() error {
	var ids []string
	for _, n := range t.notes {
		ids = append(ids, n.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	return t.s.p.opt.Transfers.Delete(t.ctx, ids...)
}

// release lets FinishTransfers have what is still noted.
func (t *transferring) release() {
	for _, n := range t.notes {
		t.s.p.rest(n.ID)
	}
}

// all answers the UIDs copied, and those in the destination.
func (t *transferring) all() (from, uids []uint32) {
	for _, p := range t.parts {
		from, uids = append(from, p.from...), append(uids, p.uids...)
	}
	return from, uids
}

// copyUID is the response code that tells the client which message became which (RFC 4315).
func (t *transferring) copyUID() string {
	from, uids := t.all()
	if len(from) == 0 || t.validity == 0 {
		return ""
	}
	return fmt.Sprintf("COPYUID %d %s %s", t.validity, wire.FormatNumbers(from), wire.FormatNumbers(uids))
}

// settleTime is how long a transfer may go on, once its session is to end, with what would else be left half done.
const settleTime = 5 * time.Second

// settling is a context for steps that must not be left half done: it ends some time after the session does.
func (s *session) settling() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	stop := context.AfterFunc(s.ctx, func() {
		timer := time.NewTimer(settleTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// transferred is what must be known of a message before it is copied.
type transferred struct {
	uid   uint32
	flags []string
	date  string
}

// transferable asks for the flags and dates of messages, in order of UID. One that has been expunged meanwhile is left out.
func (s *session) transferable(sel *selection, set string) ([]transferred, error) {
	var all []transferred
	r, err := sel.up.run(s.ctx, []byte("UID FETCH "+set+" (UID FLAGS INTERNALDATE)"), func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("FETCH") || !bytes.Contains(resp.Rest, []byte("INTERNALDATE")) {
			return false, nil
		}
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		m, err := parseTransferred(line)
		if err == nil {
			all = append(all, m)
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if !r.ok() {
		return nil, storeAnswer(r)
	}
	slices.SortFunc(all, func(a, b transferred) int { return cmp.Compare(a.uid, b.uid) })
	return all, nil
}

// parseTransferred reads "* 3 FETCH (UID 7 FLAGS (\Seen) INTERNALDATE "…")", its items in any order.
func parseTransferred(line []byte) (m transferred, err error) {
	_, items, _ := bytes.Cut(line, []byte("FETCH "))
	p := wire.NewParser(items)
	err = p.List(func() error {
		name, err := p.Atom()
		if err != nil {
			return err
		}
		if err := p.SP(); err != nil {
			return err
		}
		switch strings.ToUpper(name) {
		case "UID":
			m.uid, err = p.Number()
		case "FLAGS":
			m.flags, err = p.FlagList()
		case "INTERNALDATE":
			m.date, err = p.Quoted()
		case "MODSEQ": // RFC 7162, 3.1: once asked for, a store sends it along with all others
			err = p.List(func() error { _, err := p.Number64(); return err })
		default:
			err = fmt.Errorf("%w: unasked item", wire.ErrResponse)
		}
		return err
	})
	if err == nil && m.uid == 0 {
		err = fmt.Errorf("%w: no UID", wire.ErrResponse)
	}
	return m, err
}

// one copies one message. Its octets go from the source's reader straight to the destination, while the session's goroutine,
// which owns the way to the destination, stands still.
func (t *transferring) one(m transferred) error {
	var a *appending
	var failed error // of the destination
	r, err := t.src.run(t.s.ctx, fmt.Appendf(nil, "UID FETCH %d (BODY.PEEK[])", m.uid), func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if a != nil || !resp.Is("FETCH") || !bytes.Contains(resp.Rest, []byte("BODY[]")) {
			return false, nil
		}
		size, ok := resp.LiteralSize()
		if !ok {
			return true, fmt.Errorf("%w: message without literal", wire.ErrResponse)
		}
		a, failed = t.s.startAppend(t.dst, t.to.folder, announced{flags: keepFlags(m.flags, t.to.access.Rights), date: m.date, size: size})
		if failed != nil || a.refused != nil {
			return true, nil //nolint:nilerr // the fault is the destination's: the source's reader only skips the message
		}
		sink := &sink{w: t.dst.out}
		err := in.CopyLiteral(sink)
		if failed = t.dst.written(sink.err); failed != nil || err != nil {
			t.dst.conn.Close() //nolint:errcheck // half a message is undone by the end of the connection
		}
		return true, err
	})
	switch {
	case err != nil:
		// The source's reader may be in the midst of the message: nobody else may write to the destination until it has ended.
		t.dst.conn.Close() //nolint:errcheck // half a message is undone by the end of the connection
		t.s.forget(t.src)
		t.s.forget(t.dst)
		return err
	case failed != nil:
		return failed
	case a == nil && r.ok():
		return nil // expunged by somebody else meanwhile
	case a == nil:
		return storeAnswer(r)
	case a.refused != nil:
		return storeAnswer(a.refused)
	}
	appended, err := a.finish(t.ctx)
	if err != nil {
		return err
	}
	if !appended.ok() {
		return storeAnswer(appended)
	}
	var uid string
	if t.validity, uid = appendUID(appended.code); uid == "" {
		return fmt.Errorf("%w: APPEND without APPENDUID", wire.ErrResponse) // every store we work with has UIDPLUS
	}
	return t.copied(m.uid, uid)
}

// sink keeps a destination's failure from being taken for the source's: what comes after it is dropped.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	return len(p), nil
}

// fail removes from the destination what had come over, and answers why. What cannot be removed now stays noted.
func (t *transferring) fail(cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.s.ctx), settleTime)
	defer cancel()
	from, uids := t.all()
	a, _ := answerTo(cause)
	record := t.sel.record(audit.Copy, requestText(t.cmd), wire.FormatNumbers(from))
	record.Answer = a.short()
	if err := t.s.trace(ctx, record); err != nil {
		t.s.log().Error("tracing a transfer that failed", slog.Any("error", err))
	}
	if len(uids) > 0 {
		if err := t.s.undoCopies(ctx, t.to.account, t.to.folder, t.validity, wire.FormatNumbers(uids)); err != nil {
			t.s.log().Error("undoing a transfer that failed; it is tried again later", slog.Any("mailbox", t.to.account.Address), slog.Any("uids", wire.FormatNumbers(uids)), slog.Any("error", err))
			return cause
		}
	}
	t.ctx = ctx
	if err := t.forget(); err != nil {
		t.s.log().Error("a transfer that was undone", slog.Any("error", err))
	}
	return cause
}

// traceCopies records the copy in both mailboxes, before anything is removed from the source.
func (t *transferring) traceCopies() error {
	from, uids := t.all()
	if len(from) == 0 {
		return nil
	}
	action := audit.Copy
	if isMove(t.cmd) {
		action = audit.Move
	}
	record := t.sel.record(action, requestText(t.cmd), wire.FormatNumbers(from))
	record.Answer = "OK"
	if err := t.s.trace(t.ctx, record); err != nil {
		return err
	}
	return t.s.trace(t.ctx, audit.Record{
		Action: audit.Append, Mailbox: party(t.to.account), Folder: t.to.folder, UIDValidity: t.validity,
		UIDs: wire.FormatNumbers(uids), Request: t.cmd.Name, Answer: "OK",
	})
}

// removeMoved takes moved messages out of their folder; the client learns of it by the mail store's EXPUNGE responses. From here on a
// move is finished, not undone, whatever happens.
func (t *transferring) removeMoved() error {
	for i := range t.notes {
		note := &t.notes[i]
		note.Copied = true
		if err := t.s.p.opt.Transfers.Put(t.ctx, *note); err != nil {
			return t.fail(err)
		}
	}
	if code := t.copyUID(); code != "" { // RFC 6851, 4.3: ahead of the EXPUNGE responses
		t.s.out.printf("* OK [%s] Moved\r\n", code)
	}
	for _, note := range t.notes {
		if note.Source.UIDs == "" {
			continue
		}
		if err := t.src.expunge(t.ctx, note.Source.UIDs); err != nil {
			t.s.log().Warn("messages were moved, and could not be removed where they were; it is tried again later", slog.Any("error", err))
			return err
		}
	}
	return t.forget()
}

// expunge removes messages of the folder that the connection has selected.
func (u *upstream) expunge(ctx context.Context, set string) error {
	for _, command := range []string{"UID STORE " + set + ` +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE " + set} {
		r, err := u.run(ctx, []byte(command), nil)
		if err != nil {
			return err
		}
		if !r.ok() {
			return storeAnswer(r)
		}
	}
	return nil
}

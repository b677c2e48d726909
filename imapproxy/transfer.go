package imapproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/store/audit"
)

// transfer copies or moves messages of the selected mailbox to a folder of another account: each streams from its mail store
// into the other's APPEND. Either all messages are there, or those that came over are removed again; what is moved leaves
// its folder only when all have arrived. Nothing is deduplicated.
func (s *session) transfer(cmd *wire.Command, set string, to place) error {
	sel := s.sel
	messages, err := s.transferable(sel, set, isUID(cmd))
	if err != nil {
		return err
	}
	dst, err := s.upstream(to.account)
	if err != nil {
		return err
	}
	ctx, stop := s.settling()
	defer stop()
	t := &transfer{s: s, ctx: ctx, src: sel.up, dst: dst, to: to}
	for _, m := range messages {
		if err := t.one(m); err != nil {
			return t.fail(sel, cmd, err)
		}
	}
	source := wire.FormatNumbers(t.from)
	if err := t.traceCopies(sel, cmd, source); err != nil {
		return t.fail(sel, cmd, err)
	}
	code := ""
	if len(t.from) > 0 && t.validity != 0 {
		code = fmt.Sprintf("COPYUID %d %s %s", t.validity, source, wire.FormatNumbers(t.uids))
	}
	if !isMove(cmd) {
		return okay(code, "completed")
	}
	if code != "" {
		s.out.printf("* OK [%s] Moved\r\n", code)
	}
	return t.removeMoved(sel, cmd, source)
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

// transfer is the state of one.
type transfer struct {
	s        *session
	ctx      context.Context //nolint:containedctx // of the steps that must not be left half done
	src, dst *upstream
	to       place
	from     []uint32 // UIDs copied, ascending
	uids     []uint32 // their UIDs in the destination, in the same order
	validity uint32
}

// transferred is what must be known of a message before it is copied.
type transferred struct {
	uid   uint32
	flags []string
	date  string
}

// transferable asks for the flags and dates of the messages a command names, in order of UID.
func (s *session) transferable(sel *selection, set string, byUID bool) ([]transferred, error) {
	var all []transferred
	command := "FETCH "
	if byUID {
		command = "UID FETCH "
	}
	r, err := sel.up.run(s.ctx, []byte(command+set+" (UID FLAGS INTERNALDATE)"), func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
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
func (t *transfer) one(m transferred) error {
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
		a, failed = t.s.startAppend(t.dst, t.to.folder, keepFlags(m.flags, t.to.access.Rights), m.date, size)
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
	validity, uid := appendUID(appended.code)
	t.validity = validity
	t.from = append(t.from, m.uid)
	t.uids = wire.AppendNumbers(t.uids, []byte(uid))
	return nil
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

// fail removes from the destination what had come over, and answers why.
func (t *transfer) fail(sel *selection, cmd *wire.Command, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.s.ctx), settleTime)
	defer cancel()
	a, _ := answerTo(cause)
	record := sel.record(audit.Copy, requestText(cmd), wire.FormatNumbers(t.from))
	record.Answer = a.short()
	if err := t.s.trace(ctx, record); err != nil {
		t.s.log.Error("tracing a transfer that failed", slog.Any("error", err))
	}
	if len(t.uids) > 0 {
		if err := t.undo(ctx); err != nil {
			t.s.log.Error("undoing a transfer that failed: messages stand in both mailboxes", slog.Any("mailbox", t.to.account.Address), slog.Any("uids", wire.FormatNumbers(t.uids)), slog.Any("error", err))
		}
	}
	return cause
}

// undo works on a connection of its own: the transfer's may be in the midst of a message, and the person may have lost the
// mailbox meanwhile.
func (t *transfer) undo(ctx context.Context) error {
	dst, err := openUpstream(ctx, t.s, t.to.account)
	if err != nil {
		return err
	}
	defer dst.close()
	open, err := dst.appendFolder([]byte("SELECT "), t.to.folder)
	if err != nil {
		return err
	}
	set := wire.FormatNumbers(t.uids)
	for _, command := range []string{
		string(open),
		"UID STORE " + set + ` +FLAGS.SILENT (\Deleted)`,
		"UID EXPUNGE " + set,
	} {
		r, err := dst.run(ctx, []byte(command), nil)
		if err != nil {
			return err
		}
		if !r.ok() {
			return storeAnswer(r)
		}
	}
	return nil
}

// traceCopies records the copy in both mailboxes, before anything is removed from the source.
func (t *transfer) traceCopies(sel *selection, cmd *wire.Command, source string) error {
	if len(t.from) == 0 {
		return nil
	}
	action := audit.Copy
	if isMove(cmd) {
		action = audit.Move
	}
	record := sel.record(action, requestText(cmd), source)
	record.Answer = "OK"
	if err := t.s.trace(t.ctx, record); err != nil {
		return err
	}
	return t.s.trace(t.ctx, audit.Record{
		Action: audit.Append, Mailbox: party(t.to.account), Folder: t.to.folder, UIDValidity: t.validity,
		UIDs: wire.FormatNumbers(t.uids), Request: cmd.Name, Answer: "OK",
	})
}

// removeMoved takes moved messages out of their folder; the client learns of it by the mail store's EXPUNGE responses.
func (t *transfer) removeMoved(sel *selection, cmd *wire.Command, set string) error {
	if set == "" {
		return nil
	}
	for _, command := range []string{"UID STORE " + set + ` +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE " + set} {
		r, err := sel.up.run(t.ctx, []byte(command), nil)
		if err != nil {
			return err
		}
		if !r.ok() {
			t.s.log.Warn("messages were copied but not removed", slog.Any("command", cmd.Name), slog.Any("answer", r.code))
			return storeAnswer(r)
		}
	}
	return nil
}

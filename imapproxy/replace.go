package imapproxy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"balorg/imapproxy/wire"
	"balorg/store/audit"
)

// replacing is one REPLACE (RFC 8508): a message that takes the place of another of the selected mailbox, in that or in another folder of the
// same account. The mail store does both or nothing.
type replacing struct {
	*session
	cmd     *wire.Command
	sel     *selection
	uid     uint32 // of the message that goes
	to      place
	message announced
	request string
}

// replace answers REPLACE and UID REPLACE. The message streams as that of an APPEND does.
func (s *session) replace(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("REPLACE takes a message as a literal")
	}
	r, err := s.beginReplace(cmd)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	var read *held
	if s.sentLately(r.to, r.message) {
		if read, err = s.hold(cmd); err != nil {
			return err
		}
		defer read.close()
		if read.more {
			s.refuseMessage(cmd)
			return errOneMessage()
		}
		if done, err := s.recognise(r.to, r.message, read, r.request); done || err != nil {
			return r.recognised(err)
		}
	}
	return r.send(read)
}

func errOneMessage() *answer { return bad("REPLACE takes one message") }

// beginReplace finds out which message goes and where the other one comes, before anything of it is asked for.
func (s *session) beginReplace(cmd *wire.Command) (*replacing, error) {
	head, err := wire.ParseReplace(cmd.Args, s.naming())
	if err != nil {
		return nil, err
	}
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return nil, err
	}
	to, err := s.locate(cmd, head.Mailbox, needs("APPEND"))
	if err != nil {
		return nil, err
	}
	if err := s.checkMessage(cmd.Message); err != nil {
		return nil, err
	}
	up := s.sel.up
	switch {
	case !up.caps["REPLACE"]:
		return nil, bad("Unknown command")
	case to.account.ID != up.account.ID:
		return nil, no("CANNOT", "A message can be replaced within its mailbox only; append it and remove the other instead")
	}
	if err := up.checkBinary(head.Append, cmd.Message); err != nil {
		return nil, err
	}
	set := "*"
	if head.Number > 0 {
		set = strconv.FormatUint(uint64(head.Number), 10)
	}
	uids, err := s.sel.resolve(s, set, isUID(cmd))
	if err != nil {
		return nil, err
	}
	if len(uids) != 1 {
		return nil, no("NONEXISTENT", "There is no such message")
	}
	r := &replacing{session: s, cmd: cmd, sel: s.sel, uid: uids[0], to: to, message: describe(head.Append, to, cmd.Message)}
	r.request = fmt.Sprintf("UID REPLACE %d %s {%d}", r.uid, to.folder, r.message.size)
	return r, nil
}

// send has the mail store replace the message, by UID in any case: what is traced is then what was replaced.
func (r *replacing) send(read *held) error {
	command, err := r.sel.up.appendFolder(fmt.Appendf(nil, "UID REPLACE %d ", r.uid), r.to.folder)
	if err != nil {
		return err
	}
	appended := "" // APPENDUID, which comes ahead of the EXPUNGE
	a, err := r.startMessage(r.sel.up, command, r.message, func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if resp.Is("OK") && bytes.HasPrefix(resp.Rest, []byte("[APPENDUID ")) {
			appended, _ = splitCode(string(resp.Rest))
		}
		return false, nil
	})
	if err != nil {
		r.refuseMessage(r.cmd)
		return err
	}
	if a.refused != nil {
		r.refuseMessage(r.cmd)
		return r.traceReplaced("", a.refused)
	}
	more, err := r.sendMessage(r.cmd, a, read)
	if err != nil {
		return err
	}
	if more {
		r.abandon(a.up) // undoes what the mail store has of the command
		r.refuseMessage(r.cmd)
		return errOneMessage()
	}
	answer, err := a.finish(r.ctx)
	if err != nil {
		return err
	}
	return r.traceReplaced(appended, answer)
}

// traceReplaced records what came and what went.
func (r *replacing) traceReplaced(code string, answer *reply) error {
	record := audit.Record{Action: audit.Append, Mailbox: party(r.to.account), Folder: r.to.folder, Request: r.request}
	if answer.ok() {
		record.UIDValidity, record.UIDs = appendUID(code)
	}
	if err := r.trace(r.ctx, withAnswer(record, answer)); err != nil {
		return err
	}
	if answer.ok() {
		gone := r.sel.record(audit.Expunge, r.request, strconv.FormatUint(uint64(r.uid), 10))
		if err := r.trace(r.ctx, withAnswer(gone, answer)); err != nil {
			return err
		}
	}
	return storeAnswer(answer)
}

// recognised ends a REPLACE whose message the folder has already, since it was submitted: the other one goes.
func (r *replacing) recognised(outcome error) error {
	var a *answer
	switch {
	case outcome == nil: // it will be there
	case !errors.As(outcome, &a) || a.status != "OK":
		return outcome
	default:
		r.out.printf("* OK [%s] Ok\r\n", a.code)
	}
	ctx, stop := r.settling()
	defer stop()
	uid := strconv.FormatUint(uint64(r.uid), 10)
	gone := r.sel.record(audit.Expunge, r.request, uid)
	gone.Answer = "OK"
	if err := r.trace(ctx, gone); err != nil {
		return err
	}
	return r.sel.up.expunge(ctx, uid)
}

package imapproxy

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// append answers APPEND: the message streams from the client to the mail store, and nothing of it is asked for before the
// store has agreed to take it.
func (s *session) append(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("APPEND takes a message as a literal")
	}
	at, head, err := s.checkAppend(cmd)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	up, err := s.upstream(at.account)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	a, err := s.startAppend(up, at.folder, keepFlags(head.Flags, at.access.Rights), head.Date, cmd.Message.Size)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	size := *cmd.Message
	if a.refused != nil {
		s.refuseMessage(cmd)
		return s.traceAppend(at, &size, a.refused)
	}
	r, err := s.sendMessage(cmd, a)
	if err != nil {
		return err
	}
	return s.traceAppend(at, &size, r)
}

// checkAppend reads what stands before the message and checks rights and size.
func (s *session) checkAppend(cmd *wire.Command) (place, wire.Append, error) {
	head, err := wire.ParseAppend(cmd.Args)
	if err != nil {
		return place{}, head, err
	}
	if cmd.Message.Binary {
		return place{}, head, no("UNKNOWN-CTE", "Binary messages are not supported")
	}
	at, err := s.locate(cmd, head.Mailbox, needs("APPEND"))
	if err != nil {
		return place{}, head, err
	}
	if cmd.Message.Size > s.p.opt.MaxMessage {
		return place{}, head, no("TOOBIG", fmt.Sprintf("The message is larger than %d octets", s.p.opt.MaxMessage))
	}
	return at, head, nil
}

// sendMessage copies the client's literal to the mail store and ends the command at both sides.
func (s *session) sendMessage(cmd *wire.Command, a *appending) (*reply, error) {
	size := cmd.Message.Size
	literal, err := s.in.AcceptLiteral(s.proceed)
	if err == nil {
		_, err = io.CopyN(a.up.out, literal, size)
	}
	if err != nil {
		// Half a message: only the end of the connection undoes the command at the mail store.
		s.abandon(a.up)
		if s.readError(err) {
			return nil, errLost
		}
		s.done = true
		return nil, errAnswered
	}
	more, err := s.in.EndAppend()
	if err != nil || more {
		s.abandon(a.up)
		if err == nil {
			s.refuseMessage(cmd) // RFC 3502 is not offered
			err = bad("APPEND takes one message")
		}
		return nil, err
	}
	return a.finish(s.ctx)
}

// abandon closes a connection to a mail store in the middle of a command. When it is the selected one, the session cannot go
// on.
func (s *session) abandon(up *upstream) {
	if s.sel != nil && s.sel.up == up {
		s.say("The message was not complete")
		s.done = true
		s.sel = nil
	}
	s.forget(up)
}

func (s *session) traceAppend(at place, m *wire.Literal, r *reply) error {
	record := audit.Record{
		Action: audit.Append, Mailbox: party(at.account), Folder: at.folder,
		Request: fmt.Sprintf("APPEND %s {%d}", at.folder, m.Size),
	}
	if r.ok() {
		record.UIDValidity, record.UIDs = appendUID(r.code)
	}
	if err := s.trace(s.ctx, withAnswer(record, r)); err != nil {
		return err
	}
	return storeAnswer(r)
}

// appendUID reads "APPENDUID validity uid".
func appendUID(code string) (validity uint32, uid string) {
	var name string
	if _, err := fmt.Sscanf(code, "%s %d %s", &name, &validity, &uid); err != nil || !strings.EqualFold(name, "APPENDUID") {
		return 0, ""
	}
	return validity, uid
}

// keepFlags drops the flags that a person may not set (RFC 4314, 4), and \Recent, which nobody may.
func keepFlags(flags []string, rights policy.Right) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool {
		return strings.EqualFold(f, `\Recent`) || !rights.Has(policy.FlagRight(f))
	})
}

// appending is an APPEND whose message the mail store has agreed to take, or refused.
type appending struct {
	up       *upstream
	ex       *exchange
	answered chan *reply
	refused  *reply
}

// startAppend announces a message to a mail store and waits until that asks for it or refuses it.
func (s *session) startAppend(up *upstream, folder string, flags []string, date string, size int64) (*appending, error) {
	line, err := up.appendFolder([]byte("APPEND "), folder)
	if err != nil {
		return nil, err
	}
	a := &appending{up: up, answered: make(chan *reply, 1)}
	ex := &exchange{asks: true, proceed: make(chan struct{}, 1), done: func(r *reply) { a.answered <- r }}
	a.ex = ex
	if err := up.start(s.ctx, ex); err != nil {
		return nil, err
	}
	if len(flags) > 0 {
		line = append(line, " ("+strings.Join(flags, " ")+")"...)
	}
	if date != "" {
		line = append(line, ` "`+date+`"`...)
	}
	fmt.Fprintf(up.out, "%s {%d}\r\n", line, size) //nolint:errcheck // the buffer keeps the error for flush
	if err := up.flush(); err != nil {
		return nil, err
	}
	select {
	case <-ex.proceed:
		return a, nil
	case a.refused = <-a.answered:
		if a.refused == nil {
			return nil, errLost
		}
		return a, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// finish ends the command behind the message.
func (a *appending) finish(ctx context.Context) (*reply, error) {
	a.up.out.WriteString("\r\n") //nolint:errcheck // the buffer keeps the error for flush
	if err := a.up.flush(); err != nil {
		return nil, err
	}
	a.up.owes(a.ex)
	return awaitReply(ctx, a.answered)
}

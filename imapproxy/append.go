package imapproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// append answers APPEND: the messages stream from the client to the mail store, and nothing of one is asked for before the store
// has agreed to take it. All are stored or none (RFC 3502). Only one that may be the client's copy of what it has just submitted is read
// first.
func (s *session) append(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("APPEND takes a message as a literal")
	}
	up, at, m, err := s.beginAppend(cmd)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	request := fmt.Sprintf("APPEND %s {%d}", at.folder, m.size)
	var first *held
	if s.sentLately(at, m) {
		if first, err = s.hold(cmd); err != nil {
			return err
		}
		defer first.close()
		if done, err := s.recognise(at, m, first, request); done || err != nil {
			return err
		}
	}
	a, err := s.startAppend(up, at.folder, m)
	if err != nil {
		s.refuseMessage(cmd)
		return err
	}
	return s.sendMessages(cmd, a, at, first, request)
}

// sendMessages sends the messages of an APPEND on, of which the mail store has been told the first. That may have been read already.
func (s *session) sendMessages(cmd *wire.Command, a *appending, at place, first *held, request string) error {
	for n := 1; ; n++ {
		if a.refused != nil {
			s.refuseMessage(cmd)
			return s.traceAppend(at, request, a.refused)
		}
		more, err := s.sendMessage(cmd, a, first)
		if err != nil {
			return err
		}
		first = nil
		if !more {
			break
		}
		if err := s.nextMessage(cmd, a, at); err != nil {
			// Only the end of the connection undoes what the mail store has of the command.
			s.abandon(a.up)
			s.refuseMessage(cmd)
			return err
		}
		request = fmt.Sprintf("APPEND %s, %d messages", at.folder, n+1)
	}
	r, err := a.finish(s.ctx)
	if err != nil {
		return err
	}
	return s.traceAppend(at, request, r)
}

// beginAppend finds out where the first message goes, and what the mail store is to be told of it.
func (s *session) beginAppend(cmd *wire.Command) (*upstream, place, announced, error) {
	head, err := wire.ParseAppend(cmd.Args, s.naming())
	if err != nil {
		return nil, place{}, announced{}, err
	}
	at, err := s.locate(cmd, head.Mailbox, needs("APPEND"))
	if err != nil {
		return nil, place{}, announced{}, err
	}
	if err := s.checkMessage(cmd.Message); err != nil {
		return nil, place{}, announced{}, err
	}
	up, err := s.upstream(at.account)
	if err != nil {
		return nil, place{}, announced{}, err
	}
	if err := up.checkBinary(head, cmd.Message); err != nil {
		return nil, place{}, announced{}, err
	}
	return up, at, describe(head, at, cmd.Message), nil
}

// nextMessage announces a further message of the same APPEND.
func (s *session) nextMessage(cmd *wire.Command, a *appending, at place) error {
	if !a.up.caps["MULTIAPPEND"] {
		return bad("APPEND takes one message")
	}
	head, err := wire.ParseNextAppend(cmd.Args)
	if err != nil {
		return err
	}
	if err := s.checkMessage(cmd.Message); err != nil {
		return err
	}
	if err := a.up.checkBinary(head, cmd.Message); err != nil {
		return err
	}
	a.up.owes(a.ex)
	return a.announce(s.ctx, describe(head, at, cmd.Message))
}

func (s *session) checkMessage(m *wire.Literal) error {
	if m.Size > s.p.opt.MaxMessage {
		return no("TOOBIG", fmt.Sprintf("The message is larger than %d octets", s.p.opt.MaxMessage))
	}
	return nil
}

func errNoBinary() *answer { return no("UNKNOWN-CTE", "Binary messages are not supported") }

// announced is what the mail store is told of a message ahead of it.
type announced struct {
	flags  []string
	date   string
	size   int64
	binary bool
	utf8   bool // it stands in parentheses (RFC 6855, 4)
}

func describe(head wire.Append, at place, m *wire.Literal) announced {
	return announced{keepFlags(head.Flags, at.access.Rights), head.Date, m.Size, m.Binary, head.UTF8}
}

// sendMessage copies the client's literal, or what has been read of it, to the mail store, and tells whether another message follows.
func (s *session) sendMessage(cmd *wire.Command, a *appending, read *held) (more bool, err error) {
	notASCII := false
	if read != nil {
		if notASCII, err = s.pass(a.up.out, read.from(0), read.size); err != nil {
			s.abandon(a.up)
			return false, fmt.Errorf("%w: %w", errLost, err)
		}
		more = read.more
	} else {
		size := cmd.Message.Size
		literal, err := s.in.AcceptLiteral(s.proceed)
		if err == nil {
			notASCII, err = s.pass(a.up.out, literal, size)
		}
		if err != nil {
			// Half a message: only the end of the connection undoes the command at the mail store.
			s.abandon(a.up)
			return false, s.clientLost(err)
		}
		if more, err = s.in.EndAppend(); err != nil {
			s.abandon(a.up)
			return false, err
		}
	}
	if notASCII {
		s.refuseMessage(cmd) // that follows
		if err := a.spoil(s.ctx); err != nil {
			return false, err
		}
		return false, errNotASCII()
	}
	a.close()
	return more, nil
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

func (s *session) traceAppend(at place, request string, r *reply) error {
	record := audit.Record{Action: audit.Append, Mailbox: party(at.account), Folder: at.folder, Request: request}
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
	inside   bool // the message stands in parentheses that are still to be closed
}

// startAppend announces a message to a mail store and waits until that asks for it or refuses it.
func (s *session) startAppend(up *upstream, folder string, m announced) (*appending, error) {
	command, err := up.appendFolder([]byte("APPEND "), folder)
	if err != nil {
		return nil, err
	}
	return s.startMessage(up, command, m, nil)
}

// startMessage is startAppend for any command that a message follows. data may be nil.
func (s *session) startMessage(up *upstream, command []byte, m announced, data func(*wire.ResponseReader, *wire.Response) (bool, error)) (*appending, error) {
	a := &appending{up: up, answered: make(chan *reply, 1)}
	a.ex = &exchange{asks: true, data: data, proceed: make(chan struct{}, 1), done: func(r *reply) { a.answered <- r }}
	if err := up.start(s.ctx, a.ex); err != nil {
		return nil, err
	}
	up.out.Write(command) //nolint:errcheck // the buffer keeps the error for flush
	return a, a.announce(s.ctx, m)
}

// announce writes what stands before a message and waits until the mail store asks for it or refuses it.
func (a *appending) announce(ctx context.Context, m announced) error {
	var head []byte
	if len(m.flags) > 0 {
		head = append(head, " ("+strings.Join(m.flags, " ")+")"...)
	}
	if m.date != "" {
		head = append(head, ` "`+m.date+`"`...)
	}
	head = append(head, ' ')
	if a.inside = m.utf8; m.utf8 {
		head = append(head, "UTF8 ("...)
	}
	if m.binary {
		head = append(head, '~')
	}
	fmt.Fprintf(a.up.out, "%s{%d}\r\n", head, m.size) //nolint:errcheck // the buffer keeps the error for flush
	if err := a.up.flush(); err != nil {
		return err
	}
	select {
	case <-a.ex.proceed:
		return nil
	case a.refused = <-a.answered:
		if a.refused == nil {
			return errLost
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends a message.
func (a *appending) close() {
	if a.inside {
		a.up.out.WriteByte(')') //nolint:errcheck // the buffer keeps the error for flush
		a.inside = false
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

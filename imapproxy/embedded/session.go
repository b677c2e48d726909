package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// Limits on what a client may send; before it, the proxy has its own.
const (
	maxLine    = 64 << 10
	maxLiteral = 64 << 10
	maxCommand = 512 << 10
	maxSkip    = 1 << 20
	maxDone    = 64 // octets of the line that ends IDLE
)

// session is one connection.
type session struct {
	srv     *Server
	ctx     context.Context //nolint:containedctx // the session is its connection's life
	who     Who
	account *mailbox.Account
	log     *slog.Logger

	in   *wire.Reader
	from *ring // what in reads
	to   *ring
	lost error // writing failed: the client is gone
	line []byte

	view      *mailbox.View // of the selected mailbox; nil: none
	name      string        // its name, UTF-8
	saved     []uint32      // UIDs of the search result that "$" stands for (RFC 5182), ascending
	naming    wire.Naming   // how names of mailboxes are written
	utf8      bool          // UTF8=ACCEPT is enabled
	rev2      bool          // IMAP4rev2 is enabled
	following following     // searches whose results the client is kept informed of
	condStore bool          // the client is told modification sequences
	qresync   bool          // it is told of expunged messages by UID, and of where it stands
	removed   bool          // the command has expunged something
	done      bool
}

func newSession(ctx context.Context, srv *Server, who Who, account *mailbox.Account, c *Conn) *session {
	s := &session{srv: srv, ctx: ctx, who: who, account: account, from: c.in, to: c.out}
	s.log = srv.log.With(slog.String("account", string(who.Account)), slog.Any("client", who.Client))
	limits := wire.Limits{Line: maxLine, Literal: maxLiteral, Command: maxCommand, Skip: maxSkip, Message: srv.boxes.MaxMessage(), UTF8: true}
	s.in = wire.NewReader(ringReader{c.in}, limits)
	return s
}

type ringReader struct{ *ring }

func (r ringReader) Read(p []byte) (int, error) { return r.read(p, nil) }

// serve runs the dialogue.
func (s *session) serve() {
	defer s.to.end()
	defer s.from.cut()
	defer s.unselect()
	defer s.fence()
	s.printf("* PREAUTH [CAPABILITY %s] balorg ready\r\n", strings.Join(s.srv.caps, " "))
	for !s.done && s.lost == nil {
		if !s.in.Buffered() {
			s.to.flush()
		}
		cmd, err := s.in.ReadCommand(s.proceed)
		if err != nil {
			s.readError(err)
			continue
		}
		s.dispatch(cmd)
	}
	s.to.flush()
}

// fence keeps a fault in one connection from ending the daemon.
func (s *session) fence() {
	if v := recover(); v != nil {
		s.log.ErrorContext(s.ctx, "mailbox connection ended by a fault of the program", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		s.printf("* BYE Internal error\r\n")
	}
}

// readError answers what could not be read as a command.
func (s *session) readError(err error) {
	var syntax *wire.SyntaxError
	switch {
	case errors.As(err, &syntax):
		tag := syntax.Tag
		if tag == "" {
			tag = "*"
		}
		s.printf("%s BAD %s\r\n", tag, syntax.Text)
		return
	case errors.Is(err, wire.ErrClose):
		s.printf("* BYE Command too long\r\n")
	}
	s.done = true
}

func (s *session) proceed() error {
	s.printf("+ OK\r\n")
	s.to.flush()
	return s.lost
}

func (s *session) write(b []byte) {
	if s.lost == nil {
		_, s.lost = s.to.write(b, nil)
	}
}

// keptLine is the largest buffer kept for the next response.
const keptLine = bufferSize

// send writes the response made in b, which becomes the buffer of the next.
func (s *session) send(b []byte) {
	s.write(b)
	if s.line = b[:0]; cap(b) > keptLine {
		s.line = nil
	}
}

func (s *session) printf(format string, args ...any) {
	s.send(fmt.Appendf(s.line[:0], format, args...))
}

// command is one entry of the table of commands.
type command struct {
	selected bool // a mailbox must be selected
	// keepsNumbers: while the command is answered no message may be renumbered (RFC 3501, 7.4.1), since the client may
	// have sent more that name messages by number.
	keepsNumbers bool
	run          func(*session, *wire.Command) error
}

// commands is the table of commands (RFC 3501, 6 and the extensions of capabilities).
func commands() map[string]command {
	in := func(run func(*session, *wire.Command) error) command { return command{selected: true, run: run} }
	numbered := func(run func(*session, *wire.Command) error) command {
		return command{selected: true, keepsNumbers: true, run: run}
	}
	return map[string]command{
		"CAPABILITY": {run: (*session).capability}, "NOOP": {run: (*session).noop}, "LOGOUT": {run: (*session).logout},
		"ID": {run: (*session).identify}, "ENABLE": {run: (*session).enable}, "NAMESPACE": {run: (*session).namespace},
		"LOGIN": {run: (*session).authenticated}, "AUTHENTICATE": {run: (*session).authenticated}, "STARTTLS": {run: (*session).authenticated},

		"LIST": {run: (*session).list}, "LSUB": {run: (*session).list}, "STATUS": {run: (*session).status},
		"SUBSCRIBE": {run: (*session).subscribe}, "UNSUBSCRIBE": {run: (*session).subscribe},
		"CREATE": {run: (*session).create}, "DELETE": {run: (*session).deleteFolder}, "RENAME": {run: (*session).rename},
		"SELECT": {run: (*session).selectFolder}, "EXAMINE": {run: (*session).selectFolder},
		"APPEND": {run: (*session).append}, "REPLACE": in((*session).replace), "UID REPLACE": in((*session).replace), "IDLE": {run: (*session).idle},
		"GETQUOTA": {run: (*session).getQuota}, "GETQUOTAROOT": {run: (*session).getQuotaRoot}, "SETQUOTA": {run: (*session).setQuota},

		"CHECK": in((*session).noop), "CLOSE": in((*session).closeFolder), "UNSELECT": in((*session).closeFolder),
		"EXPUNGE": in((*session).expunge), "UID EXPUNGE": in((*session).expunge),
		"FETCH": numbered((*session).fetch), "UID FETCH": in((*session).fetch),
		"STORE": numbered((*session).store), "UID STORE": in((*session).store),
		"SEARCH": numbered((*session).search), "UID SEARCH": in((*session).search),
		"CANCELUPDATE": in((*session).cancelUpdate),
		"SORT":         numbered((*session).sort), "UID SORT": in((*session).sort),
		"THREAD": numbered((*session).thread), "UID THREAD": in((*session).thread),
		"XCOPYTO": in((*session).copyAcross), "UID XCOPYTO": in((*session).copyAcross),
		"XMOVETO": in((*session).copyAcross), "UID XMOVETO": in((*session).copyAcross),
		"COPY": in((*session).copy), "UID COPY": in((*session).copy), "MOVE": in((*session).copy), "UID MOVE": in((*session).copy),
	}
}

// dispatch runs one command and answers it.
func (s *session) dispatch(cmd *wire.Command) {
	tag, name := cmd.Tag, cmd.Name
	c, known := s.srv.table[name]
	var err error
	switch {
	case !known:
		err = bad("Unknown command")
	case c.selected && s.view == nil:
		err = bad("No mailbox is selected")
	default:
		err = c.run(s, cmd)
	}
	if errors.Is(err, errBroken) || s.lost != nil || s.ctx.Err() != nil {
		s.done = true
		return
	}
	// A message that its command did not take is never read as commands.
	if err := s.in.RefuseLiteral(); err != nil {
		s.readError(err)
		return
	}
	if s.view != nil && !s.done {
		s.tell(!c.keepsNumbers)
	}
	if !s.done || name == "LOGOUT" {
		s.finish(tag, name, s.withHighest(err))
	}
}

// withHighest adds where a client of QRESYNC stands to the answer of a command that has expunged something (RFC 7162, 3.2.7).
func (s *session) withHighest(err error) error {
	if s.removed = s.removed && s.qresync && s.view != nil; !s.removed {
		return err
	}
	s.removed = false
	a, _ := answerTo(err)
	if a.status != "OK" || a.code != "" {
		return err
	}
	return ok(highestCode(s.view.Told()), a.text)
}

func highestCode(modseq uint64) string { return "HIGHESTMODSEQ " + strconv.FormatUint(modseq, 10) }

// finish sends the tagged answer that err stands for.
func (s *session) finish(tag, name string, err error) {
	a, internal := answerTo(err)
	if internal {
		s.log.WarnContext(s.ctx, "command not done", slog.String("command", name), slog.Any("error", err))
	}
	text := a.text
	if text == "" {
		text = name + " completed"
	}
	if a.code != "" {
		s.printf("%s %s [%s] %s\r\n", tag, a.status, a.code, text)
		return
	}
	s.printf("%s %s %s\r\n", tag, a.status, text)
}

// tell brings the selected mailbox up to date and tells the client what changed.
func (s *session) tell(allowExpunge bool) {
	events, err := s.view.Sync(s.ctx, allowExpunge)
	if errors.Is(err, mailbox.ErrNoFolder) {
		s.printf("* BYE The selected mailbox has been deleted or renamed\r\n")
		s.done = true
		return
	}
	if err != nil {
		if s.ctx.Err() == nil {
			s.log.WarnContext(s.ctx, "mailbox not brought up to date", slog.Any("error", err))
		}
		return // the next command tries again
	}
	s.tellRemoved(events)
	behind := s.qresync && s.tellGone(events)
	b := s.line[:0]
	for _, e := range events {
		switch e.Kind {
		case mailbox.EventExpunge:
			if !s.qresync {
				b = appendCount(b, e.Seq, " EXPUNGE\r\n")
			}
		case mailbox.EventExists:
			b = appendCount(b, e.Seq, " EXISTS\r\n")
		case mailbox.EventRecent:
			if !s.rev2 {
				b = appendCount(b, e.Seq, " RECENT\r\n")
			}
		case mailbox.EventKeywords:
			b = s.appendFlagLists(b)
		case mailbox.EventFlags:
			if m, ok := s.view.Message(e.Seq); ok {
				b = s.appendFlagsOf(b, e.Seq, &m, s.view.Keywords(), true)
			}
		}
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	s.send(b)
	s.tellResults()
	// What a FETCH has told may be of later than an expunge that cannot be told now.
	if behind || s.qresync && !allowExpunge && s.view.Told() < s.view.ModSeq() {
		s.tellHighest()
	}
}

// tellGone tells a client of QRESYNC of expunged messages, and whether it has to be told where it stands behind all other news: the answer of
// a command that expunged says it by itself.
func (s *session) tellGone(events []mailbox.Event) bool {
	var gone []uint32
	for _, e := range events {
		if e.Kind == mailbox.EventExpunge {
			gone = append(gone, e.UID)
		}
	}
	s.tellVanished("", runsOf(gone))
	return len(gone) > 0 && !s.removed
}

func appendCount(b []byte, n uint32, what string) []byte {
	b = strconv.AppendUint(append(b, "* "...), uint64(n), 10)
	return append(b, what...)
}

// appendFlagsOf appends a FETCH response that tells a message's flags.
func (s *session) appendFlagsOf(b []byte, seq uint32, m *mailbox.Meta, keywords []string, uid bool) []byte {
	b = s.appendFetchHead(b, seq, m, uid)
	return append(s.appendFlags(b, m, keywords), ")\r\n"...)
}

// appendFlags appends the FLAGS of a message. \Recent is no flag of IMAP4rev2's.
func (s *session) appendFlags(b []byte, m *mailbox.Meta, keywords []string) []byte {
	b = append(b, "FLAGS ("...)
	start := len(b)
	b = mailbox.AppendFlags(b, m.Flags, keywords)
	if m.Recent && !s.rev2 {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, `\Recent`...)
	}
	return append(b, ')')
}

// unselect lets go of the selected mailbox.
func (s *session) unselect() {
	if s.view == nil {
		return
	}
	if err := s.view.Close(); err != nil {
		s.log.WarnContext(s.ctx, "closing a mailbox", slog.Any("error", err))
	}
	s.view, s.name, s.saved, s.following = nil, "", nil, following{}
}

// noArguments checks that a command has none.
func noArguments(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad(cmd.Name + " takes no arguments")
	}
	return nil
}

// isUID tells whether a command names messages by UID.
func isUID(cmd *wire.Command) bool { return strings.HasPrefix(cmd.Name, "UID ") }

var _ io.ReadWriteCloser = (*Conn)(nil)

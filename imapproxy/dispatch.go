package imapproxy

import (
	"errors"
	"log/slog"
	"time"

	"balorg/imapproxy/wire"
)

// command is what the session knows of one.
type command struct {
	in state // where it is allowed
	// pipelined commands go to the selected mail store without waiting for those before them; all others first wait until
	// everything sent has been answered.
	pipelined bool
	// reads changes nothing, so that it can be done again when its connection to a mail store is lost.
	reads bool
	run   func(*session, *wire.Command) error
}

// newCommands is the table of all commands (RFC 3501, 6 and the extensions of docs/conformance.md).
func newCommands() map[string]command {
	return map[string]command{
		"CAPABILITY":   {in: anyState, run: (*session).capability},
		"NOOP":         {in: anyState, pipelined: true, run: (*session).noop},
		"LOGOUT":       {in: anyState, run: (*session).logout},
		"ID":           {in: anyState, run: (*session).identify},
		"STARTTLS":     {in: notAuthenticated, run: (*session).startTLS},
		"LOGIN":        {in: notAuthenticated, run: (*session).loginCommand},
		"AUTHENTICATE": {in: notAuthenticated, run: (*session).authenticate},

		"ENABLE":      {in: loggedIn, run: (*session).enable},
		"COMPRESS":    {in: loggedIn, run: (*session).compress},
		"NAMESPACE":   {in: loggedIn, run: (*session).namespace},
		"LIST":        {in: loggedIn, reads: true, run: (*session).list},
		"LSUB":        {in: loggedIn, reads: true, run: (*session).list},
		"SUBSCRIBE":   {in: loggedIn, run: (*session).subscribe},
		"UNSUBSCRIBE": {in: loggedIn, run: (*session).subscribe},
		"STATUS":      {in: loggedIn, reads: true, run: (*session).status},
		"CREATE":      {in: loggedIn, run: (*session).create},
		"DELETE":      {in: loggedIn, run: (*session).deleteFolder},
		"RENAME":      {in: loggedIn, run: (*session).rename},
		"APPEND":      {in: loggedIn, run: (*session).append},
		"SELECT":      {in: loggedIn, reads: true, run: (*session).selectFolder},
		"EXAMINE":     {in: loggedIn, reads: true, run: (*session).selectFolder},
		"IDLE":        {in: loggedIn, run: (*session).idle},

		"GETMETADATA":  {in: loggedIn, reads: true, run: (*session).getMetadata},
		"SETMETADATA":  {in: loggedIn, run: (*session).setMetadata},
		"MYRIGHTS":     {in: loggedIn, reads: true, run: (*session).myRights},
		"GETACL":       {in: loggedIn, reads: true, run: (*session).getACL},
		"LISTRIGHTS":   {in: loggedIn, reads: true, run: (*session).listRights},
		"SETACL":       {in: loggedIn, run: (*session).refuseACL},
		"DELETEACL":    {in: loggedIn, run: (*session).refuseACL},
		"GETQUOTA":     {in: loggedIn, reads: true, run: (*session).getQuota},
		"GETQUOTAROOT": {in: loggedIn, reads: true, run: (*session).getQuotaRoot},
		"SETQUOTA":     {in: loggedIn, run: (*session).refuseQuota},

		"CHECK":       {in: selected, pipelined: true, run: (*session).forward},
		"CLOSE":       {in: selected, run: (*session).closeFolder},
		"UNSELECT":    {in: selected, run: (*session).closeFolder},
		"EXPUNGE":     {in: selected, pipelined: true, run: (*session).expunge},
		"SEARCH":      {in: selected, pipelined: true, run: (*session).search},
		"FETCH":       {in: selected, pipelined: true, run: (*session).fetch},
		"STORE":       {in: selected, pipelined: true, run: (*session).store},
		"COPY":        {in: selected, run: (*session).copy},
		"MOVE":        {in: selected, run: (*session).copy},
		"SORT":        {in: selected, pipelined: true, run: (*session).search},
		"THREAD":      {in: selected, pipelined: true, run: (*session).search},
		"UID SORT":    {in: selected, pipelined: true, run: (*session).search},
		"UID THREAD":  {in: selected, pipelined: true, run: (*session).search},
		"UID EXPUNGE": {in: selected, pipelined: true, run: (*session).expunge},
		"UID SEARCH":  {in: selected, pipelined: true, run: (*session).search},
		"UID FETCH":   {in: selected, pipelined: true, run: (*session).fetch},
		"UID STORE":   {in: selected, pipelined: true, run: (*session).store},
		"UID COPY":    {in: selected, run: (*session).copy},
		"UID MOVE":    {in: selected, run: (*session).copy},
		"REPLACE":     {in: selected, run: (*session).replace},
		"UID REPLACE": {in: selected, run: (*session).replace},

		"CANCELUPDATE": {in: selected, run: (*session).cancelUpdate},
	}
}

// unusedAfter is how long a connection to a mail store is kept for mailboxes other than the selected one.
const unusedAfter = 5 * time.Minute

func (s *session) state() state {
	switch {
	case s.person == nil:
		return notAuthenticated
	case s.sel == nil:
		return authenticated
	}
	return selected
}

// dispatch runs one command and answers it.
func (s *session) dispatch(cmd *wire.Command) {
	c, known := s.p.commands[cmd.Name]
	if !known {
		s.p.metrics.commands.WithLabelValues("other").Inc()
		s.refuseMessage(cmd)
		s.reply(cmd, bad("Unknown command"))
		s.countFaultOrEnd()
		return
	}
	s.p.metrics.commands.WithLabelValues(cmd.Name).Inc()
	if c.in&s.state() == 0 {
		s.refuseMessage(cmd)
		s.reply(cmd, bad("Command is not allowed in this state"))
		s.countFaultOrEnd()
		return
	}
	if !c.pipelined && s.sel != nil {
		if err := s.sel.up.drain(s.ctx); err != nil {
			s.refuseMessage(cmd)
			s.reply(cmd, err)
			return
		}
	}
	err := c.run(s, cmd)
	if c.reads && errors.Is(err, errLost) && s.ctx.Err() == nil {
		err = c.run(s, cmd) // on another connection: a server that was restarted meanwhile costs no command
	}
	s.reply(cmd, err)
	s.closeUnused(unusedAfter)
}

func (s *session) countFaultOrEnd() {
	if !s.countFault() {
		s.done = true
	}
}

// refuseMessage sees to it that the message of an APPEND or REPLACE that is not wanted is never taken for commands.
func (s *session) refuseMessage(cmd *wire.Command) {
	if cmd.Message == nil {
		return
	}
	if err := s.in.RefuseLiteral(); err != nil {
		s.say("Message too large to be skipped")
		s.done = true
	}
	cmd.Message = nil
}

// reply sends the tagged answer that err stands for.
func (s *session) reply(cmd *wire.Command, err error) {
	if err == errAnswered { //nolint:errorlint // a handler answers the very value
		return
	}
	if s.ctx.Err() != nil && err != nil {
		s.done = true // the BYE says why
		return
	}
	s.sendAnswer(cmd.Tag, cmd.Name, err)
}

// sendAnswer writes a tagged line, from any goroutine.
func (s *session) sendAnswer(tag, name string, err error) {
	a, internal := answerTo(err)
	if internal {
		s.log().Warn("command not done", slog.Any("command", name), slog.Any("error", err))
	}
	if a.text == "completed" {
		a = okay(a.code, name+" completed")
	}
	s.out.printf("%s %s\r\n", tag, a)
}

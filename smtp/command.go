package smtp

import (
	"errors"

	"balorg/smtp/wire"
)

// errAnswered is what a command returns when its reply has been written.
var errAnswered = errors.New("answered")

// command is one of the commands of SMTP. Its reply is what run returns: a *wire.Reply, positive or not, or another error.
type command struct {
	run  func(s *session, args string) error
	open bool // it may come before TLS and before login
	bare bool // it takes no arguments
}

func newCommands() map[string]command {
	return map[string]command{
		"EHLO":     {run: (*session).ehlo, open: true},
		"HELO":     {run: (*session).helo, open: true},
		"LHLO":     {run: (*session).lhlo, open: true},
		"STARTTLS": {run: (*session).startTLS, open: true, bare: true},
		"AUTH":     {run: (*session).auth, open: true},
		"MAIL":     {run: (*session).mail},
		"RCPT":     {run: (*session).rcpt},
		"DATA":     {run: (*session).data, bare: true},
		"BDAT":     {run: (*session).bdat, open: true}, // whatever its answer, its octets must be taken
		"RSET":     {run: (*session).rset, open: true, bare: true},
		"NOOP":     {run: (*session).noop, open: true},
		"HELP":     {run: (*session).help, open: true},
		"QUIT":     {run: (*session).quit, open: true, bare: true},
		"VRFY":     {run: (*session).vrfy},
	}
}

func (s *session) dispatch(cmd wire.Command) {
	c, known := s.srv.commands[cmd.Verb]
	var err error
	switch {
	case !known:
		err = wire.NewReply(500, "5.5.1", "This command is not known here")
	case c.bare && cmd.Args != "":
		err = wire.NewReply(501, "5.5.4", "%s takes no arguments", cmd.Verb)
	default:
		if !c.open {
			err = s.admitted()
		}
		if err == nil {
			err = c.run(s, cmd.Args)
		}
	}
	s.answer(err)
}

// admitted tells whether transactions are open to the client.
func (s *session) admitted() error {
	switch {
	case s.service.RequireTLS && s.client.TLS == nil:
		return wire.NewReply(530, "5.7.0", "STARTTLS comes first")
	case s.client.Role == Submission && s.client.Login.Person == nil:
		return wire.NewReply(530, "5.7.0", "Authentication is required")
	}
	return nil
}

func (s *session) rset(string) error {
	s.reset()
	return okay("2.0.0", "Forgotten")
}

// reset ends the transaction.
func (s *session) reset() { s.tx, s.chunking, s.spoilt = nil, false, false }

func (s *session) noop(string) error { return okay("2.0.0", "Nothing done") }

func (s *session) help(string) error {
	return &wire.Reply{Code: 214, Enhanced: "2.0.0", Text: "See RFC 5321"}
}

// vrfy tells nobody who has a mailbox here (RFC 5321, 7.3).
func (s *session) vrfy(string) error {
	return &wire.Reply{Code: 252, Enhanced: "2.5.2", Text: "Addresses are not verified; try RCPT"}
}

func (s *session) quit(string) error {
	s.done = true
	return &wire.Reply{Code: 221, Enhanced: "2.0.0", Text: "Goodbye"}
}

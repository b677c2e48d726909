package smtp

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"

	"balorg/smtp/wire"
)

// unknownHello stands for a name that is none.
const unknownHello = "unknown"

// maxHello is the length of a domain, and of any literal.
const maxHello = 255

// helloName answers the name a client gave itself, or unknownHello: it ends up in header fields and logs. Names of computers need not be
// domains; nobody is refused for theirs.
func helloName(args string) string {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:[]", r)
	}
	if len(args) > maxHello || strings.ContainsFunc(args, strange) {
		return unknownHello
	}
	return args
}

// hello takes a greeting in one of its forms.
func (s *session) hello(args string) error {
	if args == "" {
		return wire.NewReply(501, "5.5.4", "The name of the client is missing")
	}
	s.reset()
	s.greeted, s.client.Hello = true, helloName(args)
	return nil
}

func (s *session) helo(args string) error {
	if s.client.Role == LMTP {
		return wire.NewReply(500, "5.5.1", "This is LMTP: say LHLO")
	}
	if err := s.hello(args); err != nil {
		return err
	}
	return &wire.Reply{Code: 250, Text: s.srv.opt.Hostname}
}

func (s *session) ehlo(args string) error {
	if s.client.Role == LMTP {
		return wire.NewReply(500, "5.5.1", "This is LMTP: say LHLO") // RFC 2033, 4.1
	}
	return s.extended(args)
}

func (s *session) lhlo(args string) error {
	if s.client.Role != LMTP {
		return wire.NewReply(500, "5.5.1", "This is SMTP: say EHLO")
	}
	return s.extended(args)
}

// extended answers what is spoken here.
func (s *session) extended(args string) error {
	if err := s.hello(args); err != nil {
		return err
	}
	lines := []string{
		s.srv.opt.Hostname, "PIPELINING", fmt.Sprintf("SIZE %d", s.service.MaxMessage), "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "CHUNKING",
		fmt.Sprintf("LIMITS RCPTMAX=%d MAILMAX=%d", s.service.MaxRecipients, s.service.MaxMessages), // RFC 9422
	}
	if s.service.TLS != nil && s.client.TLS == nil {
		lines = append(lines, "STARTTLS")
	}
	if s.client.Role == Submission && s.mayLogIn() && s.client.Login.Person == nil {
		lines = append(lines, "AUTH "+strings.Join(s.mechanisms(), " "))
	}
	return &wire.Reply{Code: 250, Text: strings.Join(lines, "\n")}
}

// startTLS brings TLS up (RFC 3207). Nothing that was said before counts afterwards.
func (s *session) startTLS(string) error {
	switch {
	case s.service.TLS == nil:
		return wire.NewReply(502, "5.5.1", "TLS is not available here")
	case s.client.TLS != nil:
		return badSequence("TLS is on already")
	case s.client.Login.Person != nil, s.chunking:
		return badSequence("Not now")
	case s.in.Buffered() > 0:
		// What came behind STARTTLS was sent in the clear, perhaps by somebody else: it must not run inside TLS.
		s.say(wire.NewReply(closing, "4.7.0", "Nothing may follow STARTTLS before TLS is on"))
		s.done = true
		return badSequence("Nothing may follow STARTTLS")
	}
	s.reply(&wire.Reply{Code: 220, Enhanced: "2.0.0", Text: "Begin TLS negotiation now"})
	if err := s.out.Flush(); err != nil {
		s.done = true
		return errAnswered
	}
	conn := tls.Server(s.conn.Conn, s.service.TLS)
	if err := handshake(s.ctx, conn); err != nil {
		s.log.Debug("TLS handshake with a client", slog.Any("error", err))
		s.done = true
		return errAnswered
	}
	s.mu.Lock()
	s.useConn(conn)
	s.mu.Unlock()
	if s.ctx.Err() != nil { // an end that fell between both connections
		s.conn.interrupt()
	}
	s.reset()
	s.greeted, s.client.Hello = false, unknownHello
	return errAnswered
}

package smtp

import (
	"balorg/smtp/wire"
)

// mail begins a transaction (RFC 5321, 4.1.1.2).
func (s *session) mail(args string) error {
	switch {
	case !s.greeted:
		return badSequence("EHLO comes first")
	case s.tx != nil || s.spoilt:
		return badSequence("A message is under way already")
	case s.messages >= s.service.MaxMessages:
		return wire.NewReply(closing, "4.7.0", "Too many messages on one connection")
	}
	from, err := wire.ParseMail(args)
	switch {
	case err != nil:
		return err
	case from.Body == wire.BodyBinary: // not offered (RFC 3030, 3)
		return wire.NewReply(555, "5.6.3", "BINARYMIME is not taken here")
	case from.Size > s.service.MaxMessage: // RFC 1870, 6.1
		return wire.NewReply(552, "5.3.4", "The message is too large: at most %d octets are taken", s.service.MaxMessage)
	}
	if err := s.handler.Mail(s.ctx, from); err != nil {
		return err
	}
	s.tx = &wire.Envelope{From: from}
	return okay("2.1.0", "Sender accepted")
}

// rcpt takes a recipient (RFC 5321, 4.1.1.3).
func (s *session) rcpt(args string) error {
	if s.tx == nil || s.chunking || s.spoilt {
		return badSequence("MAIL comes first")
	}
	to, err := wire.ParseRcpt(args, s.tx.From.UTF8, s.service.Postmaster)
	if err != nil {
		return err
	}
	accepted := okay("2.1.5", "Recipient accepted")
	if s.client.Role != LMTP { // which owes an answer for each RCPT (RFC 2033, 4.2)
		for _, known := range s.tx.To {
			if known.Address == to.Address {
				return accepted
			}
		}
	}
	if len(s.tx.To) >= s.service.MaxRecipients {
		return wire.NewReply(452, "4.5.3", "Too many recipients: at most %d are taken at a time", s.service.MaxRecipients)
	}
	if err := s.handler.Rcpt(s.ctx, to); err != nil {
		return err
	}
	s.tx.To = append(s.tx.To, to)
	return accepted
}

// readyForContent tells whether the message may come.
func (s *session) readyForContent() error {
	switch {
	case s.spoilt:
		return badSequence("A part of this message was refused: RSET comes first")
	case s.tx == nil:
		return badSequence("MAIL comes first")
	case len(s.tx.To) == 0:
		return badSequence("There is no recipient that was accepted") // RFC 5321, 3.3; RFC 2033, 4.2
	}
	return nil
}

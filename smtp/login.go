package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"balorg/policy"
	"balorg/policy/auth"
	"balorg/smtp/wire"
	"balorg/store/audit"
)

// protocol is what trace, log and table of sessions call this one.
const protocol = "smtp"

// maxFailures is how often one connection may fail to log in.
const maxFailures = 3

// mayLogIn tells whether credentials may be sent on this connection.
func (s *session) mayLogIn() bool { return s.client.TLS != nil || s.service.InsecureLogin }

// auth runs AUTH (RFC 4954).
func (s *session) auth(args string) error {
	switch {
	case s.client.Role != Submission:
		return wire.NewReply(502, "5.5.1", "Nobody logs in here")
	case !s.mayLogIn():
		return wire.NewReply(538, "5.7.11", "Log in after STARTTLS only")
	case s.client.Login.Person != nil:
		return badSequence("You are logged in already")
	case !s.greeted:
		return badSequence("EHLO comes first")
	}
	mechanism, initial, given := strings.Cut(args, " ")
	mechanism = strings.ToUpper(mechanism)
	exchange, err := auth.NewExchange(mechanism)
	if err != nil || !slices.Contains(s.mechanisms(), mechanism) {
		return wire.NewReply(504, "5.5.4", "This mechanism is not known here")
	}
	req, err := s.exchange(exchange, initial, given)
	if err != nil {
		return err
	}
	if s.client.TLS != nil {
		req.Certificates = s.client.TLS.PeerCertificates
	}
	err = s.logIn(mechanism, *req)
	if failure := auth.Failure(mechanism); failure != nil && errors.Is(err, auth.ErrRefused) {
		// The client answers with an empty line, or with nothing to say: only then comes the refusal.
		s.reply(&wire.Reply{Code: 334, Text: base64.StdEncoding.EncodeToString(failure)})
		if _, err := s.line(); err != nil {
			s.done = !s.readError(err)
			return errAnswered
		}
	}
	return err
}

// mechanisms are those on offer.
func (s *session) mechanisms() []string {
	return slices.DeleteFunc(s.srv.opt.Auth.Mechanisms(), func(m string) bool {
		return m == auth.MechanismExternal && (s.client.TLS == nil || len(s.client.TLS.PeerCertificates) == 0)
	})
}

// exchange lets a mechanism and the client speak with one another.
func (s *session) exchange(e *auth.Exchange, initial string, given bool) (*auth.Request, error) {
	var response []byte
	var err error
	if given {
		if initial == "=" { // an empty one (RFC 4954, 4)
			initial = ""
		}
		if response, err = s.decode(initial); err != nil {
			return nil, err
		}
	}
	for {
		challenge, req, err := e.Next(response)
		if err != nil {
			s.failed()
			return nil, wire.NewReply(501, "5.5.2", "This is not what the mechanism asks for")
		}
		if req != nil {
			return req, nil
		}
		s.reply(&wire.Reply{Code: 334, Text: base64.StdEncoding.EncodeToString(challenge)})
		line, err := s.line()
		if err != nil {
			s.done = !s.readError(err)
			return nil, errAnswered
		}
		if string(line) == "*" {
			return nil, wire.NewReply(501, "5.7.0", "Authentication cancelled")
		}
		if response, err = s.decode(string(line)); err != nil {
			return nil, err
		}
	}
}

// decode reads a response. The answer is never nil but with an error: an empty response is one.
func (s *session) decode(text string) ([]byte, error) {
	response, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		s.failed()
		return nil, wire.NewReply(501, "5.5.2", "Not base64")
	}
	return append([]byte{}, response...), nil
}

// failed counts what did not become a login.
func (s *session) failed() {
	s.failures++
	if s.failures >= maxFailures {
		s.say(wire.NewReply(closing, "4.7.0", "Too many failed log-ins"))
		s.done = true
	}
}

// logIn asks who it is and, when they may, makes the session theirs.
func (s *session) logIn(mechanism string, req auth.Request) error {
	req.Remote, req.Protocol, req.Session = s.client.Address.Addr(), protocol, s.client.Session
	result, err := s.srv.opt.Auth.Authenticate(s.ctx, req)
	if err != nil {
		return s.refuseLogin(mechanism, err)
	}
	s.srv.metrics.logins.WithLabelValues("ok").Inc()
	record := audit.Record{
		Action: audit.Login, Person: party(result.Person), Mailbox: party(result.Mailbox), Request: "AUTH " + mechanism, Answer: "235 2.7.0",
		Means: result.Means.String(),
	}
	if err := s.trace(s.ctx, record); err != nil {
		return err
	}
	s.client.Login, s.since = result, time.Now()
	s.log = s.log.With(slog.Any("person", result.Person.Address), slog.Any("mailbox", result.Mailbox.Address))
	s.client.Log = s.log
	s.conn.until = time.Time{}
	s.failures, s.refusals = 0, 0
	s.remove = s.srv.opt.Sessions.Add(s.client.Session, s)
	s.Recheck(s.srv.opt.Snapshot())
	s.log.Info("logged in", slog.String("protocol", protocol))
	return &wire.Reply{Code: 235, Enhanced: "2.7.0", Text: "Logged in"}
}

// refuseLogin answers a failed log-in: the same to all who are refused, the true reason in the trace alone.
func (s *session) refuseLogin(mechanism string, err error) error {
	record := audit.Record{Action: audit.Refusal, Request: "AUTH " + mechanism}
	var refusal *auth.Refusal
	var unavailable *auth.Unavailable
	switch {
	case errors.As(err, &refusal):
		s.srv.metrics.logins.WithLabelValues("refused").Inc()
		record.Person, record.Mailbox = party(refusal.Person), party(refusal.Mailbox)
		record.Reason = refusal.Reason.Text
		record.Answer = "535 5.7.8"
		s.log.Warn("login refused", slog.String("protocol", protocol), slog.String("reason", string(refusal.Reason.Code)))
	case errors.As(err, &unavailable):
		record.Person, record.Reason = party(unavailable.Person), unavailable.Reason.Text
		fallthrough
	case errors.Is(err, auth.ErrTemporary):
		s.srv.metrics.logins.WithLabelValues("temporary").Inc()
		record.Answer = "454 4.7.0"
	default:
		return err
	}
	if terr := s.trace(s.ctx, record); terr != nil {
		return terr
	}
	s.failed()
	return err
}

// party is an account in the trace; nil is nobody.
func party(a *policy.Account) audit.Party {
	if a == nil {
		return audit.Party{}
	}
	return audit.Party{ID: a.ID, Address: a.Address}
}

// mine says in a record whose it is.
func (s *session) mine(r audit.Record) audit.Record {
	r.Person, r.Mailbox = party(s.client.Login.Person), party(s.client.Login.Mailbox)
	return r
}

// stamped is a record with what every record of the session has.
func (s *session) stamped(r audit.Record) audit.Record { return s.client.Stamp(r) }

// Stamp answers a record with what every record of the session has: time, protocol, session and client.
func (c *Client) Stamp(r audit.Record) audit.Record {
	r.Time, r.Protocol, r.Session = time.Now(), protocol, c.Session
	if c.Role == LMTP {
		r.Protocol = string(LMTP)
	}
	if c.Address.IsValid() {
		r.Client = c.Address.String()
	}
	return r
}

// trace records r durably.
func (s *session) trace(ctx context.Context, r audit.Record) error {
	if err := s.srv.opt.Trace.Append(ctx, s.stamped(r)); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil
}

package imapproxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/policy/auth"
	"balorg/store/audit"
)

// maxInitialResponse bounds what a client sends in AUTHENTICATE: an OAuth line with a token reaches 3.3 KB.
const maxInitialResponse = 16 << 10

// mayLogIn tells whether credentials may be sent on this connection.
func (s *session) mayLogIn() bool { return s.secure || s.p.opt.InsecureLogin }

func (s *session) startTLS(cmd *wire.Command) error {
	switch {
	case len(cmd.Args) > 0:
		return bad("STARTTLS takes no arguments")
	case s.secure || s.p.opt.TLS == nil:
		return bad("TLS is not available here")
	case s.in.Buffered():
		// What came behind STARTTLS was sent in the clear, perhaps by somebody else: it must not run inside TLS.
		s.say("Nothing may follow STARTTLS before TLS is on")
		s.done = true
		return bad("Nothing may follow STARTTLS")
	}
	s.out.printf("%s OK Begin TLS negotiation now\r\n", cmd.Tag)
	if err := s.out.flush(); err != nil {
		s.done = true
		return errAnswered
	}
	conn := tls.Server(s.conn.Conn, s.p.opt.TLS)
	if !handshake(s.ctx, conn) {
		s.done = true
		return errAnswered
	}
	s.mu.Lock()
	s.useConn(conn)
	s.mu.Unlock()
	if s.ctx.Err() != nil { // an end that fell between both connections
		s.conn.interrupt()
	}
	s.secure = true
	return errAnswered
}

func (s *session) loginCommand(cmd *wire.Command) error {
	if !s.mayLogIn() {
		return no("PRIVACYREQUIRED", "Log in after STARTTLS only")
	}
	p := wire.NewParser(cmd.Args)
	user, err := p.UserName()
	if err != nil {
		return err
	}
	if err := p.SP(); err != nil {
		return err
	}
	password, err := p.AString()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	return s.logIn(cmd, auth.Request{Mechanism: auth.MechanismLogin, User: user, Password: auth.NewSecret(password)})
}

// authenticate runs AUTHENTICATE (RFC 9051, 6.2.2), with or without an initial response (RFC 4959).
func (s *session) authenticate(cmd *wire.Command) error {
	if !s.mayLogIn() {
		return no("PRIVACYREQUIRED", "Log in after STARTTLS only")
	}
	mechanism, initial, hasInitial := strings.Cut(string(cmd.Args), " ")
	mechanism = strings.ToUpper(mechanism)
	exchange, err := auth.NewExchange(mechanism)
	if err != nil || !slices.Contains(s.mechanisms(), mechanism) {
		return no("CANNOT", "This mechanism is not supported")
	}
	if !hasInitial {
		if initial, err = s.challenge(nil); err != nil {
			return err
		}
	}
	if initial == "*" {
		return bad("Authentication cancelled")
	}
	if initial == "=" {
		initial = ""
	}
	raw, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return bad("Not base64")
	}
	_, req, err := exchange.Next(append([]byte{}, raw...))
	if err != nil {
		return bad("Not a message of this mechanism")
	}
	req.Certificates = s.certificates()
	err = s.logIn(cmd, *req)
	if failure := auth.Failure(mechanism); failure != nil && errors.Is(err, auth.ErrRefused) {
		// The client's response says nothing: only then comes the refusal.
		if _, err := s.challenge(failure); err != nil {
			return err
		}
	}
	return err
}

// mechanisms are those of AUTHENTICATE. That of LOGIN is not among them: there is a command for it.
func (s *session) mechanisms() []string {
	return slices.DeleteFunc(s.p.opt.Auth.Mechanisms(), func(m string) bool {
		return m == auth.MechanismLogin || (m == auth.MechanismExternal && len(s.certificates()) == 0)
	})
}

// certificates are what the client has shown in TLS.
func (s *session) certificates() []*x509.Certificate {
	if conn, ok := s.conn.Conn.(*tls.Conn); ok {
		return conn.ConnectionState().PeerCertificates
	}
	return nil
}

// challenge sends a challenge and answers the client's response as it is.
func (s *session) challenge(octets []byte) (string, error) {
	s.out.printf("+ %s\r\n", base64.StdEncoding.EncodeToString(octets))
	if err := s.out.flush(); err != nil {
		return "", err
	}
	line, err := s.in.ReadLine(maxInitialResponse)
	if err != nil {
		if !s.readError(err) {
			s.done = true
		}
		return "", errAnswered
	}
	return string(line), nil
}

// logIn asks who it is and, when they may, makes the session theirs.
func (s *session) logIn(cmd *wire.Command, req auth.Request) error {
	req.Remote, req.Protocol, req.Session = s.client.Addr(), "imap", s.id
	result, err := s.p.opt.Auth.Authenticate(s.ctx, req)
	if err != nil {
		return s.refuseLogin(cmd, req, err)
	}
	s.p.metrics.logins.WithLabelValues("ok").Inc()
	s.mu.Lock()
	s.person, s.opened, s.means, s.since = result.Person, result.Mailbox, result.Means, time.Now()
	s.mu.Unlock()
	// On disk in a moment, and before anything this person does: every record takes with it those that wait, in one transaction.
	s.p.opt.Trace.Later(s.stamped(s.mine(audit.Record{Action: audit.Login, Request: cmd.Name, Answer: "OK", Means: result.Means.String()})))
	s.conn.until = time.Time{}
	limits := s.p.loggedInLimits()
	limits.UTF8 = s.offers(utf8Accept) || s.offers(imap4rev2)
	s.in.SetLimits(limits)
	s.failures = 0
	s.remove = s.p.opt.Sessions.Add(s.id, s)
	s.Recheck(s.p.opt.Snapshot())
	s.p.log.LogAttrs(s.ctx, slog.LevelInfo, "logged in", append(s.who(), slog.String("protocol", "imap"))...) // each session has this line
	return okay("CAPABILITY "+s.capabilities(), "Logged in")
}

// refuseLogin answers a failed log-in: the same to all who are refused, the true reason in the trace alone.
func (s *session) refuseLogin(cmd *wire.Command, req auth.Request, err error) error {
	record := audit.Record{Action: audit.Refusal, Request: cmd.Name}
	var refusal *auth.Refusal
	var unavailable *auth.Unavailable
	switch {
	case errors.As(err, &refusal):
		s.p.metrics.logins.WithLabelValues("refused").Inc()
		record.Person, record.Mailbox = party(refusal.Person), party(refusal.Mailbox)
		record.Reason = refusal.Reason.Text
		record.Answer = "NO [AUTHENTICATIONFAILED]"
		s.log().Warn("login refused", slog.String("protocol", "imap"), slog.String("reason", string(refusal.Reason.Code)))
	case errors.As(err, &unavailable):
		record.Person, record.Reason = party(unavailable.Person), unavailable.Reason.Text
		fallthrough
	case errors.Is(err, auth.ErrTemporary):
		s.p.metrics.logins.WithLabelValues("temporary").Inc()
		record.Answer = "NO [UNAVAILABLE]"
	default:
		return err
	}
	if terr := s.traceAs(s.ctx, record); terr != nil {
		return terr
	}
	s.failures++
	if s.failures >= maxFailures {
		s.say("Too many failed log-ins")
		s.done = true
	}
	return err
}

func (s *session) logout(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad("LOGOUT takes no arguments")
	}
	s.out.printf("* BYE Logging out\r\n")
	s.done = true
	return nil
}

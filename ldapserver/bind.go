package ldapserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/audit"
)

// maxFailures is how often one connection may fail to log in.
const maxFailures = 3

// mechanismSimple is what the trace calls a simple bind.
const mechanismSimple = "SIMPLE"

// saslState is an exchange that has begun.
type saslState struct {
	mechanism string
	exchange  *auth.Exchange
	refused   bool // the client has been told, and its response says nothing
}

// becomeAnonymous forgets who was logged in: so begins every bind (RFC 4511, 4.2.1).
func (c *conn) becomeAnonymous() {
	c.who.Store(nil)
	if c.forget != nil {
		c.forget()
		c.forget = nil
	}
}

// bind logs somebody in.
func (c *conn) bind(ctx context.Context) error {
	b := &c.req.Bind
	c.abandonAll()
	c.becomeAnonymous()
	sasl := c.sasl
	c.sasl = saslState{}
	switch {
	case b.Version != 3:
		return c.bound(wire.ProtocolError, "only version 3 of LDAP is spoken here")
	case !b.Simple:
		return c.bindSASL(ctx, sasl)
	case len(b.Password) == 0 && len(b.Name) == 0:
		return c.bound(wire.Success, "")
	case len(b.Password) == 0: // RFC 4513, 5.1.2: the client has forgotten the password, and would take this for a log-in
		return c.bound(wire.UnwillingToPerform, "a bind with a name needs a password")
	case !c.mayLogIn():
		return c.bound(wire.ConfidentialityRequired, "log in over TLS only")
	}
	return c.logIn(ctx, auth.Request{Mechanism: auth.MechanismPlain, User: userOf(b.Name), Password: auth.NewSecret(string(b.Password))}, mechanismSimple)
}

func (c *conn) mayLogIn() bool { return c.secure || c.srv.opt.InsecureBind }

func (c *conn) bound(code wire.Code, text string) error {
	return c.result(wire.BindResponse, &wire.Result{Code: code, Text: text})
}

// userOf is the user name that a bind names: the address in an entry's name, else the text itself, which may be any form of a log-in.
func userOf(name []byte) string {
	text := string(name)
	dn, err := ldap.ParseDN(text)
	if err != nil || len(dn.RDNs) == 0 || len(dn.RDNs[0].Attributes) != 1 {
		return text
	}
	if first := dn.RDNs[0].Attributes[0]; schema.Lookup([]byte(first.Type)) == schema.Mail {
		return first.Value
	}
	return text
}

// bindSASL goes on with an exchange, or begins one.
func (c *conn) bindSASL(ctx context.Context, going saslState) error {
	b := &c.req.Bind
	mechanism := string(b.Mechanism)
	if going.refused && going.mechanism == mechanism {
		return c.bound(wire.InvalidCredentials, "")
	}
	if going.exchange == nil || going.mechanism != mechanism {
		exchange, err := auth.NewExchange(mechanism)
		switch {
		case err != nil || !offered(mechanism) || !slices.Contains(c.srv.opt.Auth.Mechanisms(), mechanism):
			return c.bound(wire.AuthMethodNotSupported, "this mechanism is not known here")
		case !c.mayLogIn():
			return c.bound(wire.ConfidentialityRequired, "log in over TLS only")
		}
		going = saslState{mechanism: mechanism, exchange: exchange}
	}
	challenge, request, err := going.exchange.Next(b.Credentials)
	switch {
	case err != nil:
		return c.failed(wire.InvalidCredentials, "this is not what the mechanism asks for")
	case request == nil:
		c.sasl = going
		return c.result(wire.BindResponse, &wire.Result{Code: wire.SASLBindInProgress, Credentials: challenge})
	}
	if conn, ok := c.nc.(*tls.Conn); ok {
		request.Certificates = conn.ConnectionState().PeerCertificates
	}
	return c.logIn(ctx, *request, mechanism)
}

// offered tells whether a mechanism is one of LDAP's: LOGIN and XOAUTH2 never were.
func offered(mechanism string) bool {
	return mechanism != auth.MechanismLogin && mechanism != auth.MechanismXOAuth2
}

// logIn asks who it is.
func (c *conn) logIn(ctx context.Context, req auth.Request, mechanism string) error {
	s := c.srv
	req.Remote, req.Protocol, req.Session = c.client.Addr(), protocol, c.id
	result, err := s.opt.Auth.Authenticate(ctx, req)
	if err != nil {
		return c.refuse(ctx, mechanism, err)
	}
	login := bindKey{result.Person.ID, result.Mailbox.ID, c.client.Addr().String(), result.Means.ID}
	if s.binds.first(login) {
		err := c.trace(ctx, audit.Record{
			Action: audit.Login, Person: party(result.Person), Mailbox: party(result.Mailbox), Request: "BIND " + mechanism, Answer: "success",
			Means: result.Means.String(),
		})
		if err != nil {
			s.binds.undo(login)
			c.logger().ErrorContext(ctx, "a log-in could not be traced", slog.Any("error", err))
			return c.bound(wire.Unavailable, "the log-in cannot be recorded now")
		}
	}
	s.metrics.logins.WithLabelValues("ok").Inc()
	c.failures = 0
	c.who.Store(&identity{result.Person, result.Mailbox, result.Person.ID, result.Mailbox.ID, result.Means})
	c.forget = s.opt.Sessions.Add(c.id, c)
	if view := s.opt.Directory.View(); view != nil {
		c.Recheck(view.Snapshot) // a reload may have passed between
	}
	return c.bound(wire.Success, "")
}

// refuse answers a failed log-in: the same to all who are refused, the true reason in the trace alone. What is not the client's fault is never 49, for which
// mail clients forget the password.
func (c *conn) refuse(ctx context.Context, mechanism string, err error) error {
	record := audit.Record{Action: audit.Refusal, Request: "BIND " + mechanism}
	code, text, outcome := wire.Unavailable, "log-ins cannot be checked now; try again later", "temporary"
	var refusal *auth.Refusal
	var unavailable *auth.Unavailable
	switch {
	case errors.As(err, &refusal):
		code, text, outcome = wire.InvalidCredentials, "", "refused"
		record.Person, record.Mailbox, record.Reason = party(refusal.Person), party(refusal.Mailbox), refusal.Reason.Text
		c.logger().WarnContext(ctx, "login refused", slog.String("reason", string(refusal.Reason.Code)))
	case errors.As(err, &unavailable):
		record.Person, record.Reason = party(unavailable.Person), unavailable.Reason.Text
		if unavailable.Reason.Code == policy.ReasonThrottled {
			code, text = wire.Busy, "too many failed log-ins; try again later"
		}
	case ctx.Err() != nil:
		return errClose
	}
	c.srv.metrics.logins.WithLabelValues(outcome).Inc()
	record.Answer = code.String()
	if terr := c.trace(ctx, record); terr != nil {
		c.logger().ErrorContext(ctx, "a refused log-in could not be traced", slog.Any("error", terr))
		return c.bound(wire.Unavailable, "the log-in cannot be recorded now")
	}
	if failure := auth.Failure(mechanism); failure != nil && code == wire.InvalidCredentials && c.failures+1 < maxFailures {
		c.failures++ // now: a client need not come back for the refusal
		c.sasl = saslState{mechanism: mechanism, refused: true}
		return c.result(wire.BindResponse, &wire.Result{Code: wire.SASLBindInProgress, Credentials: failure})
	}
	return c.failed(code, text)
}

// failed answers what did not become a log-in, and ends a connection on which that happened too often.
func (c *conn) failed(code wire.Code, text string) error {
	if err := c.bound(code, text); err != nil {
		return err
	}
	if c.failures++; c.failures < maxFailures {
		return nil
	}
	c.disconnect(wire.UnwillingToPerform, "too many failed log-ins")
	return errClose
}

// party is an account in the trace; nil is nobody.
func party(a *policy.Account) audit.Party {
	if a == nil {
		return audit.Party{}
	}
	return audit.Party{ID: a.ID, Address: a.Address}
}

func (c *conn) trace(ctx context.Context, r audit.Record) error {
	r.Time, r.Protocol, r.Session = c.srv.opt.Now(), protocol, c.id
	if c.client.IsValid() {
		r.Client = c.client.String()
	}
	return c.srv.opt.Trace.Append(ctx, r)
}

// bindPeriod is how long one record of a log-in stands for all that repeat it: address books connect anew for every letter that is typed, and a record for each would
// bury what the trace is for.
const bindPeriod = 10 * time.Minute

// maxBinds bounds what is remembered of log-ins.
const maxBinds = 100_000

// bindTrace knows which log-ins were recorded lately.
type bindTrace struct {
	now func() time.Time

	mu    *sync.Mutex
	since map[bindKey]time.Time
}

type bindKey struct {
	person, mailbox mail.AccountID
	client          string
	credential      string
}

func newBindTrace(now func() time.Time) bindTrace {
	return bindTrace{now, new(sync.Mutex), make(map[bindKey]time.Time)}
}

// first tells whether a log-in is to be recorded.
func (t *bindTrace) first(k bindKey) bool {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.since[k]; ok && now.Sub(at) < bindPeriod && !now.Before(at) {
		return false
	}
	if len(t.since) >= maxBinds {
		clear(t.since) // they are recorded once more
	}
	t.since[k] = now
	return true
}

// undo forgets a log-in that was not recorded.
func (t *bindTrace) undo(k bindKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, k)
}

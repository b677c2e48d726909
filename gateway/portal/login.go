package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/audit"
)

// loginPage shows the form. What was typed before is not shown again: the next one at the machine need not see it.
func (p *Portal) loginPage(c *call) {
	if c.live != nil {
		c.redirect("/")
		return
	}
	v := view{}
	if c.r.URL.Query().Has("out") {
		v.Done = c.L("Vous êtes déconnecté.", "You are logged out.")
	}
	if c.r.URL.Query().Has("active") {
		v.Done = c.L("Votre compte est actif : connectez-vous.", "Your account is active: log in.")
	}
	c.loginForm(http.StatusOK, v)
}

func (c *call) loginForm(status int, v view) {
	v.Title, v.Body = c.L("Connexion", "Log in"), c.p.providerBody(c.live == nil && c.r.URL.Query().Has("out"))
	c.show(status, "login", v)
}

// client is where a request comes from.
func (c *call) client() netip.AddrPort {
	from, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// login takes the form.
func (p *Portal) login(c *call) {
	user, password := c.r.PostFormValue("user"), auth.NewSecret(c.r.PostFormValue("password"))
	if user == "" || password.IsEmpty() {
		c.loginForm(http.StatusUnprocessableEntity, view{Fault: c.L("Indiquez votre adresse et votre mot de passe.", "Give your address and your password.")})
		return
	}
	switch status, fault := p.logIn(c, user, password); status {
	case http.StatusOK:
		c.redirect("/")
	default:
		c.loginForm(status, view{Fault: fault})
	}
}

// logIn asks who it is, writes it down, and gives the browser a session of its own; the one it had ends. It answers StatusOK, or another
// with what to tell the person: the same to all who are refused.
func (p *Portal) logIn(c *call, user string, password auth.Secret) (status int, fault string) {
	result, err := p.opt.Auth.Authenticate(c.r.Context(), auth.Request{
		Mechanism: auth.MechanismPlain, User: user, Password: password, Remote: c.client().Addr(), Protocol: protocol,
	})
	return p.enter(c, result, err)
}

// enter gives the browser of whoever was authenticated a session of its own, or tells why there is none.
func (p *Portal) enter(c *call, result auth.Result, err error) (status int, fault string) {
	if err == nil && (result.Means.Method == policy.MethodToken || !result.Person.Kind.Nominative()) {
		// A device's token is refused by its scopes already; whatever else changes, it must never get here.
		err = &auth.Refusal{Person: result.Person, Reason: policy.Reason{Code: policy.ReasonTokenScope, Text: "the portal is for people with a password"}}
	}
	if err != nil {
		return p.refuse(c, err)
	}
	former := c.live
	l, secret := p.start(c.client(), result)
	c.live, c.who = l, result.Person
	err = c.trace(audit.Record{Action: audit.Login, Mailbox: party(result.Person), Request: "LOGIN", Answer: "OK", Means: result.Means.String()})
	if err != nil {
		l.End("")
		c.live, c.who = nil, nil
		p.opt.Logger.ErrorContext(c.r.Context(), "a log-in could not be traced", slog.String("protocol", protocol), slog.Any("error", err))
		return http.StatusServiceUnavailable, c.later()
	}
	if former != nil {
		former.End("")
	}
	p.metrics.logins.WithLabelValues("ok").Inc()
	http.SetCookie(c.w, cookie(secret))
	return http.StatusOK, ""
}

func (c *call) later() string {
	return c.L("La connexion ne peut pas être vérifiée pour le moment. Réessayez dans une minute.", "The log-in cannot be checked at the moment. Try again in a minute.")
}

// refuse writes down the true reason and tells none.
func (p *Portal) refuse(c *call, err error) (status int, fault string) {
	record := audit.Record{Action: audit.Refusal, Request: "LOGIN", Answer: "refused"}
	status, fault, outcome := http.StatusUnauthorized, c.L("Adresse ou mot de passe incorrect.", "Wrong address or password."), "refused"
	var refusal *auth.Refusal
	var unavailable *auth.Unavailable
	switch {
	case errors.As(err, &refusal):
		record.Person, record.Mailbox, record.Reason = party(refusal.Person), party(refusal.Mailbox), refusal.Reason.Text
		p.opt.Logger.WarnContext(c.r.Context(), "login refused", slog.String("client", c.client().String()), slog.String("protocol", protocol), slog.String("reason", string(refusal.Reason.Code)))
	case errors.As(err, &unavailable):
		status, fault, outcome = http.StatusServiceUnavailable, c.later(), "temporary"
		record.Person, record.Reason = party(unavailable.Person), unavailable.Reason.Text
		if unavailable.Reason.Code == policy.ReasonThrottled {
			status, fault = http.StatusTooManyRequests, c.L("Trop d’essais. Réessayez dans une minute.", "Too many attempts. Try again in a minute.")
		}
	default:
		status, fault, outcome = http.StatusServiceUnavailable, c.later(), "temporary"
		record.Reason = "the credentials could not be checked"
	}
	p.metrics.logins.WithLabelValues(outcome).Inc()
	record.Protocol, record.Client = protocol, c.r.RemoteAddr
	if terr := p.opt.Trace.Append(c.r.Context(), record); terr != nil {
		p.opt.Logger.ErrorContext(c.r.Context(), "a refused log-in could not be traced", slog.String("protocol", protocol), slog.Any("error", terr))
		return http.StatusServiceUnavailable, c.later()
	}
	return status, fault
}

// logout ends the session.
func (p *Portal) logout(c *call) {
	c.live.End("")
	http.SetCookie(c.w, cookie(""))
	c.redirect("/login?out")
}

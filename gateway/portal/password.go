package portal

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"balorg/policy/auth"
	"balorg/store/audit"
)

// passwordBody is what the pages that set a password show.
type passwordBody struct {
	Shortest int
	Action   string // where the form goes
}

func (p *Portal) passwordPage(c *call) {
	v := view{}
	if c.r.URL.Query().Has("saved") {
		v.Done = c.L("Votre mot de passe est changé. Indiquez-le aussi à vos logiciels de messagerie.", "Your password is changed. Tell your mail programs, too.")
	}
	c.passwordForm(http.StatusOK, v)
}

func (c *call) passwordForm(status int, v view) {
	v.Title = c.L("Mot de passe", "Password")
	v.Body = passwordBody{Shortest: c.p.opt.Shortest, Action: "/password"}
	c.show(status, "password", v)
}

// password changes the password of who knows the old one. All sessions that began with that one end, the browser's own as well, which gets
// another.
func (p *Portal) password(c *call) {
	former, next := auth.NewSecret(c.r.PostFormValue("former")), auth.NewSecret(c.r.PostFormValue("next"))
	if fault := c.unfit(next); fault != "" {
		c.passwordForm(http.StatusUnprocessableEntity, view{Fault: fault})
		return
	}
	result, err := p.opt.Auth.Authenticate(c.r.Context(), auth.Request{
		Mechanism: auth.MechanismPlain, User: string(c.who.Address), Password: former, Remote: c.client().Addr(), Protocol: protocol, Session: c.live.info.ID,
	})
	if err == nil && result.Person.ID != c.who.ID {
		err = &auth.Refusal{Person: c.who}
	}
	if err != nil {
		status, fault := p.refuse(c, err)
		if status == http.StatusUnauthorized {
			status, fault = http.StatusUnprocessableEntity, c.L("L’ancien mot de passe est incorrect.", "The old password is wrong.")
		}
		c.passwordForm(status, view{Fault: fault})
		return
	}
	switch err := p.opt.Auth.SetPassword(c.r.Context(), c.who.ID, next); {
	case errors.Is(err, auth.ErrWeakPassword):
		c.passwordForm(http.StatusUnprocessableEntity, view{Fault: c.weak()})
		return
	case err != nil:
		c.broken("setting a password", err)
		return
	}
	if err := c.trace(audit.Record{Action: audit.Administer, Mailbox: party(c.who), Request: "change password", Answer: "OK"}); err != nil {
		c.broken("tracing a change of password", err)
		return
	}
	if status, _ := p.logIn(c, string(c.who.Address), next); status != http.StatusOK {
		c.redirect("/login") // the password is changed all the same
		return
	}
	c.redirect("/password?saved")
}

// unfit says what is wrong with a new password before anything is asked, or nothing.
func (c *call) unfit(next auth.Secret) string {
	switch {
	case next.Reveal() != c.r.PostFormValue("again"):
		return c.L("Les deux saisies du nouveau mot de passe diffèrent.", "The new password was typed differently the second time.")
	case utf8.RuneCountInString(next.Reveal()) < c.p.opt.Shortest:
		return c.weak()
	case strings.EqualFold(next.Reveal(), c.r.PostFormValue("former")):
		return c.L("Le nouveau mot de passe est l’ancien.", "The new password is the old one.")
	}
	return ""
}

func (c *call) weak() string {
	return c.L("Ce mot de passe ne convient pas : lisez les règles ci-dessous.", "This password cannot be used: read the rules below.")
}

// activationPage shows the form to who was mailed a link. Whether the link still holds is said when it is used: a page that is only looked at, as
// mail scanners do, uses nothing up.
func (p *Portal) activationPage(c *call) { c.activationForm(http.StatusOK, view{}) }

func (c *call) activationForm(status int, v view) {
	c.w.Header().Set("Referrer-Policy", "no-referrer") // the address of the page is the secret
	c.live, c.who = nil, nil                           // whoever is logged in on the machine has nothing to do with it
	v.Title = c.L("Activer votre messagerie", "Activate your mailbox")
	v.Body = passwordBody{Shortest: c.p.opt.Shortest, Action: c.r.URL.Path}
	c.show(status, "activation", v)
}

// activation sets the first password.
func (p *Portal) activation(c *call) {
	next := auth.NewSecret(c.r.PostFormValue("next"))
	if fault := c.unfit(next); fault != "" {
		c.activationForm(http.StatusUnprocessableEntity, view{Fault: fault})
		return
	}
	switch err := p.opt.Activate(c.r.Context(), c.r.PathValue("secret"), next); {
	case errors.Is(err, auth.ErrWeakPassword):
		c.activationForm(http.StatusUnprocessableEntity, view{Fault: c.weak()})
	case errors.Is(err, ErrNoLink):
		c.activationForm(http.StatusGone, view{Fault: c.L("Ce lien n’est plus valable : il a servi, ou a plus de sept jours. Demandez-en un autre à votre administrateur.", "This link is no longer valid: it has been used, or is older than seven days. Ask your administrator for another.")})
	case err != nil:
		c.broken("activating an account", err)
	default:
		c.redirect("/login?active")
	}
}

// ErrNoLink is the answer to an activation link that is none, or no longer.
var ErrNoLink = errors.New("no such activation link")

// Activate sets the first password of the account that an activation link is for. An error is ErrNoLink, auth.ErrWeakPassword, or a fault of
// ours.
type Activate func(ctx context.Context, secret string, password auth.Secret) error

package portal

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"balorg/policy/auth"
)

// Provider is an OpenID provider at which people log in.
type Provider interface {
	Depart(ctx context.Context, redirectURI string) (auth.Departure, error)
	Arrive(ctx context.Context, arrived auth.Arrival) (auth.Result, error)
	// Leave is where a browser logs out there, too; empty where that is not known.
	Leave(redirectURI string) string
}

// ProviderOptions say how people log in at an OpenID provider.
type ProviderOptions struct {
	Provider
	Name string
	Base func() (string, error) // the address of the pages, to which the provider sends people back
}

// The pages of the way to the provider and back. Both are asked for by GET: browsers follow a form to no other site (form-action), and a log-in
// that another site begins ends in the same session as one that the person begins.
const (
	departPath = "/login/provider"
	returnPath = "/login/return"
)

// departCookie holds what the browser keeps until it comes back. It is Lax: the way back begins at the provider's site.
const departCookie = "__Host-balorg-login"

// departTime is how long somebody may take at the provider.
const departTime = 10 * time.Minute

func keeping(secret string) *http.Cookie {
	c := &http.Cookie{
		Name: departCookie, Value: secret, Path: "/", MaxAge: int(departTime.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// depart sends the browser to the provider.
func (p *Portal) depart(c *call) {
	base, err := p.opt.Provider.Base()
	if err != nil {
		c.broken("naming the way back from the OpenID provider", err)
		return
	}
	way, err := p.opt.Provider.Depart(c.r.Context(), base+returnPath)
	if err != nil {
		p.opt.Logger.WarnContext(c.r.Context(), "nobody can log in at the OpenID provider", slog.String("protocol", protocol), slog.Any("error", err))
		c.loginForm(http.StatusServiceUnavailable, view{Fault: c.later()})
		return
	}
	http.SetCookie(c.w, keeping(way.Kept.Reveal()))
	c.redirect(way.URL)
}

// arrive takes the browser back. The answer is a page that goes on by itself, not a redirect: the way here began at another site, from which browsers
// do not send the session's cookie (SameSite=Strict) along any redirect.
func (p *Portal) arrive(c *call) {
	query := c.r.URL.Query()
	kept := ""
	if cookie, err := c.r.Cookie(departCookie); err == nil {
		kept = cookie.Value
	}
	http.SetCookie(c.w, keeping(""))
	base, err := p.opt.Provider.Base()
	if err != nil {
		c.broken("naming the way back from the OpenID provider", err)
		return
	}
	result, err := p.opt.Provider.Arrive(c.r.Context(), auth.Arrival{
		Kept: auth.NewSecret(kept), State: query.Get("state"), Code: auth.NewSecret(query.Get("code")), Error: query.Get("error"), Issuer: query.Get("iss"),
		RedirectURI: base + returnPath,
	})
	status, fault := p.enter(c, result, err)
	switch status {
	case http.StatusOK:
		c.w.Header().Set("Refresh", "0; url=/")
		c.show(http.StatusOK, "arrived", view{Title: c.L("Vous êtes connecté", "You are logged in")})
	case http.StatusUnauthorized:
		c.loginForm(status, view{Fault: c.L(
			"Cette connexion n’ouvre aucun compte ici, ou a expiré. Recommencez, ou demandez à votre administrateur.",
			"This log-in opens no account here, or has expired. Try again, or ask your administrator.")})
	default:
		c.loginForm(status, view{Fault: fault})
	}
}

// providerBody is what the log-in page says of the provider.
type providerBody struct {
	Name  string // empty: nobody logs in there
	Leave string // where to log out there, too; empty: not offered
}

func (p *Portal) providerBody(left bool) providerBody {
	if p.opt.Provider == nil {
		return providerBody{}
	}
	b := providerBody{Name: p.opt.Provider.Name}
	if base, err := p.opt.Provider.Base(); err == nil && left {
		b.Leave = p.opt.Provider.Leave(base + "/login")
	}
	return b
}

package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
)

// Tokens are device tokens, each of one person.
type Tokens interface {
	// Add makes one; the secret is told this once. No mailbox means what the person's password opens.
	Add(ctx context.Context, person mail.Address, name string, scopes []string, mailbox mail.Address) (secret string, err error)
	List(ctx context.Context, person mail.Address) ([]policy.Token, error)
	// Revoke ends one, and the sessions that use it.
	Revoke(ctx context.Context, person mail.Address, id string) error
}

const (
	// maxName bounds a device's name, in characters.
	maxName = 64
	// maxTokens bounds how many devices a person has.
	maxTokens = 50
)

// devicesBody is what the page of devices shows.
type devicesBody struct {
	Tokens    []device
	Mailboxes []policy.Access
	Secret    string // of the one that was just made; shown this once
	Name      string // its name, or what was typed for one
}

type device struct {
	policy.Token
	Protocols string
	Mailbox   string // its label; empty: as with the password
	Expired   bool
}

func (p *Portal) devicesPage(c *call) {
	v := view{}
	if c.r.URL.Query().Has("revoked") {
		v.Done = c.L("L’appareil est révoqué et déconnecté.", "The device is revoked and disconnected.")
	}
	c.devices(http.StatusOK, v, devicesBody{})
}

func (c *call) devices(status int, v view, body devicesBody) {
	tokens, err := c.p.opt.Tokens.List(c.r.Context(), c.who.Address)
	if err != nil {
		c.broken("listing device tokens", err)
		return
	}
	for _, t := range tokens {
		d := device{Token: t, Expired: t.Expired(time.Now(), c.p.opt.Unused)}
		var protocols []string
		for _, s := range t.Scopes {
			protocols = append(protocols, map[policy.Scope]string{
				policy.ScopeIMAP: c.L("lire", "read"), policy.ScopeSMTP: c.L("envoyer", "send"), policy.ScopeLDAP: c.L("annuaire", "directory"),
			}[s])
		}
		d.Protocols = strings.Join(protocols, ", ")
		if t.Mailbox != "" {
			d.Mailbox = "–"
			if box, ok := c.snap.ByID(t.Mailbox); ok {
				d.Mailbox = box.Label
			}
		}
		body.Tokens = append(body.Tokens, d)
	}
	body.Mailboxes = c.snap.Mailboxes(c.who.ID)
	v.Title, v.Body = c.L("Mes appareils", "My devices"), body
	c.show(status, "devices", v)
}

// addDevice makes a token and shows it.
func (p *Portal) addDevice(c *call) {
	name := strings.TrimSpace(c.r.PostFormValue("name"))
	body := devicesBody{Name: name}
	scopes, mailbox, fault := c.readDevice(name)
	if fault != "" {
		if !printable(name) {
			body.Name = ""
		}
		c.devices(http.StatusUnprocessableEntity, view{Fault: fault}, body)
		return
	}
	secret, err := p.opt.Tokens.Add(c.r.Context(), c.who.Address, name, scopes, mailbox)
	if err != nil {
		c.broken("making a device token", err)
		return
	}
	if err := c.trace(audit.Record{Action: audit.Administer, Mailbox: party(c.who), Request: "device add", Answer: "OK", Means: name}); err != nil {
		c.broken("tracing a device token", err)
		return
	}
	body.Secret = secret
	c.devices(http.StatusOK, view{}, body)
}

// readDevice reads the form, or says what is wrong with it.
func (c *call) readDevice(name string) (scopes []string, mailbox mail.Address, fault string) {
	if name == "" || utf8.RuneCountInString(name) > maxName || !printable(name) {
		return nil, "", c.L("Donnez à l’appareil un nom de 64 caractères au plus.", "Give the device a name of 64 characters at most.")
	}
	scopes = c.r.PostForm["scope"]
	if _, err := policy.ParseScopes(scopes); err != nil || len(scopes) == 0 {
		return nil, "", c.L("Choisissez au moins un usage.", "Choose one use at least.")
	}
	if c.r.PostFormValue("mailbox") != "" {
		box, ok := c.account("mailbox")
		if ok && box.ID != "" {
			_, ok = c.snap.Open(c.who.ID, box.ID)
		}
		if !ok || box.ID == "" {
			return nil, "", c.L("Ce compte ne vous est pas délégué, ou plus.", "This account is not delegated to you, or no longer.")
		}
		mailbox = box.Address
	}
	tokens, err := c.p.opt.Tokens.List(c.r.Context(), c.who.Address)
	switch {
	case err != nil:
		return nil, "", c.L("Les appareils ne peuvent pas être lus pour le moment.", "The devices cannot be read at the moment.")
	case len(tokens) >= maxTokens:
		return nil, "", c.L("Vous avez trop d’appareils : révoquez ceux qui ne servent plus.", "You have too many devices: revoke those no longer used.")
	case slices.ContainsFunc(tokens, func(t policy.Token) bool { return t.Name == name }):
		return nil, "", c.L("Vous avez déjà un appareil de ce nom.", "You have a device of this name already.")
	}
	return scopes, mailbox, ""
}

func printable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// revokeDevice ends a token, of those the person has: an id of somebody else's does nothing.
func (p *Portal) revokeDevice(c *call) {
	id := c.r.PostFormValue("id")
	tokens, err := p.opt.Tokens.List(c.r.Context(), c.who.Address)
	if err != nil {
		c.broken("listing device tokens", err)
		return
	}
	i := slices.IndexFunc(tokens, func(t policy.Token) bool { return t.ID == id })
	if i >= 0 {
		if err := p.opt.Tokens.Revoke(c.r.Context(), c.who.Address, id); err != nil {
			c.broken("revoking a device token", err)
			return
		}
		if err := c.trace(audit.Record{Action: audit.Administer, Mailbox: party(c.who), Request: "device revoke", Answer: "OK", Means: tokens[i].Name}); err != nil {
			c.broken("tracing the end of a device token", err)
			return
		}
	}
	c.redirect("/devices?revoked")
}

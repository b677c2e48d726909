package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"balorg/policy"
)

// sheets are the templates of the pages, by name, each with the frame around it.
type sheets map[string]*template.Template

func readSheets() (sheets, error) {
	names, err := fs.Glob(pages, "pages/*.html")
	if err != nil {
		return nil, err
	}
	all := make(sheets)
	for _, name := range names {
		if path.Base(name) == "frame.html" {
			continue
		}
		t, err := template.ParseFS(pages, "pages/frame.html", name)
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		all[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return all, nil
}

// call is one request.
type call struct {
	p       *Portal
	w       http.ResponseWriter
	r       *http.Request
	snap    *policy.Snapshot
	live    *live           // nil: nobody is logged in
	who     *policy.Account // who is logged in
	english bool
}

// page makes a handler of what answers a call of anybody.
func (p *Portal) page(answer func(*call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{p: p, w: w, r: r, snap: p.opt.Snapshot()}
		if l := p.session(r); l != nil {
			if who, ok := whoIs(c.snap, l.person); ok {
				c.live, c.who = l, who
			}
		}
		c.english = english(c.who, r.Header.Get("Accept-Language"), p.opt.Language)
		answer(c)
	}
}

// mine is page for those who are logged in. A form must carry the session's token.
func (p *Portal) mine(answer func(*call)) http.HandlerFunc {
	return p.page(func(c *call) {
		switch {
		case c.live == nil:
			c.redirect("/login")
		case c.r.Method == http.MethodPost && !c.live.signed(c.r):
			c.fail(http.StatusForbidden)
		default:
			answer(c)
		}
	})
}

// english decides the language: the person's own, what the browser prefers, the platform's.
func english(who *policy.Account, accepted, platform string) bool {
	if who != nil && who.Language != "" {
		return who.Language == "en"
	}
	for part := range strings.SplitSeq(accepted, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch main, _, _ := strings.Cut(strings.ToLower(tag), "-"); main {
		case "fr":
			return false
		case "en":
			return true
		}
	}
	return platform == "en"
}

// view is what a template is given.
type view struct {
	English bool
	Title   string
	Page    string          // which it is, for the menu
	Who     *policy.Account // nil: nobody is logged in
	CSRF    string
	Done    string // what the person has just done
	Fault   string // what is wrong with what they sent
	Body    any
}

// L is a text in the page's language.
func (v view) L(fr, en string) string {
	if v.English {
		return en
	}
	return fr
}

// L is a text in the call's language.
func (c *call) L(fr, en string) string { return view{English: c.english}.L(fr, en) }

// show answers with a page.
func (c *call) show(status int, sheet string, v view) {
	v.English, v.Page, v.Who = c.english, sheet, c.who
	if c.live != nil {
		v.CSRF = c.live.csrf
	}
	var page bytes.Buffer
	if err := c.p.sheets[sheet].ExecuteTemplate(&page, "frame", v); err != nil {
		c.p.opt.Logger.ErrorContext(c.r.Context(), "making a page", slog.String("protocol", protocol), slog.String("page", sheet), slog.Any("error", err))
		http.Error(c.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(status)
	c.w.Write(page.Bytes()) //nolint:errcheck // the asker is gone
}

// redirect sends the browser to another page of ours after a form was taken.
func (c *call) redirect(to string) { http.Redirect(c.w, c.r, to, http.StatusSeeOther) }

// fail answers that there is no such page, or that what was asked for cannot be done.
func (c *call) fail(status int) {
	title, text := c.L("Une erreur est survenue", "Something went wrong"), c.L("Réessayez dans un instant.", "Try again in a moment.")
	switch status {
	case http.StatusNotFound:
		title, text = c.L("Page introuvable", "No such page"), c.L("Cette page n’existe pas, ou plus.", "This page does not exist, or no longer.")
	case http.StatusForbidden:
		title, text = c.L("Demande refusée", "Refused"), c.L("Le formulaire a expiré ou vient d’un autre site. Revenez à la page et recommencez.", "The form has expired or comes from another site. Go back to the page and try again.")
	case http.StatusBadRequest:
		title, text = c.L("Demande incomplète", "Incomplete request"), c.L("Revenez à la page et recommencez.", "Go back to the page and try again.")
	}
	c.show(status, "message", view{Title: title, Body: text})
}

// broken answers a fault of ours, whose cause goes to the log.
func (c *call) broken(doing string, err error) {
	c.p.opt.Logger.ErrorContext(c.r.Context(), "a page cannot be answered", slog.String("protocol", protocol), slog.String("doing", doing), slog.Any("error", err))
	c.fail(http.StatusServiceUnavailable)
}

// style answers the one style sheet.
func (p *Portal) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, pages, "pages/style.css")
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

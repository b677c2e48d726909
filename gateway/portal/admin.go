package portal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
)

// Administration is what administrators see of the daemon beside its rules and sessions.
type Administration interface {
	// LastLogins answers when each person logged in last.
	LastLogins(ctx context.Context) (map[mail.AccountID]time.Time, error)
	// Queue answers what waits to be delivered.
	Queue(ctx context.Context) ([]Queued, error)
	// Problems checks the files as they are on disk.
	Problems() []string
}

// Inviter mails activation links to those who have no password yet.
type Inviter interface {
	// Invited answers when each was mailed their latest link.
	Invited(ctx context.Context) (map[mail.AccountID]time.Time, error)
	// Invite mails another. It answers where to; nowhere when the person cannot be written to.
	Invite(ctx context.Context, person *policy.Account) (to mail.Address, err error)
}

// Queued is what waits for one recipient.
type Queued struct {
	Message   string // its id
	Mailbox   mail.Address
	Recipient string
	Accepted  time.Time
	Attempts  int
	Next      time.Time
	Reply     string // of the next hop, or what went wrong
	Held      bool
}

// Export writes the accounts that a filter selects as a table, csv or xlsx.
type Export func(w io.Writer, format string, f policy.Filter) error

// mostRows bounds what one page lists; beyond it one searches.
const mostRows = 500

// admins makes a handler of a page of administrators. To others there is none.
func (p *Portal) admins(answer func(*call)) http.HandlerFunc {
	return p.mine(func(c *call) {
		if !c.who.Admin {
			c.fail(http.StatusNotFound)
			return
		}
		answer(c)
	})
}

// adminBody is what the pages of administrators show.
type adminBody struct {
	Sub       string // which of them
	Rows      any
	Count     int // of rows, those included that are not shown
	Filter    policy.Filter
	States    []policy.State
	Kinds     []policy.Kind
	Exports   []exported
	Persons   []*policy.Account
	Mailboxes []*policy.Account
}

// exported is a link to the list as a file. The address is made whole here: a part of one would be escaped by the template as a value.
type exported struct{ Format, Address string }

func (c *call) showAdmin(title string, body adminBody) {
	c.show(http.StatusOK, "admin", view{Title: title, Body: body})
}

// user is an account in the list of users.
type user struct {
	*policy.Account
	Last    time.Time // of the last log-in; zero: not since it is noted
	Invited time.Time // of the last activation link; zero: none
	Waits   bool      // for the person to activate it
}

func filterOf(query url.Values) policy.Filter {
	return policy.Filter{State: policy.State(query.Get("state")), Kind: policy.Kind(query.Get("kind")), Text: query.Get("q")}
}

func (p *Portal) users(c *call) {
	v := view{}
	if c.r.URL.Query().Has("reminded") {
		v.Done = c.L("Le lien d’activation est envoyé.", "The activation link is sent.")
	}
	p.listUsers(c, http.StatusOK, v)
}

func (p *Portal) listUsers(c *call, status int, v view) {
	f := filterOf(c.r.URL.Query())
	last, err := p.opt.Administration.LastLogins(c.r.Context())
	if err != nil {
		c.broken("reading the last log-ins", err)
		return
	}
	invited, err := p.opt.Inviter.Invited(c.r.Context())
	if err != nil {
		c.broken("reading the invitations", err)
		return
	}
	body := adminBody{
		Sub: "users", Filter: f, States: []policy.State{policy.Active, policy.Preregistered, policy.Suspended, policy.Closed},
		Kinds: []policy.Kind{policy.Per, policy.Med, policy.Org, policy.App},
	}
	if p.opt.Export != nil {
		query := url.Values{"q": {f.Text}, "state": {string(f.State)}, "kind": {string(f.Kind)}}.Encode()
		for _, format := range []string{"csv", "xlsx"} {
			body.Exports = append(body.Exports, exported{format, "/admin/comptes." + format + "?" + query})
		}
	}
	var rows []user
	for _, a := range c.snap.Accounts() {
		if !f.Matches(a) {
			continue
		}
		body.Count++
		if len(rows) < mostRows {
			rows = append(rows, user{a, last[a.ID].Local(), invited[a.ID].Local(), a.State == policy.Preregistered})
		}
	}
	body.Rows = rows
	v.Title, v.Body = c.L("Utilisateurs", "Users"), body
	c.show(status, "admin", v)
}

// remind mails another activation link to somebody who has not used theirs.
func (p *Portal) remind(c *call) {
	person, ok := c.account("address")
	if !ok || person.State != policy.Preregistered || person.ID == "" {
		c.fail(http.StatusBadRequest)
		return
	}
	to, err := p.opt.Inviter.Invite(c.r.Context(), person)
	switch {
	case err != nil:
		c.broken("inviting somebody", err)
	case to == "":
		p.listUsers(c, http.StatusUnprocessableEntity, view{Fault: c.L(
			"Aucun message ne peut être envoyé à cette personne : « balorg account invite » affiche un lien à lui remettre.",
			"This person cannot be written to: “balorg account invite” shows a link to hand over.")})
	default:
		if err := c.trace(audit.Record{Action: audit.Administer, Mailbox: party(person), Request: "account remind", Answer: "OK"}); err != nil {
			c.broken("tracing a reminder", err)
			return
		}
		c.redirect("/admin?reminded")
	}
}

// export answers the accounts as a file. It is made whole first: half a list looks like a list.
func (p *Portal) export(format, kind string) func(*call) {
	return func(c *call) {
		var table bytes.Buffer
		if err := p.opt.Export(&table, format, filterOf(c.r.URL.Query())); err != nil {
			c.broken("exporting accounts", err)
			return
		}
		if err := c.trace(audit.Record{Action: audit.Administer, Mailbox: party(c.who), Request: "account export " + format, Answer: "OK"}); err != nil {
			c.broken("tracing an export", err)
			return
		}
		c.w.Header().Set("Content-Type", kind)
		c.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "comptes."+format))
		c.w.Write(table.Bytes()) //nolint:errcheck // the asker is gone
	}
}

// matrixRow is who opens one organisational mailbox, by person.
type matrixRow struct {
	Mailbox *policy.Account
	Held    []policy.Held
}

func (p *Portal) delegations(c *call) {
	var rows []matrixRow
	all := c.snap.Delegations()
	for _, held := range all {
		if len(rows) == 0 || rows[len(rows)-1].Mailbox.Address != held.Mailbox {
			mailbox, ok := c.snap.Account(held.Mailbox)
			if !ok {
				continue
			}
			if len(rows) == mostRows {
				break
			}
			rows = append(rows, matrixRow{Mailbox: mailbox})
		}
		last := &rows[len(rows)-1]
		last.Held = append(last.Held, held)
	}
	c.showAdmin(c.L("Délégations", "Delegations"), adminBody{Sub: "delegations", Rows: rows, Count: len(all)})
}

func (p *Portal) liveSessions(c *call) {
	all := p.opt.Sessions.List()
	rows := all[:min(len(all), mostRows)]
	c.showAdmin(c.L("Sessions ouvertes", "Live sessions"), adminBody{Sub: "sessions", Rows: rows, Count: len(all)})
}

func (p *Portal) queue(c *call) {
	all, err := p.opt.Administration.Queue(c.r.Context())
	if err != nil {
		c.broken("reading the queue", err)
		return
	}
	c.showAdmin(c.L("File d’attente", "Queue"), adminBody{Sub: "queue", Rows: all[:min(len(all), mostRows)], Count: len(all)})
}

func (p *Portal) problems(c *call) {
	all := p.opt.Administration.Problems()
	c.showAdmin(c.L("Fichiers", "Files"), adminBody{Sub: "files", Rows: all, Count: len(all)})
}

// adminRoutes adds the pages of administrators.
func (p *Portal) adminRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin", p.admins(p.users))
	mux.HandleFunc("POST /admin/remind", p.admins(p.remind))
	mux.HandleFunc("GET /admin/delegations", p.admins(p.delegations))
	mux.HandleFunc("GET /admin/sessions", p.admins(p.liveSessions))
	mux.HandleFunc("GET /admin/queue", p.admins(p.queue))
	mux.HandleFunc("GET /admin/files", p.admins(p.problems))
	if p.opt.Export != nil {
		mux.HandleFunc("GET /admin/comptes.csv", p.admins(p.export("csv", "text/csv; charset=utf-8")))
		mux.HandleFunc("GET /admin/comptes.xlsx", p.admins(p.export("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))
	}
}

// State says in words how far an account is in use.
func (v view) State(s policy.State) string {
	switch s {
	case policy.Active:
		return v.L("actif", "active")
	case policy.Preregistered:
		return v.L("préinscrit", "pre-registered")
	case policy.Suspended:
		return v.L("suspendu", "suspended")
	case policy.Closed:
		return v.L("fermé", "closed")
	}
	return string(s)
}

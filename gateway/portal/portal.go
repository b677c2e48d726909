// Package portal is what people see of balorg in a browser: the pages on which they look after their own accounts, and those from
// which mail programs learn their settings.
//
// What must hold: every page works without a script and none is ever run (Content-Security-Policy); what changes anything is a POST with the
// session's own token, from this very site; nobody learns from a page that an account exists which the directory hides from them; a
// password, a token or an activation link stands in no log, trace or address of another page. Decisions are policy's, on the snapshot of the
// moment, which a request takes once.
package portal

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/store/audit"
)

//go:embed pages
var pages embed.FS

// protocol is what sessions and the trace call the portal.
const protocol = "portal"

const (
	// idleTime is how long a session lives that is not used: somebody else may sit down at the machine.
	idleTime = 30 * time.Minute
	// longestTime is how long any session lives.
	longestTime = 12 * time.Hour
	// maxForm bounds what a page may be sent.
	maxForm = 64 << 10
	// maxSessions is how many sessions a person may have; beyond it the oldest ends.
	maxSessions = 16
)

// Authenticator says who somebody is.
type Authenticator interface {
	Authenticate(ctx context.Context, req auth.Request) (auth.Result, error)
	SetPassword(ctx context.Context, id mail.AccountID, password auth.Secret) error
}

// Trace is where it is written down what was done.
type Trace interface {
	Append(ctx context.Context, r audit.Record) error
	Later(r audit.Record)
	List(ctx context.Context, f audit.Filter, yield func(audit.Record) bool) error
}

// Options are what a Portal works with.
type Options struct {
	Snapshot func() *policy.Snapshot // the current one
	Auth     Authenticator
	Trace    Trace
	Sessions *session.Table
	// Choose keeps what a person has chosen, and puts it into effect.
	Choose func(ctx context.Context, choices ...policy.Choice) error
	// Unread answers how many messages of a mailbox's INBOX are unread, or false when that cannot be told in time.
	Unread         func(ctx context.Context, mailbox *policy.Account) (count int, known bool)
	Tokens         Tokens
	Provider       *ProviderOptions // nil: people log in with their passwords alone
	Activate       Activate         // nil: there are no activation links
	Shortest       int              // password that may be set, in characters
	Unused         time.Duration    // how long a device token may go unused
	Settings       Settings
	Administration Administration
	Inviter        Inviter
	Export         Export         // nil: there are no exports
	Language       string         // of the platform: fr or en; empty is fr
	Proxies        []netip.Prefix // whose word on who asks is taken
	Origin         string         // where browsers reach the pages through a proxy, such as https://host; empty: as they name it
	Logger         *slog.Logger
	Metrics        prometheus.Registerer
}

// Portal is an http.Handler.
type Portal struct {
	opt     Options
	sheets  sheets
	handler http.Handler
	metrics metrics

	mu   sync.Mutex
	live map[[sha256.Size]byte]*live // by the hash of what the browser keeps
}

// New makes a portal.
func New(opt Options) (*Portal, error) {
	p := &Portal{opt: opt, live: make(map[[sha256.Size]byte]*live), metrics: newMetrics(opt.Metrics)}
	var err error
	if p.sheets, err = readSheets(); err != nil {
		return nil, err
	}
	routes, err := p.routes()
	if err != nil {
		return nil, err
	}
	p.handler = p.fence(routes)
	return p, nil
}

// ServeHTTP answers a request.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// routes says which page answers what.
func (p *Portal) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", p.style)
	mux.HandleFunc("GET /login", p.page(p.loginPage))
	mux.HandleFunc("POST /login", p.page(p.login))
	if p.opt.Provider != nil {
		mux.HandleFunc("GET "+departPath, p.page(p.depart))
		mux.HandleFunc("GET "+returnPath, p.page(p.arrive))
	}
	mux.HandleFunc("POST /logout", p.mine(p.logout))
	mux.HandleFunc("GET /{$}", p.mine(p.home))
	mux.HandleFunc("POST /choices", p.mine(p.choose))
	mux.HandleFunc("POST /redlist", p.mine(p.redList))
	mux.HandleFunc("GET /password", p.mine(p.passwordPage))
	mux.HandleFunc("POST /password", p.mine(p.password))
	mux.HandleFunc("GET /devices", p.mine(p.devicesPage))
	mux.HandleFunc("POST /devices", p.mine(p.addDevice))
	mux.HandleFunc("POST /devices/revoke", p.mine(p.revokeDevice))
	mux.HandleFunc("GET /history", p.mine(p.history))
	mux.HandleFunc("GET /setup", p.mine(p.setup))
	mux.HandleFunc("GET /messagerie.mobileconfig", p.mine(p.profile))
	p.adminRoutes(mux)
	mux.HandleFunc("GET /mail/config-v1.1.xml", p.autoconfig)
	mux.HandleFunc("GET /.well-known/autoconfig/mail/config-v1.1.xml", p.autoconfig)
	mux.HandleFunc("POST /autodiscover/autodiscover.xml", p.autodiscover)
	mux.HandleFunc("POST /Autodiscover/Autodiscover.xml", p.autodiscover) // as Outlook writes it
	if p.opt.Activate != nil {
		mux.HandleFunc("GET /activation/{secret}", p.page(p.activationPage))
		mux.HandleFunc("POST /activation/{secret}", p.page(p.activation))
	}
	mux.HandleFunc("/", p.page(func(c *call) { c.fail(http.StatusNotFound) }))
	// A form of another site is refused, whoever is logged in: also one that logs the browser in as somebody else.
	guard := http.NewCrossOriginProtection()
	// Its pages send no referrer, for which old browsers name no origin either; who knows the link needs no other proof.
	guard.AddInsecureBypassPattern("POST /activation/{secret}")
	if p.opt.Origin != "" { // a proxy may ask for the pages under another name
		if err := guard.AddTrustedOrigin(p.opt.Origin); err != nil {
			return nil, fmt.Errorf("portal: %w", err)
		}
	}
	guard.SetDenyHandler(p.page(func(c *call) { c.fail(http.StatusForbidden) }))
	return guard.Handler(mux), nil
}

// fence sets what every answer says to the browser, bounds what is read, and keeps a fault of ours to its own request.
func (p *Portal) fence(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), r.Host)
		r.RemoteAddr = asked(r, p.opt.Proxies)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		counted := &counting{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if fault := recover(); fault != nil {
				p.metrics.panics.Inc()
				p.opt.Logger.ErrorContext(r.Context(), "a page failed", slog.String("protocol", protocol), slog.Any("fault", fault), slog.String("stack", string(debug.Stack())))
				if !counted.written {
					http.Error(counted, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
				}
			}
			p.metrics.answered(counted.status)
		}()
		next.ServeHTTP(counted, r)
	})
}

// contentPolicy lets a page load its style sheet and send its forms here; it runs and frames nothing.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(h http.Header, host string) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if !loopback(host) { // a demo must not bind other programs of the machine to TLS
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// counting knows what was answered.
type counting struct {
	http.ResponseWriter
	status  int
	written bool
}

func (c *counting) WriteHeader(status int) {
	if !c.written {
		c.status, c.written = status, true
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counting) Write(p []byte) (int, error) {
	c.written = true
	return c.ResponseWriter.Write(p)
}

// party is an account in the trace; nil is nobody.
func party(a *policy.Account) audit.Party {
	if a == nil {
		return audit.Party{}
	}
	return audit.Party{ID: a.ID, Address: a.Address}
}

// trace writes down what the person of the call did, or what was refused them.
func (c *call) trace(r audit.Record) error {
	r.Protocol, r.Client = protocol, c.r.RemoteAddr
	if c.live != nil {
		r.Session, r.Person = c.live.info.ID, party(c.who)
	}
	return c.p.opt.Trace.Append(c.r.Context(), r)
}

// account finds the account that a form names.
func (c *call) account(field string) (*policy.Account, bool) {
	address, err := mail.ParseAddress(c.r.PostFormValue(field))
	if err != nil {
		return nil, false
	}
	return c.snap.Account(address)
}

package portal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/store/audit"
)

// desk is a portal over the demo's accounts, whose passwords are the demo's.
type desk struct {
	t        *testing.T
	portal   *Portal
	server   *httptest.Server
	sessions session.Table

	mu         sync.Mutex
	snap       *policy.Snapshot
	records    []audit.Record
	method     policy.Method
	generation int   // of passwords
	fault      error // of the next log-in
	chosen     []policy.Choice
	changed    map[mail.AccountID]string // passwords that are no longer the demo's
	tokens     map[mail.Address][]policy.Token
}

func newDesk(t *testing.T, change ...func(*Options)) *desk {
	t.Helper()
	d := &desk{t: t, snap: snapshot(t, nil), method: policy.MethodPassword}
	opt := Options{
		Snapshot: d.snapshot, Auth: d, Trace: d, Sessions: &d.sessions, Logger: slog.New(slog.DiscardHandler), Choose: d.choose, Unread: unread,
		Tokens: tokensOf{d}, Activate: d.activate, Shortest: 12, Unused: 30 * 24 * time.Hour,
	}
	for _, c := range change {
		c(&opt)
	}
	var err error
	if d.portal, err = New(opt); err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewTLSServer(d.portal)
	t.Cleanup(d.server.Close)
	return d
}

// snapshot makes the rules of the demo's files, edited: old and new texts in turns.
func snapshot(t *testing.T, choices []policy.Choice, replace ...string) *policy.Snapshot {
	t.Helper()
	src := policy.Source{Mailstores: []string{"local"}}
	for name, files := range map[string]*[]configs.File{"demo/accounts.yaml": &src.Accounts, "demo/delegations.yaml": &src.Delegations} {
		data, err := configs.Examples.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		*files = []configs.File{{Name: name, Data: []byte(strings.NewReplacer(replace...).Replace(string(data)))}}
	}
	roster, problems := policy.Load(src)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var identities []policy.Identity
	for _, a := range roster.Accounts {
		identities = append(identities, policy.Identity{ID: id(a.Address.Local()), Address: a.Address, State: policy.IdentityLive})
	}
	return policy.NewSnapshot(roster, identities, choices)
}

func id(local string) mail.AccountID { return mail.AccountID("id-" + local) }

func address(local string) mail.Address { return mail.Address(local + "@clinique-des-sapins.fr") }

func (d *desk) snapshot() *policy.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snap
}

// choose puts choices into effect as the gateway does.
func (d *desk) choose(_ context.Context, choices ...policy.Choice) error {
	d.mu.Lock()
	for _, c := range choices {
		d.chosen = slices.DeleteFunc(d.chosen, func(o policy.Choice) bool {
			return o.Kind == c.Kind && o.Person == c.Person && (o.Mailbox == c.Mailbox || c.Kind == policy.ChoiceDefault)
		})
		d.chosen = append(d.chosen, c)
	}
	d.mu.Unlock()
	d.load()
	return nil
}

// load makes the rules of the demo's files anew, edited, with what was chosen.
func (d *desk) load(replace ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.snap = snapshot(d.t, d.chosen, replace...)
}

// unread knows nothing of one mailbox.
func unread(_ context.Context, mailbox *policy.Account) (int, bool) {
	return len(mailbox.Address), mailbox.Address != address("urgences")
}

// Authenticate stands for the real one, which has tests of its own.
func (d *desk) Authenticate(_ context.Context, req auth.Request) (auth.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		return auth.Result{}, d.fault
	}
	person, ok := d.snap.Account(mail.Address(req.User))
	right := ""
	if ok {
		if right = d.changed[person.ID]; right == "" {
			right = "demo-" + person.Address.Local()
		}
	}
	if !ok || req.Protocol != "portal" || req.Password.Reveal() != right {
		return auth.Result{}, &auth.Refusal{Person: person, Reason: policy.Reason{Code: policy.ReasonWrongSecret, Text: "wrong password"}}
	}
	return auth.Result{Person: person, Mailbox: person, Means: policy.Means{Method: d.method, ID: d.credential(person.ID)}}, nil
}

func (d *desk) SetPassword(_ context.Context, id mail.AccountID, password auth.Secret) error {
	if strings.Contains(password.Reveal(), "weak") {
		return auth.ErrWeakPassword
	}
	d.mu.Lock()
	if d.changed == nil {
		d.changed = make(map[mail.AccountID]string)
	}
	d.changed[id] = password.Reveal()
	d.mu.Unlock()
	d.sessions.EndCredential(d.credential(id))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	return nil
}

// credential is of the password that an account has now.
func (d *desk) credential(id mail.AccountID) string { return fmt.Sprintf("%s/%d", id, d.generation) }

// activate knows one link.
func (d *desk) activate(_ context.Context, secret string, password auth.Secret) error {
	switch {
	case secret != "LINK":
		return ErrNoLink
	case strings.Contains(password.Reveal(), "weak"):
		return auth.ErrWeakPassword
	}
	return nil
}

// Add implements Tokens, as do List and Revoke.
func (d *desk) Add(_ context.Context, person mail.Address, name string, scopes []string, mailbox mail.Address) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tokens == nil {
		d.tokens = make(map[mail.Address][]policy.Token)
	}
	t := policy.Token{ID: "token-" + name, Name: name, Created: time.Now()}
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, policy.Scope(s))
	}
	if mailbox != "" {
		t.Mailbox = id(mailbox.Local())
	}
	d.tokens[person] = append(d.tokens[person], t)
	return "bal-secret-of-" + name, nil
}

type tokensOf struct{ *desk }

func (d tokensOf) List(_ context.Context, person mail.Address) ([]policy.Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tokens[person]), nil
}

func (d tokensOf) Revoke(_ context.Context, person mail.Address, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens[person] = slices.DeleteFunc(d.tokens[person], func(t policy.Token) bool { return t.ID == id })
	return nil
}

// List implements Trace.
func (d *desk) List(_ context.Context, f audit.Filter, yield func(audit.Record) bool) error {
	d.mu.Lock()
	records := slices.Clone(d.records)
	d.mu.Unlock()
	for _, r := range records {
		if r.Mailbox.ID == f.Mailbox && !r.Time.Before(f.Since) && !yield(r) {
			return nil
		}
	}
	return nil
}

func (d *desk) Append(_ context.Context, r audit.Record) error {
	d.Later(r)
	return nil
}

func (d *desk) Later(r audit.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	d.records = append(d.records, r)
}

// traced counts records of an action.
func (d *desk) traced(action audit.Action) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		if r.Action == action {
			n++
		}
	}
	return n
}

// browser is one that follows no redirection by itself.
type browser struct {
	d      *desk
	client *http.Client
	header http.Header
}

func (d *desk) browser() *browser {
	d.t.Helper()
	client := *d.server.Client() // each its own cookies
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{d, &client, http.Header{}}
}

// page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, path, kind string, body io.Reader) page {
	b.d.t.Helper()
	req, err := http.NewRequestWithContext(b.d.t.Context(), method, b.d.server.URL+path, body)
	if err != nil {
		b.d.t.Fatal(err)
	}
	maps.Copy(req.Header, b.header)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.d.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.d.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(content)}
}

func (b *browser) get(path string) page { return b.do(http.MethodGet, path, "", nil) }

// send posts a form: names and values in turns.
func (b *browser) send(path string, fields ...string) page {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// as logs in.
func (d *desk) as(local string) *browser {
	d.t.Helper()
	b := d.browser()
	if p := b.send("/login", "user", string(address(local)), "password", "demo-"+local); p.status != http.StatusSeeOther || p.header.Get("Location") != "/" {
		d.t.Fatalf("logging in as %s: %d", local, p.status)
	}
	return b
}

var hidden = regexp.MustCompile(`name="csrf" value="([A-Z0-9]+)"`)

// csrf is the token in the forms of the session.
func (b *browser) csrf() string {
	b.d.t.Helper()
	found := hidden.FindStringSubmatch(b.get("/").body)
	if found == nil {
		b.d.t.Fatal("the page has no form with a token")
	}
	return found[1]
}

// submit is send with the session's token.
func (b *browser) submit(path string, fields ...string) page {
	b.d.t.Helper()
	return b.send(path, append(fields, "csrf", b.csrf())...)
}

// cookies are what the browser keeps.
func (b *browser) cookies() []*http.Cookie {
	at, err := url.Parse(b.d.server.URL)
	if err != nil {
		b.d.t.Fatal(err)
	}
	return b.client.Jar.Cookies(at)
}

func TestLogin(t *testing.T) {
	d := newDesk(t)
	b := d.browser()
	if p := b.get("/"); p.status != http.StatusSeeOther || p.header.Get("Location") != "/login" {
		t.Errorf("before: %d to %q", p.status, p.header.Get("Location"))
	}
	if p := b.get("/login"); p.status != http.StatusOK || !strings.Contains(p.body, `<label for="password">Mot de passe</label>`) {
		t.Errorf("the form: %d\n%s", p.status, p.body)
	}
	b = d.as("claire.durand")
	if p := b.get("/"); p.status != http.StatusOK || !strings.Contains(p.body, "Dr Claire Durand") {
		t.Errorf("after: %d\n%s", p.status, p.body)
	}
	infos := d.sessions.List()
	if len(infos) != 1 || infos[0].Person != address("claire.durand") || infos[0].Protocol != "portal" || infos[0].Until.IsZero() {
		t.Errorf("sessions: %+v", infos)
	}
	if p := b.submit("/logout"); p.header.Get("Location") != "/login?out" || len(b.cookies()) != 0 {
		t.Errorf("logging out: %d, cookies %v", p.status, b.cookies())
	}
	if d.sessions.Len() != 0 || d.traced(audit.Login) != 1 || d.traced(audit.SessionEnd) != 1 {
		t.Errorf("sessions %d, records %+v", d.sessions.Len(), d.records)
	}
}

// TestRefusals: whatever is wrong, the page says the same, and nothing is kept in the browser.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, user, password string
		set                  func(*desk)
		status               int
		text                 string
	}{
		{"wrong password", "claire.durand@clinique-des-sapins.fr", "x", nil, 401, "Adresse ou mot de passe incorrect."},
		{"nobody", "nobody@clinique-des-sapins.fr", "x", nil, 401, "Adresse ou mot de passe incorrect."},
		{"organisation", "secretariat@clinique-des-sapins.fr", "demo-secretariat", nil, 401, "Adresse ou mot de passe incorrect."},
		{"token", "claire.durand@clinique-des-sapins.fr", "demo-claire.durand", func(d *desk) { d.method = policy.MethodToken }, 401, "Adresse ou mot de passe incorrect."},
		{"nothing", "", "", nil, 422, "Indiquez votre adresse"},
		{"store down", "claire.durand@clinique-des-sapins.fr", "demo-claire.durand", func(d *desk) {
			d.fault = &auth.Unavailable{Reason: policy.Reason{Code: policy.ReasonUnavailable}}
		}, 503, "ne peut pas être vérifiée"},
		{"throttled", "claire.durand@clinique-des-sapins.fr", "demo-claire.durand", func(d *desk) {
			d.fault = &auth.Unavailable{Reason: policy.Reason{Code: policy.ReasonThrottled}}
		}, 429, "Trop d’essais"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			if tt.set != nil {
				tt.set(d)
			}
			b := d.browser()
			p := b.send("/login", "user", tt.user, "password", tt.password)
			if p.status != tt.status || !strings.Contains(p.body, tt.text) || len(b.cookies()) != 0 || d.sessions.Len() != 0 {
				t.Errorf("%d, cookies %v\n%s", p.status, b.cookies(), p.body)
			}
			if strings.Contains(p.body, "demo-") || tt.user != "" && strings.Contains(p.body, tt.user) {
				t.Error("what was typed is shown again")
			}
			if tt.user != "" && d.traced(audit.Refusal) != 1 {
				t.Errorf("records %+v", d.records)
			}
		})
	}
}

// TestHeaders: what every answer tells the browser, and what stands in no page.
func TestHeaders(t *testing.T) {
	d := newDesk(t)
	b := d.as("claire.durand")
	for _, path := range []string{"/", "/login", "/style.css", "/nothing"} {
		p := b.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "style=") {
			t.Errorf("%s holds what the policy forbids:\n%s", path, p.body)
		}
	}
	req := httptest.NewRequest(http.MethodGet, "https://mail.example.org/login", nil)
	rec := httptest.NewRecorder()
	d.portal.ServeHTTP(rec, req)
	if rec.Header().Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security outside the demo")
	}
}

// TestCookie: TLS only, no script, no other site, and never one that was there before.
func TestCookie(t *testing.T) {
	d := newDesk(t)
	b := d.browser()
	planted := &http.Cookie{Name: cookieName, Value: "PLANTED", Path: "/", Secure: true}
	at, err := url.Parse(d.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(at, []*http.Cookie{planted})
	p := b.send("/login", "user", string(address("claire.durand")), "password", "demo-claire.durand")
	set := p.header.Get("Set-Cookie")
	for _, want := range []string{cookieName + "=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(set, want) {
			t.Errorf("the cookie %q lacks %s", set, want)
		}
	}
	first := b.cookies()[0].Value
	if first == "PLANTED" {
		t.Error("a session under a name that somebody else has planted")
	}
	b.send("/login", "user", string(address("lea.petit")), "password", "demo-lea.petit")
	if second := b.cookies()[0].Value; second == first || d.sessions.Len() != 1 {
		t.Errorf("logging in again leaves the former session: %d", d.sessions.Len())
	}
}

// TestForgery: forms without the session's token, or of another site, change nothing.
func TestForgery(t *testing.T) {
	d := newDesk(t)
	b, other := d.as("claire.durand"), d.as("lea.petit")
	for _, fields := range [][]string{nil, {"csrf", ""}, {"csrf", "WRONG"}, {"csrf", other.csrf()}} {
		if p := b.send("/logout", fields...); p.status != http.StatusForbidden {
			t.Errorf("%v: %d", fields, p.status)
		}
	}
	token := b.csrf()
	b.header.Set("Sec-Fetch-Site", "cross-site")
	if p := b.send("/logout", "csrf", token); p.status != http.StatusForbidden {
		t.Errorf("from another site: %d", p.status)
	}
	stranger := d.browser()
	stranger.header.Set("Origin", "https://evil.example")
	if p := stranger.send("/login", "user", string(address("lea.petit")), "password", "demo-lea.petit"); p.status != http.StatusForbidden || len(stranger.cookies()) != 0 {
		t.Errorf("logged in by another site: %d", p.status)
	}
	if d.sessions.Len() != 2 {
		t.Errorf("%d sessions", d.sessions.Len())
	}
}

// TestEnds: a session ends when its person may not log in any more, when its password changes, and when an administrator says so.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*desk){
		"suspended": func(d *desk) {
			d.load("address: claire.durand@clinique-des-sapins.fr\n", "address: claire.durand@clinique-des-sapins.fr\n    state: suspended\n")
			d.sessions.Recheck(d.snapshot())
		},
		"password changed": func(d *desk) { d.sessions.EndCredential(d.credential(id("claire.durand"))) },
		"ended":            func(d *desk) { d.sessions.End(d.sessions.List()[0].ID, "why") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			b := d.as("claire.durand")
			end(d)
			if p := b.get("/"); p.status != http.StatusSeeOther || d.sessions.Len() != 0 {
				t.Errorf("%d, %d sessions", p.status, d.sessions.Len())
			}
		})
	}
}

// TestTimes: half an hour without use, twelve hours in all.
func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration
		lives time.Duration
	}{{"idle", idleTime, 0}, {"used", idleTime - time.Second, longestTime}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{t: t, snap: snapshot(t, nil), method: policy.MethodPassword}
				p, err := New(Options{Snapshot: d.snapshot, Auth: d, Trace: d, Sessions: &d.sessions, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				person, _ := d.snap.Account(address("claire.durand"))
				_, secret := p.start(netip.AddrPort{}, auth.Result{Person: person})
				var lived time.Duration
				for {
					<-time.After(tt.every)
					synctest.Wait()
					req := httptest.NewRequest(http.MethodGet, "/", nil)
					req.AddCookie(cookie(secret))
					if p.session(req) == nil {
						break
					}
					lived += tt.every
				}
				if lived > tt.lives || lived+tt.every < tt.lives || d.sessions.Len() != 0 {
					t.Errorf("lived %v; %d sessions", lived, d.sessions.Len())
				}
			})
		})
	}
}

// TestMany: a program that logs in again and again has a bounded number of sessions.
func TestMany(t *testing.T) {
	d := newDesk(t)
	first := d.as("claire.durand")
	for range maxSessions {
		d.as("claire.durand")
	}
	if p := first.get("/"); p.status != http.StatusSeeOther || d.sessions.Len() != maxSessions {
		t.Errorf("the oldest: %d; %d sessions", p.status, d.sessions.Len())
	}
}

func TestLanguage(t *testing.T) {
	speaks := func(language string) *policy.Account { return &policy.Account{Language: language} }
	for _, tt := range []struct {
		who      *policy.Account
		accepted string
		platform string
		want     bool
	}{
		{nil, "", "", false},
		{nil, "", "en", true},
		{nil, "de, en;q=0.8, fr;q=0.5", "", true},
		{nil, "FR-fr", "en", false},
		{speaks("fr"), "en", "en", false},
		{speaks("en"), "fr", "fr", true},
		{speaks(""), "en", "fr", true},
	} {
		if got := english(tt.who, tt.accepted, tt.platform); got != tt.want {
			t.Errorf("%+v %q %q: %v", tt.who, tt.accepted, tt.platform, got)
		}
	}
}

// TestPanic: a fault of ours is told to one browser, and counted.
func TestPanic(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Auth = nil })
	if p := d.browser().send("/login", "user", "a@example.org", "password", "x"); p.status != http.StatusInternalServerError {
		t.Errorf("%d", p.status)
	}
	if p := d.browser().get("/login"); p.status != http.StatusOK {
		t.Errorf("afterwards: %d", p.status)
	}
}

// TestTooLarge: what is sent is read to its bound only.
func TestTooLarge(t *testing.T) {
	d := newDesk(t)
	p := d.browser().send("/login", "user", strings.Repeat("a", maxForm), "password", "x")
	if p.status != http.StatusUnprocessableEntity || d.traced(audit.Refusal) != 0 {
		t.Errorf("%d", p.status)
	}
}

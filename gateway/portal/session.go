package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/store/audit"
)

// cookieName binds the cookie to this host and to TLS: browsers take a name with this prefix from nobody else.
const cookieName = "__Host-balorg"

// live is a browser that is logged in. What the browser keeps is not kept here, but its hash.
type live struct {
	p      *Portal
	key    [sha256.Size]byte
	info   session.Info
	person mail.AccountID
	csrf   string // in every form
	idle   *time.Timer

	mu     sync.Mutex
	forget func() // takes it out of the table of sessions; nil until it is in, or once it has left
	ended  bool
}

// Info implements session.Session.
func (l *live) Info() session.Info { return l.info }

// Recheck implements session.Session: what may be seen and done is asked with each page, so only whether there is still a person who
// may log in matters.
func (l *live) Recheck(snap *policy.Snapshot) {
	if _, ok := whoIs(snap, l.person); !ok {
		l.End("")
	}
}

// End implements session.Session. The browser learns it with its next request.
func (l *live) End(string) {
	l.p.mu.Lock()
	if l.p.live[l.key] == l {
		delete(l.p.live, l.key)
	}
	l.p.mu.Unlock()
	l.idle.Stop()
	l.mu.Lock()
	forget, first := l.forget, !l.ended
	l.forget, l.ended = nil, true
	l.mu.Unlock()
	if forget != nil {
		forget()
	}
	if first {
		who := audit.Party{ID: l.person, Address: l.info.Person}
		l.p.opt.Trace.Later(audit.Record{Action: audit.SessionEnd, Person: who, Mailbox: who, Protocol: protocol, Session: l.info.ID, Client: l.info.Client.String()})
	}
}

// whoIs answers the account of a person who may log in.
func whoIs(snap *policy.Snapshot, id mail.AccountID) (*policy.Account, bool) {
	account, ok := snap.ByID(id)
	if !ok {
		return nil, false
	}
	_, _, ok = snap.Login(account.Address)
	return account, ok
}

// start begins a session, always under a new secret: one that somebody else has planted in the browser opens nothing.
func (p *Portal) start(client netip.AddrPort, result auth.Result) (l *live, secret string) {
	secret = rand.Text()
	l = &live{p: p, key: sha256.Sum256([]byte(secret)), person: result.Person.ID, csrf: rand.Text()}
	now := time.Now()
	l.info = session.Info{
		ID: session.NewID(), Protocol: protocol, Person: result.Person.Address, Mailbox: result.Person.Address, Client: client, Since: now,
	}.With(result.Means)
	if until := now.Add(longestTime); l.info.Until.IsZero() || l.info.Until.After(until) {
		l.info.Until = until
	}
	l.idle = time.AfterFunc(idleTime, func() { l.End("") })
	p.mu.Lock()
	oldest := p.tooMany(l.person)
	p.live[l.key] = l
	p.mu.Unlock()
	if oldest != nil {
		oldest.End("")
	}
	forget := p.opt.Sessions.Add(l.info.ID, l)
	l.mu.Lock()
	l.forget = forget
	ended := l.ended
	l.mu.Unlock()
	if ended { // while it was added
		forget()
	}
	l.Recheck(p.opt.Snapshot()) // a reload may have passed between
	return l, secret
}

// tooMany answers the person's oldest session when they have as many as they may. The caller holds p.mu.
func (p *Portal) tooMany(person mail.AccountID) (oldest *live) {
	count := 0
	for _, l := range p.live {
		if l.person != person {
			continue
		}
		count++
		if oldest == nil || l.info.Since.Before(oldest.info.Since) {
			oldest = l
		}
	}
	if count < maxSessions {
		return nil
	}
	return oldest
}

// session answers the session of a request, and puts off its end.
func (p *Portal) session(r *http.Request) *live {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.live[sha256.Sum256([]byte(cookie.Value))]
	if l != nil && !l.idle.Reset(idleTime) {
		l.idle.Stop() // its time was over
		return nil
	}
	return l
}

// signed tells whether a form carries the session's token.
func (l *live) signed(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(l.csrf)) == 1
}

// cookie is what the browser keeps, or, with an empty secret, is to forget. It ends with the browser.
func cookie(secret string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// Package session keeps the table of live sessions, of every protocol: who is connected, as which mailbox. Rights are
// checked again when they change: after each reload the table asks every session to look at the new snapshot, and a session
// added while a reload was under way must look at it once itself, after Add.
package session

import (
	"cmp"
	"crypto/rand"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"balorg/mail"
	"balorg/policy"
)

// Info is what an administrator sees of a session.
type Info struct {
	ID       string         `json:"id"`
	Protocol string         `json:"protocol"`
	Person   mail.Address   `json:"person"`
	Mailbox  mail.Address   `json:"mailbox"` // the one opened at login
	Using    []mail.Address `json:"using"`   // those with a connection to their mail store
	Client   netip.AddrPort `json:"client"`
	Since    time.Time      `json:"since"`
	Method   policy.Method  `json:"method,omitempty"`
	Device   string         `json:"device,omitempty"` // the name of the device token

	Credential string    `json:"-"` // what it logged in with: policy.Means.ID
	Until      time.Time `json:"until,omitzero"`
}

// With is the info with what is told of the means to log in.
func (i Info) With(m policy.Means) Info {
	i.Method, i.Credential, i.Until = m.Method, m.ID, m.Until
	if m.Method == policy.MethodToken {
		i.Device = m.Name
	}
	return i
}

// Session is a live session, as the table sees it. Its methods are called from any goroutine and return at once.
type Session interface {
	Info() Info
	// Recheck ends the session, or what of it the snapshot no longer allows.
	Recheck(*policy.Snapshot)
	// End ends the session; the client is told why where the protocol can.
	End(why string)
}

// Table is the live sessions of one daemon. The zero value works.
type Table struct {
	mu       sync.Mutex
	sessions map[string]Session
	gone     map[string]time.Time // credentials that hold no more, and since when
}

const (
	// goneFor is how long a credential is remembered that holds no more: far longer than a log-in with it can still be under way.
	goneFor = 10 * time.Minute
	// whyGone is what the clients are told.
	whyGone = "What you logged in with is no longer valid"
	// whyUntil is what clients are told whose time is over.
	whyUntil = "The session has reached its longest duration; log in again"
)

// NewID makes a session's id: short enough to type, never the same twice in a daemon's life.
func NewID() string { return strings.ToLower(rand.Text()[:12]) }

// Add puts a session into the table under its id, until remove is called. It ends a session whose credential has ceased to hold
// meanwhile, and each when its time is over.
func (t *Table) Add(id string, s Session) (remove func()) {
	t.mu.Lock()
	if t.sessions == nil {
		t.sessions = make(map[string]Session)
	}
	t.sessions[id] = s
	t.mu.Unlock()
	info := s.Info()
	if t.holdsNoMore(info.Credential) {
		s.End(whyGone)
	}
	stop := func() bool { return true }
	if !info.Until.IsZero() {
		stop = time.AfterFunc(time.Until(info.Until), func() { s.End(whyUntil) }).Stop
	}
	return func() {
		stop()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.sessions, id)
	}
}

func (t *Table) holdsNoMore(credential string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, gone := t.gone[credential]
	return gone && credential != ""
}

// EndCredential ends every session that logged in with a credential, a policy.Means.ID, and those that are about to be added.
func (t *Table) EndCredential(credential string) {
	now := time.Now()
	t.mu.Lock()
	if t.gone == nil {
		t.gone = make(map[string]time.Time)
	}
	maps.DeleteFunc(t.gone, func(_ string, since time.Time) bool { return now.Sub(since) > goneFor })
	t.gone[credential] = now
	t.mu.Unlock()
	for _, s := range t.all() {
		if s.Info().Credential == credential {
			s.End(whyGone)
		}
	}
}

func (t *Table) all() []Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Session, 0, len(t.sessions))
	for _, s := range t.sessions {
		all = append(all, s)
	}
	return all
}

// List answers all live sessions, the oldest first.
func (t *Table) List() []Info {
	var infos []Info
	for _, s := range t.all() {
		infos = append(infos, s.Info())
	}
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	return infos
}

// Len is how many sessions live.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions)
}

// End ends the session with that id; it answers false when there is none.
func (t *Table) End(id, why string) bool {
	t.mu.Lock()
	s, ok := t.sessions[id]
	t.mu.Unlock()
	if ok {
		s.End(why)
	}
	return ok
}

// EndPerson ends every session of a person: their credentials changed.
func (t *Table) EndPerson(person mail.Address, why string) {
	for _, s := range t.all() {
		if s.Info().Person == person {
			s.End(why)
		}
	}
}

// Recheck has every session look at the snapshot.
func (t *Table) Recheck(snap *policy.Snapshot) {
	for _, s := range t.all() {
		s.Recheck(snap)
	}
}

// Package upstream asks another LDAP server, so that its entries can be answered along with ours (chaining): a hospital's own directory, or a proxy of the national one.
// What of it is shown is not decided here.
//
// Answers are kept for some minutes. A server that does not answer is left alone for a while, which grows: those who search wait for it once, not every time.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

// Defaults and limits.
const (
	defaultTimeout  = 3 * time.Second
	defaultLifetime = 5 * time.Minute
	maxKept         = 1000 // answers
	firstRest       = time.Second
	longestRest     = time.Minute
)

// Options say which server is asked, and how.
type Options struct {
	URL      string // ldap://host:port or ldaps://host:port
	TLS      *tls.Config
	StartTLS bool   // over ldap://
	User     string // the name to bind with; empty: anonymous
	Password string
	Base     string
	Filter   string        // what entries must match besides; empty: all
	Timeout  time.Duration // of connecting and of each search; zero: 3 s
	Lifetime time.Duration // of answers; zero: 5 minutes
	Now      func() time.Time
}

// Directory is another directory. It may be used from many goroutines.
type Directory struct {
	opt Options

	mu      sync.Mutex
	conn    *ldap.Conn
	resting time.Time     // until when nobody tries
	rest    time.Duration // the next time
	kept    map[string]answer
}

// answer is what was answered.
type answer struct {
	entries []*entry.Entry
	until   time.Time
}

// ErrResting means that the server failed a moment ago.
var ErrResting = errors.New("it has failed a moment ago, and is left alone for a while")

// New makes a directory. Nothing is asked before the first search.
func New(opt Options) *Directory {
	opt.Timeout, opt.Lifetime = cmp.Or(opt.Timeout, defaultTimeout), cmp.Or(opt.Lifetime, defaultLifetime)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Directory{opt: opt, kept: make(map[string]answer)}
}

// Close ends the connection.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop()
}

func (d *Directory) drop() {
	if d.conn != nil {
		d.conn.Close() //nolint:errcheck // nothing is waited for
		d.conn = nil
	}
}

// Search answers up to limit entries that match. Attributes that our directory does not know are left out.
func (d *Directory) Search(ctx context.Context, f *filter.Filter, limit int) ([]*entry.Entry, error) {
	text := f.String()
	if d.opt.Filter != "" {
		text = "(&" + d.opt.Filter + text + ")"
	}
	key := fmt.Sprint(limit, text)
	conn, kept, err := d.connect(key)
	if err != nil || kept != nil {
		return kept, err
	}
	result, err := d.ask(ctx, conn, text, limit)
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		d.failed(ctx, conn, err)
		return nil, fmt.Errorf("searching: %w", err)
	}
	entries := make([]*entry.Entry, 0, len(result.Entries))
	for _, e := range result.Entries {
		if converted := convert(e); converted != nil {
			entries = append(entries, converted)
		}
	}
	d.keep(key, entries)
	return entries, nil
}

// connect answers what is kept under a key, else a connection.
func (d *Directory) connect(key string) (*ldap.Conn, []*entry.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.opt.Now()
	if a, ok := d.kept[key]; ok && now.Before(a.until) {
		return nil, a.entries, nil
	}
	if d.conn != nil && !d.conn.IsClosing() {
		return d.conn, nil, nil
	}
	if now.Before(d.resting) {
		return nil, nil, ErrResting
	}
	conn, err := d.dial()
	if err != nil {
		d.rested(now)
		return nil, nil, fmt.Errorf("connecting: %w", err)
	}
	d.conn, d.rest = conn, 0
	return conn, nil, nil
}

// rested has the server left alone, longer each time.
func (d *Directory) rested(now time.Time) {
	d.rest = min(max(2*d.rest, firstRest), longestRest)
	d.resting = now.Add(d.rest/2 + rand.N(d.rest/2)) //nolint:gosec // no secret
}

func (d *Directory) dial() (*ldap.Conn, error) {
	conn, err := ldap.DialURL(d.opt.URL, ldap.DialWithTLSConfig(d.opt.TLS), ldap.DialWithDialer(&net.Dialer{Timeout: d.opt.Timeout}))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(d.opt.Timeout)
	if d.opt.StartTLS {
		err = conn.StartTLS(d.opt.TLS)
	}
	if err == nil && d.opt.User != "" {
		err = conn.Bind(d.opt.User, d.opt.Password)
	}
	if err != nil {
		conn.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return conn, nil
}

// ask searches; the library stops waiting when ctx ends.
func (d *Directory) ask(ctx context.Context, conn *ldap.Conn, text string, limit int) (*ldap.SearchResult, error) {
	request := ldap.NewSearchRequest(d.opt.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit, int(d.opt.Timeout/time.Second)+1, false, text, attributes, nil)
	result := &ldap.SearchResult{}
	response := conn.SearchAsync(ctx, request, limit)
	for response.Next() {
		if e := response.Entry(); e != nil {
			result.Entries = append(result.Entries, e)
		}
	}
	return result, response.Err()
}

// failed drops a connection that is of no use any more.
func (d *Directory) failed(ctx context.Context, conn *ldap.Conn, err error) {
	var result *ldap.Error
	if ctx.Err() != nil || (errors.As(err, &result) && result.ResultCode < ldap.ErrorNetwork && result.ResultCode != ldap.LDAPResultUnavailable) {
		return // who asked has gone, or the server has answered
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == conn {
		d.drop()
		d.rested(d.opt.Now())
	}
}

func (d *Directory) keep(key string, entries []*entry.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.opt.Now()
	if len(d.kept) >= maxKept {
		for k, a := range d.kept {
			if !now.Before(a.until) {
				delete(d.kept, k)
			}
		}
		if len(d.kept) >= maxKept {
			clear(d.kept)
		}
	}
	d.kept[key] = answer{entries, now.Add(d.opt.Lifetime)}
}

// attributes are asked for: those that ours has.
var attributes = func() (names []string) {
	for a := range schema.Count {
		if !a.Operational() {
			names = append(names, a.Name())
		}
	}
	return names
}()

// convert makes an entry of ours; nil for one that is no mailbox.
func convert(from *ldap.Entry) *entry.Entry {
	e := new(entry.Entry)
	for _, attribute := range from.Attributes {
		a := schema.Lookup([]byte(attribute.Name))
		if a == schema.None || a.Operational() || a == schema.ObjectClass {
			continue
		}
		var values []string
		for _, v := range attribute.Values {
			if _, ok := a.Fold(nil, []byte(v)); ok && len(v) <= maxValue {
				values = append(values, v)
			}
		}
		if a.Single() && len(values) > 1 {
			values = values[:1]
		}
		e.Set(a, values...)
	}
	mail := e.Values(schema.Mail)
	if len(mail) == 0 {
		return nil
	}
	name := cmp.Or(first(e.Values(schema.CN)), first(e.Values(schema.DisplayName)), mail[0])
	if len(e.Values(schema.CN)) == 0 {
		e.Set(schema.CN, name)
	}
	if len(e.Values(schema.SN)) == 0 {
		e.Set(schema.SN, name)
	}
	classes := schema.MailboxClasses()
	if len(e.Values(schema.TypeBAL)) == 0 {
		classes = classes[:len(classes)-1]
	}
	e.Set(schema.ObjectClass, classes...)
	return e
}

// maxValue bounds a value: nothing in an address book is longer.
const maxValue = 1000

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

package origin

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"balorg/imapproxy/socket"
	"balorg/mail"
)

// How long a connection that a session is done with waits for the next one, and how many wait for the same.
const (
	parkTime  = time.Minute
	parkOfOne = 4
)

// parking holds connections that are logged in and that no session uses, for the next session of the same mailbox from the same
// client address: the server was told that address. Logging in is the dearest command a server has.
type parking struct {
	mu    sync.Mutex
	conns []*Conn // the oldest first
}

// Park gives the connection back: it is logged in, nothing is selected, enabled or unanswered. It must not be used any more.
func (c *Conn) Park() {
	if c.in != nil && c.in.Buffered() > 0 || c.greeting() {
		c.Close() //nolint:errcheck // nothing is kept in it
		return
	}
	c.store.parked.add(c)
}

func (p *parking) add(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := 0
	for _, other := range p.conns {
		if other.who() == c.who() {
			same++
		}
	}
	if same >= parkOfOne {
		c.Close() //nolint:errcheck // nothing is kept in it
		return
	}
	p.conns = append(p.conns, c)
	c.expire = time.AfterFunc(parkTime, func() {
		if p.remove(c) {
			c.Close() //nolint:errcheck // as above
		}
	})
}

// parkKey is what a session must have in common with the one before.
type parkKey struct {
	mailbox mail.Address
	client  netip.Addr
}

func (c *Conn) who() parkKey { return parkKey{c.mailbox.Address, c.mailbox.Client.Addr()} }

func (p *parking) remove(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.conns, c)
	if i < 0 {
		return false
	}
	p.conns = slices.Delete(p.conns, i, i+1)
	c.expire.Stop()
	return true
}

// take answers a connection for who that still lives, or nil.
func (p *parking) take(who Who) *Conn {
	key := parkKey{who.Address, who.Client.Addr()}
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.conns, func(c *Conn) bool { return c.who() == key })
		if i < 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.conns[i]
		p.conns = slices.Delete(p.conns, i, i+1)
		c.expire.Stop()
		p.mu.Unlock()
		if c.silent() {
			return c
		}
		c.Close() //nolint:errcheck // it has ended, or says what nobody asked
	}
}

// evict closes the connection that has waited longest, and tells whether there was one: its place is wanted.
func (p *parking) evict() bool {
	p.mu.Lock()
	if len(p.conns) == 0 {
		p.mu.Unlock()
		return false
	}
	c := p.conns[0]
	p.conns = slices.Delete(p.conns, 0, 1)
	c.expire.Stop()
	p.mu.Unlock()
	c.Close() //nolint:errcheck // as above
	return true
}

// silent tells whether the server has said nothing meanwhile, neither a farewell.
func (c *Conn) silent() bool {
	conn := c.Conn
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		silent = socket.Silent(fd)
	})
	return silent && err == nil
}

package origin

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"balorg/policy/auth"
)

// server is a TCP server that logs everybody in once a connection, and counts.
type server struct {
	mu     sync.Mutex
	logins int
	conns  []net.Conn
}

func (s *server) store(t *testing.T, opt Options) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.logins++
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go func() {
				script{"* OK [CAPABILITY SASL-IR AUTH=PLAIN]", "> o1 AUTHENTICATE PLAIN " + plain(string(box), "balorg", "s3cret"), "o1 OK [CAPABILITY IMAP4rev1]"}.play(t, conn)
			}()
		}
	}()
	opt.Addresses, opt.Security, opt.Login, opt.User, opt.Password = []string{l.Addr().String()}, InsecureNone, LoginAuthzid, "balorg", auth.NewSecret("s3cret")
	store := New(opt)
	t.Cleanup(store.Close)
	return store
}

// TestPark: a connection that was given back serves the next session of the same mailbox from the same address, if it still lives.
func TestPark(t *testing.T) {
	var srv server
	s := srv.store(t, Options{MaxConnections: 2})
	here := Who{Address: box, Client: netip.MustParseAddrPort("192.0.2.7:1")}
	open := func(who Who) *Conn {
		t.Helper()
		c, err := s.Open(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 100)
		if n, err := c.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "* PREAUTH [CAPABILITY IMAP4REV1] ") {
			t.Errorf("the stream begins with %q, %v", line[:n], err)
		}
		return c
	}
	logins := func(want int) {
		t.Helper()
		srv.mu.Lock()
		defer srv.mu.Unlock()
		if srv.logins != want {
			t.Errorf("%d logins, want %d", srv.logins, want)
		}
	}
	open(here).Park()
	here.Client = netip.MustParseAddrPort("192.0.2.7:2") // another port
	c := open(here)
	logins(1)
	c.Park()
	there := here
	there.Client = netip.MustParseAddrPort("192.0.2.8:1")
	open(there).Park()
	logins(2)
	if len(s.slots) != 2 {
		t.Errorf("%d connections are counted, 2 wait", len(s.slots))
	}
	// All are taken by those that wait: the one that has waited longest makes room.
	there.Client = netip.MustParseAddrPort("192.0.2.9:1")
	open(there).Park()
	logins(3)
	// The server has left meanwhile.
	srv.mu.Lock()
	for _, conn := range srv.conns {
		conn.Write([]byte("* BYE\r\n"))
		conn.Close()
	}
	srv.mu.Unlock()
	c, err := s.Open(context.WithoutCancel(t.Context()), there)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	logins(4)
	s.Close()
	if len(s.slots) != 0 {
		t.Errorf("%d connections are counted after the end", len(s.slots))
	}
}

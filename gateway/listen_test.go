package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pipes is a listener whose connections are pipes with addresses of the test's choice.
type pipes struct {
	conns  chan net.Conn
	faults chan error
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan error), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.faults:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }
func (p *pipes) Close() error   { close(p.closed); return nil }

type addressed struct {
	net.Conn
	from netip.Addr
}

func (a addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.from, 40000))
}

// dial answers the client's end of a connection from an address.
func (p *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p.conns <- addressed{server, netip.MustParseAddr(from)}
	return client
}

// counter counts in the open.
type counter struct {
	prometheus.Counter
	n int
}

func (c *counter) Inc() { c.n++ }

const refusal = "* BYE Too many connections\r\n"

// startServer starts a service whose connections last until their client leaves or, when polite, the service stops.
func startServer(ctx context.Context, limit, perAddress int, polite bool) (*server, *pipes) {
	p := newPipes()
	s := &server{
		name: "test", refusal: refusal, max: limit, perAddress: perAddress,
		log: slog.New(slog.DiscardHandler), refused: &counter{},
		listeners: []net.Listener{p},
		serve: func(ctx context.Context, conn net.Conn) {
			if polite {
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
			}
			io.Copy(io.Discard, conn)
		},
	}
	s.start(ctx)
	return s, p
}

// turnedAway tells whether a connection was refused, and that its client was told.
func turnedAway(t *testing.T, conn net.Conn) bool {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	got, err := io.ReadAll(conn)
	switch {
	case err == nil && string(got) == refusal:
		return true
	case len(got) > 0 || err == nil:
		t.Errorf("the client read %q, %v", got, err)
	}
	return false
}

func TestConnectionsPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startServer(t.Context(), 10, 2, false)
		first := p.dial("192.0.2.1")
		for _, tt := range []struct {
			from    string
			refused bool
		}{
			{"192.0.2.1", false},
			{"192.0.2.1", true},
			{"::ffff:192.0.2.1", true}, // the same address, as a listener for both families sees it
			{"192.0.2.2", false},
			{"2001:db8::1", false},
			{"2001:db8::1", false},
			{"2001:db8::2:0:0:1", true}, // of the same /64: a client picks any
			{"2001:db8:0:1::1", false},
		} {
			if got := turnedAway(t, p.dial(tt.from)); got != tt.refused {
				t.Errorf("from %s: refused %v", tt.from, got)
			}
		}
		synctest.Wait()
		if c, ok := s.refused.(*counter); !ok || c.n != 3 {
			t.Errorf("refusals counted: %+v", s.refused)
		}
		first.Close()
		synctest.Wait()
		if turnedAway(t, p.dial("192.0.2.1")) {
			t.Error("refused although a connection has gone")
		}
		s.closeListeners()
		s.drain()
		if len(s.conns) > 0 || len(s.byClient) > 0 {
			t.Errorf("remembered after the end: %v, %v", s.conns, s.byClient)
		}
	})
}

func TestConnectionsInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startServer(t.Context(), 2, 2, false)
		first := p.dial("192.0.2.1")
		if turnedAway(t, p.dial("192.0.2.2")) || !turnedAway(t, p.dial("192.0.2.3")) {
			t.Error("not the second but the third of two is one too many")
		}
		first.Close()
		synctest.Wait()
		if turnedAway(t, p.dial("192.0.2.3")) {
			t.Error("refused although a connection has gone")
		}
		s.closeListeners()
		s.drain()
	})
}

// TestRefusalToDeafClient: who does not read the refusal holds nothing for long.
func TestRefusalToDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startServer(t.Context(), 0, 0, false)
		p.dial("192.0.2.1")
		began := time.Now()
		s.closeListeners()
		s.drain()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("held for %v", waited)
		}
	})
}

func TestDrainWaitsForSessionsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, tell := context.WithCancel(t.Context())
		s, p := startServer(ctx, 10, 10, true)
		client := p.dial("192.0.2.1")
		s.closeListeners()
		began := time.Now()
		time.AfterFunc(time.Second, tell)
		s.drain()
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v", err)
		}
	})
}

func TestDrainCutsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, tell := context.WithCancel(t.Context())
		var log strings.Builder
		s, p := startServer(ctx, 10, 10, false)
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		client := p.dial("192.0.2.1")
		synctest.Wait()
		s.closeListeners()
		tell()
		began := time.Now()
		s.drain()
		if waited := time.Since(began); waited != stopGrace {
			t.Errorf("waited %v", waited)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v", err)
		}
		if !strings.Contains(log.String(), "count=1") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// TestDrainAll: however many services have connections that do not end, the stop takes one grace.
func TestDrainAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, tell := context.WithCancel(t.Context())
		var servers []*server
		for range 3 {
			s, p := startServer(ctx, 10, 10, false)
			s.log = slog.New(slog.DiscardHandler)
			p.dial("192.0.2.1")
			servers = append(servers, s)
		}
		synctest.Wait()
		for _, s := range servers {
			s.closeListeners()
		}
		tell()
		began := time.Now()
		drainAll(servers...)
		if waited := time.Since(began); waited != stopGrace {
			t.Errorf("waited %v", waited)
		}
	})
}

// TestAcceptSurvivesFaults: running out of file descriptors for a moment ends nothing.
func TestAcceptSurvivesFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := startServer(t.Context(), 10, 10, false)
		began := time.Now()
		for range 3 {
			p.faults <- errors.New("too many open files")
		}
		client := p.dial("192.0.2.1")
		if waited := time.Since(began); waited != 3*acceptPause {
			t.Errorf("three faults took %v", waited)
		}
		if turnedAway(t, client) {
			t.Error("refused")
		}
		s.closeListeners()
		s.drain()
	})
}

func TestListenAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := &server{name: "imap"}
	err = s.listen([]string{"127.0.0.1:0", taken.Addr().String()})
	if err == nil || !strings.HasPrefix(err.Error(), "listening for imap: ") {
		t.Fatalf("%v", err)
	}
	if _, err := net.Dial("tcp", s.addresses()[0]); err == nil {
		t.Error("the first address is still open")
	}
	s = &server{name: "imap"}
	if err := s.listen([]string{"127.0.0.1:0", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	defer s.closeListeners()
	if got := s.addresses(); len(got) != 2 || got[0] == got[1] {
		t.Errorf("listening on %q", got)
	}
}

// TestListenSocket: a socket is open to other users, takes the place of one that a crash left, and of nothing else.
func TestListenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	s := &server{name: "lmtp"}
	if err := s.listen([]string{"unix:" + path}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	s.closeListeners()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = &server{name: "lmtp"}
	if err := s.listen([]string{"unix:" + path}); err == nil {
		t.Error("listening in the place of a file")
		s.closeListeners()
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Errorf("the file: %q, %v", content, err)
	}
}

// TestKeepAlive: connections that are accepted inherit how it is found out that their client is gone.
func TestKeepAlive(t *testing.T) {
	l, err := listenOn("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for option, want := range map[[2]int]int{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}:   1,
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}:  keepAliveIdle,
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}: keepAliveInterval,
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT}:   keepAliveCount,
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}:   1,
		} {
			if got, err := syscall.GetsockoptInt(int(fd), option[0], option[1]); err != nil || got != want {
				t.Errorf("option %v is %d, %v, and should be %d", option, got, err, want)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

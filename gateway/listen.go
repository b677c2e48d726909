package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/imapproxy/socket"
	"balorg/policy"
)

// stopGrace is how long connections may take to end once they have been told to.
const stopGrace = 5 * time.Second

// acceptPause is how long a listener waits after a failed accept (no file descriptors, as a rule).
const acceptPause = 100 * time.Millisecond

// server accepts connections of one service, within limits, and knows each until it has ended.
type server struct {
	name       string
	serve      func(ctx context.Context, conn net.Conn)
	refusal    string // sent to a connection over the limits
	max        int
	perAddress int
	log        *slog.Logger
	refused    prometheus.Counter

	listeners []net.Listener
	accepting sync.WaitGroup
	serving   sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]netip.Addr
	byClient map[netip.Addr]int
}

// listen opens the service's addresses; all or none.
func (s *server) listen(addresses []string) error {
	for _, address := range addresses {
		l, err := listenOn(address)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("listening for %s: %w", s.name, err)
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

// socketMode lets every user of the machine connect to a socket, as to loopback: mail servers deliver as users of their own. Whom to keep away
// is for the mode of its folder to say.
const socketMode = 0o666

func listenOn(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, unixPrefix)
	if !ok {
		return listenTCP(address)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		os.Remove(path) //nolint:errcheck // one that a crash left; what cannot be removed cannot be listened on
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close() //nolint:errcheck // nobody has connected
		return nil, fmt.Errorf("opening the socket to all: %w", err)
	}
	return l, nil
}

// How long a client's machine may say nothing before it is asked whether it is there, how often, and how many times: as Go does it.
const (
	keepAliveIdle     = 15
	keepAliveInterval = 15
	keepAliveCount    = 9
)

// listenTCP listens, and has connections inherit what would else be set on each: four system calls of a dozen that it takes to accept one.
func listenTCP(address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) {
			for _, option := range [...]struct{ level, name, value int }{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepAliveIdle},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepAliveInterval},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAliveCount},
			} {
				failed = errors.Join(failed, os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), option.level, option.name, option.value)))
			}
		})
		return errors.Join(err, failed)
	}}
	return config.Listen(context.Background(), "tcp", address)
}

func (s *server) addresses() []string {
	var all []string
	for _, l := range s.listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// start accepts until the listeners are closed. Connections see ctx.
func (s *server) start(ctx context.Context) {
	s.conns, s.byClient = make(map[net.Conn]netip.Addr), make(map[netip.Addr]int)
	for _, l := range s.listeners {
		s.accepting.Go(func() { s.accept(ctx, l) })
	}
}

func (s *server) accept(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.WarnContext(ctx, "accepting a connection", slog.Any("service", s.name), slog.Any("error", err))
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
				return
			}
			continue
		}
		conn = socket.Quick(conn)
		if !s.admit(conn) {
			s.refused.Inc()
			s.serving.Go(func() { s.turnAway(conn) })
			continue
		}
		s.serving.Go(func() {
			defer s.forget(conn)
			growStack()
			s.serve(ctx, conn)
		})
	}
}

// turnAway says why in one line, to a client that may not be reading.
func (s *server) turnAway(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(time.Second)) //nolint:errcheck // it is closed in any case
	conn.Write([]byte(s.refusal))                 //nolint:errcheck // as above
	conn.Close()                                  //nolint:errcheck // as above
}

// clientOf is whom a connection counts for.
func clientOf(conn net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return policy.ClientOf(addr.Addr())
}

func (s *server) admit(conn net.Conn) bool {
	client := clientOf(conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.max || s.byClient[client] >= s.perAddress {
		return false
	}
	s.conns[conn] = client
	s.byClient[client]++
	return true
}

func (s *server) forget(conn net.Conn) {
	conn.Close() //nolint:errcheck // served to its end
	s.mu.Lock()
	defer s.mu.Unlock()
	client := s.conns[conn]
	delete(s.conns, conn)
	if s.byClient[client]--; s.byClient[client] <= 0 {
		delete(s.byClient, client)
	}
}

func (s *server) closeListeners() {
	for _, l := range s.listeners {
		l.Close() //nolint:errcheck // nothing more is accepted either way
	}
	s.accepting.Wait()
}

// drainAll drains all services at once, so that a stop takes one grace and not one each: supervisors wait ten seconds, as a rule.
func drainAll(servers ...*server) {
	var draining sync.WaitGroup
	for _, s := range servers {
		draining.Go(s.drain)
	}
	draining.Wait()
}

// drain waits for connections to end by themselves, for they have been told to, then cuts those that have not.
func (s *server) drain() {
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-time.After(stopGrace):
	}
	s.mu.Lock()
	s.log.Warn("cutting connections that do not end", slog.Any("service", s.name), slog.Int("count", len(s.conns)))
	for conn := range s.conns {
		conn.Close() //nolint:errcheck // that is the point
	}
	s.mu.Unlock()
	<-done
}

// stackOfSession is the room that serving a session takes of its goroutine's stack, seldom more.
const stackOfSession = 12 << 10

// growStack makes the caller's stack large enough for a session at once. Grown step by step, deep in calls, it is copied and each frame
// on it looked up, time after time: a twentieth of what opening a session costs. What is not used the collector takes back.
//
//go:noinline
func growStack() { touch(new([stackOfSession]byte)) }

// touch keeps the compiler from leaving the room out.
//
//go:noinline
func touch(*[stackOfSession]byte) {}

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"balorg/gateway/portal"
)

// Bounds of the portal's connections: people, a few at a time; a page and its form are small.
const (
	httpsConnections = 2000
	httpsPerAddress  = 100 // a site may stand behind one address
	httpsReadTime    = 20 * time.Second
	httpsWriteTime   = time.Minute // an administrator's export takes a moment
	httpsIdleTime    = 2 * time.Minute
	httpsMaxHeader   = 16 << 10
)

// httpsService is the portal's listener: connections are admitted and counted as those of all services, then handed to net/http.
type httpsService struct {
	server *server
	http   *http.Server
	handed *handed
}

// newPortal makes the pages. What mail programs connect to is listened on already.
func (g *Gateway) newPortal(cfg *Config) error {
	var provider *portal.ProviderOptions
	if name, ok := g.auth.BrowserProvider(); ok {
		base := func() (string, error) { return portalBase(g.config(), g.https.server.addresses()) }
		provider = &portal.ProviderOptions{Provider: g.auth, Name: name, Base: base}
	}
	pages, err := portal.New(portal.Options{
		Provider: provider,
		Snapshot: g.snapshot.Load, Auth: g.auth, Trace: g.st.trace, Sessions: &g.sessions, Choose: g.choose, Unread: g.unread,
		Tokens: deviceTokens{g}, Activate: g.activate, Shortest: cfg.Authentication.Shortest(), Unused: cfg.Authentication.Unused(),
		Administration: administration{g}, Inviter: administration{g}, Export: g.exportAccounts, Settings: g.clientSettings(cfg),
		Origin:   cfg.publicURL(),
		Proxies:  cfg.proxies(),
		Language: cfg.Language.V, Logger: g.log, Metrics: g.reg,
	})
	if err != nil {
		return fmt.Errorf("portal: %w", err)
	}
	g.https.handed = newHanded()
	g.https.http = &http.Server{
		Handler: pages, ReadTimeout: httpsReadTime, WriteTimeout: httpsWriteTime, IdleTimeout: httpsIdleTime, MaxHeaderBytes: httpsMaxHeader,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug), // handshakes that strangers break off
	}
	return nil
}

// clientSettings are what mail programs are told, from what is listened on: TLS from the first octet where there is any.
func (g *Gateway) clientSettings(cfg *Config) portal.Settings {
	one := func(tls, startTLS *server) *portal.Service {
		for _, s := range []*server{tls, startTLS} {
			if n, err := strconv.Atoi(portOf(first(s.addresses()))); err == nil {
				return &portal.Service{Port: n, StartTLS: s == startTLS}
			}
		}
		return nil
	}
	return portal.Settings{
		Host: cfg.Hostname.Or("localhost"), Name: "Messagerie MSSanté", Base: first(cfg.Directory.suffixes()),
		IMAP: one(g.imaps, g.imap), Submission: one(g.smtp.submissions, g.smtp.submission), LDAP: one(g.ldap.ldaps, g.ldap.ldap),
	}
}

// listenHTTPS opens the portal's listeners.
func (g *Gateway) listenHTTPS(cfg *Config) error {
	if err := g.newPortal(cfg); err != nil {
		return err
	}
	g.https.server = &server{
		name: "https", log: g.log, max: httpsConnections, perAddress: httpsPerAddress, refused: g.metrics.refused.WithLabelValues("https"),
		serve: func(_ context.Context, conn net.Conn) { g.https.handed.serve(conn, g.cert.config()) },
	}
	if err := g.https.server.listen(texts(cfg.Listen.HTTPS)); err != nil {
		return err
	}
	g.onStop(g.https.server.closeListeners)
	g.onStop(func() { g.https.http.Close() }) //nolint:errcheck // nothing is kept in it
	return nil
}

func (s *httpsService) run() error {
	if err := s.http.Serve(s.handed); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the portal: %w", err)
	}
	return nil
}

// stop ends the connections that wait for a request, and those with one under way once it is answered.
func (s *httpsService) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	s.http.Shutdown(ctx) //nolint:errcheck // what has not ended is cut when the services are drained
}

// handed is the net.Listener that net/http wants, of connections that a server has accepted.
type handed struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), done: make(chan struct{})} }

// serve hands a connection over and returns when it is closed.
func (h *handed) serve(conn net.Conn, cfg *tls.Config) {
	c := &closing{Conn: conn, closed: make(chan struct{})}
	select {
	case h.conns <- tls.Server(c, cfg):
		<-c.closed // net/http closes each, whatever happens
	case <-h.done:
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener; nobody asks for it.
func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

// closing tells when a connection is closed.
type closing struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Package gateway puts balorg together: it reads the configuration, opens the state, wires authentication, policy, trace and
// protocol front ends, reloads them, and stops them in order. It does nothing clever itself.
//
// The order of stopping: readiness off, listeners closed, sessions told and waited for, connections cut, trace, store. What was
// answered to a client is on disk before any of it.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/configs"
	"balorg/gateway/control"
	"balorg/gateway/watch"
	"balorg/imapproxy"
	"balorg/imapproxy/origin"
	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/smtp"
	"balorg/smtp/notice"
	"balorg/smtp/trust"
)

// Options say how a gateway runs.
type Options struct {
	ConfigPath string
	Logger     *slog.Logger // nil: as the configuration says, to Output
	Output     io.Writer
	ReadyFile  string           // gets the listeners as JSON once all answer; "" means none
	Reloads    <-chan os.Signal // each signal reloads; nil means none
}

// Listeners are the addresses a gateway answers on, by service.
type Listeners struct {
	IMAP        []string `json:"imap,omitempty"`
	IMAPS       []string `json:"imaps,omitempty"`
	Submission  []string `json:"submission,omitempty"`
	Submissions []string `json:"submissions,omitempty"`
	Inbound     []string `json:"inbound,omitempty"`
	LMTP        []string `json:"lmtp,omitempty"`
	LDAP        []string `json:"ldap,omitempty"`
	LDAPS       []string `json:"ldaps,omitempty"`
	HTTPS       []string `json:"https,omitempty"`
	Metrics     []string `json:"metrics,omitempty"`
}

// Gateway is one daemon. Several may run in a process, each on a state of its own.
type Gateway struct {
	path      string
	readyFile string
	reloads   <-chan os.Signal
	onReady   func() error // called once all listeners answer; nil means nothing

	log *slog.Logger
	reg *prometheus.Registry
	st  *state

	cert        certificate
	snapshot    atomic.Pointer[policy.Snapshot]
	ready       atomic.Bool
	auth        *auth.Authenticator
	clientRoots *x509.CertPool // who may have issued client certificates; nil: they log nobody in
	sessions    session.Table
	proxy       *imapproxy.Proxy
	acceptor    *smtp.Acceptor
	mail        *smtp.Server
	trust       *trust.Keeper
	notices     *notice.Service           // nil: nobody is notified
	watcher     *watch.Watcher            // likewise
	servers     map[string]*origin.Store  // the mail stores that are servers, by name
	lmtp        map[string]*localDelivery // the way of new mail to those that take it by LMTP
	metrics     gatewayMetrics

	directory  *directory.Directory
	imports    *imports
	ldapServer *ldapserver.Server

	imap, imaps *server
	smtp        smtpServices
	ldap        ldapServices
	https       httpsService
	web         *web
	control     *control.Server
	stops       []func() // in the order they were registered; run backwards

	mu     sync.Mutex // held through a reload
	loaded *Loaded
	inputs []string       // files and folders that are watched
	tried  []configs.File // what they held when they were loaded last, put into effect or not
}

// New loads the configuration, opens the state and the listeners. Nothing is served before Run. Problems of the configuration
// are answered as configs.Problems.
func New(opt Options) (g *Gateway, err error) {
	// One of an earlier run would tell whoever waits for it of listeners that are gone.
	if err := removeReady(opt.ReadyFile); err != nil {
		return nil, err
	}
	loaded, problems := Load(opt.ConfigPath)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	cfg := loaded.Config
	g = &Gateway{
		path: opt.ConfigPath, readyFile: opt.ReadyFile, reloads: opt.Reloads, log: opt.Logger,
		loaded: loaded, reg: prometheus.NewRegistry(),
	}
	g.watch(loaded)
	if g.log == nil {
		g.log = newLogger(cfg.Log, opt.Output)
	}
	made := g // an error's return sets g to nil
	defer func() {
		if err != nil {
			made.stop()
		}
	}()
	g.metrics = newMetrics(g.reg, &g.sessions)
	for _, p := range problems {
		g.log.Warn("configuration", slog.Any("problem", p.String()))
	}
	cert, err := cfg.certificate()
	if err != nil {
		return nil, err
	}
	g.cert.current.Store(cert)
	if g.st, err = openState(cfg, g.log); err != nil {
		return nil, err
	}
	g.onStop(g.st.close)
	snap, held, err := g.st.snapshot(context.Background(), loaded, time.Now(), false)
	if err != nil {
		return nil, err
	}
	g.tellHeld(held)
	g.snapshot.Store(snap)
	if err := g.newAuth(cfg); err != nil {
		return nil, err
	}
	stores, err := g.mailstores(cfg)
	if err != nil {
		return nil, err
	}
	g.proxy = imapproxy.New(imapproxy.Options{
		Snapshot: g.snapshot.Load, Auth: g.auth, Stores: stores, Trace: g.st.trace, Sessions: &g.sessions,
		Subscriptions: g.st.subscriptions, Transfers: g.st.transfers, Sent: g.st.sent, SpoolDir: g.st.spool, TLS: g.tlsForLogin(cfg), Logger: g.log, Metrics: g.reg,
		Hostname: cfg.Hostname.V, SharedPrefix: cfg.IMAP.SharedPrefix.V, MaxMessage: int64(cfg.IMAP.MaxMessage), MaxCompressed: cfg.IMAP.MaxCompressed,
		IdleTimeout: cfg.IMAP.IdleTimeout, InsecureLogin: cfg.IMAP.InsecureLogin, AnyHeader: cfg.IMAP.AnyHeader,
	})
	if err := g.newSMTP(cfg); err != nil {
		return nil, err
	}
	if err := g.newLDAP(cfg); err != nil {
		return nil, err
	}
	if err := g.listen(cfg); err != nil {
		return nil, err
	}
	if g.control, err = control.Listen(cfg.StateDir(), g.operations()); err != nil {
		return nil, err
	}
	g.onStop(g.control.Close)
	return g, nil
}

func (g *Gateway) onStop(f func()) { g.stops = append(g.stops, f) }

func (g *Gateway) stop() {
	for _, stop := range slices.Backward(g.stops) {
		stop()
	}
	g.stops = nil
}

func (g *Gateway) tlsConfig(cfg *Config) *tls.Config {
	if !cfg.TLS.Certificate.Set {
		return nil
	}
	return g.cert.config()
}

// tlsForLogin is tlsConfig for services that people log in to.
func (g *Gateway) tlsForLogin(cfg *Config) *tls.Config {
	if !cfg.TLS.Certificate.Set {
		return nil
	}
	return g.loginTLS()
}

// listen opens every listener, so that a port in use is known before anything is served.
func (g *Gateway) listen(cfg *Config) error {
	service := func(name string, serve func(context.Context, net.Conn)) *server {
		return &server{
			name: name, serve: serve, refusal: "* BYE Too many connections\r\n", log: g.log,
			max: cfg.IMAP.MaxConnections, perAddress: cfg.IMAP.MaxConnectionsPerAddress,
			refused: g.metrics.refused.WithLabelValues(name),
		}
	}
	g.imap = service("imap", func(ctx context.Context, conn net.Conn) { g.proxy.Serve(ctx, conn, false) })
	g.imaps = service("imaps", func(ctx context.Context, conn net.Conn) {
		g.proxy.Serve(ctx, tls.Server(conn, g.loginTLS()), true)
	})
	g.web = newWeb(g)
	for _, l := range []struct {
		s         *server
		addresses []string
	}{{g.imap, texts(cfg.Listen.IMAP)}, {g.imaps, texts(cfg.Listen.IMAPS)}} {
		if err := l.s.listen(l.addresses); err != nil {
			return err
		}
		g.onStop(l.s.closeListeners)
	}
	if err := g.listenSMTP(cfg); err != nil {
		return err
	}
	if err := g.listenLDAP(cfg); err != nil {
		return err
	}
	if err := g.listenHTTPS(cfg); err != nil {
		return err
	}
	if err := g.web.listen(texts(cfg.Listen.Metrics)); err != nil {
		return err
	}
	g.onStop(g.web.close)
	return nil
}

// Listeners answers where the gateway listens.
func (g *Gateway) Listeners() Listeners {
	return Listeners{
		IMAP: g.imap.addresses(), IMAPS: g.imaps.addresses(),
		Submission: g.smtp.submission.addresses(), Submissions: g.smtp.submissions.addresses(),
		Inbound: g.smtp.inbound.addresses(), LMTP: g.smtp.lmtp.addresses(),
		LDAP: g.ldap.ldap.addresses(), LDAPS: g.ldap.ldaps.addresses(),
		HTTPS: g.https.server.addresses(), Metrics: g.web.addresses(),
	}
}

func removeReady(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the ready file of an earlier run: %w", err)
	}
	return nil
}

// announce tells that all listeners answer.
func (g *Gateway) announce(ctx context.Context) error {
	g.ready.Store(true)
	g.log.InfoContext(ctx, "ready", slog.Any("listeners", g.Listeners()))
	if g.onReady != nil {
		if err := g.onReady(); err != nil {
			return err
		}
	}
	return g.writeReady()
}

// writeReady writes the listeners as JSON to the ready file, whole or not at all.
func (g *Gateway) writeReady() error {
	if g.readyFile == "" {
		return nil
	}
	list, err := json.Marshal(g.Listeners())
	if err != nil {
		return err
	}
	temp := g.readyFile + ".part"
	if err := os.WriteFile(temp, append(list, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	if err := os.Rename(temp, g.readyFile); err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	return nil
}

// Run serves until ctx ends, then stops in order. It may be called once.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.stop()
	serving, tell := context.WithCancel(context.WithoutCancel(ctx))
	defer tell()
	servers := slices.Concat([]*server{g.imap, g.imaps}, g.smtp.all(), g.ldap.all(), []*server{g.https.server})
	for _, s := range servers {
		s.start(serving)
	}
	var workers sync.WaitGroup
	fault := make(chan error, 4)
	if len(g.web.listeners) > 0 {
		workers.Go(func() { fault <- g.web.serve() })
	}
	workers.Go(func() { fault <- g.control.Serve() })
	workers.Go(func() { fault <- g.https.run() })
	background, stopWorkers := context.WithCancel(ctx)
	workers.Go(func() { g.watchFiles(background) })
	workers.Go(func() { g.housekeeping(background) })
	workers.Go(func() { g.keepLocks(background) })
	workers.Go(func() { g.signFolders(background) })
	workers.Go(func() { g.foldFolders(background) })
	workers.Go(func() { g.probeServers(background) })
	workers.Go(func() { g.proxy.FinishTransfers(background) })
	workers.Go(func() { g.reloadOnSignal(background) })
	workers.Go(func() { g.trust.Run(background) })
	workers.Go(func() { g.imports.schedule(background) })
	if g.notices != nil {
		workers.Go(func() { g.notices.Run(background) })
		workers.Go(func() { g.watcher.Run(background) })
	}
	workers.Go(func() {
		if err := g.runQueue(background); err != nil {
			fault <- err
		}
	})

	err := g.announce(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-fault:
		}
	}
	g.ready.Store(false)
	g.log.InfoContext(ctx, "stopping")
	for _, s := range servers {
		s.closeListeners()
	}
	tell() // sessions say BYE, or 421
	workers.Go(g.https.stop)
	drainAll(servers...)
	stopWorkers()
	g.control.Close()
	g.web.close()
	workers.Wait()
	return err
}

// config is the configuration that is in effect.
func (g *Gateway) config() *Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loaded.Config
}

// signFolders makes what searches in the embedded store are narrowed by.
func (g *Gateway) signFolders(ctx context.Context) {
	g.st.boxes.RunSigning(ctx, func(err error) {
		g.log.WarnContext(ctx, "searches of a folder read every message until it is opened again", slog.Any("error", err))
	})
}

// foldFolders writes changes of many messages in the embedded store into their rows.
func (g *Gateway) foldFolders(ctx context.Context) {
	g.st.boxes.RunFolding(ctx, func(err error) {
		g.log.WarnContext(ctx, "changes of whole folders are written slowly until they can be folded", slog.Any("error", err))
	})
}

// housekeepingPeriod is how often what has aged is removed.
const housekeepingPeriod = time.Hour

// housekeeping removes old trace records and the mail of accounts removed long ago.
func (g *Gateway) housekeeping(ctx context.Context) {
	tick := time.NewTicker(housekeepingPeriod)
	defer tick.Stop()
	for {
		if err := g.st.housekeep(ctx, g.config(), time.Now()); err != nil && ctx.Err() == nil {
			g.log.ErrorContext(ctx, "removing what has aged", slog.Any("error", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// newLogger makes the log the configuration asks for.
func newLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: cfg.Level.V}
	if cfg.Format.V == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// ErrStopped is what operations answer once the daemon stops.
var ErrStopped = errors.New("the daemon is stopping")

package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"

	"balorg/gateway/fetch"
	"balorg/policy"
	"balorg/smtp"
	"balorg/smtp/queue"
	"balorg/smtp/relay"
	"balorg/smtp/trust"
)

// smtpServices are the listeners of mail.
type smtpServices struct {
	submission, submissions, inbound, lmtp *server
}

func (s smtpServices) all() []*server {
	return []*server{s.submission, s.submissions, s.inbound, s.lmtp}
}

// newSMTP makes what takes mail, and what carries it on.
func (g *Gateway) newSMTP(cfg *Config) error {
	opt := smtp.AcceptorOptions{
		Postmaster: cfg.postmaster(),
		Hostname:   cfg.Hostname.Or("localhost"), Language: cfg.Language.Or("fr"), Limits: cfg.Submission.Limits,
		Snapshot: g.snapshot.Load, Trusted: g.trusted, Store: g.st.db, Bodies: g.st.bodies, Boxes: g.st.boxes, Queue: g.st.queue, Sent: g.st.sent,
		Trace: g.st.trace, Logger: g.log, Home: g.home,
	}
	notify, err := g.newNotices(g.loaded)
	if err != nil {
		return err
	}
	opt.Notices = g.noted()
	if err := g.newTrust(cfg); err != nil {
		return err
	}
	g.newLMTP(cfg)
	g.acceptor = smtp.NewAcceptor(opt)
	hop, err := g.newRelay(cfg)
	if err != nil {
		return err
	}
	carriers := g.acceptor.Carriers()
	carriers[queue.Relay], carriers[queue.Notify] = g.acceptor.Relay(hop), notify
	reporter, err := g.acceptor.Reporter()
	if err != nil {
		return err
	}
	g.st.queue.Use(queue.Ways{Carriers: carriers, Reporter: reporter, Metrics: g.reg})
	services, err := g.smtpRoles(cfg)
	if err != nil {
		return err
	}
	g.mail = smtp.New(smtp.Options{
		Services: services, Snapshot: g.snapshot.Load, Auth: g.auth, Trace: g.st.trace, Sessions: &g.sessions, Logger: g.log, Metrics: g.reg,
		Hostname: cfg.Hostname.V,
	})
	return nil
}

// newLMTP makes the ways of new mail into servers that take it by LMTP. Both ends are on this machine.
func (g *Gateway) newLMTP(cfg *Config) {
	g.lmtp = make(map[string]*localDelivery)
	for name, m := range cfg.Mailstores {
		if !m.LMTP.Set {
			continue
		}
		r := relay.New(relay.Options{
			Hostname: cfg.Hostname.Or("localhost"), Smarthost: string(m.LMTP.V), LMTP: true, Security: relay.InsecureNone, Logger: g.log,
		})
		g.onStop(r.Close)
		g.lmtp[name] = &localDelivery{r, m.Mailbox.V == "mssante"}
	}
}

// newTrust makes the keeper of the trust space. A list in a file is taken now, so that nobody is refused because it has not been read yet.
func (g *Gateway) newTrust(cfg *Config) error {
	opt := cfg.TrustSpace.Options(cfg.path, cfg.StateDir())
	if opt.URL != "" {
		roots, err := loadRoots(cfg.path(cfg.TrustSpace.CA.V)) // never the system's: the check asks for it
		if err != nil {
			return err
		}
		opt.Fetcher = fetch.New(fetch.Options{Roots: roots})
	}
	opt.Logger, opt.Metrics = g.log, g.reg
	g.trust = trust.NewKeeper(opt)
	if opt.File != "" {
		g.trust.Refresh(context.Background(), false) //nolint:errcheck // logged, and shown by the gauge; the last good list holds
	}
	return nil
}

// smtpRoles says what each kind of session may do.
func (g *Gateway) smtpRoles(cfg *Config) (map[smtp.Role]smtp.Service, error) {
	mutual, err := cfg.inboundTLS(g.tlsConfig(cfg))
	if err != nil {
		return nil, err
	}
	gate := smtp.Gate{}
	for _, n := range cfg.Inbound.Networks {
		gate.Networks = append(gate.Networks, netip.Prefix(n.V))
	}
	if cfg.Inbound.MutualTLS {
		gate.Certified = func(domain string, cert *x509.Certificate) bool {
			if domain == "" {
				return g.trust.Current().KnowsCertificate(cert) // any operator may send notices
			}
			return g.trust.Current().MatchesCertificate(domain, cert)
		}
	}
	// LMTP listens where only programs of this machine are.
	local := smtp.Gate{Unix: true, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	in := smtp.Service{
		Postmaster: cfg.postmaster(),
		MaxMessage: int64(cfg.Inbound.MaxMessage), MaxRecipients: cfg.Inbound.MaxRecipients, TLS: mutual, RequireTLS: !cfg.Inbound.InsecureNoTLS,
		NewHandler: func(c *smtp.Client) smtp.Handler { return g.acceptor.Inbound(c, gate) },
	}
	lmtp := in
	lmtp.TLS, lmtp.RequireTLS = nil, false
	lmtp.NewHandler = func(c *smtp.Client) smtp.Handler { return g.acceptor.Inbound(c, local) }
	return map[smtp.Role]smtp.Service{
		smtp.Submission: {
			MaxMessage: int64(cfg.Submission.MaxMessage), MaxRecipients: cfg.Submission.MaxRecipients, TLS: g.tlsForLogin(cfg),
			InsecureLogin: cfg.Submission.InsecureLogin, NewHandler: g.acceptor.Submission,
		},
		smtp.Inbound: in, smtp.LMTP: lmtp,
	}, nil
}

// listenSMTP opens the listeners of mail.
func (g *Gateway) listenSMTP(cfg *Config) error {
	service := func(name string, limits [2]int, serve func(context.Context, net.Conn)) *server {
		return &server{
			name: name, serve: serve, refusal: "421 4.7.0 Too many connections\r\n", log: g.log, max: limits[0], perAddress: limits[1],
			refused: g.metrics.refused.WithLabelValues(name),
		}
	}
	role := func(r smtp.Role) func(context.Context, net.Conn) {
		return func(ctx context.Context, conn net.Conn) { g.mail.Serve(ctx, conn, r) }
	}
	people := [2]int{cfg.Submission.MaxConnections, cfg.Submission.MaxConnectionsPerAddress}
	servers := [2]int{cfg.Inbound.MaxConnections, cfg.Inbound.MaxConnectionsPerAddress}
	g.smtp = smtpServices{
		submission: service("submission", people, role(smtp.Submission)),
		submissions: service("submissions", people, func(ctx context.Context, conn net.Conn) {
			g.mail.Serve(ctx, tls.Server(conn, g.loginTLS()), smtp.Submission)
		}),
		inbound: service("inbound", servers, role(smtp.Inbound)),
		lmtp:    service("lmtp", [2]int{servers[0], servers[0]}, role(smtp.LMTP)),
	}
	for _, l := range []struct {
		s         *server
		addresses []string
	}{
		{g.smtp.submission, texts(cfg.Listen.Submission)},
		{g.smtp.submissions, texts(cfg.Listen.Submissions)},
		{g.smtp.inbound, texts(cfg.Listen.Inbound)},
		{g.smtp.lmtp, localTexts(cfg.Listen.LMTP)},
	} {
		if err := l.s.listen(l.addresses); err != nil {
			return err
		}
		g.onStop(l.s.closeListeners)
	}
	return nil
}

// trusted tells whether a domain is in the trust space now.
func (g *Gateway) trusted(domain string) bool { return g.trust.Current().Contains(domain) }

// home answers the server on which an account's mailbox lives, nil for our own store.
func (g *Gateway) home(account *policy.Account) smtp.MailServer {
	if server, ok := g.servers[account.Mailstore]; ok {
		return mailServer{store: server, lmtp: g.lmtp[account.Mailstore]}
	}
	return nil
}

// runQueue carries what waits until ctx ends.
func (g *Gateway) runQueue(ctx context.Context) error {
	if err := g.st.queue.Run(ctx); err != nil {
		return fmt.Errorf("running the queue: %w", err)
	}
	return nil
}

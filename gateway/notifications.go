package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"balorg/configs"
	"balorg/gateway/watch"
	"balorg/imapproxy/origin"
	"balorg/policy"
	"balorg/smtp"
	"balorg/smtp/notice"
	"balorg/smtp/queue"
	"balorg/smtp/relay"
)

// NoticeConfig is what the section notifications says of notices.
type NoticeConfig = notice.Config

// WayOutConfig is what it says of the smarthost that takes them.
type WayOutConfig = relay.Config

// NotificationsConfig is the section notifications. Without it nobody is notified.
type NotificationsConfig struct {
	NoticeConfig
	WayOutConfig
}

// checkNotifications answers the texts of notices, and what is wrong with the section.
func (c *Config) checkNotifications() (*notice.Templates, configs.Problems) {
	n := c.Notifications
	if !n.On() {
		return nil, nil
	}
	templates, problems := n.NoticeConfig.Check(c.path)
	if !n.Smarthost.Set {
		problems.Add(n.Pos, "smarthost: relais.example.org:25", "notifications go to ordinary addresses, and have no server that takes them there")
	}
	return templates, append(problems, n.WayOutConfig.Check(c.relayFiles())...)
}

// templatePaths are the files in which an administrator has texts of their own, whether they are there or not.
func (c *Config) templatePaths() []string {
	if !c.Notifications.Templates.Set {
		return nil
	}
	var all []string
	for _, name := range notice.FileNames() {
		all = append(all, filepath.Join(c.path(c.Notifications.Templates.V), name))
	}
	return all
}

// newNotices makes what tells people of received mail, and answers who carries it. What a state holds from a time when there was a section
// notifications is forgotten when there is none.
func (g *Gateway) newNotices(l *Loaded) (queue.Carrier, error) {
	cfg := l.Config
	n := cfg.Notifications
	if !n.On() {
		if err := notice.Clear(context.Background(), g.st.db); err != nil {
			g.log.Warn("forgetting notifications", slog.Any("error", err))
		}
		return notice.NoCarrier{}, nil
	}
	from, err := n.Sender(cfg.Hostname.Or("localhost"))
	if err != nil {
		return nil, fmt.Errorf("the sender of notifications: %w", err)
	}
	opt, err := n.Options(cfg.relayFiles(), nil)
	if err != nil {
		return nil, fmt.Errorf("the way out of notifications: %w", err)
	}
	opt.Hostname, opt.Logger = cfg.Hostname.Or("localhost"), g.log
	out := relay.New(opt)
	g.onStop(out.Close)
	g.notices = notice.New(notice.Options{
		From: from, Link: n.Link.V, Every: n.Every, Language: cfg.Language.Or("fr"), Templates: l.notices, Snapshot: g.snapshot.Load,
		Store: g.st.db, Boxes: g.st.boxes, Bodies: g.st.bodies, Queue: g.st.queue, Logger: g.log, Metrics: g.reg,
	})
	g.watcher = watch.New(watch.Options{
		Wanted: g.onServers, Open: g.openOnServer, Notes: g.notices, Store: g.st.db, MaxConnections: n.MaxWatched, PollEvery: n.PollEvery,
		Logger: g.log, Metrics: g.reg,
	})
	return g.notices.Carrier(hop{out}), nil
}

// noted answers who is told that a mailbox received something, nil for nobody.
func (g *Gateway) noted() smtp.Notices {
	if g.notices == nil {
		return nil
	}
	return g.notices
}

// onServers answers the mailboxes on IMAP servers that somebody is notified of.
func (g *Gateway) onServers() []*policy.Account {
	var all []*policy.Account
	for _, a := range g.snapshot.Load().Announced() {
		if g.servers[a.Mailstore] != nil {
			all = append(all, a)
		}
	}
	return all
}

// openOnServer opens a mailbox for the watcher.
func (g *Gateway) openOnServer(ctx context.Context, account *policy.Account) (net.Conn, error) {
	server := g.servers[account.Mailstore]
	if server == nil {
		return nil, fmt.Errorf("%s is on no server", account.Address)
	}
	conn, err := server.Open(ctx, origin.Who{Address: account.Address})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

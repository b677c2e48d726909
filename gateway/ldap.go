package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/wire"
)

// ldapServices are the listeners of the directory.
type ldapServices struct{ ldap, ldaps *server }

func (s ldapServices) all() []*server { return []*server{s.ldap, s.ldaps} }

// directoryFolder, in the state's folder, holds the index from which a start is quick.
const directoryFolder = "directory"

// newLDAP makes the directory, with what was imported last, and what answers from it.
func (g *Gateway) newLDAP(cfg *Config) error {
	g.directory = directory.New(nil)
	if err := g.directory.SetAccounts(g.snapshot.Load()); err != nil {
		return err
	}
	g.imports = newImports(g.st, g.directory, cfg.StateDir(), g.config, g.metrics.tellImportFailed, g.log)
	d := &cfg.Directory
	remotes, err := g.upstreams(cfg)
	if err != nil {
		return err
	}
	g.ldapServer, err = ldapserver.New(ldapserver.Options{
		Directory: g.directory, Suffixes: d.suffixes(), Remotes: remotes, Auth: g.auth, Trace: g.st.trace, Sessions: &g.sessions, TLS: g.tlsForLogin(cfg),
		Anonymous: d.anonymous(), Proxies: d.proxies(), Limits: d.limits(), InsecureBind: d.InsecureBind, Logger: g.log, Metrics: g.reg,
	})
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// listenLDAP opens the listeners of the directory.
func (g *Gateway) listenLDAP(cfg *Config) error {
	refusal := string(wire.AppendNotice(nil, wire.Busy, "too many connections"))
	service := func(name string, serve func(context.Context, net.Conn)) *server {
		return &server{
			name: name, serve: serve, refusal: refusal, log: g.log,
			max: cfg.Directory.MaxConnections, perAddress: cfg.Directory.MaxConnectionsPerAddress, refused: g.metrics.refused.WithLabelValues(name),
		}
	}
	g.ldap = ldapServices{
		ldap:  service("ldap", g.ldapServer.Serve),
		ldaps: service("ldaps", func(ctx context.Context, conn net.Conn) { g.ldapServer.Serve(ctx, tls.Server(conn, g.loginTLS())) }),
	}
	for _, l := range []struct {
		s         *server
		addresses []string
	}{{g.ldap.ldap, texts(cfg.Listen.LDAP)}, {g.ldap.ldaps, texts(cfg.Listen.LDAPS)}} {
		if err := l.s.listen(l.addresses); err != nil {
			return err
		}
		g.onStop(l.s.closeListeners)
	}
	return nil
}

package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"

	"balorg/configs"
	"balorg/policy/auth"
)

// checkAuthentication is what the section authentication says, and the files it names.
func (c *Config) checkAuthentication() configs.Problems {
	problems := c.Authentication.Check()
	if ca := c.Authentication.OIDC.CA; ca.Set {
		if _, err := loadRoots(c.path(ca.V)); err != nil {
			problems.Add(ca.Pos, "", "%v", err)
		}
	}
	if ca := c.Authentication.LDAP.CA; ca.Set {
		if _, err := loadRoots(c.path(ca.V)); err != nil {
			problems.Add(ca.Pos, "", "%v", err)
		}
	}
	certificates := c.Authentication.Certificates
	if ca := certificates.CA; ca.Set {
		if _, err := loadRoots(c.path(ca.V)); err != nil {
			problems.Add(ca.Pos, "", "%v", err)
		}
	}
	if crl := certificates.CRL; crl.Set {
		if _, err := (&revocations{path: c.path(crl.V)}).read(); err != nil {
			problems.Add(crl.Pos, "", "%v", err)
		}
	}
	for _, file := range []configs.Value[string]{c.Authentication.LDAP.PasswordFile, c.Authentication.OIDC.Introspection.SecretFile, c.Authentication.OIDC.Browser.SecretFile} {
		if !file.Set {
			continue
		}
		if _, err := readPassword(c.path(file.V)); err != nil {
			problems.Add(file.Pos, "", "%v", err)
		}
	}
	if client := c.Authentication.OIDC.Browser.Client; client.Set && len(c.Listen.HTTPS) == 0 {
		problems.Add(client.Pos, "listen: {https: \":443\"}", "people log in to the portal at the provider, and there is no portal")
	}
	return problems
}

// newAuth makes what says who somebody is.
func (g *Gateway) newAuth(cfg *Config) error {
	opt := auth.Options{
		Config: cfg.Authentication, Snapshot: g.snapshot.Load, Passwords: g.st.settings, Tokens: g.st.tokens, Locks: g.st.locks,
		Ended: g.sessions.EndCredential,
	}
	if ca := cfg.Authentication.OIDC.CA; ca.Set {
		roots, err := loadRoots(cfg.path(ca.V))
		if err != nil {
			return fmt.Errorf("OpenID provider: %w", err)
		}
		way := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert,errcheck // documented so
		way.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
		opt.Provider.Way = way
		g.onStop(way.CloseIdleConnections)
	}
	if file := cfg.Authentication.OIDC.Introspection.SecretFile; file.Set {
		secret, err := readPassword(cfg.path(file.V))
		if err != nil {
			return fmt.Errorf("OpenID provider: %w", err)
		}
		opt.Provider.IntrospectionSecret = secret
	}
	if file := cfg.Authentication.OIDC.Browser.SecretFile; file.Set {
		secret, err := readPassword(cfg.path(file.V))
		if err != nil {
			return fmt.Errorf("OpenID provider: %w", err)
		}
		opt.Provider.BrowserSecret = secret
	}
	var err error
	if opt.Directory, err = cfg.siteDirectory(); err != nil {
		return fmt.Errorf("directory of the site: %w", err)
	}
	if ca := cfg.Authentication.Certificates.CA; ca.Set {
		roots, err := loadRoots(cfg.path(ca.V))
		if err != nil {
			return fmt.Errorf("client certificates: %w", err)
		}
		g.clientRoots, opt.Certificates.Roots = roots, roots
	}
	if crl := cfg.Authentication.Certificates.CRL; crl.Set {
		opt.Certificates.Revoked = (&revocations{path: cfg.path(crl.V)}).read
	}
	g.auth = auth.New(opt)
	g.countLocks()
	// A state that is damaged must open to be checked.
	if err := g.auth.LoadLocks(context.Background()); err != nil {
		g.log.Error("refused log-ins are counted from nothing", slog.Any("error", err))
	}
	return nil
}

package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"balorg/configs"
	"balorg/gateway/control"
	"balorg/gateway/doctor"
	"balorg/smtp/trust"
)

// OpListeners answers where the daemon listens.
const OpListeners = "listeners"

// byService are listeners by the names of their services.
func (l Listeners) byService() map[string][]string {
	return map[string][]string{
		"imap": l.IMAP, "imaps": l.IMAPS, "submission": l.Submission, "submissions": l.Submissions, "inbound": l.Inbound,
		"ldap": l.LDAP, "ldaps": l.LDAPS, "https": l.HTTPS, "metrics": l.Metrics,
	}
}

// configured are the listeners that balorg.yaml names.
func (c *Config) configured() Listeners {
	l := c.Listen
	return Listeners{
		IMAP: texts(l.IMAP), IMAPS: texts(l.IMAPS), Submission: texts(l.Submission), Submissions: texts(l.Submissions), Inbound: texts(l.Inbound),
		LDAP: texts(l.LDAP), LDAPS: texts(l.LDAPS), HTTPS: texts(l.HTTPS), Metrics: texts(l.Metrics),
	}
}

// Site is what is to be published in the DNS of a configuration: where programs find its services, and other operators its mail.
func (l *Loaded) Site() (doctor.Site, error) {
	cfg := l.Config
	if !cfg.Hostname.Set {
		return doctor.Site{}, errors.New("balorg.yaml does not say under which name the services are reached (hint: hostname: mail.example.org)")
	}
	s := doctor.Site{Hostname: cfg.Hostname.V, Ports: map[string]int{}}
	for service, addresses := range cfg.configured().byService() {
		for _, address := range addresses {
			_, text, err := net.SplitHostPort(address)
			if err != nil {
				continue
			}
			if port, err := strconv.Atoi(text); err == nil && port != 0 { // 0: one that nobody can publish
				s.Ports[service] = port
				break
			}
		}
	}
	if host, port, ok := cfg.publicPortal(); ok && len(cfg.Listen.HTTPS) > 0 {
		s.Portal, s.Ports["https"] = host, port
	}
	for _, a := range l.Roster.Accounts {
		s.Domains = append(s.Domains, a.Address.Domain())
		if a.MSSante != "" {
			s.Domains = append(s.Domains, a.MSSante.Domain())
			if len(cfg.Listen.Inbound) > 0 {
				s.MX = append(s.MX, a.MSSante.Domain())
			}
		}
	}
	slices.Sort(s.Domains)
	s.Domains = slices.Compact(s.Domains)
	return s, nil
}

// dnsTime is how long all records together may take to be looked up: without a resolver each would wait for its own time-out.
const dnsTime = 15 * time.Second

// Diagnose looks at everything the platform depends on and gives each finding to report.
func Diagnose(ctx context.Context, configPath string, resolver doctor.Resolver, report func(doctor.Finding)) {
	loaded, problems := Load(configPath)
	for _, p := range problems {
		f := doctor.Finding{Level: doctor.Broken, Check: "configuration", Subject: p.Pos.String(), What: p.What, Do: p.Hint}
		if p.Warning {
			f.Level = doctor.Warning
		}
		report(f)
	}
	if loaded.unread || loaded.brokenConfig(problems) {
		return
	}
	listeners := running(ctx, loaded.Config, report)
	diagnoseListeners(ctx, loaded.Config, listeners, report)
	if site, err := loaded.Site(); err != nil {
		report(doctor.Finding{Level: doctor.Warning, Check: "dns", Subject: "hostname", What: err.Error()})
	} else {
		looking, stop := context.WithTimeout(ctx, dnsTime)
		for _, f := range doctor.DNS(looking, resolver, site) {
			report(f)
		}
		stop()
	}
	diagnoseServers(ctx, loaded, report)
	diagnoseMachine(loaded, report)
}

// running tells whether a daemon runs on the configuration's state, and where it listens.
func running(ctx context.Context, cfg *Config, report func(doctor.Finding)) Listeners {
	caller, err := control.Dial(ctx, cfg.StateDir())
	if err != nil {
		report(doctor.Of("daemon", cfg.StateDir(), err, "`balorg serve`, or start its service; its log says why it does not run"))
		return cfg.configured()
	}
	defer caller.Close() //nolint:errcheck // answered
	var listeners Listeners
	err = caller.Call(ctx, OpListeners, nil, func(raw json.RawMessage) error { return json.Unmarshal(raw, &listeners) })
	report(doctor.Of("daemon", cfg.StateDir(), err, "its log says what is wrong with it"))
	return listeners
}

func diagnoseListeners(ctx context.Context, cfg *Config, l Listeners, report func(doctor.Finding)) {
	greetings := map[string]string{"imap": "* OK", "imaps": "* OK", "submission": "220", "submissions": "220", "inbound": "220"}
	all := l.byService()
	for _, service := range []string{"imap", "imaps", "submission", "submissions", "inbound", "ldap", "ldaps", "https", "metrics"} {
		for _, address := range all[service] {
			implicit := slices.Contains([]string{"imaps", "submissions", "ldaps", "https"}, service)
			report(doctor.Listener(ctx, service, address, implicit, greetings[service]))
		}
	}
	if !cfg.TLS.Certificate.Set {
		return
	}
	cert, err := loadCertificate(cfg.path(cfg.TLS.Certificate.V), cfg.path(cfg.TLS.Key.V))
	if err != nil {
		report(doctor.Of("certificate", cfg.TLS.Certificate.V, err, ""))
		return
	}
	for _, f := range doctor.Certificate(cert, cfg.Hostname.Or("localhost"), time.Now()) {
		report(f)
	}
}

// diagnoseServers looks at what others run: mail stores, smarthosts, the whitelist, who says who somebody is.
func diagnoseServers(ctx context.Context, l *Loaded, report func(doctor.Finding)) {
	cfg := l.Config
	faults := l.CheckLive(ctx)
	for _, name := range cfg.mailstoreNames() {
		m := cfg.Mailstores[name]
		i := slices.IndexFunc(faults, func(p configs.Problem) bool { return p.Pos == m.Type.Pos })
		var err error
		if i >= 0 && !m.Type.Pos.IsZero() {
			err = errors.New(faults[i].What)
		}
		report(doctor.Of("mailstore", name, err, "`balorg check --live` tries again; see the section mailstores of balorg.yaml"))
	}
	diagnoseHops(ctx, cfg, report)
	if cfg.TrustSpace.File.Set || cfg.TrustSpace.URL.Set {
		report(doctor.Whitelist(keptList(cfg.StateDir()), time.Now()))
	}
	if issuer := cfg.Authentication.OIDC.Issuer; issuer.Set {
		transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
		if ca := cfg.Authentication.OIDC.CA; ca.Set {
			roots, err := loadRoots(cfg.path(ca.V))
			if err != nil {
				report(doctor.Of("provider", issuer.V, err, ""))
				return
			}
			transport.TLSClientConfig.RootCAs = roots
		}
		report(doctor.Provider(ctx, issuer.V, transport))
		transport.CloseIdleConnections()
	}
	if cfg.Authentication.LDAP.URL.Set {
		report(diagnoseDirectory(ctx, cfg))
	}
	diagnoseNational(ctx, cfg, report)
}

// keptList is of when the last good whitelist is; zero: there is none.
func keptList(state string) time.Time {
	path := filepath.Join(state, trust.KeptName)
	raw, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}
	}
	list, err := trust.Parse(bytes.NewReader(raw))
	if err != nil {
		return time.Time{}
	}
	if info, err := os.Stat(path); err == nil && list.Generated.IsZero() {
		return info.ModTime()
	}
	return list.Generated
}

func diagnoseMachine(l *Loaded, report func(doctor.Finding)) {
	cfg := l.Config
	report(doctor.Clock())
	if _, err := os.Stat(cfg.StateDir()); err == nil {
		report(doctor.Space(cfg.StateDir(), int64(cfg.Store.MinFree)))
		report(doctor.Secret(cfg.StateDir()))
	}
	for _, path := range cfg.secretFiles() {
		report(doctor.Secret(path))
	}
	for _, file := range l.Inputs {
		report(doctor.Rules(file.Name))
	}
}

// secretFiles are those that hold keys and passwords.
func (c *Config) secretFiles() []string {
	settings := []configs.Value[string]{
		c.TLS.Key, c.Relay.Key, c.Relay.PasswordFile, c.Notifications.Key, c.Notifications.PasswordFile, c.Authentication.LDAP.PasswordFile,
		c.Authentication.OIDC.Introspection.SecretFile, c.Authentication.OIDC.Browser.SecretFile,
	}
	for _, name := range c.mailstoreNames() {
		settings = append(settings, c.Mailstores[name].PasswordFile, c.Mailstores[name].SecretsFile)
	}
	for _, name := range c.upstreamNames() {
		settings = append(settings, c.Directory.Upstreams[name].PasswordFile)
	}
	var paths []string
	for _, s := range settings {
		if s.Set {
			paths = append(paths, c.path(s.V))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/gateway/control"
	"balorg/gateway/doctor"
	"balorg/policy/auth"
	"balorg/smtp/relay"
)

// diagnoseHops tries each smarthost as every attempt does, up to its log-in.
func diagnoseHops(ctx context.Context, cfg *Config, report func(doctor.Finding)) {
	for _, hop := range []struct {
		section string
		cfg     relay.Config
	}{{"relay", cfg.Relay.Config}, {"notifications", cfg.Notifications.WayOutConfig}} {
		if hop.cfg.Smarthost.Set {
			report(diagnoseHop(ctx, cfg, hop.section, hop.cfg))
		}
	}
}

func diagnoseHop(ctx context.Context, cfg *Config, section string, hop relay.Config) doctor.Finding {
	opt, err := hop.Options(cfg.relayFiles(), nil)
	done := ""
	if err == nil {
		opt.Hostname, opt.Logger, opt.Metrics = cfg.Hostname.Or("localhost"), slog.New(slog.DiscardHandler), prometheus.NewRegistry()
		way := relay.New(opt)
		defer way.Close()
		trying, stop := context.WithTimeout(ctx, hopTime)
		defer stop()
		done, err = way.Probe(trying)
	}
	return doctor.Did("smarthost", section+" "+hop.Smarthost.V, done, err,
		"look at smarthost, security, ca, user and password_file of the section "+section+"; is the server reachable from here? Mail waits in the queue until it answers")
}

// hopTime is how long a smarthost may take for all of it; its own time-outs are for mail that can wait.
const hopTime = 15 * time.Second

// diagnoseDirectory asks the site's directory as a log-in does.
func diagnoseDirectory(ctx context.Context, cfg *Config) doctor.Finding {
	site := cfg.Authentication.LDAP
	how, err := cfg.siteDirectory()
	done := ""
	if err == nil {
		done, err = site.Probe(ctx, how)
	}
	return doctor.Did("directory", site.URL.V, done, err,
		"look at url, ca, bind or base, filter, search_as and password_file in authentication.ldap; log-ins with the directory's passwords wait until it answers")
}

// siteDirectory is how the site's directory is reached.
func (c *Config) siteDirectory() (how auth.Directory, err error) {
	if ca := c.Authentication.LDAP.CA; ca.Set {
		if how.Roots, err = loadRoots(c.path(ca.V)); err != nil {
			return how, err
		}
	}
	if file := c.Authentication.LDAP.PasswordFile; file.Set {
		how.Password, err = readPassword(c.path(file.V))
	}
	return how, err
}

// diagnoseNational judges the age of the national directory that a running daemon serves. Without one nothing is served, which is told already.
func diagnoseNational(ctx context.Context, cfg *Config, report func(doctor.Finding)) {
	caller, err := control.Dial(ctx, cfg.StateDir())
	if err != nil {
		return
	}
	defer caller.Close() //nolint:errcheck // answered
	var status DirectoryStatus
	err = caller.Call(ctx, OpDirectoryStatus, nil, func(raw json.RawMessage) error { return json.Unmarshal(raw, &status) })
	if err != nil {
		report(doctor.Of("national", "directory", err, "`balorg directory status`; the daemon's log says what is wrong"))
		return
	}
	if status.Source == "" && status.National == nil {
		return // nobody wants one
	}
	n := doctor.National{Source: status.Source, Served: status.Served, Failure: status.Reason}
	if status.National != nil {
		n.Made, n.Entries = status.National.Date, status.National.Entries
	}
	report(doctor.NationalDirectory(n, time.Now()))
}

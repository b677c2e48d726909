package gateway

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/configs"
	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/upstream"
)

// UpstreamConfig is another directory that is searched along with ours, by name in directory.upstreams.
type UpstreamConfig struct {
	URL           configs.Value[string] `yaml:"url"`
	CA            configs.Value[string] `yaml:"ca"`
	StartTLS      bool                  `yaml:"starttls"`
	User          string                `yaml:"user"`
	PasswordFile  configs.Value[string] `yaml:"password_file"`
	Base          configs.Value[string] `yaml:"base"`
	Filter        configs.Value[string] `yaml:"filter"`
	Timeout       time.Duration         `yaml:"timeout,positive"`
	Lifetime      time.Duration         `yaml:"lifetime,positive"`
	InsecureNoTLS bool                  `yaml:"insecure_no_tls"`
}

// checkUpstreams finds what is wrong with the directories beside ours.
func (c *Config) checkUpstreams() configs.Problems {
	var problems configs.Problems
	for _, name := range c.upstreamNames() {
		u := c.Directory.Upstreams[name]
		pos := u.URL.Pos
		if !u.URL.Set {
			problems.Add(c.pos, "url: ldaps://annuaire.example.org", "directory %s has no url", name)
			continue
		}
		if !validPrefix(name) || name == directory.Local || name == directory.National {
			problems.Add(pos, "a word of letters, digits and hyphens, other than local and national", "%q cannot be the name of a directory", name)
		}
		parsed, err := url.Parse(u.URL.V)
		if err != nil || (parsed.Scheme != "ldap" && parsed.Scheme != "ldaps") || parsed.Host == "" {
			problems.Add(pos, "ldaps://annuaire.example.org", "%q is no URL of a directory", u.URL.V)
		} else if parsed.Scheme == "ldap" && !u.StartTLS && !u.InsecureNoTLS {
			problems.Add(pos, "ldaps://, or starttls: true", "directory %s is asked in the clear", name)
		}
		if u.InsecureNoTLS {
			problems.Warn(pos, "remove insecure_no_tls", "what is looked for, and the password, go to directory %s in the clear", name)
		}
		if _, err := ldap.ParseDN(u.Base.V); err != nil || !u.Base.Set {
			problems.Add(orPosition(u.Base.Pos, pos), "base: ou=annuaire,dc=example,dc=org", "directory %s needs a base that is a distinguished name", name)
		}
		if u.Filter.Set {
			if _, err := ldap.CompileFilter(u.Filter.V); err != nil {
				problems.Add(u.Filter.Pos, "(objectClass=person)", "the filter of directory %s cannot be read", name)
			}
		}
		if (u.User != "") != u.PasswordFile.Set {
			problems.Add(pos, "user and password_file", "a user and the file with its password go together")
		}
		if u.PasswordFile.Set {
			if _, err := readPassword(c.path(u.PasswordFile.V)); err != nil {
				problems.Add(u.PasswordFile.Pos, "", "%v", err)
			}
		}
		if u.CA.Set {
			if _, err := loadRoots(c.path(u.CA.V)); err != nil {
				problems.Add(u.CA.Pos, "", "%v", err)
			}
		}
	}
	return problems
}

func orPosition(a, b configs.Pos) configs.Pos {
	if a == (configs.Pos{}) {
		return b
	}
	return a
}

func (c *Config) upstreamNames() []string {
	var names []string
	for name := range c.Directory.Upstreams {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// upstreams makes the directories beside ours, by unit.
func (g *Gateway) upstreams(cfg *Config) (map[string]ldapserver.Remote, error) {
	remotes := make(map[string]ldapserver.Remote)
	for _, name := range cfg.upstreamNames() {
		u := cfg.Directory.Upstreams[name]
		parsed, err := url.Parse(u.URL.V)
		if err != nil {
			return nil, err
		}
		opt := upstream.Options{
			URL: u.URL.V, StartTLS: u.StartTLS, User: u.User, Base: u.Base.V, Filter: u.Filter.V, Timeout: u.Timeout, Lifetime: u.Lifetime,
			TLS: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: parsed.Hostname()},
		}
		if u.CA.Set {
			if opt.TLS.RootCAs, err = loadRoots(cfg.path(u.CA.V)); err != nil {
				return nil, fmt.Errorf("directory %s: %w", name, err)
			}
		}
		if u.PasswordFile.Set {
			secret, err := readPassword(cfg.path(u.PasswordFile.V))
			if err != nil {
				return nil, fmt.Errorf("directory %s: %w", name, err)
			}
			opt.Password = secret.Reveal()
		}
		d := upstream.New(opt)
		g.onStop(d.Close)
		remotes[name] = d
	}
	return remotes, nil
}

// sameUpstreams compares the directories beside ours, whatever lines they stand on.
func (d *DirectoryConfig) sameUpstreams(other *DirectoryConfig) bool {
	if len(d.Upstreams) != len(other.Upstreams) {
		return false
	}
	for name, u := range d.Upstreams {
		if v, ok := other.Upstreams[name]; !ok || u.withoutPositions() != v.withoutPositions() {
			return false
		}
	}
	return true
}

func (u UpstreamConfig) withoutPositions() UpstreamConfig {
	for _, v := range []*configs.Value[string]{&u.URL, &u.CA, &u.PasswordFile, &u.Base, &u.Filter} {
		v.Pos = configs.Pos{}
	}
	return u
}

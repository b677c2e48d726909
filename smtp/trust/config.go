package trust

import (
	"cmp"
	"crypto/x509"
	"net/url"
	"time"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
)

// Config is the section trust_space. The zero value of every key means its default.
type Config struct {
	File         configs.Value[string]                    `yaml:"file"` // the whitelist, or
	URL          configs.Value[string]                    `yaml:"url"`  // where it is published
	CA           configs.Value[string]                    `yaml:"ca"`   // who alone may vouch for the URL's server, PEM
	Refresh      time.Duration                            `yaml:"refresh,positive"`
	ExtraDomains configs.OneOrMore[configs.Value[string]] `yaml:"extra_domains"`
	ShrinkShare  policy.Share                             `yaml:"shrink_share,positive"` // a list that lost more than this is refused
}

// Defaults of Config.
const (
	DefaultRefresh     = 6 * time.Hour
	DefaultShrinkShare = 0.2
)

// Check answers what is wrong with the section; path makes a path of the file absolute, and roots reads a file of authorities.
func (c Config) Check(path func(string) string, roots func(string) (*x509.CertPool, error)) configs.Problems {
	var problems configs.Problems
	if c.File.Set && c.URL.Set {
		problems.Add(c.URL.Pos, "keep file or url", "the trust space comes from a file or from a URL, not from both")
	}
	if c.URL.Set {
		if u, err := url.Parse(c.URL.V); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			problems.Add(c.URL.Pos, "https://host/path", "the list is fetched over HTTPS only")
		}
		if !c.CA.Set {
			problems.Add(c.URL.Pos, "ca: igc-sante.pem", "the authority of the URL's server must be named: the system's are not trusted for this")
		}
	}
	if c.CA.Set {
		if _, err := roots(path(c.CA.V)); err != nil {
			problems.Add(c.CA.Pos, "", "%v", err)
		}
	}
	for _, domain := range c.ExtraDomains {
		if _, err := mail.ParseDomain(domain.V); err != nil {
			problems.Add(domain.Pos, "a domain such as example.fr", "%v", err)
		}
	}
	return problems
}

// Options answers what a Keeper needs of the section, which has no problems, but for what takes the URL; folder is where the last good list is kept.
func (c Config) Options(path func(string) string, folder string) Options {
	opt := Options{
		URL: c.URL.V, Folder: folder, Extra: c.Extra(),
		Refresh: cmp.Or(c.Refresh, DefaultRefresh), ShrinkShare: float64(cmp.Or(c.ShrinkShare, DefaultShrinkShare)),
	}
	if c.File.Set {
		opt.File = path(c.File.V)
	}
	return opt
}

// Extra answers the domains of the configuration, as mail.Address has them.
func (c Config) Extra() []string {
	var all []string
	for _, domain := range c.ExtraDomains {
		if d, err := mail.ParseDomain(domain.V); err == nil { // Check tells of the others
			all = append(all, d)
		}
	}
	return all
}

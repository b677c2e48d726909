package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"balorg/configs"
	"balorg/mail"
)

// checkPublicURL answers what is wrong with public_url. It has no path: the portal's pages stand at the root, and so does their cookie.
func checkPublicURL(v configs.Value[string]) (problems configs.Problems) {
	if !v.Set {
		return nil
	}
	at, err := url.Parse(v.V)
	if err == nil && at.Port() != "" {
		if n, perr := strconv.Atoi(at.Port()); perr != nil || n < 1 || n > 65535 {
			err = errors.New("no port")
		}
	}
	if err == nil && at.Hostname() != "localhost" {
		_, err = mail.ParseDomain(at.Hostname())
	}
	if err != nil || at.Scheme != "https" || at.User != nil || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" || at.ForceQuery || at.Fragment != "" {
		problems.Add(v.Pos, "https://messagerie.example.org, without a path", "%q is not where browsers reach the portal", v.V)
	}
	return problems
}

// checkProxies answers what is wrong with trusted_proxies.
func checkProxies(proxies []configs.Value[Network]) (problems configs.Problems) {
	for _, p := range proxies {
		if netip.Prefix(p.V).IsValid() && netip.Prefix(p.V).Bits() == 0 {
			problems.Add(p.Pos, "the address of the proxy", "everybody would be believed about where a request comes from")
		}
	}
	return problems
}

// proxies are those whose word on who asks is taken.
func (c *Config) proxies() []netip.Prefix {
	all := make([]netip.Prefix, len(c.TrustedProxies))
	for i, p := range c.TrustedProxies {
		all[i] = netip.Prefix(p.V)
	}
	return all
}

// publicURL is where browsers reach the portal, without a slash at its end, or empty where that is the listener itself.
func (c *Config) publicURL() string {
	at, err := url.Parse(c.PublicURL.V)
	if err != nil || at.Host == "" {
		return ""
	}
	host := strings.ToLower(at.Host)
	return "https://" + strings.TrimSuffix(host, ":443")
}

// portalBase is the address of the portal's pages, for whoever gets a link to one.
func portalBase(cfg *Config, listeners []string) (string, error) {
	if len(listeners) == 0 {
		return "", errors.New("there is no page to choose a password on: balorg.yaml names no listener https")
	}
	if public := cfg.publicURL(); public != "" {
		return public, nil
	}
	_, port, err := net.SplitHostPort(listeners[0])
	if err != nil {
		return "", fmt.Errorf("the listener https: %w", err)
	}
	host := cfg.Hostname.Or("localhost")
	if port != "443" {
		host = net.JoinHostPort(host, port)
	}
	return "https://" + host, nil
}

// publicPortal is the name and the port of public_url.
func (c *Config) publicPortal() (host string, port int, ok bool) {
	at, err := url.Parse(c.publicURL())
	if err != nil || at.Host == "" {
		return "", 0, false
	}
	port = 443
	if n, err := strconv.Atoi(at.Port()); err == nil {
		port = n
	}
	return at.Hostname(), port, true
}

package auth

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"time"

	"balorg/configs"
)

// OIDCConfig is authentication.oidc: whose access tokens are taken, and whose they are. It is off without an issuer.
type OIDCConfig struct {
	Issuer     configs.Value[string] `yaml:"issuer"`
	CA         configs.Value[string] `yaml:"ca"`         // who alone may vouch for the provider's server, PEM; else whom the system trusts
	Audiences  []string              `yaml:"audiences"`  // one of these must be the token's aud
	Clients    []string              `yaml:"clients"`    // one of these must be the token's azp or client_id
	Algorithms []Algorithm           `yaml:"algorithms"` // of signatures
	ACR        []string              `yaml:"acr"`        // one of these must be the token's, where any is named
	Claims     []string              `yaml:"claims"`     // those that may hold the national identity number
	ByEmail    bool                  `yaml:"by_email"`   // else a verified address may name the person
	Session    time.Duration         `yaml:"session,positive"`

	Introspection IntrospectionConfig `yaml:"introspection"`
	Browser       BrowserConfig       `yaml:"portal"`
}

// Algorithm is a signature algorithm of JWS. Those with a shared secret are none: whoever checks could sign.
type Algorithm string

// UnmarshalText reads an algorithm.
func (a *Algorithm) UnmarshalText(text []byte) error {
	if !slices.Contains(algorithms(), string(text)) {
		return &unknownAlgorithm{string(text)}
	}
	*a = Algorithm(text)
	return nil
}

type unknownAlgorithm struct{ name string }

func (u *unknownAlgorithm) Error() string {
	return "\"" + u.name + "\" is no signature algorithm that is taken; write RS256, PS256, ES256 or their like"
}

func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// defaultSession is how long a session may last that an access token opened: such a token cannot be taken back.
const defaultSession = 12 * time.Hour

func (c OIDCConfig) withDefaults() OIDCConfig {
	if len(c.Algorithms) == 0 {
		c.Algorithms = []Algorithm{"RS256", "PS256", "ES256"}
	}
	if len(c.Claims) == 0 {
		// Pro Santé Connect has it in both.
		c.Claims = []string{"SubjectNameID", "preferred_username"}
	}
	c.Session = cmp.Or(c.Session, defaultSession)
	return c
}

// takesTokens tells whether access tokens are taken: it must be said for whom they were made.
func (c OIDCConfig) takesTokens() bool { return len(c.Audiences) > 0 || len(c.Clients) > 0 }

// Check answers what is wrong with the section.
func (c Config) Check() configs.Problems {
	problems := c.LDAP.check()
	if !c.LDAP.URL.Set && c.Methods.names(WayLDAP) {
		problems.Add(c.Pos, "ldap: {url: …}", "a kind of account logs in with ldap, and no directory is configured")
	}
	problems = append(problems, c.Certificates.check()...)
	if !c.Certificates.CA.Set && c.Methods.names(WayCertificates) {
		problems.Add(c.Pos, "certificates: {ca: …}", "a kind of account logs in with certificates, and no authority is configured")
	}
	o := c.OIDC
	switch at, err := url.Parse(o.Issuer.V); {
	case !o.Issuer.Set:
		if c.Methods.names(WayOIDC) {
			problems.Add(c.Pos, "oidc: {issuer: …}", "a kind of account logs in with oidc, and no OpenID provider is configured")
		}
		return problems
	case err != nil, at.Scheme != "https", at.Host == "", at.RawQuery != "", at.Fragment != "", at.User != nil:
		problems.Add(o.Issuer.Pos, "https://host/path, exactly as the provider writes it", "%q is not the issuer of an OpenID provider", o.Issuer.V)
	}
	if !o.takesTokens() && !o.Browser.Client.Set {
		problems.Add(o.Issuer.Pos, "audiences: [balorg], or clients: [the software's client_id]",
			"nothing says for whom access tokens must have been made: one made for any other service would open mailboxes")
	}
	return slices.Concat(problems, o.Introspection.check(), o.Browser.check())
}

// Equal tells whether two configurations say the same.
func (c Config) Equal(other Config) bool {
	a, b := c.withoutLists(), other.withoutLists()
	return c.Methods.equal(other.Methods) && c.OIDC.equal(other.OIDC) && c.LDAP.equal(other.LDAP) &&
		c.Certificates.CA.V == other.Certificates.CA.V && c.Certificates.CRL.V == other.Certificates.CRL.V && maps.Equal(c.Certificates.Subjects, other.Certificates.Subjects) && a == b
}

// settings are those of a Config that can be compared.
type settings struct {
	ints      [5]int
	durations [2]time.Duration
}

func (c Config) withoutLists() settings {
	return settings{
		[5]int{c.MinPassword, c.FailuresPerMinute, c.NetworkFailuresPerMinute, c.AccountFailuresPerMinute, c.HashSlots},
		[2]time.Duration{c.Remember, c.TokenUnused},
	}
}

func (c OIDCConfig) equal(other OIDCConfig) bool {
	return c.Issuer.V == other.Issuer.V && c.CA.V == other.CA.V && c.ByEmail == other.ByEmail && c.Session == other.Session &&
		slices.Equal(c.Audiences, other.Audiences) && slices.Equal(c.Clients, other.Clients) && slices.Equal(c.Algorithms, other.Algorithms) &&
		slices.Equal(c.ACR, other.ACR) && slices.Equal(c.Claims, other.Claims) && c.Introspection.equal(other.Introspection) && c.Browser.equal(other.Browser)
}

package auth

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
)

// LDAPConfig is authentication.ldap: the site's directory (Active Directory, OpenLDAP), whose passwords count. It is off without a URL.
type LDAPConfig struct {
	URL          configs.Value[string] `yaml:"url"`
	CA           configs.Value[string] `yaml:"ca"`   // who alone may vouch for the server, PEM; else whom the system trusts
	Bind         configs.Value[string] `yaml:"bind"` // the name to bind with, or
	Base         configs.Value[string] `yaml:"base"` // where to look it up
	Filter       configs.Value[string] `yaml:"filter"`
	SearchAs     configs.Value[string] `yaml:"search_as"` // the account that looks up; left out: nobody
	PasswordFile configs.Value[string] `yaml:"password_file"`
}

// What stands for whoever logs in, in LDAPConfig's bind and filter.
const (
	holderAddress = "{address}" // the account's identifier
	holderLocal   = "{local}"   // its part before the @
)

const (
	// directoryTimeout bounds a whole question to the directory: a person waits for it.
	directoryTimeout = 3 * time.Second
	// maxDirectoryBinds bounds questions under way: a directory that hangs must not gather connections without end.
	maxDirectoryBinds = 32
)

func (c LDAPConfig) check() configs.Problems {
	var problems configs.Problems
	if !c.URL.Set {
		return nil
	}
	if at, err := url.Parse(c.URL.V); err != nil || (at.Scheme != "ldap" && at.Scheme != "ldaps") || at.Host == "" || (at.Path != "" && at.Path != "/") {
		problems.Add(c.URL.Pos, "ldaps://host, or ldap://host, on which StartTLS is asked for", "%q is not the URL of a directory", c.URL.V)
	}
	named := func(v configs.Value[string]) bool {
		return strings.Contains(v.V, holderAddress) || strings.Contains(v.V, holderLocal)
	}
	switch {
	case c.Bind.Set == c.Base.Set:
		problems.Add(c.URL.Pos, `bind: "{address}", or base: "ou=people,dc=example,dc=org" and filter: "(mail={address})"`, "the directory needs either the name to bind with or where to look for it")
	case c.Bind.Set && !named(c.Bind):
		problems.Add(c.Bind.Pos, "{address} or {local} stands for who logs in", "everybody would bind with the name %q", c.Bind.V)
	case c.Base.Set && !named(c.Filter):
		problems.Add(c.Base.Pos, `filter: "(mail={address})"`, "nothing says which entry of the directory is whose")
	case c.Base.Set:
		if _, err := ldap.CompileFilter(filled(c.Filter.V, "a@b.fr", ldap.EscapeFilter)); err != nil {
			problems.Add(c.Filter.Pos, `"(mail={address})"`, "%q is not a filter", c.Filter.V)
		}
	}
	if c.SearchAs.Set != c.PasswordFile.Set {
		at := c.SearchAs.Pos
		if c.PasswordFile.Set {
			at = c.PasswordFile.Pos
		}
		problems.Add(at, "search_as: name, and password_file: path", "who looks entries up needs a name and a password")
	}
	return problems
}

func (c LDAPConfig) equal(other LDAPConfig) bool {
	return c.URL.V == other.URL.V && c.CA.V == other.CA.V && c.Bind.V == other.Bind.V && c.Base.V == other.Base.V && c.Filter.V == other.Filter.V &&
		c.SearchAs.V == other.SearchAs.V && c.PasswordFile.V == other.PasswordFile.V
}

// filled puts an address in the place of what stands for it.
func filled(template string, address mail.Address, escape func(string) string) string {
	return strings.NewReplacer(holderAddress, escape(string(address)), holderLocal, escape(address.Local())).Replace(template)
}

// Directory is how to reach a site's directory, beside what LDAPConfig says.
type Directory struct {
	Roots    *x509.CertPool // nil: the system's
	Password Secret         // of search_as
}

// directory asks a site's directory whether a password is right, by binding with it. Whoever asks, it is asked: that an account is
// unknown here must not be told by how quickly the answer comes.
type directory struct {
	cfg   LDAPConfig
	how   Directory
	slots chan struct{}
}

// newDirectory answers nil where none is configured.
func newDirectory(cfg LDAPConfig, how Directory) *directory {
	if !cfg.URL.Set {
		return nil
	}
	return &directory{cfg, how, make(chan struct{}, maxDirectoryBinds)}
}

var (
	errBusy = errors.New("too many questions to the directory are under way")
	// errWrong is a password that the directory does not take, or of one whom it does not know.
	errWrong = errors.New("the directory does not take the password")
)

// verify answers nil for the right password of an address, errWrong for a wrong one, and another error when the directory cannot tell.
func (d *directory) verify(ctx context.Context, address mail.Address, password Secret) error {
	// A bind without password succeeds, as nobody (RFC 4513, 5.1.2).
	if password.IsEmpty() || address == "" {
		return errWrong
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return errBusy
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the directory: %w", err)
	}
	defer conn.Close() //nolint:errcheck // answered
	name, err := d.nameOf(conn, address)
	if err != nil {
		return err
	}
	return verdict(conn.Bind(name, password.Reveal()))
}

func (d *directory) dial(ctx context.Context) (*ldap.Conn, error) {
	at, err := url.Parse(d.cfg.URL.V)
	if err != nil {
		return nil, err
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.how.Roots, ServerName: at.Hostname()}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[at.Scheme]
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), port)))
	if err != nil {
		return nil, err
	}
	if at.Scheme == "ldaps" {
		over := tls.Client(raw, secured)
		if err := over.HandshakeContext(ctx); err != nil {
			raw.Close() //nolint:errcheck // it failed
			return nil, err
		}
		raw = over
	}
	conn := ldap.NewConn(raw, at.Scheme == "ldaps")
	conn.SetTimeout(directoryTimeout)
	conn.Start()
	context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it ends either way
	if at.Scheme == "ldap" {
		if err := conn.StartTLS(secured); err != nil {
			conn.Close() //nolint:errcheck // it failed
			return nil, err
		}
	}
	return conn, nil
}

// nameOf is the name with which an address binds.
func (d *directory) nameOf(conn *ldap.Conn, address mail.Address) (string, error) {
	if d.cfg.Bind.Set {
		escape := func(s string) string { return s } // a name of Active Directory's: who@domain
		if strings.Contains(d.cfg.Bind.V, "=") {
			escape = ldap.EscapeDN
		}
		return filled(d.cfg.Bind.V, address, escape), nil
	}
	if d.cfg.SearchAs.Set {
		if err := conn.Bind(d.cfg.SearchAs.V, d.how.Password.Reveal()); err != nil {
			return "", fmt.Errorf("binding to the directory to look people up: %w", err)
		}
	}
	const two = 2 // enough to know that there is more than one
	found, err := conn.Search(ldap.NewSearchRequest(d.cfg.Base.V, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, two, int(directoryTimeout/time.Second), false,
		filled(d.cfg.Filter.V, address, ldap.EscapeFilter), []string{"1.1"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return "", errWrong
	case err != nil:
		return "", fmt.Errorf("looking somebody up in the directory: %w", err)
	case len(found.Entries) != 1:
		return "", errWrong // nobody, or more than one, which says not who
	}
	return found.Entries[0].DN, nil
}

// verdict tells a wrong password from a directory that cannot tell.
func verdict(err error) error {
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation) {
		return errWrong
	}
	return err
}

// chain tries a password at each place where it may be right. Every refusal has asked all of them, whoever is named.
type chain struct {
	*passwords
	directory *directory
}

// Verify implements Verifier.
func (c *chain) Verify(ctx context.Context, person *policy.Account, cred Credential) (policy.Means, error) {
	asked := make(chan error, 1)
	go func() { asked <- c.directory.verify(ctx, cred.Address, cred.Secret) }()
	means, err := c.passwords.Verify(ctx, person, cred)
	there := <-asked
	switch {
	case err == nil:
		return means, nil
	case person != nil && person.Kind.Nominative() && c.cfg.Methods.allows(person.Kind, WayLDAP) && there == nil:
		return policy.Means{Method: policy.MethodDirectory, ID: "directory/" + string(person.ID)}, nil
	case errors.Is(err, ErrRefused) && there != nil && !errors.Is(there, errWrong):
		return policy.Means{}, there
	}
	return policy.Means{}, err
}

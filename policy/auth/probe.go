package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"balorg/mail"
)

// Probe does what a log-in by the site's directory begins with: it connects over TLS and looks somebody up, as whoever looks up. Where names are bound with
// directly it binds as somebody who does not exist, which the directory has to refuse. It answers what was done, and what went wrong.
func (c LDAPConfig) Probe(ctx context.Context, how Directory) (done string, err error) {
	d := newDirectory(c, how)
	if d == nil {
		return "", errors.New("no directory is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	conn, err := d.dial(ctx)
	if err != nil {
		return "", fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close() //nolint:errcheck // answered
	nobody := mail.Address("balorg-doctor-" + rand.Text() + "@invalid.invalid")
	if c.Bind.Set {
		name, err := d.nameOf(conn, nobody)
		if err != nil {
			return "", err
		}
		switch err := verdict(conn.Bind(name, rand.Text())); {
		case err == nil:
			return "", fmt.Errorf("it takes any password for %q", c.Bind.V)
		case !errors.Is(err, errWrong):
			return "", fmt.Errorf("binding: %w", err)
		}
		return "speaks TLS with a certificate that is trusted, and refuses a wrong bind as it should", nil
	}
	switch _, err := d.nameOf(conn, nobody); {
	case err == nil:
		return "", fmt.Errorf("the filter %s finds somebody for an address that is nobody's", c.Filter.V)
	case !errors.Is(err, errWrong):
		return "", err
	}
	base := ldap.NewSearchRequest(c.Base.V, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, int(directoryTimeout.Seconds()), false, "(objectClass=*)", []string{"1.1"}, nil)
	if found, err := conn.Search(base); err != nil || len(found.Entries) == 0 {
		return "", fmt.Errorf("it does not show the base %q to who looks people up: %w", c.Base.V, orNotFound(err))
	}
	done = "speaks TLS with a certificate that is trusted, and looks people up"
	if c.SearchAs.Set {
		done += " as " + c.SearchAs.V
	}
	return done, nil
}

var errNoEntry = errors.New("no entry")

func orNotFound(err error) error {
	if err == nil {
		return errNoEntry
	}
	return err
}

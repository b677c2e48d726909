package auth

import (
	"fmt"
	"slices"

	"balorg/policy"
)

// Way is a kind of credentials, in the words of the configuration.
type Way string

// The ways to log in.
const (
	WayPasswords Way = "passwords" // those that balorg keeps
	WayTokens    Way = "tokens"    // device tokens
	WayLDAP      Way = "ldap"      // those of the site's directory
	WayOIDC      Way = "oidc"      // access tokens of an OpenID provider

	WayCertificates Way = "certificates" // of clients, in TLS
)

// UnmarshalText reads a way.
func (w *Way) UnmarshalText(text []byte) error {
	switch way := Way(text); way {
	case WayPasswords, WayTokens, WayLDAP, WayOIDC, WayCertificates:
		*w = way
		return nil
	}
	return fmt.Errorf("%q is no way to log in; write passwords, tokens, ldap, oidc or certificates", text)
}

// softwareWay is a way that is open to accounts of kind app: never a password, which would be in a file of that software.
type softwareWay struct{ Way }

// UnmarshalText reads a way.
func (w *softwareWay) UnmarshalText(text []byte) error {
	if err := w.Way.UnmarshalText(text); err != nil {
		return err
	}
	if !forSoftware(w.Way) {
		return fmt.Errorf("software does not log in with %s; write tokens or certificates", text)
	}
	return nil
}

func forSoftware(way Way) bool { return way == WayTokens || way == WayCertificates }

// Ways is authentication.methods: which credentials count, for each kind of account. A kind that is left out has all that are
// configured; an empty list closes it.
type Ways struct {
	Per []Way         `yaml:"per"`
	Med []Way         `yaml:"med"`
	App []softwareWay `yaml:"app"`
}

// allows tells whether a way is open to a kind of account.
func (w Ways) allows(kind policy.Kind, way Way) bool {
	list := w.Per
	switch kind {
	case policy.Per:
	case policy.Med:
		list = w.Med
	case policy.App:
		return forSoftware(way) && (w.App == nil || slices.Contains(w.App, softwareWay{way}))
	case policy.Org:
		return false
	}
	return list == nil || slices.Contains(list, way)
}

// names tells whether any kind's list names a way.
func (w Ways) names(way Way) bool {
	return slices.Contains(w.Per, way) || slices.Contains(w.Med, way) || slices.Contains(w.App, softwareWay{way})
}

func (w Ways) equal(other Ways) bool {
	return sameList(w.Per, other.Per) && sameList(w.Med, other.Med) && sameList(w.App, other.App)
}

func sameList[T comparable](a, b []T) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// closed is the reason of a refusal where a way is not open to an account.
func closed(person *policy.Account, way Way) policy.Reason {
	return policy.Reason{
		Code: policy.ReasonMethod, Text: fmt.Sprintf("%s, of kind %s, does not log in with %s (authentication.methods)", person.Address, person.Kind, way), Pos: person.Pos,
	}
}

// Package mail holds the nouns every folder of balorg speaks of: addresses and opaque account ids. A value of these
// types is already checked and normalised: their parsers are the only way in from the outside, so nothing downstream
// folds case or trims again.
package mail

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Address is a mailbox address of the form local@domain, lower case, its domain in ASCII (A-labels).
// The zero value is no address.
type Address string

// Lengths of RFC 5321, 4.5.3.1.1 and 4.5.3.1.2, and of a whole address (RFC 3696, erratum 1690).
const (
	maxLocal   = 64
	maxDomain  = 253
	maxAddress = 254
)

// ParseAddress reads an address of an account: a local part made of a-z 0-9 . _ + ' - in any case, one @, and a domain of
// letters, digits and hyphens (an internationalised one becomes its A-labels). The error says which rule is broken and
// never holds more of the input than the part at fault.
func ParseAddress(s string) (Address, error) { return parseAddress(s, ParseDomain) }

func parseAddress(s string, parseDomain func(string) (string, error)) (Address, error) {
	if len(s) > maxAddress {
		return "", errLong()
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		return "", errors.New("address has no @")
	}
	local = strings.Map(lowerASCII, local)
	if err := checkLocal(local); err != nil {
		return "", err
	}
	domain, err := parseDomain(domain)
	if err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > maxAddress { // an internationalised domain grows
		return "", errLong()
	}
	if s[:len(local)] == local && s[len(local)+1:] == domain {
		return Address(s), nil
	}
	return Address(local + "@" + domain), nil
}

func errLong() error { return fmt.Errorf("address is longer than %d octets", maxAddress) }

// A Parser reads many addresses of few domains: as ParseAddress, but it remembers domains, which are the dear part. The zero value is ready; it is not
// for concurrent use.
type Parser struct{ domains map[string]string }

// maxRemembered bounds the memory of a Parser. The national directory has 5 018 domains.
const maxRemembered = 1 << 14

// Address answers what ParseAddress answers.
func (p *Parser) Address(s string) (Address, error) { return parseAddress(s, p.domain) }

func (p *Parser) domain(s string) (string, error) {
	if d, ok := p.domains[s]; ok {
		return d, nil
	}
	d, err := ParseDomain(s)
	if err != nil {
		return "", err
	}
	if p.domains == nil || len(p.domains) >= maxRemembered {
		p.domains = make(map[string]string)
	}
	p.domains[strings.Clone(s)] = strings.Clone(d) // not the address around it
	return d, nil
}

// ParseForeign reads an address of anybody: a local part that is a dot-atom (RFC 5321, 4.1.2) without ! and %, by which other systems
// route on, in any case, and a domain as ParseAddress reads it. Only with utf8 may there be letters outside ASCII; a local part becomes their composed form
// (RFC 6531). Quoted local parts and address literals are refused: what cannot be read in two ways cannot be used to
// pass one address off as another.
func ParseForeign(s string, utf8 bool) (Address, error) {
	if len(s) > maxAddress {
		return "", errLong()
	}
	if !utf8 && strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", errors.New("address is not ASCII")
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		return "", errors.New("address has no @")
	}
	local = strings.Map(lowerASCII, local)
	if utf8 {
		local = norm.NFC.String(local)
	}
	if err := checkForeignLocal(local, utf8); err != nil {
		return "", err
	}
	domain, err := ParseDomain(domain)
	if err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > maxAddress {
		return "", errLong()
	}
	return Address(local + "@" + domain), nil
}

func checkForeignLocal(local string, utf8 bool) error {
	if err := checkDots(local); err != nil {
		return err
	}
	for _, r := range local {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune(".#$&'*+-/=?^_`{|}~", r):
		case utf8 && r > unicode.MaxASCII && r != unicode.ReplacementChar && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)):
		default:
			return fmt.Errorf("local part holds %q", r)
		}
	}
	return nil
}

// lowerASCII leaves all but A to Z as it is: Unicode has other signs whose lower case is a plain letter.
func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func checkDots(local string) error {
	switch {
	case local == "":
		return errors.New("address has an empty local part")
	case len(local) > maxLocal:
		return fmt.Errorf("local part is longer than %d octets", maxLocal)
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return errors.New("local part has a dot at its start or end, or two in a row")
	}
	return nil
}

func checkLocal(local string) error {
	if err := checkDots(local); err != nil {
		return err
	}
	for _, r := range local {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._+'-", r) {
			return fmt.Errorf("local part holds %q; only a-z 0-9 . _ + ' - are allowed", r)
		}
	}
	return nil
}

// ParseDomain reads a host or mail domain and answers it in lower case, as A-labels, with at least two labels and no
// trailing dot.
func ParseDomain(s string) (string, error) {
	if s == "" {
		return "", errors.New("domain is empty")
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || !utf8.ValidString(s) { // idna makes a sign of its own of what is no UTF-8
		return "", fmt.Errorf("domain %q is not valid", s)
	}
	ascii = strings.ToLower(ascii)
	if len(ascii) > maxDomain || !strings.Contains(ascii, ".") {
		return "", fmt.Errorf("domain %q is not a full domain name", s)
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("domain %q has an empty, overlong or hyphen-edged label", s)
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return "", fmt.Errorf("domain %q holds %q", s, c)
			}
		}
	}
	return ascii, nil
}

// Local is the part before the @.
func (a Address) Local() string {
	local, _, _ := strings.Cut(string(a), "@")
	return local
}

// Domain is the part after the @.
func (a Address) Domain() string {
	_, domain, _ := strings.Cut(string(a), "@")
	return domain
}

func (a Address) String() string { return string(a) }

// AccountID names an account for ever: credentials, settings and mail hang on it, not on the address, so that an
// address given to somebody else never opens its former owner's mail. 16 characters of a-z 2-7.
type AccountID string

const accountIDBytes = 10 // 80 random bits: no two accounts of a platform will ever share an id

// NewAccountID makes a random id.
func NewAccountID() AccountID {
	var b [accountIDBytes]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return AccountID(strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

func (id AccountID) String() string { return string(id) }

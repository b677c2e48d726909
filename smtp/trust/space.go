// Package trust is the trust space: the domains one may exchange mail with, and the certificates of those who operate them. It comes from
// the whitelist, which is published daily, and from the configuration.
//
// Invariants:
//   - A domain is in the space exactly as it is written: what is below it is not.
//   - A Space never changes; a newer list is a new Space behind one atomic pointer.
//   - A list that is empty, broken or sharply smaller than the last one changes nothing: the last good one holds, across restarts too.
package trust

import (
	"crypto/x509"
	"time"
)

// Space is the trust space at one time. Its zero value is empty.
type Space struct {
	domains   map[string][]DN
	operators map[string]bool // the keys of all DNs
	generated time.Time
}

// Contains tells whether a domain, as mail.Address has them, is in the trust space.
func (s *Space) Contains(domain string) bool {
	_, ok := s.domains[domain]
	return ok
}

// Operators answers the subjects of the certificates that speak for a domain. A domain of the configuration has none.
func (s *Space) Operators(domain string) []DN { return append([]DN(nil), s.domains[domain]...) }

// MatchesCertificate tells whether a certificate is that of an operator of the domain. Whether it can be trusted at all is for others to
// have verified.
func (s *Space) MatchesCertificate(domain string, cert *x509.Certificate) bool {
	operators := s.domains[domain]
	if len(operators) == 0 || cert == nil {
		return false
	}
	subject, err := Subject(cert)
	if err != nil {
		return false
	}
	for _, dn := range operators {
		if dn.Equal(subject) {
			return true
		}
	}
	return false
}

// KnowsCertificate tells whether a certificate is that of any operator.
func (s *Space) KnowsCertificate(cert *x509.Certificate) bool {
	if cert == nil {
		return false
	}
	subject, err := Subject(cert)
	return err == nil && s.operators[subject.key]
}

// Len is how many domains there are.
func (s *Space) Len() int { return len(s.domains) }

// Generated is when the list says that it was made; zero when there is none or it does not say.
func (s *Space) Generated() time.Time { return s.generated }

// newSpace makes a space of a list, which may be nil, and of domains of the configuration.
func newSpace(list *List, extra []string) *Space {
	s := &Space{domains: make(map[string][]DN), operators: make(map[string]bool)}
	if list != nil {
		s.generated = list.Generated
		for _, entry := range list.Entries {
			operators := s.domains[entry.Domain]
			if !entry.Operator.IsZero() && !contains(operators, entry.Operator) {
				operators = append(operators, entry.Operator)
				s.operators[entry.Operator.key] = true
			}
			s.domains[entry.Domain] = operators
		}
	}
	for _, domain := range extra {
		if !s.Contains(domain) {
			s.domains[domain] = nil
		}
	}
	return s
}

func contains(all []DN, dn DN) bool {
	for _, other := range all {
		if other.Equal(dn) {
			return true
		}
	}
	return false
}

package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"balorg/configs"
	"balorg/policy"
)

// MechanismExternal is that of client certificates (RFC 4422, appendix A).
const MechanismExternal = "EXTERNAL"

// CertificatesConfig is authentication.certificates: whose client certificates log in. It is off without an authority.
type CertificatesConfig struct {
	CA       configs.Value[string] `yaml:"ca"`       // who may have issued them, PEM
	CRL      configs.Value[string] `yaml:"crl"`      // those it has revoked, PEM or DER
	Subjects map[string]string     `yaml:"subjects"` // subject → address of an account; else a mail address in the certificate is the account's
}

// Certificates is what is known of client certificates, beside what CertificatesConfig says.
type Certificates struct {
	Roots *x509.CertPool // nil: certificates log nobody in
	// Revoked answers the lists of revoked certificates of the moment, of which the authority of each certificate must have one that has not
	// run out; nil means that none is asked for.
	Revoked func() ([]*x509.RevocationList, error)
}

// withCertificate logs in with the client certificate of a connection's TLS.
func (a *Authenticator) withCertificate(_ context.Context, req Request) (Result, error) {
	refuse := func(code policy.ReasonCode, text string, person *policy.Account, access policy.Access) (Result, error) {
		return Result{}, &Refusal{Reason: policy.Reason{Code: code, Text: text}, Person: person, Mailbox: access.Mailbox, User: req.Authzid}
	}
	if a.certificates.Roots == nil || len(req.Certificates) == 0 {
		return refuse(policy.ReasonMethod, "the connection has no client certificate, or none is taken here", nil, policy.Access{})
	}
	leaf := req.Certificates[0]
	chain, err := a.trusted(req.Certificates)
	if err != nil {
		return refuse(policy.ReasonWrongSecret, fmt.Sprintf("the certificate of %q is refused: %v", leaf.Subject, err), nil, policy.Access{})
	}
	switch revoked, err := a.revoked(chain); {
	case err != nil:
		return Result{}, &Unavailable{User: req.Authzid, Err: err, Reason: policy.Reason{
			Code: policy.ReasonUnavailable, Text: fmt.Sprintf("whether the certificate of %q is revoked cannot be told: %v", leaf.Subject, err),
		}}
	case revoked:
		return refuse(policy.ReasonWrongSecret, fmt.Sprintf("the certificate of %q is revoked", leaf.Subject), nil, policy.Access{})
	}
	snap := a.snapshot()
	person, reason := a.holder(snap, leaf)
	if person == nil {
		return refuse(reason.Code, reason.Text, nil, policy.Access{})
	}
	access, ok := a.openedBy(snap, person, req.Authzid, WayCertificates)
	if !ok {
		return Result{}, &Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox, User: req.Authzid}
	}
	sum := sha256.Sum256(leaf.Raw)
	return Result{Person: person, Mailbox: access.Mailbox, Access: access, Means: policy.Means{
		Method: policy.MethodCertificate, ID: "certificate/" + hex.EncodeToString(sum[:]), Name: leaf.Subject.String(),
		// Nothing else would end a session when its certificate does.
		Until: leaf.NotAfter,
	}}, nil
}

// trusted answers the chain of a certificate to an authority that counts.
func (a *Authenticator) trusted(given []*x509.Certificate) ([]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range given[1:] {
		between.AddCert(c)
	}
	chains, err := given[0].Verify(x509.VerifyOptions{
		Roots: a.certificates.Roots, Intermediates: between, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

var errNoList = errors.New("there is no list of its authority that has not run out")

// revoked tells whether a certificate of the chain is, but for its root.
func (a *Authenticator) revoked(chain []*x509.Certificate) (bool, error) {
	if a.certificates.Revoked == nil {
		return false, nil
	}
	lists, err := a.certificates.Revoked()
	if err != nil {
		return false, err
	}
	for i, c := range chain[:len(chain)-1] {
		known := false
		for _, list := range lists {
			// Signed by the authority itself: a list that somebody else has put into the file says nothing.
			if !bytes.Equal(list.RawIssuer, c.RawIssuer) || list.CheckSignatureFrom(chain[i+1]) != nil {
				continue
			}
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return true, nil
				}
			}
			known = known || list.NextUpdate.IsZero() || a.now().Before(list.NextUpdate)
		}
		if !known {
			return false, errNoList
		}
	}
	return false, nil
}

// holder finds whose certificate it is: by its subject, as configured, else by the one mail address it holds.
func (a *Authenticator) holder(snap *policy.Snapshot, leaf *x509.Certificate) (*policy.Account, policy.Reason) {
	address, ok := a.cfg.Certificates.Subjects[leaf.Subject.String()]
	if !ok && len(leaf.EmailAddresses) == 1 {
		address = leaf.EmailAddresses[0]
	}
	if address == "" {
		return nil, policy.Reason{Code: policy.ReasonUnknown, Text: fmt.Sprintf("nothing says whose the certificate of %q is", leaf.Subject)}
	}
	return snap.ByCertificate(address)
}

func (c CertificatesConfig) check() configs.Problems {
	var problems configs.Problems
	if !c.CA.Set && c.CRL.Set {
		problems.Add(c.CRL.Pos, "ca: authority.pem", "nothing says who issues client certificates")
	}
	for subject, address := range c.Subjects {
		if !strings.Contains(address, "@") || !strings.Contains(subject, "=") {
			problems.Add(c.CA.Pos, `subjects: {"CN=ris,O=Clinique des Sapins": ris@example.org}`, "%q and %q are not a subject and the address of an account", subject, address)
		}
	}
	return problems
}

package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// loginTLS is the TLS of services that people log in to: where client certificates count it asks for one. Whether it may log anybody in is
// looked at when it is used, so that a client with another one still gets through with its password.
func (g *Gateway) loginTLS() *tls.Config {
	c := g.cert.config()
	if g.clientRoots != nil {
		c.ClientAuth, c.ClientCAs = tls.RequestClientCert, g.clientRoots
	}
	return c
}

// revocations is a file of lists of revoked certificates, read anew when it has changed.
type revocations struct {
	path string

	mu      sync.Mutex
	changed time.Time
	size    int64
	lists   []*x509.RevocationList
}

// maxRevocations bounds the file: the lists of a national authority have some megabytes.
const maxRevocations = 64 << 20

// read answers the lists of the moment.
func (r *revocations) read() ([]*x509.RevocationList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading revoked certificates: %w", err)
	case info.Size() > maxRevocations:
		return nil, fmt.Errorf("%s is larger than %d octets", r.path, maxRevocations)
	case r.lists != nil && info.ModTime().Equal(r.changed) && info.Size() == r.size:
		return r.lists, nil
	}
	content, err := os.ReadFile(r.path)
	if err != nil {
		return nil, fmt.Errorf("reading revoked certificates: %w", err)
	}
	lists, err := parseRevocations(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	r.lists, r.changed, r.size = lists, info.ModTime(), info.Size()
	return lists, nil
}

// parseRevocations reads lists in PEM, or one in DER.
func parseRevocations(content []byte) ([]*x509.RevocationList, error) {
	var lists []*x509.RevocationList
	if !bytes.Contains(content, []byte("-----BEGIN")) {
		list, err := x509.ParseRevocationList(content)
		if err != nil {
			return nil, err
		}
		return append(lists, list), nil
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return nil, errors.New("no list of revoked certificates is in it")
	}
	return lists, nil
}

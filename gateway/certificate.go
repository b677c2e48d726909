package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// certificate is the server's, replaced whole on reload; connections made before keep theirs.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

func loadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the key %s may be read by everybody; run chmod 600 on it", keyFile)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return &cert, nil
}

// certificate reads the configured certificate: nil when there is none.
func (c *Config) certificate() (*tls.Certificate, error) {
	if !c.TLS.Certificate.Set {
		return nil, nil
	}
	return loadCertificate(c.path(c.TLS.Certificate.V), c.path(c.TLS.Key.V))
}

// config is what listeners use.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // what MSSanté asks of clients
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert := c.current.Load(); cert != nil {
				return cert, nil
			}
			return nil, errors.New("no certificate is configured")
		},
	}
}

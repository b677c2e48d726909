package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificates puts those of the demo into a new folder.
func certificates(t *testing.T) (dir, cert, key string) {
	t.Helper()
	dir = t.TempDir()
	if err := demoCertificates(dir, "192.0.2.1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

func TestDemoCertificates(t *testing.T) {
	dir, cert, key := certificates(t)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	pair, err := loadCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "mail.example.net"}); err == nil {
		t.Error("good for any name")
	}
	for _, file := range []string{"ca.pem", "cert.pem", "key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
	}
	if err := demoCertificates(dir, "192.0.2.1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || string(again) != string(ca) {
		t.Errorf("a kept demo's CA was replaced (%v)", err)
	}
	// One that would not do any more is.
	for listen, now := range map[string]time.Time{"192.0.2.1": time.Now().Add(demoValidity), "192.0.2.2": time.Now()} {
		if err := demoCertificates(dir, listen, now); err != nil {
			t.Fatal(err)
		}
		again, err := loadCertificate(cert, key)
		if err != nil || again.Leaf.VerifyHostname(listen) != nil || !again.Leaf.NotAfter.After(now.AddDate(0, 1, 0)) {
			t.Errorf("%s at %v: not replaced (%v)", listen, now, err)
		}
	}
}

func TestLoadCertificate(t *testing.T) {
	_, cert, key := certificates(t)
	_, _, otherKey := certificates(t)
	open := filepath.Join(t.TempDir(), "open.pem")
	group := filepath.Join(t.TempDir(), "group.pem")
	content, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, mode := range map[string]fs.FileMode{open: 0o644, group: 0o640} {
		if err := errors.Join(os.WriteFile(file, content, 0o600), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, cert, key, want string }{
		{"good", cert, key, ""},
		{"readable by the group", cert, group, ""},
		{"readable by all", cert, open, "may be read by everybody; run chmod 600 on it"},
		{"no key", cert, filepath.Join(t.TempDir(), "none"), "reading the key: "},
		{"no certificate", filepath.Join(t.TempDir(), "none"), key, "reading the certificate: "},
		{"of two pairs", cert, otherKey, "private key does not match"},
		{"exchanged", key, key, "reading the certificate: "},
	} {
		pair, err := loadCertificate(tt.cert, tt.key)
		if (err == nil) != (tt.want == "") || (pair == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", tt.name, pair, err)
		} else if err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestCertificateIsReplaced: new connections get the new certificate by the same configuration, and old versions of TLS get
// none.
func TestCertificateIsReplaced(t *testing.T) {
	var c certificate
	cfg := c.config()
	if _, err := handshake(t, cfg, tls.VersionTLS13); err == nil {
		t.Error("a handshake without a certificate")
	}
	for range 2 {
		_, cert, key := certificates(t)
		pair, err := loadCertificate(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		c.current.Store(pair)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			got, err := handshake(t, cfg, version)
			if err != nil || !got.Equal(pair.Leaf) {
				t.Errorf("%s: not the current certificate (%v)", tls.VersionName(version), err)
			}
		}
	}
	if _, err := handshake(t, cfg, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is taken")
	}
}

func handshake(t *testing.T, cfg *tls.Config, version uint16) (*x509.Certificate, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Server(far, cfg).Handshake()
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	if err := client.Handshake(); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

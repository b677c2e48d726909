package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var site = Site{
	Hostname: "mail.a.fr", Domains: []string{"a.fr"}, MX: []string{"a.fr"},
	Ports: map[string]int{"imaps": 993, "submissions": 465, "submission": 587, "ldaps": 636, "https": 443, "inbound": 25},
}

func TestRecords(t *testing.T) {
	var got []string
	for _, r := range site.Records() {
		got = append(got, strings.Join([]string{r.Name, r.Type, r.Value}, " "))
	}
	want := []string{
		"_imaps._tcp.a.fr. SRV 0 1 993 mail.a.fr.",
		"_imap._tcp.a.fr. SRV 0 0 0 .",
		"_submissions._tcp.a.fr. SRV 0 1 465 mail.a.fr.",
		"_submission._tcp.a.fr. SRV 0 1 587 mail.a.fr.",
		"_ldaps._tcp.a.fr. SRV 0 1 636 mail.a.fr.",
		"_autodiscover._tcp.a.fr. SRV 0 0 443 mail.a.fr.",
		"autoconfig.a.fr. CNAME mail.a.fr.",
		"a.fr. MX 10 mail.a.fr.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRecordsOfAPortalElsewhere: what mail programs ask over HTTPS is where browsers go.
func TestRecordsOfAPortalElsewhere(t *testing.T) {
	behind := site
	behind.Portal = "www.a.fr"
	got := map[string]string{}
	for _, r := range behind.Records() {
		got[r.Name] = r.Value
	}
	if got["_autodiscover._tcp.a.fr."] != "0 0 443 www.a.fr." || got["autoconfig.a.fr."] != "www.a.fr." || got["_imaps._tcp.a.fr."] != "0 1 993 mail.a.fr." {
		t.Errorf("published %v", got)
	}
	if found := DNS(t.Context(), zone{"A mail.a.fr": "192.0.2.1"}, behind); found[1].Subject != "www.a.fr" || found[1].Level != Broken {
		t.Errorf("without an address: %+v", found[1])
	}
}

// zone is a DNS of its own: values by type and name.
type zone map[string]string

func (z zone) find(kind, name string) (string, error) {
	if value, ok := z[kind+" "+name]; ok {
		return value, nil
	}
	return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupHost(_ context.Context, host string) ([]string, error) {
	value, err := z.find("A", host)
	return []string{value}, err
}

func (z zone) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	value, err := z.find("SRV", name)
	var srv net.SRV
	if err == nil {
		_, err = fmt.Sscan(value, &srv.Port, &srv.Target)
	}
	return "", []*net.SRV{&srv}, err
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	value, err := z.find("MX", name)
	return []*net.MX{{Host: value, Pref: 5}}, err
}

func TestDNS(t *testing.T) {
	published := zone{
		"A mail.a.fr": "192.0.2.1", "A autoconfig.a.fr": "192.0.2.1", "MX a.fr": "Mail.a.fr.",
		"SRV _imaps._tcp.a.fr": "993 MAIL.a.fr.", "SRV _imap._tcp.a.fr": "0 .", "SRV _submissions._tcp.a.fr": "465 mail.a.fr.",
		"SRV _submission._tcp.a.fr": "587 mail.a.fr.", "SRV _ldaps._tcp.a.fr": "636 mail.a.fr.", "SRV _autodiscover._tcp.a.fr": "443 mail.a.fr.",
	}
	levels := func() (all []Level) {
		for _, f := range DNS(t.Context(), published, site) {
			all = append(all, f.Level)
			if f.Level != OK && f.Do == "" {
				t.Errorf("%+v does not say what to do", f)
			}
		}
		return all
	}
	if got := levels(); len(got) != 9 || slices.Contains(got, Warning) || slices.Contains(got, Broken) {
		t.Errorf("all published: %v", got)
	}
	published["SRV _imaps._tcp.a.fr"] = "143 mail.a.fr."
	delete(published, "MX a.fr")
	delete(published, "A mail.a.fr")
	delete(published, "A autoconfig.a.fr")
	want := []Level{Broken, Warning, OK, OK, OK, OK, OK, Warning, Broken}
	if diff := cmp.Diff(want, levels()); diff != "" {
		t.Error(diff)
	}
}

func TestListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("220 hello\r\n"))
			conn.Close()
		}
	}()
	address := l.Addr().String()
	if f := Listener(t.Context(), "submission", address, false, "220"); f.Level != OK {
		t.Errorf("%+v", f)
	}
	if f := Listener(t.Context(), "imap", address, false, "* OK"); f.Level != Broken || f.Do == "" {
		t.Errorf("another service: %+v", f)
	}
	if f := Listener(t.Context(), "imaps", address, true, "* OK"); f.Level != Broken {
		t.Errorf("no TLS: %+v", f)
	}
	l.Close()
	if f := Listener(t.Context(), "submission", address, false, "220"); f.Level != Broken || f.What != "connect: connection refused" {
		t.Errorf("closed: %+v", f)
	}
	for in, want := range map[string]string{"0.0.0.0:1": "localhost:1", "[::]:1": "localhost:1", ":1": "localhost:1", "192.0.2.1:1": "192.0.2.1:1", "x": "x"} {
		if got := reachable(in); got != want {
			t.Errorf("%s is reached at %s", in, got)
		}
	}
}

func TestCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	cert := server.TLS.Certificates[0]
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	cert.Leaf = leaf
	for name, tt := range map[string]struct {
		host string
		at   time.Time
		want []Level
	}{
		"good":       {"example.com", leaf.NotBefore.Add(time.Hour), []Level{OK, Warning}}, // nobody trusts its authority
		"other name": {"mail.a.fr", leaf.NotBefore.Add(time.Hour), []Level{OK, Broken, Warning}},
		"soon":       {"example.com", leaf.NotAfter.Add(-time.Hour), []Level{Warning, Warning}},
		"expired":    {"example.com", leaf.NotAfter.Add(time.Hour), []Level{Broken, Warning}},
		"early":      {"example.com", leaf.NotBefore.Add(-time.Hour), []Level{Broken, Warning}},
	} {
		var got []Level
		for _, f := range Certificate(&tls.Certificate{Certificate: cert.Certificate, Leaf: leaf}, tt.host, tt.at) {
			got = append(got, f.Level)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[os.FileMode][2]Level{
		0o600: {OK, OK}, 0o640: {OK, OK}, 0o644: {Broken, OK}, 0o660: {Broken, OK}, 0o666: {Broken, Broken},
	} {
		path := filepath.Join(dir, mode.String())
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := [2]Level{Secret(path).Level, Rules(path).Level}; got != want {
			t.Errorf("%v: %v, want %v", mode, got, want)
		}
	}
	if f := Secret(filepath.Join(dir, "gone")); f.Level != Broken || f.What != "no such file or directory" {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if f := Secret(dir); f.Level != Broken || f.Do != "chmod 0700 "+dir {
		t.Errorf("%+v", f)
	}
	if f := Space(dir, 1); f.Level != OK {
		t.Errorf("%+v", f)
	}
	if f := Space(dir, 1<<60); f.Level != Broken {
		t.Errorf("%+v", f)
	}
}

func TestOthers(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]Level{time.Hour: OK, 11 * 24 * time.Hour: Warning} {
		if f := Whitelist(now.Add(-ago), now); f.Level != want {
			t.Errorf("%v: %+v", ago, f)
		}
	}
	if f := Whitelist(time.Time{}, now); f.Level != Broken {
		t.Errorf("none: %+v", f)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/realm/.well-known/openid-configuration" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	if f := Provider(t.Context(), server.URL+"/realm", http.DefaultTransport); f.Level != OK {
		t.Errorf("%+v", f)
	}
	if f := Provider(t.Context(), server.URL+"/other", http.DefaultTransport); f.Level != Broken || f.What != "it answers 404 Not Found" {
		t.Errorf("%+v", f)
	}
	server.Close()
	if f := Provider(t.Context(), server.URL, http.DefaultTransport); f.Level != Broken {
		t.Errorf("%+v", f)
	}
	if f := Clock(); f.Level == Broken {
		t.Errorf("%+v", f)
	}
}

func TestNationalDirectory(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		n     National
		level Level
		what  string
	}{
		{National{Source: "x", Made: now.Add(-24 * time.Hour), Entries: 7, Served: true}, OK, "7 entries of 2026-11-23"},
		{National{Source: "x", Made: now.Add(-11 * 24 * time.Hour), Served: true}, Warning, "2026-11-13"},
		{National{Source: "x", Made: now.Add(-24 * time.Hour), Served: true, Failure: "it is gone"}, Warning, "the source: it is gone"},
		{National{Made: now.Add(-61 * 24 * time.Hour), Served: true}, Broken, "people have come and gone"},
		{National{Source: "x"}, Broken, "none was imported"},
		{National{Source: "x", Made: now}, Broken, "cannot be read"},
	} {
		if f := NationalDirectory(tt.n, now); f.Level != tt.level || !strings.Contains(f.What, tt.what) || (f.Level != OK) != (f.Do != "") {
			t.Errorf("%+v: %+v", tt.n, f)
		}
	}
}

package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/configs"
)

func listOf(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = domaine(fmt.Sprintf("d%d.fr", i), operator)
	}
	return document(rows...)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gauge reads a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestKeeperFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "liste.xml")
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	opt := Options{
		File: file, Folder: dir, Extra: []string{"extra.fr"}, Refresh: time.Hour, ShrinkShare: 0.2, Metrics: reg,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	k := NewKeeper(opt)
	if k.Current().Len() != 1 || !k.Current().Contains("extra.fr") {
		t.Fatalf("before any list: %d domains", k.Current().Len())
	}
	if err := k.Refresh(t.Context(), false); err == nil || gauge(t, reg, "balorg_smtp_trust_space_refused_bool") != 1 {
		t.Errorf("no file: %v", err)
	}
	step := func(what, content string, force bool, want int, refused error) {
		t.Helper()
		log.Reset()
		write(t, file, content)
		err := k.Refresh(t.Context(), force)
		switch {
		case refused == nil && err != nil, refused != nil && err == nil, errors.Is(refused, ErrShrunk) && !errors.Is(err, ErrShrunk):
			t.Errorf("%s: %v, want %v", what, err, refused)
		case k.Current().Len() != want+1:
			t.Errorf("%s: %d domains, want %d", what, k.Current().Len(), want+1)
		case (gauge(t, reg, "balorg_smtp_trust_space_refused_bool") == 1) != (refused != nil):
			t.Errorf("%s: the gauge is wrong", what)
		case gauge(t, reg, "balorg_smtp_trust_space_domains_count") != float64(want+1):
			t.Errorf("%s: the number is wrong", what)
		case strings.Contains(log.String(), "level=ERROR") != (refused != nil):
			t.Errorf("%s: the log says %s", what, &log)
		}
		// A daemon that starts now has the same.
		again := opt
		again.Metrics, again.Logger = nil, nil
		if n := NewKeeper(again).Current().Len(); n != want+1 {
			t.Errorf("%s: after a restart there are %d", what, n)
		}
	}
	broken := errors.New("anything")
	step("the first list", listOf(100), false, 100, nil)
	step("a fifth less", listOf(80), false, 80, nil)
	step("more than a fifth less", listOf(63), false, 80, ErrShrunk)
	step("as many others", strings.ReplaceAll(listOf(80), "<Nom>d", "<Nom>e"), false, 80, ErrShrunk)
	step("empty", document(), false, 80, broken)
	step("broken", listOf(80)[:2000], true, 80, broken)
	step("the same", listOf(80), false, 80, nil)
	step("forced", listOf(10), true, 10, nil)
	k.SetExtra(nil)
	if k.Current().Len() != 10 || k.Current().Contains("extra.fr") {
		t.Errorf("without the extra domain: %d", k.Current().Len())
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

func TestKeptListDamaged(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "trust-space.xml"), "<broken")
	var log bytes.Buffer
	k := NewKeeper(Options{File: "x", Folder: dir, Extra: []string{"extra.fr"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if k.Current().Len() != 1 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%d domains, log %q", k.Current().Len(), &log)
	}
}

func TestChecksum(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "liste.xml")
	k := NewKeeper(Options{File: file, Folder: dir})
	content := listOf(3)
	sum := sha256.Sum256([]byte(content))
	write(t, file, content)
	for _, test := range []struct {
		sum string
		ok  bool
	}{
		{hex.EncodeToString(sum[:]) + "  liste.xml\n", true},
		{strings.ToUpper(hex.EncodeToString(sum[:])), true},
		{strings.Repeat("0", 64), false},
		{"", false},
		{"<html>", false},
	} {
		write(t, file+".sha256", test.sum)
		if err := k.Refresh(t.Context(), false); (err == nil) != test.ok {
			t.Errorf("%q: %v", test.sum, err)
		}
	}
}

// published is what stands at each address.
type published map[string]string

func (p published) Fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	content, there := p[url]
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !there:
		return nil, fmt.Errorf("%s: %w", url, fs.ErrNotExist)
	case content == "" || int64(len(content)) > limit:
		return nil, errors.New("the server is out of order, or says too much")
	}
	return []byte(content), nil
}

func TestKeeperURL(t *testing.T) {
	const list, sumOf = "https://a.fr/liste.xml?jour=1", "https://a.fr/liste.xml.sha256?jour=1"
	p := published{list: listOf(5)}
	k := NewKeeper(Options{URL: list, Fetcher: p, Folder: t.TempDir(), ShrinkShare: 0.2})
	if err := k.Refresh(t.Context(), false); err != nil || k.Current().Len() != 5 {
		t.Fatalf("%d domains, %v", k.Current().Len(), err)
	}
	sum := sha256.Sum256([]byte(listOf(6)))
	right := hex.EncodeToString(sum[:])
	for _, test := range []struct {
		name, list, sum string
		domains         int
		ok              bool
	}{
		{"a wrong checksum", listOf(6), strings.Repeat("a", 64), 5, false},
		{"the right one", listOf(6), right, 6, true},
		{"no list", "", right, 6, false},
		{"no checksum to be had, which is not that there is none", listOf(7), "", 6, false},
		{"a checksum that goes on and on", listOf(6), strings.Repeat(right+"\n", 100), 6, false},
	} {
		p[list], p[sumOf] = test.list, test.sum
		if err := k.Refresh(t.Context(), false); (err == nil) != test.ok || k.Current().Len() != test.domains {
			t.Errorf("%s: %d domains, %v", test.name, k.Current().Len(), err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Refresh(ended, false); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

// TestRun: the list is taken on schedule, and sooner again after a failure.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "liste.xml")
	synctest.Test(t, func(t *testing.T) {
		k := NewKeeper(Options{File: file, Folder: dir, Refresh: 6 * time.Hour, ShrinkShare: 0.2})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { k.Run(ctx); close(done) }()
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		synctest.Wait()
		write(t, file, listOf(10))
		if pass(67 * time.Second); k.Current().Len() != 10 {
			t.Errorf("%d domains a minute after a failure", k.Current().Len())
		}
		write(t, file, listOf(11))
		if pass(5 * time.Hour); k.Current().Len() != 10 {
			t.Error("it was taken before its time")
		}
		if pass(2 * time.Hour); k.Current().Len() != 11 {
			t.Errorf("%d domains after the interval", k.Current().Len())
		}
		stop()
		<-done
	})
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	path := func(p string) string { return filepath.Join(dir, p) }
	roots := func(p string) (*x509.CertPool, error) {
		if p != path("ca.pem") {
			return nil, fmt.Errorf("%s holds no certificate", p)
		}
		return x509.NewCertPool(), nil
	}
	for _, test := range []struct{ yaml, want string }{
		{"file: liste.xml\nrefresh: 1h\nextra_domains: [Demo.example.fr, hôpital.fr]\nshrink_share: 0.5", ""},
		{"url: https://listeblanche.example.fr/liste.xml\nca: ca.pem\nextra_domains: demo.fr", ""},
		{"file: a\nurl: https://a.fr/\nca: ca.pem", "not from both"},
		{"url: http://a.fr/\nca: ca.pem", "HTTPS only"},
		{"url: https://a.fr/x", "must be named"},
		{"url: https://a.fr/x\nca: absent.pem", "absent.pem"},
		{"url: https://a.fr/x\nca: empty.pem", "c.yaml:2:5"},
		{"extra_domains: [localhost]", "c.yaml:1:17"},
		{"shrink_share: 20", "not a share"},
	} {
		var c Config
		problems := configs.Decode("c.yaml", []byte(test.yaml), &c)
		problems = append(problems, c.Check(path, roots)...)
		if text := problems.Error(); test.want == "" && text != "" || !strings.Contains(text, test.want) {
			t.Errorf("%s: %q", test.yaml, text)
		}
		opt := c.Options(path, dir)
		if test.want == "" && (opt.ShrinkShare == 0 || opt.Refresh == 0 || len(opt.Extra) == 0 || opt.Extra[0] != strings.ToLower(c.ExtraDomains[0].V)) {
			t.Errorf("%s: %+v", test.yaml, opt)
		}
	}
}

package gateway

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"balorg/store"
)

// newGateway is a gateway that is made and not run, on a folder of its own.
func newGateway(t *testing.T, files map[string]string) (g *Gateway, dir string) {
	t.Helper()
	path := folder(t, files)
	g, err := New(Options{ConfigPath: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stop)
	return g, filepath.Dir(path)
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const bare = "state: state\nstore: {min_free: 1MB}\nlisten: {}\n"

// TestRefusedOnce: files that were refused are not tried again before one of them changes, whatever else happens in their folder;
// and all of them are looked at, those of the refused configuration and those of the running one.
func TestRefusedOnce(t *testing.T) {
	for name, broken := range map[string]string{
		"no YAML":        "state: [",
		"gone":           "",
		"other accounts": strings.Replace(bare, "listen", "accounts: others.yaml\nlisten", 1),
	} {
		t.Run(name, func(t *testing.T) {
			g, dir := newGateway(t, withDemo(t, bare))
			put(t, filepath.Join(dir, "others.yaml"), "accounts: 7\n")
			if g.changed(g.readInputs()) {
				t.Error("changed from the start")
			}
			if broken == "" {
				if err := os.Remove(filepath.Join(dir, "balorg.yaml")); err != nil {
					t.Fatal(err)
				}
			} else {
				put(t, filepath.Join(dir, "balorg.yaml"), broken)
			}
			if !g.changed(g.readInputs()) {
				t.Error("a change was missed")
			}
			if _, err := g.Reload(t.Context(), false); err == nil {
				t.Fatal("taken")
			}
			if g.changed(g.readInputs()) {
				t.Error("it would be tried again and again")
			}
			put(t, filepath.Join(dir, "accounts.yaml"), "accounts: 8\n")
			if !g.changed(g.readInputs()) {
				t.Error("a change of the running configuration's files was missed")
			}
			if _, err := g.Reload(t.Context(), false); err == nil {
				t.Fatal("taken")
			}
			put(t, filepath.Join(dir, "others.yaml"), "accounts: 9\n")
			if got := g.changed(g.readInputs()); got != (name == "other accounts") {
				t.Errorf("a file of the refused configuration: changed is %v", got)
			}
		})
	}
}

// TestReloadIsWhole: a reload that fails at the state changes no certificate.
func TestReloadIsWhole(t *testing.T) {
	g, dir := newGateway(t, withDemo(t, bare+"tls: {certificate: tls/cert.pem, key: tls/key.pem}\n"))
	before := g.cert.current.Load()
	if err := os.RemoveAll(filepath.Join(dir, "tls")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tls"), 0o700), demoCertificates(filepath.Join(dir, "tls"), "", time.Now())); err != nil {
		t.Fatal(err)
	}
	g.st.close()
	if _, err := g.Reload(t.Context(), false); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the reload: %v", err)
	}
	if g.cert.current.Load() != before {
		t.Error("the certificate was replaced by a reload that was refused")
	}
}

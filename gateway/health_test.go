package gateway_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
)

func TestHealth(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/debug/pprof/": 404} {
		if got := g.Status(path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	resp, err := http.Post("http://"+g.Listeners().Metrics[0]+"/healthz", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

// TestMetricsAreDocumented: docs/operations.md names every metric there is, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + "relay: {smarthost: \"127.0.0.1:1\"}\nnotifications: {from: a@example.org, smarthost: \"127.0.0.1:1\"}\n"}, claire)
	login(t, g, claire)
	mine := string(address(claire))
	if err := submit(t, g, claire, mine, mine, "a@chu-exemple.mssante.fr"); err != nil {
		t.Fatal(err)
	}
	if err := submit(t, g, claire, mine, "a@example.net"); err == nil {
		t.Error("sent out of the trust space")
	}
	g.Eventually("an attempt", func() bool {
		return g.Metrics()[`balorg_smtp_queue_attempts_total{route="relay",state="waiting"}`] == 1
	})
	ours := regexp.MustCompile(`balorg_[a-z_]+`)
	have := make(map[string]bool)
	for name := range g.Metrics() {
		if metric := ours.FindString(name); metric != "" {
			have[metric] = true
		}
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, name := range ours.FindAllString(string(text), -1) {
		told[name] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(told))); diff != "" {
		t.Error(diff)
	}
}

// TestDemo: `balorg demo` fills its mailboxes, prints what to try, and leaves nothing.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ready := t.TempDir() + "/ready"
	ctx, stop := context.WithCancel(t.Context())
	var out gatewaytest.Log
	done := make(chan error, 1)
	go func() {
		done <- gateway.RunDemo(ctx, gateway.DemoOptions{AnyPort: true, ReadyFile: ready, Output: &out, Log: slog.New(slog.DiscardHandler)})
	}()
	var listeners gateway.Listeners
	for {
		if content, err := os.ReadFile(ready); err == nil {
			if err := json.Unmarshal(content, &listeners); err != nil {
				t.Fatal(err)
			}
			break
		}
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	c := imapclient.New(dialInsecure(t, listeners.IMAPS[0]), nil)
	defer c.Close()
	if err := c.Login(string(address(noemie)), gatewaytest.Password(noemie)).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil || box.NumMessages < 5 {
		t.Errorf("the secretariat's mailbox: %+v, %v", box, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, want := range []string{listeners.IMAPS[0], "noemie.martin@clinique-des-sapins.fr  demo-noemie.martin", "secretariat (write) first", "Ctrl-C stops the demo."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not print %q:\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// dialInsecure connects to a demo, whose CA is gone with its folder by the time a test could look for it.
func dialInsecure(t *testing.T, address string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
)

// TestRunsWithoutMetrics: a service without a listener is no reason to stop.
func TestRunsWithoutMetrics(t *testing.T) {
	files := gatewaytest.Files(t)
	files["balorg.yaml"] = strings.Replace(files["balorg.yaml"], `metrics: "127.0.0.1:0"`, "metrics: []", 1)
	g, err := gateway.New(gateway.Options{
		ConfigPath: filepath.Join(gatewaytest.Folder(t, files), "balorg.yaml"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	for range 2 {
		conn, err := tls.Dial("tcp", g.Listeners().IMAPS[0], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		greeting, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(greeting, "* OK ") {
			t.Fatalf("greeting %q, %v", greeting, err)
		}
		conn.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// TestAlarmGoesWithItsCause: when the files are again what runs, nothing is wrong any more.
func TestAlarmGoesWithItsCause(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	good := g.Read("accounts.yaml")
	g.Write("accounts.yaml", good+"  - {}\n")
	failed := func() float64 { return g.Metrics()["balorg_gateway_reload_failed_bool"] }
	g.Eventually("the alarm", func() bool { return failed() == 1 })
	g.Write("accounts.yaml", good)
	g.Eventually("the end of the alarm", func() bool { return failed() == 0 })
}

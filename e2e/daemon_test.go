package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"balorg/gateway"
)

const (
	// startTimeout is how long a daemon may take until its listeners answer, on a machine that is busy with other tests.
	startTimeout = 60 * time.Second
	// stopTimeout is how long it may take to end after SIGTERM: its own grace, and as much again.
	stopTimeout = 15 * time.Second
)

// daemon is a running balorg with a state of its own.
type daemon struct {
	t   *testing.T
	dir string // its state, configuration and CA

	listeners gateway.Listeners
	roots     *x509.CertPool

	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{} // closed once the process has ended
	err  error         // how, once done is closed
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startDemo runs the demo on a fresh state. At the test's end it is stopped and its state checked.
func startDemo(t *testing.T) *daemon {
	t.Helper()
	return startDemoIn(t, t.TempDir())
}

// startDemoIn is startDemo with its state in dir.
func startDemoIn(t *testing.T, dir string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: dir}
	d.start("demo", "--any-port", "--state", dir)
	t.Cleanup(d.finish)
	return d
}

// finish ends the daemon in order and verifies what it leaves.
func (d *daemon) finish() {
	d.t.Helper()
	d.stop()
	d.checkStore()
	if d.t.Failed() {
		d.t.Logf("the daemon's log:\n%s", tail(d.log.String()))
	}
	if strings.Contains(d.log.String(), "DATA RACE") || strings.Contains(d.log.String(), "panic") {
		d.t.Errorf("the daemon met a fault of its own:\n%s", tail(d.log.String()))
	}
}

// tail keeps a log short enough to be read.
func tail(log string) string {
	const most = 8000
	if len(log) > most {
		return "…" + log[len(log)-most:]
	}
	return log
}

// start runs a command that serves until it is stopped, and waits until its listeners are there.
func (d *daemon) start(args ...string) {
	d.t.Helper()
	ready := filepath.Join(d.t.TempDir(), "ready.json")
	d.cmd = exec.Command(binary, append(args, "--ready-file", ready)...)
	if d.log == nil {
		d.log = &lockedBuffer{}
	}
	d.cmd.Stderr = d.log
	d.cmd.Stdout = io.Discard
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	d.done = done
	go func() {
		d.err = d.cmd.Wait()
		close(done)
	}()
	d.awaitReady(ready)
	ca, err := os.ReadFile(d.ca())
	if err != nil {
		d.t.Fatal(err)
	}
	d.roots = x509.NewCertPool()
	if !d.roots.AppendCertsFromPEM(ca) {
		d.t.Fatal("no CA certificate in", d.ca())
	}
}

// serve runs the daemon on the state that an earlier demo has filled.
func (d *daemon) serve() {
	d.t.Helper()
	d.start("serve", "--config", d.config())
}

func (d *daemon) awaitReady(path string) {
	d.t.Helper()
	d.eventually(startTimeout, "the ready file", func() error {
		select {
		case <-d.done:
			d.t.Fatalf("the daemon ended at its start: %v\n%s", d.err, tail(d.log.String()))
		default:
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		d.listeners = gateway.Listeners{}
		return json.Unmarshal(content, &d.listeners)
	})
}

// eventually tries f until it answers nil, and fails the test after the time-out.
func (d *daemon) eventually(timeout time.Duration, what string, f func() error) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			d.t.Fatalf("%s did not come within %v: %v\n%s", what, timeout, err, tail(d.log.String()))
		}
	}
}

// stop ends the daemon as an administrator does.
func (d *daemon) stop() {
	d.t.Helper()
	select {
	case <-d.done:
		return
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Error(err)
	}
	select {
	case <-d.done:
		if d.err != nil {
			d.t.Errorf("the daemon's end: %v\n%s", d.err, tail(d.log.String()))
		}
	case <-time.After(stopTimeout):
		d.t.Errorf("the daemon did not end within %v of SIGTERM", stopTimeout)
		d.kill()
	}
}

// kill ends the daemon as a crash does.
func (d *daemon) kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	<-d.done
}

// checkStore verifies every invariant of the state; the daemon may be running.
func (d *daemon) checkStore() {
	d.t.Helper()
	out, err := d.balorg("check-store")
	if err != nil || strings.TrimSpace(out) != "ok" {
		d.t.Errorf("check-store: %v\n%s", err, tail(out))
	}
}

// balorg runs one of its commands on the daemon's configuration and answers all it printed.
func (d *daemon) balorg(command string, args ...string) (string, error) {
	d.t.Helper()
	out, err := exec.Command(binary, append(append(strings.Fields(command), args...), "--config", d.config())...).CombinedOutput()
	return string(out), err
}

func (d *daemon) config() string { return filepath.Join(d.dir, "balorg.yaml") }
func (d *daemon) ca() string     { return filepath.Join(d.dir, "tls", "ca.pem") }
func (d *daemon) imaps() string  { return d.listeners.IMAPS[0] }
func (d *daemon) imap() string   { return d.listeners.IMAP[0] }

// port answers the port of an address as clients' configurations want it.
func (d *daemon) port(address string) string {
	d.t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		d.t.Fatal(err)
	}
	return port
}

func (d *daemon) tls() *tls.Config { return &tls.Config{RootCAs: d.roots, ServerName: "localhost"} }

// edit replaces text in one of the daemon's files, as an editor that replaces the file does.
func (d *daemon) edit(name, from, to string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	if n := strings.Count(string(content), from); n != 1 {
		d.t.Fatalf("%q stands %d times in %s", from, n, name)
	}
	d.write(name, strings.Replace(string(content), from, to, 1))
}

func (d *daemon) write(name, content string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		d.t.Fatal(err)
	}
}

// metric answers the value of a metric without labels.
func (d *daemon) metric(name string) float64 {
	d.t.Helper()
	values := d.metrics(name + " ")
	if len(values) != 1 {
		d.t.Fatalf("%d metrics %s", len(values), name)
	}
	return values[0]
}

// sum answers what the values of a metric with labels come to.
func (d *daemon) sum(name string) (all float64) {
	d.t.Helper()
	for _, v := range d.metrics(name + "{") {
		all += v
	}
	return all
}

// metrics answers the values in the lines that begin with a text.
func (d *daemon) metrics(beginning string) (all []float64) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.listeners.Metrics[0] + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, beginning) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				d.t.Fatal(err)
			}
			all = append(all, v)
		}
	}
	return all
}

// memory answers the daemon's resident memory in octets.
func (d *daemon) memory() int64 {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	d.t.Fatal("no VmRSS")
	return 0
}

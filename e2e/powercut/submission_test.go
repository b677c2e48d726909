//go:build powercut

package powercut_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"balorg/e2e/exchange"
	"balorg/gateway"
)

const (
	submissionRounds = 10
	submitters       = 20
	startTimeout     = 60 * time.Second

	author   = "noemie.martin@clinique-des-sapins.fr"
	password = "demo-noemie.martin"
	mailbox  = "secretariat@clinique-des-sapins.fr"
	local    = "claire.durand@clinique-des-sapins.fr"
	remote   = "dr.martin@chu-exemple.mssante.fr"
)

// TestPowerCutSubmission cuts the power under a daemon while twenty people submit and a next hop receives: every message that was answered
// 250 is in the queue or delivered, in the sender's Sent folder and in the trace.
func TestPowerCutSubmission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the power-cut test mounts loop devices: run it as root")
	}
	work := t.TempDir()
	disk := filepath.Join(work, "disk")
	makeDisk(t, disk, diskSize)
	binary := filepath.Join(work, "balorg")
	command(t, "go", "build", "-o", binary, "balorg/cmd/balorg")
	sink, err := exchange.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, _ := mount(t, work, disk)
	d := &daemon{t: t, binary: binary, state: filepath.Join(dir, "state")}
	d.start("demo", "--any-port", "--state", d.state)
	d.stop()
	d.configure(sink.Address())
	command(t, "umount", dir)

	acked := make(map[string]string) // the queue's id to Message-ID
	for round := range submissionRounds {
		_, loop := mount(t, work, disk)
		d.start("serve", "--config", d.config())
		d.submitUntilCut(fmt.Sprintf("r%d", round), acked, func() { freeze(t, d.process.Process.Pid, loop, disk) })
		<-d.ended
		command(t, "umount", dir)
		if err := os.Rename(disk+".cut", disk); err != nil {
			t.Fatal(err)
		}
		mount(t, work, disk)
		lost := d.verify(acked)
		command(t, "umount", dir)
		t.Logf("round %d: %d answered 250, %d lost", round+1, len(acked), lost)
		if lost > 0 || t.Failed() {
			t.Fatalf("%d of %d acknowledged messages lost", lost, len(acked))
		}
	}
}

// daemon is a balorg whose state is on the disk.
type daemon struct {
	t             *testing.T
	binary, state string
	listeners     gateway.Listeners
	process       *exec.Cmd
	ended         chan struct{}
}

func (d *daemon) config() string { return filepath.Join(d.state, "balorg.yaml") }

func (d *daemon) start(args ...string) {
	d.t.Helper()
	ready := filepath.Join(d.t.TempDir(), "ready.json")
	log, err := os.Create(filepath.Join(filepath.Dir(ready), "log"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.process = exec.Command(d.binary, append(args, "--ready-file", ready)...)
	d.process.Stderr = log
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that fails leaves none, and the disk can be taken out
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.ended = ended
	process := d.process
	go func() {
		process.Wait() // it is stopped, or killed
		close(ended)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(startTimeout)
	for {
		content, err := os.ReadFile(ready)
		if err == nil {
			d.listeners = gateway.Listeners{}
			if err = json.Unmarshal(content, &d.listeners); err != nil {
				d.t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			d.t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ended:
			d.t.Fatalf("the daemon ended at its start:\n%s", d.readLog(log.Name()))
		case <-late:
			d.t.Fatalf("the daemon does not come up:\n%s", d.readLog(log.Name()))
		}
	}
}

func (d *daemon) readLog(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func (d *daemon) stop() {
	d.t.Helper()
	if err := d.process.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	<-d.ended
}

// configure has the demo send to a next hop of the test's, as much as anybody likes.
func (d *daemon) configure(sink string) {
	d.t.Helper()
	content, err := os.ReadFile(d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	relay := regexp.MustCompile(`  smarthost: .*\n  security: .*\n  ca: .*\n`)
	text := relay.ReplaceAllString(string(content), fmt.Sprintf("  smarthost: %q\n  insecure_no_tls: true\n", sink)) +
		"submission: {messages_per_hour: 10000000, recipients_per_hour: 10000000}\n"
	if err := os.WriteFile(d.config(), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// submitUntilCut has twenty people submit, and cuts the power after a while. It notes what was answered 250.
func (d *daemon) submitUntilCut(prefix string, acked map[string]string, cut func()) {
	d.t.Helper()
	var mu sync.Mutex
	var sending sync.WaitGroup
	for n := range submitters {
		c := d.login()
		sending.Go(func() {
			defer c.Close()
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-s%d-m%d@test", prefix, n, i)
				octets := 1000
				if i%4 == 3 {
					octets = 200_000
				}
				queued, err := c.Send(exchange.Letter(id, mailbox, remote, octets), local, remote)
				if exchange.CutOff(err) {
					return
				}
				if err != nil {
					d.t.Error(err)
					return
				}
				mu.Lock()
				acked[queued] = id
				mu.Unlock()
			}
		})
	}
	<-time.After(time.Duration(100+rand.IntN(900)) * time.Millisecond)
	cut()
	sending.Wait()
}

func (d *daemon) login() *exchange.Submitter {
	d.t.Helper()
	conn, err := tls.Dial("tcp", d.listeners.Submissions[0], d.tls())
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := exchange.Submit(conn, author, password, mailbox)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *daemon) tls() *tls.Config {
	d.t.Helper()
	ca, err := os.ReadFile(filepath.Join(d.state, "tls", "ca.pem"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// balorg runs one of its commands on the state.
func (d *daemon) balorg(args ...string) string {
	d.t.Helper()
	return command(d.t, d.binary, append(args, "--config", d.config())...)
}

// verify looks for every message that was answered 250 as after the return of the power, and answers how many are lost.
func (d *daemon) verify(acked map[string]string) (lost int) {
	d.t.Helper()
	if out := d.balorg("check-store"); out != "ok" {
		d.t.Errorf("after the cut: %s", out)
	}
	queued, sends := make(map[string]bool), make(map[string]int)
	for line := range strings.Lines(d.balorg("queue", "list", "--all", "--json")) {
		var e struct {
			ID    string
			Items []struct{ State string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			d.t.Fatalf("%q: %v", line, err)
		}
		queued[e.ID] = len(e.Items) > 0
		for _, it := range e.Items {
			queued[e.ID] = queued[e.ID] && (it.State == "waiting" || it.State == "delivered")
		}
	}
	for line := range strings.Lines(d.balorg("audit", "list", "--action", "send", "--json")) {
		var r struct{ Answer string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			d.t.Fatalf("%q: %v", line, err)
		}
		sends[strings.TrimPrefix(r.Answer, "250 2.0.0 ")]++
	}
	copies := d.sentCopies()
	for id, message := range acked {
		if !queued[id] || sends[id] != 1 || copies[message] != 1 {
			d.t.Logf("message %s, queued as %s: in the queue %v, in the trace %d times, in Sent %d times", message, id, queued[id], sends[id], copies[message])
			lost++
		}
	}
	return lost
}

// sentCopies reads the sender's Sent folder: how often each message is there.
func (d *daemon) sentCopies() map[string]int {
	d.t.Helper()
	d.start("serve", "--config", d.config())
	defer d.stop()
	conn, err := tls.Dial("tcp", d.listeners.IMAPS[0], d.tls())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	script := fmt.Sprintf("a LOGIN %q %q\r\nb EXAMINE \"Envoy&AOk-s\"\r\nc FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])\r\nd LOGOUT\r\n", author, password)
	if _, err := io.WriteString(conn, script); err != nil {
		d.t.Fatal(err)
	}
	copies := make(map[string]int)
	done := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "Message-ID: <"); ok {
			id, _, _ := strings.Cut(after, ">")
			copies[id]++
		}
		done = done || strings.HasPrefix(lines.Text(), "c OK ")
	}
	if !done {
		d.t.Fatal("the Sent folder could not be read")
	}
	return copies
}

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
)

var update = flag.Bool("update", false, "write what commands print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"balorg": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/*.txtar, each in a folder with certificates under tls/ and the demo's configuration, but for the
// files a script brings itself.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			gatewaytest.Certificates(t, filepath.Join(env.WorkDir, "tls"))
			for name, content := range gatewaytest.Files(t) {
				path := filepath.Join(env.WorkDir, name)
				if _, err := os.Stat(path); err == nil {
					continue
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					return err
				}
			}
			// Under the race detector every process would sleep for a second when it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[clients{}] = make(map[string]*client)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "replace": replace, "imap": imap, "bye": bye, "metric": metric, "hup": hup,
		},
	})
}

// patience is how long a script waits for anything.
const patience = 20 * time.Second

// eventually waits until is answers nil.
func eventually(ts *testscript.TestScript, is func() error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("waited for too long: %v", err)
		}
	}
}

// exits runs a command, which must end with the exit code given. Its output is there for the lines that follow.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s exits with %d", strings.Join(args[1:], " "), code)
	}
}

// await waits until each file is there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await FILE…")
	}
	for _, file := range args {
		eventually(ts, func() error {
			_, err := os.Stat(ts.MkAbs(file))
			return err
		})
	}
}

// replace edits a file in one step: every FROM, which must be there, becomes TO. Both are Go strings without quotes.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE FROM TO")
	}
	file := ts.MkAbs(args[0])
	from, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	to, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	content := ts.ReadFile(args[0])
	if !strings.Contains(content, from) {
		ts.Fatalf("%s does not hold %q", args[0], from)
	}
	ts.Check(os.WriteFile(file+".new", []byte(strings.ReplaceAll(content, from, to)), 0o600))
	ts.Check(os.Rename(file+".new", file))
}

// listeners are those of the daemon that wrote ready.json.
func listeners(ts *testscript.TestScript) (l gateway.Listeners) {
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("ready.json")), &l))
	return l
}

// clients is the key of the script's IMAP connections, by the names it gave them.
type clients struct{}

type client struct {
	conn *tls.Conn
	in   *bufio.Reader
}

// connect answers the script's connection of a name, made now when there is none.
func connect(ts *testscript.TestScript, name string) *client {
	all, ok := ts.Value(clients{}).(map[string]*client)
	if !ok {
		ts.Fatalf("the script has no table of connections")
	}
	if c := all[name]; c != nil {
		return c
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile("tls/ca.pem")))
	conn, err := tls.Dial("tcp", listeners(ts).IMAPS[0], &tls.Config{RootCAs: roots})
	ts.Check(err)
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	ts.Defer(func() { conn.Close() })
	all[name] = &client{conn, bufio.NewReader(conn)}
	return all[name]
}

// until writes what the server says to stdout, up to a line that starts with prefix.
func (c *client) until(ts *testscript.TestScript, prefix string) string {
	for {
		line, err := c.in.ReadString('\n')
		fmt.Fprint(ts.Stdout(), line)
		if strings.HasPrefix(line, prefix) {
			return line
		}
		if err != nil {
			ts.Fatalf("reading up to %q: %v", prefix, err)
		}
	}
}

// imap sends a command on the connection of a name and prints the answer. It must be OK, or with ! must not.
func imap(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: imap NAME COMMAND…")
	}
	c := connect(ts, args[0])
	_, err := io.WriteString(c.conn, "tag "+strings.Join(args[1:], " ")+"\r\n")
	ts.Check(err)
	if ok := strings.HasPrefix(c.until(ts, "tag "), "tag OK "); ok == neg {
		ts.Fatalf("unexpected answer")
	}
}

// bye waits until the server ends the connection of a name, which it must say.
func bye(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bye NAME")
	}
	c := connect(ts, args[0])
	c.until(ts, "* BYE ")
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		ts.Fatalf("the connection goes on: %v", err)
	}
}

// metric waits until a metric has a value.
func metric(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: metric NAME VALUE")
	}
	want := strings.Join(args, " ")
	eventually(ts, func() error {
		resp, err := http.Get("http://" + listeners(ts).Metrics[0] + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && !slices.Contains(strings.Split(string(text), "\n"), want) {
			err = fmt.Errorf("no line %q", want)
		}
		return err
	})
}

// hup sends SIGHUP to the daemon.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: hup")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// TestCommandsAreComplete: each command says what it does, in the form the help relies on.
func TestCommandsAreComplete(t *testing.T) {
	for _, c := range commands() {
		if c.short == "" || c.long == "" || c.run == nil {
			t.Errorf("%s: short %q, long %q", c.name, c.short, c.long)
		}
		if strings.HasSuffix(c.short, ".") || strings.ToLower(c.short[:1]) != c.short[:1] {
			t.Errorf("%s: short %q is no phrase", c.name, c.short)
		}
		if !strings.HasSuffix(strings.TrimSpace(c.long), ".") {
			t.Errorf("%s: long %q is no text", c.name, c.long)
		}
		if got, rest, ok := find(append(strings.Fields(c.name), "x")); !ok || got.name != c.name || len(rest) != 1 {
			t.Errorf("%s: found %s, %v", c.name, got.name, rest)
		}
	}
}

// TestSince: the forms of --since.
func TestSince(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                     {},
		"2026-11-22":           time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local),
		"2026-11-22 10:00:00":  time.Date(2026, 11, 22, 10, 0, 0, 0, time.Local),
		"2026-11-22T10:00:00Z": time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		"12h":                  now.Add(-12 * time.Hour),
		"7d":                   now.Add(-7 * 24 * time.Hour),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "2026-13-01", "12"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestReadPassword: one line, whole or to be refused.
func TestReadPassword(t *testing.T) {
	long := strings.Repeat("x", 1500)
	for in, want := range map[string]string{"": "", "a b \r\nc\n": "a b ", "é": "é", long + "\n": long} {
		if got, err := readPassword(env{in: strings.NewReader(in)}); err != nil || got != want {
			t.Errorf("%.20q: %.20q, %v", in, got, err)
		}
	}
}

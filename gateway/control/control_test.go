package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/configs"
	"balorg/gateway/control"
)

// longDir is a folder whose socket's name would be too long; that of t.TempDir alone is not.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func serve(t *testing.T, dir string, ops map[string]control.Op) *control.Server {
	t.Helper()
	s, err := control.Listen(dir, ops)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t *testing.T, dir string) control.Caller {
	t.Helper()
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var errBroken = errors.New("it is broken")

// operations are those of the tests; each caller must meet them alike.
func operations() map[string]control.Op {
	return map[string]control.Op{
		"echo": func(_ context.Context, args json.RawMessage, emit func(any) error) error { return emit(args) },
		"count": func(_ context.Context, args json.RawMessage, emit func(any) error) error {
			var n int
			if err := json.Unmarshal(args, &n); err != nil {
				return err
			}
			for i := range n {
				if err := emit(i); err != nil {
					return err
				}
			}
			return nil
		},
		"fail": func(context.Context, json.RawMessage, func(any) error) error {
			return fmt.Errorf("doing it: %w", errBroken)
		},
		"half": func(_ context.Context, _ json.RawMessage, emit func(any) error) error {
			return errors.Join(emit("first"), errBroken)
		},
		"problems": func(context.Context, json.RawMessage, func(any) error) error {
			return fmt.Errorf("loading: %w", someProblems())
		},
	}
}

func someProblems() configs.Problems {
	var ps configs.Problems
	ps.Add(configs.Pos{File: "accounts.yaml", Line: 3, Column: 5}, "kind", "unknown key %q", "kin")
	ps.Warn(configs.Pos{File: "accounts.yaml", Line: 9}, "", "odd")
	return ps
}

// callers are the same operations behind a socket, behind a socket with a long name, and in this process.
func callers(t *testing.T) map[string]control.Caller {
	t.Helper()
	short, long := t.TempDir(), longDir(t)
	serve(t, short, operations())
	serve(t, long, operations())
	return map[string]control.Caller{
		"socket":    dial(t, short),
		"long path": dial(t, long),
		"local":     control.Local(operations(), func() error { return nil }),
	}
}

func TestCall(t *testing.T) {
	for name, c := range callers(t) {
		t.Run(name, func(t *testing.T) {
			var got []string
			each := func(v json.RawMessage) error {
				got = append(got, string(v))
				return nil
			}
			if err := c.Call(t.Context(), "echo", map[string]string{"é": "<&>"}, each); err != nil {
				t.Error(err)
			}
			if err := c.Call(t.Context(), "count", 3, each); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{`{"é":"\u003c\u0026\u003e"}`, "0", "1", "2"}, got); diff != "" {
				t.Error(diff)
			}
			if err := c.Call(t.Context(), "count", 3, nil); err != nil {
				t.Errorf("without a function for the answers: %v", err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, c := range callers(t) {
		t.Run(name, func(t *testing.T) {
			if err := c.Call(t.Context(), "fail", nil, nil); err == nil || err.Error() != "doing it: it is broken" {
				t.Errorf("fail: %v", err)
			}
			n := 0
			err := c.Call(t.Context(), "half", nil, func(json.RawMessage) error { n++; return nil })
			if n != 1 || err == nil || err.Error() != "it is broken" {
				t.Errorf("half: %d answers, %v", n, err)
			}
			if err := c.Call(t.Context(), "unheard-of", nil, nil); err == nil {
				t.Error("an unknown operation was answered")
			}
			stop := errors.New("enough")
			n = 0
			err = c.Call(t.Context(), "count", 100_000, func(json.RawMessage) error { n++; return stop })
			if n != 1 || !errors.Is(err, stop) {
				t.Errorf("stopped by the caller: %d answers, %v", n, err)
			}
			if err := c.Call(t.Context(), "echo", 7, nil); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

func TestProblemsCrossTheSocket(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, operations())
	err := dial(t, dir).Call(t.Context(), "problems", nil, nil)
	var failed *control.Failure
	if !errors.As(err, &failed) {
		t.Fatalf("%T: %v", err, err)
	}
	if diff := cmp.Diff(someProblems(), failed.Problems); diff != "" {
		t.Error(diff)
	}
	want := "accounts.yaml:3:5: unknown key \"kin\" (hint: kind)\naccounts.yaml:9: warning: odd"
	if diff := cmp.Diff(want, failed.Error()); diff != "" {
		t.Error(diff)
	}
}

// TestLongAnswer: nobody holds an answer whole, and what is written slowly is read slowly.
func TestLongAnswer(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, operations())
	n := 0
	err := dial(t, dir).Call(t.Context(), "count", 50_000, func(v json.RawMessage) error {
		if string(v) != fmt.Sprint(n) {
			return fmt.Errorf("answer %d is %s", n, v)
		}
		n++
		return nil
	})
	if err != nil || n != 50_000 {
		t.Errorf("%d answers, %v", n, err)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	short, long := t.TempDir(), longDir(t)
	serve(t, short, nil)
	serve(t, long, nil)
	pointer := filepath.Join(long, "control.path")
	path, err := os.ReadFile(pointer)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(short, "control.sock"), pointer, string(path)} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o", file, got)
		}
	}
	if info, err := os.Stat(filepath.Dir(string(path))); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(short, "control.path")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("control.path where it is not needed: %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), longDir(t)} {
		s, err := control.Listen(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		pointed, _ := os.ReadFile(filepath.Join(dir, "control.path"))
		s.Close()
		s.Close() // a stop that is called twice does no harm
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if len(pointed) > 0 {
			if _, err := os.Stat(filepath.Dir(string(pointed))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket's own folder is left: %v", err)
			}
		}
		if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNoDaemon) {
			t.Errorf("dialling a daemon that has stopped: %v", err)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return all
}

// TestStaleSocket: what a killed daemon leaves is no daemon, and does not keep the next one from starting.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("dialling it: %v", err)
	}
	serve(t, dir, operations())
	if err := dial(t, dir).Call(t.Context(), "echo", 1, nil); err != nil {
		t.Error(err)
	}
}

func TestDialWithoutDaemon(t *testing.T) {
	if _, err := control.Dial(t.Context(), t.TempDir()); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestCallerLeaves: an operation sees that its caller is gone.
func TestCallerLeaves(t *testing.T) {
	dir := t.TempDir()
	began, ended := make(chan struct{}), make(chan struct{})
	serve(t, dir, map[string]control.Op{"wait": func(ctx context.Context, _ json.RawMessage, _ func(any) error) error {
		defer close(ended)
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}})
	c := dial(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- c.Call(ctx, "wait", nil, nil) }()
	<-began
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	<-ended
}

func TestLocalClose(t *testing.T) {
	c := control.Local(nil, func() error { return errBroken })
	if err := c.Call(t.Context(), "reload", nil, nil); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("an operation of daemons only: %v", err)
	}
	if err := c.Close(); !errors.Is(err, errBroken) {
		t.Errorf("closing answers %v", err)
	}
}

// TestCloseWaits: an operation is told to end and has ended when Close returns, for what it works on is closed next.
func TestCloseWaits(t *testing.T) {
	dir := t.TempDir()
	began, ended := make(chan struct{}), make(chan struct{})
	s := serve(t, dir, map[string]control.Op{"wait": func(ctx context.Context, _ json.RawMessage, _ func(any) error) error {
		close(began)
		<-ctx.Done()
		for range 1000 {
			runtime.Gosched() // as if it had something to finish
		}
		close(ended)
		return ctx.Err()
	}})
	answered := make(chan error, 1)
	c := dial(t, dir)
	go func() { answered <- c.Call(t.Context(), "wait", nil, nil) }()
	<-began
	s.Close()
	select {
	case <-ended:
	default:
		t.Error("closed while an operation runs")
	}
	if err := <-answered; err == nil {
		t.Error("the caller was told that all is done")
	}
}

// TestOneNameForAll: the daemon and its callers find each other from whichever folder they name the state.
func TestOneNameForAll(t *testing.T) {
	long := longDir(t)
	t.Chdir(long)
	serve(t, ".", operations())
	for _, state := range []string{".", long} {
		if err := dial(t, state).Call(t.Context(), "echo", 1, nil); err != nil {
			t.Errorf("state %s: %v", state, err)
		}
	}
}

// TestLongTempDir: also where the names of temporary files are too long for a socket.
func TestLongTempDir(t *testing.T) {
	dir := longDir(t)
	t.Setenv("TMPDIR", longDir(t))
	serve(t, dir, operations())
	if err := dial(t, dir).Call(t.Context(), "echo", 1, nil); err != nil {
		t.Error(err)
	}
}

// TestStalePointer: a pointer that came with a copy of another state leads nobody astray.
func TestStalePointer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "control.path"), []byte("/nowhere/control.sock"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, operations())
	if err := dial(t, dir).Call(t.Context(), "echo", 1, nil); err != nil {
		t.Error(err)
	}
}

// TestProgress: what an operation answers is seen before it ends.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	seen := make(chan struct{})
	serve(t, dir, map[string]control.Op{"long": func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
		if err := emit("begun"); err != nil {
			return err
		}
		select {
		case <-seen:
			return emit("done")
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := dial(t, dir).Call(ctx, "long", nil, func(v json.RawMessage) error {
		if string(v) == `"begun"` {
			close(seen)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Package control is how commands speak with the running daemon: operations by name over a unix socket that only the
// daemon's user may open, as JSON over HTTP. An operation answers a stream of values, then how it ended, so that long
// answers (a trace, a check of the state) are held whole by nobody.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"balorg/configs"
)

// Op is one operation: args is what the caller sent, emit sends a value back.
type Op func(ctx context.Context, args json.RawMessage, emit func(any) error) error

// Limits of the protocol.
const (
	maxArgs       = 1 << 20
	maxSocketPath = 100 // of the 108 octets a unix socket's name may have
	headerTimeout = 10 * time.Second
	flushEvery    = 20 * time.Millisecond // so that progress is seen, and long answers are still written in blocks
)

// ErrNoDaemon is what Dial answers when no daemon runs on the state.
var ErrNoDaemon = errors.New("no daemon is running on this state")

// Failure is an operation's error as it crosses the socket. Problems are set when configuration files are at fault.
type Failure struct {
	Message  string           `json:"message"`
	Problems configs.Problems `json:"problems,omitempty"`
}

func (f *Failure) Error() string {
	if len(f.Problems) > 0 {
		return f.Problems.Error()
	}
	return f.Message
}

// frame is one line of an answer.
type frame struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error *Failure        `json:"error,omitempty"`
	Done  bool            `json:"done,omitempty"`
}

// Server answers on a state folder's socket.
type Server struct {
	http     *http.Server
	listener net.Listener
	paths    []string // removed when it stops

	ctx     context.Context // of every operation; ends with the server
	cancel  context.CancelFunc
	mu      sync.Mutex // held to begin an operation, so that none begins once closed
	running sync.WaitGroup
}

// Listen makes the socket <state>/control.sock, or, where that name is too long for one, another in the system's folder for
// temporary files whose name it writes to <state>/control.path.
func Listen(state string, ops map[string]Op) (*Server, error) {
	path, pointer, err := socketPaths(state)
	if err != nil {
		return nil, err
	}
	// A pointer that is there was left by a daemon that died, here or where the folder was copied from.
	removeFormer(pointer)
	s := &Server{}
	if len(path) > maxSocketPath {
		dir, err := os.MkdirTemp(tempDir(), tempPrefix)
		if err != nil {
			return nil, fmt.Errorf("making a folder for the control socket: %w", err)
		}
		path = filepath.Join(dir, "control.sock")
		if err := os.WriteFile(pointer, []byte(path), 0o600); err != nil {
			return nil, fmt.Errorf("naming the control socket: %w", err)
		}
		s.paths = append(s.paths, pointer, dir)
	}
	// The state's lock is ours: a socket that is there was left by a daemon that died.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing an old control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protecting the control socket: %w", err), l.Close())
	}
	s.listener = l
	s.paths = append([]string{path}, s.paths...)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s.handler(ops), ReadHeaderTimeout: headerTimeout}
	return s, nil
}

// socketPaths are the names of a state's socket and of its pointer. They are absolute: the daemon and a command that is called from
// another folder must agree on whether the socket's name is too long.
func socketPaths(state string) (socket, pointer string, err error) {
	dir, err := filepath.Abs(state)
	if err != nil {
		return "", "", fmt.Errorf("naming the control socket: %w", err)
	}
	return filepath.Join(dir, "control.sock"), filepath.Join(dir, "control.path"), nil
}

const tempPrefix = "balorg-control-"

// tempDir is where the folder of a socket with a short name is made: where temporary files go, unless that is a long name, too.
func tempDir() string {
	const rest = "/" + tempPrefix + "4294967295/control.sock" // os.MkdirTemp appends a number of 32 bits
	if dir := filepath.Clean(os.TempDir()); len(dir)+len(rest) <= maxSocketPath {
		return dir
	}
	return "/tmp"
}

// removeFormer removes the pointer of a daemon which died, and the folder it has left its socket in.
func removeFormer(pointer string) {
	path, err := os.ReadFile(pointer)
	if err != nil {
		return
	}
	os.Remove(pointer) //nolint:errcheck // written anew where it is needed
	if dir := filepath.Dir(string(path)); strings.HasPrefix(filepath.Base(dir), tempPrefix) && filepath.Dir(dir) == tempDir() {
		os.RemoveAll(dir) //nolint:errcheck // it is in nobody's way
	}
}

// Serve answers until Close.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Close ends the running operations, waits for them and removes the socket: what they work on may then be closed.
func (s *Server) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.http.Close() //nolint:errcheck // nothing is kept in it
	s.running.Wait()
	for _, p := range s.paths {
		os.Remove(p) //nolint:errcheck // gone already, as a rule
	}
}

// begin counts an operation in, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *Server) handler(ops map[string]Op) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op, ok := ops[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			writeFrame(w, frame{Error: &Failure{Message: "the daemon does not know this operation; it may be of another version"}}) //nolint:errcheck // the caller is gone
			return
		}
		args, err := io.ReadAll(io.LimitReader(r.Body, maxArgs))
		if err != nil {
			return
		}
		if !s.begin() {
			return
		}
		defer s.running.Done()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		var flushed time.Time
		err = op(ctx, args, func(v any) error {
			value, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("encoding an answer: %w", err)
			}
			if err := writeFrame(w, frame{Value: value}); err != nil {
				return err
			}
			if now := time.Now(); now.Sub(flushed) > flushEvery {
				flushed = now
				return http.NewResponseController(w).Flush()
			}
			return nil
		})
		end := frame{Done: true}
		if err != nil {
			end.Error = failure(err)
		}
		writeFrame(w, end) //nolint:errcheck // the caller is gone
	})
}

func failure(err error) *Failure {
	f := &Failure{Message: err.Error()}
	if problems, ok := errors.AsType[configs.Problems](err); ok {
		f.Problems = problems
	}
	return f
}

func writeFrame(w io.Writer, f frame) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Caller calls operations, of a running daemon (Dial) or in this process (Local).
type Caller interface {
	// Call runs an operation; each value it answers is given to each, which may be nil.
	Call(ctx context.Context, op string, args any, each func(json.RawMessage) error) error
	Close() error
}

// Dial connects to the daemon that runs on a state folder, or answers ErrNoDaemon.
func Dial(ctx context.Context, state string) (Caller, error) {
	path, pointer, err := socketPaths(state)
	if err != nil {
		return nil, err
	}
	if elsewhere, err := os.ReadFile(pointer); err == nil {
		path = string(elsewhere)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	conn.Close() //nolint:errcheck // it was a question whether somebody listens
	return &remote{http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

type remote struct{ client http.Client }

func (r *remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

func (r *remote) Call(ctx context.Context, op string, args any, each func(json.RawMessage) error) error {
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encoding arguments: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://balorg/"+op, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the daemon: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	in := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var f frame
		if err := in.Decode(&f); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		switch {
		case f.Error != nil:
			return f.Error
		case f.Done:
			return nil
		case each != nil:
			if err := each(f.Value); err != nil {
				return err
			}
		}
	}
}

// Local is a Caller without a daemon: close ends what the operations work on.
func Local(ops map[string]Op, closeFn func() error) Caller { return &local{ops, closeFn} }

type local struct {
	ops   map[string]Op
	close func() error
}

func (l *local) Close() error { return l.close() }

func (l *local) Call(ctx context.Context, op string, args any, each func(json.RawMessage) error) error {
	run, ok := l.ops[op]
	if !ok {
		return ErrNoDaemon
	}
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encoding arguments: %w", err)
	}
	return run(ctx, body, func(v any) error {
		value, err := json.Marshal(v)
		if err != nil || each == nil {
			return err
		}
		return each(value)
	})
}

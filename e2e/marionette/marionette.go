// Package marionette is a client of the protocol by which Mozilla's programs let themselves be driven: scripts that run with the
// program's own rights, in a window of it, and pictures of that window.
//
// A Session is one connection. The program answers one command after another, and a Session is used by one goroutine. A command that is
// not answered in time ends the connection: what comes later would be taken for the answer to something else.
package marionette

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Bounds of what the other side may say. A picture of a large window has a few megabytes.
const (
	maxLength = 20 // digits
	maxFrame  = 64 << 20
)

// margin is what a script's time-out leaves for the answer that tells of it.
const margin = 2 * time.Second

// Session drives one program.
type Session struct {
	conn net.Conn
	r    *bufio.Reader
	last int
}

// Error is what the program answers to a command that it cannot do, or a script that throws.
type Error struct {
	Name       string `json:"error"`
	Message    string `json:"message"`
	Stacktrace string `json:"stacktrace"`
}

func (e *Error) Error() string { return e.Name + ": " + e.Message + "\n" + e.Stacktrace }

// Dial connects to a program on this machine and begins a session in its windows' own documents ("chrome").
func Dial(ctx context.Context, address string) (*Session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Session{conn: conn, r: bufio.NewReader(conn)}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning a session: %w", err), conn.Close())
	}
	return s, nil
}

func (s *Session) begin(ctx context.Context) error {
	stop := s.bound(ctx)
	defer stop()
	var hello struct {
		Application string `json:"applicationType"`
		Protocol    int    `json:"marionetteProtocol"`
	}
	frame, err := s.readFrame()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(frame, &hello); err != nil {
		return fmt.Errorf("reading the greeting: %w", err)
	}
	if hello.Protocol != 3 {
		return fmt.Errorf("%s speaks version %d", hello.Application, hello.Protocol)
	}
	// A dialog is somebody else's to close. While one is open, and at once when one opens, scripts in its window end.
	capabilities := map[string]any{"alwaysMatch": map[string]any{"unhandledPromptBehavior": "ignore"}}
	if err := s.Do(ctx, "WebDriver:NewSession", map[string]any{"capabilities": capabilities}, nil); err != nil {
		return err
	}
	return s.Do(ctx, "Marionette:SetContext", map[string]any{"value": "chrome"}, nil)
}

// Close ends the connection; the program runs on.
func (s *Session) Close() error { return s.conn.Close() }

// bound has the connection obey ctx until the function it answers is called.
func (s *Session) bound(ctx context.Context) (release func()) {
	s.conn.SetDeadline(time.Time{}) //nolint:errcheck // a closed connection answers the next read
	stop := context.AfterFunc(ctx, func() {
		s.conn.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // as above
	})
	return func() { stop() }
}

// Do sends a command and decodes its result into result, unless that is nil. Errors of the program's own are an *Error.
func (s *Session) Do(ctx context.Context, command string, parameters, result any) error {
	stop := s.bound(ctx)
	defer stop()
	if parameters == nil {
		parameters = struct{}{}
	}
	s.last++
	message, err := json.Marshal([]any{0, s.last, command, parameters})
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if _, err := s.conn.Write(append([]byte(strconv.Itoa(len(message))+":"), message...)); err != nil {
		return s.broken(ctx, command, err)
	}
	frame, err := s.readFrame()
	if err != nil {
		return s.broken(ctx, command, err)
	}
	var answer struct {
		kind, id int
		failure  *Error
		value    json.RawMessage
	}
	fields := []any{&answer.kind, &answer.id, &answer.failure, &answer.value}
	if err := json.Unmarshal(frame, &fields); err != nil {
		return s.broken(ctx, command, fmt.Errorf("reading %.100q: %w", frame, err))
	}
	switch {
	case answer.kind != 1 || answer.id != s.last:
		return s.broken(ctx, command, fmt.Errorf("%.100q answers something else", frame))
	case answer.failure != nil:
		return fmt.Errorf("%s: %w", command, answer.failure)
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(answer.value, result); err != nil {
		return fmt.Errorf("%s: reading %.200q: %w", command, answer.value, err)
	}
	return nil
}

// broken closes a connection whose next octets mean nothing any more.
func (s *Session) broken(ctx context.Context, command string, err error) error {
	return errors.Join(fmt.Errorf("%s: %w", command, err), context.Cause(ctx), s.conn.Close())
}

// readFrame reads a length, a colon and as many octets.
func (s *Session) readFrame() ([]byte, error) {
	var digits []byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == ':' {
			break
		}
		if digits = append(digits, c); len(digits) > maxLength {
			return nil, fmt.Errorf("%q is no length", digits)
		}
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 || n > maxFrame {
		return nil, fmt.Errorf("%q is no length", digits)
	}
	frame := make([]byte, n)
	_, err = io.ReadFull(s.r, frame)
	return frame, err
}

// ErrInterrupted is a script whose result nobody knows, since a dialog opened in its window meanwhile.
var ErrInterrupted = errors.New("a dialog interrupted the script")

// Run runs the body of an asynchronous function in the window of the session, with the rights of the program. What it is called with
// is args there; what it returns is decoded into result, unless that is nil. When ctx has a deadline the script ends before it.
func (s *Session) Run(ctx context.Context, body string, result any, args ...any) error {
	parameters := map[string]any{
		"script": "const args = [...arguments], done = args.pop();\n(async () => {" + body +
			"\n})().then(value => done({value: value ?? null}), error => done({error: `${error}\\n${error?.stack ?? ''}`}));",
		"args": append([]any{}, args...), "sandbox": "system", "newSandbox": true,
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline)-margin, time.Millisecond)
		if err := s.Do(ctx, "WebDriver:SetTimeouts", map[string]any{"script": left.Milliseconds()}, nil); err != nil {
			return err
		}
	}
	var answer struct {
		Value *struct {
			Value json.RawMessage
			Error *string
		}
	}
	if err := s.Do(ctx, "WebDriver:ExecuteAsyncScript", parameters, &answer); err != nil {
		return err
	}
	switch {
	case answer.Value == nil:
		return ErrInterrupted
	case answer.Value.Error != nil:
		return errors.New(*answer.Value.Error)
	case result == nil:
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(answer.Value.Value))
	d.DisallowUnknownFields()
	if err := d.Decode(result); err != nil {
		return fmt.Errorf("reading %.200q: %w", answer.Value.Value, err)
	}
	return nil
}

// Picture answers, as a PNG, what the window of the session shows.
func (s *Session) Picture(ctx context.Context) ([]byte, error) {
	var answer struct{ Value []byte }
	err := s.Do(ctx, "WebDriver:TakeScreenshot", map[string]any{"full": true}, &answer)
	return answer.Value, err
}

// Enter makes the one window whose document has an address the window of the session.
func (s *Session) Enter(ctx context.Context, document string) error {
	var handles []string
	if err := s.Do(ctx, "WebDriver:GetWindowHandles", nil, &handles); err != nil {
		return err
	}
	for _, h := range handles {
		if err := s.Do(ctx, "WebDriver:SwitchToWindow", map[string]any{"handle": h}, nil); err != nil {
			return err
		}
		var shown string
		if err := s.Run(ctx, "return document.documentURI", &shown); err != nil {
			return err
		}
		if shown == document {
			return nil
		}
	}
	return fmt.Errorf("no window of %d shows %s", len(handles), document)
}

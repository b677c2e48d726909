package marionette

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// program answers commands as a table says, each once: the name of the command, and its answer or what stands in it behind the number.
func program(t *testing.T, greeting string, answers ...[2]string) (address string, heard <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	commands := make(chan string, len(answers))
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, greeting)
		r := bufio.NewReader(conn)
		for i, a := range answers {
			var n int
			if _, err := fmt.Fscanf(r, "%d:", &n); err != nil {
				return
			}
			frame := make([]byte, n)
			if _, err := io.ReadFull(r, frame); err != nil {
				return
			}
			commands <- string(frame)
			var message []any
			if json.Unmarshal(frame, &message) != nil || message[2] != a[0] {
				return
			}
			answer := a[1]
			if !strings.HasPrefix(answer, "[") {
				answer = fmt.Sprintf("[1,%d,%s]", i+1, answer)
			}
			fmt.Fprintf(conn, "%d:%s", len(answer), answer)
		}
		r.ReadByte() // until the client goes
	}()
	return l.Addr().String(), commands
}

const (
	greeting = `50:{"applicationType":"gecko","marionetteProtocol":3}`
	script   = "WebDriver:ExecuteAsyncScript"
)

// begin answers what beginning a session asks, and the rest of a table.
func begin(rest ...[2]string) [][2]string {
	return append([][2]string{{"WebDriver:NewSession", "null,{}"}, {"Marionette:SetContext", "null,{}"}}, rest...)
}

func TestSession(t *testing.T) {
	address, heard := program(t, greeting, begin(
		[2]string{"WebDriver:SetTimeouts", "null,{}"}, [2]string{script, `null,{"value":{"value":["é",2]}}`},
		[2]string{"WebDriver:SetTimeouts", "null,{}"}, [2]string{script, `null,{"value":{"error":"TypeError: no"}}`},
		[2]string{"WebDriver:SetTimeouts", "null,{}"}, [2]string{script, `null,{"value":null}`},
		[2]string{"WebDriver:TakeScreenshot", `null,{"value":"aGk="}`},
		[2]string{"Nothing", `{"error":"unknown command","message":"Nothing","stacktrace":"there"},null`},
	)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got [2]any
	if err := s.Run(ctx, "return args", &got, "é", 2); err != nil || got != [2]any{"é", 2.0} {
		t.Errorf("%v %v", got, err)
	}
	if err := s.Run(ctx, "null.x", nil); err == nil || err.Error() != "TypeError: no" {
		t.Errorf("a script that throws: %v", err)
	}
	if err := s.Run(ctx, "alert()", nil); !errors.Is(err, ErrInterrupted) {
		t.Errorf("a dialog: %v", err)
	}
	if picture, err := s.Picture(ctx); err != nil || string(picture) != "hi" {
		t.Errorf("%q %v", picture, err)
	}
	var refused *Error
	if err := s.Do(ctx, "Nothing", nil, nil); !errors.As(err, &refused) || refused.Name != "unknown command" {
		t.Errorf("a command that is none: %v", err)
	}
	for range 3 {
		<-heard
	}
	if sent := <-heard; !strings.Contains(sent, `"args":["é",2]`) || !strings.Contains(sent, `"sandbox":"system"`) {
		t.Errorf("sent %s", sent)
	}
}

// TestSessionEnds: what is not answered, or not in words that are understood, ends the session and does not hang.
func TestSessionEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		greeting, answer string
	}{
		"another version":  {`50:{"applicationType":"gecko","marionetteProtocol":2}`, ""},
		"no greeting":      {"220 mail.example.net ESMTP\r\n", ""},
		"too long":         {"999999999:", ""},
		"a negative frame": {"-1:", ""},
		"never":            {greeting, ""},
		"another's answer": {greeting, `[1,2,null,{}]`},
		"no JSON":          {greeting, `null,{`},
	} {
		t.Run(name, func(t *testing.T) {
			answers := begin()
			if tt.answer != "" {
				answers = append(answers, [2]string{"Ask", tt.answer})
			}
			address, _ := program(t, tt.greeting, answers...)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			s, err := Dial(ctx, address)
			if tt.greeting != greeting {
				if err == nil {
					t.Fatal("it is taken for a session")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Do(ctx, "Ask", nil, nil); err == nil {
				t.Fatal("it is taken for an answer")
			}
			if err := s.Do(t.Context(), "Ask", nil, nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the session goes on: %v", err)
			}
		})
	}
}

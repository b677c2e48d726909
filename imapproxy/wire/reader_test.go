package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var testLimits = Limits{Line: 200, Literal: 50, Command: 500, Skip: 100, Message: 150}

// script runs a Reader over in and writes down what it answers, one line for each command; the messages of APPENDs are accepted up
// to 60 octets.
func script(in io.Reader) (out []string, asked int) {
	r := NewReader(in, testLimits)
	contin := func() error { asked++; return nil }
	note := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for {
		cmd, err := r.ReadCommand(contin)
		var fault *SyntaxError
		switch {
		case errors.As(err, &fault):
			note("%s BAD %s", fault.Tag, fault.Text)
			continue
		case err != nil:
			note("end: %v", err)
			return out, asked
		}
		note("%s %s|%s", cmd.Tag, cmd.Name, cmd.Args)
		for cmd.Message != nil {
			size := cmd.Message.Size
			if size > 60 {
				err := r.RefuseLiteral()
				note("refused %d: %v", size, err)
				break
			}
			octets, err := r.AcceptLiteral(contin)
			if err != nil {
				note("not accepted: %v", err)
				break
			}
			text, err := io.ReadAll(octets)
			note("message %q %v", text, err)
			more, err := r.EndAppend()
			if more {
				note("and|%s", cmd.Args)
				continue
			}
			note("ended %v", err)
			break
		}
	}
}

func x(n int) string { return strings.Repeat("x", n) }

var readerTests = []struct {
	name, in string
	want     []string
	asked    int
}{
	{"plain", "a NOOP\r\nb uid fetch 1:* FLAGS\r\n", []string{"a NOOP|", "b UID FETCH|1:* FLAGS", "end: EOF"}, 0},
	{"bare LF and empty lines", "\r\n\na NOOP\n\r\n", []string{"a NOOP|", "end: EOF"}, 0},
	{"trailing space", "a NOOP \r\n", []string{"a NOOP|", "end: EOF"}, 0},
	{"literals", "a LOGIN {2}\r\nab {3+}\r\nc\r\n\r\n", []string{"a LOGIN|{2}\r\nab {3+}\r\nc\r\n", "end: EOF"}, 1},
	{"empty literal", "a LOGIN {0} {0+}\r\n\r\nb NOOP\r\n", []string{"a LOGIN|{0} {0+}\r\n", "b NOOP|", "end: EOF"}, 0},
	{"refused synchronising", "a LOGIN {51}\r\nb NOOP\r\n", []string{"a BAD Literal too large", "b NOOP|", "end: EOF"}, 0},
	{
		"refused non-synchronising", "a LOGIN {51+}\r\n" + x(40) + "\r\nz NOOP\r\n" + " y {4+}\r\n\r\nq  {9}\r\nb NOOP\r\n",
		[]string{"a BAD Literal too large", "b NOOP|", "end: EOF"},
		0,
	},
	{"refused, too long to skip", "a LOGIN {101+}\r\nb NOOP\r\n", []string{"end: literal too long to be skipped: connection has to be closed"}, 0},
	{
		"many refused", "a X {60+}\r\n" + x(60) + "{60+}\r\n" + x(60) + "\r\nb NOOP\r\n",
		[]string{"end: literal too long to be skipped: connection has to be closed"},
		0,
	},
	{"huge number", "a X {99999999999999999999999}\r\nb NOOP\r\n", []string{"a BAD Literal too large", "b NOOP|", "end: EOF"}, 0},
	{"huge number without waiting", "a X {99999999999999999999999+}\r\nb NOOP\r\n", []string{"end: literal too long to be skipped: connection has to be closed"}, 0},
	{"literal for a tag", "{4+}\r\nb X\n\r\nc NOOP\r\n", []string{" BAD Tag is missing or not valid", "c NOOP|", "end: EOF"}, 0},
	{"literal for a command", "a {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n", []string{"a BAD Command is missing or not valid", "c NOOP|", "end: EOF"}, 0},
	{"literal in a quoted string", "a X \"y {4+}\r\nb X\n\"\r\nc NOOP\r\n", []string{"a BAD Quoted string without end", "c NOOP|", "end: EOF"}, 0},
	{"literal inside a word", "a X y{4+}\r\nb X\n\r\nc NOOP\r\n", []string{"a BAD Literal where none may be", "c NOOP|", "end: EOF"}, 0},
	{"quoted braces", "a X \"{4+}\"\r\nb NOOP\r\n", []string{"a X|\"{4+}\"", "b NOOP|", "end: EOF"}, 0},
	{"escaped quote", "a X \"y\\\" {4+}\"\r\nb NOOP\r\n", []string{"a X|\"y\\\" {4+}\"", "b NOOP|", "end: EOF"}, 0},
	{"no announcement", "a X {+}\r\nb X {a}\r\nc X 4}\r\n", []string{"a X|{+}", "b X|{a}", "c X|4}", "end: EOF"}, 0},
	{"binary", "a X ~{2+}\r\nab\r\nb NOOP\r\n", []string{"a BAD Binary literal where none may be", "b NOOP|", "end: EOF"}, 0},
	{"NUL", "a X \x00\r\nb X {2+}\r\n\x00a\r\nc NOOP\r\n", []string{"a BAD NUL is not allowed", "b BAD NUL is not allowed", "c NOOP|", "end: EOF"}, 0},
	{"bare CR", "a X b\rc NOOP\r\nd NOOP\r\n", []string{"a BAD CR without LF is not allowed", "d NOOP|", "end: EOF"}, 0},
	{"two CRs", "a NOOP\r\r\nd NOOP\r\n", []string{"a BAD Command is missing or not valid", "d NOOP|", "end: EOF"}, 0},
	{"line at the limit", "a X " + x(196) + "\r\n", []string{"a X|" + x(196), "end: EOF"}, 0},
	{"line over the limit", "a X " + x(197) + "\r\nb NOOP\r\n", []string{"end: line too long: connection has to be closed"}, 0},
	{"endless line", "a X " + x(100000), []string{"end: line too long: connection has to be closed"}, 0},
	{
		"command too long", "a X" + strings.Repeat(" {45+}\r\n"+x(45), 20) + "\r\nb NOOP\r\n",
		[]string{"end: literal too long to be skipped: connection has to be closed"},
		0,
	},
	{"no tag", "NOOP\r\n+ NOOP\r\n* NOOP\r\n", []string{"NOOP BAD Command is missing", " BAD Tag is missing or not valid", " BAD Tag is missing or not valid", "end: EOF"}, 0},
	{"space first", " a NOOP\r\n", []string{" BAD Tag is missing or not valid", "end: EOF"}, 0},
	{"no command", "a \r\nb UID \r\nc UID\r\nd \"x\"\r\n", []string{"a BAD Command is missing", "b BAD Command is missing", "c UID|", "d BAD Command is missing or not valid", "end: EOF"}, 0},
	{"cut", "a NOO", []string{"end: unexpected EOF"}, 0},
	{"cut in a literal", "a X {5+}\r\nab", []string{"end: unexpected EOF"}, 0},
	{
		"append", "a APPEND INBOX (\\Seen) {5}\r\nhello\r\nb NOOP\r\n",
		[]string{"a APPEND|INBOX (\\Seen)", `message "hello" <nil>`, "ended <nil>", "b NOOP|", "end: EOF"},
		1,
	},
	{
		"append to a literal", "a APPEND {3+}\r\nA/B {5+}\r\nhello\r\nb NOOP\r\n",
		[]string{"a APPEND|{3+}\r\nA/B", `message "hello" <nil>`, "ended <nil>", "b NOOP|", "end: EOF"},
		0,
	},
	{
		"replace", "a UID REPLACE 7 {3+}\r\nA/B (x) {5+}\r\nhello\r\nb NOOP\r\n",
		[]string{"a UID REPLACE|7 {3+}\r\nA/B (x)", `message "hello" <nil>`, "ended <nil>", "b NOOP|", "end: EOF"},
		0,
	},
	{"replace of nothing", "a REPLACE {1+}\r\n7 {1+}\r\nx\r\nb NOOP\r\n", []string{"a REPLACE|{1+}\r\n7 {1+}\r\nx", "b NOOP|", "end: EOF"}, 0},
	{"append refused", "a APPEND INBOX {61}\r\nb NOOP\r\n", []string{"a APPEND|INBOX", "refused 61: <nil>", "b NOOP|", "end: EOF"}, 0},
	{
		"append refused without waiting", "a APPEND INBOX {61+}\r\n" + x(52) + "\r\nz NOOP" + x(1) + "\r\nb NOOP\r\n",
		[]string{"a APPEND|INBOX", "refused 61: <nil>", "b NOOP|", "end: EOF"},
		0,
	},
	{
		"append refused, too long to skip", "a APPEND INBOX {151+}\r\nb NOOP\r\n",
		[]string{"a APPEND|INBOX", "refused 151: literal too long to be skipped: connection has to be closed", "end: literal too long to be skipped: connection has to be closed"},
		0,
	},
	{
		"two messages", "a APPEND INBOX {2+}\r\nab (\\Seen) ~{2}\r\ncd\r\nb NOOP\r\n",
		[]string{"a APPEND|INBOX", `message "ab" <nil>`, "and|(\\Seen)", `message "cd" <nil>`, "ended <nil>", "b NOOP|", "end: EOF"},
		1,
	},
	{
		"text behind a message", "a APPEND INBOX {2+}\r\nabc {4+}\r\nz X\n\r\nb NOOP\r\n",
		[]string{"a APPEND|INBOX", `message "ab" <nil>`, "ended syntax error: Nothing but another message may follow a message", "b NOOP|", "end: EOF"},
		0,
	},
	{"append cut", "a APPEND INBOX {20+}\r\nab", []string{"a APPEND|INBOX", `message "ab" unexpected EOF`, "ended unexpected EOF", "end: EOF"}, 0},
}

func TestReadCommand(t *testing.T) {
	for _, tt := range readerTests {
		for _, chunked := range []bool{false, true} {
			var in io.Reader = strings.NewReader(tt.in)
			if chunked {
				in = iotest.OneByteReader(in)
			}
			got, asked := script(in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (chunked %v): %s", tt.name, chunked, diff)
			}
			if asked != tt.asked {
				t.Errorf("%s: asked %d times for a literal, want %d", tt.name, asked, tt.asked)
			}
		}
	}
}

// TestUnfinishedAppend: a caller that forgets a message does not make its octets commands.
func TestUnfinishedAppend(t *testing.T) {
	in := "a APPEND INBOX {8+}\r\nz NOOP\r\n\r\nb APPEND INBOX {8+}\r\nz NOOP\r\n\r\nc NOOP\r\n"
	r := NewReader(strings.NewReader(in), testLimits)
	var tags []string
	for {
		cmd, err := r.ReadCommand(nil)
		if err != nil {
			break
		}
		tags = append(tags, cmd.Tag)
		if cmd.Tag == "b" {
			octets, err := r.AcceptLiteral(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, octets, 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Join(tags, " "); got != "a b c" {
		t.Errorf("commands read: %s", got)
	}
}

func TestReadLine(t *testing.T) {
	r := NewReader(strings.NewReader("a IDLE\r\nDONE\r\nb NOOP\r\n"+x(70)+"\r\n"), testLimits)
	if _, err := r.ReadCommand(nil); err != nil {
		t.Fatal(err)
	}
	if !r.Buffered() {
		t.Error("DONE is there and not told of")
	}
	if line, err := r.ReadLine(64); string(line) != "DONE" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
	if cmd, err := r.ReadCommand(nil); err != nil || cmd.Tag != "b" {
		t.Errorf("behind DONE: %v, %v", cmd, err)
	}
	if _, err := r.ReadLine(64); !errors.Is(err, ErrClose) {
		t.Errorf("long line: %v", err)
	}
	if _, err := NewReader(strings.NewReader(""), testLimits).ReadLine(5); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}

func TestEmptyLines(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("\r\n", maxEmptyLines)+"a NOOP\r\n"), testLimits)
	var fault *SyntaxError
	if _, err := r.ReadCommand(nil); !errors.As(err, &fault) {
		t.Errorf("only empty lines: %v", err)
	}
	if cmd, err := r.ReadCommand(nil); err != nil || cmd.Tag != "a" {
		t.Errorf("behind them: %v, %v", cmd, err)
	}
}

// FuzzReadCommand: however its octets arrive, a stream holds the same commands.
func FuzzReadCommand(f *testing.F) {
	for _, tt := range readerTests {
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		whole, _ := script(strings.NewReader(string(in)))
		pieces, _ := script(&chunkReader{b: in, n: int(chunk)%17 + 1})
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Errorf("in pieces it reads otherwise: %s", diff)
		}
	})
}

// chunkReader answers at most n octets a time.
type chunkReader struct {
	b []byte
	n int
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

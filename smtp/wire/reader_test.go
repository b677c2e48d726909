package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("a", MaxLine-2)
	for _, tt := range []struct {
		in    string
		lines []string
		err   error
	}{
		{"", nil, io.EOF},
		{"a\r\n\r\nb\r\n", []string{"a", "", "b"}, io.EOF},
		{"a\r\nb", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\r\nb\r", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\nb\r\n", nil, ErrBareNewline},
		{"\na\r\n", nil, ErrBareNewline},
		{"a\rb\r\n", nil, ErrBareNewline},
		{"a\r\r\n", nil, ErrBareNewline},
		{"a\rb", nil, ErrBareNewline}, // without waiting for the end
		{"a\r\n\rb\r\n", []string{"a"}, ErrBareNewline},
		{long + "\r\n" + long + "\r\n", []string{long, long}, io.EOF},
		{long + "a\r\n", nil, ErrLineTooLong},
		{long + long, nil, ErrLineTooLong},
	} {
		for _, size := range []int{1, 2, 1000, 1 << 20} {
			r := NewReader(pieces(tt.in, size))
			var lines []string
			var err error
			for err == nil {
				var line []byte
				if line, err = r.ReadLine(MaxLine); err == nil {
					lines = append(lines, string(line))
				}
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%.20q by %d: %v, want %v", tt.in, size, err, tt.err)
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("%.20q by %d: %s", tt.in, size, diff)
			}
		}
	}
}

func TestReaderBuffers(t *testing.T) {
	r := NewReader(strings.NewReader("NOOP\r\nDATA\r\nab"))
	if r.HasLine() || r.Buffered() != 0 {
		t.Error("it has read ahead of being asked")
	}
	for _, want := range []bool{true, false} {
		if _, err := r.ReadLine(MaxLine); err != nil {
			t.Fatal(err)
		}
		if r.HasLine() != want {
			t.Errorf("a line is there: %t, want %t", r.HasLine(), want)
		}
	}
	if r.Buffered() != 2 {
		t.Errorf("%d octets", r.Buffered())
	}
	if _, err := NewReader(silent{}).ReadLine(MaxLine); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct{ in, verb, args, code string }{
		{"noop", "NOOP", "", ""},
		{"MAIL FROM:<>  ", "MAIL", "FROM:<>", ""},
		{"ehlo  x", "EHLO", " x", ""},
		{"STARTTLSX", "STARTTLSX", "", ""},
		{"", "", "", "500 5.5.2"},
		{" NOOP", "", "", "500 5.5.2"},
		{"NOOP\tx", "", "", "500 5.5.2"},
		{"NO-OP", "", "", "500 5.5.2"},
		{"NOOP \x00", "", "", "500 5.5.2"},
		{"NOOP \xff", "", "", "500 5.5.2"},
		{"NOOP \u0085", "", "", "500 5.5.2"},
		{"<html>", "", "", "500 5.5.2"},
		{strings.Repeat("A", 17), "", "", "500 5.5.2"},
	} {
		got, err := ParseCommand([]byte(tt.in))
		if codeOf(t, err) != tt.code || err == nil && got != (Command{tt.verb, tt.args}) {
			t.Errorf("%q: %+v, %v", tt.in, got, err)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Chunk
		code string
	}{
		{"0", Chunk{}, ""},
		{"10 LAST", Chunk{10, true}, ""},
		{"10 last", Chunk{10, true}, ""},
		{"", Chunk{}, "501 5.5.4"},
		{"-1", Chunk{}, "501 5.5.4"},
		{"+1", Chunk{}, "501 5.5.4"},
		{"1 2", Chunk{}, "501 5.5.4"},
		{"1 LAST x", Chunk{}, "501 5.5.4"},
		{"LAST", Chunk{}, "501 5.5.4"},
		{"18446744073709551617", Chunk{}, "501 5.5.4"},
	} {
		got, err := ParseChunk(tt.in)
		if codeOf(t, err) != tt.code || got != tt.want {
			t.Errorf("%q: %+v, %v", tt.in, got, err)
		}
	}
}

// chunked reads a message from in, which holds chunks as "<size> <LAST>?\r\n" and their octets.
func chunked(in *Reader, limit int64) (*ChunkReader, error) {
	more := func() (Chunk, error) {
		line, err := in.ReadLine(100)
		if err != nil {
			return Chunk{}, err
		}
		return ParseChunk(string(line))
	}
	first, err := more()
	return NewChunkReader(in, limit, first, more), err
}

func TestChunkReader(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"3 LAST\r\na\r\n", "a\r\n", nil},
		{"0 LAST\r\n", "", nil},
		{"2\r\na\r5\r\n\n.\r\nb0 LAST\r\n", "a\r\n.\r\nb", nil},
		{"0\r\n0\r\n1\r\nx0 LAST\r\n", "x", nil},
		{"5 LAST\r\n.\r\n.\r", "", ErrBareNewline},
		{"1\r\n\r1 LAST\r\nx", "", ErrBareNewline},
		{"1\r\n\r1 LAST\r\n\r", "", ErrBareNewline},
		{"1\r\n\r0 LAST\r\n", "", ErrBareNewline},
		{"3 LAST\r\na\nb", "", ErrBareNewline},
		{"1 LAST\r\n\n", "", ErrBareNewline},
		{"1\r\na1 LAST\r\n\n", "", ErrBareNewline},
		{"3 LAST\r\n\r\r\n", "", ErrBareNewline},
		{"1 LAST\r\n\x00", "", ErrNUL},
		{"60\r\n" + strings.Repeat("a", 60) + "41 LAST\r\n" + strings.Repeat("b", 41), "", ErrTooLarge},
		{"999999999999 LAST\r\n", "", ErrTooLarge},
		{"3 LAST\r\na", "", io.ErrUnexpectedEOF},
		{"1\r\na", "", io.EOF}, // what more answers
	} {
		for _, size := range pieceSizes {
			c, err := chunked(NewReader(pieces(tt.in, size)), 100)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			_, err = io.Copy(&got, c)
			if errors.Is(tt.err, io.EOF) {
				if got.String() != "a" {
					t.Errorf("%q: %q", tt.in, got.String())
				}
				continue
			}
			if !errors.Is(err, tt.err) || c.Done() != (tt.err == nil) || err == nil && got.String() != tt.want {
				t.Errorf("%.20q by %d: %q, %v, done %t; want %q, %v", tt.in, size, got.String(), err, c.Done(), tt.want, tt.err)
			}
		}
	}
}

func TestChunkReaderDrain(t *testing.T) {
	in := NewReader(strings.NewReader("6 LAST\r\na\nb\r\nXQUIT\r\n"))
	c, err := chunked(in, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, ErrBareNewline) || !errors.Is(c.Fault(), ErrBareNewline) {
		t.Fatal(err)
	}
	if err := c.Drain(); err != nil || !c.Last() {
		t.Fatal(err)
	}
	if line, err := in.ReadLine(100); err != nil || string(line) != "QUIT" {
		t.Errorf("left: %q, %v", line, err)
	}
	c, err = chunked(NewReader(strings.NewReader("1000 LAST\r\nabc")), 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(); !errors.Is(err, ErrFlood) {
		t.Errorf("flood: %v", err)
	}
	c, err = chunked(NewReader(strings.NewReader("10 LAST\r\nabc")), 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("unfinished: %v", err)
	}
}

func FuzzChunkReader(f *testing.F) {
	f.Add("a\r\nb\r\n", 3, 2)
	f.Add("a\r\n.\r\n", 1, 1)
	f.Add("a\rb\n", 2, 5)
	f.Fuzz(func(t *testing.T, content string, chunk, size int) {
		if chunk < 1 || size < 1 || size > 100 || len(content) > 10_000 || strings.Contains(content, "\x00") {
			return
		}
		var in strings.Builder
		for s := content; s != ""; {
			n := min(chunk, len(s))
			fmt.Fprintf(&in, "%d\r\n%s", n, s[:n])
			s = s[n:]
		}
		in.WriteString("0 LAST\r\n")
		c, err := chunked(NewReader(pieces(in.String(), size)), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		_, err = io.Copy(&got, c)
		if bare := strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n"); bare != errors.Is(err, ErrBareNewline) || !bare && err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if err == nil && got.String() != content {
			t.Fatalf("%q: %q", content, got.String())
		}
	})
}

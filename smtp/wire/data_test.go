package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces gives an input in reads of n octets.
func pieces(s string, n int) io.Reader {
	if n == 1 {
		return iotest.OneByteReader(strings.NewReader(s))
	}
	return &pieceReader{s, n}
}

type pieceReader struct {
	s string
	n int
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if p.s == "" {
		return 0, io.EOF
	}
	n := copy(b, p.s[:min(p.n, len(p.s))])
	p.s = p.s[n:]
	return n, nil
}

var pieceSizes = []int{1, 2, 3, 5, 1 << 20}

func TestDataReader(t *testing.T) {
	const limit = 1000
	for _, tt := range []struct {
		name, in string
		refuse   error  // of a reader that refuses bare newlines
		want     string // what a reader that normalises them answers
		rest     string // what is left for the next command
	}{
		{"empty", ".\r\nQUIT\r\n", nil, "", "QUIT\r\n"},
		{"one line", "a\r\n.\r\nQUIT\r\n", nil, "a\r\n", "QUIT\r\n"},
		{"empty lines", "\r\n\r\n.\r\n", nil, "\r\n\r\n", ""},
		{"dots", "..\r\n...\r\n.a\r\na.\r\na.b\r\n.\r\n", nil, ".\r\n..\r\na\r\na.\r\na.b\r\n", ""},
		{"LF . LF", "a\n.\nMAIL FROM:<x@y.fr>\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL FROM:<x@y.fr>\r\n", ""},
		{"LF . CRLF", "a\n.\r\nMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CRLF . LF", "a\r\n.\nMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CR . CR", "a\r.\rMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CRLF . CR", "a\r\n.\rMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CR . CRLF", "a\r.\r\nMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"LF . CR", "a\n.\rMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CR . LF", "a\r.\nMAIL\r\n.\r\n", ErrBareNewline, "a\r\n.\r\nMAIL\r\n", ""},
		{"CRCRLF", "a\r\r\n.\r\n", ErrBareNewline, "a\r\n\r\n", ""},
		{"LFCR", "a\n\r.\r\nb\r\n.\r\n", ErrBareNewline, "a\r\n\r\n.\r\nb\r\n", ""},
		{"LF before the end", "a\n\r\n.\r\n", ErrBareNewline, "a\r\n\r\n", ""},
		{"LF first", "\n.\r\nMAIL\r\n.\r\n", ErrBareNewline, "\r\n.\r\nMAIL\r\n", ""},
		{"LF after an empty line", "\r\n\n.\r\nb\r\n.\r\n", ErrBareNewline, "\r\n\r\n.\r\nb\r\n", ""},
		{"dots after LF stay", "a\n..b\r\n.\r\n", ErrBareNewline, "a\r\n..b\r\n", ""},
		{"NUL", "a\x00\r\n.\r\n", ErrNUL, "", ""},
		{"CRLF NUL . CRLF", "a\r\n\x00.\r\nMAIL\r\n.\r\n", ErrNUL, "", ""},
		{"CRLF . NUL CRLF", "a\r\n.\x00\r\nMAIL\r\n.\r\n", ErrNUL, "", ""},
		{"CRLF . CR NUL LF", "a\r\n.\r\x00\nMAIL\r\n.\r\n", ErrBareNewline, "", ""},
		{"size", strings.Repeat("a", limit-2) + "\r\n.\r\n", nil, strings.Repeat("a", limit-2) + "\r\n", ""},
		{"too large", strings.Repeat("a", limit-1) + "\r\n.\r\nX", ErrTooLarge, "", "X"},
	} {
		for _, size := range pieceSizes {
			for _, newlines := range []Newlines{RefuseBare, NormaliseBare} {
				t.Run(fmt.Sprintf("%s/%d/%t", tt.name, size, newlines), func(t *testing.T) {
					in := NewReader(pieces(tt.in, size))
					d := NewDataReader(in, limit, newlines)
					got, err := io.ReadAll(io.MultiReader(d)) // by Read, not WriteTo
					want := tt.refuse
					if newlines == NormaliseBare && errors.Is(want, ErrBareNewline) {
						want = nil
						if tt.want == "" {
							want = ErrNUL
						}
					}
					if !errors.Is(err, want) || !errors.Is(d.Fault(), want) || d.Done() != (want == nil) {
						t.Fatalf("error %v, fault %v, done %t; want %v", err, d.Fault(), d.Done(), want)
					}
					if want == nil && string(got) != tt.want {
						t.Errorf("content %q, want %q", got, tt.want)
					}
					if err := d.Drain(); err != nil {
						t.Fatalf("Drain: %v", err)
					}
					if rest, err := io.ReadAll(rawRest{in}); err != nil || string(rest) != tt.rest {
						t.Errorf("left %q, %v; want %q", rest, err, tt.rest)
					}
				})
			}
		}
	}
}

// rawRest reads what a Reader has left.
type rawRest struct{ r *Reader }

func (r rawRest) Read(p []byte) (int, error) {
	if r.r.Buffered() == 0 {
		if err := r.r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.r.buf[r.r.r:r.r.w])
	r.r.r += n
	return n, nil
}

func TestDataReaderLongLines(t *testing.T) {
	for _, tt := range []struct {
		octets int
		want   error
	}{{MaxTextLine, nil}, {MaxTextLine + 1, ErrTextLine}, {5 * blockBuffer, ErrTextLine}} {
		for _, size := range []int{1000, 1 << 20} {
			in := NewReader(pieces(strings.Repeat("a", tt.octets-2)+"\r\n.\r\nX", size))
			d := NewDataReader(in, 1<<20, RefuseBare)
			if _, err := io.Copy(io.Discard, d); !errors.Is(err, tt.want) {
				t.Errorf("%d octets: %v, want %v", tt.octets, err, tt.want)
			}
			if err := d.Drain(); err != nil {
				t.Errorf("%d octets: Drain: %v", tt.octets, err)
			}
			if left := in.Buffered(); left > 1 {
				t.Errorf("%d octets: %d are left", tt.octets, left)
			}
		}
	}
}

func TestDataReaderUnfinished(t *testing.T) {
	for _, in := range []string{"", "a", "a\r", "a\r\n", "a\r\n.", "a\r\n.\r", "a\n.\n"} {
		d := NewDataReader(NewReader(strings.NewReader(in)), 100, NormaliseBare)
		_, err := io.Copy(io.Discard, d)
		if !errors.Is(err, io.ErrUnexpectedEOF) || d.Fault() != nil || d.Done() {
			t.Errorf("%q: %v, fault %v", in, err, d.Fault())
		}
		if err := d.Drain(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: Drain: %v", in, err)
		}
	}
	broken := errors.New("broken")
	d := NewDataReader(NewReader(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken))), 100, RefuseBare)
	if _, err := io.Copy(io.Discard, d); !errors.Is(err, ErrBareNewline) {
		t.Error(err)
	}
	if err := d.Drain(); !errors.Is(err, broken) {
		t.Errorf("Drain: %v", err)
	}
}

func TestDataReaderFlood(t *testing.T) {
	endless := NewReader(endlessLines{})
	d := NewDataReader(endless, 1<<20, RefuseBare)
	if _, err := io.Copy(io.Discard, d); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if err := d.Drain(); !errors.Is(err, ErrFlood) {
		t.Fatal(err)
	}
	if d.Size() > 6<<20 {
		t.Errorf("%d octets were read", d.Size())
	}
}

type endlessLines struct{}

func (endlessLines) Read(p []byte) (int, error) {
	const line = "0123456789\r\n"
	n := len(p) / len(line) * len(line)
	copy(p, strings.Repeat(line, n/len(line)))
	return max(n, 0), nil
}

// plainly is DATA as one reads it in RFC 5321, an octet at a time, with bare newlines as NormaliseBare has them.
func plainly(in string) (content, rest string, ok bool) {
	var out strings.Builder
	start := true
	for i := 0; i < len(in); {
		s := in[i:]
		switch {
		case start && strings.HasPrefix(s, ".\r\n"):
			return out.String(), s[3:], true
		case start && s[0] == '.' && len(s) > 1 && s[1] != '\r' && s[1] != '\n':
			i++
			start = false
		case strings.HasPrefix(s, "\r\n"):
			out.WriteString("\r\n")
			i += 2
			start = true
		case s[0] == '\r' || s[0] == '\n':
			out.WriteString("\r\n")
			i++
			start = false
		default:
			out.WriteByte(s[0])
			i++
			start = false
		}
	}
	return "", "", false
}

func FuzzDataReader(f *testing.F) {
	for _, seed := range []string{
		".\r\n", "a\r\n.\r\nQUIT\r\n", "..\r\n.\r\n", "a\n.\nb\r\n.\r\n", "\r\n.\rX\r\n.\r\n", "\r.\r\n\r\n.\r\n", "a\r\r\n.\r\n", "\n\r\n.\r\n", "..\n.\r\n",
	} {
		f.Add(seed, 1)
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size < 1 || size > 100 || strings.Contains(in, "\x00") || len(in) > 10_000 {
			return
		}
		r := NewReader(pieces(in, size))
		d := NewDataReader(r, 1<<20, NormaliseBare)
		var got bytes.Buffer
		_, err := io.Copy(&got, d)
		want, rest, ok := plainly(in)
		if (err == nil) != ok {
			t.Fatalf("%q: %v, want an end: %t", in, err, ok)
		}
		if !ok {
			return
		}
		if got.String() != want {
			t.Fatalf("%q: %q, want %q", in, got.String(), want)
		}
		if left, err := io.ReadAll(rawRest{r}); err != nil || string(left) != rest {
			t.Fatalf("%q: left %q, %v; want %q", in, left, err, rest)
		}
		// What refuses bare newlines finds the same end.
		r = NewReader(pieces(in, size))
		d = NewDataReader(r, 1<<20, RefuseBare)
		_, err = io.Copy(io.Discard, d)
		if err != nil && !errors.Is(err, ErrBareNewline) {
			t.Fatal(err)
		}
		if err := d.Drain(); err != nil {
			t.Fatal(err)
		}
		if left, err := io.ReadAll(rawRest{r}); err != nil || string(left) != rest {
			t.Fatalf("%q drained: left %q, %v; want %q", in, left, err, rest)
		}
	})
}

// message is mail of about n octets as it is on the way.
func message(n int) string {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	return "Subject: x\r\n\r\n" + strings.Repeat(line, n/len(line))
}

func BenchmarkDataReader(b *testing.B) {
	in := message(1<<20) + ".\r\n"
	src := strings.NewReader(in)
	r := NewReader(src)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		if _, err := io.Copy(io.Discard, NewDataReader(r, 1<<30, NormaliseBare)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDotWriter(b *testing.B) {
	in := []byte(message(1 << 20))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewDotWriter(io.Discard)
		if _, err := w.Write(in); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func stuffed(t *testing.T, in string, size int) string {
	t.Helper()
	var out bytes.Buffer
	w := NewDotWriter(&out)
	for s := in; s != ""; {
		n := min(size, len(s))
		if got, err := w.Write([]byte(s[:n])); got != n || err != nil {
			t.Fatalf("%q: wrote %d of %d, %v", in, got, n, err)
		}
		s = s[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDotWriter(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ".\r\n"},
		{"a", "a\r\n.\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n.a\r\na.\r\n", "...\r\n..a\r\na.\r\n.\r\n"},
		{"a\r\n.\r\nMAIL FROM:<>\r\n", "a\r\n..\r\nMAIL FROM:<>\r\n.\r\n"},
		{"a\n.\nMAIL FROM:<>\n", "a\r\n..\r\nMAIL FROM:<>\r\n.\r\n"},
		{"a\r.\rMAIL FROM:<>\r", "a\r\n..\r\nMAIL FROM:<>\r\n.\r\n"},
		{"a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\r\n.\r\n", "a\r\n\r\n..\r\n.\r\n"},
		{"\r", "\r\n.\r\n"},
		{"\n", "\r\n.\r\n"},
		{"\r\n\r\n", "\r\n\r\n.\r\n"},
		{"\n\r", "\r\n\r\n.\r\n"},
	} {
		for _, size := range pieceSizes {
			if got := stuffed(t, tt.in, size); got != tt.want {
				t.Errorf("%q in pieces of %d: %q, want %q", tt.in, size, got, tt.want)
			}
		}
	}
}

// TestDotWriterAfterAnError: nothing more is written, the end of the message least of all, or the next hop would deliver half of it.
func TestDotWriterAfterAnError(t *testing.T) {
	broken := errors.New("broken")
	out := &failing{err: broken, after: 1}
	w := NewDotWriter(out)
	if _, err := w.Write([]byte("a\r\n.b\r\nc")); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	out.err = nil
	if _, err := w.Write([]byte("more")); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Error(err)
	}
	if out.got.String() != "a\r\n" {
		t.Errorf("written: %q", out.got.String())
	}
}

// TestDotWriterAfterTheEnd: what would be written there were commands.
func TestDotWriterAfterTheEnd(t *testing.T) {
	var out bytes.Buffer
	w := NewDotWriter(&out)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("MAIL FROM:<>\r\n")); n != 0 || err == nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if err := w.Close(); err == nil || out.String() != ".\r\n" {
		t.Errorf("a second end: %v, %q", err, out.String())
	}
}

// failing is a writer whose err comes after some writes.
type failing struct {
	got   bytes.Buffer
	err   error
	after int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 && f.err != nil {
		return 0, f.err
	}
	return f.got.Write(p)
}

func (f *failing) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// FuzzDotWriter: whatever a message holds, a reader of any kind sees one message, and a strict one the same content.
func FuzzDotWriter(f *testing.F) {
	for _, seed := range []string{"", ".", "a\n.\nb", "\r.\r", "\r\n.\r\nMAIL FROM:<>\r\n", "..", "\n\r\n\r", "a\r\r\n.\r\n"} {
		f.Add(seed, 1)
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size < 1 || size > 100 || len(in) > 10_000 || strings.Contains(in, "\x00") {
			return
		}
		out := stuffed(t, in, size)
		d := NewDataReader(NewReader(strings.NewReader(out+"QUIT\r\n")), 1<<20, RefuseBare)
		got, err := io.ReadAll(d)
		if err != nil {
			t.Fatalf("%q as %q: %v", in, out, err)
		}
		want := normalised(in)
		if string(got) != want {
			t.Fatalf("%q as %q: %q, want %q", in, out, got, want)
		}
		if n := strings.Count(strings.ReplaceAll("\n"+strings.ReplaceAll(out, "\r", "\n"), "\n\n", "\n"), "\n.\n"); n != 1 {
			t.Fatalf("%q as %q: a server that takes any CR or LF for a line's end sees %d ends", in, out, n)
		}
	})
}

func normalised(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	s = strings.ReplaceAll(s, "\n", "\r\n")
	if s != "" && !strings.HasSuffix(s, "\r\n") {
		s += "\r\n"
	}
	return s
}

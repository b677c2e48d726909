package imapproxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestBuffer: what goes in comes out, in any mixture of calls, and an empty buffer holds no memory.
func TestBuffer(t *testing.T) {
	var out bytes.Buffer
	b := newBuffer(&out)
	var want strings.Builder
	for _, n := range []int{1, 100, outBuffer - 1, outBuffer, outBuffer + 1, 3 * outBuffer, 7} {
		s := strings.Repeat("x", n)
		b.WriteString(s)
		b.Write([]byte(s))
		b.WriteByte('\n')
		if got, err := b.ReadFrom(io.LimitReader(strings.NewReader(s), int64(n))); got != int64(n) || err != nil {
			t.Errorf("read %d, %v", got, err)
		}
		want.WriteString(s + s + "\n" + s)
	}
	if err := b.Flush(); err != nil || out.String() != want.String() {
		t.Errorf("%d octets of %d, %v", out.Len(), want.Len(), err)
	}
	if b.buf != nil {
		t.Error("an empty buffer holds memory")
	}
}

func TestBufferKeepsItsError(t *testing.T) {
	r, w := io.Pipe()
	broken := errors.New("broken")
	r.CloseWithError(broken)
	b := newBuffer(w)
	b.WriteString("x")
	for _, write := range []func() error{
		b.Flush,
		func() error { _, err := b.Write(make([]byte, 2*outBuffer)); return err },
		func() error { _, err := b.WriteString("y"); return err },
		func() error { return b.WriteByte('z') },
		func() error { _, err := b.ReadFrom(strings.NewReader("y")); return err },
		b.Flush,
	} {
		if err := write(); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
}

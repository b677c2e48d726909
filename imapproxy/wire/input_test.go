package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestInput: lines and blocks come out as they went in, however they arrive, and nothing is held while nothing is there.
func TestInput(t *testing.T) {
	text := "a\r\n" + strings.Repeat("b", inputBuffer-2) + "\r\n" + strings.Repeat("c", 2*inputBuffer) + "\n\n" + strings.Repeat("de\n", 20_000) + "rest"
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as much as there is": func(r io.Reader) io.Reader { return r },
		"octet by octet":      iotest.OneByteReader,
		"halves":              iotest.HalfReader,
		"the end with data":   iotest.DataErrReader,
		"borrowed":            func(r io.Reader) io.Reader { return borrowing{r} },
		"borrowed halves":     func(r io.Reader) io.Reader { return borrowing{iotest.HalfReader(r)} },
		"not borrowed":        func(r io.Reader) io.Reader { return refusing{r} },
	} {
		in := &input{src: wrap(strings.NewReader(text))}
		var got bytes.Buffer
		for {
			line, err := in.readSlice('\n')
			got.Write(line)
			if errors.Is(err, errBufferFull) {
				if len(line) != inputBuffer {
					t.Errorf("%s: a full buffer of %d", name, len(line))
				}
				continue
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: at the end %v", name, err)
				}
				break
			}
			if line[len(line)-1] != '\n' {
				t.Errorf("%s: %q is no line", name, line)
			}
			if n := in.buffered(); n > 0 { // a block in the middle
				p := make([]byte, min(n, 5))
				if _, err := io.ReadFull(in, p); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				got.Write(p)
				got.Write(in.peek(min(1, in.buffered())))
				in.skip(min(1, in.buffered()))
			}
		}
		if got.String() != text {
			t.Errorf("%s: %d octets of %d are not those that went in", name, got.Len(), len(text))
		}
		if _, err := in.readSlice('\n'); !errors.Is(err, io.EOF) || in.buf != nil {
			t.Errorf("%s: after the end %v, memory held: %v", name, err, in.buf != nil)
		}
	}
}

// TestAwait: a wait that meets a deadline loses nothing and holds nothing.
func TestAwait(t *testing.T) {
	late := errors.New("late")
	r := NewReader(iotest.ErrReader(late), Limits{})
	if err := r.Await(); !errors.Is(err, late) || r.br.buf != nil || r.Buffered() {
		t.Errorf("nothing there: %v, memory held: %v", err, r.br.buf != nil)
	}
	r.br.src = strings.NewReader("a NOOP\r\nb CHECK\r\n")
	for _, want := range []string{"NOOP", "CHECK"} {
		if err := r.Await(); err != nil || !r.Buffered() {
			t.Errorf("something there: %v, %v", err, r.Buffered())
		}
		cmd, err := r.ReadCommand(nil)
		if err != nil || cmd.Name != want {
			t.Errorf("command %+v, %v", cmd, err)
		}
	}
	if err := r.Await(); !errors.Is(err, io.EOF) || r.br.buf != nil {
		t.Errorf("at the end: %v, memory held: %v", err, r.br.buf != nil)
	}
}

// borrowing is a source that holds no buffer while it waits.
type borrowing struct{ io.Reader }

func (b borrowing) ReadBorrowed(from Lender) (int, error) {
	from.Borrow()
	from.Return() // nothing was there
	return b.Read(from.Borrow())
}

// refusing is one that would, and cannot.
type refusing struct{ io.Reader }

func (refusing) ReadBorrowed(Lender) (int, error) { return 0, errors.ErrUnsupported }

// TestInputInTheMiddle: who reads a message in small pieces does not have each octet of it waited for by itself.
func TestInputInTheMiddle(t *testing.T) {
	src := &counting{r: strings.NewReader("a {4000}\r\n" + strings.Repeat("x", 4000) + "rest")}
	in := &input{src: src}
	if _, err := in.readSlice('\n'); err != nil {
		t.Fatal(err)
	}
	src.reads = 0
	var got bytes.Buffer
	if _, err := io.CopyN(&got, in, 4000); err != nil || got.Len() != 4000 {
		t.Fatalf("%d octets, %v", got.Len(), err)
	}
	if src.reads > 8 {
		t.Errorf("%d reads for 4000 octets", src.reads)
	}
}

// counting is a source that has no more than 1000 octets at a time.
type counting struct {
	r     io.Reader
	reads int
}

func (c *counting) Read(p []byte) (int, error) {
	c.reads++
	return c.r.Read(p[:min(len(p), 1000)])
}

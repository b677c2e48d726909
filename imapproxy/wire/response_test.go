package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestResponseHeads(t *testing.T) {
	for _, tt := range []struct {
		in, name, rest, tag string
		kind                Kind
		num                 uint32
	}{
		{"* OK [CAPABILITY X] hi\r\n", "OK", "[CAPABILITY X] hi", "", Untagged, 0},
		{"* 12 FETCH (UID 3)\r\n", "FETCH", "(UID 3)", "", Untagged, 12},
		{"* SEARCH\r\n", "SEARCH", "", "", Untagged, 0},
		{"a1 NO [X] y\r\n", "NO", "[X] y", "a1", Tagged, 0},
		{"+ idling\r\n", "", "idling", "", Continuation, 0},
		{"+\r\n", "", "", "", Continuation, 0},
		{"* 3 expunge\n", "expunge", "", "", Untagged, 3},
	} {
		r, err := NewResponseReader(strings.NewReader(tt.in)).Next()
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if string(r.Name) != tt.name || string(r.Rest) != tt.rest || r.Tag != tt.tag || r.Kind != tt.kind || r.Num != tt.num {
			t.Errorf("%q: got %q %q %q %v %d", tt.in, r.Name, r.Rest, r.Tag, r.Kind, r.Num)
		}
	}
}

func TestResponseMalformed(t *testing.T) {
	for _, in := range []string{"\r\n", "*\r\n", "* 99999999999 EXISTS\r\n", "tag\r\n", "* 12\r\n"} {
		if _, err := NewResponseReader(strings.NewReader(in)).Next(); !errors.Is(err, ErrResponse) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := NewResponseReader(strings.NewReader("* OK half")).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a line: %v", err)
	}
}

// streams are responses whose copies must be the very octets, however they arrive.
var streams = []string{
	"* OK x\r\na OK y\r\n",
	"* 1 FETCH (BODY[] {5}\r\na\r\nb\n UID 3)\r\n* 2 EXISTS\r\n",
	"* 1 FETCH (A {0}\r\n B ~{3}\r\n{4} C)\r\nx NO z\r\n",
	"* LIST () \"/\" {4+}\r\na{3}\r\na BAD b\r\n",
	"* 1 FETCH (BODY[] {100000}\r\n" + strings.Repeat("x{9}\r\n", 16666) + "xxxx)\r\nt OK\r\n",
	// announcements that straddle the end of the buffer
	"* X " + strings.Repeat("y", inputBuffer-7) + " {3}\r\nab\n end\r\na OK b\r\n",
	"* X " + strings.Repeat("y", inputBuffer-6) + " {3}\r\nab\n end\r\na OK b\r\n",
	"* X " + strings.Repeat("y", inputBuffer-9) + " {3}\r\nab\n end\r\na OK b\r\n",
	"* X " + strings.Repeat("y", 3*inputBuffer) + "\r\na OK b\r\n",
	// text for people announces nothing, though it may repeat what a client sent
	"a NO [NONEXISTENT] No such mailbox: x{40}\r\n* 3 EXISTS\r\n",
	"* OK no code {40}\r\nb bad {3}\r\n",
	"+ go on {40}\r\nb OK {3}\r\n",
	"* BYE " + strings.Repeat("y", 2*inputBuffer) + " {40}\r\nb OK [X {3}\r\na]b] done {3}\r\n",
	"* NO [BADCHARSET ({5}\r\nUTF-8 {3}\r\nabc)] {40}\r\nb OK\r\n",
}

func TestResponseCopy(t *testing.T) {
	for i, in := range streams {
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(in), "octets": iotest.OneByteReader(strings.NewReader(in)), "halves": iotest.HalfReader(strings.NewReader(in)),
			"passed on": passing{strings.NewReader(in)}, "passed on by octets": passing{iotest.OneByteReader(strings.NewReader(in))},
		} {
			r := NewResponseReader(src)
			var out bytes.Buffer
			n := 0
			for ; ; n++ {
				if _, err := r.Next(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("stream %d, %s: %v", i, name, err)
				}
				if err := r.Copy(&out); err != nil {
					t.Fatalf("stream %d, %s: %v", i, name, err)
				}
			}
			if out.String() != in || n != 2 {
				t.Errorf("stream %d, %s: %d responses, %d octets of %d", i, name, n, out.Len(), len(in))
			}
		}
	}
}

func TestResponseCollectAndSkip(t *testing.T) {
	r := NewResponseReader(strings.NewReader("* 1 FETCH (A {3}\r\nb\r\n)\r\n* 2 FETCH (B {2}\r\n\r\n)\r\na OK c\r\n"))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	got, err := r.Collect(100)
	if err != nil || string(got) != "* 1 FETCH (A {3}\r\nb\r\n)" {
		t.Fatalf("collect: %q, %v", got, err)
	}
	if _, err := r.Next(); err != nil { // skipped by the next
		t.Fatal(err)
	}
	resp, err := r.Next()
	if err != nil || resp.Tag != "a" {
		t.Fatalf("after a skip: %+v, %v", resp, err)
	}
	if _, err := r.Collect(3); !errors.Is(err, ErrResponse) {
		t.Errorf("over the limit: %v", err)
	}
}

// passing is a connection that sends on by itself.
type passing struct{ io.Reader }

func (p passing) CopyNTo(w io.Writer, n int64) (int64, error) { return io.CopyN(w, p.Reader, n) }

// runs are responses of which CopyRun may take several at once, and what it takes with the first of them when all are here.
var runs = []struct{ all, first string }{
	{"* 1 FETCH (UID 7)\r\n* 2 FETCH (UID 8)\r\na OK c\r\n", "* 1 FETCH (UID 7)\r\n* 2 FETCH (UID 8)\r\n"},
	{"* 1 FETCH (A {16}\r\n* 9 FETCH ({9}\r\n B {0}\r\n)\r\n* 20 FETCH (A {2}\r\n\r\n)\r\n* 3 EXISTS\r\n* 3 FETCH (C)\r\n", "* 1 FETCH (A {16}\r\n* 9 FETCH ({9}\r\n B {0}\r\n)\r\n* 20 FETCH (A {2}\r\n\r\n)\r\n"},
	{"* 1 FETCH (A)\r\n* 2 fetch (A)\r\n", "* 1 FETCH (A)\r\n"},
	{"* 1 FETCH (A)\r\n* 2 FETCHED (A)\r\n", "* 1 FETCH (A)\r\n"},
	{"* 1 FETCH (A)\r\n* 4294967295 FETCH (A)\r\n", "* 1 FETCH (A)\r\n"},
	{"* 1 FETCH (A)\r\n* OK 2 FETCH (A)\r\n", "* 1 FETCH (A)\r\n"},
	{"* OK x {4}\r\n* 2 FETCH (A)\r\n", "* OK x {4}\r\n"},
	{"* 1 FETCH (A {18750}\r\n" + strings.Repeat("* 1 FETCH (X)\r\n", 1250) + ")\r\n* 2 FETCH (A)\r\n", "* 1 FETCH (A {18750}\r\n" + strings.Repeat("* 1 FETCH (X)\r\n", 1250) + ")\r\n"},
	{"* 1 FETCH (A)\r\n* 2 FETCH (A {3}\r\nabc", "* 1 FETCH (A)\r\n"},
	{"* 1 FETCH (A)\r\n* 2 FETCH (A", "* 1 FETCH (A)\r\n"},
}

func TestResponseRun(t *testing.T) {
	for _, tt := range runs {
		r := NewResponseReader(strings.NewReader(tt.all))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := r.CopyRun(&out); err != nil {
			t.Errorf("%.60q: %v", tt.all, err)
		}
		if out.String() != tt.first {
			t.Errorf("of %.60q came %.60q, want %.60q", tt.all, out.String(), tt.first)
		}
	}
}

// TestResponseExpect: a reader that expects more keeps its buffer when that is empty, and no longer.
func TestResponseExpect(t *testing.T) {
	for _, more := range []bool{false, true} {
		r := NewResponseReader(iotest.OneByteReader(strings.NewReader("* 1 EXISTS\r\n* 2 EXISTS\r\n")))
		for range 2 {
			r.Expect(more)
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) || (r.br.buf != nil) != more {
			t.Errorf("expecting more: %v; held: %v, %v", more, r.br.buf != nil, err)
		}
	}
}

func FuzzResponses(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s))
	}
	for _, s := range runs {
		f.Add([]byte(s.all))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		copyAll := func(src io.Reader, copied func(*ResponseReader, io.Writer) error) (string, error) {
			r := NewResponseReader(src)
			var out bytes.Buffer
			for {
				if _, err := r.Next(); err != nil {
					return out.String(), err
				}
				if err := copied(r, &out); err != nil {
					return out.String(), err
				}
			}
		}
		a, err := copyAll(bytes.NewReader(in), (*ResponseReader).Copy)
		if !strings.HasPrefix(string(in), a) || errors.Is(err, io.EOF) && a != string(in) {
			t.Errorf("copied what was not there: %q from %q", a, in)
		}
		for _, src := range []io.Reader{
			iotest.OneByteReader(bytes.NewReader(in)), passing{bytes.NewReader(in)}, passing{iotest.OneByteReader(bytes.NewReader(in))},
		} {
			b, err2 := copyAll(src, (*ResponseReader).Copy)
			if b != a || err.Error() != err2.Error() {
				t.Errorf("%T: %q, %v; whole %q, %v", src, b, err2, a, err)
			}
		}
		b, err2 := copyAll(bytes.NewReader(in), (*ResponseReader).CopyRun)
		if b != a || err.Error() != err2.Error() {
			t.Errorf("in runs %q, %v; one by one %q, %v", b, err2, a, err)
		}
	})
}

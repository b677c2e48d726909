package wire

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppendReply(t *testing.T) {
	for _, tt := range []struct {
		r    Reply
		want string
	}{
		{Reply{250, "2.0.0", "ok"}, "250 2.0.0 ok\r\n"},
		{Reply{354, "", "go"}, "354 go\r\n"},
		{Reply{334, "", ""}, "334 \r\n"},
		{Reply{250, "", "a\nb\nc"}, "250-a\r\n250-b\r\n250 c\r\n"},
		{Reply{550, "5.7.1", "a\nb"}, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
		{Reply{550, "5.7.1", "x\r\x00é"}, "550 5.7.1 x???\r\n"},
	} {
		if got := string(tt.r.AppendTo(nil)); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
	long := Reply{550, "5.7.1", strings.Repeat("word ", 300) + strings.Repeat("x", 1000)}
	for line := range strings.Lines(string(long.AppendTo(nil))) {
		if len(line) > maxReplyLine || !strings.HasPrefix(line, "550") || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
}

func TestReadReply(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Reply
		err  error
	}{
		{"250 ok\r\n", Reply{250, "", "ok"}, nil},
		{"250\r\n", Reply{250, "", ""}, nil},
		{"250 2.1.0 ok\r\n", Reply{250, "2.1.0", "ok"}, nil},
		{"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", Reply{550, "5.7.1", "a\nb\nc"}, nil},
		{"250-mx\r\n250-SIZE 10\r\n250 DSN\r\n", Reply{250, "", "mx\nSIZE 10\nDSN"}, nil},
		{"250 2.1 x\r\n", Reply{250, "", "2.1 x"}, nil},
		{"250 3.1.1 x\r\n", Reply{250, "", "3.1.1 x"}, nil},
		{"250 2.1.0000 x\r\n", Reply{250, "", "2.1.0000 x"}, nil},
		{"550 \x1b[2Jé\r\n", Reply{550, "", "?[2J?"}, nil},
		{"250-a\r\n550 b\r\n", Reply{}, ErrReply},
		{"25 a\r\n", Reply{}, ErrReply},
		{"2500 a\r\n", Reply{}, ErrReply},
		{"150 a\r\n", Reply{}, ErrReply},
		{"999 a\r\n", Reply{}, ErrReply},
		{"HTTP/1.1 400\r\n", Reply{}, ErrReply},
		{"\r\n", Reply{}, ErrReply},
		{"250 a\n", Reply{}, ErrBareNewline},
		{"250-a\r\n", Reply{}, io.EOF},
		{"250 a", Reply{}, io.ErrUnexpectedEOF},
		{"250 " + strings.Repeat("a", maxForeignLine) + "\r\n", Reply{}, ErrLineTooLong},
		{strings.Repeat("250-a\r\n", maxForeignLines) + "250 a\r\n", Reply{}, ErrReply},
	} {
		got, err := ReadReply(NewReader(strings.NewReader(tt.in)))
		if !errors.Is(err, tt.err) {
			t.Errorf("%.30q: %v, want %v", tt.in, err, tt.err)
			continue
		}
		if err == nil {
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("%.30q: %s", tt.in, diff)
			}
		}
	}
}

func TestReplyNature(t *testing.T) {
	for _, tt := range []struct {
		code                int
		positive, permanent bool
	}{{250, true, false}, {354, true, false}, {451, false, false}, {550, false, true}} {
		r := NewReply(tt.code, "", "x")
		if r.Positive() != tt.positive || r.Permanent() != tt.permanent {
			t.Errorf("%d: positive %t, permanent %t", tt.code, r.Positive(), r.Permanent())
		}
	}
	if got := (&Reply{550, "5.7.1", "a\nb"}).Error(); got != "550 5.7.1 a / b" {
		t.Errorf("as an error: %q", got)
	}
}

// FuzzReply: a reply that was read and is written anew reads the same.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"250 ok\r\n", "550-5.7.1 a\r\n550 5.7.1 b\r\n", "250-a\r\n250 2.0.0 b\r\n", "220 \r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ReadReply(NewReader(strings.NewReader(in)))
		if err != nil {
			return
		}
		again, err := ReadReply(NewReader(strings.NewReader(string(r.AppendTo(nil)))))
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if len(in) < 400 && *again != *r {
			t.Fatalf("%q: %+v reads as %+v", in, r, again)
		}
	})
}

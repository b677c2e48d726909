package header_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"balorg/mail/header"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, message string
		names         []string
		body          string
		alone         bool
	}{
		{"plain", "From: a@b.fr\r\nTo: c@d.fr\r\n\r\nbody\r\n", []string{"From", "To"}, "body\r\n", false},
		{"folded", "Subject: one\r\n two\r\n\tthree\r\nX:\r\n\r\n\r\nbody", []string{"Subject", "X"}, "\r\nbody", false},
		{"header alone", "From: a@b.fr\r\n", []string{"From"}, "", true},
		{"no last line end", "From: a@b.fr", []string{"From"}, "", true},
		{"nothing", "", nil, "", true},
		{"no header", "\r\nbody", nil, "body", false},
		{"eight bits", "Subject: \xe9\xff\r\n\r\n", []string{"Subject"}, "", false},
		{"long", "To: " + strings.Repeat("a", header.Max-8) + "\r\n\r\n" + strings.Repeat("b", 10000), []string{"To"}, strings.Repeat("b", 10000), false},
	} {
		for way, r := range map[string]io.Reader{"whole": strings.NewReader(tt.message), "by octets": iotest.OneByteReader(strings.NewReader(tt.message))} {
			h, body, err := header.Read(r)
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, way, err)
				continue
			}
			var names []string
			for _, f := range h.Fields {
				names = append(names, f.Name)
			}
			rest, err := io.ReadAll(body)
			if !slices.Equal(names, tt.names) || string(rest) != tt.body || h.Alone != tt.alone || err != nil {
				t.Errorf("%s, %s: fields %q, body %.40q, alone %v, %v", tt.name, way, names, rest, h.Alone, err)
			}
			want := tt.message
			if tt.alone && want != "" && !strings.HasSuffix(want, "\n") {
				want += "\r\n"
			}
			if got := string(h.Bytes()) + string(rest); got != want {
				t.Errorf("%s, %s: put together again it is %.60q", tt.name, way, got)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, message, want string }{
		{"bare LF", "From: a@b.fr\nTo: c@d.fr\r\n\r\n", "header, line 1: LF without CR"},
		{"bare LF at the end of the header", "From: a@b.fr\r\n\n", "header, line 2: LF without CR"},
		{"bare CR", "From: a@b.fr\rTo: c@d.fr\r\n\r\n", "header, line 1: CR without LF"},
		{"two CR", "From: a@b.fr\r\r\n\r\n", "header, line 1: CR without LF"},
		{"NUL", "From: a@b.fr\r\nTo: \x00\r\n\r\n", "header, line 2: NUL"},
		{"space before colon", "From : a@b.fr\r\n\r\n", "header, line 1: field name with a sign that is not allowed in one"},
		{"tab before colon", "From\t: a@b.fr\r\n\r\n", "header, line 1: field name with a sign that is not allowed in one"},
		{"eight bits in a name", "Fr\xf6m: a@b.fr\r\n\r\n", "header, line 1: field name with a sign that is not allowed in one"},
		{"continuation first", " From: a@b.fr\r\n\r\n", "header, line 1: continues a line that is not there"},
		{"no colon", "From: a@b.fr\r\nhello\r\n\r\n", "header, line 2: no field name"},
		{"no name", ": a@b.fr\r\n\r\n", "header, line 1: no field name"},
		{"folded name", "Fr\r\n om: a@b.fr\r\n\r\n", "header, line 1: no field name"},
		{"a line of a mail file", "From a@b.fr Mon Nov 23 12:00:00 2026\r\nTo: c@d.fr\r\n\r\n", "header, line 1: field name with a sign that is not allowed in one"},
		{"white line", "From: a@b.fr\r\n \t\r\nTo: c@d.fr\r\n\r\n", "header, line 2: white space only"},
		{"no line end, no colon", "From: a@b.fr\r\nhello", "header, line 2: no field name"},
		{"too large", strings.Repeat("To: a@b.fr\r\n", header.Max/12+1), "header is larger than 102400 octets"},
		{"too large on one line", "To: " + strings.Repeat("a", header.Max), "header is larger than 102400 octets"},
	} {
		h, _, err := header.Read(strings.NewReader(tt.message))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.name, h, err, tt.want)
		}
	}
	gone := errors.New("gone")
	if _, _, err := header.Read(io.MultiReader(strings.NewReader("From: a@b.fr\r\n"), iotest.ErrReader(gone))); !errors.Is(err, gone) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestField(t *testing.T) {
	h, _, err := header.Read(strings.NewReader("message-ID:\r\n <a@b> \r\nX: one\r\n\ttwo \r\nReferences: <1@x> text <2@y>\r\n <3 4> <> <5@z>\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.MessageID(); got != "<a@b>" {
		t.Errorf("message id %q", got)
	}
	x, ok := h.Get("x")
	if x.Text() != "one\ttwo" || string(x.Value()) != " one\r\n\ttwo " || !ok || h.Count("X") != 1 {
		t.Errorf("%q, %q, %v", x.Text(), x.Value(), ok)
	}
	refs, _ := h.Get("References")
	if got := header.IDs(refs.Text()); !slices.Equal(got, []string{"<1@x>", "<2@y>", "<5@z>"}) {
		t.Errorf("ids %q", got)
	}
	if _, ok := h.Get("Subject"); ok || (&header.Header{}).MessageID() != "" {
		t.Error("fields that are not there")
	}
}

func TestHashing(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 10000)
	h := header.NewHashing(iotest.HalfReader(bytes.NewReader(body)))
	if _, err := io.Copy(io.Discard, h); err != nil {
		t.Fatal(err)
	}
	if h.Sum() != sha256.Sum256(body) {
		t.Error("another hash")
	}
}

// FuzzRead: whatever is read is what came, and is read alike once more.
func FuzzRead(f *testing.F) {
	f.Add([]byte("From: a@b.fr\r\nSubject: one\r\n two\r\n\r\nbody"))
	f.Add([]byte("From: a@b.fr"))
	f.Add([]byte("\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		h, body, err := header.Read(bytes.NewReader(message))
		if err != nil {
			return
		}
		rest, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		again := append(h.Bytes(), rest...)
		if !bytes.Equal(again, message) && (!h.Alone || !bytes.Equal(again, append(message, "\r\n"...))) {
			t.Fatalf("%q became %q", message, again)
		}
		for _, field := range h.Fields {
			if bytes.ContainsAny(field.Value(), "\x00") || strings.Contains(strings.ReplaceAll(string(field.Raw), "\r\n", ""), "\n") {
				t.Fatalf("field %q", field.Raw)
			}
		}
	})
}

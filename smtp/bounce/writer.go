package bounce

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"balorg/mail/header"
)

// writer writes a report, and nothing more after an error.
type writer struct {
	w        io.Writer
	boundary string
	err      error
}

// Write implements io.Writer.
func (o *writer) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	var n int
	n, o.err = o.w.Write(p)
	return n, o.err
}

func (o *writer) line(s string) { io.WriteString(o, s+"\r\n") } //nolint:errcheck // it is kept

// part begins a part.
func (o *writer) part(kind, encoding string) {
	o.line("")
	o.line("--" + o.boundary)
	o.line("Content-Type: " + kind)
	o.line("Content-Transfer-Encoding: " + encoding)
	o.line("")
}

func (o *writer) end() {
	o.line("")
	o.line("--" + o.boundary + "--")
}

// maxLine is how long lines get (RFC 5322, 2.1.1).
const maxLine = 78

// field writes a field, folded. A word longer than a line is cut when nothing else keeps the line within what a line may have.
func (o *writer) field(name, value string) {
	line := name + ":"
	for word := range strings.FieldsSeq(value) {
		if len(line)+1+len(word) > maxLine && strings.TrimSpace(line) != "" && !strings.HasSuffix(line, ":") {
			o.line(line)
			line = ""
		}
		for len(word) > maxWord {
			at := maxWord
			for !utf8.RuneStart(word[at]) {
				at--
			}
			o.line(line + " " + word[:at])
			line, word = "", word[at:]
		}
		line += " " + word
	}
	o.line(line)
}

// maxWord keeps a line below 998 octets, with a name in front of the word.
const maxWord = 900

// header writes the header of a message without some of its fields.
func (o *writer) header(h *header.Header, omit []string) {
	for _, f := range h.Fields {
		left := false
		for _, name := range omit {
			left = left || f.Is(name)
		}
		if !left {
			o.Write(f.Raw) //nolint:errcheck // it is kept
		}
	}
}

// clean answers s on one line, without what is not to be printed, and as ASCII unless unicode is wanted.
func clean(s string, wide bool) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n':
			return ' '
		case r > unicode.MaxASCII && !wide, !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s))
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

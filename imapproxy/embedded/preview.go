package embedded

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"balorg/imapproxy/wire"
	"balorg/store/body"
	"balorg/store/mailbox/structure"
	"balorg/store/mailbox/text"
)

// Bounds of a preview (RFC 8970, 3.1: 200 characters, never more than 256).
const (
	previewLength = 200       // characters
	previewRead   = 128 << 10 // octets of one part that are looked at: before the text of an HTML message its style may stand
	previewParts  = 4         // parts that are looked at
	previewLazy   = body.InlineLimit
)

// previews tells whether a PREVIEW is made. A client that asks for what is at hand (LAZY) gets none of messages whose octets are in files.
func previews(item wire.FetchItem, size int64) bool { return !item.Lazy || size <= previewLazy }

// preview appends the beginning of the message's text, or NIL where none is made. There may be no text: then it is empty.
func (s *source) preview(b []byte, item wire.FetchItem, size int64) []byte {
	if !previews(item, size) {
		return append(b, "NIL"...)
	}
	parts, err := s.detail.Parts()
	if err != nil {
		return append(b, "NIL"...)
	}
	looked := 0
	for _, p := range parts {
		if p.Kind != structure.Leaf || p.Type != "text/plain" && p.Type != "text/html" {
			continue
		}
		if looked++; looked > previewParts {
			break
		}
		r, known := text.Undo(io.NewSectionReader(s.reader, p.Body, min(p.End-p.Body, previewRead)), p.Encoding)
		if !known {
			continue
		}
		if words := previewOf(text.UTF8(r, p.Charset), p.Type == "text/html"); words != "" {
			return wire.AppendString(b, words)
		}
	}
	return append(b, `""`...)
}

// previewOf answers the first words of a text.
func previewOf(r io.Reader, isHTML bool) string {
	w := words{left: previewLength}
	if isHTML {
		w.html(r)
	} else {
		w.plain(r)
	}
	return strings.TrimRight(w.text.String(), " ")
}

// words gathers characters, with one space for any white space.
type words struct {
	text  strings.Builder
	space bool // before the next character
	left  int
}

// add takes a piece of text; false: it is enough.
func (w *words) add(text []byte) bool {
	for len(text) > 0 && w.left > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case unicode.IsSpace(r):
			w.space = w.text.Len() > 0
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r), unicode.Is(unicode.Cf, r), r == '\u034f':
			// Newsletters fill the preview with characters that nobody sees.
		default:
			w.put(r)
		}
	}
	return w.left > 0
}

func (w *words) put(r rune) {
	if w.space {
		w.space = false
		w.text.WriteByte(' ')
		if w.left--; w.left == 0 {
			return
		}
	}
	w.text.WriteRune(r)
	w.left--
}

func (w *words) plain(r io.Reader) {
	var buf [1 << 10]byte
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		text := buf[:kept+n]
		whole := len(text)
		for err == nil && whole > 0 && whole > len(text)-utf8.UTFMax && !utf8.FullRune(text[lastRune(text[:whole]):]) {
			whole = lastRune(text[:whole])
		}
		if !w.add(text[:whole]) || err != nil {
			return
		}
		kept = copy(buf[:], text[whole:])
	}
}

// lastRune answers where the last character of a text begins.
func lastRune(text []byte) int {
	i := len(text) - 1
	for i > 0 && !utf8.RuneStart(text[i]) {
		i--
	}
	return max(i, 0)
}

// html takes the text that an HTML document shows.
func (w *words) html(r io.Reader) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(previewRead)
	hidden := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if hidden == 0 && !w.add(z.Text()) {
				return
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			hidden += isHidden(name)
			w.space = w.space || w.text.Len() > 0 && !isInline(name)
		case html.EndTagToken:
			name, _ := z.TagName()
			hidden = max(0, hidden-isHidden(name))
			w.space = w.space || w.text.Len() > 0 && !isInline(name)
		case html.SelfClosingTagToken:
			w.space = w.text.Len() > 0
		}
	}
}

// isHidden is 1 for elements whose text nobody sees.
func isHidden(name []byte) int {
	switch atom.Lookup(name) {
	case atom.Style, atom.Script, atom.Title, atom.Template, atom.Noscript:
		return 1
	}
	return 0
}

// isInline tells the elements that do not part words.
func isInline(name []byte) bool {
	switch atom.Lookup(name) {
	case atom.A, atom.B, atom.I, atom.U, atom.S, atom.Em, atom.Strong, atom.Span, atom.Font, atom.Small, atom.Big, atom.Sub, atom.Sup, atom.Code, atom.Abbr, atom.Q, atom.Wbr, atom.Mark:
		return true
	}
	return false
}

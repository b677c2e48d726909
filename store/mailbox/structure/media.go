package structure

import (
	"strconv"
	"strings"
)

// fieldKind says which parts a header field is kept of.
type fieldKind uint8

const (
	ofPart        fieldKind = iota
	ofMessage               // the first one counts
	ofMessageList           // several are one list
)

// wantedFields are the header fields ENVELOPE and BODYSTRUCTURE tell.
var wantedFields = map[string]fieldKind{
	"date": ofMessage, "subject": ofMessage, "from": ofMessage, "sender": ofMessage, "reply-to": ofMessage,
	"to": ofMessageList, "cc": ofMessageList, "bcc": ofMessageList, "in-reply-to": ofMessage, "message-id": ofMessage,
	"references":   ofMessage, // ENVELOPE does not tell it; THREAD needs it
	"content-type": ofPart, "content-transfer-encoding": ofPart, "content-id": ofPart, "content-description": ofPart,
	"content-disposition": ofPart, "content-language": ofPart, "content-location": ofPart, "content-md5": ofPart,
}

// param is a parameter of Content-Type or Content-Disposition; RFC 2231 forms are told as they are.
type param struct{ name, value string }

// media is a part's content type.
type media struct {
	mainType, subtype string
	params            []param
	message           bool // the body is a message (see settle)
}

func (m media) isText() bool      { return strings.EqualFold(m.mainType, "text") }
func (m media) isMultipart() bool { return strings.EqualFold(m.mainType, "multipart") }

func (m media) isMessage() bool { return m.message }

// holdsMessage tells whether the body is a message. RFC 3501 has no grammar for message/global, and RFC 9051 has the same as for message/rfc822.
func (m media) holdsMessage(global bool) bool {
	return strings.EqualFold(m.mainType, "message") && (strings.EqualFold(m.subtype, "rfc822") || global && strings.EqualFold(m.subtype, "global"))
}

func (m *media) opaque() { *m = media{mainType: "application", subtype: "octet-stream"} }

func (m media) param(name string) (string, bool) {
	for _, p := range m.params {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

// boundary is the multipart's boundary, empty when it has none of use.
func (m media) boundary(limit int) string {
	b, ok := m.param("boundary")
	if !ok {
		b = m.extended("boundary", limit)
	}
	b = strings.TrimRight(b, " \t") // RFC 2046, 5.1.1: never ends with white space
	if len(b) > limit {
		return ""
	}
	return b
}

// extended puts together a parameter that came in the forms of RFC 2231, 3 and 4: in pieces, encoded or not, of which it
// takes limit at most.
func (m media) extended(name string, limit int) string {
	if v, ok := m.param(name + "*"); ok {
		return decodeExtended(v, true)
	}
	var b strings.Builder
	for i := range limit {
		piece := name + "*" + strconv.Itoa(i)
		v, ok := m.param(piece)
		if !ok {
			if v, ok = m.param(piece + "*"); !ok {
				break
			}
			v = decodeExtended(v, i == 0)
		}
		b.WriteString(v)
	}
	return b.String()
}

// decodeExtended answers the octets of an extended value; the first piece begins with charset'language'.
func decodeExtended(v string, first bool) string {
	if first {
		if parts := strings.SplitN(v, "'", 3); len(parts) == 3 {
			v = parts[2]
		}
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			if c, err := strconv.ParseUint(v[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// settle reads the part's content type once its header is complete.
func (n *node) settle(lim Limits) {
	value, ok := n.fields["content-type"]
	if ok {
		n.media, ok = parseMedia(value)
	}
	switch {
	case ok && n.media.isMultipart() && n.media.boundary(lim.Boundary) == "":
		// Without a boundary there are no parts; a client shows or saves it whole.
		n.media.opaque()
	case ok:
	case n.digest: // RFC 2046, 5.1.5
		n.media = media{mainType: "message", subtype: "rfc822"}
	default: // RFC 2045, 5.2
		n.media = media{mainType: "text", subtype: "plain"}
	}
	n.media.message = n.media.holdsMessage(lim.Global)
}

// parseMedia reads the value of a Content-Type field.
func parseMedia(s string) (media, bool) {
	l := lexer{s: s}
	main, ok := l.token()
	if !ok || !l.char('/') {
		return media{}, false
	}
	sub, ok := l.token()
	if !ok {
		return media{}, false
	}
	return media{mainType: main, subtype: sub, params: l.params()}, true
}

// disposition reads the value of a Content-Disposition field.
func disposition(s string) (kind string, params []param, ok bool) {
	l := lexer{s: s}
	kind, ok = l.token()
	if !ok {
		return "", nil, false
	}
	return kind, l.params(), true
}

// languages reads the value of a Content-Language field (RFC 3282).
func languages(s string) []string {
	l := lexer{s: s}
	var out []string
	for {
		if tag, ok := l.token(); ok {
			out = append(out, tag)
		}
		if !l.skipTo(',') {
			return out
		}
	}
}

// firstToken reads a field that is one token, such as Content-Transfer-Encoding.
func firstToken(s string) (string, bool) {
	l := lexer{s: s}
	return l.token()
}

// lexer reads the tokens of RFC 2045, 5.1, forgiving what mail gets wrong: 8-bit octets in tokens, unquoted values with
// spaces or specials, missing semicolons.
type lexer struct {
	s string
	i int
}

const tspecials = `()<>@,;:\"/[]?=`

// space skips white space and comments.
func (l *lexer) space() {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			_, l.i = comment(l.s, l.i)
		default:
			return
		}
	}
}

func (l *lexer) char(c byte) bool {
	l.space()
	if l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

func (l *lexer) token() (string, bool) {
	l.space()
	start := l.i
	for l.i < len(l.s) && l.s[l.i] > ' ' && l.s[l.i] != 0x7f && strings.IndexByte(tspecials, l.s[l.i]) < 0 {
		l.i++
	}
	return l.s[start:l.i], l.i > start
}

// skipTo goes behind the next c outside quoted strings and comments.
func (l *lexer) skipTo(c byte) bool {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case c:
			l.i++
			return true
		case '"':
			_, l.i = quoted(l.s, l.i)
		case '(':
			_, l.i = comment(l.s, l.i)
		default:
			l.i++
		}
	}
	return false
}

// params reads "; name=value" up to the end.
func (l *lexer) params() []param {
	var out []param
	for l.skipTo(';') {
		name, ok := l.token()
		if !ok || !l.char('=') {
			continue
		}
		out = append(out, param{name, l.value()})
	}
	return out
}

// value reads a parameter's value; unquoted it goes up to the next semicolon, since file names with spaces come that way.
func (l *lexer) value() string {
	l.space()
	if l.i < len(l.s) && l.s[l.i] == '"' {
		var v string
		v, l.i = quoted(l.s, l.i)
		return v
	}
	start := l.i
	for l.i < len(l.s) && l.s[l.i] != ';' && l.s[l.i] != '(' {
		l.i++
	}
	return strings.TrimRight(l.s[start:l.i], " \t\r\n")
}

// quoted reads the quoted string that starts at s[i] and answers its content and where it ends.
func quoted(s string, i int) (string, int) {
	var b strings.Builder
	for i++; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1
		case '\\':
			if i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), i
}

// comment reads the comment that starts at s[i], with those nested in it, and answers its content and where it ends.
func comment(s string, i int) (string, int) {
	var b strings.Builder
	depth := 0
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '(':
			if depth++; depth > 1 {
				b.WriteByte(c)
			}
		case c == ')':
			if depth--; depth == 0 {
				return b.String(), i + 1
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i
}

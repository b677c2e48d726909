package structure

import (
	"strconv"
	"strings"
)

func appendNString(dst []byte, s string, ok bool) []byte {
	if !ok {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s)
}

// appendString appends s as a quoted string, or as a literal when a quoted string cannot hold it (RFC 3501, 9: QUOTED-CHAR).
// NUL may be in neither; it becomes 0x80 as with Dovecot.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x80 {
			return appendLiteral(dst, s)
		}
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func appendLiteral(dst []byte, s string) []byte {
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, "}\r\n"...)
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		if dst[i] == 0 {
			dst[i] = 0x80
		}
	}
	return dst
}

func appendNStringPtr(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, "NIL"...)
	}
	return appendString(dst, *s)
}

// appendEnvelope appends the ENVELOPE of the message n is the top of.
func (n *node) appendEnvelope(dst []byte) []byte {
	dst = append(dst, '(')
	dst = n.appendField(dst, "date")
	dst = n.appendField(append(dst, ' '), "subject")
	from := parseAddresses(n.fields["from"])
	dst = appendAddresses(append(dst, ' '), from)
	for _, name := range []string{"sender", "reply-to"} {
		list := parseAddresses(n.fields[name])
		if len(list) == 0 { // RFC 3501, 7.4.2: absent or empty, the server tells From instead
			list = from
		}
		dst = appendAddresses(append(dst, ' '), list)
	}
	for _, name := range []string{"to", "cc", "bcc"} {
		dst = appendAddresses(append(dst, ' '), parseAddresses(n.fields[name]))
	}
	dst = n.appendField(append(dst, ' '), "in-reply-to")
	dst = n.appendField(append(dst, ' '), "message-id")
	return append(dst, ')')
}

func (n *node) appendField(dst []byte, name string) []byte {
	value, ok := n.fields[name]
	return appendNString(dst, value, ok)
}

func appendAddresses(dst []byte, list []address) []byte {
	if len(list) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for _, a := range list {
		dst = appendNStringPtr(append(dst, '('), a.name)
		dst = appendNStringPtr(append(dst, ' '), a.route)
		dst = appendNStringPtr(append(dst, ' '), a.mailbox)
		dst = appendNStringPtr(append(dst, ' '), a.host)
		dst = append(dst, ')')
	}
	return append(dst, ')')
}

// emptyText stands for the parts of a multipart that has none, which the grammar does not allow.
const (
	emptyText    = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)`
	emptyTextExt = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)`
)

// appendBody appends the part's BODY, or its BODYSTRUCTURE when extended.
func (n *node) appendBody(dst []byte, extended bool) []byte {
	dst = append(dst, '(')
	if n.media.isMultipart() {
		return n.appendMultipart(dst, extended)
	}
	dst = appendString(dst, n.media.mainType)
	dst = appendString(append(dst, ' '), n.media.subtype)
	dst = appendParams(append(dst, ' '), n.media.params, n.media.isText())
	dst = n.appendField(append(dst, ' '), "content-id")
	dst = n.appendField(append(dst, ' '), "content-description")
	dst = appendString(append(dst, ' '), n.encoding())
	dst = strconv.AppendInt(append(dst, ' '), n.end-n.body, 10)
	isMessage := n.media.isMessage() && len(n.children) == 1
	if isMessage {
		inner := n.children[0]
		dst = inner.appendEnvelope(append(dst, ' '))
		dst = inner.appendBody(append(dst, ' '), extended)
	}
	if isMessage || n.media.isText() {
		dst = strconv.AppendInt(append(dst, ' '), n.lines, 10)
	}
	if extended {
		dst = n.appendField(append(dst, ' '), "content-md5")
		dst = n.appendExtension(dst)
	}
	return append(dst, ')')
}

func (n *node) appendMultipart(dst []byte, extended bool) []byte {
	for _, child := range n.children {
		dst = child.appendBody(dst, extended)
	}
	if len(n.children) == 0 {
		text := emptyText
		if extended {
			text = emptyTextExt
		}
		dst = append(dst, text...)
	}
	dst = appendString(append(dst, ' '), n.media.subtype)
	if extended {
		dst = appendParams(append(dst, ' '), n.media.params, false)
		dst = n.appendExtension(dst)
	}
	return append(dst, ')')
}

// encoding is the part's transfer encoding; 7bit when it names none (RFC 2045, 6.1).
func (n *node) encoding() string {
	if enc, ok := firstToken(n.fields["content-transfer-encoding"]); ok {
		return enc
	}
	return "7bit"
}

// appendExtension appends disposition, language and location.
func (n *node) appendExtension(dst []byte) []byte {
	dst = append(dst, ' ')
	if kind, params, ok := disposition(n.fields["content-disposition"]); ok {
		dst = appendString(append(dst, '('), kind)
		dst = appendParams(append(dst, ' '), params, false)
		dst = append(dst, ')')
	} else {
		dst = append(dst, "NIL"...)
	}
	dst = append(dst, ' ')
	switch tags := languages(n.fields["content-language"]); len(tags) {
	case 0:
		dst = append(dst, "NIL"...)
	case 1:
		dst = appendString(dst, tags[0])
	default:
		for i, tag := range tags {
			dst = appendString(append(dst, "( "[min(i, 1)]), tag)
		}
		dst = append(dst, ')')
	}
	return n.appendField(append(dst, ' '), "content-location")
}

// appendParams appends a parameter list; a text part without charset gets the default of RFC 2046, 4.1.2.
func appendParams(dst []byte, params []param, text bool) []byte {
	needsCharset := text
	for _, p := range params {
		if strings.EqualFold(p.name, "charset") {
			needsCharset = false
		}
	}
	if len(params) == 0 && !needsCharset {
		return append(dst, "NIL"...)
	}
	sep := byte('(')
	if needsCharset {
		dst = append(dst, `("charset" "us-ascii"`...)
		sep = ' '
	}
	for _, p := range params {
		dst = appendString(append(dst, sep), p.name)
		dst = appendString(append(dst, ' '), p.value)
		sep = ' '
	}
	return append(dst, ')')
}

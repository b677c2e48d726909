package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// AppendXText adds s, encoded as a parameter's value can carry it (RFC 3461, 4).
func AppendXText(to []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			to = append(to, '+', upperHex[c>>4], upperHex[c&15])
			continue
		}
		to = append(to, c)
	}
	return to
}

func decodeXText(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			if i+2 >= len(s) {
				return "", false
			}
			high, low := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
		case c < '!' || c > '~' || c == '=':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// AppendUTF8Address adds s, encoded as utf-8-addr-xtext (RFC 6533, 3), which is ASCII.
func AppendUTF8Address(to []byte, s string) []byte {
	for _, r := range s {
		if r < '!' || r > '~' || r == '+' || r == '=' || r == '\\' {
			to = append(to, `\x{`...)
			to = append(to, strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
			to = append(to, '}')
			continue
		}
		to = append(to, byte(r))
	}
	return to
}

// maxHexPoint digits write any code point.
const maxHexPoint = 6

// decodeUTF8Address reads utf-8-addr-xtext, and with raw utf-8-addr-unitext: UTF-8 as it is.
func decodeUTF8Address(s string, raw bool) (string, bool) {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '\\':
			escape, rest, ok := strings.Cut(s, "}")
			digits, begins := strings.CutPrefix(escape, `\x{`)
			if !ok || !begins || len(digits) > maxHexPoint {
				return "", false
			}
			point, err := strconv.ParseUint(digits, 16, 32)
			if err != nil || point > unicode.MaxRune || !utf8.ValidRune(rune(point)) {
				return "", false
			}
			b.WriteRune(rune(point))
			s = rest
			continue
		case r == '+', r == '=', r < '!', r > '~' && (!raw || r <= 0xA0 || r == utf8.RuneError):
			return "", false
		}
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String(), true
}

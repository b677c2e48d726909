package wire

import (
	"bytes"
	"strconv"
)

// AppendString appends s as a quoted string, or as a literal when it holds what a quoted string cannot. A NUL, which may be in
// neither, becomes 0x80.
func AppendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x80 {
			return AppendLiteral(dst, s)
		}
	}
	return appendQuoted(dst, s)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// AppendLiteral appends s as a literal.
func AppendLiteral(dst []byte, s string) []byte {
	dst = AppendLiteralHead(dst, int64(len(s)))
	start := len(dst)
	dst = append(dst, s...)
	ReplaceNUL(dst[start:])
	return dst
}

// AppendLiteralHead appends the announcement of a literal of n octets.
func AppendLiteralHead(dst []byte, n int64) []byte {
	dst = strconv.AppendInt(append(dst, '{'), n, 10)
	return append(dst, "}\r\n"...)
}

// ReplaceNUL makes b fit for a literal, which holds no NUL (RFC 3501, 9: CHAR8): it becomes 0x80, as with other servers.
func ReplaceNUL(b []byte) {
	for i := bytes.IndexByte(b, 0); i >= 0; {
		b[i] = 0x80
		next := bytes.IndexByte(b[i+1:], 0)
		if next < 0 {
			return
		}
		i += 1 + next
	}
}

// AppendAString appends s as an atom where it is one, else as a string.
func AppendAString(dst []byte, s string) []byte {
	if s == "" || len(s) == 3 && isNIL(s) {
		return AppendString(dst, s)
	}
	for i := range len(s) {
		if !isAStringChar(s[i]) {
			return AppendString(dst, s)
		}
	}
	return append(dst, s...)
}

// isNIL: as an atom this word would be read as no string at all by some.
func isNIL(s string) bool { return s[0]|0x20 == 'n' && s[1]|0x20 == 'i' && s[2]|0x20 == 'l' }

// AppendNString appends s as a string, or NIL unless ok.
func AppendNString(dst []byte, s string, ok bool) []byte {
	if !ok {
		return append(dst, "NIL"...)
	}
	return AppendString(dst, s)
}

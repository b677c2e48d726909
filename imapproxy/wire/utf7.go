package wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var errUTF7 = errors.New("not valid modified UTF-7")

// utf7Base64 is the base64 of RFC 3501, 5.1.3: without padding, "," for "/", and with no stray bits.
var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

// DecodeMailbox turns a mailbox name from wire form, modified UTF-7, into UTF-8. Only the one proper form of a name is taken, so
// that two wire names never mean the same mailbox.
func DecodeMailbox(wire string) (string, error) {
	if strings.IndexByte(wire, '&') < 0 {
		for i := range len(wire) {
			if !isDirect(rune(wire[i])) {
				return "", errUTF7
			}
		}
		return wire, nil
	}
	var b strings.Builder
	for i := 0; i < len(wire); i++ {
		c := wire[i]
		if !isDirect(rune(c)) {
			return "", errUTF7
		}
		if c != '&' {
			b.WriteByte(c)
			continue
		}
		n := strings.IndexByte(wire[i:], '-')
		if n < 0 {
			return "", errUTF7
		}
		if err := decodeShifted(&b, wire[i+1:i+n]); err != nil {
			return "", err
		}
		i += n
	}
	if EncodeMailbox(b.String()) != wire {
		return "", errUTF7
	}
	return b.String(), nil
}

func decodeShifted(b *strings.Builder, s string) error {
	if s == "" {
		return b.WriteByte('&')
	}
	raw, err := utf7Base64.DecodeString(s)
	if err != nil || len(raw)%2 != 0 {
		return errUTF7
	}
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i < len(raw); i += 2 {
		units = append(units, binary.BigEndian.Uint16(raw[i:]))
	}
	for _, r := range utf16.Decode(units) {
		// A lone surrogate is decoded to U+FFFD, which a comparison with the proper form finds.
		b.WriteRune(r)
	}
	return nil
}

// isDirect tells whether a character stands for itself on the wire ("&" aside).
func isDirect(r rune) bool { return 0x20 <= r && r <= 0x7e }

// EncodeMailbox turns a mailbox name from UTF-8 into wire form. Octets that are no UTF-8 become U+FFFD.
func EncodeMailbox(name string) string {
	direct := true
	for i := range len(name) {
		direct = direct && isDirect(rune(name[i])) && name[i] != '&'
	}
	if direct {
		return name
	}
	var b strings.Builder
	for name != "" {
		r, n := utf8.DecodeRuneInString(name)
		switch {
		case r == '&':
			b.WriteString("&-")
		case isDirect(r):
			b.WriteRune(r)
		default:
			for n < len(name) {
				next, size := utf8.DecodeRuneInString(name[n:])
				if isDirect(next) {
					break
				}
				n += size
			}
			encodeShifted(&b, name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

func encodeShifted(b *strings.Builder, s string) {
	units := utf16.Encode([]rune(s))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = binary.BigEndian.AppendUint16(raw, u)
	}
	b.WriteByte('&')
	b.WriteString(utf7Base64.EncodeToString(raw))
	b.WriteByte('-')
}

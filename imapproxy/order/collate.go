package order

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxKey is how many octets of a text are compared. A longer one is no subject that anybody reads, and a folder of them must not take
// more memory than its messages.
const maxKey = 512

// Collate answers the form of a text that i;unicode-casemap compares octet by octet (RFC 5051): each character in title case and
// decomposed.
func Collate(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return strings.ToUpper(s[:min(len(s), maxKey)])
	}
	b := make([]byte, 0, min(len(s)+len(s)/2, maxKey))
	for _, r := range s {
		n := len(b)
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			b = append(b, byte(r))
		} else {
			// A character at a time: the marks of two are not put into an order that neither has.
			var one [utf8.UTFMax]byte
			b = norm.NFKD.Append(b, one[:utf8.EncodeRune(one[:], unicode.ToTitle(r))]...)
		}
		if len(b) > maxKey {
			b = b[:n]
			break
		}
	}
	return string(b)
}

package text

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// Fold makes a string comparable as the texts of messages are.
func Fold(s string) string {
	var f folder
	out, _ := f.append(nil, []byte(s), true)
	return string(out)
}

// folder folds text: composed (NFC), without regard to case, and with U+FFFD for what is no UTF-8. Letters up to Latin Extended-A, which are
// their own composed form and begin a new one, are folded one by one; only what surrounds others goes through the library, at a twentieth of the speed.
type folder struct {
	library transform.Transformer // made when it is needed
}

// longest is how many octets the library gets at once where a text goes on without letters of ours.
const longest = 8 << 10

// append appends the folded form of src, and answers how many octets of src it took: what might go together with what follows is left, unless
// nothing does.
func (f *folder) append(dst, src []byte, atEOF bool) (out []byte, used int) {
	i := 0
	last, lastLen := 0, len(dst) // where the last letter begins in src, and in dst
	for i < len(src) {
		if c := src[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			last, lastLen = i, len(dst)
			dst = append(dst, c)
			i++
			continue
		}
		if !atEOF && !utf8.FullRune(src[i:]) {
			break
		}
		r, n := utf8.DecodeRune(src[i:])
		folded := latin(r)
		if folded == odd {
			dst, i = f.other(dst[:lastLen], src, last, i+n, atEOF)
			if i == last {
				return dst, last
			}
			last, lastLen = i, len(dst)
			continue
		}
		last, lastLen = i, len(dst)
		if folded == sharpS {
			dst = append(dst, "ss"...)
		} else {
			dst = utf8.AppendRune(dst, folded)
		}
		i += n
	}
	if atEOF {
		return dst, len(src)
	}
	return dst[:lastLen], last // the next may be an accent on it
}

// other folds what begins at from and holds, before end, a letter that latin does not know. It answers how far it came, from where more has to
// be seen.
func (f *folder) other(dst, src []byte, from, end int, atEOF bool) ([]byte, int) {
	for end < len(src) {
		if src[end] < utf8.RuneSelf {
			break
		}
		if !atEOF && !utf8.FullRune(src[end:]) {
			break
		}
		r, n := utf8.DecodeRune(src[end:])
		if latin(r) != odd {
			break
		}
		end += n
	}
	whole := atEOF && end == len(src) || end < len(src) && (src[end] < utf8.RuneSelf || utf8.FullRune(src[end:]))
	if !whole {
		if end-from < longest {
			return dst, from
		}
		if n := norm.NFC.LastBoundary(src[from:end]); n > 0 {
			end = from + n
		}
	}
	if f.library == nil {
		f.library = transform.Chain(norm.NFC, cases.Fold(), norm.NFC)
	}
	folded, _, err := transform.Append(f.library, dst, bytes.ToValidUTF8(src[from:end], []byte("\uFFFD")))
	if err != nil { // it does not err
		return dst, end
	}
	return folded, end
}

// What latin answers beside letters.
const (
	odd    = rune(-1) // ask the library
	sharpS = rune(-2)
)

// latin folds a letter of ASCII, Latin-1 or Latin Extended-A, or what stands between them.
func latin(r rune) rune {
	switch {
	case r < 0x80:
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
	case r < 0xc0:
		if r == 0xb5 { // a micro sign is a Greek letter
			return odd
		}
	case r == 0xdf:
		return sharpS
	case r < 0xdf:
		if r != 0xd7 {
			return r + 0x20
		}
	case r < 0x100:
	case 0x2010 <= r && r <= 0x2027, r == 0x20ac: // dashes, quotation marks, the euro: every other sentence has some
		return r
	case r == 0x130, r == 0x149, r > 0x17f:
		return odd
	case r == 0x178:
		return 0xff
	case r == 0x17f:
		return 's'
	case r < 0x130, 0x132 <= r && r < 0x138, 0x14a <= r && r < 0x178:
		return r | 1
	case r != 0x131 && r != 0x138: // capitals are odd there
		return r + r&1
	}
	return r
}

package schema

import (
	"bytes"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Part says which part of a value a folded text is: blanks at its ends count or not (RFC 4518, 2.6.1).
type Part uint8

// The parts.
const (
	Whole   Part = iota // all of it: blanks at both ends are dropped
	Initial             // the beginning
	Any                 // somewhere
	Final               // the end
)

// Fold appends the form of a value under which it is compared by the attribute's equality rule, and by which its values are put in order.
// It is false when the value has not the attribute's syntax: an assertion of it is Undefined (RFC 4511, 4.5.1.7).
func (a Attribute) Fold(dst, value []byte) ([]byte, bool) {
	switch a.Matching() {
	case OID:
		return foldOID(dst, value)
	case Boolean:
		return foldBoolean(dst, value)
	case Time:
		return foldTime(dst, value)
	case UUID:
		return foldUUID(dst, value)
	case Opaque:
		return dst, false
	default:
		return a.FoldPart(dst, value, Whole)
	}
}

// FoldPart is Fold for a part of a value.
func (a Attribute) FoldPart(dst, value []byte, part Part) ([]byte, bool) {
	if !utf8.Valid(value) {
		return dst, false
	}
	switch a.Matching() {
	case Telephone:
		return foldWithout(dst, value, " -.()"), true
	case Identifier:
		return foldWithout(dst, value, " "), true
	default:
		return FoldText(dst, value, part), true
	}
}

// Alternative is the other form of a folded national number that names the same person or structure, when there is one: with the digit of its kind
// taken off (domain: idNat_PS is 8 and an RPPS number or 0 and an ADELI number; structures stand as 1 and a FINESS or 3 and a SIRET number).
func (a Attribute) Alternative(folded []byte) ([]byte, bool) {
	if len(folded) == 0 {
		return nil, false
	}
	kind, rest := folded[0], folded[1:]
	switch {
	case a == IdentifiantPP && (kind == '8' && len(rest) == 11 || kind == '0' && len(rest) == 9),
		a == IdentifiantPM && (kind == '1' && len(rest) == 9 || kind == '3' && len(rest) == 14):
		return rest, true
	}
	return nil, false
}

// FoldText appends a text prepared for comparing: case, accents, compatibility forms and runs of blanks make no difference, nor do the many
// shapes of apostrophe and hyphen.
func FoldText(dst, text []byte, part Part) []byte {
	if isFolded(text) {
		return append(dst, text...)
	}
	start := len(dst)
	blank := part == Whole || part == Initial // blanks here are dropped
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return foldUnicode(dst[:start], text, part)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == '`' {
			c = '\'' // as plainSign has it
		}
		if c <= ' ' || c == 0x7f {
			if c != ' ' && (c < '\t' || c > '\r') {
				continue // control characters map to nothing (RFC 4518, 2.2)
			}
			if blank {
				continue
			}
			c = ' '
		}
		blank = c == ' '
		dst = append(dst, c)
	}
	return trimEnd(dst, start, part)
}

// isFolded tells whether a text is its own folded form, as addresses and numbers are: it has no blank, no capital, and nothing beyond ASCII.
func isFolded(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || (c >= 'A' && c <= 'Z') || c == '`' || c >= 0x7f {
			return false
		}
	}
	return true
}

func trimEnd(dst []byte, start int, part Part) []byte {
	if (part == Whole || part == Final) && len(dst) > start && dst[len(dst)-1] == ' ' {
		return dst[:len(dst)-1]
	}
	return dst
}

// foldUnicode is FoldText for any text. Signs of which the decomposition is not what people type are replaced first.
func foldUnicode(dst, text []byte, part Part) []byte {
	start := len(dst)
	var mapped [512]byte
	decomposed := norm.NFKD.Append(mapped[:0], replaceSigns(text)...)
	blank := part == Whole || part == Initial
	for i := 0; i < len(decomposed); {
		r, size := utf8.DecodeRune(decomposed[i:])
		i += size
		switch {
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r):
			continue
		case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
			if !blank {
				dst = append(dst, ' ')
			}
			blank = true
			continue
		case unicode.IsControl(r):
			continue
		}
		blank = false
		dst = appendLower(dst, r)
	}
	return trimEnd(dst, start, part)
}

// appendLower appends the case-folded rune; those that fold to two letters are written out.
func appendLower(dst []byte, r rune) []byte {
	switch r = unicode.ToLower(plainSign(r)); r {
	case 'œ':
		return append(dst, "oe"...)
	case 'æ':
		return append(dst, "ae"...)
	case 'ß':
		return append(dst, "ss"...)
	case 'ø':
		return append(dst, 'o')
	case 'đ', 'ð':
		return append(dst, 'd')
	case 'ł':
		return append(dst, 'l')
	case 'ı':
		return append(dst, 'i')
	case 'ς':
		r = 'σ'
	}
	return utf8.AppendRune(dst, r)
}

// replaceSigns makes typographic apostrophes and hyphens plain.
func replaceSigns(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return plainSign(r) != r }) {
		return text
	}
	return bytes.Map(plainSign, text)
}

func plainSign(r rune) rune {
	switch r {
	case '’', '‘', 'ʼ', 'ʹ', '′', '´', '`', '＇':
		return '\''
	case '‐', '‑', '‒', '–', '—', '−', '﹣', '－':
		return '-'
	}
	return r
}

// foldWithout is FoldText without the characters that do not count.
func foldWithout(dst, value []byte, ignored string) []byte {
	start := len(dst)
	dst = FoldText(dst, value, Whole)
	kept := dst[:start]
	for _, c := range dst[start:] {
		if bytes.IndexByte([]byte(ignored), c) < 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

func foldBoolean(dst, value []byte) ([]byte, bool) {
	switch string(value) {
	case "TRUE", "FALSE":
		return append(dst, value...), true
	}
	return dst, false
}

// timeForms are the forms of GeneralizedTime (RFC 4517, 3.3.13) that clients send.
var timeForms = []string{"20060102150405Z", "20060102150405.999999999Z", "200601021504Z", "2006010215Z", "20060102150405Z0700", "20060102150405.999999999Z0700"}

// foldTime makes one form of all that mean the same second.
func foldTime(dst, value []byte) ([]byte, bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, string(value)); err == nil {
			return t.UTC().AppendFormat(dst, "20060102150405Z"), true
		}
	}
	return dst, false
}

// foldUUID makes the 16 octets of a UUID's text.
func foldUUID(dst, value []byte) ([]byte, bool) {
	if len(value) != 36 {
		return dst, false
	}
	var octets [16]byte
	n := 0
	for i, c := range value {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return dst, false
			}
			continue
		}
		digit := hexDigit(c)
		if digit < 0 {
			return dst, false
		}
		octets[n/2] = octets[n/2]<<4 | byte(digit)
		n++
	}
	return append(dst, octets[:]...), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

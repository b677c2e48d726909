package text

import "golang.org/x/text/transform"

// quotedPrintable decodes RFC 2045, 6.7 for a search. Mail is often broken: what cannot be decoded stands for itself, where the
// standard library's reader ends the text.
type quotedPrintable struct{ transform.NopResetter }

// maxSoftBreak is how far behind "=" the line end of a soft break is looked for; what transports pad lines with is shorter.
const maxSoftBreak = 80

func (quotedPrintable) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c, n := src[nSrc], 1
		if c == '=' {
			skip, known := softBreak(src[nSrc:], atEOF)
			switch {
			case !known:
				return nDst, nSrc, transform.ErrShortSrc
			case skip > 0:
				nSrc += skip
				continue
			case len(src)-nSrc > 2 && isHex(src[nSrc+1]) && isHex(src[nSrc+2]):
				c, n = unHex(src[nSrc+1])<<4|unHex(src[nSrc+2]), 3
			}
		}
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		dst[nDst] = c
		nDst, nSrc = nDst+1, nSrc+n
	}
	return nDst, nSrc, nil
}

// softBreak answers how long the soft line break is that b begins with, its "=" included, 0 when there is none. known is false
// when more of the text has to be seen.
func softBreak(b []byte, atEOF bool) (n int, known bool) {
	n = 1
	for n < len(b) && n < maxSoftBreak && (b[n] == ' ' || b[n] == '\t' || b[n] == '\r') {
		n++
	}
	switch {
	case n == len(b) || len(b) < len("=20"):
		if !atEOF {
			return 0, false
		}
		if n == len(b) {
			return n, true
		}
	case n == maxSoftBreak:
		return 0, true
	}
	if b[n] == '\n' {
		return n + 1, true
	}
	return 0, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

func unHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}

package message

import (
	"encoding/base64"
	"io"
	"iter"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/unicode/norm"

	"balorg/mail"
)

// Person is who wrote a message that goes out as a mailbox that is not their own.
type Person struct {
	Addresses   []mail.Address // identifier, MSSanté address, and any other known
	Nom, Prenom string
}

// NamedIn tells whether a text names the person, as Rewrite understands it.
func (p *Person) NamedIn(text string) bool { return p.naming().in(text) }

// naming recognises a person in a text.
type naming struct {
	addresses   []mail.Address
	nom, prenom []string // words, folded
}

func (p *Person) naming() *naming {
	return &naming{addresses: p.Addresses, nom: words(fold(p.Nom)), prenom: words(fold(p.Prenom))}
}

// is tells whether the address is one of the person's.
func (n *naming) is(a mail.Address) bool { return a != "" && slices.Contains(n.addresses, a) }

// in tells whether a text names the person: one of their addresses, or both their names, in any order, case and accents, as it is
// written or in one of the encodings that header fields have.
func (n *naming) in(text string) bool {
	for reading := range readings(text) {
		if n.inPlain(reading) {
			return true
		}
	}
	return false
}

func (n *naming) inPlain(text string) bool {
	text = fold(text)
	for _, a := range n.addresses {
		if a != "" && strings.Contains(text, string(a)) {
			return true
		}
	}
	// Most texts hold neither name, and need not be cut.
	if len(n.nom) == 0 || len(n.prenom) == 0 || !strings.Contains(text, n.nom[0]) || !strings.Contains(text, n.prenom[0]) {
		return false
	}
	all := words(text)
	if containsRun(all, n.nom) && containsRun(all, n.prenom) {
		return true
	}
	nom, prenom := strings.Join(n.nom, ""), strings.Join(n.prenom, "")
	return slices.Contains(all, nom+prenom) || slices.Contains(all, prenom+nom)
}

// containsRun tells whether the words of run stand in all, one behind the other or written as one.
func containsRun(all, run []string) bool {
	for i := range all {
		if i+len(run) <= len(all) && slices.Equal(all[i:i+len(run)], run) {
			return true
		}
	}
	return slices.Contains(all, strings.Join(run, ""))
}

// words cuts a folded text at all that is neither letter nor digit.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// fold takes case and accents from a text. Octets that are no UTF-8 are read as Latin-1, which is what they are when a header holds
// them.
func fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(asUTF8(text)) {
		switch r = unicode.ToLower(r); {
		case r == 'œ':
			b.WriteString("oe")
		case r == 'æ':
			b.WriteString("ae")
		case unicode.Is(unicode.Mn, r), r == '\u00ad', r == '\u200b': // and signs that are not seen
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// asUTF8 reads each octet that is no part of a sign in UTF-8 as Latin-1: a field may hold both.
func asUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			r = rune(text[0])
		}
		b.WriteRune(r)
		text = text[size:]
	}
	return b.String()
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// continuation is what stands between two parts of a parameter's value (RFC 2231, 3).
var continuation = regexp.MustCompile(`"?\s*;\s*[^\s=;*]+\*[1-9][0-9]*\*?="?`)

// readings yields what a text can be read as: as it is, its encoded words decoded (RFC 2047), parameters put together and
// percent signs decoded (RFC 2231, and URLs), quotes and backslashes taken off, base64 decoded.
func readings(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		text := strings.ReplaceAll(text, "\r\n", "")
		if !yield(text) {
			return
		}
		decoded := text
		if strings.Contains(text, "=?") {
			if decoded = decodeWords(text); !yield(decoded) {
				return
			}
		}
		joined := decoded
		if strings.Contains(decoded, "*") {
			if joined = continuation.ReplaceAllString(decoded, ""); !yield(joined) {
				return
			}
		}
		if strings.Contains(joined, "%") && !yield(percentDecoded(joined)) {
			return
		}
		if strings.ContainsAny(decoded, `\"`) && !yield(strings.NewReplacer(`\`, "", `"`, "").Replace(decoded)) {
			return
		}
		base64Readings(text, yield)
	}
}

// minEncoded is how long base64 is that can hold a name or an address worth looking for.
const minEncoded = 16

// base64Readings yields what the runs of base64 in a text decode to. A key or a token is folded wherever the line ends.
func base64Readings(text string, yield func(string) bool) {
	text = strings.Join(strings.Fields(text), "")
	for len(text) > 0 {
		n := 0
		for n < len(text) && isBase64(text[n]) {
			n++
		}
		if n >= minEncoded && !yield(base64Decoded(text[:n])) {
			return
		}
		text = text[min(n+1, len(text)):]
	}
}

// isBase64 tells the signs of either alphabet (RFC 4648).
func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

// decodeWords decodes encoded words. What cannot be decoded stays as it is.
func decodeWords(text string) string {
	decoder := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		if encoding, err := htmlindex.Get(charset); err == nil {
			return encoding.NewDecoder().Reader(in), nil
		}
		return in, nil
	}}
	decoded, err := decoder.DecodeHeader(text)
	if err != nil {
		return text
	}
	return decoded
}

// percentDecoded decodes each %XX that is one.
func percentDecoded(text string) string {
	parts := strings.Split(text, "%")
	for i, part := range parts[1:] {
		parts[i+1] = "%" + part
		if len(part) < 2 {
			continue
		}
		if octet, err := url.PathUnescape("%" + part[:2]); err == nil {
			parts[i+1] = octet + part[2:]
		}
	}
	return strings.Join(parts, "")
}

// base64Decoded decodes as much of a run as is base64, in either alphabet, and leaves of it what can be text.
func base64Decoded(run string) string {
	run = strings.ReplaceAll(strings.ReplaceAll(run, "-", "+"), "_", "/")
	plain := make([]byte, base64.RawStdEncoding.DecodedLen(len(run)))
	n, _ := base64.RawStdEncoding.Decode(plain, []byte(run)) // one that ends early was decoded up to there
	return strings.ToValidUTF8(string(plain[:n]), " ")
}

package message

import (
	"fmt"
	"strings"
	"unicode"

	"balorg/mail"
)

// lineLength is how long lines get that are written here (RFC 5322, 2.1.1).
const lineLength = 78

// mailbox writes "name <address>", folded, to stand behind so many octets of a line.
func mailbox(column int, name string, a mail.Address) string {
	phrase := displayName(name)
	if phrase == "" {
		return string(a)
	}
	last := phrase[strings.LastIndexByte(phrase, '\n')+1:]
	if len(last) == len(phrase) {
		column += len(phrase)
	} else {
		column = len(last)
	}
	separator := " "
	if column+len(" <>")+len(a) > lineLength {
		separator = "\r\n "
	}
	return phrase + separator + "<" + string(a) + ">"
}

// displayName writes a name as a phrase (RFC 5322, 3.2.5; RFC 2047, 5).
func displayName(name string) string {
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return encodedWords(name)
	}
	plain := !strings.Contains(name, "=?")
	for _, c := range []byte(name) {
		plain = plain && (isAtext(c) || c == ' ')
	}
	if plain {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// wordLength is how many octets an encoded word gets at most, so that a line with it and the name of a field stays below 76 (RFC 2047, 2).
const wordLength = 60

// encodedWords writes a name in the encoding Q, each word on a line of its own.
func encodedWords(name string) string {
	const prefix, suffix = "=?utf-8?q?", "?="
	var b strings.Builder
	b.WriteString(prefix)
	length := len(prefix) + len(suffix)
	for _, r := range strings.ToValidUTF8(name, "\ufffd") {
		sign := encodedRune(r)
		if length+len(sign) > wordLength {
			b.WriteString(suffix + "\r\n " + prefix)
			length = len(prefix) + len(suffix)
		}
		b.WriteString(sign)
		length += len(sign)
	}
	b.WriteString(suffix)
	return b.String()
}

// encodedRune is a sign in the encoding Q of a phrase, which leaves but few as they are (RFC 2047, 5(3)).
func encodedRune(r rune) string {
	switch {
	case r == ' ':
		return "_"
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!*+-/", r):
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

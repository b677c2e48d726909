package wire

import (
	"strings"
	"unicode/utf8"
)

// Naming is how a connection writes the names of mailboxes. Whatever it is, this package answers and takes them in the wire form of
// RFC 3501, modified UTF-7, which stands for each name once.
type Naming uint8

// The two ways.
const (
	// UTF7 is that of RFC 3501. A name with octets beyond ASCII, which is none there, is taken for UTF-8 all the same (RFC 9755, 3).
	UTF7 Naming = iota
	// UTF8 is that of a connection which has enabled UTF8=ACCEPT or IMAP4rev2: names are UTF-8, and "&" stands for itself.
	UTF8
)

// NewParser parses b, which must not change meanwhile, with names written so.
func (n Naming) NewParser(b []byte) *Parser { return &Parser{b: b, naming: n} }

// Append appends a mailbox's name, given in wire form.
func (n Naming) Append(dst []byte, name string) []byte {
	if n == UTF8 {
		if decoded, err := DecodeMailbox(name); err == nil {
			return appendUTF8(dst, decoded)
		}
	}
	return AppendAString(dst, name)
}

// appendUTF8 appends s as an atom or, where it is none, as a quoted string in UTF-8.
func appendUTF8(dst []byte, s string) []byte {
	if isASCII(s) || strings.ContainsAny(s, "\r\n\x00") {
		return AppendAString(dst, s)
	}
	return appendQuoted(dst, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// mailbox answers the wire form of a name as it was written.
func (n Naming) mailbox(written string) (string, error) {
	if n == UTF8 || !isASCII(written) {
		if !utf8.ValidString(written) {
			return "", syntax("Mailbox name is not valid UTF-8")
		}
		return EncodeMailbox(written), nil
	}
	if _, err := DecodeMailbox(written); err != nil {
		return "", syntax("Mailbox name is not valid modified UTF-7")
	}
	return written, nil
}

// pattern answers what a pattern of LIST, as it was written, is matched with: names in wire form, or in UTF-8 (see shown).
func (n Naming) pattern(written string) (string, error) {
	if isASCII(written) {
		return written, nil
	}
	if !utf8.ValidString(written) {
		return "", syntax("Mailbox pattern is not valid UTF-8")
	}
	if n == UTF8 {
		return written, nil
	}
	return EncodeMailbox(written), nil
}

// shown is the form of a name that patterns are matched with: a wildcard may stand for a part of what modified UTF-7 shifts as one.
func (n Naming) shown(name string) string {
	if n == UTF8 {
		if decoded, err := DecodeMailbox(name); err == nil {
			return decoded
		}
	}
	return name
}

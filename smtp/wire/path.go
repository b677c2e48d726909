package wire

import (
	"slices"
	"strings"
	"unicode"

	"balorg/mail"
)

// ParseMail reads the arguments of MAIL. Its error is a *Reply.
func ParseMail(args string) (Sender, error) {
	path, rest, err := cutPath(args, "FROM:")
	if err != nil {
		return Sender{}, err
	}
	var s Sender
	err = eachParameter(rest, func(name, value string, valued bool) error { return s.parameter(name, value, valued) })
	if err != nil {
		return Sender{}, err
	}
	if path == "" { // the null path
		return s, nil
	}
	if s.Address, err = ParsePath(path, s.UTF8); err != nil {
		return Sender{}, badPath(path, s.UTF8, "5.1.7", "sender")
	}
	return s, nil
}

// ParseRcpt reads the arguments of RCPT. utf8 says that MAIL had SMTPUTF8; postmaster is what the address <postmaster>, which alone may
// have no domain (RFC 5321, 4.5.1), stands for, when there is one. The error is a *Reply.
func ParseRcpt(args string, utf8 bool, postmaster mail.Address) (Recipient, error) {
	path, rest, err := cutPath(args, "TO:")
	if err != nil {
		return Recipient{}, err
	}
	var r Recipient
	err = eachParameter(rest, func(name, value string, _ bool) error { return r.parameter(name, value, utf8) })
	if err != nil {
		return Recipient{}, err
	}
	if postmaster != "" && strings.EqualFold(path, "postmaster") {
		r.Address = postmaster
		return r, nil
	}
	if r.Address, err = ParsePath(path, utf8); err != nil {
		return Recipient{}, badPath(path, utf8, "5.1.3", "recipient")
	}
	return r, nil
}

// ParsePath reads what stands between < and > as an address, strictly: no quoted local part, no source route, no literal, no dot behind the
// domain, nothing another server could read differently. The null path is none.
func ParsePath(path string, utf8 bool) (mail.Address, error) { return mail.ParseForeign(path, utf8) }

func badPath(path string, utf8 bool, enhanced, what string) *Reply {
	if !utf8 && strings.ContainsFunc(path, notASCII) {
		return NewReply(553, "5.6.7", "The address of the %s is not ASCII, and SMTPUTF8 was not asked for", what) // RFC 6531, 3.5
	}
	return NewReply(501, enhanced, "The address of the %s is not one that is accepted here", what)
}

func notASCII(r rune) bool { return r > unicode.MaxASCII }

// cutPath takes the path out of the arguments of MAIL and RCPT. A > ends it, for no address that we take has one; what follows is
// parameters behind a space, or nothing.
func cutPath(args, prefix string) (path, rest string, err error) {
	if len(args) < len(prefix) || !strings.EqualFold(args[:len(prefix)], prefix) {
		return "", "", NewReply(501, "5.5.4", "The argument begins with %s", prefix)
	}
	args = strings.TrimLeft(args[len(prefix):], " ") // RFC 5321 has no space there; many clients do
	inner, ok := strings.CutPrefix(args, "<")
	if !ok {
		return "", "", NewReply(501, "5.5.4", "The address stands between < and >")
	}
	path, rest, ok = strings.Cut(inner, ">")
	if !ok || rest != "" && rest[0] != ' ' {
		return "", "", NewReply(501, "5.5.4", "The address stands between < and >, and nothing behind it but parameters")
	}
	return path, rest, nil
}

// maxParameters of one command: more than there are.
const maxParameters = 16

// eachParameter gives take each parameter, its name in upper case.
func eachParameter(s string, take func(name, value string, valued bool) error) error {
	var seen []string
	for field := range strings.SplitSeq(s, " ") {
		if field == "" {
			continue
		}
		name, value, valued := strings.Cut(field, "=")
		name = strings.ToUpper(name)
		if valued && value == "" || strings.Contains(value, "=") || len(seen) == maxParameters {
			return NewReply(501, "5.5.4", "A parameter is not written as it should be")
		}
		if slices.Contains(seen, name) {
			return NewReply(501, "5.5.4", "A parameter stands there twice")
		}
		seen = append(seen, name)
		if err := take(name, value, valued); err != nil {
			return err
		}
	}
	return nil
}

func unknownParameter() *Reply { return NewReply(555, "5.5.4", "A parameter is not known here") }

func badParameter(name string) *Reply {
	return NewReply(501, "5.5.4", "The value of %s is not one that it can have", name)
}

func (s *Sender) parameter(name, value string, valued bool) error {
	var ok bool
	switch name {
	case "SIZE": // RFC 1870
		var n int64
		n, ok = parseNumber(value)
		s.Size = n
	case "BODY": // RFC 6152
		s.Body = Body(strings.ToUpper(value))
		ok = s.Body == Body7Bit || s.Body == Body8Bit || s.Body == BodyBinary
	case "SMTPUTF8": // RFC 6531
		s.UTF8, ok = true, !valued
	case "RET": // RFC 3461, 4.3
		s.Return = Return(strings.ToUpper(value))
		ok = s.Return == ReturnFull || s.Return == ReturnHeaders
	case "ENVID": // RFC 3461, 4.4
		var decoded string
		decoded, ok = decodeXText(value)
		ok = ok && valued && len(value) <= maxEnvID && !strings.ContainsFunc(decoded, notPrintable)
		s.EnvID = decoded
	case "AUTH": // RFC 4954, 5: who wrote the message first. Nobody is trusted to say so: it is as if it were <>.
		_, ok = decodeXText(value)
		ok = ok && valued
	default:
		return unknownParameter()
	}
	if !ok {
		return badParameter(name)
	}
	return nil
}

// Lengths of RFC 3461, 4.2 and 4.4, encoded.
const (
	maxEnvID = 100
	maxORCPT = 500
)

func (r *Recipient) parameter(name, value string, utf8 bool) error {
	var ok bool
	switch name {
	case "NOTIFY": // RFC 3461, 4.1
		r.Notify, ok = parseNotify(value)
	case "ORCPT": // RFC 3461, 4.2
		r.Original, ok = parseOriginal(value, utf8)
	default:
		return unknownParameter()
	}
	if !ok {
		return badParameter(name)
	}
	return nil
}

func parseNotify(value string) (n Notify, ok bool) {
	for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
		var bit Notify
		switch word {
		case "NEVER":
			bit = NotifyNever
		case "SUCCESS":
			bit = NotifySuccess
		case "FAILURE":
			bit = NotifyFailure
		case "DELAY":
			bit = NotifyDelay
		default:
			return 0, false
		}
		if n&bit != 0 {
			return 0, false
		}
		n |= bit
	}
	return n, n&NotifyNever == 0 || n == NotifyNever
}

// parseOriginal reads the value of ORCPT and answers it decoded.
func parseOriginal(value string, utf8 bool) (string, bool) {
	kind, encoded, ok := strings.Cut(value, ";")
	kind = strings.ToLower(kind)
	if !ok || kind == "" || encoded == "" || len(value) > maxORCPT || strings.ContainsFunc(kind, notAtom) {
		return "", false
	}
	var decoded string
	if kind == "utf-8" { // RFC 6533, 3
		decoded, ok = decodeUTF8Address(encoded, utf8)
		ok = ok && !strings.ContainsFunc(decoded, unsafe)
	} else {
		decoded, ok = decodeXText(encoded)
		ok = ok && !strings.ContainsFunc(decoded, notPrintable)
	}
	return kind + ";" + decoded, ok
}

func notAtom(r rune) bool { return notLetter(r) && (r < '0' || r > '9') && r != '-' }

// notPrintable is what must not come into the fields of a report by way of a parameter.
func notPrintable(r rune) bool { return r < ' ' || r > '~' }

func unsafe(r rune) bool { return !unicode.IsPrint(r) }

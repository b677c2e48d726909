package embedded

import (
	"bytes"
	"strconv"

	"balorg/store/mailbox/text"
)

// envelope reads the stored text of an ENVELOPE (RFC 3501, 7.4.2) from field to field. What is read is our own text, so that nothing else
// than the grammar's one form is looked for; were it damaged, the rest of it is empty.
type envelope struct{ b []byte }

// The fields of an ENVELOPE, in their order.
const (
	envelopeDate = iota
	envelopeSubject
	envelopeFrom
	envelopeSender
	envelopeReplyTo
	envelopeTo
	envelopeCc
	envelopeBcc
	envelopeInReplyTo
	envelopeMessageID
	envelopeFields
)

// fieldsOf answers the texts of an ENVELOPE's fields, where they stand.
func fieldsOf(text []byte) (fields [envelopeFields][]byte) {
	e := envelope{text}
	e.char('(')
	for i := range fields {
		if i > 0 {
			e.char(' ')
		}
		before := e.b
		e.skip()
		fields[i] = before[:len(before)-len(e.b)]
	}
	return fields
}

func (e *envelope) char(c byte) {
	if len(e.b) > 0 && e.b[0] == c {
		e.b = e.b[1:]
	}
}

// skip passes over a string, NIL, or a list.
func (e *envelope) skip() {
	depth := 0
	for len(e.b) > 0 {
		switch e.b[0] {
		case '(':
			depth++
			e.b = e.b[1:]
		case ')':
			depth--
			e.b = e.b[1:]
		case ' ':
			if depth == 0 {
				return
			}
			e.b = e.b[1:]
		default:
			e.text()
		}
		if depth <= 0 {
			return
		}
	}
}

// text reads a string as its octets; NIL is "".
func (e *envelope) text() []byte {
	b := e.b
	e.b = nil
	switch {
	case len(b) == 0:
		return nil
	case b[0] == '"':
		return e.quoted(b[1:])
	case b[0] == '{':
		head, rest, _ := bytes.Cut(b[1:], []byte("}\r\n"))
		n, err := strconv.Atoi(string(head))
		if err != nil || n < 0 || n > len(rest) {
			return nil
		}
		e.b = rest[n:]
		return rest[:n]
	}
	e.b = b[min(len(b), len("NIL")):]
	return nil
}

func (e *envelope) quoted(b []byte) []byte {
	escaped := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			e.b = b[i+1:]
			if escaped {
				return unescape(b[:i])
			}
			return b[:i]
		case '\\':
			escaped = true
			i++
		}
	}
	return nil
}

func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		out = append(out, b[i])
	}
	return out
}

// textOf is the text of a field that is one string.
func textOf(field []byte) string {
	e := envelope{field}
	return string(e.text())
}

// sender is the first address of a list. A group begins with an address that has only a mailbox, its name.
type sender struct{ name, mailbox, host []byte }

func firstAddress(field []byte) (a sender) {
	e := envelope{field}
	if len(field) == 0 || field[0] != '(' {
		return a // NIL
	}
	e.char('(')
	e.char('(')
	a.name = e.text()
	e.char(' ')
	e.text() // the route
	e.char(' ')
	a.mailbox = e.text()
	e.char(' ')
	a.host = e.text()
	return a
}

// display is how people call an address (RFC 5957, 3): by its name, else by the address itself; a group by its own name.
func (a sender) display() string {
	switch {
	case len(a.name) > 0:
		return text.Decode(string(a.name))
	case len(a.host) > 0:
		return string(a.mailbox) + "@" + string(a.host)
	}
	return text.Decode(string(a.mailbox))
}

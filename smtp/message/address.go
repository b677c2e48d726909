package message

import (
	"errors"
	"fmt"
	"strings"

	"balorg/mail"
)

// Mailbox is one address of a field, with the octets it stands on.
type Mailbox struct {
	// Address is empty when no mail goes to such an address: its local part is quoted, its domain a literal, …
	Address mail.Address
	// Value[Start:End] is the whole of it, from the display name to the closing bracket; Value[Spec:SpecEnd] the address alone.
	Start, End, Spec, SpecEnd int
}

// AddressList is what an address field says.
type AddressList struct {
	Mailboxes []Mailbox
	Groups    int
	Empty     int // places between commas that hold nothing (RFC 5322, 4.4)
}

// ParseAddressList reads the value of an address field (RFC 5322, 3.4), strictly: what programs read in different ways is an error,
// such as a route, a comment within an address, two addresses without a comma, an unclosed quote.
func ParseAddressList(value []byte) (AddressList, error) {
	p := addressParser{s: string(value)}
	for {
		if err := p.element(); err != nil {
			return AddressList{}, err
		}
		if p.i == len(p.s) {
			break
		}
	}
	if p.inGroup {
		return AddressList{}, errors.New("a group is not closed")
	}
	return p.list, nil
}

type addressParser struct {
	s       string
	i       int
	list    AddressList
	inGroup bool
}

// token is a word: an atom, dots included, or a quoted string.
type token struct {
	start, end int
	quoted     bool
}

// element reads one element of the list and the separator behind it.
func (p *addressParser) element() error {
	words, err := p.phrase()
	if err != nil {
		return err
	}
	switch c := p.peek(); {
	case c == '<':
		err = p.angle(words)
	case c == '@':
		err = p.bare(words)
	case c == ':':
		return p.openGroup(words)
	case len(words) > 0:
		return errors.New("a name without an address")
	case c == ';' && p.inGroup:
	default:
		p.list.Empty++
		return p.separator()
	}
	if err != nil {
		return err
	}
	return p.separator()
}

func (p *addressParser) openGroup(words []token) error {
	if p.inGroup || len(words) == 0 {
		return errors.New("a colon where none belongs")
	}
	p.i++
	p.inGroup = true
	p.list.Groups++
	return nil
}

// separator reads what may stand behind an element: a comma, the end of a group, the end.
func (p *addressParser) separator() error {
	if err := p.space(); err != nil {
		return err
	}
	switch c := p.peek(); {
	case c == 0 && p.i == len(p.s):
	case c == ',':
		p.i++
		if p.i == len(p.s) {
			p.list.Empty++
		}
	case c == ';' && p.inGroup:
		p.i++
		p.inGroup = false
		if err := p.space(); err != nil {
			return err
		}
		if p.i == len(p.s) {
			return nil
		}
		if p.peek() != ',' {
			return errors.New("no comma behind a group")
		}
		p.i++
	default:
		return errors.New("no comma between two addresses")
	}
	return nil
}

// phrase reads words and the white space and comments around them.
func (p *addressParser) phrase() ([]token, error) {
	var words []token
	for {
		if err := p.space(); err != nil {
			return nil, err
		}
		switch c := p.peek(); {
		case c == '"':
			w, err := p.quoted()
			if err != nil {
				return nil, err
			}
			words = append(words, w)
		case isAtext(c) || c == '.':
			words = append(words, p.atom())
		default:
			return words, nil
		}
	}
}

// atom reads atoms and the dots between them.
func (p *addressParser) atom() token {
	start := p.i
	for p.i < len(p.s) && (isAtext(p.s[p.i]) || p.s[p.i] == '.') {
		p.i++
	}
	return token{start: start, end: p.i}
}

func (p *addressParser) quoted() (token, error) {
	start := p.i
	for p.i++; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return token{start, p.i, true}, nil
		case c == '\\':
			if p.i++; p.i == len(p.s) || !isText(p.s[p.i]) {
				return token{}, errors.New("a backslash before nothing")
			}
		case c == '\r' || c == '\n': // of a folded line
		case !isText(c):
			return token{}, errors.New("a control character in quotes")
		}
	}
	return token{}, errors.New("a quote is not closed")
}

// angle reads "<local@domain>" behind the words of a display name.
func (p *addressParser) angle(words []token) error {
	start := p.i
	if len(words) > 0 {
		start = words[0].start
	}
	p.i++
	p.blank()
	local, err := p.localPart()
	if err != nil {
		return err
	}
	m, err := p.domain(local)
	if err != nil {
		return err
	}
	p.blank()
	if p.peek() != '>' {
		return errors.New("something else than an address between < and >")
	}
	p.i++
	m.Start, m.End = start, p.i
	p.list.Mailboxes = append(p.list.Mailboxes, m)
	return nil
}

func (p *addressParser) localPart() (token, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.quoted()
	case isAtext(c) || c == '.':
		return p.atom(), nil
	case c == '@':
		return token{}, errors.New("a route before an address")
	}
	return token{}, errors.New("no address between < and >")
}

// bare reads the rest of "local@domain" that no name stands before.
func (p *addressParser) bare(words []token) error {
	if len(words) != 1 || words[0].end != p.i {
		return errors.New("more than a local part before an @")
	}
	m, err := p.domain(words[0])
	if err != nil {
		return err
	}
	m.Start, m.End = m.Spec, m.SpecEnd
	p.list.Mailboxes = append(p.list.Mailboxes, m)
	return nil
}

// domain reads "@domain" behind a local part.
func (p *addressParser) domain(local token) (Mailbox, error) {
	if p.peek() != '@' {
		return Mailbox{}, errors.New("an address without @")
	}
	p.i++
	begin := p.i
	literal := p.peek() == '['
	if literal {
		for p.i < len(p.s) && p.s[p.i] > ' ' && p.s[p.i] != ']' {
			p.i++
		}
		if p.peek() != ']' {
			return Mailbox{}, errors.New("an address literal is not closed")
		}
		p.i++
	} else {
		p.atom()
	}
	if p.i == begin {
		return Mailbox{}, errors.New("an address without a domain")
	}
	m := Mailbox{Spec: local.start, SpecEnd: p.i}
	if !literal && !local.quoted {
		address, err := mail.ParseForeign(p.s[local.start:p.i], true)
		if err == nil {
			m.Address = address
		}
	}
	return m, nil
}

// space skips white space and comments (RFC 5322, 3.2.2).
func (p *addressParser) space() error {
	for {
		p.blank()
		if p.peek() != '(' {
			return nil
		}
		if err := p.comment(); err != nil {
			return err
		}
	}
}

func (p *addressParser) comment() error {
	for depth := 0; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.i++
				return nil
			}
		case '\\':
			p.i++
		}
	}
	return errors.New("a comment is not closed")
}

// blank skips white space and the line ends of folding.
func (p *addressParser) blank() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

// peek is the next octet, 0 at the end.
func (p *addressParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// isAtext tells whether an octet may stand in an atom (RFC 5322, 3.2.3; RFC 6532 for those that are not ASCII).
func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isText tells whether an octet may stand in a quoted string.
func isText(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }

// one answers the only address of a field that must have exactly one.
func one(value []byte) (mail.Address, error) {
	list, err := ParseAddressList(value)
	switch {
	case err != nil:
		return "", err
	case list.Groups > 0:
		return "", errors.New("a group of addresses")
	case len(list.Mailboxes) != 1:
		return "", fmt.Errorf("%d addresses", len(list.Mailboxes))
	case list.Empty > 0:
		return "", errors.New("a comma too many")
	case list.Mailboxes[0].Address == "":
		return "", errors.New("an address that mail cannot be sent to")
	}
	return list.Mailboxes[0].Address, nil
}

package wire

import (
	"math"
	"strconv"
	"strings"
)

// maxNesting bounds parentheses within one another; no command needs a tenth.
const maxNesting = 100

// Parser reads the arguments of a command, as Command.Args holds them, or of a response that was collected whole. Each method
// reads one thing and answers a *SyntaxError when something else stands there. Strings answered are copies.
type Parser struct {
	b      []byte
	depth  int
	naming Naming
}

// NewParser parses b, which must not change meanwhile.
func NewParser(b []byte) *Parser { return UTF7.NewParser(b) }

// Rest is what has not been read yet.
func (p *Parser) Rest() []byte { return p.b }

// Peek answers the next octet without reading it, 0 at the end.
func (p *Parser) Peek() byte {
	if len(p.b) == 0 {
		return 0
	}
	return p.b[0]
}

// End checks that nothing is left.
func (p *Parser) End() error {
	if len(p.b) > 0 {
		return syntax("Unexpected text at the end")
	}
	return nil
}

// Take reads c if it comes next and tells whether it did.
func (p *Parser) Take(c byte) bool {
	if len(p.b) == 0 || p.b[0] != c {
		return false
	}
	p.b = p.b[1:]
	return true
}

// Expect reads c.
func (p *Parser) Expect(c byte) error {
	if !p.Take(c) {
		return syntax("Expected " + strconv.QuoteRune(rune(c)))
	}
	return nil
}

// SP reads one space.
func (p *Parser) SP() error {
	if !p.Take(' ') {
		return syntax("Expected a space")
	}
	return nil
}

// isAtomChar is ATOM-CHAR of RFC 3501, 9.
func isAtomChar(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return true
}

func isAStringChar(c byte) bool { return c == ']' || isAtomChar(c) }

func isListChar(c byte) bool { return c == '%' || c == '*' || isAStringChar(c) }

func (p *Parser) while(ok func(byte) bool, what string) (string, error) {
	n := 0
	for n < len(p.b) && ok(p.b[n]) {
		n++
	}
	if n == 0 {
		return "", syntax("Expected " + what)
	}
	s := string(p.b[:n])
	p.b = p.b[n:]
	return s, nil
}

// Atom reads an atom.
func (p *Parser) Atom() (string, error) { return p.while(isAtomChar, "an atom") }

// Word reads an atom and answers it in upper case.
func (p *Parser) Word() (string, error) {
	s, err := p.Atom()
	return strings.ToUpper(s), err
}

// Quoted reads a quoted string. Octets above 0x7f pass (RFC 6855 and older clients).
func (p *Parser) Quoted() (string, error) {
	if !p.Take('"') {
		return "", syntax("Expected a quoted string")
	}
	// Most strings hold no escape: they are copied once.
	for i, c := range p.b {
		if c == '"' {
			s := string(p.b[:i])
			p.b = p.b[i+1:]
			return s, nil
		}
		if c == '\\' || c == '\r' || c == '\n' || c == 0 {
			break
		}
	}
	return p.quotedSlow()
}

func (p *Parser) quotedSlow() (string, error) {
	var s []byte
	for i := 0; i < len(p.b); i++ {
		c := p.b[i]
		switch c {
		case '"':
			p.b = p.b[i+1:]
			return string(s), nil
		case '\r', '\n', 0:
			return "", syntax("Line end or NUL in a quoted string")
		case '\\':
			i++
			if i == len(p.b) || p.b[i] != '"' && p.b[i] != '\\' {
				return "", syntax("Only quote and backslash are escaped in a quoted string")
			}
			c = p.b[i]
		}
		s = append(s, c)
	}
	return "", syntax("Quoted string without end")
}

// Literal reads a literal: its announcement, a line end and its octets.
func (p *Parser) Literal() (string, error) {
	b := p.b
	if len(b) > 0 && b[0] == '~' {
		b = b[1:]
	}
	eol := 0
	for eol < len(b) && b[eol] != '\r' && eol < maxAnnouncement {
		eol++
	}
	if len(b) < eol+2 || b[eol] != '\r' || b[eol+1] != '\n' {
		return "", syntax("Expected a literal")
	}
	lit, at := parseAnnouncement(b[:eol])
	if lit == nil || at != 0 {
		return "", syntax("Expected a literal")
	}
	b = b[eol+2:]
	if lit.Size > int64(len(b)) {
		return "", syntax("Literal without end")
	}
	p.b = b[lit.Size:]
	return string(b[:lit.Size]), nil
}

// String reads a quoted string or a literal.
func (p *Parser) String() (string, error) {
	switch p.Peek() {
	case '"':
		return p.Quoted()
	case '{', '~':
		return p.Literal()
	}
	return "", syntax("Expected a string")
}

// AString reads an atom, which may hold "]", or a string.
func (p *Parser) AString() (string, error) {
	switch p.Peek() {
	case '"', '{':
		return p.String()
	}
	return p.while(isAStringChar, "a string")
}

// UserName reads the user name of LOGIN: an astring in which the asterisk of mailbox*person needs no quotes, for Python's imaplib
// and others send it bare.
func (p *Parser) UserName() (string, error) {
	switch p.Peek() {
	case '"', '{':
		return p.String()
	default:
		return p.while(func(c byte) bool { return isAStringChar(c) || c == '*' }, "a user name")
	}
}

// NString reads NIL, and ok is then false, or a string.
func (p *Parser) NString() (s string, ok bool, err error) {
	switch p.Peek() {
	case '"', '{', '~':
		s, err = p.String()
		return s, err == nil, err
	}
	if word, err := p.Word(); err != nil || word != "NIL" {
		return "", false, syntax("Expected a string or NIL")
	}
	return "", false, nil
}

// Number reads a number of 32 bits.
func (p *Parser) Number() (uint32, error) {
	n, err := p.number(math.MaxUint32)
	return uint32(n), err
}

// Number64 reads a number of 63 bits (RFC 9051, 9: number64).
func (p *Parser) Number64() (int64, error) {
	n, err := p.number(math.MaxInt64)
	return int64(n), err
}

func (p *Parser) number(limit uint64) (uint64, error) {
	i := 0
	var n uint64
	for ; i < len(p.b) && '0' <= p.b[i] && p.b[i] <= '9'; i++ {
		d := uint64(p.b[i] - '0')
		if n > (limit-d)/10 {
			return 0, syntax("Number too large")
		}
		n = n*10 + d
	}
	if i == 0 {
		return 0, syntax("Expected a number")
	}
	p.b = p.b[i:]
	return n, nil
}

// List reads a parenthesised list, calling item for each element; spaces between them are read here.
func (p *Parser) List(item func() error) error {
	if err := p.Expect('('); err != nil {
		return err
	}
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxNesting {
		return syntax("Parentheses nested too deeply")
	}
	if p.Take(')') {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if p.Take(')') {
			return nil
		}
		if err := p.SP(); err != nil {
			return err
		}
	}
}

// Flag reads a flag, a keyword, or "\*".
func (p *Parser) Flag() (string, error) {
	if !p.Take('\\') {
		return p.Atom()
	}
	if p.Take('*') {
		return `\*`, nil
	}
	name, err := p.Atom()
	return `\` + name, err
}

// FlagList reads a parenthesised list of flags.
func (p *Parser) FlagList() ([]string, error) {
	flags := []string{}
	err := p.List(func() error {
		f, err := p.Flag()
		flags = append(flags, f)
		return err
	})
	return flags, err
}

// Mailbox reads the name of a mailbox, as the parser's Naming writes it, and answers it in wire form, checked; INBOX is in upper case.
func (p *Parser) Mailbox() (string, error) {
	name, err := p.AString()
	if err != nil {
		return "", err
	}
	if strings.EqualFold(name, "INBOX") {
		return "INBOX", nil
	}
	return p.naming.mailbox(name)
}

// maxPattern bounds what the patterns of a LIST can cost to match: a thousand names of five hundred octets take it a second.
const maxPattern = 1 << 10

// ListMailbox reads a pattern of LIST or LSUB.
func (p *Parser) ListMailbox() (string, error) {
	var s string
	var err error
	switch p.Peek() {
	case '"', '{':
		s, err = p.String()
	default:
		s, err = p.while(isListChar, "a mailbox pattern")
	}
	if len(s) > maxPattern {
		return "", syntax("Mailbox pattern too long")
	}
	if err != nil {
		return "", err
	}
	return p.naming.pattern(s)
}

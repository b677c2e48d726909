package wire

import (
	"slices"
	"strings"
)

// StoreOp says what a STORE does with its flags.
type StoreOp uint8

// The three forms of STORE.
const (
	StoreReplace StoreOp = iota // FLAGS
	StoreAdd                    // +FLAGS
	StoreRemove                 // -FLAGS
)

// Store is the arguments of STORE and UID STORE.
type Store struct {
	Set    NumSet
	Op     StoreOp
	Silent bool
	Flags  []string
	// Conditional says that UNCHANGEDSINCE was given (RFC 7162).
	Conditional    bool
	UnchangedSince uint64
}

// ParseStore reads the arguments of STORE.
func ParseStore(args []byte) (s Store, err error) {
	p := NewParser(args)
	if s.Set, err = p.NumSet(); err != nil {
		return s, err
	}
	if err := p.SP(); err != nil {
		return s, err
	}
	if p.Peek() == '(' {
		if err := p.storeModifiers(&s); err != nil {
			return s, err
		}
		if err := p.SP(); err != nil {
			return s, err
		}
	}
	switch {
	case p.Take('+'):
		s.Op = StoreAdd
	case p.Take('-'):
		s.Op = StoreRemove
	}
	word, err := p.Word()
	if err != nil {
		return s, err
	}
	switch word {
	case "FLAGS":
	case "FLAGS.SILENT":
		s.Silent = true
	default:
		return s, syntax("STORE takes FLAGS")
	}
	if err := p.SP(); err != nil {
		return s, err
	}
	if p.Peek() == '(' {
		s.Flags, err = p.FlagList()
	} else {
		s.Flags, err = p.flagWords()
	}
	if err != nil {
		return s, err
	}
	if slices.Contains(s.Flags, `\*`) {
		return s, syntax(`\* is not a flag`)
	}
	return s, p.End()
}

// flagWords reads flags without parentheses.
func (p *Parser) flagWords() (flags []string, err error) {
	for {
		f, err := p.Flag()
		if err != nil {
			return nil, err
		}
		flags = append(flags, f)
		if !p.Take(' ') {
			return flags, nil
		}
	}
}

func (p *Parser) storeModifiers(s *Store) error {
	return p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		if word != "UNCHANGEDSINCE" {
			return syntax("Unknown modifier")
		}
		if err := p.SP(); err != nil {
			return err
		}
		n, err := p.Number64()
		s.Conditional, s.UnchangedSince = true, uint64(n)
		return err
	})
}

// Copy is the arguments of COPY and MOVE, with UID and without.
type Copy struct {
	Set     NumSet
	Mailbox string // wire form
}

// ParseCopy reads the arguments of COPY.
func ParseCopy(args []byte, n Naming) (c Copy, err error) {
	p := n.NewParser(args)
	if c.Set, err = p.NumSet(); err != nil {
		return c, err
	}
	if err := p.SP(); err != nil {
		return c, err
	}
	if c.Mailbox, err = p.Mailbox(); err != nil {
		return c, err
	}
	return c, p.End()
}

// CopyAcross is the arguments of XCOPYTO and XMOVETO, by which the proxy has the embedded mail store copy into another of its accounts.
type CopyAcross struct {
	Copy
	Account string // the id of the account that Mailbox is in
	Quota   int64  // of that account, in octets; 0: none
}

// ParseCopyAcross reads "account quota set mailbox".
func ParseCopyAcross(args []byte, n Naming) (c CopyAcross, err error) {
	p := n.NewParser(args)
	if c.Account, err = p.Atom(); err != nil {
		return c, err
	}
	if err := p.SP(); err != nil {
		return c, err
	}
	if c.Quota, err = p.Number64(); err != nil {
		return c, err
	}
	if err := p.SP(); err != nil {
		return c, err
	}
	c.Copy, err = ParseCopy(p.Rest(), n)
	return c, err
}

// Append is what stands before the message in an APPEND.
type Append struct {
	Mailbox string // wire form
	Flags   []string
	Date    string // checked, as written without its quotes; ParseDateTime reads it. Empty when not given
	UTF8    bool   // the message stands in the parentheses of RFC 6855, 4
}

// ParseAppend reads what stands before the message.
func ParseAppend(args []byte, n Naming) (a Append, err error) {
	p := n.NewParser(args)
	if a.Mailbox, err = p.Mailbox(); err != nil {
		return a, err
	}
	if len(p.Rest()) == 0 {
		return a, nil
	}
	if err := p.SP(); err != nil {
		return a, err
	}
	return a, p.appendOptions(&a)
}

// ParseNextAppend reads what stands before a further message of the same APPEND (RFC 3502).
func ParseNextAppend(args []byte) (a Append, err error) {
	if len(args) == 0 {
		return a, nil
	}
	return a, NewParser(args).appendOptions(&a)
}

// Replace is what stands before the message in a REPLACE (RFC 8508).
type Replace struct {
	Number uint32 // of the message to be replaced, or its UID; 0 is "*"
	Append
}

// ParseReplace reads what stands before the message.
func ParseReplace(args []byte, n Naming) (r Replace, err error) {
	p := n.NewParser(args)
	if r.Number, err = p.seqNumber(); err != nil {
		return r, err
	}
	if err := p.SP(); err != nil {
		return r, err
	}
	r.Append, err = ParseAppend(p.Rest(), n)
	return r, err
}

// Create is the arguments of CREATE (RFC 3501; RFC 6154, 3).
type Create struct {
	Mailbox string   // wire form
	Uses    []string // the special uses it is to have
}

// ParseCreate reads the arguments of CREATE.
func ParseCreate(args []byte, n Naming) (c Create, err error) {
	p := n.NewParser(args)
	if c.Mailbox, err = p.Mailbox(); err != nil {
		return c, err
	}
	if !p.Take(' ') {
		return c, p.End()
	}
	err = p.List(func() error {
		if word, err := p.Word(); err != nil || word != "USE" || c.Uses != nil {
			return syntax("Unknown CREATE parameter")
		}
		if err := p.SP(); err != nil {
			return err
		}
		c.Uses, err = p.FlagList()
		return err
	})
	if err == nil && c.Uses == nil {
		err = syntax("CREATE parameters are missing")
	}
	if err != nil {
		return c, err
	}
	return c, p.End()
}

func (p *Parser) appendOptions(a *Append) (err error) {
	if p.Peek() == '(' {
		if a.Flags, err = p.FlagList(); err != nil {
			return err
		}
		if slices.Contains(a.Flags, `\*`) {
			return syntax(`\* is not a flag`)
		}
		if len(p.Rest()) == 0 {
			return nil
		}
		if err := p.SP(); err != nil {
			return err
		}
	}
	if p.Peek() == '"' {
		if a.Date, err = p.DateTime(); err != nil || len(p.Rest()) == 0 {
			return err
		}
		if err := p.SP(); err != nil {
			return err
		}
	}
	if a.UTF8 = p.takeFold("UTF8 ("); !a.UTF8 {
		return syntax("Expected a date or the message")
	}
	return p.End()
}

// Status is the arguments of STATUS.
type Status struct {
	Mailbox string   // wire form
	Items   []string // upper case, each once
}

// ParseStatus reads the arguments of STATUS.
func ParseStatus(args []byte, n Naming) (s Status, err error) {
	p := n.NewParser(args)
	if s.Mailbox, err = p.Mailbox(); err != nil {
		return s, err
	}
	if err := p.SP(); err != nil {
		return s, err
	}
	if s.Items, err = p.statusItems(); err != nil {
		return s, err
	}
	return s, p.End()
}

// statusNames are the items of STATUS (RFC 9051, 6.3.11; RFC 7162; RFC 7889; RFC 8474).
const statusNames = " MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT MAILBOXID "

func (p *Parser) statusItems() (items []string, err error) {
	err = p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		if !strings.Contains(statusNames, " "+word+" ") {
			return syntax("Unknown STATUS item")
		}
		if !slices.Contains(items, word) {
			items = append(items, word)
		}
		return nil
	})
	if err == nil && len(items) == 0 {
		err = syntax("STATUS takes items")
	}
	return items, err
}

// Metadata is the arguments of GETMETADATA and SETMETADATA (RFC 5464).
type Metadata struct {
	Options string // parenthesised and with a space behind, or ""
	Mailbox string // wire form; "" is the server itself
	Entries []byte // the rest, as written
}

// ParseMetadata reads the arguments of GETMETADATA and SETMETADATA as far as the mailbox.
func ParseMetadata(args []byte, n Naming) (m Metadata, err error) {
	p := n.NewParser(args)
	if p.Peek() == '(' {
		inner, err := p.balanced()
		if err != nil {
			return m, err
		}
		m.Options = "(" + string(inner) + ") "
		if err := p.SP(); err != nil {
			return m, err
		}
	}
	if m.Mailbox, err = p.Mailbox(); err != nil {
		return m, err
	}
	if err := p.SP(); err != nil {
		return m, err
	}
	if m.Entries = p.Rest(); len(m.Entries) == 0 {
		return m, syntax("Entries are missing")
	}
	return m, nil
}

// Select is the arguments of SELECT and EXAMINE.
type Select struct {
	Mailbox   string // wire form
	CondStore bool   // RFC 7162
	QResync   []byte // what stands in the parentheses behind QRESYNC (RFC 7162), or nil
}

// ParseSelect reads the arguments of SELECT.
func ParseSelect(args []byte, n Naming) (s Select, err error) {
	p := n.NewParser(args)
	if s.Mailbox, err = p.Mailbox(); err != nil {
		return s, err
	}
	if !p.Take(' ') {
		return s, p.End()
	}
	err = p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		switch word {
		case "CONDSTORE":
			s.CondStore = true
			return nil
		case "QRESYNC":
			if err := p.SP(); err != nil {
				return err
			}
			s.QResync, err = p.balanced()
			return err
		}
		return syntax("Unknown SELECT parameter")
	})
	if err != nil {
		return s, err
	}
	return s, p.End()
}

// balanced reads a parenthesised text without strings and answers what stands in it.
func (p *Parser) balanced() ([]byte, error) {
	depth := 0
	for i, c := range p.b {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '"', '{', '\\':
			return nil, syntax("String where none may be")
		}
		if depth == 0 {
			if i == 0 {
				break
			}
			inner := p.b[1:i]
			p.b = p.b[i+1:]
			return inner, nil
		}
	}
	return nil, syntax("Expected parentheses")
}

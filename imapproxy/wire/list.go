package wire

import "strings"

// List is the arguments of LIST (RFC 3501, RFC 5258, RFC 5819, RFC 6154) or LSUB.
type List struct {
	LSub      bool
	Reference string
	Patterns  []string
	Extended  bool   // selection options, return options or several patterns were given
	Naming    Naming // of the connection

	// Selection: which mailboxes.
	SelectSubscribed bool
	SelectSpecialUse bool
	RecursiveMatch   bool

	// Return: what of them.
	ReturnSubscribed bool
	ReturnChildren   bool
	ReturnSpecialUse bool
	ReturnStatus     []string // STATUS items, or nil
}

// maxPatterns bounds the work of one LIST.
const maxPatterns = 32

// ParseList reads the arguments of a LIST or LSUB.
func ParseList(name string, args []byte, n Naming) (l List, err error) {
	l.LSub, l.Naming = name == "LSUB", n
	p := n.NewParser(args)
	if !l.LSub && p.Peek() == '(' {
		l.Extended = true
		if err := p.listSelection(&l); err != nil {
			return l, err
		}
		if err := p.SP(); err != nil {
			return l, err
		}
	}
	if l.Reference, err = p.AString(); err != nil {
		return l, err
	}
	if l.Reference, err = n.pattern(l.Reference); err != nil {
		return l, err
	}
	if err := p.SP(); err != nil {
		return l, err
	}
	if err := p.listPatterns(&l); err != nil {
		return l, err
	}
	if !l.LSub && p.Take(' ') {
		l.Extended = true
		if err := p.listReturn(&l); err != nil {
			return l, err
		}
	}
	if l.cost() > maxPattern {
		return l, syntax("Mailbox patterns too long")
	}
	return l, p.End()
}

// cost is how many octets each mailbox's name has to be matched with; what holds no wildcard is only compared.
func (l *List) cost() int {
	n := len(l.Reference)
	for _, pattern := range l.Patterns {
		if hasWildcard(l.Reference + pattern) {
			n += len(l.Reference) + len(pattern)
		}
	}
	return n
}

func hasWildcard(pattern string) bool { return strings.ContainsAny(pattern, "*%") }

func (p *Parser) listSelection(l *List) error {
	err := p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		switch word {
		case "SUBSCRIBED":
			l.SelectSubscribed, l.ReturnSubscribed = true, true
		case "SPECIAL-USE":
			l.SelectSpecialUse, l.ReturnSpecialUse = true, true
		case "RECURSIVEMATCH":
			l.RecursiveMatch = true
		case "REMOTE": // nothing is remote
		default:
			return syntax("Unknown selection option")
		}
		return nil
	})
	// RFC 5258, 3.1: RECURSIVEMATCH is nothing without an option that selects by content.
	if err == nil && l.RecursiveMatch && !l.SelectSubscribed && !l.SelectSpecialUse {
		err = syntax("RECURSIVEMATCH needs another selection option")
	}
	return err
}

func (p *Parser) listPatterns(l *List) error {
	if l.LSub || p.Peek() != '(' {
		pattern, err := p.ListMailbox()
		l.Patterns = []string{pattern}
		return err
	}
	l.Extended = true
	err := p.List(func() error {
		if len(l.Patterns) == maxPatterns {
			return syntax("Too many patterns")
		}
		pattern, err := p.ListMailbox()
		l.Patterns = append(l.Patterns, pattern)
		return err
	})
	if err == nil && len(l.Patterns) == 0 {
		err = syntax("No pattern")
	}
	return err
}

func (p *Parser) listReturn(l *List) error {
	if word, err := p.Word(); err != nil || word != "RETURN" {
		return syntax("Expected RETURN")
	}
	if err := p.SP(); err != nil {
		return err
	}
	return p.List(func() error {
		word, err := p.Word()
		if err != nil {
			return err
		}
		switch word {
		case "SUBSCRIBED":
			l.ReturnSubscribed = true
		case "CHILDREN":
			l.ReturnChildren = true
		case "SPECIAL-USE":
			l.ReturnSpecialUse = true
		case "STATUS":
			if err := p.SP(); err != nil {
				return err
			}
			l.ReturnStatus, err = p.statusItems()
			return err
		default:
			return syntax("Unknown return option")
		}
		return nil
	})
}

// MatchList tells whether name matches a LIST pattern: "*" stands for anything, "%" for anything without delim. INBOX matches in any
// case.
func MatchList(pattern, name string, delim byte) bool {
	if strings.EqualFold(name, "INBOX") && strings.EqualFold(pattern, name) {
		return true
	}
	if !hasWildcard(pattern) {
		return pattern == name
	}
	// at[j] holds whether the octets of name read so far match pattern[:j]. The work is at most the product of both lengths,
	// whatever the pattern.
	at := make([]bool, len(pattern)+1)
	at[0] = true
	skipWildcards(at, pattern)
	for i := range len(name) {
		c, alive := name[i], false
		before := false // at[j-1] as it was before c
		for j := 0; j <= len(pattern); j++ {
			was := at[j]
			switch {
			case j == 0:
				at[j] = false
			case pattern[j-1] == '*', pattern[j-1] == '%':
				at[j] = was && (pattern[j-1] == '*' || c != delim)
			default:
				at[j] = before && pattern[j-1] == c
			}
			alive = alive || at[j]
			before = was
		}
		if !alive {
			return false
		}
		skipWildcards(at, pattern)
	}
	return at[len(pattern)]
}

// skipWildcards lets wildcards stand for nothing.
func skipWildcards(at []bool, pattern string) {
	for j := range len(pattern) {
		if at[j] && (pattern[j] == '*' || pattern[j] == '%') {
			at[j+1] = true
		}
	}
}

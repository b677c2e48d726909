package wire

import (
	"slices"
	"strings"
	"time"
)

// Search is the arguments of SEARCH and UID SEARCH.
type Search struct {
	// Extended says that RETURN was given (RFC 4731): the answer is ESEARCH with what the following ask for, and with ALL when
	// they ask for nothing.
	Extended             bool
	Min, Max, All, Count bool
	Save                 bool      // RFC 5182
	Context, Update      bool      // RFC 5267
	Partial              NumRange  // of the results, from 1, as the client wrote it; zero: not asked for (RFC 5267)
	Charset              string    // upper case; empty when not given
	Key                  SearchKey // SearchAnd of all
}

// SearchOp says what a SearchKey tests.
type SearchOp uint8

// The tests.
const (
	SearchAnd        SearchOp = iota // all of Keys; without any: every message
	SearchOr                         // one of Keys
	SearchNot                        // not Keys[0]
	SearchSet                        // sequence number in Set
	SearchUID                        // UID in Set
	SearchFlag                       // has Text, a flag or keyword; \Recent is one
	SearchHeader                     // header Field holds Text; an empty Text: there is such a field
	SearchBody                       // the body holds Text
	SearchText                       // header or body hold Text
	SearchBefore                     // internal date before Date
	SearchOn                         // … on
	SearchSince                      // … on or after
	SearchSentBefore                 // the same for the Date field
	SearchSentOn
	SearchSentSince
	SearchLarger      // more octets than Number
	SearchSmaller     // fewer
	SearchModSeq      // modification sequence at least Number (RFC 7162)
	SearchOlder       // internal date Number seconds ago or more (RFC 5032)
	SearchYounger     // … or less
	SearchSavedBefore // the same as SearchBefore for the time of saving (RFC 8514)
	SearchSavedOn
	SearchSavedSince
	SearchEmailID  // the id of the content is Text (RFC 8474)
	SearchThreadID // that of the thread
)

// SearchKey is one test, or several.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Set    NumSet
	Text   string
	Field  string
	Date   time.Time
	Number int64
}

// Bounds of a search: a client asks for some hundred Message-IDs in one.
const (
	maxSearchKeys  = 5000
	maxSearchDepth = 1000
)

// ErrCharset is what a SEARCH in an unknown charset gets: "NO [BADCHARSET (US-ASCII UTF-8)]".
var ErrCharset error = &SyntaxError{Text: "Charset is not supported"}

// ParseSearch reads the arguments of SEARCH. In a charset other than US-ASCII and UTF-8 it answers ErrCharset.
func ParseSearch(args []byte) (s Search, err error) {
	p := &searchParser{Parser: NewParser(args)}
	if p.word("RETURN") {
		if err := p.returns(&s); err != nil {
			return s, err
		}
	}
	if p.word("CHARSET") {
		if err := p.SP(); err != nil {
			return s, err
		}
		if err := p.charset(&s); err != nil {
			return s, err
		}
	}
	return s, p.program(&s)
}

// charset reads the charset that the keys are in, and the space behind it.
func (p *searchParser) charset(s *Search) error {
	charset, err := p.AString()
	if err != nil {
		return err
	}
	s.Charset = strings.ToUpper(charset)
	return p.SP()
}

// program reads the keys to the end.
func (p *searchParser) program(s *Search) error {
	for {
		key, err := p.key()
		if err != nil {
			return err
		}
		s.Key.Keys = append(s.Key.Keys, key)
		if !p.Take(' ') {
			break
		}
	}
	if err := p.End(); err != nil {
		return err
	}
	switch s.Charset {
	case "", "US-ASCII", "ASCII", "UTF-8", "UTF8":
		return nil
	}
	return ErrCharset
}

type searchParser struct {
	*Parser
	keys, depth int
}

// word reads a word if it stands next, as a whole.
func (p *searchParser) word(word string) bool {
	n := len(word)
	if len(p.b) <= n || !equalFold(p.b[:n], word) || p.b[n] != ' ' {
		return false
	}
	p.b = p.b[n:]
	return true
}

func not(k SearchKey) SearchKey { return SearchKey{Op: SearchNot, Keys: []SearchKey{k}} }

func flagKey(name string) SearchKey { return SearchKey{Op: SearchFlag, Text: name} }

// plainKeys are the keys without arguments.
var plainKeys = map[string]SearchKey{
	"ALL": {Op: SearchAnd}, "SAVEDATESUPPORTED": {Op: SearchAnd},
	"ANSWERED": flagKey(`\Answered`), "DELETED": flagKey(`\Deleted`), "DRAFT": flagKey(`\Draft`),
	"FLAGGED": flagKey(`\Flagged`), "SEEN": flagKey(`\Seen`), "RECENT": flagKey(`\Recent`),
	"UNANSWERED": not(flagKey(`\Answered`)), "UNDELETED": not(flagKey(`\Deleted`)), "UNDRAFT": not(flagKey(`\Draft`)),
	"UNFLAGGED": not(flagKey(`\Flagged`)), "UNSEEN": not(flagKey(`\Seen`)), "OLD": not(flagKey(`\Recent`)),
	"NEW": {Op: SearchAnd, Keys: []SearchKey{flagKey(`\Recent`), not(flagKey(`\Seen`))}},
}

// textKeys are those with one string; the fields among them search a header.
var textKeys = map[string]SearchKey{
	"BCC": {Op: SearchHeader, Field: "Bcc"}, "CC": {Op: SearchHeader, Field: "Cc"}, "FROM": {Op: SearchHeader, Field: "From"},
	"SUBJECT": {Op: SearchHeader, Field: "Subject"}, "TO": {Op: SearchHeader, Field: "To"},
	"BODY": {Op: SearchBody}, "TEXT": {Op: SearchText},
}

var dateKeys = map[string]SearchOp{
	"BEFORE": SearchBefore, "ON": SearchOn, "SINCE": SearchSince,
	"SAVEDBEFORE": SearchSavedBefore, "SAVEDON": SearchSavedOn, "SAVEDSINCE": SearchSavedSince,
	"SENTBEFORE": SearchSentBefore, "SENTON": SearchSentOn, "SENTSINCE": SearchSentSince,
}

var numberKeys = map[string]SearchOp{
	"LARGER": SearchLarger, "SMALLER": SearchSmaller, "OLDER": SearchOlder, "YOUNGER": SearchYounger,
}

func (p *searchParser) key() (SearchKey, error) {
	p.keys++
	p.depth++
	defer func() { p.depth-- }()
	if p.keys > maxSearchKeys || p.depth > maxSearchDepth {
		return SearchKey{}, syntax("Search is too complex")
	}
	switch c := p.Peek(); {
	case c == '(':
		return p.group()
	case '0' <= c && c <= '9' || c == '*' || c == '$':
		set, err := p.NumSet()
		return SearchKey{Op: SearchSet, Set: set}, err
	}
	word, err := p.Word()
	if err != nil {
		return SearchKey{}, err
	}
	if key, ok := plainKeys[word]; ok {
		return key, nil
	}
	if err := p.SP(); err != nil {
		return SearchKey{}, syntax("Unknown search key")
	}
	if key, ok := textKeys[word]; ok {
		key.Text, err = p.AString()
		return key, err
	}
	if op, ok := dateKeys[word]; ok {
		date, err := p.Date()
		return SearchKey{Op: op, Date: date}, err
	}
	if op, ok := numberKeys[word]; ok {
		n, err := p.Number64()
		if err == nil && n == 0 && (op == SearchOlder || op == SearchYounger) {
			err = syntax("An interval is a second at least") // RFC 5032, 4: nz-number
		}
		return SearchKey{Op: op, Number: n}, err
	}
	return p.otherKey(word)
}

// otherKey reads the arguments of the keys that have some of their own kind.
func (p *searchParser) otherKey(word string) (SearchKey, error) {
	switch word {
	case "NOT":
		key, err := p.key()
		return not(key), err
	case "OR":
		return p.or()
	case "KEYWORD", "UNKEYWORD":
		name, err := p.Atom()
		if word == "UNKEYWORD" {
			return not(flagKey(name)), err
		}
		return flagKey(name), err
	case "HEADER":
		field, err := p.AString()
		if err != nil {
			return SearchKey{}, err
		}
		if err := p.SP(); err != nil {
			return SearchKey{}, err
		}
		text, err := p.AString()
		return SearchKey{Op: SearchHeader, Field: field, Text: text}, err
	case "UID":
		set, err := p.NumSet()
		return SearchKey{Op: SearchUID, Set: set}, err
	case "EMAILID", "THREADID":
		id, err := p.Atom()
		if word == "THREADID" {
			return SearchKey{Op: SearchThreadID, Text: id}, err
		}
		return SearchKey{Op: SearchEmailID, Text: id}, err
	case "MODSEQ":
		return p.modSeq()
	}
	return SearchKey{}, syntax("Unknown search key")
}

func (p *searchParser) group() (SearchKey, error) {
	var key SearchKey
	err := p.List(func() error {
		k, err := p.key()
		key.Keys = append(key.Keys, k)
		return err
	})
	if err == nil && len(key.Keys) == 0 {
		err = syntax("Empty parentheses")
	}
	return key, err
}

func (p *searchParser) or() (SearchKey, error) {
	a, err := p.key()
	if err != nil {
		return SearchKey{}, err
	}
	if err := p.SP(); err != nil {
		return SearchKey{}, err
	}
	b, err := p.key()
	return SearchKey{Op: SearchOr, Keys: []SearchKey{a, b}}, err
}

// modSeq reads [entry-name SP entry-type-req SP] number (RFC 7162, 3.1.5); there is one sequence for all flags, so that the entry
// makes no difference.
func (p *searchParser) modSeq() (SearchKey, error) {
	if p.Peek() == '"' {
		if _, err := p.Quoted(); err != nil {
			return SearchKey{}, err
		}
		if err := p.SP(); err != nil {
			return SearchKey{}, err
		}
		if word, err := p.Word(); err != nil || word != "ALL" && word != "PRIV" && word != "SHARED" {
			return SearchKey{}, syntax("An entry is priv, shared or all")
		}
		if err := p.SP(); err != nil {
			return SearchKey{}, err
		}
	}
	n, err := p.Number64()
	return SearchKey{Op: SearchModSeq, Number: n}, err
}

// UsesModSeq tells whether the key or one within it is MODSEQ.
func (k *SearchKey) UsesModSeq() bool {
	return k.Op == SearchModSeq || slices.ContainsFunc(k.Keys, func(k SearchKey) bool { return k.UsesModSeq() })
}

// Ages tells whether the key or one within it holds or not as time passes (RFC 5032).
func (k *SearchKey) Ages() bool {
	return k.Op == SearchOlder || k.Op == SearchYounger || slices.ContainsFunc(k.Keys, func(k SearchKey) bool { return k.Ages() })
}

// NamesModSeq tells whether the arguments of SEARCH, SORT or THREAD hold the key MODSEQ.
func NamesModSeq(args []byte) bool { return names(args, (*SearchKey).UsesModSeq, "MODSEQ") }

// NamesAge tells whether the arguments of SEARCH hold a key that ages.
func NamesAge(args []byte) bool { return names(args, (*SearchKey).Ages, "OLDER", "YOUNGER") }

// names tells whether arguments hold a key. Those of a SEARCH that we understand are looked at as such; in others, which a mail store may
// understand, the words outside of strings are taken for it.
func names(args []byte, uses func(*SearchKey) bool, words ...string) bool {
	if s, err := ParseSearch(args); err == nil {
		return uses(&s.Key)
	}
	for p := NewParser(args); len(p.b) > 0; {
		switch c := p.Peek(); {
		case c == '"' || c == '{':
			if _, err := p.String(); err != nil {
				return false
			}
		case isAtomChar(c):
			if word, _ := p.Word(); slices.Contains(words, word) {
				return true
			}
		default:
			p.Take(c)
		}
	}
	return false
}

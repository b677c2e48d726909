package mailbox

import (
	"fmt"
	"math/bits"
	"strings"
)

// System is a set of system flags (RFC 3501, 2.3.2). \Recent is none of them: it belongs to a session, see Meta.Recent.
type System uint8

// The system flags.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft

	allSystem = Seen | Answered | Flagged | Deleted | Draft
)

var systemNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// MaxKeywords bounds the keywords of a folder. They are bits of one word in every message row, which is what keeps a row short and
// a search for a keyword a mask; mail clients use a dozen.
const MaxKeywords = 64

const maxKeywordLength = 128

// Flags are the flags of one message: system flags, and keywords as bits that the folder's list of keywords names
// (View.Keywords).
type Flags struct {
	System   System
	Keywords uint64
}

// FlagSet names flags independently of a folder: what a client sends.
type FlagSet struct {
	System   System
	Keywords []string
}

// ParseFlags reads flags as IMAP writes them. System flags are taken in any case; \Recent is ignored, since only the
// server sets it; any other flag with a backslash, and a keyword that is no atom or too long, is ErrBadFlag. Keywords
// are the same when they differ in case only.
func ParseFlags(names []string) (FlagSet, error) {
	var set FlagSet
	for _, name := range names {
		if strings.HasPrefix(name, `\`) {
			if strings.EqualFold(name, `\Recent`) {
				continue
			}
			bit, ok := systemFlag(name)
			if !ok {
				return FlagSet{}, fmt.Errorf("%w: unknown system flag", ErrBadFlag)
			}
			set.System |= bit
			continue
		}
		if !validKeyword(name) {
			return FlagSet{}, fmt.Errorf("%w: a keyword is an atom of up to %d octets", ErrBadFlag, maxKeywordLength)
		}
		if keywordIndex(set.Keywords, name) < 0 {
			set.Keywords = append(set.Keywords, name)
		}
	}
	return set, nil
}

func systemFlag(name string) (System, bool) {
	for i, s := range systemNames {
		if strings.EqualFold(name, s) {
			return 1 << i, true
		}
	}
	return 0, false
}

// validKeyword tells whether s is an atom (RFC 3501, 9: flag-keyword).
func validKeyword(s string) bool {
	if s == "" || len(s) > maxKeywordLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

func keywordIndex(list []string, name string) int {
	for i, k := range list {
		if strings.EqualFold(k, name) {
			return i
		}
	}
	return -1
}

// AppendFlags appends the names of f to dst, separated by spaces, naming keyword bits by keywords.
func AppendFlags(dst []byte, f Flags, keywords []string) []byte {
	start := len(dst)
	for i, name := range systemNames {
		if f.System&(1<<i) != 0 {
			dst = appendWord(dst, start, name)
		}
	}
	for k := f.Keywords; k != 0; k &= k - 1 {
		if i := bits.TrailingZeros64(k); i < len(keywords) {
			dst = appendWord(dst, start, keywords[i])
		}
	}
	return dst
}

func appendWord(dst []byte, start int, word string) []byte {
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	return append(dst, word...)
}

// FlagOp says what StoreFlags does with its flags.
type FlagOp uint8

// The three forms of STORE.
const (
	AddFlags FlagOp = iota
	RemoveFlags
	ReplaceFlags
)

func (op FlagOp) apply(old, arg Flags) Flags {
	switch op {
	case AddFlags:
		return Flags{old.System | arg.System, old.Keywords | arg.Keywords}
	case RemoveFlags:
		return Flags{old.System &^ arg.System, old.Keywords &^ arg.Keywords}
	default:
		return arg
	}
}

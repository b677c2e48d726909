package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Command is a line of a client: a verb in upper case, and what follows it.
type Command struct {
	Verb string
	Args string
}

// ParseCommand reads a command line. Its verb is made of letters; white space at the end does not count (RFC 5321, 4.1.1).
func ParseCommand(line []byte) (Command, error) {
	s := string(line)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return Command{}, NewReply(500, "5.5.2", "The command holds octets that no command may hold")
	}
	verb, args, _ := strings.Cut(strings.TrimRight(s, " "), " ")
	if verb == "" || len(verb) > 16 || strings.ContainsFunc(verb, notLetter) {
		return Command{}, NewReply(500, "5.5.2", "Not a command")
	}
	return Command{Verb: strings.ToUpper(verb), Args: args}, nil
}

func notLetter(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }

// Chunk is what BDAT announces.
type Chunk struct {
	Size int64
	Last bool
}

// ParseChunk reads the arguments of BDAT (RFC 3030, 2). When they are wrong, nobody knows how many octets follow.
func ParseChunk(args string) (Chunk, error) {
	size, last, more := strings.Cut(args, " ")
	n, ok := parseNumber(size)
	if !ok || more && !strings.EqualFold(last, "LAST") {
		return Chunk{}, NewReply(501, "5.5.4", "BDAT takes a size, and LAST for the last chunk")
	}
	return Chunk{Size: n, Last: more}, nil
}

// maxDigits of a number that fits 63 bits for certain; RFC 1870, 3 allows twenty.
const maxDigits = 18

func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > maxDigits || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

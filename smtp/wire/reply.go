package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reply is an answer of a server (RFC 5321, 4.2; RFC 3463). It is an error, so that whoever decides on a command can answer it as one.
type Reply struct {
	Code     int
	Enhanced string // "5.7.1", or empty
	Text     string // lines separated by \n, printable
}

// NewReply makes a reply whose text names what fmt.Sprintf makes of format.
func NewReply(code int, enhanced, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}
}

func (r *Reply) Error() string { return r.String() }

// Positive tells whether the command was done, or is to be gone on with.
func (r *Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Permanent tells whether trying again is of no use.
func (r *Reply) Permanent() bool { return r.Code >= 500 }

// String is the reply on one line.
func (r *Reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ", r.Code)
	if r.Enhanced != "" {
		b.WriteString(r.Enhanced + " ")
	}
	b.WriteString(strings.ReplaceAll(r.Text, "\n", " / "))
	return strings.TrimRight(b.String(), " ")
}

// maxReplyLine is how long a line of a reply may be, CRLF included (RFC 5321, 4.5.3.1.5).
const maxReplyLine = 512

// AppendTo adds the reply as it goes to a client, one line for each of its text. What is not printable ASCII becomes a question mark.
func (r *Reply) AppendTo(to []byte) []byte {
	prefix := strconv.Itoa(r.Code)
	room := maxReplyLine - len(prefix) - len(r.Enhanced) - len("- \r\n")
	lines := foldText(r.Text, room)
	for i, line := range lines {
		to = append(to, prefix...)
		if i < len(lines)-1 {
			to = append(to, '-')
		} else {
			to = append(to, ' ')
		}
		if r.Enhanced != "" {
			to = append(append(to, r.Enhanced...), ' ')
		}
		for _, c := range line {
			if c < ' ' || c > '~' {
				c = '?'
			}
			to = append(to, byte(c))
		}
		to = append(to, '\r', '\n')
	}
	return to
}

// foldText cuts a text into lines of at most room octets.
func foldText(text string, room int) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for len(line) > room {
			at := strings.LastIndexByte(line[:room], ' ')
			if at <= 0 {
				at = room
			}
			lines = append(lines, line[:at])
			line = strings.TrimLeft(line[at:], " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// Limits on the replies of other servers.
const (
	maxForeignLine  = 2 << 10 // some write more than RFC 5321 allows
	maxForeignLines = 100     // the answer to EHLO is the longest
)

// ErrReply is what a server says that is no reply.
var ErrReply = errors.New("the server's answer is not an SMTP reply")

// ReadReply reads a reply of a server. The Reply is no error of ReadReply, whatever its code.
func ReadReply(r *Reader) (*Reply, error) {
	var reply Reply
	var text []string
	for range maxForeignLines {
		line, err := r.ReadLine(maxForeignLine)
		if err != nil {
			return nil, err
		}
		code, rest, more, ok := cutCode(line)
		if !ok || reply.Code != 0 && reply.Code != code {
			return nil, ErrReply
		}
		enhanced, said := cutEnhanced(rest)
		if reply.Code == 0 || enhanced == reply.Enhanced {
			reply.Enhanced, rest = enhanced, said
		}
		reply.Code = code
		text = append(text, strings.Map(printable, rest))
		if !more {
			reply.Text = strings.Join(text, "\n")
			return &reply, nil
		}
	}
	return nil, ErrReply
}

// cutCode takes a line of a reply apart. Some servers send the code alone.
func cutCode(line []byte) (code int, rest string, more, ok bool) {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, "", false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, "", false, false
	}
	if len(line) > 3 {
		rest, more = string(line[4:]), line[3] == '-'
	}
	return code, rest, more, true
}

// cutEnhanced takes an enhanced status code (RFC 3463, 2) off the front of a text.
func cutEnhanced(s string) (code, rest string) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return "", s
	}
	for _, part := range parts[1:] {
		if _, ok := parseNumber(part); !ok || len(part) > 3 {
			return "", s
		}
	}
	return word, rest
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

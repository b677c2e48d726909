package wire

import (
	"fmt"
	"strings"
)

// Reply is an answer of a server (RFC 5321, 4.2; RFC 3463). It is an error, so that whoever decides on a command can answer it as one.
type Reply struct {
	Code     int
	Enhanced string // "5.7.1", or empty
	Text     string // lines separated by \n, printable
}

// Refuse makes a reply whose text names what fmt.Sprintf makes of format.
func Refuse(code int, enhanced, format string, args ...any) *Reply {
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

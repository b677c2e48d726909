package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

const (
	// keptCommand is the largest buffer kept for the next command.
	keptCommand = 16 << 10
	// maxEmptyLines between commands are passed over; some clients send one behind a literal. More are answered as a fault.
	maxEmptyLines = 32
	maxTag        = 128
)

// Command is one command of a client. It is valid until the next call of ReadCommand.
type Command struct {
	Tag  string
	Name string // upper case; "UID FETCH" and the like with their UID
	// Args is what follows the name and its space, without the last line end. A literal stands in it as announced, {n} or
	// {n+}, CRLF and its octets. A CRLF stands nowhere else.
	Args []byte
	// Message is the message of an APPEND or REPLACE whose announcement has been read; Args ends before it. AcceptLiteral or RefuseLiteral
	// decides on it.
	Message *Literal
}

// Literal is the announcement of a literal.
type Literal struct {
	Size    int64
	NonSync bool // {n+}: the client sends without waiting
	Binary  bool // ~{n}: may hold NUL (RFC 3516)
	Wrapped bool // of a message: it stands in parentheses, UTF8 (~{n} (RFC 6855, 4)
}

// Reader reads the commands of a client. It is not for concurrent use.
type Reader struct {
	br  *input
	lim Limits
	buf []byte // the command being read
	cmd Command
	// lost is why nothing more is read: once the place of the next command is unknown, it stays so.
	lost error

	message appendState
	literal io.LimitedReader // of an accepted message: what is left
}

// NewReader reads commands from r.
func NewReader(r io.Reader, lim Limits) *Reader {
	return &Reader{br: &input{src: r}, lim: lim.withDefaults()}
}

// SetLimits replaces the limits, from the next command on.
func (r *Reader) SetLimits(lim Limits) { r.lim = lim.withDefaults() }

// Buffered tells whether octets of a further command are here already.
func (r *Reader) Buffered() bool { return r.br.buffered() > 0 }

// Await waits until octets of a command are here. Its errors are those of the connection, which can be read again.
func (r *Reader) Await() error {
	if r.Buffered() {
		return nil
	}
	r.br.flow = true
	err := r.br.fill()
	r.br.flow = false
	if err != nil {
		r.br.release()
	}
	return err
}

// Rest gives memory back while the caller waits for something else than a command. What was read last is not valid any more.
func (r *Reader) Rest() {
	r.br.release()
	r.buf = nil
}

// ReadLine reads one line that is no command, such as the DONE of IDLE, and answers it without its end; it is valid until
// the next read. A line longer than max is ErrClose.
func (r *Reader) ReadLine(max int) ([]byte, error) {
	if r.lost != nil {
		return nil, r.lost
	}
	r.reset()
	line, err := r.readLine(max)
	if err == io.ErrUnexpectedEOF && len(line) == 0 { //nolint:errorlint // readLine answers the very value
		err = io.EOF
	}
	return line, err
}

// ReadCommand reads one command. contin is called for each synchronising literal that is taken, before its octets are read: it sends
// "+ …" and flushes. What is left of an APPEND's message is skipped first.
//
// A *SyntaxError has to be answered, and the dialogue goes on; ErrClose ends it. io.EOF is the end of the connection between two
// commands, io.ErrUnexpectedEOF the end within one.
//
// A line may end in a bare LF, as with other servers: scripts send it. A bare CR or a NUL makes a command a syntax error.
func (r *Reader) ReadCommand(contin func() error) (*Command, error) {
	if err := r.finishMessage(); err != nil {
		return nil, err
	}
	if r.lost != nil {
		return nil, r.lost
	}
	r.reset()
	r.cmd = Command{}
	line, err := r.firstLine()
	if err != nil {
		return nil, err
	}
	head, fault := r.cmd.head(line)
	if fault != "" {
		return nil, r.skipCommand(line, fault)
	}
	return r.readArgs(line, head, contin)
}

// reset empties the buffer for the next command.
func (r *Reader) reset() {
	if cap(r.buf) > keptCommand {
		r.buf = nil
	}
	r.buf = r.buf[:0]
}

// firstLine reads the first line that is not empty.
func (r *Reader) firstLine() ([]byte, error) {
	for range maxEmptyLines {
		line, err := r.readLine(r.lim.Line)
		switch {
		case err == io.ErrUnexpectedEOF && len(line) == 0: //nolint:errorlint // readLine answers the very value
			return nil, io.EOF
		case err != nil:
			return nil, err
		case len(line) > 0:
			return line, nil
		}
	}
	return nil, syntax("Empty lines")
}

// readLine appends the next line without its end to the buffer and answers it. At the end of the connection it answers what there
// was of a line with io.ErrUnexpectedEOF.
func (r *Reader) readLine(max int) ([]byte, error) {
	start := len(r.buf)
	for {
		piece, err := r.br.readSlice('\n')
		if len(r.buf)-start+len(piece) > max+len("\r\n") {
			return nil, r.lose(errLineTooLong)
		}
		r.buf = append(r.buf, piece...)
		switch {
		case err == nil:
			r.buf = r.buf[:start+len(trimEOL(r.buf[start:]))]
			if len(r.buf)-start > max {
				return nil, r.lose(errLineTooLong)
			}
			return r.buf[start:], nil
		case errors.Is(err, io.EOF):
			return r.buf[start:], io.ErrUnexpectedEOF
		case !errors.Is(err, errBufferFull):
			return nil, err
		}
	}
}

// head takes tag and name off the first line and answers how long they are.
func (c *Command) head(line []byte) (n int, fault string) {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	if !isTag(tag) {
		return 0, "Tag is missing or not valid"
	}
	c.Tag = string(tag)
	n = len(tag) + 1
	name, rest, more := bytes.Cut(rest, []byte(" "))
	n += len(name)
	if equalFold(name, "UID") && more {
		sub, _, subMore := bytes.Cut(rest, []byte(" "))
		n += 1 + len(sub)
		name, more = line[len(tag)+1:n], subMore
		if len(sub) == 0 {
			return 0, "Command is missing"
		}
	}
	for _, b := range name {
		if !isNameChar(b) {
			return 0, "Command is missing or not valid"
		}
	}
	if len(name) == 0 {
		return 0, "Command is missing"
	}
	c.Name = strings.ToUpper(string(name))
	if more {
		n++
	}
	return n, ""
}

func isTag(b []byte) bool {
	if len(b) == 0 || len(b) > maxTag {
		return false
	}
	for _, c := range b {
		if c == '+' || !isAStringChar(c) {
			return false
		}
	}
	return true
}

func isNameChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == ' ' || c == '-'
}

// readArgs reads the rest of a command whose first line is in the buffer.
func (r *Reader) readArgs(line []byte, head int, contin func() error) (*Command, error) {
	args := len(r.buf) - len(line) + head
	line = line[head:]
	for {
		lit, at, fault := announcement(line, r.lim.UTF8)
		start := len(r.buf) - len(line) + at
		switch {
		case fault != "":
			return nil, r.skipCommand(line, fault)
		case lit == nil:
			r.cmd.Args = r.buf[args:]
			return &r.cmd, nil
		case r.cmd.isMessage(r.buf[args:start]):
			r.announced(lit, r.buf[args:start])
			return &r.cmd, nil
		}
		if fault := r.refuses(lit); fault != "" {
			return nil, r.skipCommand(line, fault)
		}
		next, fault, err := r.readLiteral(lit, contin)
		if err != nil {
			return nil, err
		}
		if fault != "" {
			return nil, r.skipCommand(next, fault)
		}
		line = next
	}
}

// isMessage tells whether the literal that the command announces behind args is a message. The first one of an APPEND may be the name of
// its mailbox; that of a REPLACE stands behind a number.
func (c *Command) isMessage(args []byte) bool {
	switch c.Name {
	case "APPEND":
		return len(args) > 0
	case "REPLACE", "UID REPLACE":
		_, more, ok := bytes.Cut(args, []byte(" "))
		return ok && len(more) > 0
	}
	return false
}

// refuses says why a literal is not taken, if it is not.
func (r *Reader) refuses(lit *Literal) string {
	switch {
	case lit.Binary:
		return "Binary literal where none may be"
	case lit.Size > r.lim.Literal, int64(len(r.buf))+lit.Size > int64(r.lim.Command):
		return "Literal too large"
	}
	return ""
}

// readLiteral reads a literal into the buffer, behind its announcement's line end, and the line that follows it.
func (r *Reader) readLiteral(lit *Literal, contin func() error) (next []byte, fault string, err error) {
	if !lit.NonSync {
		if err := contin(); err != nil {
			return nil, "", err
		}
	}
	r.buf = append(r.buf, "\r\n"...)
	start := len(r.buf)
	r.buf = append(r.buf, make([]byte, lit.Size)...)
	if _, err := io.ReadFull(r.br, r.buf[start:]); err != nil {
		return nil, "", unexpected(err)
	}
	if bytes.IndexByte(r.buf[start:], 0) >= 0 {
		fault = "NUL is not allowed"
	}
	next, err = r.readLine(r.lim.Line)
	if len(r.buf) > r.lim.Command && fault == "" {
		fault = "Command too long"
	}
	return next, fault, err
}

// announcement answers the literal that a line's end announces, if any, and where the announcement begins. A fault is told when the
// line holds what no line may, or when a string or a literal stands where none can; lit is set all the same. With unicode, what is not ASCII must
// be UTF-8.
func announcement(line []byte, unicode bool) (lit *Literal, at int, fault string) {
	quoted, escaped := false, false
	for _, c := range line {
		switch {
		case c == 0:
			fault = "NUL is not allowed"
		case c == '\r':
			fault = "CR without LF is not allowed"
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		}
	}
	if quoted {
		fault = "Quoted string without end"
	}
	if unicode && fault == "" && !utf8.Valid(line) { // RFC 9755, 3
		fault = "Not valid UTF-8"
	}
	lit, at = parseAnnouncement(line)
	if lit != nil && fault == "" && at > 0 && line[at-1] != ' ' && line[at-1] != '(' {
		fault = "Literal where none may be"
	}
	return lit, at, fault
}

// parseAnnouncement reads "~{12+}" at the end of a line. A number too large for its type becomes the largest there is.
func parseAnnouncement(line []byte) (lit *Literal, at int) {
	n := len(line)
	if n < len("{0}") || line[n-1] != '}' {
		return nil, 0
	}
	lit = &Literal{}
	end := n - 1
	if line[end-1] == '+' {
		lit.NonSync = true
		end--
	}
	at = end
	for at > 0 && '0' <= line[at-1] && line[at-1] <= '9' {
		at--
	}
	if at == end || at == 0 || line[at-1] != '{' {
		return nil, 0
	}
	for _, c := range line[at:end] {
		if lit.Size > (math.MaxInt64-9)/10 {
			lit.Size = math.MaxInt64
			break
		}
		lit.Size = lit.Size*10 + int64(c-'0')
	}
	at--
	if at > 0 && line[at-1] == '~' {
		lit.Binary = true
		at--
	}
	return lit, at
}

// skipCommand passes over the rest of a command that is not taken, of which line was read last, and answers why it is not. A
// synchronising literal ends it at once: its client waits, and gives the command up at the answer.
func (r *Reader) skipCommand(line []byte, fault string) error {
	if err := r.skipRest(line, r.lim.Skip); err != nil {
		return err
	}
	return &SyntaxError{Tag: r.cmd.Tag, Text: fault}
}

// skipRest skips what the end of line announces, and the lines behind; they and the literals may be limit octets.
func (r *Reader) skipRest(line []byte, limit int64) error {
	for {
		lit, _ := parseAnnouncement(line)
		if lit == nil || !lit.NonSync {
			return nil
		}
		if lit.Size > limit {
			return r.lose(errLiteralTooLong)
		}
		if err := r.discard(lit.Size); err != nil {
			return err
		}
		r.buf = r.buf[:0]
		var err error
		if line, err = r.readLine(r.lim.Line); err != nil {
			return err
		}
		limit -= lit.Size + int64(len(line))
	}
}

func (r *Reader) lose(err error) error {
	r.lost = err
	return err
}

func (r *Reader) discard(n int64) error {
	if _, err := io.CopyN(io.Discard, r.br, n); err != nil {
		return unexpected(err)
	}
	return nil
}

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

// ErrResponse is what a ResponseReader answers when a mail store sends something that is no IMAP response.
var ErrResponse = errors.New("malformed response from the mail store")

// streamBuffer is what a ResponseReader borrows while it streams a literal.
const streamBuffer = 32 << 10

var streamBuffers = sync.Pool{New: func() any { b := make([]byte, streamBuffer); return &b }}

// Kind is the class of a response (RFC 9051, 7).
type Kind int

// The three classes of responses.
const (
	Untagged     Kind = iota // "* …"
	Tagged                   // "tag OK …"
	Continuation             // "+ …"
)

// Response is the head of one response: enough to decide where the rest goes.
type Response struct {
	Kind Kind
	Tag  string // of a tagged one
	Num  uint32 // the number of "* 12 FETCH"
	Name []byte // the word that names it, as sent: OK, FETCH, LIST, …; valid until the next read
	// Rest is what the first line holds behind the name and its space, without the line's end, and ending in {n} when a
	// literal follows; valid until the next read. A line longer than the reader's buffer is cut here, and here alone.
	Rest []byte

	line    []byte // the first piece of the line, its end included
	partial bool   // the line goes on behind line
}

// Is tells whether the response is named name, in any case (name in upper case).
func (r *Response) Is(name string) bool { return equalFold(r.Name, name) }

func equalFold(b []byte, upper string) bool {
	if len(b) != len(upper) {
		return false
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// ResponseReader reads what a mail store sends, response by response, without holding one whole: each is classified by its
// first line and then copied, collected or skipped.
type ResponseReader struct {
	br   *input
	src  copier // where br reads from, if it can do without our buffer; else nil
	resp Response
	open bool // the current response has not been consumed
}

// copier is a connection that can send what it receives on by itself.
type copier interface {
	// CopyNTo writes the next n octets to w. It errs when fewer were written, with io.EOF at the connection's end.
	CopyNTo(w io.Writer, n int64) (int64, error)
}

// NewResponseReader reads responses from r.
func NewResponseReader(r io.Reader) *ResponseReader {
	src, _ := r.(copier)
	return &ResponseReader{br: &input{src: r}, src: src}
}

// Buffered tells whether octets of a further response are here already.
func (r *ResponseReader) Buffered() bool { return r.br.buffered() > 0 }

// Rest gives memory back while nothing is read. What was read last is not valid any more.
func (r *ResponseReader) Rest() { r.br.release() }

// Expect says whether more is to come at once, so that the next read need not be one that can wait for long without a buffer.
func (r *ResponseReader) Expect(more bool) { r.br.flow = more }

// Next reads the head of the next response; what was left of the one before is skipped. The answer is valid until the next call.
func (r *ResponseReader) Next() (*Response, error) {
	if r.open {
		if err := r.Copy(io.Discard); err != nil {
			return nil, err
		}
	}
	line, partial, err := r.readLine()
	if err != nil {
		return nil, err
	}
	r.resp = Response{line: line, partial: partial}
	if err := r.resp.classify(); err != nil {
		return nil, err
	}
	r.open = true
	return &r.resp, nil
}

// readLine answers the next line with its end, or as much of it as the buffer takes.
func (r *ResponseReader) readLine() (line []byte, partial bool, err error) {
	line, err = r.br.readSlice('\n')
	switch {
	case errors.Is(err, errBufferFull):
		return line, true, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, false, io.ErrUnexpectedEOF
	}
	return line, false, err
}

func (r *Response) classify() error {
	line := trimEOL(r.line)
	first, rest, _ := bytes.Cut(line, []byte(" "))
	switch {
	case len(first) == 0:
		return fmt.Errorf("%w: empty line", ErrResponse)
	case len(first) == 1 && first[0] == '+':
		r.Kind, r.Rest = Continuation, rest
		return nil
	case len(first) == 1 && first[0] == '*':
		r.Kind = Untagged
	default:
		r.Kind, r.Tag = Tagged, string(first)
	}
	name, rest, _ := bytes.Cut(rest, []byte(" "))
	if r.Kind == Untagged && len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
		n, err := strconv.ParseUint(string(name), 10, 32)
		if err != nil {
			return fmt.Errorf("%w: number", ErrResponse)
		}
		r.Num = uint32(n)
		name, rest, _ = bytes.Cut(rest, []byte(" "))
	}
	if len(name) == 0 {
		return fmt.Errorf("%w: no name", ErrResponse)
	}
	r.Name, r.Rest = name, rest
	return nil
}

func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// Copy writes the current response to w, octet for octet, literals streamed.
func (r *ResponseReader) Copy(w io.Writer) error {
	r.open = false
	line, partial := r.resp.line, r.resp.partial
	literals := r.resp.announcing()
	var tail [maxAnnouncement]byte // the end of a line that came in pieces, in case it announces a literal
	kept := 0
	for {
		if _, err := w.Write(line); err != nil {
			return err
		}
		if partial || kept > 0 {
			kept = keepTail(&tail, kept, line)
		}
		if !partial {
			end := line
			if kept > 0 {
				end = tail[:kept]
			}
			n, ok := announcedLiteral(end)
			if !ok || !literals.may() {
				return nil
			}
			kept = 0
			if err := r.copyLiteral(w, n); err != nil {
				return err
			}
		}
		var err error
		if line, partial, err = r.readLine(); err != nil {
			return unexpected(err)
		}
		literals.read(line)
	}
}

// maxAnnouncement is longer than any "~{18446744073709551615+}\r\n".
const maxAnnouncement = 32

func keepTail(tail *[maxAnnouncement]byte, kept int, piece []byte) int {
	if len(piece) >= maxAnnouncement {
		return copy(tail[:], piece[len(piece)-maxAnnouncement:])
	}
	if over := kept + len(piece) - maxAnnouncement; over > 0 {
		kept = copy(tail[:], tail[over:kept])
	}
	return kept + copy(tail[kept:], piece)
}

// announcedLiteral answers the size of the literal that a line's end announces.
func announcedLiteral(line []byte) (int64, bool) {
	line = trimEOL(line)
	if len(line) < 3 || line[len(line)-1] != '}' {
		return 0, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(line[open+1:len(line)-1], []byte("+"))), 10, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}

func (r *ResponseReader) copyLiteral(w io.Writer, n int64) error {
	if r.src != nil && n-int64(r.br.buffered()) >= inputBuffer {
		return r.passLiteral(w, n)
	}
	buf := streamBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	defer streamBuffers.Put(buf)
	for n > 0 {
		m, err := r.br.Read((*buf)[:min(n, streamBuffer)])
		if m > 0 {
			if _, werr := w.Write((*buf)[:m]); werr != nil {
				return werr
			}
			n -= int64(m)
		}
		if err != nil && n > 0 {
			return unexpected(err)
		}
	}
	return nil
}

// passLiteral writes what is buffered of a literal and has the connection send the rest on.
func (r *ResponseReader) passLiteral(w io.Writer, n int64) error {
	p := r.br.peek(int(min(n, int64(r.br.buffered()))))
	if _, err := w.Write(p); err != nil {
		return err
	}
	r.br.skip(len(p))
	_, err := r.src.CopyNTo(w, n-int64(len(p)))
	return unexpected(err)
}

// Collect answers the whole current response, literals inline and its last line's end removed. One of more than limit
// octets is an error, and the connection is then of no more use.
func (r *ResponseReader) Collect(limit int) ([]byte, error) {
	b := collector{limit: limit}
	if err := r.Copy(&b); err != nil {
		return nil, err
	}
	return trimEOL(b.buf), nil
}

type collector struct {
	buf   []byte
	limit int
}

func (c *collector) Write(p []byte) (int, error) {
	if len(c.buf)+len(p) > c.limit {
		return 0, fmt.Errorf("%w: longer than %d octets", ErrResponse, c.limit)
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// CutLiteral splits command arguments, as Command.Args holds them, at their first literal: head is what stands before the
// announcement, size its octets, rest what follows the announcement's line end. Without a literal ok is false and head
// is all. A line end stands nowhere else in arguments, so that quoted text is never taken for a literal.
func CutLiteral(args []byte) (head []byte, size int64, rest []byte, ok bool) {
	eol := bytes.Index(args, []byte("\r\n"))
	if eol < 0 {
		return args, 0, nil, false
	}
	size, ok = announcedLiteral(args[:eol])
	if !ok || size > int64(len(args)-eol-2) {
		return args, 0, nil, false
	}
	open := bytes.LastIndexByte(args[:eol], '{')
	if open > 0 && args[open-1] == '~' {
		open--
	}
	return args[:open], size, args[eol+2:], true
}

// FetchedUID answers the UID of a FETCH response that holds nothing but numbers and flags, 0 of any other. only says that it holds
// nothing that a client wants to know: the UID, and a modification sequence, which a mail store adds for some clients.
func FetchedUID(rest []byte) (uid uint32, only bool) {
	p := NewParser(rest)
	only = true
	err := p.List(func() error {
		name, err := p.Word()
		if err != nil {
			return err
		}
		if err := p.SP(); err != nil {
			return err
		}
		switch name {
		case "UID":
			uid, err = p.Number()
		case "MODSEQ":
			err = p.List(func() error { _, err := p.Number64(); return err })
		case "FLAGS":
			only = false
			_, err = p.FlagList()
		default:
			err = syntax("Another item")
		}
		return err
	})
	if err != nil || uid == 0 || p.End() != nil {
		return 0, false
	}
	return uid, only
}

// AppendNumbers appends the numbers that stand in a line such as "* SEARCH 2 84 882" to list; other words are passed over.
func AppendNumbers(list []uint32, line []byte) []uint32 {
	for word := range bytes.FieldsSeq(line) {
		if n, err := strconv.ParseUint(string(word), 10, 32); err == nil {
			list = append(list, uint32(n))
		}
	}
	return list
}

// maxFound bounds the numbers that one ESEARCH makes of its ranges.
const maxFound = 8 << 20

// AppendFound appends the numbers that a line such as `* ESEARCH (TAG "a") UID ALL 2,84:86` tells of (RFC 4731) to list.
func AppendFound(list []uint32, line []byte) ([]uint32, error) {
	_, text, found := bytes.Cut(line, []byte(" ALL "))
	if !found {
		return list, nil
	}
	set, err := NewParser(text).NumSet()
	if err != nil {
		return list, fmt.Errorf("%w: ESEARCH", ErrResponse)
	}
	for _, r := range set.Ranges {
		if r.First == 0 || r.Last < r.First || int64(r.Last-r.First)+int64(len(list)) >= maxFound {
			return list, fmt.Errorf("%w: ESEARCH", ErrResponse)
		}
		for n := r.First; ; n++ {
			list = append(list, n)
			if n == r.Last {
				break
			}
		}
	}
	return list, nil
}

// FormatNumbers writes numbers as a sequence set, in ascending order, neighbours joined: "1:3,7". Without numbers it is "".
func FormatNumbers(list []uint32) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return FormatOrdered(slices.Compact(list))
}

// FormatOrdered writes numbers as a sequence set in the order they have, joining those that follow one another by one.
func FormatOrdered(list []uint32) string {
	var b []byte
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(list[i]), 10)
		if j > i {
			b = strconv.AppendUint(append(b, ':'), uint64(list[j]), 10)
		}
		i = j + 1
	}
	return string(b)
}

// LiteralSize is the size of the literal that the response's first line announces.
func (r *Response) LiteralSize() (int64, bool) {
	if literals := r.announcing(); r.partial || !literals.may() {
		return 0, false
	}
	return announcedLiteral(r.line)
}

// CopyLiteral writes the octets of the literal that the current response's first line announces to w and skips the rest.
func (r *ResponseReader) CopyLiteral(w io.Writer) error {
	size, ok := r.resp.LiteralSize()
	if !ok {
		return fmt.Errorf("%w: no literal", ErrResponse)
	}
	return r.Copy(&window{w: w, skip: int64(len(r.resp.line)), n: size})
}

// window passes on n octets behind the first skip.
type window struct {
	w       io.Writer
	skip, n int64
}

func (w *window) Write(p []byte) (int, error) {
	all := len(p)
	skipped := min(w.skip, int64(len(p)))
	w.skip -= skipped
	p = p[skipped:]
	p = p[:min(w.n, int64(len(p)))]
	w.n -= int64(len(p))
	if len(p) > 0 {
		if _, err := w.w.Write(p); err != nil {
			return 0, err
		}
	}
	return all, nil
}

// Package header reads the header of a message as the octets it is made of: fields in their order, each with its lines as they came.
// It answers no header that programs could read in two ways; what a field means is for others.
package header

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Max is how many octets a header may have. Real ones have a few thousand; a long list of recipients needs some tens of thousands.
const Max = 100 << 10

// ErrTooLarge is answered for a header of more than Max octets.
var ErrTooLarge = fmt.Errorf("header is larger than %d octets", Max)

// SyntaxError says why a header cannot be read in one way only.
type SyntaxError struct {
	Line int // of the message, from 1
	What string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("header, line %d: %s", e.Line, e.What) }

// Field is one field of a header.
type Field struct {
	Name string
	Raw  []byte // all its lines, with the name and their ends
}

// Is tells whether the field has a name, in any case.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Value is what stands behind the colon, line ends within it included, the last one not.
func (f Field) Value() []byte {
	return bytes.TrimSuffix(f.Raw[len(f.Name)+1:], []byte("\r\n"))
}

// Text is the value on one line, without white space around it (RFC 5322, 2.2.3).
func (f Field) Text() string {
	return strings.Trim(strings.ReplaceAll(string(f.Value()), "\r\n", ""), " \t")
}

// Header is the header of a message.
type Header struct {
	Fields []Field
	// Alone says that no empty line ended it: the message has no body.
	Alone bool
}

// Get answers the first field of a name.
func (h *Header) Get(name string) (Field, bool) {
	for _, f := range h.Fields {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// Count is how many fields of a name there are.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.Fields {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// MessageID is the id of the message with its angle brackets, or empty.
func (h *Header) MessageID() string {
	f, ok := h.Get("Message-ID")
	if !ok {
		return ""
	}
	if ids := IDs(f.Text()); len(ids) > 0 {
		return ids[0]
	}
	return f.Text()
}

// IDs answers the message ids of a text, with their angle brackets (RFC 5322, 3.6.4).
func IDs(text string) []string {
	var ids []string
	for {
		start := strings.IndexByte(text, '<')
		if start < 0 {
			return ids
		}
		text = text[start:]
		end := strings.IndexAny(text[1:], "<> \t") + 1
		if end == 0 {
			return ids
		}
		if text[end] == '>' && end > 1 {
			ids = append(ids, text[:end+1])
		}
		text = text[end:]
	}
}

// Bytes is the header as it is sent: its fields, and the empty line that ends them.
func (h *Header) Bytes() []byte {
	size := 2
	for _, f := range h.Fields {
		size += len(f.Raw)
	}
	b := make([]byte, 0, size)
	for _, f := range h.Fields {
		b = append(b, f.Raw...)
	}
	if h.Alone {
		return b
	}
	return append(b, "\r\n"...)
}

// Read reads the header of the message that r begins with. body goes on exactly behind the empty line that ends it; nothing of r
// is lost. The error is ErrTooLarge, a *SyntaxError, or one of r.
func Read(r io.Reader) (h *Header, body io.Reader, err error) {
	in := bufio.NewReader(r)
	p := parser{header: &Header{}}
	for {
		part, err := in.ReadSlice('\n')
		if len(p.block)+len(part) > Max {
			return nil, nil, ErrTooLarge
		}
		p.block = append(p.block, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			h, err := p.finish()
			return h, in, err
		case err != nil:
			return nil, nil, fmt.Errorf("read a header: %w", err)
		}
		ended, err := p.line()
		if err != nil {
			return nil, nil, err
		}
		if ended {
			h, err := p.fields()
			return h, in, err
		}
	}
}

// parser gathers the lines of a header.
type parser struct {
	header *Header
	block  []byte
	begin  int   // where the line that is being read begins
	starts []int // where fields begin
	lines  int
}

// line takes the line that has been read to its end, and tells whether it is the one that ends the header.
func (p *parser) line() (ended bool, err error) {
	p.lines++
	line := p.block[p.begin:]
	if !bytes.HasSuffix(line, []byte("\r\n")) {
		return false, p.fault("LF without CR")
	}
	line = line[:len(line)-2]
	if len(line) == 0 {
		p.block = p.block[:p.begin]
		return true, nil
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		return false, p.fault("CR without LF")
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return false, p.fault("NUL")
	}
	if line[0] == ' ' || line[0] == '\t' {
		err = p.continued(line)
	} else {
		err = p.first(line)
	}
	p.begin = len(p.block)
	return false, err
}

func (p *parser) continued(line []byte) error {
	if len(p.starts) == 0 {
		return p.fault("continues a line that is not there")
	}
	if len(bytes.Trim(line, " \t")) == 0 {
		return p.fault("white space only") // an end of the header to some (RFC 5322, 4.2)
	}
	return nil
}

// first takes the first line of a field.
func (p *parser) first(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return p.fault("no field name")
	}
	for _, c := range line[:colon] {
		if c <= ' ' || c > '~' { // RFC 5322, 2.2; a space before the colon is its obsolete form
			return p.fault("field name with a sign that is not allowed in one")
		}
	}
	p.starts = append(p.starts, p.begin)
	return nil
}

// finish takes what stands behind the last line end when no empty line ended the header.
func (p *parser) finish() (*Header, error) {
	p.header.Alone = true
	if p.begin < len(p.block) {
		p.block = append(p.block, "\r\n"...)
		if _, err := p.line(); err != nil {
			return nil, err
		}
	}
	return p.fields()
}

func (p *parser) fields() (*Header, error) {
	p.header.Fields = make([]Field, len(p.starts))
	for i, start := range p.starts {
		end := len(p.block)
		if i+1 < len(p.starts) {
			end = p.starts[i+1]
		}
		raw := p.block[start:end:end]
		p.header.Fields[i] = Field{Name: string(raw[:bytes.IndexByte(raw, ':')]), Raw: raw}
	}
	return p.header, nil
}

func (p *parser) fault(what string) error { return &SyntaxError{p.lines, what} }

package structure

import (
	"bytes"
	"slices"
	"strings"
)

// Parser is a streaming parser: Write the message in pieces of any size, then call Finish once.
//
// It works on lines. The innermost open part is the last of stack; a line that begins with the delimiter of an open
// multipart ends all parts within that multipart.
type Parser struct {
	lim    Limits
	header []byte // the top header block, nil once too long
	budget int    // octets of header values that may still be kept
	parts  int
	frozen bool // the limit of parts is reached: delimiters count no more

	stack    []*node
	top      *node
	inHeader bool
	field    []byte // the header field being read, unfolded

	line      []byte // the start of the current line, without its end
	lineStart int64  // offset of the current line
	off       int64  // octets seen
	newlines  int64  // LFs seen before the current line
	prevEnd   int64  // octets of the end of the previous line: 0, 1 or 2
	lastCR    bool   // the last octet of the current line so far is CR
}

// node is a part while it is read.
type node struct {
	fields    map[string]string // of the names in wantedFields, lower case, raw, unfolded
	media     media
	header    int64
	body      int64
	end       int64
	bodyLine  int64 // LFs before the body
	lines     int64 // LFs of the body
	isMessage bool  // the top of a message: it has an envelope
	digest    bool  // its default type is message/rfc822
	boundary  string
	children  []*node
}

// prefixKept is how much of a body line is looked at: a delimiter is two hyphens, a boundary and two hyphens.
const prefixKept = 2 + maxBoundary + 2

// NewParser answers a parser at the start of a message.
func NewParser(lim Limits) *Parser {
	lim = lim.withDefaults()
	lim.Boundary = min(lim.Boundary, maxBoundary)
	p := &Parser{lim: lim, budget: lim.Fields, header: []byte{}}
	p.top = &node{isMessage: true}
	p.open(p.top, 0)
	return p
}

// Write takes the next octets of the message. It never fails.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.add(b)
			break
		}
		p.add(b[:i])
		eol := int64(1)
		if p.lastCR {
			eol = 2
			p.dropCR()
		}
		p.off++
		if p.inTopHeader() {
			p.keepHeader(b[i : i+1])
		}
		p.endLine(eol)
		b = b[i+1:]
	}
	return n, nil
}

func (p *Parser) add(b []byte) {
	if len(b) == 0 {
		return
	}
	if p.inTopHeader() {
		p.keepHeader(b)
	}
	limit := prefixKept
	if p.inHeader {
		limit = p.lim.Field
	}
	// One octet more than the limit is kept so that a CR at the very end is seen as what it is by dropCR.
	if room := limit + 1 - len(p.line); room > 0 {
		p.line = append(p.line, b[:min(room, len(b))]...)
	}
	p.off += int64(len(b))
	p.lastCR = b[len(b)-1] == '\r'
}

// dropCR takes the CR of the line's end off the kept start of the line, if the start reaches that far.
func (p *Parser) dropCR() {
	if int64(len(p.line)) == p.off-p.lineStart {
		p.line = p.line[:len(p.line)-1]
	}
}

func (p *Parser) inTopHeader() bool { return p.inHeader && len(p.stack) == 1 }

func (p *Parser) keepHeader(b []byte) {
	if p.header == nil {
		return
	}
	if len(p.header)+len(b) > p.lim.Header {
		p.header = nil
		return
	}
	p.header = append(p.header, b...)
}

// endLine takes the line that ends at p.off, its end being eol octets long (0 at the end of the message).
func (p *Parser) endLine(eol int64) {
	switch {
	case p.delimiter():
	case p.inHeader:
		p.headerLine()
	}
	if eol > 0 {
		p.newlines++
	}
	if p.inHeader && len(p.line) == 0 && eol > 0 {
		p.endHeader(p.off)
	}
	p.prevEnd = eol
	p.lineStart = p.off
	p.line = p.line[:0]
	p.lastCR = false
}

func (p *Parser) cur() *node { return p.stack[len(p.stack)-1] }

// open begins part n, whose header starts at off.
func (p *Parser) open(n *node, off int64) {
	n.header, n.body, n.end = off, off, off
	n.fields = map[string]string{}
	p.stack = append(p.stack, n)
	p.parts++
	p.inHeader = true
	p.field = p.field[:0]
}

// delimiter takes the line if it delimits parts of an open multipart.
func (p *Parser) delimiter() bool {
	if p.frozen || len(p.line) < 2 || p.line[0] != '-' || p.line[1] != '-' {
		return false
	}
	line := p.line[2:]
	// RFC 2046, 5.1.1: a delimiter need only begin the line. Boundaries that begin one another are told apart by the
	// longest, equal ones by the innermost.
	level, longest := -1, 0
	for i, n := range slices.Backward(p.stack) {
		b := n.boundary
		if len(b) > longest && len(line) >= len(b) && string(line[:len(b)]) == b {
			level, longest = i, len(b)
		}
	}
	if level < 0 {
		return false
	}
	m := p.stack[level]
	last := bytes.HasPrefix(line[longest:], []byte("--"))
	p.closeAbove(level)
	if last {
		m.boundary = "" // what follows is its epilogue
		return true
	}
	if p.parts >= p.lim.Parts {
		p.frozen = true
		return true
	}
	child := &node{digest: strings.EqualFold(m.media.subtype, "digest")}
	m.children = append(m.children, child)
	p.open(child, p.off)
	return true
}

// closeAbove ends all parts deeper than level before the current line, a delimiter: the line end before it is the delimiter's.
func (p *Parser) closeAbove(level int) {
	end, lines := p.lineStart-p.prevEnd, p.newlines
	if p.prevEnd > 0 {
		lines--
	}
	if len(p.stack)-1 > level {
		// A part ends no earlier than its header, and what is in it no later than the part, even where the line end that
		// is the delimiter's was also the empty line of a header within.
		end = max(end, p.stack[level+1].body)
	}
	for len(p.stack)-1 > level {
		n := p.cur()
		if p.inHeader { // only ever the innermost
			p.flushField()
			p.inHeader = false
			n.body, n.bodyLine = max(end, n.header), lines
			n.settle(p.lim)
			p.emptyMessage(n)
		}
		if len(p.stack)-2 > level {
			n.header, n.body = min(n.header, end), min(n.body, end)
		}
		n.finish(end, lines)
		p.stack = p.stack[:len(p.stack)-1]
	}
}

func (n *node) finish(end, lines int64) {
	n.end = max(end, n.body)
	n.lines = max(lines-n.bodyLine, 0)
}

// headerLine takes one line of the header being read.
func (p *Parser) headerLine() {
	line := p.line[:min(len(p.line), p.lim.Field)]
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && len(p.field) > 0 {
		// Unfolding (RFC 5322, 2.2.3): the line end goes, the space stays; a tab becomes a space as clients expect.
		room := max(p.lim.Field-len(p.field), 0)
		from := len(p.field)
		p.field = append(p.field, line[:min(room, len(line))]...)
		if from < len(p.field) {
			p.field[from] = ' '
		}
		return
	}
	p.flushField()
	p.field = append(p.field[:0], line...)
}

// flushField keeps the header field just read if it is wanted.
func (p *Parser) flushField() {
	defer func() { p.field = p.field[:0] }()
	colon := bytes.IndexByte(p.field, ':')
	if colon <= 0 {
		return
	}
	name := strings.ToLower(strings.TrimRight(string(p.field[:min(colon, 64)]), " \t"))
	n := p.cur()
	kind, ok := wantedFields[name]
	if !ok || (kind == ofMessage || kind == ofMessageList) && !n.isMessage {
		return
	}
	value := bytes.TrimSpace(p.field[colon+1:])
	old, again := n.fields[name]
	if again && kind != ofMessageList { // the first one counts
		return
	}
	price := cost(kind, name, value)
	if price > p.budget {
		return
	}
	p.budget -= price
	if again { // two To fields are one list to clients
		n.fields[name] = old + ", " + string(value)
		return
	}
	n.fields[name] = string(value)
}

// cost is what a value takes of the budget. A list of one-letter addresses is told in far more octets than it has, and From
// up to three times; without this a message could make its texts larger than a transaction.
func cost(kind fieldKind, name string, value []byte) int {
	const perAddress = 32 // (NIL NIL "" "MISSING_DOMAIN")
	price := len(value)
	if kind == ofMessage || kind == ofMessageList {
		for _, c := range value {
			if c == ',' || c == ';' || c == ':' {
				price += perAddress
			}
		}
	}
	if name == "from" {
		price *= 3
	}
	return price
}

// endHeader ends the header of the current part; its body starts at off.
func (p *Parser) endHeader(off int64) {
	p.flushField()
	p.inHeader = false
	n := p.cur()
	n.body, n.bodyLine = off, p.newlines
	n.settle(p.lim)
	switch {
	case !n.media.isMultipart() && !n.media.isMessage():
	case len(p.stack) >= p.lim.Nesting, p.parts >= p.lim.Parts:
		n.media.opaque()
	case n.media.isMultipart():
		n.boundary = n.media.boundary(p.lim.Boundary)
	default:
		inner := &node{isMessage: true}
		n.children = append(n.children, inner)
		p.open(inner, off)
	}
}

// emptyMessage gives a message/rfc822 part without body the message that the grammar wants in it.
func (p *Parser) emptyMessage(n *node) {
	if !n.media.isMessage() {
		return
	}
	inner := &node{isMessage: true, header: n.body, body: n.body, end: n.body, bodyLine: n.bodyLine}
	inner.settle(p.lim)
	n.children = append(n.children, inner)
	p.parts++
}

// Finish ends the message and answers what was found. The parser is of no use afterwards.
func (p *Parser) Finish() Result {
	if p.off > p.lineStart {
		p.endLine(0)
	}
	for p.inHeader { // the end of a message/rfc822's header opens that of the message within
		p.endHeader(p.off)
	}
	for _, n := range slices.Backward(p.stack) {
		n.finish(p.off, p.newlines)
	}
	references := p.top.fields["references"]
	return Result{
		Envelope:      p.top.appendEnvelope(nil),
		Body:          p.top.appendBody(nil, false),
		BodyStructure: p.top.appendBody(nil, true),
		Header:        p.header,
		References:    []byte(references[max(0, len(references)-maxReferences):]),
		Parts:         p.top.appendParts(nil, 0),
		Size:          p.off,
	}
}

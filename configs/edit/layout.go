package edit

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// line is a line with its end, counted from one.
func (d *Document) line(n int) []byte {
	return d.text[d.lines[n-1]:d.lineEnd(n)]
}

// lineEnd is where the next line starts.
func (d *Document) lineEnd(n int) int {
	if n < len(d.lines) {
		return d.lines[n]
	}
	return len(d.text)
}

// lineOf is the number of the line that holds an offset.
func (d *Document) lineOf(offset int) int {
	low, high := 0, len(d.lines)
	for high-low > 1 {
		if middle := (low + high) / 2; d.lines[middle] <= offset {
			low = middle
		} else {
			high = middle
		}
	}
	return low + 1
}

// blank tells whether a line holds nothing.
func (d *Document) blank(n int) bool { return len(bytes.TrimSpace(d.line(n))) == 0 }

// indent is the number of blanks a line begins with.
func (d *Document) indent(n int) int {
	line := d.line(n)
	return len(line) - len(bytes.TrimLeft(line, " "))
}

// comment tells whether a line holds a comment alone.
func (d *Document) comment(n int) bool {
	return bytes.HasPrefix(bytes.TrimLeft(d.line(n), " \t"), []byte("#"))
}

// start is the offset of a node. Columns count characters.
func (d *Document) start(n *yaml.Node) int {
	offset := d.lines[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(d.text[offset:])
		offset += size
	}
	return offset
}

// end is the offset behind a node; around is the column of the key or dash it belongs to, which ends a text of several lines.
func (d *Document) end(n *yaml.Node, around int) (int, error) {
	start := d.start(n)
	if n.Kind == yaml.ScalarNode {
		return d.scalarEnd(n, start, around)
	}
	if n.Style&yaml.FlowStyle != 0 {
		return d.flowEnd(n, start)
	}
	if len(n.Content) == 0 {
		return 0, d.unclear(n)
	}
	last, column := n.Content[len(n.Content)-1], n.Column
	if n.Kind == yaml.MappingNode {
		column = n.Content[len(n.Content)-2].Column
		if absent(last) {
			return d.colon(n.Content[len(n.Content)-2])
		}
	}
	return d.end(last, column)
}

func (d *Document) unclear(n *yaml.Node) error {
	return d.problem(n, "change it with an editor", "the layout of what stands here is not understood")
}

// absent tells whether nothing is written where a value could stand.
func absent(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

func (d *Document) scalarEnd(n *yaml.Node, start, around int) (int, error) {
	switch {
	case absent(n):
		return start, nil
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := start + 1; i < len(d.text); i++ {
			if d.text[i] != '\'' {
				continue
			}
			if i+1 == len(d.text) || d.text[i+1] != '\'' {
				return i + 1, nil
			}
			i++
		}
		return 0, d.unclear(n)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := start + 1; i < len(d.text); i++ {
			switch d.text[i] {
			case '\\':
				i++
			case '"':
				return i + 1, nil
			}
		}
		return 0, d.unclear(n)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return d.blockTextEnd(n.Line, around), nil
	}
	return d.plainEnd(n, start)
}

// blockTextEnd is the end of a text of several lines, the first of which holds only its mark: the lines deeper than the key's.
func (d *Document) blockTextEnd(first, around int) int {
	last := first
	for n := first + 1; n <= len(d.lines); n++ {
		if d.blank(n) {
			continue
		}
		if d.indent(n) < around {
			break
		}
		last = n
	}
	return d.contentEnd(last)
}

// contentEnd is the end of a line without its line end.
func (d *Document) contentEnd(n int) int {
	return d.lines[n-1] + len(bytes.TrimRight(d.line(n), "\r\n"))
}

// plainEnd follows a text without quotes through the file. Where it has blanks the file may have a line end and an indentation.
func (d *Document) plainEnd(n *yaml.Node, start int) (int, error) {
	at := start
	for i := 0; i < len(n.Value); i++ {
		c := n.Value[i]
		if c == ' ' || c == '\t' || c == '\n' {
			for at < len(d.text) && space(d.text[at]) {
				at++
			}
			for i+1 < len(n.Value) && space(n.Value[i+1]) {
				i++
			}
			continue
		}
		if at >= len(d.text) || d.text[at] != c {
			return 0, d.unclear(n)
		}
		at++
	}
	return at, nil
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// flowEnd is the end of what stands in braces or brackets.
func (d *Document) flowEnd(n *yaml.Node, start int) (int, error) {
	at, closing := start+1, byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	if len(n.Content) > 0 {
		var err error
		if at, err = d.end(n.Content[len(n.Content)-1], 0); err != nil {
			return 0, err
		}
	}
	for ; at < len(d.text); at++ {
		switch c := d.text[at]; {
		case c == closing:
			return at + 1, nil
		case c == '#':
			for at+1 < len(d.text) && d.text[at+1] != '\n' {
				at++
			}
		case space(c), c == ',', c == ':':
		default:
			return 0, d.unclear(n)
		}
	}
	return 0, d.unclear(n)
}

// colon is the offset behind the colon of a key.
func (d *Document) colon(key *yaml.Node) (int, error) {
	at, err := d.end(key, 0)
	if err != nil {
		return 0, err
	}
	for at < len(d.text) && d.text[at] == ' ' {
		at++
	}
	if at == len(d.text) || d.text[at] != ':' {
		return 0, d.unclear(key)
	}
	return at + 1, nil
}

// pairEnd is the offset behind a key and its value.
func (d *Document) pairEnd(key, value *yaml.Node, braces bool) (int, error) {
	if !absent(value) {
		return d.end(value, key.Column)
	}
	if braces {
		if at, err := d.colon(key); err == nil {
			return at, nil
		}
		return d.end(key, 0) // {key}
	}
	return d.colon(key)
}

// dash finds the offset of the dash of an entry of a block list.
func (d *Document) dash(list, item *yaml.Node) (int, error) {
	for n := item.Line; n > 0; n-- {
		at := d.start(&yaml.Node{Line: n, Column: 1}) + list.Column - 1
		if at < d.lineEnd(n) && d.text[at] == '-' && d.indent(n) == list.Column-1 && (at+1 == len(d.text) || space(d.text[at+1])) {
			return at, nil
		}
		if n < item.Line && !d.blank(n) && !d.comment(n) {
			break
		}
	}
	return 0, d.problem(item, "write each entry on lines of its own", "the entry cannot be edited: other text stands on its line")
}

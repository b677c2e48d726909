package edit

import (
	"fmt"
	"regexp"
	"strings"
)

// plainText needs no quotes, in braces neither: a word or several, no mark of YAML's among them.
var plainText = regexp.MustCompile(`^(\pL[\pL\pN ._@+/'*-]*|[0-9]+[A-Za-z]+)$`)

// render is a value on one line.
func (v Value) render() string {
	switch {
	case v.Items != nil:
		items := make([]string, len(v.Items))
		for i, fields := range v.Items {
			items[i] = braces(fields)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Fields != nil:
		return braces(v.Fields)
	}
	return quote(v.Text)
}

func braces(fields []Field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Key + ": " + f.Value.render()
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func quote(s string) string {
	if plainText.MatchString(s) && !strings.HasSuffix(s, " ") && !strings.EqualFold(s, "null") {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == '\ufeff':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// lines are a key and its value as lines of a block, without their ends.
func (f Field) lines(indent string) []string {
	if f.Value.Items == nil {
		return []string{indent + f.Key + ": " + f.Value.render()}
	}
	lines := []string{indent + f.Key + ":"}
	for _, fields := range f.Value.Items {
		lines = append(lines, indent+"  - "+braces(fields))
	}
	return lines
}

// lines are an entry of a list as lines, the first with its dash.
func (e entry) lines(indent string) []string {
	if e.braces {
		return []string{indent + "- " + braces(e.fields)}
	}
	var lines []string
	for _, f := range e.fields {
		lines = append(lines, f.lines(indent+"  ")...)
	}
	lines[0] = indent + "- " + strings.TrimPrefix(lines[0], indent+"  ")
	return lines
}

// insert puts lines in front of the line that starts at an offset, or behind a last line that has no end.
func (d *Document) insert(at int, lines []string) splice {
	text := strings.Join(lines, d.eol)
	if at == len(d.text) && at > 0 && d.text[at-1] != '\n' {
		return splice{at, at, d.eol + text}
	}
	return splice{at, at, text + d.eol}
}

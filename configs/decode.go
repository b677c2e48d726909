package configs

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Decode fills into, a pointer to a struct, from the YAML in data and answers everything that is wrong with it. Fields
// take the key of their `yaml:"key"` tag ("-" leaves a field alone, embedded structs lend their keys, ",required" makes the key
// obligatory, ",positive" refuses 0, where the zero value means a default); an exported field of type Pos receives the position of the struct that holds it. Strings, booleans, whole numbers from 0, durations, types
// with UnmarshalText, Value, OneOrMore, lists, maps by string and structs are read. What the file does not name keeps the
// value it had, so defaults are set beforehand; an empty file changes nothing.
//
// Stricter than YAML on purpose: unknown and repeated keys, anchors, aliases, tags, several documents and settings
// without a value are problems, because each of them makes a file mean something else than what a reader sees.
func Decode(file string, data []byte, into any) Problems {
	d := &decoder{file: file}
	root := d.parse(data)
	if root != nil {
		d.refuseIndirection(root)
		d.value(root, reflect.ValueOf(into).Elem(), "the file")
	}
	return d.problems.Sorted()
}

// Parse answers the content of the only document of a file, nil when the file holds nothing, and what Decode would find wrong with it as YAML.
// It is for packages below configs, which alone know the library's nodes.
func Parse(file string, data []byte) (*yaml.Node, Problems) {
	d := &decoder{file: file}
	root := d.parse(data)
	if root != nil {
		d.refuseIndirection(root)
	}
	return root, d.problems.Sorted()
}

type decoder struct {
	file     string
	problems Problems
}

func (d *decoder) at(n *yaml.Node) Pos { return Pos{File: d.file, Line: n.Line, Column: n.Column} }

func (d *decoder) add(n *yaml.Node, hint, format string, args ...any) {
	d.problems.Add(d.at(n), hint, format, args...)
}

// parse answers the content of the only document, or nil when there is none or the text is not YAML.
func (d *decoder) parse(data []byte) *yaml.Node {
	if d.invalidText(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.problems.Add(Pos{File: d.file}, "", "%v", err)
		return nil
	}
	var document, more yaml.Node
	if err := loader.Load(&document); err != nil {
		d.syntax(err)
		return nil
	}
	if err := loader.Load(&more); err == nil {
		d.add(&more, "remove the --- line", "a second document starts here; a file holds one")
	} else {
		d.syntax(err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	return document.Content[0]
}

// invalidText reports the first octet that is no UTF-8, since the YAML library guesses at UTF-16 instead of saying so, and the first control
// character, whose place the library does not tell.
func (d *decoder) invalidText(data []byte) bool {
	line, column := 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		at := Pos{File: d.file, Line: line, Column: column}
		switch {
		case r == utf8.RuneError && size == 1:
			d.problems.Add(at, "save the file as UTF-8", "the file is not UTF-8 text")
			return true
		case r == '\n':
			line, column = line+1, 1
		case unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\u0085':
			d.problems.Add(at, "remove it", "the file holds the control character %U", r)
			return true
		default:
			column++
		}
		data = data[size:]
	}
	return false
}

func (d *decoder) syntax(err error) {
	if errors.Is(err, io.EOF) {
		return
	}
	pos := Pos{File: d.file}
	what := err.Error()
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		pos.Line, pos.Column, what = load.Mark.Line, load.Mark.Column, load.Message
		if load.ContextMsg != "" {
			what += " " + load.ContextMsg
		}
	}
	d.problems.Add(pos, "check indentation and quotes here and on the line above", "not valid YAML: %s", what)
}

// refuseIndirection reports anchors, aliases and tags wherever they are.
func (d *decoder) refuseIndirection(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n, "repeat the value", "aliases (*%s) are not allowed", n.Value)
	case n.Anchor != "":
		d.add(n, "", "anchors (&%s) are not allowed", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n, "write the plain value", "tags (%s) are not allowed", n.Tag)
	}
	for _, child := range n.Content {
		d.refuseIndirection(child)
	}
}

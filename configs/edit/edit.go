// Package edit changes lists of entries in an administrator's YAML file and leaves the rest of it as it is: comments, order, layout, line
// ends. The file is never written anew from what was read; each change replaces the octets it is about (a splice).
//
// Changes are collected on a Document and made together by Text, so that an import of thousands of entries reads the file once.
// What the keys mean is not known here, and whether the result is a good configuration is for the caller to check before Replace.
package edit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"balorg/configs"
)

// Value is what stands behind a key: a text, or keys in braces, or a list of entries.
type Value struct {
	Text   string
	Fields []Field
	Items  [][]Field
}

// Text is the value of a key that holds a single text. It is quoted where YAML needs it.
func Text(s string) Value { return Value{Text: s} }

// Field is a key and its value.
type Field struct {
	Key   string
	Value Value
}

// Document is one file and the changes that are to be made to it.
type Document struct {
	name  string
	bom   bool
	text  []byte // without the byte order mark
	lines []int  // where each line starts
	eol   string
	root  *yaml.Node
	lists []*List
}

// Open reads a file for changing it. What cannot be read is answered as configs.Problems.
func Open(file configs.File) (*Document, error) {
	root, problems := configs.Parse(file.Name, file.Data)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	d := &Document{name: file.Name, text: file.Data, eol: "\n", root: root}
	if text, ok := bytes.CutPrefix(file.Data, []byte("\ufeff")); ok {
		d.bom, d.text = true, text
	}
	d.lines = []int{0}
	for i, c := range d.text {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	if first := d.line(1); bytes.HasSuffix(first, []byte("\r\n")) {
		d.eol = "\r\n"
	}
	if root == nil {
		return d, nil
	}
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return nil, d.problem(root, "write its keys on lines of their own", "the file cannot be edited: it is no block of keys")
	}
	if bytes.Contains(bytes.ReplaceAll(d.text, []byte("\r\n"), nil), []byte("\r")) {
		return nil, d.problem(root, "save it with the line ends of Unix or of Windows", "the file cannot be edited: it has line ends of several kinds")
	}
	return d, nil
}

func (d *Document) problem(n *yaml.Node, hint, format string, args ...any) error {
	var problems configs.Problems
	problems.Add(d.pos(n), hint, format, args...)
	return problems
}

func (d *Document) pos(n *yaml.Node) configs.Pos {
	if n == nil {
		return configs.Pos{File: d.name}
	}
	return configs.Pos{File: d.name, Line: n.Line, Column: n.Column}
}

// List is the list under a key of the file, which need not be there yet.
func (d *Document) List(key string) *List {
	l := &List{doc: d, key: key, column: 1}
	if d.root != nil {
		if i := find(d.root, key); i >= 0 {
			l.at, l.node = d.root.Content[i], d.root.Content[i+1]
		}
	}
	d.lists = append(d.lists, l)
	l.read()
	return l
}

func find(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// List is a list of entries.
type List struct {
	doc    *Document
	owner  *Item // nil: it stands at the top of the file
	key    string
	at     *yaml.Node // the key; nil when there is none
	node   *yaml.Node // what stands under it
	column int        // of the key
	items  []*Item
	added  []entry
}

// entry is one to be appended.
type entry struct {
	fields []Field
	braces bool
}

func (l *List) read() {
	if l.node == nil || l.node.Kind != yaml.SequenceNode {
		return
	}
	for i, n := range l.node.Content {
		l.items = append(l.items, &Item{list: l, node: n, index: i})
	}
}

// Items are the entries of the file as it was read.
func (l *List) Items() []*Item { return slices.Clone(l.items) }

// Append adds an entry behind the others: in the style of the last one, else in braces or on lines of its own.
func (l *List) Append(braces bool, fields ...Field) {
	if n := len(l.items); n > 0 {
		braces = l.items[n-1].node.Style&yaml.FlowStyle != 0
	}
	l.added = append(l.added, entry{fields, braces})
}

// Item is one entry of a list.
type Item struct {
	list    *List
	node    *yaml.Node
	index   int
	removed bool
	set     []Field
	unset   map[string]bool
	lists   []*List
}

// Pos is where the entry stands.
func (i *Item) Pos() configs.Pos { return i.list.doc.pos(i.node) }

// Get is the text of a key, or of a key under another, as the file has it.
func (i *Item) Get(path ...string) (string, bool) {
	n := i.node
	for _, key := range path {
		at := -1
		if n.Kind == yaml.MappingNode {
			at = find(n, key)
		}
		if at < 0 {
			return "", false
		}
		n = n.Content[at+1]
	}
	return n.Value, n.Kind == yaml.ScalarNode && n.Tag != "!!null"
}

// Set gives a key a value, added at the end of the entry when it has none.
func (i *Item) Set(key string, v Value) {
	for n, f := range i.set {
		if f.Key == key {
			i.set[n].Value = v
			return
		}
	}
	delete(i.unset, key)
	i.set = append(i.set, Field{key, v})
}

// Unset removes a key with its comments.
func (i *Item) Unset(key string) {
	i.set = slices.DeleteFunc(i.set, func(f Field) bool { return f.Key == key })
	if i.unset == nil {
		i.unset = map[string]bool{}
	}
	i.unset[key] = true
}

// Remove takes the entry out with its comments: those behind it, inside it, and right above it without a blank line between.
func (i *Item) Remove() { i.removed = true }

// List is the list under a key of the entry, which need not be there yet.
func (i *Item) List(key string) *List {
	l := &List{doc: i.list.doc, owner: i, key: key}
	if i.node.Kind == yaml.MappingNode {
		if n := find(i.node, key); n >= 0 {
			l.at, l.node = i.node.Content[n], i.node.Content[n+1]
			l.column = l.at.Column
		}
	}
	i.lists = append(i.lists, l)
	l.read()
	return l
}

// splice replaces the octets from start to end.
type splice struct {
	start, end int
	text       string
}

// Text is the file with all changes made. The document itself does not change.
func (d *Document) Text() ([]byte, error) {
	var all []splice
	for _, l := range d.lists {
		splices, err := l.splices()
		if err != nil {
			return nil, err
		}
		all = append(all, splices...)
	}
	slices.SortStableFunc(all, func(a, b splice) int { return a.start - b.start })
	var out bytes.Buffer
	if d.bom {
		out.WriteString("\ufeff")
	}
	done := 0
	for _, s := range all {
		if s.start < done {
			// Two removals may share a line; of what is removed nothing can be changed.
			if s.text != "" {
				return nil, errOverlap
			}
			done = max(done, s.end)
			continue
		}
		out.Write(d.text[done:s.start])
		out.WriteString(s.text)
		done = s.end
	}
	out.Write(d.text[done:])
	if _, problems := configs.Parse(d.name, out.Bytes()); problems.Err() != nil {
		return nil, fmt.Errorf("%s cannot be edited: its layout is not understood; change it with an editor: %w", d.name, problems.Err())
	}
	return out.Bytes(), nil
}

var errOverlap = errors.New("the same entry is changed twice")

package edit

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// splices are those of a list, of its entries and of the lists in them.
func (l *List) splices() ([]splice, error) {
	var all []splice
	for _, item := range l.items {
		if !item.removed {
			splices, err := item.splices()
			if err != nil {
				return nil, err
			}
			all = append(all, splices...)
		}
	}
	removed, err := l.removals()
	if err != nil {
		return nil, err
	}
	all = append(all, removed...)
	if len(l.added) == 0 {
		return all, nil
	}
	added, err := l.additions()
	return append(all, added...), err
}

func (l *List) removals() ([]splice, error) {
	if l.node != nil && l.node.Style&yaml.FlowStyle != 0 {
		return l.removalsInBrackets()
	}
	var all []splice
	for _, item := range l.items {
		if !item.removed {
			continue
		}
		first, behind, err := item.extent()
		if err != nil {
			return nil, err
		}
		d := l.doc
		// Blank lines separate entries: they go with the one above them, with the last entry those above it.
		if item.index+1 < len(l.items) {
			for behind <= len(d.lines) && d.lines[behind-1] < len(d.text) && d.blank(behind) {
				behind++
			}
		} else {
			for first > 1 && d.blank(first-1) {
				first--
			}
		}
		all = append(all, splice{d.lines[first-1], d.lineStart(behind), ""})
	}
	return all, nil
}

// lineStart is where a line starts, which may be the one behind the last.
func (d *Document) lineStart(n int) int {
	if n > len(d.lines) {
		return len(d.text)
	}
	return d.lines[n-1]
}

// extent is the first line of an entry of a block list, its comments included, and the line behind its last.
func (i *Item) extent() (first, behind int, err error) {
	d := i.list.doc
	dash, err := d.dash(i.list.node, i.node)
	if err != nil {
		return 0, 0, err
	}
	column := i.list.node.Column
	end, err := d.end(i.node, column)
	if err != nil {
		return 0, 0, err
	}
	first = d.lineOf(dash)
	for first > 1 && d.comment(first-1) && d.indent(first-1) < column {
		first--
	}
	behind = d.lineOf(max(end-1, dash)) + 1
	for behind <= len(d.lines) && d.comment(behind) && d.indent(behind) >= column {
		behind++
	}
	return first, behind, nil
}

// removalsInBrackets removes entries with the comma in front of them, or behind the first.
func (l *List) removalsInBrackets() ([]splice, error) {
	var nodes []*yaml.Node
	removed := map[int]bool{}
	for i, item := range l.items {
		nodes = append(nodes, item.node)
		removed[i] = item.removed
	}
	return l.doc.cut(nodes, removed, func(i int) (int, error) { return l.doc.end(l.items[i].node, 0) })
}

// cut removes some of the parts that commas separate; nodes are where they start, ends where they end.
func (d *Document) cut(nodes []*yaml.Node, removed map[int]bool, end func(int) (int, error)) ([]splice, error) {
	var all []splice
	kept := false // one in front is kept
	for i := range nodes {
		if !removed[i] {
			kept = true
			continue
		}
		from := d.start(nodes[i])
		var to int
		var err error
		switch {
		case kept:
			if from, err = end(i - 1); err != nil {
				return nil, err
			}
			to, err = end(i)
		case i+1 < len(nodes):
			to = d.start(nodes[i+1])
		default:
			to, err = end(i)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, splice{from, to, ""})
	}
	return all, nil
}

func (l *List) additions() ([]splice, error) {
	d := l.doc
	if len(l.items) > 0 {
		return l.additionsBehind()
	}
	var lines []string
	indent := strings.Repeat(" ", max(l.column-1, 0)+2)
	for _, e := range l.added {
		lines = append(lines, e.lines(indent)...)
	}
	switch {
	case l.at == nil && l.owner != nil:
		var items [][]Field
		for _, e := range l.added {
			items = append(items, e.fields)
		}
		return l.owner.changes([]Field{{l.key, Value{Items: items}}}, nil)
	case l.at == nil:
		return []splice{d.insert(len(d.text), append([]string{l.key + ":"}, lines...))}, nil
	case l.owner != nil && l.owner.node.Style&yaml.FlowStyle != 0:
		return nil, d.unclear(l.at)
	}
	colon, err := d.colon(l.at)
	if err != nil {
		return nil, err
	}
	end := colon
	if !absent(l.node) {
		if end, err = d.end(l.node, l.at.Column); err != nil {
			return nil, err
		}
	}
	all := []splice{d.insert(d.lineEnd(d.lineOf(max(end-1, colon-1))), lines)}
	if end > colon {
		all = append(all, splice{colon, end, ""}) // [] or ~
	}
	return all, nil
}

// additionsBehind puts entries behind the last one.
func (l *List) additionsBehind() ([]splice, error) {
	d, last := l.doc, l.items[len(l.items)-1]
	if l.node.Style&yaml.FlowStyle != 0 {
		end, err := d.end(last.node, 0)
		if err != nil {
			return nil, err
		}
		var parts []string
		for _, e := range l.added {
			parts = append(parts, braces(e.fields))
		}
		text := strings.Join(parts, ", ")
		if slices.ContainsFunc(l.items, func(i *Item) bool { return !i.removed }) {
			text = ", " + text
		}
		return []splice{{end, end, text}}, nil
	}
	first, behind, err := last.extent()
	if err != nil {
		return nil, err
	}
	apart := last.index > 0 && d.blank(first-1)
	var lines []string
	for _, e := range l.added {
		if apart {
			lines = append(lines, "")
		}
		lines = append(lines, e.lines(strings.Repeat(" ", l.node.Column-1))...)
	}
	return []splice{d.insert(d.lineStart(behind), lines)}, nil
}

func (i *Item) splices() ([]splice, error) {
	var all []splice
	for _, l := range i.lists {
		splices, err := l.splices()
		if err != nil {
			return nil, err
		}
		all = append(all, splices...)
	}
	if len(i.set) == 0 && len(i.unset) == 0 {
		return all, nil
	}
	changed, err := i.changes(i.set, i.unset)
	return append(all, changed...), err
}

// changes are those of keys of the entry.
func (i *Item) changes(set []Field, unset map[string]bool) ([]splice, error) {
	d := i.list.doc
	if i.node.Kind != yaml.MappingNode || len(i.node.Content) == 0 {
		return nil, d.problem(i.node, "", "the entry cannot be edited: it is no block of keys")
	}
	var all []splice
	var added []Field
	for _, f := range set {
		n := find(i.node, f.Key)
		if n < 0 {
			added = append(added, f)
			continue
		}
		s, err := i.replace(i.node.Content[n], i.node.Content[n+1], f.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	removed := map[int]bool{}
	kept := false
	for n := 0; n < len(i.node.Content); n += 2 {
		removed[n/2] = unset[i.node.Content[n].Value]
		kept = kept || !removed[n/2]
	}
	if !kept {
		return nil, d.problem(i.node, "remove the entry", "the entry would be left without keys")
	}
	cuts, err := i.removals(removed)
	if err != nil {
		return nil, err
	}
	all = append(all, cuts...)
	if len(added) == 0 {
		return all, nil
	}
	s, err := i.add(added)
	return append(all, s), err
}

// replace puts a value in the place of another. A comment behind it stays in its column where there is room.
func (i *Item) replace(key, old *yaml.Node, v Value) (splice, error) {
	d := i.list.doc
	inBraces := i.node.Style&yaml.FlowStyle != 0
	end, err := d.pairEnd(key, old, inBraces)
	if err != nil {
		return splice{}, err
	}
	oneLine := old.Kind == yaml.ScalarNode && old.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 || old.Style&yaml.FlowStyle != 0
	if oneLine && !absent(old) {
		start := d.start(old)
		text := v.render()
		rest := d.text[end:d.contentEnd(d.lineOf(max(end-1, 0)))]
		blanks := len(rest) - len(strings.TrimLeft(string(rest), " "))
		if blanks > 0 && blanks < len(rest) && rest[blanks] == '#' && d.lineOf(start) == d.lineOf(end) {
			width := len([]rune(string(d.text[start:end]))) + blanks
			text += strings.Repeat(" ", max(width-len([]rune(text)), 1))
			end += blanks
		}
		return splice{start, end, text}, nil
	}
	colon, err := d.colon(key)
	if err != nil {
		if inBraces && absent(old) {
			return splice{end, end, ": " + v.render()}, nil
		}
		return splice{}, err
	}
	text := " " + v.render()
	return splice{colon, max(end, colon), text}, nil
}

func (i *Item) removals(removed map[int]bool) ([]splice, error) {
	d, content := i.list.doc, i.node.Content
	var keys []*yaml.Node
	for n := 0; n < len(content); n += 2 {
		keys = append(keys, content[n])
	}
	if i.node.Style&yaml.FlowStyle != 0 {
		return d.cut(keys, removed, func(n int) (int, error) { return d.pairEnd(content[2*n], content[2*n+1], true) })
	}
	var all []splice
	kept := false
	for n, key := range keys {
		if !removed[n] {
			kept = true
			continue
		}
		if !kept {
			// The first stands behind the dash, where the next one moves.
			all = append(all, splice{d.start(key), d.start(keys[n+1]), ""})
			continue
		}
		end, err := d.pairEnd(key, content[2*n+1], false)
		if err != nil {
			return nil, err
		}
		first := key.Line
		for d.comment(first-1) && d.indent(first-1) == key.Column-1 {
			first--
		}
		all = append(all, splice{d.lines[first-1], d.lineEnd(d.lineOf(end - 1)), ""})
	}
	return all, nil
}

// add puts keys behind the last of the entry.
func (i *Item) add(fields []Field) (splice, error) {
	d, content := i.list.doc, i.node.Content
	inBraces := i.node.Style&yaml.FlowStyle != 0
	end, err := d.pairEnd(content[len(content)-2], content[len(content)-1], inBraces)
	if err != nil {
		return splice{}, err
	}
	if inBraces {
		var text strings.Builder
		for _, f := range fields {
			text.WriteString(", " + f.Key + ": " + f.Value.render())
		}
		return splice{end, end, text.String()}, nil
	}
	var lines []string
	for _, f := range fields {
		lines = append(lines, f.lines(strings.Repeat(" ", i.node.Column-1))...)
	}
	return d.insert(d.lineEnd(d.lineOf(end-1)), lines), nil
}

package wire

import (
	"bytes"
	"slices"
	"strings"
)

// Folder is a mailbox as the listing sees it.
type Folder struct {
	Name       string   // wire form
	Attrs      []string // \Noselect, \Noinferiors, special uses; those about children and subscription are found here
	Subscribed bool
	// Missing says that there is no such mailbox, only a subscription to the name.
	Missing bool
}

// Listed is one answer to a LIST or LSUB.
type Listed struct {
	Name      string // wire form
	Attrs     []string
	ChildInfo []string // the selection options that folders below match and the client is not told of otherwise
	OldName   string   // the name that was given for it, in wire form, where that is another (RFC 9051, 6.3.9.7); else empty
	Naming    Naming
}

// Selectable tells whether the mailbox can be asked for its STATUS.
func (l Listed) Selectable() bool {
	return !slices.Contains(l.Attrs, `\Noselect`) && !slices.Contains(l.Attrs, `\NonExistent`)
}

// IsRoot tells whether the command asks for the hierarchy delimiter and nothing else (RFC 3501, 6.3.8).
func (l *List) IsRoot() bool {
	return !l.LSub && !l.Extended && len(l.Patterns) == 1 && l.Patterns[0] == ""
}

// Answer answers the command from the folders there are, in their order; levels of the hierarchy that are no folder stand before
// the first folder below them.
func (l *List) Answer(folders []Folder, delim byte) []Listed {
	if l.IsRoot() {
		return []Listed{{Attrs: []string{`\Noselect`}}}
	}
	g := &listing{List: l, delim: delim}
	g.build(folders)
	var out []Listed
	for _, n := range g.nodes {
		if listed, ok := g.answer(n); ok {
			if listed.Naming = l.Naming; l.Naming == UTF8 {
				listed.Name = EncodeMailbox(listed.Name)
			}
			out = append(out, listed)
		}
	}
	return out
}

// listing is the work of one Answer.
type listing struct {
	*List
	delim byte
	nodes []*node
}

// node is a name in the hierarchy.
type node struct {
	Folder
	implied  bool // no folder and no subscription: only a level
	children bool // there are folders below
	matches  bool // the name matches a pattern
	chosen   bool // it matches the selection options
	below    struct {
		chosen bool // a folder below is chosen
		hidden bool // … and its own name matches no pattern, so that it will not be told of
		use    bool // … because of its special use
		subs   bool // … because of its subscription
	}
}

func (g *listing) build(folders []Folder) {
	index := make(map[string]*node, len(folders))
	for _, f := range folders {
		f.Name = g.Naming.shown(f.Name)
		g.levels(f.Name, func(level string) {
			if index[level] == nil {
				index[level] = &node{Folder: Folder{Name: level}, implied: true}
				g.nodes = append(g.nodes, index[level])
			}
		})
		if n := index[f.Name]; n != nil {
			n.Folder, n.implied = f, false
			continue
		}
		index[f.Name] = &node{Folder: f}
		g.nodes = append(g.nodes, index[f.Name])
	}
	for _, n := range g.nodes {
		n.matches = g.anyPattern(n.Name)
		n.chosen = g.chooses(n)
	}
	for _, n := range g.nodes {
		if n.implied {
			continue
		}
		g.levels(n.Name, func(level string) {
			up := index[level]
			up.children = up.children || !n.Missing
			if n.chosen {
				up.below.chosen = true
				up.below.hidden = up.below.hidden || !n.matches
				up.below.subs = up.below.subs || n.Subscribed
				up.below.use = up.below.use || hasUse(n.Attrs)
			}
		})
	}
}

// levels calls fn for each level above name, the highest first.
func (g *listing) levels(name string, fn func(string)) {
	for i := range len(name) {
		if name[i] == g.delim && i > 0 {
			fn(name[:i])
		}
	}
}

func (g *listing) anyPattern(name string) bool {
	for _, pattern := range g.Patterns {
		if MatchList(g.Reference+pattern, name, g.delim) {
			return true
		}
	}
	return false
}

// chooses tells whether a node matches the selection options, or is a folder when there are none.
func (g *listing) chooses(n *node) bool {
	switch {
	case n.implied:
		return false
	case g.LSub:
		return n.Subscribed
	case !g.SelectSubscribed && !g.SelectSpecialUse:
		return !n.Missing
	}
	return (!g.SelectSubscribed || n.Subscribed) && (!g.SelectSpecialUse || hasUse(n.Attrs))
}

func (g *listing) answer(n *node) (Listed, bool) {
	if !n.matches {
		return Listed{}, false
	}
	out := Listed{Name: n.Name}
	switch {
	case g.LSub:
		return g.answerLSub(n)
	case g.SelectSubscribed || g.SelectSpecialUse:
		// RFC 5258, 3.5: a folder that does not match itself is told of only for one below that is not.
		hidden := g.RecursiveMatch && n.below.chosen && n.below.hidden
		if !n.chosen && !hidden {
			return Listed{}, false
		}
		if hidden {
			out.ChildInfo = g.childInfo(n)
		}
	case (n.Missing || n.implied) && !n.children:
		return Listed{}, false
	}
	out.Attrs = g.attrs(n)
	return out, true
}

// answerLSub: a level that is not subscribed itself is told of, as \Noselect, when "%" hides what is subscribed below (RFC 3501,
// 6.3.9). To a client that asks for the name itself this would say that it is subscribed, and INBOX not to be selected.
func (g *listing) answerLSub(n *node) (Listed, bool) {
	switch {
	case n.chosen && slices.Contains(n.Attrs, `\Noselect`):
		return Listed{Name: n.Name, Attrs: []string{`\Noselect`}}, true
	case n.chosen:
		return Listed{Name: n.Name}, true
	case n.below.chosen && n.below.hidden && strings.Contains(g.Patterns[0], "%"):
		return Listed{Name: n.Name, Attrs: []string{`\Noselect`}}, true
	}
	return Listed{}, false
}

func (g *listing) childInfo(n *node) []string {
	var info []string
	if g.SelectSubscribed && n.below.subs {
		info = append(info, "SUBSCRIBED")
	}
	if g.SelectSpecialUse && n.below.use {
		info = append(info, "SPECIAL-USE")
	}
	return info
}

func (g *listing) attrs(n *node) []string {
	var attrs []string
	switch {
	case !n.implied && !n.Missing:
		attrs = append(attrs, n.Attrs...)
	case g.Extended:
		attrs = append(attrs, `\NonExistent`)
	default:
		attrs = append(attrs, `\Noselect`)
	}
	// RFC 3348 and RFC 5258, 4: a name that can have no children says so already.
	switch {
	case n.children:
		attrs = append(attrs, `\HasChildren`)
	case !n.Missing && !n.implied && !hasFold(n.Attrs, `\Noinferiors`):
		attrs = append(attrs, `\HasNoChildren`)
	}
	if g.ReturnSubscribed && n.Subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	return attrs
}

// specialUses are the attributes of RFC 6154 and RFC 8457.
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`, `\Important`}

func hasUse(attrs []string) bool {
	return slices.ContainsFunc(attrs, func(a string) bool { return hasFold(specialUses, a) })
}

func hasFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(a string) bool { return strings.EqualFold(a, s) })
}

// Append appends the untagged response that tells of the mailbox, with its line end.
func (l Listed) Append(dst []byte, command string, delim byte) []byte {
	dst = append(append(append(dst, "* "...), command...), " ("...)
	dst = append(append(dst, strings.Join(l.Attrs, " ")...), `) "`...)
	dst = append(append(dst, delim), `" `...)
	dst = l.Naming.Append(dst, l.Name)
	var extended [][]byte // RFC 5258, 6: mbox-list-extended
	if len(l.ChildInfo) > 0 {
		extended = append(extended, []byte(`"CHILDINFO" ("`+strings.Join(l.ChildInfo, `" "`)+`")`))
	}
	if l.OldName != "" {
		extended = append(extended, append(l.Naming.Append([]byte(`"OLDNAME" (`), l.OldName), ')'))
	}
	if len(extended) > 0 {
		dst = append(append(dst, " ("...), bytes.Join(extended, []byte(" "))...)
		dst = append(dst, ')')
	}
	return append(dst, "\r\n"...)
}

package order

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// ErrTooTangled is why threads are not made: the messages refer to one another in more ways than any conversation.
var ErrTooTangled = errors.New("threads are too tangled")

// Threaded is what threading needs to know of one message.
type Threaded struct {
	Seq        uint32
	Sent       int64    // see SentDate
	Subject    string   // base subject, as Collate answers it
	Reply      bool     // see BaseSubject
	ID         string   // "": none
	References []string // the ids of the messages before it, the nearest last
}

// Node is a message in a thread. Message counts from 0 in the list that the threads were made of; one of -1 stands for a message that is not
// there, and has two children at least.
type Node struct {
	Message  int
	Children []*Node
}

// BySubject makes threads by base subject alone: ORDEREDSUBJECT.
func BySubject(messages []Threaded) []*Node {
	sorted := make([]int, len(messages))
	for i := range sorted {
		sorted[i] = i
	}
	slices.SortFunc(sorted, func(a, b int) int {
		return cmp.Or(strings.Compare(messages[a].Subject, messages[b].Subject), bySent(&messages[a], &messages[b]))
	})
	var roots []*Node
	for i, m := range sorted {
		node := &Node{Message: m}
		if i > 0 && messages[sorted[i-1]].Subject == messages[m].Subject {
			root := roots[len(roots)-1]
			root.Children = append(root.Children, node)
			continue
		}
		roots = append(roots, node)
	}
	slices.SortFunc(roots, func(a, b *Node) int { return bySent(&messages[a.Message], &messages[b.Message]) })
	return roots
}

func bySent(a, b *Threaded) int {
	return cmp.Or(cmp.Compare(a.Sent, b.Sent), cmp.Compare(a.Seq, b.Seq))
}

// ByReferences makes threads of messages that refer to one another, and of those without such a tie that have a base subject in common:
// REFERENCES. alive is asked now and then whether anybody still waits.
func ByReferences(messages []Threaded, alive func() error) ([]*Node, error) {
	t := threading{messages: messages, alive: alive}
	roots, err := t.roots() // (1) to (3)
	if err != nil {
		return nil, err
	}
	t.sort(roots) // (4)
	roots = t.gather(roots)
	t.sort(roots) // (6)
	return roots, nil
}

// ByLatest makes threads of messages that refer to one another; the thread that somebody wrote to last comes last: REFS.
func ByLatest(messages []Threaded, alive func() error) ([]*Node, error) {
	t := threading{messages: messages, alive: alive}
	roots, err := t.roots()
	if err != nil {
		return nil, err
	}
	t.sort(roots)
	latest := make(map[*Node]*Threaded, len(roots))
	for _, root := range roots {
		latest[root] = t.latest(root)
	}
	slices.SortStableFunc(roots, func(a, b *Node) int { return bySent(latest[a], latest[b]) })
	return roots, nil
}

// threading is the work of one THREAD by references.
type threading struct {
	messages []Threaded
	alive    func() error
	boxes    []box // a message or one that is only referred to; messages come first
	steps    int   // taken along links
}

// box is a container of the algorithm (RFC 5256, 3, REFERENCES).
type box struct {
	parent int32 // -1: none
	kids   int32 // how many have it as their parent
}

// roots does steps 1 to 3: it links the messages, and leaves out what is not there.
func (t *threading) roots() ([]*Node, error) {
	if err := t.link(); err != nil {
		return nil, err
	}
	here := len(t.messages)
	nodes := make([]*Node, len(t.boxes))
	for i := range nodes {
		nodes[i] = &Node{Message: i}
		if i >= here {
			nodes[i].Message = -1
		}
	}
	var roots []*Node
	// A message belongs below the nearest one that is there, else below the last that is not.
	for i, n := range nodes {
		above := t.boxes[i].parent
		switch {
		case above < 0:
			roots = append(roots, n)
			continue
		case n.Message < 0:
			continue
		}
		for nodes[above].Message < 0 && t.boxes[above].parent >= 0 {
			above = t.boxes[above].parent
			if err := t.step(); err != nil {
				return nil, err
			}
		}
		nodes[above].Children = append(nodes[above].Children, n)
	}
	kept := roots[:0]
	for _, n := range roots {
		switch {
		case n.Message >= 0 || len(n.Children) > 1:
			kept = append(kept, n)
		case len(n.Children) == 1:
			kept = append(kept, n.Children[0])
		}
	}
	return kept, nil
}

// link does step 1.
func (t *threading) link() error {
	t.boxes = make([]box, len(t.messages), len(t.messages)+len(t.messages)/4)
	names := make(map[string]int32, len(t.messages))
	for i := range t.boxes {
		t.boxes[i].parent = -1
	}
	// A message takes the box of its id when it comes, which is no later than its own links: those before it may have referred to it.
	for i := range t.messages {
		if id := t.messages[i].ID; id != "" {
			if _, taken := names[id]; !taken { // a second message of that id is one without
				names[id] = int32(i)
			}
		}
	}
	for i := range t.messages {
		last := int32(-1)
		for _, id := range t.messages[i].References {
			b, known := names[id]
			if !known {
				b = int32(len(t.boxes))
				names[id] = b
				t.boxes = append(t.boxes, box{parent: -1})
			}
			if last >= 0 && t.boxes[b].parent < 0 {
				if err := t.adopt(last, b); err != nil {
					return err
				}
			}
			last = b
		}
		m := &t.boxes[i]
		if m.parent >= 0 && m.parent != last { // of a References field that was cut short
			t.boxes[m.parent].kids--
			m.parent = -1
		}
		if last >= 0 && m.parent < 0 {
			if err := t.adopt(last, int32(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt makes a box without parent the child of another, unless that is below it.
func (t *threading) adopt(parent, child int32) error {
	if parent == child {
		return nil
	}
	if t.boxes[child].kids > 0 {
		for up := parent; up >= 0; up = t.boxes[up].parent {
			if up == child {
				return nil
			}
			if err := t.step(); err != nil {
				return err
			}
		}
	}
	t.boxes[child].parent = parent
	t.boxes[parent].kids++
	return nil
}

// maxSteps is a second's work or two, and a thousand for each of a hundred thousand messages.
const maxSteps = 100_000_000

func (t *threading) step() error {
	t.steps++
	switch {
	case t.steps > maxSteps:
		return ErrTooTangled
	case t.steps%(1<<16) == 0 && t.alive != nil:
		return t.alive()
	}
	return nil
}

// first is the message that stands for a node among its siblings. Its children are in order.
func (t *threading) first(n *Node) *Threaded {
	for n.Message < 0 {
		n = n.Children[0]
	}
	return &t.messages[n.Message]
}

// sort puts siblings in order of their sent dates, the deepest first. Threads may be as deep as there are messages: they are walked without
// recursion.
func (t *threading) sort(roots []*Node) {
	var todo, all []*Node
	todo = append(todo, roots...)
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], n.Children...)
		if len(n.Children) > 1 {
			all = append(all, n)
		}
	}
	for _, n := range slices.Backward(all) { // parents come before their children
		t.order(n.Children)
	}
	t.order(roots)
}

func (t *threading) order(nodes []*Node) {
	slices.SortFunc(nodes, func(a, b *Node) int { return bySent(t.first(a), t.first(b)) })
}

func (t *threading) latest(root *Node) *Threaded {
	var found *Threaded
	todo := []*Node{root}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], n.Children...)
		if n.Message >= 0 && (found == nil || bySent(found, &t.messages[n.Message]) < 0) {
			found = &t.messages[n.Message]
		}
	}
	return found
}

// gather does step 5: it merges threads that have a base subject in common.
func (t *threading) gather(roots []*Node) []*Node {
	table := t.subjects(roots)
	gone := make(map[*Node]bool)
	var made []*Node
	for _, n := range roots {
		subject := t.first(n).Subject
		other := table[subject]
		if subject == "" || other == n {
			continue
		}
		switch {
		case n.Message < 0 && other.Message < 0:
			other.Children = append(other.Children, n.Children...)
		case other.Message < 0, t.messages[n.Message].Reply && !t.messages[other.Message].Reply:
			other.Children = append(other.Children, n)
		default:
			both := &Node{Message: -1, Children: []*Node{other, n}}
			table[subject] = both
			made = append(made, both)
			gone[other] = true
		}
		gone[n] = true
	}
	roots = slices.DeleteFunc(roots, func(n *Node) bool { return gone[n] })
	return append(roots, made...)
}

// subjects is the subject table of step 5 (B).
func (t *threading) subjects(roots []*Node) map[string]*Node {
	table := make(map[string]*Node, len(roots))
	for _, n := range roots {
		first := t.first(n)
		if first.Subject == "" {
			continue
		}
		old, ok := table[first.Subject]
		if !ok || old.Message >= 0 && (n.Message < 0 || t.messages[old.Message].Reply && !first.Reply) {
			table[first.Subject] = n
		}
	}
	return table
}

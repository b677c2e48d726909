package ldapserver

import (
	"bytes"
	"context"
	"math"
	"slices"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// Software asks for one address after another, with many questions on their way that differ in nothing but the address. Such ones are gathered, and answered
// together: what they have in common is read and decided once, and the places in memory that each needs are fetched for all at the same time. The answers are, octet
// for octet, those that each would get by itself (TestTogether).

// shape is what searches for one value have in common. It is made of one that was answered in the ordinary way, so that everything about it is known to be right.
type shape struct {
	text      []byte // the search up to its filter, the attribute, and the list of attributes
	filterAt  int    // where these begin
	listAt    int
	attribute schema.Attribute
	name      directory.Name
	search    wire.Search // what is asked of each entry, and how many
}

// most is how many octets of a shape a connection keeps, and how many lookups are gathered.
const (
	mostShape   = 512
	mostLookups = 64
)

// lookups are searches of one shape that wait to be answered. Their memory is used again.
type lookups struct {
	asked   []lookup
	memory  filter.Memory
	found   [2][]index.Lookup // in each source
	touched uint32            // means nothing (index.Index.LookUp)
}

// lookup is one of them.
type lookup struct {
	id      int32
	value   []byte
	message []byte
}

// learn notes the shape of a search that was answered, if it is one that others are gathered by.
func (c *conn) learn(r *wire.Request, name directory.Name) {
	s := &r.Search
	if len(c.srv.opt.Remotes) > 0 || len(r.Controls) > 0 || len(s.Filter.Nodes) != 1 || s.Filter.Nodes[0].Op != filter.Equal ||
		(name.Kind != directory.Suffix && name.Kind != directory.Unit) || len(s.Text) > mostShape {
		return
	}
	a := schema.Lookup(s.Filter.Nodes[0].Attribute)
	if a == schema.None || a.Matching() == schema.Opaque || a == schema.EntryUUID {
		return
	}
	in := ber.NewReader(s.Text)
	in.Expect(ber.Octets)
	for range 5 { // scope, aliases, both limits, types only
		in.Next()
	}
	head := len(s.Text) - len(in.Rest())
	in.Next()
	list := in.Expect(ber.Sequence)
	if in.Done() != nil {
		return
	}
	k := c.shape
	if k == nil {
		k = new(shape)
	}
	text := append(append(k.text[:0], s.Text[:head]...), s.Filter.Nodes[0].Attribute...)
	*k = shape{
		text: append(text, list...), filterAt: head, listAt: len(text), attribute: a, name: name,
		search: wire.Search{Scope: s.Scope, SizeLimit: s.SizeLimit, TimeLimit: s.TimeLimit, Selection: s.Selection},
	}
	c.shape = k
}

// parse reads a message that has the shape.
func (k *shape) parse(message []byte) (l lookup, ok bool) {
	outer := ber.NewReader(message)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	l = lookup{id: in.Int(ber.Integer, 1, math.MaxInt32), message: message}
	body := in.Expect(ber.Application(wire.SearchRequest, true))
	if in.Done() != nil || outer.Done() != nil || len(body) < k.filterAt || !bytes.Equal(body[:k.filterAt], k.text[:k.filterAt]) {
		return l, false
	}
	rest := ber.NewReader(body[k.filterAt:])
	assertion := ber.NewReader(rest.Expect(ber.Context(byte(filter.Equal), true)))
	list := rest.Expect(ber.Sequence)
	attribute := assertion.Expect(ber.Octets)
	l.value = assertion.Expect(ber.Octets)
	return l, rest.Done() == nil && assertion.Done() == nil &&
		bytes.Equal(attribute, k.text[k.filterAt:k.listAt]) && bytes.Equal(list, k.text[k.listAt:])
}

// gather takes a message that can be answered together with others.
func (c *conn) gather(message []byte) bool {
	if c.shape == nil || (c.gathered != nil && len(c.gathered.asked) == mostLookups) {
		return false
	}
	l, ok := c.shape.parse(message)
	if !ok {
		return false
	}
	if c.gathered == nil {
		if used, ok := c.srv.lookups.Get().(*lookups); ok {
			c.gathered = used
		} else {
			c.gathered = new(lookups)
		}
	}
	c.gathered.asked = append(c.gathered.asked, l)
	return true
}

// answerGathered answers what was gathered, in the order in which it was asked.
func (c *conn) answerGathered(ctx context.Context) error {
	g := c.gathered
	if g == nil {
		return nil
	}
	done, err := c.answerTogether(g)
	for _, l := range g.asked[done:] { // what is not as it mostly is
		if err != nil || c.why.Load() != nil {
			break
		}
		err = c.handle(ctx, l.message)
	}
	clear(g.asked)
	for i := range g.found {
		clear(g.found[i])
	}
	g.asked = g.asked[:0]
	g.memory.Reset()
	c.srv.lookups.Put(g)
	c.gathered = nil
	return err
}

// answerTogether answers those that were gathered up to one that has to be answered in the ordinary way, and tells how many that were.
func (c *conn) answerTogether(g *lookups) (done int, err error) {
	k := c.shape
	view, sight, result := c.look()
	if result.Code != wire.Success {
		return 0, nil
	}
	s := c.srv.newSearch()
	defer s.release()
	s.c, s.req, s.view, s.sight, s.suffix = c, &k.search, view, sight, k.name.Suffix
	if !s.findTogether(g, k) {
		return 0, nil
	}
	s.setLimits()
	left := c.srv.budget.left(c.spender(), c.client.Addr(), math.MaxInt)
	spent := 0
	defer func() {
		c.srv.metrics.entries.Add(float64(spent))
		c.srv.budget.spend(c.spender(), c.client.Addr(), spent)
	}()
	for done < len(g.asked) && spent < left && c.why.Load() == nil {
		s.id, s.answered = g.asked[done].id, 0
		result := s.answerLookup(g, k.attribute, done)
		spent += s.answered
		if s.err == nil {
			s.err = c.resultOf(s.id, wire.SearchDone, &result)
		}
		if done++; s.err != nil {
			return done, s.err
		}
	}
	return done, nil
}

// findTogether finds what the lookups ask for in every part of the directory that they are of. It is false when that is not found by values alone.
func (s *search) findTogether(g *lookups, k *shape) bool {
	t := s.c.target(s.parts, s.view, s.sight, k.name, k.search.Scope)
	s.parts = t.parts
	if t.result.Code != wire.Success {
		return false
	}
	sources := 0
	for i := range s.parts {
		p := &s.parts[i]
		if p.container != nil {
			if len(p.container.Values(k.attribute)) > 0 {
				return false
			}
			continue
		}
		if sources == len(g.found) || slices.ContainsFunc(p.source.Index.Constants(), func(a entry.Attribute) bool { return a.Type == k.attribute }) {
			return false
		}
		if sources == 0 {
			g.fold(k.attribute)
		} else {
			g.found[sources] = append(g.found[sources][:0], g.found[0]...)
		}
		sources++
	}
	sources = 0
	for i := range s.parts {
		if x := s.parts[i].source; x != nil {
			g.touched += x.Index.LookUp(k.attribute, g.found[sources])
			sources++
		}
	}
	return true
}

// answerLookup answers one.
func (s *search) answerLookup(g *lookups, a schema.Attribute, n int) wire.Result {
	source := 0
	for i := range s.parts {
		p := &s.parts[i]
		if p.container != nil {
			continue
		}
		s.at, s.ended = p, nil
		p.source.Index.Each(a, &g.found[source][n], s.visit)
		if s.ended != nil {
			return s.failed(s.ended)
		}
		source++
	}
	return wire.Result{}
}

// fold makes the values ready to be found.
func (g *lookups) fold(a schema.Attribute) {
	all := g.found[0][:0]
	for i := range g.asked {
		assertion := g.memory.Equality(a, g.asked[i].value)
		all = append(all, index.Lookup{Value: assertion.Value, Other: assertion.Other, Void: assertion.Undefined})
	}
	g.found[0] = all
}

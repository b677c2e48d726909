package ldapserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
	"balorg/policy"
)

// nobody is the number of no entry.
const nobody = ^uint32(0)

// part is a piece of the directory that a search looks at: a container's entry, one entry of a source, or all of them; or another directory.
type part struct {
	container *entry.Entry
	unit      string
	source    *directory.Source
	eye       directory.Eye
	single    uint32 // the one entry of source that counts, or nobody: all
	remote    Remote
}

// target is what a base and a scope come to for a viewer.
type target struct {
	parts  []part
	result wire.Result // not Success: why there is none
}

// look answers the current view and what the client sees of it.
func (c *conn) look() (*directory.View, policy.Sight, wire.Result) {
	view := c.srv.opt.Directory.View()
	if view == nil {
		return nil, policy.Sight{}, wire.Result{Code: wire.Unavailable, Text: "the directory is being loaded"}
	}
	who := c.who.Load()
	if who == nil {
		sight := c.srv.opt.Anonymous
		if !sight.Local {
			return nil, policy.Sight{}, wire.Result{Code: wire.InsufficientAccessRights, Text: "log in first"}
		}
		return view, sight, wire.Result{}
	}
	if c.sight.snapshot != view.Snapshot || c.sight.who != who {
		sight, d := view.Snapshot.Sight(who.personID, who.mailboxID)
		if !d.Allowed {
			return nil, policy.Sight{}, wire.Result{Code: wire.InsufficientAccessRights, Text: "you may no longer open this mailbox"}
		}
		c.sight = sightOf{view.Snapshot, who, sight}
	}
	return view, c.sight.sight, wire.Result{}
}

// target finds the parts of the directory that a name and a scope stand for.
func (c *conn) target(view *directory.View, sight policy.Sight, name directory.Name, scope wire.Scope) target {
	s := c.srv
	var t target
	if name.Kind == directory.Unknown || name.Kind == directory.Root {
		t.result = wire.Result{Code: wire.NoSuchObject, Matched: c.matched(view, sight, name)}
		return t
	}
	all := c.sources(view, sight)
	if name.Kind == directory.Suffix {
		if scope == wire.Base || scope == wire.Sub {
			t.parts = append(t.parts, part{container: s.names.Container(name.Suffix, "", true)})
		}
		for _, p := range all {
			if scope != wire.Base {
				t.parts = append(t.parts, part{container: s.names.Container(name.Suffix, p.unit, p.hasEntries())})
			}
		}
		if scope == wire.Sub || scope == wire.Subordinates {
			t.parts = append(t.parts, all...)
		}
		return t
	}
	at := slices.IndexFunc(all, func(p part) bool { return p.unit == name.Unit })
	if at < 0 {
		t.result = wire.Result{Code: wire.NoSuchObject, Matched: s.names.Suffixes()[name.Suffix]}
		return t
	}
	p := all[at]
	if name.Kind == directory.Unit {
		if scope == wire.Base || scope == wire.Sub {
			t.parts = append(t.parts, part{container: s.names.Container(name.Suffix, p.unit, p.hasEntries())})
		}
		if scope != wire.Base {
			t.parts = append(t.parts, p)
		}
		return t
	}
	return c.single(p, name, scope)
}

// single is the target that is one mailbox.
func (c *conn) single(p part, name directory.Name, scope wire.Scope) target {
	missing := target{result: wire.Result{Code: wire.NoSuchObject, Matched: "ou=" + p.unit + "," + c.srv.names.Suffixes()[name.Suffix]}}
	if p.source == nil {
		return missing // another directory is searched, not named
	}
	n, ok := p.source.Index.Find([]byte(name.Address))
	if !ok || !p.eye.Sees(n) {
		return missing
	}
	if scope == wire.One || scope == wire.Subordinates {
		return target{} // it has nothing below
	}
	p.single = n
	return target{parts: []part{p}}
}

// matched is the part of an unknown name that exists for the client.
func (c *conn) matched(view *directory.View, sight policy.Sight, name directory.Name) string {
	if name.Unit != "" && !slices.ContainsFunc(c.sources(view, sight), func(p part) bool { return p.unit == name.Unit }) {
		return c.srv.names.Suffixes()[name.Suffix]
	}
	return name.Matched
}

// sources are the units that exist for the client.
func (c *conn) sources(view *directory.View, sight policy.Sight) []part {
	parts := make([]part, 0, 4)
	for _, source := range []*directory.Source{view.Local, view.National} {
		if source == nil {
			continue
		}
		if eye, ok := source.Eye(sight); ok {
			parts = append(parts, part{unit: source.Unit, source: source, eye: eye, single: nobody})
		}
	}
	if sight.National {
		for _, unit := range c.srv.names.Units() {
			if remote, ok := c.srv.opt.Remotes[unit]; ok {
				parts = append(parts, part{unit: unit, remote: remote, single: nobody})
			}
		}
	}
	return parts
}

// hasEntries tells whether the client sees any entry of the part.
func (p *part) hasEntries() bool {
	if p.source == nil {
		return true
	}
	for n := range p.source.Index.Len() {
		if p.eye.Sees(n) {
			return true
		}
	}
	return false
}

// search is one search under way.
type search struct {
	c        *conn
	req      *wire.Search
	id       int32
	view     *directory.View
	sight    policy.Sight
	suffix   int
	parts    []part
	query    *index.Query
	limit    int // entries it may answer
	total    int // and all pages together
	deadline time.Time
	answered int
	remote   map[int32][]*entry.Entry // what other directories answered to a sorted search, by part
	missing  error                    // what another directory could not be asked for
	scratch  []byte
	err      error // of writing
}

// errLimit ends a search that has found more than it may answer.
var errLimit = errors.New("more entries than may be answered")

// search answers a search (RFC 4511, 4.5).
func (c *conn) search(ctx context.Context, message []byte) error {
	done := func(r wire.Result) error { return c.result(wire.SearchDone, &r) }
	req := &c.req
	if len(c.srv.opt.Remotes) > 0 { // it may go on while the next one is read
		req = new(wire.Request)
		if err := req.Parse(slices.Clone(message)); err != nil {
			return err
		}
	}
	r := &req.Search
	asked, result := c.readControls(req.Controls)
	if result.Code != wire.Success {
		return done(result)
	}
	name, err := c.srv.names.Parse(r.Base)
	if err != nil {
		return done(wire.Result{Code: wire.InvalidDNSyntax, Text: err.Error()})
	}
	if (name.Kind == directory.Root && r.Scope == wire.Base) || (name.Kind == directory.Subschema && r.Scope != wire.One) {
		return done(c.searchRoot(name))
	}
	view, sight, result := c.look()
	if result.Code != wire.Success {
		return done(result)
	}
	if asked.proxied != nil {
		if sight, result = c.actFor(view, asked.proxied); result.Code != wire.Success {
			return done(result)
		}
	}
	t := c.target(view, sight, name, r.Scope)
	if t.result.Code != wire.Success {
		return done(t.result)
	}
	s := &search{
		c: c, req: r, id: req.ID, view: view, sight: sight, suffix: name.Suffix, parts: t.parts, query: index.Compile(&r.Filter),
	}
	if letters, leads := s.query.Letters(); leads && letters < c.srv.opt.Limits.Letters {
		return done(wire.Result{Code: wire.AdminLimitExceeded, Text: "give more letters of what is looked for"})
	}
	if result := s.bound(); result.Code != wire.Success {
		return done(result)
	}
	if slices.ContainsFunc(s.parts, func(p part) bool { return p.remote != nil }) {
		if !c.start(ctx, s.id, func(ctx context.Context) *wire.Result { return s.run(ctx, asked) }) {
			return done(wire.Result{Code: wire.Busy, Text: "too many searches of other directories are under way on this connection"})
		}
		return nil
	}
	s.scratch = c.scratch
	result = *s.run(ctx, asked)
	c.scratch = s.scratch
	if s.err != nil {
		return s.err
	}
	return done(result)
}

// bound sets the limits of the search.
func (s *search) bound() wire.Result {
	r, limits := s.req, s.c.srv.opt.Limits
	s.limit = limits.Entries
	if r.SizeLimit > 0 {
		s.limit = min(s.limit, int(r.SizeLimit))
	}
	allowed := limits.Time
	if r.TimeLimit > 0 {
		allowed = min(allowed, time.Duration(r.TimeLimit)*time.Second)
	}
	s.deadline = time.Now().Add(allowed)
	if left := s.c.srv.budget.left(s.c.spender(), s.c.client.Addr().String(), s.limit); left == 0 {
		s.c.srv.metrics.refused.Inc()
		return wire.Result{Code: wire.AdminLimitExceeded, Text: "too many entries were read lately; try again in an hour"}
	}
	return wire.Result{}
}

// spender is who the entries of a search are counted for.
func (c *conn) spender() string {
	if who := c.who.Load(); who != nil {
		return string(who.personID)
	}
	return ""
}

// run finds and answers the entries.
func (s *search) run(ctx context.Context, asked requestControls) *wire.Result {
	var result wire.Result
	switch {
	case asked.vlv != nil || asked.sort != nil:
		result = s.sorted(ctx, asked)
	case asked.paged != nil:
		result = s.page(ctx, asked.paged)
	default:
		result = s.stream(ctx)
	}
	s.c.srv.metrics.entries.Add(float64(s.answered))
	s.c.srv.budget.spend(s.c.spender(), s.c.client.Addr().String(), s.answered)
	if s.missing != nil && result.Code == wire.Success {
		result.Code, result.Text = wire.Unavailable, s.missing.Error()
	}
	return &result
}

// stream answers what matches in the order it is found in.
func (s *search) stream(ctx context.Context) wire.Result {
	for i := range s.parts {
		p := &s.parts[i]
		var err error
		switch {
		case p.container != nil:
			if s.query.Matches(p.container) {
				err = s.answerEntry(p.container)
			}
		case p.remote != nil:
			for _, e := range s.askRemote(ctx, p) {
				if err = s.answerEntry(e); err != nil {
					break
				}
			}
		default:
			err = s.streamSource(p)
		}
		if err != nil {
			return s.failed(err)
		}
	}
	return wire.Result{}
}

// failed is the result of a search that ended early.
func (s *search) failed(err error) wire.Result {
	switch {
	case errors.Is(err, errLimit):
		return wire.Result{Code: wire.SizeLimitExceeded}
	case errors.Is(err, errTime):
		return wire.Result{Code: wire.TimeLimitExceeded}
	}
	s.err = err
	return wire.Result{Code: wire.Other}
}

// errTime ends a search that takes too long.
var errTime = errors.New("the search takes too long")

func (s *search) late() bool { return time.Now().After(s.deadline) }

// plan makes the query ready for a source.
func (s *search) plan(p *part) *index.Plan {
	plan := p.source.Index.Plan(s.query, s.srvNames().Common(s.suffix, p.unit))
	plan.Stop = s.late
	return plan
}

func (s *search) srvNames() *directory.Names { return s.c.srv.names }

func (s *search) streamSource(p *part) error {
	plan := s.plan(p)
	if p.single != nobody {
		if plan.Matches(p.single) {
			return s.answer(p, p.single)
		}
		return nil
	}
	var err error
	if !plan.Each(func(n uint32) bool {
		if p.eye.Sees(n) {
			err = s.answer(p, n)
		}
		return err == nil
	}) && err == nil {
		err = errTime
	}
	return err
}

// answer answers an entry of a source, unless there have been enough.
func (s *search) answer(p *part, n uint32) error {
	if s.answered >= s.limit {
		return errLimit
	}
	s.answered++
	x := p.source.Index
	s.scratch = s.srvNames().Append(s.scratch[:0], s.suffix, p.unit, x.Mail(n))
	records := [3][]byte{x.Record(n), p.source.Constants}
	if s.req.Selection.Has(schema.EntryUUID) {
		records[2] = entry.AppendRecord(nil, []entry.Attribute{{Type: schema.EntryUUID, Values: []string{index.UUIDText(x.Mail(n))}}})
	}
	return s.write(records[:]...)
}

// write appends an entry's message to the answers.
func (s *search) write(records ...[]byte) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = wire.AppendEntry(c.answers(), s.id, s.scratch, &s.req.Selection, records...)
	if len(c.out) >= flushAt {
		return c.flushLocked()
	}
	return nil
}

// answerEntry answers an entry that is in no index.
func (s *search) answerEntry(e *entry.Entry) error {
	if s.answered >= s.limit {
		return errLimit
	}
	s.answered++
	s.scratch = append(s.scratch[:0], e.DN...)
	return s.write(entry.AppendRecord(nil, e.Attributes))
}

// searchRoot answers the root DSE or the schema.
func (c *conn) searchRoot(name directory.Name) wire.Result {
	e, r := c.srv.root.subschema, &c.req.Search
	if name.Kind == directory.Root {
		e = c.srv.root.dse(c.secure)
	}
	if r.Filter.Match(e) != filter.True {
		return wire.Result{}
	}
	s := &search{c: c, req: r, id: c.req.ID, limit: 1}
	if err := s.answerEntry(e); err != nil {
		return wire.Result{Code: wire.Other}
	}
	return wire.Result{}
}

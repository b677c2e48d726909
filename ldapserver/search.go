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
	"balorg/mail"
	"balorg/policy"
)

// search is one search under way.
type search struct {
	c        *conn
	req      *wire.Search
	id       int32
	view     *directory.View
	sight    policy.Sight
	suffix   int
	parts    []part
	query    index.Query
	plan     index.Plan // of the part that is searched
	limit    int        // entries it may answer
	total    int        // and all pages together
	deadline time.Time
	answered int
	remote   map[int32][]*entry.Entry // what other directories answered to a sorted search, by part
	missing  error                    // what another directory could not be asked for
	values   *valuesWanted            // of the entries' attributes; nil: all
	scratch  []byte
	err      error // of writing
	ended    error // why no more of a part's entries are answered
	at       *part // the one that is searched

	visit func(uint32) bool // s.see and s.late, made once
	stop  func() bool
}

// newSearch answers one in memory that was used before, if there is some.
func (s *Server) newSearch() *search {
	if used, ok := s.searches.Get().(*search); ok {
		return used
	}
	n := new(search)
	n.visit, n.stop = n.see, n.late
	return n
}

// release gives the memory of a search to others. It holds on to nothing of the directory.
func (s *search) release() {
	s.query.Set(nil)
	s.plan.Set(nil, nil, nil)
	clear(s.parts)
	srv := s.c.srv
	*s = search{query: s.query, plan: s.plan, parts: s.parts[:0], scratch: s.scratch[:0], visit: s.visit, stop: s.stop}
	srv.searches.Put(s)
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
		return done(c.searchRoot(name, asked.values))
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
	s := c.srv.newSearch()
	t := c.target(s.parts, view, sight, name, r.Scope)
	s.c, s.req, s.id, s.view, s.sight, s.suffix, s.parts, s.values = c, r, req.ID, view, sight, name.Suffix, t.parts, asked.values
	if slices.ContainsFunc(s.parts, func(p part) bool { return p.remote != nil }) {
		return s.beside(ctx, asked)
	}
	defer s.release()
	if t.result.Code == wire.Success {
		t.result = s.begin()
	}
	if t.result.Code != wire.Success {
		return done(t.result)
	}
	result = s.run(ctx, asked)
	if s.err != nil {
		return s.err
	}
	if result.Code == wire.Success {
		c.learn(req, name)
	}
	return done(result)
}

// beside lets a search that asks other directories run beside the connection's loop.
func (s *search) beside(ctx context.Context, asked requestControls) error {
	result := s.begin()
	if result.Code == wire.Success {
		run := func(ctx context.Context) *wire.Result {
			result := s.run(ctx, asked)
			return &result
		}
		if s.c.start(ctx, s.id, run) {
			return nil
		}
		result = wire.Result{Code: wire.Busy, Text: "too many searches of other directories are under way on this connection"}
	}
	return s.c.resultOf(s.id, wire.SearchDone, &result)
}

// begin makes the search ready.
func (s *search) begin() wire.Result {
	s.query.Set(&s.req.Filter)
	if letters, leads := s.query.Letters(); leads && letters < s.c.srv.opt.Limits.Letters {
		return wire.Result{Code: wire.AdminLimitExceeded, Text: "give more letters of what is looked for"}
	}
	return s.bound()
}

// bound sets the limits of the search, and refuses one of somebody who has had too much.
func (s *search) bound() wire.Result {
	s.setLimits()
	if left := s.c.srv.budget.left(s.c.spender(), s.c.client.Addr(), s.limit); left == 0 {
		s.c.srv.metrics.refused.Inc()
		return wire.Result{Code: wire.AdminLimitExceeded, Text: "too many entries were read lately; try again in an hour"}
	}
	return wire.Result{}
}

func (s *search) setLimits() {
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
}

// spender is who the entries of a search are counted for.
func (c *conn) spender() mail.AccountID {
	if who := c.who.Load(); who != nil {
		return who.personID
	}
	return ""
}

// run finds and answers the entries.
func (s *search) run(ctx context.Context, asked requestControls) wire.Result {
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
	s.c.srv.budget.spend(s.c.spender(), s.c.client.Addr(), s.answered)
	if s.missing != nil && result.Code == wire.Success {
		result.Code, result.Text = wire.Unavailable, s.missing.Error()
	}
	return result
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

// prepare makes the query ready for a source.
func (s *search) prepare(p *part) *index.Plan {
	s.plan.Set(p.source.Index, &s.query, s.srvNames().Common(s.suffix, p.unit))
	s.plan.Stop = s.stop
	return &s.plan
}

func (s *search) srvNames() *directory.Names { return s.c.srv.names }

func (s *search) streamSource(p *part) error {
	plan := s.prepare(p)
	if p.single != nobody {
		if plan.Matches(p.single) {
			return s.answer(p, p.single)
		}
		return nil
	}
	s.at, s.ended = p, nil
	if !plan.Each(s.visit) && s.ended == nil {
		return errTime
	}
	return s.ended
}

// see answers an entry that was found, if the client sees it. It is false when no more are to be found.
func (s *search) see(n uint32) bool {
	if s.at.eye.Sees(n) {
		s.ended = s.answer(s.at, n)
	}
	return s.ended == nil
}

// answer answers an entry of a source, unless there have been enough.
func (s *search) answer(p *part, n uint32) error {
	if s.answered >= s.limit {
		return errLimit
	}
	s.answered++
	x := p.source.Index
	records := [3][]byte{x.Record(n), p.source.Constants}
	// The record is read anyway; the column of the addresses would be three places in memory more.
	s.scratch = s.srvNames().Append(s.scratch[:0], s.suffix, p.unit, entry.First(records[0], schema.Mail))
	if s.req.Selection.Has(schema.EntryUUID) {
		records[2] = entry.AppendRecord(nil, []entry.Attribute{{Type: schema.EntryUUID, Values: []string{index.UUIDText(x.Mail(n))}}})
	}
	return s.write(records[:]...)
}

// write appends an entry's message to the answers.
func (s *search) write(records ...[]byte) error {
	if s.values != nil && !s.req.TypesOnly { // of which there are no values (RFC 3876, 3)
		records = [][]byte{s.values.of(&s.req.Selection, records)}
	}
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
func (c *conn) searchRoot(name directory.Name, values *valuesWanted) wire.Result {
	e, r := c.srv.root.subschema, &c.req.Search
	if name.Kind == directory.Root {
		e = c.srv.root.dse(c.secure)
	}
	if r.Filter.Match(e) != filter.True {
		return wire.Result{}
	}
	s := &search{c: c, req: r, id: c.req.ID, limit: 1, values: values}
	if err := s.answerEntry(e); err != nil {
		return wire.Result{Code: wire.Other}
	}
	return wire.Result{}
}

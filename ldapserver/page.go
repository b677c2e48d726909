package ldapserver

import (
	"context"

	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// page answers one page of a search in the order of the directory: containers, then each unit by name. It goes on behind the last entry answered, wherever that
// would stand now.
func (s *search) page(ctx context.Context, asked *wire.Paged) wire.Result {
	k, result := s.beginPage(asked)
	if result.Code != wire.Success || asked.Size == 0 {
		return result
	}
	more := false
	for i := max(k.Part, 0); i < len(s.parts) && !more; i++ {
		p := &s.parts[i]
		var err error
		switch {
		case p.container != nil:
			more, err = s.pageContainer(p, i, k)
		case p.remote != nil:
			more, err = s.pageRemote(s.askRemote(ctx, p), i, k)
		default:
			more, err = s.pageSource(p, i, k)
		}
		if err != nil {
			return s.failed(err)
		}
	}
	return s.endPage(k, more)
}

// beginPage reads the cookie and sets how much this page holds.
func (s *search) beginPage(asked *wire.Paged) (*cookie, wire.Result) {
	k, err := s.c.openCookie(s.req.Text, asked.Cookie)
	if err != nil {
		return nil, wire.Result{Code: wire.UnwillingToPerform, Text: err.Error()}
	}
	if asked.Size == 0 { // the client gives up (RFC 2696, 3)
		return k, wire.Result{Controls: []wire.ResponseControl{wire.Paged{}.Response()}}
	}
	s.limit = min(s.limit, int(asked.Size))
	// A limit that the client gives, like ours on all pages, is on the whole search.
	total := s.c.srv.opt.Limits.PagedEntries
	if client := int(s.req.SizeLimit); client > 0 {
		total = min(total, client)
	}
	s.total = total
	s.limit = max(min(s.limit, total-k.Answered), 0)
	return k, wire.Result{}
}

// endPage answers where to go on.
func (s *search) endPage(k *cookie, more bool) wire.Result {
	answer := wire.Paged{}
	result := wire.Result{}
	k.Answered += s.answered
	switch {
	case more && k.Answered >= s.total:
		result.Code = wire.SizeLimitExceeded
	case more:
		sealed, err := s.c.srv.sealCookie(k)
		if err != nil {
			return wire.Result{Code: wire.Other, Text: "the cookie cannot be made"}
		}
		answer.Cookie = sealed
	}
	result.Controls = []wire.ResponseControl{answer.Response()}
	return result
}

// pageContainer answers a container. more tells that the page is full and something is left.
func (s *search) pageContainer(p *part, i int, k *cookie) (more bool, err error) {
	if i <= k.Part || !s.query.Matches(p.container) {
		return false, nil
	}
	if s.answered >= s.limit {
		return true, nil
	}
	k.Part, k.Name, k.Mail = i, nil, nil
	return false, s.answerEntry(p.container)
}

// pageSource answers entries of a source behind the one where the last page ended.
func (s *search) pageSource(p *part, i int, k *cookie) (more bool, err error) {
	plan := s.prepare(p)
	x := p.source.Index
	var start uint32
	if i == k.Part {
		if start = x.Seek(k.Name, k.Mail); start < x.Len() {
			if key, _ := x.SortKey(schema.CN, start); string(key) == string(k.Name) && string(x.Mail(start)) == string(k.Mail) {
				start++
			}
		}
	}
	visit := func(n uint32) bool {
		if !p.eye.Sees(n) {
			return true
		}
		if s.answered >= s.limit {
			more = true
			return false
		}
		if err = s.answer(p, n); err != nil {
			return false
		}
		key, _ := x.SortKey(schema.CN, n)
		k.Part, k.Name, k.Mail = i, append(k.Name[:0], key...), append(k.Mail[:0], x.Mail(n)...)
		return true
	}
	if p.single != nobody {
		if p.single >= start && plan.Matches(p.single) {
			visit(p.single)
		}
		return more, err
	}
	if !plan.From(start, visit) && err == nil && !more {
		err = errTime
	}
	return more, err
}

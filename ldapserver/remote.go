package ldapserver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
	"balorg/mail"
)

// askRemote answers what another directory has, in order of name, as far as it is shown: an address that is one of ours stands once, as ours. When it cannot be asked the
// search goes on, and its result says that something is missing.
func (s *search) askRemote(ctx context.Context, p *part) []*entry.Entry {
	ctx, cancel := context.WithDeadline(ctx, s.deadline)
	defer cancel()
	found, err := p.remote.Search(ctx, &s.req.Filter, s.c.srv.opt.Limits.PagedEntries)
	if err != nil {
		s.c.logger().WarnContext(ctx, "another directory could not be asked", slog.String("unit", p.unit), slog.Any("error", err))
		s.missing = fmt.Errorf("the directory %s cannot be asked now; its entries are missing", p.unit)
	}
	var shown []*entry.Entry
	for _, e := range found {
		if e = s.local(e, p.unit); e != nil && s.req.Filter.Match(e) == filter.True {
			shown = append(shown, e)
		}
	}
	slices.SortFunc(shown, func(a, b *entry.Entry) int { return strings.Compare(a.DN, b.DN) })
	return slices.CompactFunc(shown, func(a, b *entry.Entry) bool { return a.DN == b.DN })
}

// local is an entry of another directory as it is shown here; nil when it is not.
func (s *search) local(e *entry.Entry, unit string) *entry.Entry {
	values := e.Values(schema.Mail)
	if len(values) == 0 {
		return nil
	}
	for _, v := range values {
		address, err := mail.ParseForeign(v, true)
		if err != nil {
			return nil
		}
		if _, ours := s.view.Snapshot.Account(address); ours {
			return nil
		}
	}
	copied := &entry.Entry{Attributes: slices.Clone(e.Attributes)}
	folded := schema.FoldText(nil, []byte(values[0]), schema.Whole)
	copied.DN = string(s.srvNames().Append(nil, s.suffix, unit, folded))
	copied.Set(schema.HasSubordinates, "FALSE")
	copied.Set(schema.SubschemaSubentry, directory.SubschemaName)
	return copied
}

// pageRemote answers entries of another directory behind the one where the last page ended.
func (s *search) pageRemote(found []*entry.Entry, i int, k *cookie) (more bool, err error) {
	for _, e := range found {
		if i == k.Part && e.DN <= string(k.Mail) {
			continue
		}
		if s.answered >= s.limit {
			return true, nil
		}
		if err := s.answerEntry(e); err != nil {
			return false, err
		}
		k.Part, k.Name, k.Mail = i, nil, []byte(e.DN)
	}
	return false, nil
}

// collectRemote puts the entries of another directory in order.
func (s *search) collectRemote(ctx context.Context, l *list, keys []sortKey) {
	found := s.askRemote(ctx, l.part)
	if s.remote == nil {
		s.remote = make(map[int32][]*entry.Entry)
	}
	s.remote[l.at] = found
	for n := range found {
		l.hits = append(l.hits, uint64(n))
	}
	m := merge{s: s, keys: keys}
	slices.SortFunc(l.hits, func(a, b uint64) int {
		return cmp.Or(m.compare(hit{l.at, uint32(a)}, hit{l.at, uint32(b)}), cmp.Compare(a, b))
	})
}

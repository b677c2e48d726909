package imapproxy

import (
	"slices"
	"strings"
	"sync"

	"balorg/imapproxy/wire"
)

// contextSearch is the capability of keeping a client informed of the result of a search (RFC 5267).
const contextSearch = "CONTEXT=SEARCH"

// maxFollowed is how many results a client may be kept informed of. Mail stores have bounds of their own, and say so.
const maxFollowed = 32

// followed are the searches of a selected mailbox whose results the mail store keeps the client informed of: news of them come long after their answer, by
// our tag. They end with the selection.
type followed struct {
	mu       sync.Mutex
	searches []followedSearch
}

type followedSearch struct{ client, ours string } // tags

func (f *followed) add(client, ours string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searches = append(f.searches, followedSearch{client, ours})
}

// forget takes the searches out that have one of our tags.
func (f *followed) forget(ours ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searches = slices.DeleteFunc(f.searches, func(s followedSearch) bool { return slices.Contains(ours, s.ours) })
}

// client answers the client's tag for ours, or "".
func (f *followed) client(ours string) string {
	return f.find(func(s followedSearch) bool { return s.ours == ours }).client
}

// ours answers our tag for the client's, or "".
func (f *followed) ours(client string) string {
	return f.find(func(s followedSearch) bool { return s.client == client }).ours
}

// find answers the search that is meant, or none.
func (f *followed) find(meant func(followedSearch) bool) followedSearch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.searches, meant); i >= 0 {
		return f.searches[i]
	}
	return followedSearch{}
}

func (f *followed) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.searches) >= maxFollowed
}

// following answers the arguments of a SEARCH or SORT as the mail store gets them, and what notes the tag of one whose result the client wants to be kept
// informed of (exchange.named), else nil. Where that is not done, the client is told so here.
func (s *session) following(cmd *wire.Command) (args []byte, named func(tag string), err error) {
	ask, rest, err := wire.ParseReturns(cmd.Args)
	if err != nil {
		return nil, nil, err
	}
	if (ask.Update || ask.Context || ask.Partial != wire.NumRange{}) && !s.sel.up.caps[contextSearch] {
		return nil, nil, bad("Unknown SEARCH result")
	}
	if !ask.Update {
		return cmd.Args, nil, nil
	}
	sel := s.sel
	if sel.followed.ours(cmd.Tag) != "" { // RFC 5267, 4.3
		return nil, nil, bad("The tag is that of a search whose result is kept up to date")
	}
	refused := ""
	switch {
	case strings.HasSuffix(cmd.Name, "SORT"): // that would be CONTEXT=SORT
		refused = "Sorted results are not kept up to date"
	case wire.NamesAge(cmd.Args): // Dovecot would count from now on for ever
		refused = "Results that depend on the time of day are not kept up to date"
	case sel.followed.full():
		refused = "Too many results are kept up to date"
	}
	if refused == "" {
		return cmd.Args, func(ours string) { sel.followed.add(cmd.Tag, ours) }, nil
	}
	s.out.printf("* NO [NOUPDATE %q] %s\r\n", cmd.Tag, refused)
	ask.Update = false
	return append(append(ask.AppendReturns(nil), ' '), rest...), nil, nil
}

// relayRefusal tells the client that a mail store does not keep a result up to date (RFC 5267, 4.3.1).
func (u *upstream) relayRefusal(resp *wire.Response) error {
	tag, refused := wire.RefusedTag(resp.Rest)
	sel := u.selection.Load()
	if !refused || sel == nil {
		return nil
	}
	if client := sel.followed.client(tag); client != "" {
		sel.followed.forget(tag)
		u.s.out.printf("* NO [NOUPDATE %q] The result is not kept up to date\r\n", client)
	}
	return nil
}

// cancelUpdate answers CANCELUPDATE (RFC 5267, 4.3.5). Those of the searches that there are end in any case.
func (s *session) cancelUpdate(cmd *wire.Command) error {
	tags, err := wire.ParseTags(cmd.Args)
	if err != nil {
		return err
	}
	if err := s.checkSelected(cmd, needs(cmd.Name)); err != nil {
		return err
	}
	sel := s.sel
	command, known := []byte("CANCELUPDATE"), []string(nil)
	for _, tag := range tags {
		if ours := sel.followed.ours(tag); ours != "" {
			known = append(known, ours)
			command = append(append(append(command, ` "`...), ours...), '"')
		}
	}
	if len(known) > 0 {
		r, err := sel.up.run(s.ctx, command, nil)
		if err != nil {
			return err
		}
		sel.followed.forget(known...)
		if !r.ok() {
			return storeAnswer(r)
		}
	}
	if len(known) < len(tags) {
		return no("", "There is no such search")
	}
	return nil
}

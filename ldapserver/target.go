package ldapserver

import (
	"slices"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
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

// target finds the parts of the directory that a name and a scope stand for, and puts them into parts.
func (c *conn) target(parts []part, view *directory.View, sight policy.Sight, name directory.Name, scope wire.Scope) target {
	s := c.srv
	t := target{parts: parts}
	if name.Kind == directory.Unknown || name.Kind == directory.Root {
		t.result = wire.Result{Code: wire.NoSuchObject, Matched: c.matched(view, sight, name)}
		return t
	}
	var room [4]part
	all := c.sources(room[:0], view, sight)
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
	return c.single(parts, p, name, scope)
}

// single is the target that is one mailbox.
func (c *conn) single(parts []part, p part, name directory.Name, scope wire.Scope) target {
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
	return target{parts: append(parts, p)}
}

// matched is the part of an unknown name that exists for the client.
func (c *conn) matched(view *directory.View, sight policy.Sight, name directory.Name) string {
	if name.Unit != "" && !slices.ContainsFunc(c.sources(nil, view, sight), func(p part) bool { return p.unit == name.Unit }) {
		return c.srv.names.Suffixes()[name.Suffix]
	}
	return name.Matched
}

// sources appends the units that exist for the client.
func (c *conn) sources(parts []part, view *directory.View, sight policy.Sight) []part {
	for _, source := range [...]*directory.Source{view.Local, view.National} {
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

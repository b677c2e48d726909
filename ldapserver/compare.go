package ldapserver

import (
	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// compare says whether an entry has a value (RFC 4511, 4.10).
func (c *conn) compare() error {
	answer := func(r wire.Result) error { return c.result(wire.CompareResponse, &r) }
	if code, text := c.checkControls(); code != wire.Success {
		return answer(wire.Result{Code: code, Text: text})
	}
	r := &c.req.Compare
	name, err := c.srv.names.Parse(r.Entry)
	if err != nil {
		return answer(wire.Result{Code: wire.InvalidDNSyntax, Text: err.Error()})
	}
	e, result := c.lookUp(name)
	if e == nil {
		return answer(result)
	}
	a := schema.Lookup(r.Attribute)
	if a == schema.None {
		return answer(wire.Result{Code: wire.UndefinedAttributeType, Text: "no attribute has this name"})
	}
	assertion := filter.Assert(&filter.Node{Op: filter.Equal, Attribute: r.Attribute, Value: r.Value})
	values := e.Values(a)
	switch {
	case assertion.Undefined && a.Matching() == schema.Opaque:
		return answer(wire.Result{Code: wire.InappropriateMatching, Text: "this attribute is not compared"})
	case assertion.Undefined:
		return answer(wire.Result{Code: wire.InvalidAttributeSyntax, Text: "the attribute has no such values"})
	case len(values) == 0:
		return answer(wire.Result{Code: wire.NoSuchAttribute, Text: "the entry has no value of it"})
	}
	for _, v := range values {
		if assertion.Holds([]byte(v)) {
			return answer(wire.Result{Code: wire.CompareTrue})
		}
	}
	return answer(wire.Result{Code: wire.CompareFalse})
}

// lookUp answers the entry with a name as the client sees it, else the result that says why not: the same for one that is hidden and one that does not exist.
func (c *conn) lookUp(name directory.Name) (*entry.Entry, wire.Result) {
	switch name.Kind {
	case directory.Root:
		return c.srv.root.dse(c.secure), wire.Result{}
	case directory.Subschema:
		return c.srv.root.subschema, wire.Result{}
	}
	view, sight, result := c.look()
	if result.Code != wire.Success {
		return nil, result
	}
	t := c.target(nil, view, sight, name, wire.Base)
	if t.result.Code != wire.Success {
		return nil, t.result
	}
	for _, part := range t.parts {
		if part.container != nil {
			return part.container, wire.Result{}
		}
		if part.single != nobody && part.eye.Sees(part.single) {
			text := c.srv.names.Append(nil, name.Suffix, part.unit, part.source.Index.Mail(part.single))
			if e, err := part.source.Entry(part.single, string(text)); err == nil {
				return e, wire.Result{}
			}
		}
	}
	return nil, wire.Result{Code: wire.NoSuchObject, Matched: name.Matched}
}

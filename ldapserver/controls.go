package ldapserver

import (
	"errors"
	"slices"
	"strings"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
	"balorg/mail"
	"balorg/policy"
)

// requestControls are the controls of a search, read.
type requestControls struct {
	paged   *wire.Paged
	sort    []sortKey
	vlv     *wire.VLV
	proxied []byte
	values  *valuesWanted // nil: all
	// unsorted says why the result is not sorted although it was asked, when that was not critical.
	unsorted wire.Code
	fault    []byte // the attribute at fault then
}

// sortKey is an attribute to sort by.
type sortKey struct {
	attribute schema.Attribute
	reverse   bool
}

// checkControls refuses a request that is not a search when it has a critical control: none of those that are known would change it, but for one that
// is about referrals, of which there are none.
func (c *conn) checkControls() (wire.Code, string) {
	for _, control := range c.req.Controls {
		if control.Critical && string(control.OID) != wire.ControlManageDsaIT {
			return wire.UnavailableCriticalExtension, "a critical control is not known here"
		}
	}
	return wire.Success, ""
}

// readControls reads the controls of a search.
func (c *conn) readControls(controls []wire.Control) (asked requestControls, result wire.Result) {
	fail := func(code wire.Code, text string) (requestControls, wire.Result) {
		return requestControls{}, wire.Result{Code: code, Text: text}
	}
	for i, control := range controls {
		oid := string(control.OID)
		if slices.ContainsFunc(controls[:i], func(other wire.Control) bool { return string(other.OID) == oid }) {
			return fail(wire.ProtocolError, "a control is there twice")
		}
		var err error
		switch oid {
		case wire.ControlManageDsaIT:
		case wire.ControlPaged:
			var p wire.Paged
			p, err = wire.ParsePaged(control.Value)
			asked.paged = &p
		case wire.ControlSort:
			if result = c.readSort(&asked, control); result.Code != wire.Success {
				return requestControls{}, result
			}
		case wire.ControlVLV:
			var v wire.VLV
			v, err = wire.ParseVLV(control.Value)
			asked.vlv = &v
		case wire.ControlValues:
			asked.values, err = readValues(control.Value)
		case wire.ControlProxied:
			if len(c.srv.opt.Proxies) == 0 && !control.Critical {
				return fail(wire.ProtocolError, "to act for somebody is a critical control") // RFC 4370, 3
			}
			if len(c.srv.opt.Proxies) == 0 {
				return fail(wire.UnavailableCriticalExtension, "nobody may act for others here")
			}
			asked.proxied = append([]byte{}, control.Value...)
		default:
			if control.Critical {
				return fail(wire.UnavailableCriticalExtension, "a critical control is not known here")
			}
		}
		if errors.Is(err, filter.ErrTooComplex) {
			return fail(wire.AdminLimitExceeded, err.Error())
		}
		if err != nil {
			return fail(wire.ProtocolError, "the value of a control cannot be read")
		}
	}
	switch {
	case asked.vlv != nil && asked.sort == nil:
		return fail(wire.SortControlMissing, "a window is one of a sorted list")
	case asked.vlv != nil && asked.paged != nil:
		return fail(wire.UnwillingToPerform, "windows and pages are asked for, not both")
	}
	return asked, wire.Result{}
}

// readSort reads what is to be sorted by. What cannot be sorted by is told in the control's answer; the search itself fails only when sorting was critical.
func (c *conn) readSort(asked *requestControls, control wire.Control) wire.Result {
	keys, err := wire.ParseSort(control.Value)
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: "the value of a control cannot be read"}
	}
	for _, k := range keys {
		a := schema.Lookup(k.Attribute)
		code := wire.Success
		switch {
		case a == schema.None:
			code = wire.NoSuchAttribute
		case a.Matching() == schema.Opaque, a.Operational(), len(k.Rule) > 0 && !sortsBy(a, k.Rule):
			code = wire.InappropriateMatching
		}
		if code != wire.Success {
			asked.unsorted, asked.fault = code, append([]byte{}, k.Attribute...)
			if control.Critical {
				return wire.Result{
					Code: wire.UnavailableCriticalExtension, Text: "it cannot be sorted by this attribute or rule",
					Controls: []wire.ResponseControl{wire.Sorted(code, k.Attribute)},
				}
			}
			asked.sort = []sortKey{}
			return wire.Result{}
		}
		asked.sort = append(asked.sort, sortKey{a, k.Reverse})
	}
	return wire.Result{}
}

// sortsBy tells whether a rule, by name or number, is one that an attribute's values are in order of.
func sortsBy(a schema.Attribute, rule []byte) bool {
	switch strings.ToLower(string(rule)) {
	case "caseignoreorderingmatch", "2.5.13.3":
		return a.Matching() == schema.CaseIgnore || a.Matching() == schema.Identifier
	case "numericstringorderingmatch", "2.5.13.9":
		return a.Matching() == schema.Identifier
	}
	return schema.LookupRule(a, rule) == schema.Folded // clients name the equality rule as well
}

// actFor answers what somebody else sees, for whom a request is made (RFC 4370): only accounts that are configured may.
func (c *conn) actFor(view *directory.View, id []byte) (policy.Sight, wire.Result) {
	denied := wire.Result{Code: wire.AuthorizationDenied, Text: "you may not act for others"}
	who := c.who.Load()
	if who == nil || who.means.Only != "" || !slices.ContainsFunc(c.srv.opt.Proxies, func(address string) bool { return who.person.Is(mail.Address(strings.ToLower(address))) }) {
		return policy.Sight{}, denied
	}
	text := string(id)
	switch {
	case text == "":
		if sight := c.srv.opt.Anonymous; sight.Local {
			return sight, wire.Result{}
		}
		return policy.Sight{}, wire.Result{Code: wire.InsufficientAccessRights, Text: "log in first"}
	case strings.HasPrefix(text, "dn:"):
		text = userOf([]byte(text[len("dn:"):]))
	case strings.HasPrefix(text, "u:"):
		text = text[len("u:"):]
	default:
		return policy.Sight{}, denied
	}
	login, err := policy.ParseLogin(text, "")
	if err != nil {
		return policy.Sight{}, denied
	}
	person, access, ok := view.Snapshot.Resolve(login)
	if !ok {
		return policy.Sight{}, denied
	}
	sight, d := view.Snapshot.Sight(person.ID, access.Mailbox.ID)
	if !d.Allowed {
		return policy.Sight{}, denied
	}
	return sight, wire.Result{}
}

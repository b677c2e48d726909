package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// ParseReturns reads RETURN and what stands in its parentheses, if the arguments of SEARCH or SORT begin with it, and answers what follows. An option
// that is not known is a fault: a mail store may tell more for it than the client may be told unseen, such as the texts of new messages for UPDATE with
// items of FETCH (RFC 5465).
func ParseReturns(args []byte) (s Search, rest []byte, err error) {
	p := &searchParser{Parser: NewParser(args)}
	switch {
	case p.word("RETURN"):
		err = p.returns(&s)
	case len(args) >= len("RETURN") && equalFold(args[:len("RETURN")], "RETURN") || p.Peek() == ' ':
		err = syntax("Expected what to return, or a search key")
	}
	return s, p.Rest(), err
}

func (p *searchParser) returns(s *Search) error {
	s.Extended = true
	if err := p.SP(); err != nil {
		return err
	}
	if err := p.List(func() error { return p.returned(s) }); err != nil {
		return err
	}
	if s.Partial != (NumRange{}) && s.All { // RFC 5267, 4.4
		return syntax("PARTIAL and ALL exclude one another")
	}
	if !s.Min && !s.Max && !s.Count && !s.Save && !s.Update && s.Partial == (NumRange{}) {
		s.All = true
	}
	return p.SP()
}

// returned reads one option.
func (p *searchParser) returned(s *Search) error {
	word, err := p.Word()
	if err != nil {
		return err
	}
	switch word {
	case "MIN":
		s.Min = true
	case "MAX":
		s.Max = true
	case "ALL":
		s.All = true
	case "COUNT":
		s.Count = true
	case "SAVE":
		s.Save = true
	case "CONTEXT":
		s.Context = true
	case "UPDATE":
		s.Update = true
	case "PARTIAL":
		return p.partial(s)
	default:
		return syntax("Unknown SEARCH result")
	}
	return nil
}

// partial reads the range of PARTIAL.
func (p *searchParser) partial(s *Search) error {
	if s.Partial != (NumRange{}) { // RFC 5267, 4.4
		return syntax("PARTIAL can be given once")
	}
	if err := p.SP(); err != nil {
		return err
	}
	first, err := p.Number()
	if err != nil {
		return err
	}
	if err := p.Expect(':'); err != nil {
		return err
	}
	last, err := p.Number()
	if err != nil {
		return err
	}
	if first == 0 || last == 0 {
		return syntax("The first result is 1")
	}
	s.Partial = NumRange{first, last}
	return nil
}

// AppendReturns appends RETURN with the options of a search. Where it has none a COUNT stands for them, since without any all results are told.
func (s *Search) AppendReturns(b []byte) []byte {
	var list []string
	add := func(asked bool, name string) {
		if asked {
			list = append(list, name)
		}
	}
	add(s.Min, "MIN")
	add(s.Max, "MAX")
	add(s.All, "ALL")
	add(s.Count, "COUNT")
	add(s.Save, "SAVE")
	add(s.Context, "CONTEXT")
	add(s.Update, "UPDATE")
	add(s.Partial != NumRange{}, "PARTIAL "+FormatPartial(s.Partial))
	if len(list) == 0 || len(list) == 1 && s.Context {
		list = append(list, "COUNT")
	}
	b = append(append(b, "RETURN ("...), strings.Join(list, " ")...)
	return append(b, ')')
}

// FormatPartial writes the range of PARTIAL.
func FormatPartial(r NumRange) string {
	return strconv.FormatUint(uint64(r.First), 10) + ":" + strconv.FormatUint(uint64(r.Last), 10)
}

// ParseTags reads the arguments of CANCELUPDATE: strings, each the tag of a command (RFC 5267, 4.3.5). None is answered twice.
func ParseTags(args []byte) (tags []string, err error) {
	for p := NewParser(args); ; {
		tag, err := p.AString()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		if !p.Take(' ') {
			return tags, p.End()
		}
	}
}

// SearchTag answers the tag that an ESEARCH response begins with (RFC 4466, 2.6.2), and what stands behind the parentheses; rest is that of the response.
// found is false where it names none.
func SearchTag(rest []byte) (tag string, behind []byte, found bool) {
	if len(rest) == 0 || rest[0] != '(' {
		return "", rest, false
	}
	p := NewParser(rest[1:])
	if word, err := p.Word(); err != nil || word != "TAG" || !p.Take(' ') {
		return "", rest, false
	}
	tag, err := p.AString()
	if err != nil || !p.Take(')') {
		return "", rest, false
	}
	return tag, p.Rest(), true
}

// RefusedTag answers the tag in the response code NOUPDATE that a text begins with: of the search whose updates a mail store refuses (RFC 5267, 4.3.1).
func RefusedTag(text []byte) (tag string, found bool) {
	const code = "[NOUPDATE "
	if len(text) < len(code) || !bytes.EqualFold(text[:len(code)], []byte(code)) {
		return "", false
	}
	p := NewParser(text[len(code):])
	tag, err := p.AString()
	return tag, err == nil
}

package structure

import "strings"

// address is one element of an address list as ENVELOPE tells it; nil is NIL. A group begins with an address that has only
// a mailbox, its name, and ends with one that has nothing (RFC 3501, 7.4.2).
type address struct{ name, route, mailbox, host *string }

// Stand-ins for what an invalid address lacks: NIL would mean a group. The words are Dovecot's.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
)

// addressParser reads an address list (RFC 5322, 3.4 and the obsolete forms of 4.4), taking what it can from any text.
type addressParser struct {
	s       string
	i       int
	inGroup bool
	out     []address
}

func parseAddresses(s string) []address {
	p := addressParser{s: s}
	for p.element() {
	}
	if p.inGroup {
		p.out = append(p.out, address{})
	}
	return p.out
}

// words is a run of words: as a phrase they are separated by one space, as a local part by nothing.
type words struct {
	phrase, local []byte
	note          string // the last comment
}

func (w *words) empty() bool { return len(w.phrase) == 0 }

func (w *words) add(word string, spaced bool) {
	if spaced && len(w.phrase) > 0 {
		w.phrase = append(w.phrase, ' ')
	}
	w.phrase = append(w.phrase, word...)
	w.local = append(w.local, word...)
}

// domain answers the words read as a domain: white space and comments may stand around its dots (RFC 5322, 4.4), and other words
// are none of it.
func (w *words) domain() string {
	var b strings.Builder
	dot := true
	for word := range strings.FieldsSeq(string(w.phrase)) {
		if !dot && word[0] != '.' {
			break
		}
		b.WriteString(word)
		dot = word[len(word)-1] == '.'
	}
	return b.String()
}

// run reads words up to an octet of stop, or the end. A domain literal is a word.
func (p *addressParser) run(stop string) (w words, quotedAny bool) {
	spaced := false
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			spaced = true
			p.i++
		case c == '(':
			w.note, p.i = comment(p.s, p.i)
			spaced = true
		case c == '"':
			var word string
			word, p.i = quoted(p.s, p.i)
			w.add(word, spaced)
			spaced, quotedAny = false, true
		case c == '[':
			start := p.i
			if end := strings.IndexByte(p.s[p.i:], ']'); end >= 0 {
				p.i += end + 1
			} else {
				p.i = len(p.s)
			}
			w.add(p.s[start:p.i], spaced)
			spaced = false
		case strings.IndexByte(stop, c) >= 0:
			return w, quotedAny
		default:
			start := p.i
			for p.i < len(p.s) && strings.IndexByte(" \t\r\n(\"[", p.s[p.i]) < 0 && strings.IndexByte(stop, p.s[p.i]) < 0 {
				p.i++
			}
			w.add(p.s[start:p.i], spaced)
			spaced = false
		}
	}
	return w, quotedAny
}

// element reads one element of the list and the separator after it; it answers false at the end.
func (p *addressParser) element() bool {
	w, quotedAny := p.run(",;:<@")
	if p.i >= len(p.s) {
		p.bare(&w, quotedAny)
		return false
	}
	c := p.s[p.i]
	p.i++
	switch c {
	case ',':
		p.bare(&w, quotedAny)
	case ';':
		p.bare(&w, quotedAny)
		if p.inGroup {
			p.inGroup = false
			p.out = append(p.out, address{})
		}
	case ':':
		if p.inGroup { // groups do not nest
			p.bare(&w, quotedAny)
			break
		}
		p.inGroup = true
		name := string(w.phrase)
		p.out = append(p.out, address{mailbox: &name})
	case '<':
		p.angle(&w, quotedAny)
	case '@':
		local := string(w.local)
		domain, _ := p.run(",;<>")
		note := domain.note
		if note == "" {
			note = w.note
		}
		if p.i < len(p.s) && p.s[p.i] == '<' { // "a@b" <a@b> without quotes: a name that looks like an address
			p.i++
			w.phrase = append(append(w.phrase, '@'), domain.phrase...)
			p.angle(&w, true)
			break
		}
		p.skip()
		p.emit(note, note != "", "", local, domain.domain())
	}
	return true
}

// bare takes words that no address follows: a mailbox without domain, or nothing.
func (p *addressParser) bare(w *words, quotedAny bool) {
	if w.empty() && !quotedAny {
		return
	}
	if len(w.phrase) != len(w.local) { // several words are a name rather than a mailbox
		p.emit(string(w.phrase), true, "", "", "")
		return
	}
	p.emit(w.note, w.note != "", "", string(w.local), "")
}

// skip goes behind the next separator: what stands after an address is not told.
func (p *addressParser) skip() {
	p.run(",;")
	if p.i < len(p.s) && p.s[p.i] == ',' {
		p.i++
	}
}

// angle reads the rest of "name <route:local@domain>".
func (p *addressParser) angle(name *words, quotedAny bool) {
	route := ""
	w, _ := p.run(",:@>")
	if w.empty() && p.i < len(p.s) && (p.s[p.i] == '@' || p.s[p.i] == ',') {
		start := p.i
		if end := strings.IndexAny(p.s[p.i:], ":>"); end >= 0 && p.s[p.i+end] == ':' {
			route = strings.Join(strings.Fields(p.s[start:p.i+end]), "")
			p.i += end + 1
			w, _ = p.run("@>")
		}
	}
	host := ""
	if p.i < len(p.s) && p.s[p.i] != '@' && p.s[p.i] != '>' {
		more, _ := p.run("@>") // a stray comma or colon in the local part
		w.local = append(w.local, more.local...)
	}
	if p.i < len(p.s) && p.s[p.i] == '@' {
		p.i++
		domain, _ := p.run(">")
		host = domain.domain()
	}
	if p.i < len(p.s) { // the >
		p.i++
	}
	// Up to the next separator there may be a comment or rubbish; neither is told.
	after, _ := p.run(",;")
	if p.i < len(p.s) && p.s[p.i] == ',' {
		p.i++
	}
	text, named := string(name.phrase), !name.empty() || quotedAny
	if !named && after.note != "" {
		text, named = after.note, true
	}
	p.emit(text, named, route, string(w.local), host)
}

func (p *addressParser) emit(name string, named bool, route, mailbox, host string) {
	a := address{mailbox: &mailbox, host: &host}
	if named && name != "" {
		a.name = &name
	}
	if route != "" {
		a.route = &route
	}
	if mailbox == "" {
		mailbox = missingMailbox
	}
	if host == "" {
		host = missingDomain
	}
	p.out = append(p.out, a)
}

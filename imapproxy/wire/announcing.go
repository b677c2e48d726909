package wire

// isText tells whether the response ends in text for people.
func (r *Response) isText() bool {
	if r.Kind == Continuation {
		return true
	}
	for _, name := range [...]string{"OK", "NO", "BAD", "BYE", "PREAUTH"} {
		if r.Is(name) {
			return true
		}
	}
	return false
}

// announcing tells where in a response a literal can be announced: everywhere, but in text for people only within the response
// code before it (RFC 3501, 9: resp-text). Servers repeat there what a client sent, such as a mailbox name that ends in {9}.
type announcing struct {
	text, code      bool
	quoted, escaped bool
}

func (r *Response) announcing() announcing {
	if !r.isText() {
		return announcing{}
	}
	a := announcing{text: true, code: len(r.Rest) > 0 && r.Rest[0] == '['}
	a.read(r.line[len(trimEOL(r.line))-len(r.Rest):])
	return a
}

// read takes note of a further piece of a line.
func (a *announcing) read(b []byte) {
	if !a.code {
		return
	}
	for _, c := range b {
		switch {
		case a.escaped:
			a.escaped = false
		case a.quoted && c == '\\':
			a.escaped = true
		case c == '"':
			a.quoted = !a.quoted
		case c == ']' && !a.quoted:
			a.code = false
			return
		}
	}
}

func (a *announcing) may() bool { return !a.text || a.code && !a.quoted }

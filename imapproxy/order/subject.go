package order

import "strings"

// BaseSubject answers what is left of a subject, whose encoded words have been decoded, without the marks of replies and forwards
// (RFC 5256, 2.1), and whether there were any.
func BaseSubject(subject string) (base string, reply bool) {
	s := oneSpaced(subject) // (1)
	for {
		s = trimTrailers(s, &reply) // (2)
		for {
			before := len(s)
			s = trimLeaders(s, &reply)                 // (3)
			if rest, ok := blob(s); ok && rest != "" { // (4)
				s = rest
			}
			if len(s) == before { // (5)
				break
			}
		}
		inner, ok := cutFold(s, "[fwd:") // (6)
		if !ok || !strings.HasSuffix(inner, "]") {
			return s, reply
		}
		s, reply = inner[:len(inner)-1], true
	}
}

// oneSpaced makes runs of white space one space.
func oneSpaced(s string) string {
	clean := true
	for i := range len(s) {
		if s[i] == '\t' || s[i] == '\r' || s[i] == '\n' || s[i] == ' ' && i+1 < len(s) && s[i+1] == ' ' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			if len(b) == 0 || b[len(b)-1] != ' ' {
				b = append(b, ' ')
			}
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// trimTrailers removes subj-trailer: "(fwd)" and spaces.
func trimTrailers(s string, reply *bool) string {
	const fwd = "(fwd)"
	for {
		switch n := len(s); {
		case strings.HasSuffix(s, " "):
			s = s[:n-1]
		case n >= len(fwd) && strings.EqualFold(s[n-len(fwd):], fwd):
			s, *reply = s[:n-len(fwd)], true
		default:
			return s
		}
	}
}

// trimLeaders removes subj-leader: spaces, and "re:" and the like with what stands in brackets before.
func trimLeaders(s string, reply *bool) string {
	for {
		if rest, ok := strings.CutPrefix(s, " "); ok {
			s = rest
			continue
		}
		rest := s
		for {
			next, ok := blob(rest)
			if !ok {
				break
			}
			rest = next
		}
		rest, ok := refwd(rest)
		if !ok {
			return s
		}
		s, *reply = rest, true
	}
}

// refwd removes subj-refwd: re, fw or fwd, perhaps something in brackets, and a colon.
func refwd(s string) (rest string, ok bool) {
	for _, word := range [...]string{"re", "fwd", "fw"} {
		rest, ok = cutFold(s, word)
		if ok {
			break
		}
	}
	if !ok {
		return s, false
	}
	rest = strings.TrimLeft(rest, " ")
	if inner, is := blob(rest); is {
		rest = inner
	}
	return strings.CutPrefix(rest, ":")
}

// blob removes subj-blob: something in brackets, without brackets in it, and spaces.
func blob(s string) (rest string, ok bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

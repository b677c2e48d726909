package order

import "strings"

// maxID is how long a message id may be; what is longer names no message.
const maxID = 998

// ID answers the first message id in a field such as Message-ID or In-Reply-To, without its angle brackets and in one spelling, or "".
func ID(field string) string {
	id, _ := nextID(field)
	return id
}

// IDs appends the message ids of a field such as References to list, the last ones when there are more than limit. One that stands there
// twice counts where it stands last.
func IDs(list []string, field string, limit int) []string {
	for field != "" {
		var id string
		if id, field = nextID(field); id != "" {
			list = append(list, id)
		}
	}
	return list[max(0, len(list)-limit):]
}

// nextID answers the next message id of a text and what follows it.
func nextID(s string) (id, rest string) {
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			return "", ""
		}
		s = s[open+1:]
		end, at := idEnd(s)
		if end < 0 {
			continue // another may begin behind
		}
		if id, ok := spelling(s[:end], at); ok {
			return id, s[end+1:]
		}
	}
}

// idEnd answers where ">" ends the message id that s begins with, and where its "@" is; -1: it is none.
func idEnd(s string) (end, at int) {
	at, quoted := -1, false
	for i := 0; i < len(s) && i <= maxID; i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			return -1, -1
		case c == '@' && at < 0:
			at = i
		case c == '>' && at > 0 && i > at+1:
			return i, at
		case c == '>':
			return -1, -1
		}
	}
	return -1, -1
}

// spelling takes white space out of a message id, and the quotes off a local part that needs none (RFC 5256, 3: "01KF"@xxx is 01KF@xxx).
func spelling(s string, at int) (string, bool) {
	local, domain := squeeze(s[:at]), squeeze(s[at+1:])
	if len(local) > 1 && local[0] == '"' {
		var b strings.Builder
		for i := 1; i < len(local) && local[i] != '"'; i++ {
			if local[i] == '\\' && i+1 < len(local) {
				i++
			}
			b.WriteByte(local[i])
		}
		local = b.String()
	}
	return local + "@" + domain, local != "" && domain != ""
}

func squeeze(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Join(strings.Fields(s), "")
}

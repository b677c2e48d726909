package imapproxy

import "strings"

// Names is how a mail store calls folders, where it differs from the client's view: a flat prefix before all but INBOX, another
// delimiter, and name spaces beside the mailbox's own, which are not shown. The zero value is the client's view itself.
type Names struct {
	Prefix    string   // of the mailbox's own name space, such as "INBOX."
	Delimiter byte     // 0: '/'
	Foreign   []string // prefixes of other name spaces
}

// named is a connection of a mail store that has names of its own.
type named interface{ Names() Names }

func (n Names) delimiter() byte {
	if n.Delimiter == 0 {
		return delimiter
	}
	return n.Delimiter
}

// swap exchanges both delimiters, so that every name of one side has exactly one at the other.
func (n Names) swap(name string) string {
	d := n.delimiter()
	if d == delimiter {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case delimiter:
			return rune(d)
		case rune(d):
			return delimiter
		}
		return r
	}, name)
}

// toStore is the mail store's name of an account's folder. There is none for a folder that would stand in a name space that is not
// the mailbox's own: what a server shares there is not ours to give.
func (n Names) toStore(folder string) (string, bool) {
	if folder == inbox {
		return folder, true
	}
	name := n.Prefix + n.swap(folder)
	return name, !n.foreign(name)
}

// fromStore is the account's folder for a mail store's name; false for a name outside the mailbox's own name space.
func (n Names) fromStore(name string) (string, bool) {
	if strings.EqualFold(name, inbox) {
		return inbox, true
	}
	rest, ok := strings.CutPrefix(name, n.Prefix)
	if !ok || rest == "" || n.foreign(name) {
		return "", false
	}
	return n.swap(rest), true
}

func (n Names) foreign(name string) bool {
	for _, prefix := range n.Foreign {
		if strings.HasPrefix(name, prefix) || name+string(n.delimiter()) == prefix {
			return true
		}
	}
	return false
}

const inbox = "INBOX"

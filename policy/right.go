package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Right is a set of RFC 4314 rights on a mailbox.
type Right uint16

// The rights, with their letters (RFC 4314, 2.1). Administer is given to nobody: delegations are the administrator's.
const (
	Lookup        Right = 1 << iota // l: the mailbox is listed
	Read                            // r: SELECT, FETCH, SEARCH, STATUS
	Seen                            // s: the \Seen flag is kept
	Write                           // w: other flags and keywords
	Insert                          // i: APPEND, COPY into
	Post                            // p: submission address
	Create                          // k: CREATE, RENAME into
	DeleteMailbox                   // x: DELETE, RENAME away
	DeleteMsgs                      // t: the \Deleted flag
	Expunge                         // e: EXPUNGE
	Administer                      // a: SETACL
)

// The presets of delegations.yaml. One's own mailbox has PresetManage.
const (
	PresetRead   = Lookup | Read
	PresetWrite  = PresetRead | Seen | Write | Insert | DeleteMsgs | Expunge
	PresetManage = PresetWrite | Create | DeleteMailbox | Post
)

// rightLetters are in the order the contract writes them; a letter's index is no bit number.
var rightLetters = [...]struct {
	letter byte
	right  Right
}{
	{'l', Lookup},
	{'r', Read},
	{'s', Seen},
	{'w', Write},
	{'i', Insert},
	{'t', DeleteMsgs},
	{'e', Expunge},
	{'k', Create},
	{'x', DeleteMailbox},
	{'p', Post},
	{'a', Administer},
}

// Has tells whether r holds every right of all.
func (r Right) Has(all Right) bool { return r&all == all }

// String is the letters of RFC 4314 without the virtual c and d.
func (r Right) String() string {
	var b strings.Builder
	for _, l := range rightLetters {
		if r&l.right != 0 {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// Virtual is String followed by c and d where RFC 4314, 2.1.1 asks them for clients of RFC 2086: c with any of k and x, d with
// any of e and t.
func (r Right) Virtual() string {
	s := r.String()
	if r&(Create|DeleteMailbox) != 0 {
		s += "c"
	}
	if r&(Expunge|DeleteMsgs) != 0 {
		s += "d"
	}
	return s
}

// Preset is the word of delegations.yaml for exactly these rights, or their letters.
func (r Right) Preset() string {
	switch r {
	case PresetRead:
		return "read"
	case PresetWrite:
		return "write"
	case PresetManage:
		return "manage"
	}
	return r.String()
}

// ParseRights reads letters of RFC 4314 in any order; c and d stand for the rights Virtual derives them from.
func ParseRights(letters string) (Right, error) {
	var r Right
	for _, c := range []byte(letters) {
		switch c {
		case 'c':
			r |= Create | DeleteMailbox
			continue
		case 'd':
			r |= Expunge | DeleteMsgs
			continue
		}
		i := slices.IndexFunc(rightLetters[:], func(l struct {
			letter byte
			right  Right
		},
		) bool {
			return l.letter == c
		})
		if i < 0 {
			return 0, fmt.Errorf("%q is not a right", c)
		}
		r |= rightLetters[i].right
	}
	return r, nil
}

// UnmarshalText reads a preset of delegations.yaml.
func (r *Right) UnmarshalText(text []byte) error {
	switch string(text) {
	case "read":
		*r = PresetRead
	case "write":
		*r = PresetWrite
	case "manage":
		*r = PresetManage
	default:
		return fmt.Errorf("%q are no rights; write read, write or manage", text)
	}
	return nil
}

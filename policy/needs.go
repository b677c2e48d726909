package policy

import "strings"

// Needs answers the rights an IMAP command asks on the mailbox it names, or on the selected one when it names none, and
// false for a command that asks nothing (NOOP, IDLE, LOGOUT, …) or is unknown: RFC 4314, 4. command is in any case, with
// or without a UID prefix.
//
// Some commands concern a second mailbox or depend on flags: for CREATE and the new name of RENAME the right is needed on
// the folder's parent, COPY and MOVE also need NeedsIntoDestination, STORE and the flags of APPEND and COPY follow FlagRight.
// A FETCH that would set \Seen, and COPY, do without the flag where its right lacks; STORE is refused.
func Needs(command string) (Right, bool) {
	switch strings.TrimPrefix(strings.ToUpper(command), "UID ") {
	case "LIST", "LSUB", "XLIST", "SUBSCRIBE", "MYRIGHTS", "GETACL", "LISTRIGHTS":
		// The contract's GETACL answers only the caller's own entry, so that MYRIGHTS' right is enough.
		return Lookup, true
	case "SELECT", "EXAMINE", "STATUS", "FETCH", "SEARCH", "CANCELUPDATE", "SORT", "THREAD", "COPY", "GETQUOTAROOT", "GETMETADATA":
		return Read, true
	case "STORE":
		return Read, true // and FlagRight of each flag
	case "APPEND":
		return Insert, true
	case "MOVE", "REPLACE": // of the message that goes; the other one needs what APPEND does (RFC 8508, 3.5)
		return Read | DeleteMsgs | Expunge, true // RFC 6851, 4.1 refers to COPY, STORE and EXPUNGE
	case "EXPUNGE":
		return Expunge, true
	case "CREATE":
		return Create, true
	case "DELETE", "RENAME":
		return DeleteMailbox, true
	case "SETMETADATA":
		return Write, true
	case "SETACL", "DELETEACL", "SETQUOTA":
		return Administer, true
	}
	return 0, false
}

// NeedsIntoDestination answers the right that COPY, MOVE and RENAME ask on the destination: the target folder, or the parent
// of the new name.
func NeedsIntoDestination(command string) (Right, bool) {
	switch strings.TrimPrefix(strings.ToUpper(command), "UID ") {
	case "COPY", "MOVE":
		return Insert, true
	case "RENAME":
		return Create, true
	}
	return 0, false
}

// FlagRight answers the right that setting or clearing a flag asks (RFC 4314, 4): \Seen s, \Deleted t, any other w.
func FlagRight(flag string) Right {
	switch strings.ToLower(flag) {
	case `\seen`:
		return Seen
	case `\deleted`:
		return DeleteMsgs
	}
	return Write
}

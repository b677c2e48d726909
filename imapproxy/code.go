package imapproxy

import "strings"

// passedCodes are the response codes of a tagged answer that a mail store may give the client, with what is said beside a
// refusal. None carries a mailbox name. Others are dropped: they concern the connection between store and proxy.
func passedCodes(name string) (text string, passed bool) {
	switch name {
	case "APPENDUID", "COPYUID", "READ-ONLY", "READ-WRITE", "UIDNOTSTICKY", "MODIFIED", "HIGHESTMODSEQ", "NOMODSEQ", "MAILBOXID", "CLOSED", "METADATA":
		return "The mail store refused the command", true
	case "TRYCREATE", "NONEXISTENT":
		return "No such mailbox", true
	case "ALREADYEXISTS":
		return "A mailbox of this name exists already", true
	case "OVERQUOTA":
		return "The mailbox is full", true
	case "LIMIT":
		return "A limit of the server is reached", true
	case "TOOBIG":
		return "The message is too large", true
	case "NOPERM":
		return "This is not allowed", true
	case "CANNOT":
		return "This cannot be done", true
	case "USEATTR":
		return "A mailbox cannot have this special use here", true
	case "UNKNOWN-CTE":
		return "The encoding of the message is not supported", true
	case "INUSE":
		return "The mailbox is in use", true
	case "EXPUNGEISSUED":
		return "Some of the messages have been removed meanwhile", true
	case "HASCHILDREN":
		return "The mailbox has mailboxes below it", true
	case "BADCHARSET":
		return "The charset is not supported", true
	case "CORRUPTION":
		return "A message is damaged in the mail store", true
	case "SERVERBUG", "CONTACTADMIN":
		return "The mail store has met an internal error", true
	case "UNAVAILABLE":
		return "The mailbox cannot be reached at the moment", true
	case "PARSE", "CLIENTBUG", "NOTSAVED", "BADCOMPARATOR":
		return "The command is not valid", true
	}
	return "The mail store refused the command", false
}

// passedCode is a mail store's response code as the client gets it, or "".
func passedCode(code string) string {
	name, _, _ := strings.Cut(code, " ")
	if _, ok := passedCodes(strings.ToUpper(name)); !ok {
		return ""
	}
	return code
}

func refusalText(code string) string {
	name, _, _ := strings.Cut(code, " ")
	text, _ := passedCodes(strings.ToUpper(name))
	return text
}

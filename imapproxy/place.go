package imapproxy

import (
	"strings"

	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
)

// delimiter separates the levels of a client's mailbox names.
const delimiter = '/'

// place is where a client's mailbox name leads.
type place struct {
	name    string // as the client says it
	folder  string // as the account's owner does
	account *policy.Account
	access  policy.Access
}

// locate follows a mailbox name in wire form to its account, and checks that the person may open that and has rights there.
// The same answer meets a mailbox that does not exist and one that is not theirs.
func (s *session) locate(cmd *wire.Command, name string, rights policy.Right) (place, error) {
	at, reason, ok := s.route(name)
	if !ok {
		return place{}, s.refused(cmd, audit.Party{Address: mail.Address(sharedAddress(s.p.opt.SharedPrefix, name))}, reason, errNoMailbox())
	}
	if at.folder == "" {
		return place{}, errNoMailbox() // Comptes/<address> itself holds no messages
	}
	if !at.access.Rights.Has(rights) {
		reason := policy.Reason{Text: at.access.Reason.Text + "; that lacks " + (rights &^ at.access.Rights).String()}
		return place{}, s.refused(cmd, party(at.account), reason, errNoRight())
	}
	return at, nil
}

// route finds the account and folder that a name stands for, without asking for rights beyond opening. folder is empty for the
// nodes above the shared mailboxes' folders.
func (s *session) route(name string) (at place, reason policy.Reason, ok bool) {
	rest, shared := strings.CutPrefix(name, s.p.opt.SharedPrefix)
	if !shared || (rest != "" && rest[0] != delimiter) {
		access, ok := s.access(s.opened.ID)
		return place{name: name, folder: name, account: s.opened, access: access}, access.Reason, ok
	}
	address, folder, _ := strings.Cut(strings.TrimPrefix(rest, string(delimiter)), string(delimiter))
	snap := s.rules()
	account, known := snap.Account(mail.Address(address))
	if !known || string(account.Address) != address || account.ID == s.opened.ID {
		return place{}, policy.Reason{Text: "there is no such shared mailbox"}, false
	}
	access, ok := snap.Open(s.person.ID, account.ID)
	if !ok {
		return place{}, access.Reason, false
	}
	if strings.EqualFold(folder, "INBOX") {
		folder = "INBOX"
	}
	return place{name: name, folder: folder, account: account, access: access}, access.Reason, true
}

// sharedAddress is what stands for the address in a shared mailbox's name, for the trace.
func sharedAddress(prefix, name string) string {
	address, _, _ := strings.Cut(strings.TrimPrefix(name, prefix+string(delimiter)), string(delimiter))
	if a, err := mail.ParseAddress(address); err == nil {
		return string(a)
	}
	return ""
}

// clientName is the name under which the client sees an account's folder.
func (s *session) clientName(account *policy.Account, folder string) string {
	if account.ID == s.opened.ID {
		return folder
	}
	return s.sharedRoot(account) + string(delimiter) + folder
}

// sharedRoot is the node that holds the folders of an account other than the opened one.
func (s *session) sharedRoot(account *policy.Account) string {
	return s.p.opt.SharedPrefix + string(delimiter) + string(account.Address)
}

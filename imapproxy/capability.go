package imapproxy

import (
	"slices"
	"strconv"
	"strings"

	"balorg/imapproxy/wire"
)

// ownCapabilities are kept by the proxy itself, whatever the mail stores can do.
var ownCapabilities = [...]string{
	"IMAP4rev1", "SASL-IR", "LITERAL+", "ID", "ENABLE", "NAMESPACE", "CHILDREN", "UNSELECT",
	"LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "ACL", "RIGHTS=kxte",
}

// storeCapabilities are offered when every mail store of the session has them. Not among them are those that name mailboxes where we
// do not look (URLAUTH, CATENATE, NOTIFY, MULTISEARCH).
var storeCapabilities = [...]string{
	imap4rev2, "IDLE", "UIDPLUS", "MOVE", "STATUS=SIZE", "ESEARCH", "QUOTA", "CONDSTORE", "QRESYNC", "SEARCHRES", "WITHIN", "SORT", "SORT=DISPLAY", "ESORT",
	"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS", "SAVEDATE", "PREVIEW", "OBJECTID", contextSearch,
	"BINARY", "MULTIAPPEND", "REPLACE", "CREATE-SPECIAL-USE", "METADATA", utf8Accept,
}

// capabilities answers the list for the session as it stands.
func (s *session) capabilities() string {
	if s.person == nil {
		return s.preLoginCapabilities()
	}
	limit := s.p.opt.MaxMessage
	var asked []string // mail stores
	var lacking [len(storeCapabilities)]bool
	for _, access := range s.rules().Mailboxes(s.person.ID) {
		name := access.Mailbox.Mailstore
		ms := s.p.opt.Stores[name]
		if ms == nil || slices.Contains(asked, name) {
			continue // opening one that is not there answers UNAVAILABLE
		}
		asked = append(asked, name)
		has := ms.Capabilities()
		for i, c := range storeCapabilities {
			lacking[i] = lacking[i] || !s.p.finds(c, has)
		}
		for _, c := range has {
			if text, ok := strings.CutPrefix(c, "APPENDLIMIT="); ok {
				if n, err := strconv.ParseInt(text, 10, 64); err == nil {
					limit = min(limit, n)
				}
			}
		}
	}
	list := make([]string, 0, len(ownCapabilities)+len(storeCapabilities)+2)
	list = append(list, ownCapabilities[:]...)
	for i, c := range storeCapabilities {
		if len(asked) > 0 && !lacking[i] && (c != objectID || s.keepsObjects()) {
			list = append(list, c)
		}
	}
	if !s.compressed {
		list = append(list, "COMPRESS=DEFLATE")
	}
	return strings.Join(append(list, "APPENDLIMIT="+strconv.FormatInt(limit, 10)), " ")
}

// objectID is the capability of telling objects apart for good (RFC 8474).
const objectID = "OBJECTID"

// keepsObjects tells whether a message has the same id wherever the client copies it to (RFC 8474, 5.1): between two mail stores, or
// accounts of one that does not copy by itself, it comes as another.
func (s *session) keepsObjects() bool {
	all := s.rules().Mailboxes(s.person.ID)
	for _, access := range all {
		ms := s.p.opt.Stores[access.Mailbox.Mailstore]
		same := access.Mailbox.Mailstore == all[0].Mailbox.Mailstore
		if len(all) > 1 && (ms == nil || !same || !slices.Contains(ms.Capabilities(), copiesAcross)) {
			return false
		}
	}
	return true
}

// offers tells whether every mail store of the session has a capability. It may be called by the readers of mail stores.
func (s *session) offers(capability string) bool {
	for _, access := range s.rules().Mailboxes(s.person.ID) {
		if ms := s.p.opt.Stores[access.Mailbox.Mailstore]; ms == nil || !s.p.finds(capability, ms.Capabilities()) {
			return false
		}
	}
	return true
}

// finds tells whether a capability that may be offered is among those of a mail store, which may say it all in capitals.
func (p *Proxy) finds(capability string, has []string) bool {
	switch capability {
	case utf8Accept:
		return !p.opt.AnyHeader && slices.Contains(has, capability)
	case imap4rev2:
		return slices.Contains(has, capability) || slices.Contains(has, strings.ToUpper(capability))
	}
	return slices.Contains(has, capability)
}

// hides tells whether a response code is of an extension that the session does not offer: a store's ids of its own are then no
// business of the client's.
func (s *session) hides(code string) bool {
	name, _, _ := strings.Cut(code, " ")
	return strings.EqualFold(name, "MAILBOXID") && !s.offersObjects()
}

func (s *session) offersObjects() bool { return s.offers(objectID) && s.keepsObjects() }

func (s *session) preLoginCapabilities() string {
	list := []string{"IMAP4rev1", "SASL-IR", "LITERAL+", "ID", "ENABLE"}
	if !s.secure && s.p.opt.TLS != nil {
		list = append(list, "STARTTLS")
	}
	if s.mayLogIn() {
		for _, m := range s.mechanisms() {
			list = append(list, "AUTH="+m)
		}
	} else {
		list = append(list, "LOGINDISABLED")
	}
	return strings.Join(list, " ")
}

func (s *session) capability(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad("CAPABILITY takes no arguments")
	}
	s.out.printf("* CAPABILITY %s\r\n", s.capabilities())
	return nil
}

// identify answers ID (RFC 2971). What the client says of itself is parsed, and not kept.
func (s *session) identify(cmd *wire.Command) error {
	if err := checkID(cmd.Args); err != nil {
		return err
	}
	s.out.printf("* ID (\"name\" \"balorg\")\r\n")
	return nil
}

// maxIDPairs is RFC 2971, 3.3.
const maxIDPairs = 30

func checkID(args []byte) error {
	p := wire.NewParser(args)
	if isNIL(args) {
		return nil
	}
	n := 0
	err := p.List(func() error {
		n++
		if n > 2*maxIDPairs {
			return bad("ID takes 30 pairs at most")
		}
		_, _, err := p.NString()
		return err
	})
	if err != nil {
		return err
	}
	if n%2 != 0 {
		return bad("ID takes pairs")
	}
	return p.End()
}

func isNIL(b []byte) bool { return len(b) == 3 && strings.EqualFold(string(b), "NIL") }

package imapproxy

import (
	"fmt"
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
	"IDLE", "UIDPLUS", "MOVE", "STATUS=SIZE", "ESEARCH", "QUOTA", "CONDSTORE", "QRESYNC", "SEARCHRES", "WITHIN", "SORT", "SORT=DISPLAY",
	"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS", "SAVEDATE", "PREVIEW", "OBJECTID",
}

// capabilities answers the list for the session as it stands.
func (s *session) capabilities() string {
	if s.person == nil {
		return s.preLoginCapabilities()
	}
	list := slices.Clone(ownCapabilities[:])
	limit := s.p.opt.MaxMessage
	var common map[string]bool
	for _, access := range s.p.opt.Snapshot().Mailboxes(s.person.ID) {
		ms := s.p.opt.Stores[access.Mailbox.Mailstore]
		if ms == nil {
			continue // opening it answers UNAVAILABLE
		}
		has := make(map[string]bool)
		for _, c := range ms.Capabilities() {
			has[c] = common == nil || common[c]
			if n, err := strconv.ParseInt(strings.TrimPrefix(c, "APPENDLIMIT="), 10, 64); err == nil {
				limit = min(limit, n)
			}
		}
		common = has
	}
	for _, c := range storeCapabilities {
		if common[c] {
			list = append(list, c)
		}
	}
	if !s.compressed {
		list = append(list, "COMPRESS=DEFLATE")
	}
	return strings.Join(append(list, fmt.Sprintf("APPENDLIMIT=%d", limit)), " ")
}

func (s *session) preLoginCapabilities() string {
	list := []string{"IMAP4rev1", "SASL-IR", "LITERAL+", "ID", "ENABLE"}
	if !s.secure && s.p.opt.TLS != nil {
		list = append(list, "STARTTLS")
	}
	if s.mayLogIn() {
		list = append(list, "AUTH=PLAIN")
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

// enable answers ENABLE (RFC 5161): of what the client names, what the session has is switched on at every mail store.
func (s *session) enable(cmd *wire.Command) error {
	offered := strings.Fields(s.capabilities())
	var now []string
	for name := range strings.FieldsSeq(strings.ToUpper(string(cmd.Args))) {
		if slices.Contains(offered, name) && slices.Contains(enableable[:], name) && !slices.Contains(s.enabled, name) {
			now = append(now, name)
		}
	}
	if len(cmd.Args) == 0 {
		return bad("ENABLE takes a capability")
	}
	for _, u := range s.ups {
		if err := s.enableAt(u, now); err != nil {
			return err
		}
	}
	s.enabled = append(s.enabled, now...)
	s.out.printf("* %s\r\n", strings.Join(append([]string{"ENABLED"}, now...), " "))
	return nil
}

// enableable are the capabilities that change what a mail store sends.
var enableable = [...]string{"CONDSTORE", "QRESYNC"}

func (s *session) replayEnable(u *upstream) error { return s.enableAt(u, s.enabled) }

func (s *session) enableAt(u *upstream, names []string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := u.run(s.ctx, []byte("ENABLE "+strings.Join(names, " ")), take("ENABLED"))
	return err
}

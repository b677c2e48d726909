package embedded

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// readName reads a mailbox name and answers it in UTF-8.
func readName(p *wire.Parser) (string, error) {
	name, err := p.Mailbox()
	if err != nil {
		return "", err
	}
	return wire.DecodeMailbox(name)
}

// soleName reads a mailbox name that is all of a command's arguments.
func (s *session) soleName(cmd *wire.Command) (string, error) {
	p := s.naming.NewParser(cmd.Args)
	name, err := readName(p)
	if err != nil {
		return "", err
	}
	return name, p.End()
}

// givenUses are the special uses that a client can give to a mailbox it creates (RFC 6154, 3). The others are of mailboxes that show what is
// elsewhere, and there are none.
var givenUses = [...]mailbox.SpecialUse{mailbox.Archive, mailbox.Drafts, mailbox.Junk, mailbox.Sent, mailbox.Trash}

func (s *session) create(cmd *wire.Command) error {
	c, err := wire.ParseCreate(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(c.Mailbox)
	if err != nil {
		return err
	}
	if err := s.checkNew(name); err != nil {
		return err
	}
	use := mailbox.NoUse
	if len(c.Uses) > 0 {
		i := slices.IndexFunc(givenUses[:], func(u mailbox.SpecialUse) bool { return strings.EqualFold(string(u), c.Uses[0]) })
		if i < 0 || len(c.Uses) > 1 {
			return no("USEATTR", "A mailbox cannot have this special use")
		}
		use = givenUses[i]
	}
	if err := s.account.Create(s.ctx, name, use); err != nil {
		return err
	}
	f, err := s.account.Status(s.ctx, strings.TrimSuffix(name, string(mailbox.Delimiter)))
	if err != nil {
		return err
	}
	id, err := s.mailboxID(f)
	if err != nil {
		return err
	}
	return ok("MAILBOXID ("+id+")", "CREATE completed") // RFC 8474, 4.1
}

// mailboxID is the id of a folder (RFC 8474).
func (s *session) mailboxID(f mailbox.Folder) (string, error) {
	ids, err := s.srv.boxes.ObjectIDs(s.ctx)
	if err != nil {
		return "", err
	}
	return ids.Mailbox(s.account.ID(), f.ID), nil
}

func (s *session) deleteFolder(cmd *wire.Command) error {
	name, err := s.soleName(cmd)
	if err != nil {
		return err
	}
	own := s.hasSelected(name)
	if err := s.account.Delete(s.ctx, name); err != nil {
		return err
	}
	if own {
		s.unselect() // who deletes the mailbox they have selected gets their answer, and no BYE
	}
	return nil
}

// hasSelected tells whether this session has the mailbox of that name selected, which another may have renamed meanwhile.
func (s *session) hasSelected(name string) bool {
	if s.view == nil {
		return false
	}
	f, err := s.account.Status(s.ctx, name)
	return err == nil && !f.NoSelect && f.ID == s.view.Folder().ID
}

func (s *session) rename(cmd *wire.Command) error {
	p := s.naming.NewParser(cmd.Args)
	from, err := readName(p)
	if err != nil {
		return err
	}
	if err := p.SP(); err != nil {
		return err
	}
	to, err := readName(p)
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	// The store has one error for these and for what cannot be done with INBOX.
	switch {
	case strings.HasPrefix(to, from+string(mailbox.Delimiter)) && !strings.EqualFold(from, mailbox.Inbox):
		return no("CANNOT", "A mailbox cannot be moved below itself")
	case strings.EqualFold(to, mailbox.Inbox):
		return mailbox.ErrFolderExists
	}
	if err := s.checkNew(to); err != nil {
		return err
	}
	own := strings.EqualFold(from, mailbox.Inbox) && s.hasSelected(from)
	if err := s.account.Rename(s.ctx, from, to); err != nil {
		return err
	}
	if own {
		s.unselect() // its messages are elsewhere now (RFC 3501, 6.3.5)
	}
	return nil
}

// subscribe answers SUBSCRIBE and UNSUBSCRIBE.
func (s *session) subscribe(cmd *wire.Command) error {
	name, err := s.soleName(cmd)
	if err != nil {
		return err
	}
	on := cmd.Name == "SUBSCRIBE"
	f, err := s.account.Status(s.ctx, name)
	if err == nil {
		name = f.Name // its one spelling
	}
	// A name may be unsubscribed from that is no mailbox any more (RFC 3501, 6.3.6).
	if err != nil && (on || !errors.Is(err, mailbox.ErrNoFolder)) {
		return err
	}
	if s.srv.opt.Subscriptions != nil {
		return s.srv.opt.Subscriptions.Set(s.ctx, s.who.Person, s.who.Account, name, on)
	}
	if !on {
		return no("CANNOT", "Subscriptions are not kept here")
	}
	return nil
}

func (s *session) status(cmd *wire.Command) error {
	st, err := wire.ParseStatus(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(st.Mailbox)
	if err != nil {
		return err
	}
	s.useStatus(st.Items)
	f, err := s.account.Status(s.ctx, name)
	if err != nil {
		return err
	}
	if f.NoSelect {
		return mailbox.ErrNoSelect
	}
	return s.tellStatus(st.Mailbox, f, st.Items)
}

// useStatus notes what the items that are asked for say of the client.
func (s *session) useStatus(items []string) {
	if slices.Contains(items, "HIGHESTMODSEQ") {
		s.useCondStore()
	}
}

// tellStatus writes the STATUS response of a folder.
func (s *session) tellStatus(wireName string, f mailbox.Folder, items []string) error {
	b := s.naming.Append(append(s.line[:0], "* STATUS "...), wireName)
	b = append(b, " ("...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, item...), ' ')
		switch item {
		case "MESSAGES":
			b = strconv.AppendUint(b, uint64(f.Messages), 10)
		case "RECENT":
			b = strconv.AppendUint(b, uint64(f.Recent), 10)
		case "UIDNEXT":
			b = strconv.AppendUint(b, uint64(f.UIDNext), 10)
		case "UIDVALIDITY":
			b = strconv.AppendUint(b, uint64(f.UIDValidity), 10)
		case "UNSEEN":
			b = strconv.AppendUint(b, uint64(f.Unseen), 10)
		case "DELETED":
			b = strconv.AppendUint(b, uint64(f.Deleted), 10)
		case "SIZE":
			b = strconv.AppendInt(b, f.Size, 10)
		case "HIGHESTMODSEQ":
			b = strconv.AppendUint(b, f.HighestModSeq, 10)
		case "APPENDLIMIT": // RFC 7889
			b = s.appendLimit(b)
		case "MAILBOXID":
			id, err := s.mailboxID(f)
			if err != nil {
				return err
			}
			b = append(append(append(b, '('), id...), ')')
		default:
			return bad("Unknown STATUS item")
		}
	}
	s.send(append(b, ")\r\n"...))
	return nil
}

func (s *session) appendLimit(b []byte) []byte {
	if limit := s.srv.boxes.MaxMessage(); limit > 0 {
		return strconv.AppendInt(b, limit, 10)
	}
	return append(b, "NIL"...)
}

// list answers LIST and LSUB.
func (s *session) list(cmd *wire.Command) error {
	l, err := wire.ParseList(cmd.Name, cmd.Args, s.naming)
	if err != nil {
		return err
	}
	s.useStatus(l.ReturnStatus)
	folders, err := s.account.Folders(s.ctx)
	if err != nil {
		return err
	}
	listing, err := s.listing(folders)
	if err != nil {
		return err
	}
	byName := make(map[string]mailbox.Folder, len(folders))
	for i, f := range folders {
		byName[listing[i].Name] = f
	}
	for _, found := range l.Answer(listing, mailbox.Delimiter) {
		s.send(found.Append(s.line[:0], cmd.Name, mailbox.Delimiter))
		if f, exists := byName[found.Name]; exists && l.ReturnStatus != nil && found.Selectable() {
			if err := s.tellStatus(found.Name, f, l.ReturnStatus); err != nil {
				return err
			}
		}
	}
	return nil
}

// listing answers the folders as LIST works on them, in their order, and behind them the names that are only subscribed to.
func (s *session) listing(folders []mailbox.Folder) ([]wire.Folder, error) {
	said := map[string]bool{}
	if s.srv.opt.Subscriptions != nil {
		var err error
		if said, err = s.srv.opt.Subscriptions.Overrides(s.ctx, s.who.Person, s.who.Account); err != nil {
			return nil, err
		}
	}
	list := make([]wire.Folder, 0, len(folders))
	exists := make(map[string]bool, len(folders))
	for _, f := range folders {
		exists[f.Name] = true
		on, given := said[f.Name]
		item := wire.Folder{Name: wire.EncodeMailbox(f.Name), Subscribed: on || !given && !f.NoSelect}
		if f.NoSelect {
			item.Attrs = append(item.Attrs, `\Noselect`)
		}
		if f.SpecialUse != mailbox.NoUse {
			item.Attrs = append(item.Attrs, string(f.SpecialUse))
		}
		list = append(list, item)
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if said[name] && !exists[name] {
			list = append(list, wire.Folder{Name: wire.EncodeMailbox(name), Subscribed: true, Missing: true})
		}
	}
	return list, nil
}

package imapproxy

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
)

// namespace answers NAMESPACE (RFC 2342): the opened mailbox is the personal name space, all others stand below one folder.
func (s *session) namespace(cmd *wire.Command) error {
	if len(cmd.Args) > 0 {
		return bad("NAMESPACE takes no arguments")
	}
	s.out.printf("* NAMESPACE ((\"\" \"/\")) NIL ((\"%s/\" \"/\"))\r\n", s.p.opt.SharedPrefix)
	return nil
}

// list answers LIST and LSUB, with their extensions, from the folders of every account the person may open: the opened one's
// first. It answers all or nothing: clients unsubscribe what a partial list leaves out.
func (s *session) list(cmd *wire.Command) error {
	l, err := wire.ParseList(cmd.Name, cmd.Args, s.naming())
	if err != nil {
		return err
	}
	if err := s.useStatus(l.ReturnStatus); err != nil {
		return err
	}
	var folders []wire.Folder
	if !l.IsRoot() {
		if folders, err = s.allFolders(); err != nil {
			return err
		}
	}
	var waits []func() (*reply, error)
	for _, listed := range l.Answer(folders, delimiter) {
		s.out.write(listed.Append(nil, cmd.Name, delimiter))
		if l.ReturnStatus == nil || !listed.Selectable() {
			continue
		}
		at, _, ok := s.route(listed.Name)
		if !ok || at.folder == "" || !at.access.Rights.Has(policy.Read) {
			continue
		}
		wait, err := s.beginStatus(at, l.ReturnStatus)
		if s.mustKnow(err) {
			return err
		}
		if err == nil {
			waits = append(waits, wait)
		}
	}
	for _, wait := range waits {
		if _, err := wait(); s.mustKnow(err) {
			return err
		}
	}
	return nil
}

// mustKnow tells whether err, of the STATUS of a listed folder, fails the LIST. RFC 5819, 2: a STATUS that fails is left out; so is
// that of a mail store that is down, whose folders are still listed.
func (s *session) mustKnow(err error) bool {
	return err != nil && (s.ctx.Err() != nil || !errors.Is(err, errLost) && !errors.Is(err, errDown))
}

// allFolders answers the folders of all accounts under the client's names.
func (s *session) allFolders() ([]wire.Folder, error) {
	var all []wire.Folder
	accesses := s.rules().Mailboxes(s.person.ID)
	slices.SortStableFunc(accesses, func(a, b policy.Access) int { return s.rank(a) - s.rank(b) })
	shared := false
	for _, access := range accesses {
		if !access.Rights.Has(policy.Lookup) {
			continue
		}
		account := access.Mailbox
		folders, err := s.foldersOf(account)
		if err != nil {
			return nil, err
		}
		if account.ID != s.opened.ID {
			if !shared {
				shared = true
				all = append(all, wire.Folder{Name: s.p.opt.SharedPrefix, Attrs: []string{`\Noselect`}})
			}
			all = append(all, wire.Folder{Name: s.sharedRoot(account), Attrs: []string{`\Noselect`}})
		}
		listed, err := s.withSubscriptions(account, folders)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
	}
	return all, nil
}

func (s *session) rank(a policy.Access) int {
	if a.Mailbox.ID == s.opened.ID {
		return 0
	}
	return 1
}

// withSubscriptions gives folders the client's names and the person's subscriptions: a folder counts as subscribed until the person
// says otherwise, and a name they subscribed to stays subscribed when its folder goes (RFC 9051, 6.3.7).
func (s *session) withSubscriptions(account *policy.Account, folders []folder) ([]wire.Folder, error) {
	said, err := s.p.opt.Subscriptions.Overrides(s.ctx, s.person.ID, account.ID)
	if err != nil {
		return nil, err
	}
	shared := account.ID != s.opened.ID
	listed := make([]wire.Folder, 0, len(folders))
	for _, f := range folders {
		name, err := wire.DecodeMailbox(f.name)
		if err != nil {
			continue // a name that no client could say either
		}
		subscribed, known := said[name]
		delete(said, name)
		attrs := f.attrs
		if shared {
			attrs = slices.DeleteFunc(slices.Clone(attrs), isSpecialUse)
		}
		if !known {
			subscribed = !slices.ContainsFunc(attrs, func(a string) bool { return strings.EqualFold(a, `\Noselect`) })
		}
		listed = append(listed, wire.Folder{Name: s.clientName(account, f.name), Attrs: attrs, Subscribed: subscribed})
	}
	for name, subscribed := range said {
		if subscribed {
			listed = append(listed, wire.Folder{Name: s.clientName(account, wire.EncodeMailbox(name)), Subscribed: true, Missing: true})
		}
	}
	return listed, nil
}

// isSpecialUse tells the attributes of RFC 6154: a client that met them in several mailboxes would not know its own.
func isSpecialUse(attr string) bool {
	switch strings.ToLower(attr) {
	case `\all`, `\archive`, `\drafts`, `\flagged`, `\junk`, `\sent`, `\trash`, `\important`:
		return true
	}
	return false
}

// foldersOf asks the mail store of an account for its folders, or takes its last answer when it cannot be reached.
func (s *session) foldersOf(account *policy.Account) ([]folder, error) {
	folders, err := s.askFolders(account)
	if errors.Is(err, errLost) && s.ctx.Err() == nil {
		folders, err = s.askFolders(account) // on another connection
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if err == nil {
		s.p.folders[account.ID] = folders
		return folders, nil
	}
	kept, ok := s.p.folders[account.ID]
	if !ok || s.ctx.Err() != nil {
		return nil, err
	}
	s.log().Warn("mail store does not list its folders; the last list is used", slog.Any("mailbox", account.Address), slog.Any("error", err))
	return kept, nil
}

func (s *session) askFolders(account *policy.Account) ([]folder, error) {
	up, err := s.upstream(account)
	if err != nil {
		return nil, err
	}
	command := `LIST "" "*"`
	if up.caps["LIST-EXTENDED"] && up.caps["SPECIAL-USE"] {
		command += " RETURN (SPECIAL-USE)"
	}
	var folders []folder
	r, err := up.run(s.ctx, []byte(command), func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("LIST") {
			return false, nil
		}
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		f, err := parseFolder(up.naming().NewParser(bytes.TrimPrefix(line, []byte("* LIST "))))
		if err != nil {
			return true, err
		}
		name, own := up.names.fromStore(f.name)
		if own && !strings.HasPrefix(name+"/", s.p.opt.SharedPrefix+"/") { // a folder of that name would hide the shared mailboxes
			folders = append(folders, folder{name, f.attrs})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if !r.ok() {
		return nil, storeAnswer(r)
	}
	return folders, nil
}

// parseFolder is parseListed without the attributes that depend on the whole tree, which wire.List finds anew.
func parseFolder(p *wire.Parser) (folder, error) {
	f, err := parseListed(p)
	f.attrs = slices.DeleteFunc(f.attrs, func(a string) bool {
		switch strings.ToLower(a) {
		case `\haschildren`, `\hasnochildren`, `\subscribed`, `\marked`, `\unmarked`:
			return true
		}
		return false
	})
	return f, err
}

// parseListed reads `(\HasNoChildren) "/" name`.
func parseListed(p *wire.Parser) (folder, error) {
	attrs, err := p.FlagList()
	if err != nil {
		return folder{}, err
	}
	if err := p.SP(); err != nil {
		return folder{}, err
	}
	if _, _, err := p.NString(); err != nil {
		return folder{}, err
	}
	if err := p.SP(); err != nil {
		return folder{}, err
	}
	name, err := p.Mailbox()
	return folder{name: name, attrs: attrs}, err
}

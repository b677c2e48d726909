package imapproxy

import (
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// create answers CREATE. A special use (RFC 6154, 3) is for the opened mailbox's own folders, the only ones that show any.
func (s *session) create(cmd *wire.Command) error {
	c, err := wire.ParseCreate(cmd.Args, s.naming())
	if err != nil {
		return err
	}
	at, err := s.locateNew(cmd, strings.TrimSuffix(c.Mailbox, string(delimiter)))
	if err != nil {
		return err
	}
	if len(c.Uses) == 0 {
		return s.onFolder(at, "CREATE", at.folder)
	}
	up, err := s.upstream(at.account)
	switch {
	case err != nil:
		return err
	case !up.caps["CREATE-SPECIAL-USE"]:
		return bad("CREATE takes no parameters here")
	case at.account.ID != s.opened.ID:
		return no("USEATTR", "Only folders of the mailbox that is open have special uses")
	}
	command, err := up.appendFolder([]byte("CREATE "), at.folder)
	if err != nil {
		return err
	}
	uses := " (USE (" + strings.Join(c.Uses, " ") + "))"
	return s.changeFolders(at, up, append(command, uses...), "CREATE "+at.folder+uses)
}

// locateNew is locate for a name that is to be made: nothing can be made beside or above the shared mailboxes.
func (s *session) locateNew(cmd *wire.Command, name string) (place, error) {
	if name == s.p.opt.SharedPrefix {
		return place{}, no("CANNOT", "This name is taken by the shared mailboxes")
	}
	return s.locate(cmd, name, needs("CREATE"))
}

// deleteFolder answers DELETE.
func (s *session) deleteFolder(cmd *wire.Command) error {
	at, err := s.locateSole(cmd, needs(cmd.Name))
	if err != nil {
		return err
	}
	return s.onFolder(at, "DELETE", at.folder)
}

// rename answers RENAME, within one account.
func (s *session) rename(cmd *wire.Command) error {
	p := s.naming().NewParser(cmd.Args)
	from, err := p.Mailbox()
	if err != nil {
		return err
	}
	if err := p.SP(); err != nil {
		return err
	}
	to, err := p.Mailbox()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	source, err := s.locate(cmd, from, needs(cmd.Name))
	if err != nil {
		return err
	}
	target, err := s.locateNew(cmd, strings.TrimSuffix(to, string(delimiter)))
	if err != nil {
		return err
	}
	if source.account.ID != target.account.ID {
		return no("CANNOT", "A folder cannot be renamed into another mailbox; copy its messages instead")
	}
	return s.onFolder(source, "RENAME", source.folder, target.folder)
}

// onFolder sends a command about folders to their mail store and answers as that does.
func (s *session) onFolder(at place, verb string, folders ...string) error {
	up, err := s.upstream(at.account)
	if err != nil {
		return err
	}
	command := []byte(verb)
	for _, f := range folders {
		if command, err = up.appendFolder(append(command, ' '), f); err != nil {
			return err
		}
	}
	return s.changeFolders(at, up, command, verb+" "+strings.Join(folders, " "))
}

// changeFolders sends a command that changes folders.
func (s *session) changeFolders(at place, up *upstream, command []byte, request string) error {
	r, err := up.run(s.ctx, command, nil)
	if err != nil {
		return err
	}
	record := audit.Record{Action: audit.FolderChange, Mailbox: party(at.account), Folder: at.folder, Request: request}
	if err := s.trace(s.ctx, withAnswer(record, r)); err != nil {
		return err
	}
	return storeAnswer(r)
}

// locateSole is locate for the one mailbox that a command names.
func (s *session) locateSole(cmd *wire.Command, rights policy.Right) (place, error) {
	name, err := s.soleMailbox(cmd)
	if err != nil {
		return place{}, err
	}
	return s.locate(cmd, name, rights)
}

func (s *session) soleMailbox(cmd *wire.Command) (string, error) {
	p := s.naming().NewParser(cmd.Args)
	name, err := p.Mailbox()
	if err != nil {
		return "", err
	}
	return name, p.End()
}

// subscribe answers SUBSCRIBE and UNSUBSCRIBE: each person's own choice, kept by us.
func (s *session) subscribe(cmd *wire.Command) error {
	at, err := s.locateSole(cmd, policy.Lookup)
	if err != nil {
		return err
	}
	folder, err := wire.DecodeMailbox(at.folder)
	if err != nil {
		return err
	}
	if cmd.Name == "SUBSCRIBE" {
		if err := s.mustExist(at); err != nil {
			return err
		}
	}
	return s.p.opt.Subscriptions.Set(s.ctx, s.person.ID, at.account.ID, folder, cmd.Name == "SUBSCRIBE")
}

// mustExist answers an error unless the mail store lists the folder.
func (s *session) mustExist(at place) error {
	if strings.ContainsAny(at.folder, "*%") {
		return s.mustBeListed(at)
	}
	up, err := s.upstream(at.account)
	if err != nil {
		return err
	}
	command, err := up.appendFolder([]byte(`LIST "" `), at.folder)
	if err != nil {
		return err
	}
	found := false
	_, err = up.run(s.ctx, command, func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) {
		found = found || resp.Is("LIST")
		return resp.Is("LIST"), nil
	})
	if err != nil {
		return err
	}
	if !found {
		return errNoMailbox()
	}
	return nil
}

// mustBeListed is mustExist for a name that LIST would take for a pattern.
func (s *session) mustBeListed(at place) error {
	folders, err := s.foldersOf(at.account)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(folders, func(f folder) bool { return f.name == at.folder }) {
		return errNoMailbox()
	}
	return nil
}

// status answers STATUS for one mailbox.
func (s *session) status(cmd *wire.Command) error {
	st, err := wire.ParseStatus(cmd.Args, s.naming())
	if err != nil {
		return err
	}
	at, err := s.locate(cmd, st.Mailbox, needs(cmd.Name))
	if err != nil {
		return err
	}
	if err := s.useStatus(st.Items); err != nil {
		return err
	}
	wait, err := s.beginStatus(at, st.Items)
	if err != nil {
		return err
	}
	r, err := wait()
	if err != nil {
		return err
	}
	return storeAnswer(r)
}

// useStatus notes what asking for the items of a STATUS says of the client, and refuses what the session does not offer.
func (s *session) useStatus(items []string) error {
	if slices.Contains(items, "MAILBOXID") && !s.offersObjects() {
		return bad("Unknown STATUS item")
	}
	if !slices.Contains(items, "HIGHESTMODSEQ") {
		return nil
	}
	return s.useCondStore(nil)
}

// beginStatus asks a mail store for a folder's status; the response goes to the client under the client's name for it.
func (s *session) beginStatus(at place, items []string) (wait func() (*reply, error), err error) {
	up, err := s.upstream(at.account)
	if err != nil {
		return nil, err
	}
	command, err := up.appendFolder([]byte("STATUS "), at.folder)
	if err != nil {
		return nil, err
	}
	command = append(command, " ("+strings.Join(items, " ")+")"...)
	up.attend()
	w, err := up.begin(s.ctx, command, func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("STATUS") {
			return false, nil
		}
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		p := up.naming().NewParser(line[len("* STATUS "):])
		if _, err := p.Mailbox(); err != nil {
			return true, err
		}
		s.out.printf("* STATUS %s%s\r\n", s.naming().Append(nil, at.name), p.Rest())
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if err := up.flush(); err != nil {
		return nil, err
	}
	return func() (*reply, error) { return w(s.ctx) }, nil
}

package imapproxy

import (
	"balorg/imapproxy/wire"
	"balorg/store/audit"
)

// getMetadata answers GETMETADATA (RFC 5464) for one mailbox. What a server keeps of itself is not the client's to see.
func (s *session) getMetadata(cmd *wire.Command) error {
	m, at, up, err := s.metadata(cmd)
	if err != nil {
		return err
	}
	command, err := up.appendFolder([]byte("GETMETADATA "+m.Options), at.folder)
	if err != nil {
		return err
	}
	r, err := up.run(s.ctx, append(append(command, ' '), m.Entries...), func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("METADATA") {
			return false, nil
		}
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		p := up.naming().NewParser(line[len("* METADATA "):])
		if _, err := p.Mailbox(); err != nil {
			return true, err
		}
		s.out.printf("* METADATA %s%s\r\n", s.naming().Append(nil, at.name), p.Rest())
		return true, nil
	})
	if err != nil {
		return err
	}
	return storeAnswer(r)
}

// setMetadata answers SETMETADATA for one mailbox. The trace has that it was done, and nothing of the values.
func (s *session) setMetadata(cmd *wire.Command) error {
	m, at, up, err := s.metadata(cmd)
	if err != nil {
		return err
	}
	command, err := up.appendFolder([]byte("SETMETADATA "), at.folder)
	if err != nil {
		return err
	}
	r, err := up.run(s.ctx, append(append(command, ' '), m.Entries...), nil)
	if err != nil {
		return err
	}
	record := audit.Record{Action: audit.FolderChange, Mailbox: party(at.account), Folder: at.folder, Request: "SETMETADATA"}
	if err := s.trace(s.ctx, withAnswer(record, r)); err != nil {
		return err
	}
	return storeAnswer(r)
}

// metadata finds the mailbox of a command and the connection to its store.
func (s *session) metadata(cmd *wire.Command) (m wire.Metadata, at place, up *upstream, err error) {
	if m, err = wire.ParseMetadata(cmd.Args, s.naming()); err != nil {
		return m, at, nil, err
	}
	if m.Mailbox == "" || m.Options != "" && cmd.Name == "SETMETADATA" {
		return m, at, nil, no("NOPERM", "Only mailboxes have annotations here")
	}
	if at, err = s.locate(cmd, m.Mailbox, needs(cmd.Name)); err != nil {
		return m, at, nil, err
	}
	if up, err = s.upstream(at.account); err != nil {
		return m, at, nil, err
	}
	if !up.caps["METADATA"] {
		return m, at, nil, bad("Unknown command")
	}
	return m, at, up, nil
}

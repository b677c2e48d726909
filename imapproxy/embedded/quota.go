package embedded

import "balorg/imapproxy/wire"

// The account is its folders' one quota root, named "" (RFC 9208).

func (s *session) getQuotaRoot(cmd *wire.Command) error {
	p := s.naming.NewParser(cmd.Args)
	wireName, err := p.Mailbox()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(wireName)
	if err != nil {
		return err
	}
	if _, err := s.account.Status(s.ctx, name); err != nil {
		return err
	}
	s.printf("* QUOTAROOT %s \"\"\r\n", s.naming.Append(nil, wireName))
	return s.tellQuota()
}

func (s *session) getQuota(cmd *wire.Command) error {
	p := wire.NewParser(cmd.Args)
	root, err := p.AString()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	if root != "" {
		return no("NONEXISTENT", "No such quota root")
	}
	return s.tellQuota()
}

// tellQuota tells use and limit in units of 1024 octets; use is rounded up, so that what is full looks full.
func (s *session) tellQuota() error {
	u, err := s.account.Usage(s.ctx)
	if err != nil {
		return err
	}
	if u.Limit == 0 {
		s.printf("* QUOTA \"\" ()\r\n")
		return nil
	}
	s.printf("* QUOTA \"\" (STORAGE %d %d)\r\n", (u.Octets+1023)/1024, u.Limit/1024)
	return nil
}

func (s *session) setQuota(*wire.Command) error {
	return no("NOPERM", "Quotas are managed by the administrators")
}

package imapproxy

import (
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
)

// A quota root's name must tell accounts apart (RFC 9208): it is the account's address, and behind a colon the mail store's
// own name of the root, unless that is empty.

func (s *session) quotaRoot(account *policy.Account, root string) string {
	if root == "" {
		return string(account.Address)
	}
	return string(account.Address) + ":" + root
}

// getQuotaRoot answers GETQUOTAROOT.
func (s *session) getQuotaRoot(cmd *wire.Command) error {
	at, err := s.locateSole(cmd, needs(cmd.Name))
	if err != nil {
		return err
	}
	up, err := s.upstream(at.account)
	if err != nil {
		return err
	}
	command, err := up.appendFolder([]byte("GETQUOTAROOT "), at.folder)
	if err != nil {
		return err
	}
	return s.quota(at, command)
}

// getQuota answers GETQUOTA for a root of any mailbox that the person may read.
func (s *session) getQuota(cmd *wire.Command) error {
	p := wire.NewParser(cmd.Args)
	name, err := p.AString()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	address, root, _ := strings.Cut(name, ":")
	for _, access := range s.rules().Mailboxes(s.person.ID) {
		if string(access.Mailbox.Address) == address && access.Rights.Has(policy.Read) {
			at := place{account: access.Mailbox, access: access}
			return s.quota(at, wire.AppendAString([]byte("GETQUOTA "), root))
		}
	}
	return no("NONEXISTENT", "No such quota root")
}

func (s *session) refuseQuota(*wire.Command) error {
	return no("NOPERM", "Quotas are managed by the administrators")
}

// quota sends a command to the account's mail store and gives its responses to the client under our names.
func (s *session) quota(at place, command []byte) error {
	up, err := s.upstream(at.account)
	if err != nil {
		return err
	}
	r, err := up.run(s.ctx, command, func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("QUOTA") && !resp.Is("QUOTAROOT") {
			return false, nil
		}
		root := resp.Is("QUOTAROOT")
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		if root {
			return true, s.relayQuotaRoot(at, up, line)
		}
		p := wire.NewParser(line[len("* QUOTA "):])
		name, err := p.AString()
		if err == nil {
			s.out.printf("* QUOTA %s%s\r\n", wire.AppendAString(nil, s.quotaRoot(at.account, name)), p.Rest())
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return storeAnswer(r)
}

func (s *session) relayQuotaRoot(at place, up *upstream, line []byte) error {
	p := up.naming().NewParser(line[len("* QUOTAROOT "):])
	if _, err := p.Mailbox(); err != nil {
		return err
	}
	out := s.naming().Append([]byte("* QUOTAROOT "), at.name)
	for len(p.Rest()) > 0 {
		if err := p.SP(); err != nil {
			return err
		}
		root, err := p.AString()
		if err != nil {
			return err
		}
		out = wire.AppendAString(append(out, ' '), s.quotaRoot(at.account, root))
	}
	s.out.write(append(out, "\r\n"...))
	return nil
}

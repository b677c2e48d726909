package imapproxy

import (
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy"
)

// Rights are ours to answer, whatever the mail store thinks (RFC 4314): they follow from the delegation, hold for a whole
// mailbox, and are the administrators' to change.

func (s *session) myRights(cmd *wire.Command) error {
	at, err := s.soleExisting(cmd)
	if err != nil {
		return err
	}
	s.out.printf("* MYRIGHTS %s %s\r\n", s.naming().Append(nil, at.name), at.access.Rights.Virtual())
	return nil
}

// getACL answers the caller's own entry only: who else opens the mailbox would give a red-listed person away.
func (s *session) getACL(cmd *wire.Command) error {
	at, err := s.soleExisting(cmd)
	if err != nil {
		return err
	}
	s.out.printf("* ACL %s %s %s\r\n", s.naming().Append(nil, at.name), wire.AppendAString(nil, string(s.person.Address)), at.access.Rights.Virtual())
	return nil
}

// listRights answers what the caller has and always will (RFC 4314, 3.7): nothing of it can be granted or withdrawn here.
func (s *session) listRights(cmd *wire.Command) error {
	p := s.naming().NewParser(cmd.Args)
	name, err := p.Mailbox()
	if err != nil {
		return err
	}
	if err := p.SP(); err != nil {
		return err
	}
	identifier, err := p.AString()
	if err != nil {
		return err
	}
	if err := p.End(); err != nil {
		return err
	}
	at, err := s.locateExisting(cmd, name)
	if err != nil {
		return err
	}
	if !s.isMe(identifier) {
		return s.refused(cmd, party(at.account), policy.Reason{Text: "rights of others are not shown"}, errNoRight())
	}
	s.out.printf("* LISTRIGHTS %s %s %s\r\n", s.naming().Append(nil, name), wire.AppendAString(nil, identifier), at.access.Rights)
	return nil
}

func (s *session) isMe(identifier string) bool {
	return strings.EqualFold(identifier, string(s.person.Address)) ||
		s.person.MSSante != "" && strings.EqualFold(identifier, string(s.person.MSSante))
}

func (s *session) refuseACL(cmd *wire.Command) error {
	p := s.naming().NewParser(cmd.Args)
	name, err := p.Mailbox()
	if err != nil {
		return err
	}
	at, err := s.locate(cmd, name, policy.Lookup)
	if err != nil {
		return err
	}
	return s.refused(cmd, party(at.account), policy.Reason{Text: "delegations are changed in the administrators' files"},
		no("NOPERM", "Delegations are managed by the administrators"))
}

// soleExisting locates the one folder that a command names and that must be there.
func (s *session) soleExisting(cmd *wire.Command) (place, error) {
	name, err := s.soleMailbox(cmd)
	if err != nil {
		return place{}, err
	}
	return s.locateExisting(cmd, name)
}

// locateExisting is locate for a folder that must be there.
func (s *session) locateExisting(cmd *wire.Command, name string) (place, error) {
	at, err := s.locate(cmd, name, policy.Lookup)
	if err != nil {
		return place{}, err
	}
	return at, s.mustExist(at)
}

package embedded

import (
	"fmt"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
)

// replace answers REPLACE and UID REPLACE (RFC 8508): a message takes the place of another, which may be in another mailbox, and both happen or
// nothing does.
func (s *session) replace(cmd *wire.Command) error {
	if cmd.Message == nil {
		return bad("REPLACE takes a message as a literal")
	}
	head, err := wire.ParseReplace(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(head.Mailbox)
	if err != nil {
		return err
	}
	old, err := s.replaceable(head.Number, isUID(cmd))
	if err != nil {
		return err
	}
	if err := s.appendTo(name); err != nil {
		return err
	}
	room, err := s.room()
	if err != nil {
		return err
	}
	in, err := s.incoming(head.Append, cmd.Message, room+old.Size) // RFC 8508, 3.4: what counts is what is there in the end
	if err != nil {
		return err
	}
	defer in.Message.Discard()
	more, err := s.in.EndAppend()
	switch {
	case err != nil:
		return endError(err)
	case more:
		return bad("REPLACE takes one message")
	}
	p, err := s.view.Replace(s.ctx, old.UID, s.account, name, in)
	if err != nil {
		return orTryCreate(err)
	}
	s.removed = true
	s.printf("* OK [%s] Replacement is there\r\n", appendCode(p.UIDValidity, []uint32{p.UID})) // RFC 8508, 4.3: ahead of the EXPUNGE
	return nil
}

// replaceable answers the message that is to be replaced.
func (s *session) replaceable(number uint32, byUID bool) (mailbox.Meta, error) {
	seqs, err := s.resolve(wire.NumSet{Ranges: []wire.NumRange{{First: number, Last: number}}}, byUID)
	if err != nil {
		return mailbox.Meta{}, err
	}
	if s.view.ReadOnly() {
		return mailbox.Meta{}, mailbox.ErrReadOnly
	}
	if len(seqs) == 0 {
		return mailbox.Meta{}, no("NONEXISTENT", fmt.Sprintf("There is no message of UID %d", number))
	}
	m, found := s.view.Message(seqs[0])
	if !found || s.view.Expunged(seqs[0]) {
		return mailbox.Meta{}, mailbox.ErrExpunged
	}
	return m, nil
}

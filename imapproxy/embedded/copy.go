package embedded

import (
	"fmt"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/store/mailbox"
)

// copy answers COPY and MOVE, with UID and without.
func (s *session) copy(cmd *wire.Command) error {
	c, err := wire.ParseCopy(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	return s.copyTo(cmd, c, s.account, strings.HasSuffix(cmd.Name, "MOVE"))
}

// copyAcross answers XCOPYTO and XMOVETO, which are COPY and MOVE into another account of the store: "account quota set mailbox". Both are for
// the proxy alone, which has decided that this may be: it passes nothing of the kind on from a client.
func (s *session) copyAcross(cmd *wire.Command) error {
	c, err := wire.ParseCopyAcross(cmd.Args, s.naming)
	if err != nil {
		return err
	}
	dst, err := s.srv.boxes.Account(s.ctx, mail.AccountID(c.Account), c.Quota)
	if err != nil {
		return err
	}
	return s.copyTo(cmd, c.Copy, dst, strings.HasSuffix(cmd.Name, "XMOVETO"))
}

func (s *session) copyTo(cmd *wire.Command, c wire.Copy, dst *mailbox.Account, move bool) error {
	name, err := wire.DecodeMailbox(c.Mailbox)
	if err != nil {
		return err
	}
	seqs, err := s.resolve(c.Set, isUID(cmd))
	if err != nil {
		return err
	}
	// A message that the client names by its number and that is there no more is not passed over as if it had been copied; none
	// is then (RFC 2180 is about such mailboxes).
	if !isUID(cmd) && slices.ContainsFunc(seqs, s.view.Expunged) {
		return mailbox.ErrExpunged
	}
	do := s.view.Copy
	if move {
		do = s.view.Move
	}
	done, err := do(s.ctx, s.uids(seqs), dst, name)
	code := ""
	if len(done.Source) > 0 {
		code = fmt.Sprintf("COPYUID %d %s %s", done.UIDValidity, wire.FormatNumbers(done.Source), wire.FormatNumbers(done.Target))
	}
	// RFC 6851, 4.3: before the EXPUNGE responses. What was moved before an error is told, too.
	if move && code != "" {
		s.removed = true
		s.printf("* OK [%s] Moved\r\n", code)
		code = ""
	}
	if err != nil {
		return orTryCreate(err)
	}
	return ok(code, cmd.Name+" completed")
}

package embedded

import (
	"fmt"

	"balorg/imapproxy/wire"
)

// copy answers COPY and MOVE, with UID and without.
func (s *session) copy(cmd *wire.Command) error {
	c, err := wire.ParseCopy(cmd.Args)
	if err != nil {
		return err
	}
	name, err := wire.DecodeMailbox(c.Mailbox)
	if err != nil {
		return err
	}
	seqs, err := s.resolve(c.Set, isUID(cmd))
	if err != nil {
		return err
	}
	move := cmd.Name == "MOVE" || cmd.Name == "UID MOVE"
	do := s.view.Copy
	if move {
		do = s.view.Move
	}
	done, err := do(s.ctx, s.uids(seqs), s.account, name)
	code := ""
	if len(done.Source) > 0 {
		code = fmt.Sprintf("COPYUID %d %s %s", done.UIDValidity, wire.FormatNumbers(done.Source), wire.FormatNumbers(done.Target))
	}
	// RFC 6851, 4.3: before the EXPUNGE responses. What was moved before an error is told, too.
	if move && code != "" {
		s.printf("* OK [%s] Moved\r\n", code)
		code = ""
	}
	if err != nil {
		return orTryCreate(err)
	}
	return ok(code, cmd.Name+" completed")
}

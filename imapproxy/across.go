package imapproxy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/audit"
)

// copiesAcross is the capability of a mail store that copies and moves between its accounts by itself, as the embedded one does:
// in one transaction, so that whatever is cut off, a message is in one mailbox or the other, and its octets stay where they are.
const copiesAcross = "XCOPYTO"

// together tells whether the selected mailbox and to are in one such store.
func (s *session) together(to place) bool {
	ms := s.p.opt.Stores[to.account.Mailstore]
	return s.sel.up.caps[copiesAcross] && ms != nil && slices.Contains(ms.Capabilities(), copiesAcross)
}

// copyAcross answers COPY and MOVE into another account of the same mail store. The client hears what it would of one account.
func (s *session) copyAcross(cmd *wire.Command, set string, to place) error {
	sel := s.sel
	verb, action := "XCOPYTO", audit.Copy
	if isMove(cmd) {
		verb, action = "XMOVETO", audit.Move
	}
	if isUID(cmd) {
		verb = "UID " + verb
	}
	command := fmt.Appendf(nil, "%s %s %d %s ", verb, to.account.ID, to.account.Quota, set)
	command = sel.up.naming().Append(command, to.folder)
	moved := "" // COPYUID of a MOVE, which comes ahead of its EXPUNGE
	ctx, stop := s.settling()
	defer stop()
	r, err := sel.up.run(ctx, command, func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if code, _ := splitCode(string(resp.Rest)); resp.Is("OK") && bytes.HasPrefix(resp.Rest, []byte("[COPYUID ")) {
			moved = code
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	code := moved
	if code == "" {
		code = r.code
	}
	record := sel.record(action, requestText(cmd), "")
	if copied, ok := parseCopyUID(code); ok {
		record.UIDs = copied.source
		err := s.trace(ctx, withAnswer(audit.Record{
			Action: audit.Append, Mailbox: party(to.account), Folder: to.folder, UIDValidity: copied.validity, UIDs: copied.target, Request: cmd.Name,
		}, r))
		if err != nil {
			return err
		}
	}
	if record.UIDs != "" || !r.ok() {
		if err := s.trace(ctx, withAnswer(record, r)); err != nil {
			return err
		}
	}
	return storeAnswer(r)
}

// copied is what COPYUID says (RFC 4315).
type copied struct {
	validity       uint32
	source, target string // sets
}

func parseCopyUID(code string) (c copied, ok bool) {
	var name string
	n, err := fmt.Sscanf(code, "%s %d %s %s", &name, &c.validity, &c.source, &c.target)
	return c, err == nil && n == 4 && strings.EqualFold(name, "COPYUID")
}

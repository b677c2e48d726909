package imapproxy

import (
	"fmt"

	"balorg/imapproxy/wire"
)

// relaySearch relays an ESEARCH response. It says which command it answers, or whose result changes (RFC 4466, 2.6.2; RFC 5267, 4.3): by our tag, and to the
// client by its own. What is of no command of the client's is not its business.
func (u *upstream) relaySearch(resp *wire.Response) error {
	tag, behind, found := wire.SearchTag(resp.Rest)
	if !found && len(resp.Rest) > 0 && resp.Rest[0] == '(' {
		return nil
	}
	if !found { // it answers the command under way
		if ex := u.oldest(); ex == nil || ex.client == "" {
			return nil
		}
		return u.s.out.relay(u.in)
	}
	client := u.clientTag(tag)
	if client == "" {
		return nil
	}
	head := fmt.Sprintf("* ESEARCH (TAG %q)", client)
	return u.s.out.relayUnder(head, len("* ESEARCH ")+len(resp.Rest)-len(behind), u.in)
}

// isNotOf tells whether a response says of itself that it is of another command.
func (ex *exchange) isNotOf(resp *wire.Response) bool {
	if !resp.Is("ESEARCH") {
		return false
	}
	tag, _, found := wire.SearchTag(resp.Rest)
	return found && tag != ex.tag
}

// clientTag answers the client's tag of a command that is under way by one of ours, or of a search whose result is followed; else "".
func (u *upstream) clientTag(tag string) string {
	u.mu.Lock()
	for _, ex := range u.queue {
		if ex.tag == tag {
			u.mu.Unlock()
			return ex.client
		}
	}
	u.mu.Unlock()
	if sel := u.selection.Load(); sel != nil {
		return sel.followed.client(tag)
	}
	return ""
}

// relayUnder is relay with another beginning in place of the first octets.
func (o *output) relayUnder(head string, instead int, r *wire.ResponseReader) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := clientWriter{o.bw}
	if _, err := w.Write([]byte(head)); err != nil {
		return err
	}
	return o.whole(r.Copy(&without{w: w, skip: instead}))
}

// without drops the first octets of what is written.
type without struct {
	w    clientWriter
	skip int
}

func (w *without) Write(p []byte) (int, error) {
	n := min(w.skip, len(p))
	w.skip -= n
	m, err := w.w.Write(p[n:])
	return n + m, err
}

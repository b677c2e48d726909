package imapproxy

import (
	"fmt"
	"strings"

	"balorg/imapproxy/wire"
)

// relaySearch relays an ESEARCH response. It says which command it answers (RFC 4466, 2.6.2): by our tag, and to the client by its own.
func (u *upstream) relaySearch(resp *wire.Response) error {
	ex := u.oldest()
	if ex == nil || ex.client == "" {
		return u.s.out.relay(u.in)
	}
	ours := fmt.Sprintf(`(TAG %q)`, ex.tag)
	if len(resp.Rest) < len(ours) || !strings.EqualFold(string(resp.Rest[:len(ours)]), ours) {
		return u.s.out.relay(u.in)
	}
	head := fmt.Sprintf("* ESEARCH (TAG %q)", ex.client)
	return u.s.out.relayUnder(head, len("* ESEARCH ")+len(ours), u.in)
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

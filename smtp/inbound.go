package smtp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/policy"
	msg "balorg/smtp/message"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store/audit"
)

// Gate says from where mail may come in. The zero value lets nobody in.
type Gate struct {
	Networks []netip.Prefix // without a certificate
	// Certified tells whether the operator with a verified certificate may send for a domain; nil: certificates count for nothing. An empty
	// domain asks whether it may send notices.
	Certified func(domain string, cert *x509.Certificate) bool
	Unix      bool // clients of a unix socket, who have no address
}

// admits tells whether the client may send mail of the domain.
func (g Gate) admits(c *Client, domain string) bool {
	if g.Certified != nil && c.Verified() && g.Certified(domain, c.TLS.PeerCertificates[0]) {
		return true
	}
	if !c.Address.IsValid() {
		return g.Unix
	}
	for _, network := range g.Networks {
		if network.Contains(c.Address.Addr()) {
			return true
		}
	}
	return false
}

// inbound decides on what comes from other operators, or from a mail server beside us.
type inbound struct {
	s      *Acceptor
	client *Client
	gate   Gate
	from   wire.Sender
	to     []recipient
}

// Inbound makes the Handler of a session with a server, over SMTP or LMTP.
func (s *Acceptor) Inbound(c *Client, gate Gate) Handler {
	return &inbound{s: s, client: c, gate: gate}
}

// Mail implements Handler.
func (h *inbound) Mail(ctx context.Context, from wire.Sender) error {
	h.from, h.to = from, nil
	request := "MAIL FROM:<" + string(from.Address) + ">"
	if !h.gate.admits(h.client, from.Address.Domain()) {
		return h.refused(ctx, request, nil, "neither network nor certificate may send mail of this domain",
			wire.NewReply(550, "5.7.1", "You may not send mail from %s here", orNotices(from.Address)))
	}
	if reason, ok := h.s.opt.Snapshot().InboundSender(from.Address, h.s.opt.Trusted); !ok {
		return h.refused(ctx, request, nil, reason.Text, wire.NewReply(550, "5.7.1", "<%s>: %s", from.Address, publicSender(reason)))
	}
	return nil
}

func orNotices(from mail.Address) string {
	if from == "" {
		return "<>"
	}
	return from.Domain()
}

// publicSender is what another operator is told of a sender that is refused.
func publicSender(reason policy.Reason) string {
	if reason.Code == policy.ReasonLocalSender {
		return "senders of this platform submit their mail"
	}
	return "the sender's domain is not in the trust space"
}

// Rcpt implements Handler.
func (h *inbound) Rcpt(ctx context.Context, to wire.Recipient) error {
	snap := h.s.opt.Snapshot()
	d := snap.Receives(to.Address)
	if !d.Allowed && h.s.opt.Postmaster != "" && to.Address.Local() == "postmaster" && snap.IsLocal(to.Address.Domain()) {
		d = snap.Receives(h.s.opt.Postmaster)
	}
	if !d.Allowed {
		return h.refused(ctx, "RCPT TO:<"+string(to.Address)+">", nil, d.Reason.Text, wire.NewReply(550, "5.1.1", "<%s>: no such mailbox here", to.Address))
	}
	h.to = append(h.to, recipient{to, d.Local})
	return nil
}

// maxHops is how many systems a message may have passed: more, and it goes round in circles (RFC 5321, 6.3 asks for 100 at least).
const maxHops = 100

// Data implements Handler.
func (h *inbound) Data(ctx context.Context, env *wire.Envelope, content io.Reader) ([]wire.Reply, error) {
	head, rest, err := msg.Read(content)
	if fault, ok := errors.AsType[*msg.Fault](err); ok {
		return nil, fault.Reply("en")
	}
	if err != nil {
		return nil, err
	}
	if err := h.check(ctx, head); err != nil {
		return nil, err
	}
	a, err := h.read(ctx, head, rest)
	if err != nil {
		return nil, err
	}
	defer a.content.Discard()
	id, err := h.s.accept(ctx, a)
	if err != nil {
		return nil, err
	}
	reply := *wire.NewReply(250, "2.0.0", "Ok: accepted as %s", id)
	if h.client.Role != LMTP {
		return []wire.Reply{reply}, nil
	}
	all := make([]wire.Reply, len(env.To))
	for i := range all {
		all[i] = reply
	}
	return all, nil
}

// check holds the header against the rules on who may be the sender.
func (h *inbound) check(ctx context.Context, head *header.Header) error {
	authors, err := msg.Authors(head)
	if fault, ok := errors.AsType[*msg.Fault](err); ok {
		return h.refused(ctx, "DATA", nil, fault.Error(), wire.NewReply(550, "5.7.1", "The header From must hold addresses, in one field"))
	}
	if err != nil {
		return err
	}
	snap := h.s.opt.Snapshot()
	for _, from := range authors {
		if reason, ok := snap.InboundSender(from, h.s.opt.Trusted); !ok {
			return h.refused(ctx, "DATA", nil, reason.Text, wire.NewReply(550, "5.7.1", "header From: <%s>: %s", from, publicSender(reason)))
		}
	}
	if msg.Inspect(head).Received > maxHops {
		return h.refused(ctx, "DATA", nil, "too many hops", wire.NewReply(554, "5.4.6", "The message has passed more than %d systems", maxHops))
	}
	return nil
}

// read stores the message's octets, which are nothing yet, under two fields of ours.
func (h *inbound) read(ctx context.Context, head *header.Header, rest io.Reader) (*accepted, error) {
	now := h.s.now()
	a := &accepted{
		message: queue.Message{ID: queue.NewID(now), From: h.from, Origin: queue.Origin(h.client.Role), Accepted: now},
		to:      h.to,
		quiet:   msg.Inspect(head).Automatic || h.from.Address == "",
		record: audit.Record{
			Action: audit.Receive, Protocol: string(h.client.Role), Session: h.client.Session, Client: clientOf(h.client), Request: requestOf(h.from.Address, h.to),
		},
	}
	from := h.client.Hello
	if h.client.Address.IsValid() {
		from = fmt.Sprintf("%s ([%s])", from, h.client.Address.Addr())
	}
	above := "Return-Path: <" + string(h.from.Address) + ">\r\n" + receivedField(h.s.opt.Hostname, from, withProtocol(h.client), a.message.ID, now)
	return a, h.s.store(ctx, a, above, head, rest)
}

// refused writes a refusal into the trace, with its true reason, and answers the reply.
func (h *inbound) refused(ctx context.Context, request string, box *policy.Account, reason string, reply *wire.Reply) error {
	err := h.s.opt.Trace.Append(ctx, audit.Record{
		Time: h.s.now(), Action: audit.Refusal, Mailbox: party(box), Request: request, Answer: fmt.Sprintf("%d %s", reply.Code, reply.Enhanced),
		Reason: reason, Protocol: string(h.client.Role), Session: h.client.Session, Client: clientOf(h.client),
	})
	if err != nil {
		return err
	}
	return reply
}

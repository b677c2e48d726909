package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/policy"
	msg "balorg/smtp/message"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store/audit"
	"balorg/store/mailbox"
)

// submission decides on what one person sends. The header From decides as whom; MAIL and RCPT are answered for the envelope's sender, since
// that is all that is known by then, and looked at again when the header is.
type submission struct {
	s      *Acceptor
	client *Client
	from   wire.Sender
	as     policy.SendDecision // of the envelope's sender
	to     []recipient
}

// Submission makes the Handler of a session in which somebody has logged in, or will have when it is first asked.
func (s *Acceptor) Submission(c *Client) Handler { return &submission{s: s, client: c} }

// who answers the person and the mailbox they opened, as they are now.
func (h *submission) who() (person, opened mail.AccountID) {
	return h.client.Login.Person.ID, h.client.Login.Mailbox.ID
}

// rules are those of the moment, as far as the session may use them.
func (h *submission) rules() policy.Bound {
	return h.s.opt.Snapshot().Bound(h.client.Login.Means.Only)
}

func (h *submission) language() string { return h.s.language(h.client.Login.Person) }

// Mail implements Handler.
func (h *submission) Mail(ctx context.Context, from wire.Sender) error {
	h.from, h.to = from, nil
	person, opened := h.who()
	h.as = h.rules().SendAs(person, opened, from.Address)
	if !h.as.Allowed {
		name := from.Address
		if name == "" {
			name = h.client.Login.Mailbox.Published()
		}
		return h.refused(ctx, "MAIL FROM:<"+string(from.Address)+">", h.as.Mailbox, h.as.Reason,
			wire.NewReply(553, "5.7.1", "%s", textSender.in(h.language(), name)))
	}
	return h.limit(ctx, h.as.Mailbox, 0)
}

// limit refuses what goes over the person's rate as a mailbox.
func (h *submission) limit(ctx context.Context, as *policy.Account, recipients int) error {
	person, _ := h.who()
	if h.s.rates.allow(sender{person, as.ID}, recipients) {
		return nil
	}
	return h.refused(ctx, "MAIL FROM:<"+string(h.from.Address)+">", as, policy.Reason{Code: policy.ReasonThrottled, Text: "too many messages or recipients within an hour"},
		wire.NewReply(450, "4.7.1", "%s", textRate.in(h.language(), as.Published())))
}

// Rcpt implements Handler.
func (h *submission) Rcpt(ctx context.Context, to wire.Recipient) error {
	d := h.s.opt.Snapshot().Recipient(h.as, to.Address, h.s.opt.Trusted)
	if !d.Allowed {
		return h.refused(ctx, "RCPT TO:<"+string(to.Address)+">", h.as.Mailbox, d.Reason, notRecipient(h.language(), to.Address, d))
	}
	if err := h.limit(ctx, h.as.Mailbox, len(h.to)+1); err != nil {
		return err
	}
	h.to = append(h.to, recipient{to, d.Local})
	return nil
}

// Data implements Handler.
func (h *submission) Data(ctx context.Context, _ *wire.Envelope, content io.Reader) ([]wire.Reply, error) {
	head, rest, err := msg.Read(content)
	if err != nil {
		return nil, h.fault(ctx, err)
	}
	from, err := msg.Check(head)
	if err != nil {
		return nil, h.fault(ctx, err)
	}
	as, err := h.decide(ctx, from)
	if err != nil {
		return nil, err
	}
	a, err := h.read(ctx, as, head, rest)
	if err != nil {
		return nil, err
	}
	defer a.content.Discard()
	// A long message takes its time, in which rights and the trust space may have changed.
	now, err := h.decide(ctx, from)
	if err != nil {
		return nil, err
	}
	if now.Mailbox.ID != as.Mailbox.ID || now.From != as.From || now.Sender != as.Sender {
		return nil, wire.NewReply(451, "4.7.1", "%s", textGone.in(h.language()))
	}
	id, err := h.s.accept(ctx, a)
	if errors.Is(err, mailbox.ErrOverQuota) {
		return nil, wire.NewReply(452, "4.2.2", "%s", textFull.in(h.language(), as.Mailbox.Published()))
	}
	if err != nil {
		return nil, err
	}
	h.s.rates.spend(sender{a.person.ID, as.Mailbox.ID}, len(a.to))
	return []wire.Reply{*wire.NewReply(250, "2.0.0", "Ok: queued as %s", id)}, nil
}

// decide holds the header From, and with it the recipients again, against what holds now: a message may take long to arrive.
func (h *submission) decide(ctx context.Context, from mail.Address) (policy.SendDecision, error) {
	person, opened := h.who()
	snap := h.rules()
	as := snap.SendAs(person, opened, from)
	if !as.Allowed {
		return as, h.refused(ctx, "DATA", as.Mailbox, as.Reason, wire.NewReply(550, "5.7.1", "%s", textHeader.in(h.language(), from)))
	}
	for i, to := range h.to {
		d := snap.Recipient(as, to.Address, h.s.opt.Trusted)
		if !d.Allowed {
			return as, h.refused(ctx, "DATA for "+string(to.Address), as.Mailbox, d.Reason, notRecipient(h.language(), to.Address, d))
		}
		h.to[i].local = d.Local
	}
	return as, h.limit(ctx, as.Mailbox, len(h.to))
}

// read rewrites the header and stores the message's octets, which are nothing yet.
func (h *submission) read(ctx context.Context, as policy.SendDecision, head *header.Header, rest io.Reader) (*accepted, error) {
	now := h.s.now()
	person, ok := h.s.opt.Snapshot().ByID(h.client.Login.Person.ID)
	if !ok {
		return nil, wire.NewReply(421, "4.7.0", "%s", textGone.in(h.language()))
	}
	facts := msg.Inspect(head)
	rewrite := h.rewrite(as, person)
	rewritten := rewrite.Apply(head)
	a := &accepted{
		message: queue.Message{
			ID: queue.NewID(now), From: h.from, Person: party(person), Mailbox: party(as.Mailbox), Origin: queue.Submission, Accepted: now,
		},
		to: h.to, sender: as.Mailbox, person: person, id: rewritten.Former, quiet: facts.Automatic,
	}
	if a.message.From.Address != "" {
		a.message.From.Address = as.From
	}
	if rewrite.Person != nil && as.Sender == "" {
		a.hide(rewrite.Person)
	}
	if !facts.Automatic {
		a.replies = facts.InReplyTo
	}
	a.record = audit.Record{
		Action: audit.Send, Person: party(person), Mailbox: party(as.Mailbox), Protocol: "smtp", Session: h.client.Session,
		Client: clientOf(h.client), Request: h.request(a.message.From.Address),
	}
	return a, h.s.store(ctx, a, receivedField(h.s.opt.Hostname, "", withProtocol(h.client), a.message.ID, now), rewritten.Header, rest)
}

// hide takes out of the envelope what names the person.
func (a *accepted) hide(p *msg.Person) {
	if p.NamedIn(a.message.From.EnvID) {
		a.message.From.EnvID = ""
	}
	for i := range a.to {
		if p.NamedIn(a.to[i].Original) {
			a.to[i].Original = ""
		}
	}
}

// rewrite says what the header is to become.
func (h *submission) rewrite(as policy.SendDecision, person *policy.Account) *msg.Rewrite {
	r := &msg.Rewrite{From: as.From, Name: as.Name, Sender: as.Sender, Date: h.s.now()}
	if !as.Own {
		r.Person = &msg.Person{Addresses: []mail.Address{person.Address, person.MSSante, person.Notify}, Nom: person.Nom, Prenom: person.Prenom}
	}
	for _, to := range h.to {
		if to.local == nil { // the message leaves
			snap := h.s.opt.Snapshot()
			r.Public = func(a mail.Address) (mail.Address, bool) {
				account, ok := snap.Account(a)
				if !ok || account.MSSante == "" {
					return "", false
				}
				return account.MSSante, true
			}
			break
		}
	}
	return r
}

// fault answers a header that is not taken in the person's language.
func (h *submission) fault(ctx context.Context, err error) error {
	var fault *msg.Fault
	if !errors.As(err, &fault) {
		return err
	}
	return h.refused(ctx, "DATA", h.as.Mailbox, policy.Reason{Text: fault.Error()}, fault.Reply(h.language()))
}

// refused writes a refusal into the trace, with its true reason, and answers the reply.
func (h *submission) refused(ctx context.Context, request string, box *policy.Account, reason policy.Reason, reply *wire.Reply) error {
	err := h.s.opt.Trace.Append(ctx, audit.Record{
		Time: h.s.now(), Action: audit.Refusal, Person: party(h.client.Login.Person), Mailbox: party(box), Request: request,
		Answer: fmt.Sprintf("%d %s", reply.Code, reply.Enhanced), Reason: reason.Text, Protocol: "smtp", Session: h.client.Session, Client: clientOf(h.client),
	})
	if err != nil {
		return err
	}
	return reply
}

// request is the transaction as the trace has it.
func (h *submission) request(from mail.Address) string { return requestOf(from, h.to) }

func requestOf(from mail.Address, to []recipient) string {
	var b strings.Builder
	fmt.Fprintf(&b, "MAIL FROM:<%s> RCPT TO:", from)
	for i, r := range to {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "<%s>", r.Address)
	}
	return b.String()
}

func clientOf(c *Client) string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.String()
}

// withProtocol is how a message came, as a Received field says it (RFC 3848).
func withProtocol(c *Client) string {
	name := "ESMTP"
	if c.Role == LMTP {
		name = "LMTP"
	}
	if c.TLS != nil {
		name += "S"
	}
	if c.Role == Submission {
		name += "A"
	}
	return name
}

package smtp

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/sent"
)

// recipient is one RCPT that has been decided on.
type recipient struct {
	wire.Recipient
	local *policy.Account // nil: another operator's
}

// accepted is a message that has been decided on, and whose octets are stored.
type accepted struct {
	message queue.Message
	content *mailbox.Message
	to      []recipient
	sender  *policy.Account // as which mailbox; nil of inbound messages
	person  *policy.Account
	id      string   // Message-ID, as the client's own copy has it
	replies []string // to which messages it replies
	quiet   bool     // nobody is notified of it
	body    header.Hash
	record  audit.Record
}

// places are where the message goes within our own store.
type places struct {
	sent    *mailbox.Account // nil: the sender has no Sent folder with us
	folder  string           // its name
	inboxes map[mail.AccountID]*mailbox.Account
}

// store writes the octets of a message: fields of ours, the header, the body as it streams in. After an error there is nothing to discard.
func (s *Acceptor) store(ctx context.Context, a *accepted, above string, head *header.Header, rest io.Reader) (err error) {
	if a.content, err = s.opt.Boxes.NewMessage(ctx); err != nil {
		return err
	}
	out := &eightBitWriter{w: a.content}
	hashing := header.NewHashing(rest)
	_, err = io.WriteString(out, above)
	if err == nil {
		_, err = out.Write(head.Bytes())
	}
	if err == nil {
		err = s.copy(out, hashing)
	}
	if err == nil {
		err = a.content.Finish()
	}
	if err != nil {
		a.content.Discard()
		return err
	}
	a.body, a.message.Size = hashing.Sum(), a.content.Size()
	if out.found && a.message.From.Body != wire.BodyBinary {
		a.message.From.Body = wire.Body8Bit // whatever was said: the next hop is to know
	}
	return nil
}

// copyBlock is how much of a body is copied at once.
const copyBlock = 32 << 10

// copy is io.Copy, with a block that others have used before: one for each message would be most of what the collector has to do.
func (s *Acceptor) copy(to io.Writer, from io.Reader) error {
	block, ok := s.blocks.Get().(*[copyBlock]byte)
	if !ok {
		block = new([copyBlock]byte)
	}
	defer s.blocks.Put(block)
	_, err := io.CopyBuffer(to, from, block[:])
	return err
}

// eightBitWriter passes octets on and tells whether any was of a kind that not every server takes (RFC 6152).
type eightBitWriter struct {
	w     io.Writer
	found bool
}

// Write implements io.Writer.
func (e *eightBitWriter) Write(p []byte) (int, error) {
	e.found = e.found || slices.ContainsFunc(p, func(b byte) bool { return b >= 0x80 })
	return e.w.Write(p)
}

// accept makes a message durable everywhere at once, and answers the id it goes by: that of an earlier one when a client hands over the same
// message again that it got no answer for.
func (s *Acceptor) accept(ctx context.Context, a *accepted) (queue.ID, error) {
	at, err := s.places(ctx, a)
	if err != nil {
		return "", err
	}
	var seal *queue.Seal // outside the transaction, in which others wait
	if a.sender != nil && a.id != "" {
		seal = a.seal()
	}
	id := a.message.ID
	again := false
	err = s.opt.Store.Update(ctx, func(tx store.Writer) (err error) {
		id = a.message.ID
		if seal != nil {
			former, found, err := s.opt.Queue.SealTx(tx, *seal, id)
			if again = found; err != nil || found {
				id = former
				return err
			}
		}
		return s.storeTx(tx, a, at)
	})
	if err != nil {
		return "", fmt.Errorf("accepting message %s: %w", id, err)
	}
	s.log.InfoContext(ctx, "accepted", slog.Any("id", id), slog.Any("origin", a.message.Origin), slog.Int64("octets", a.message.Size),
		slog.Int("recipients", len(a.to)), slog.Bool("again", again))
	return id, nil
}

// seal names the message among those that the person sends.
func (a *accepted) seal() *queue.Seal {
	to := make([]mail.Address, len(a.to))
	for i, r := range a.to {
		to[i] = r.Address
	}
	seal := queue.NewSeal(a.person.ID, a.id, to, a.body)
	return &seal
}

// places opens the mailboxes that take part. The first use of one makes it.
func (s *Acceptor) places(ctx context.Context, a *accepted) (places, error) {
	at := places{inboxes: make(map[mail.AccountID]*mailbox.Account)}
	if a.sender != nil && s.opt.Home(a.sender) == nil {
		box, err := s.opt.Boxes.Account(ctx, a.sender.ID, a.sender.Quota)
		if err != nil {
			return at, fmt.Errorf("opening the mailbox of the sender: %w", err)
		}
		at.sent = box
		if at.folder, err = sentFolder(ctx, box); err != nil {
			return at, err
		}
	}
	for _, r := range a.to {
		if r.local == nil || s.opt.Home(r.local) != nil {
			continue
		}
		box, err := s.opt.Boxes.Account(ctx, r.local.ID, r.local.Quota)
		if err != nil {
			return at, fmt.Errorf("opening the mailbox of a recipient: %w", err)
		}
		at.inboxes[r.local.ID] = box
	}
	return at, nil
}

// sentFolder answers the name of a mailbox's Sent folder, made anew when somebody deleted it.
func sentFolder(ctx context.Context, box *mailbox.Account) (string, error) {
	name, err := box.Use(ctx, mailbox.Sent)
	if err != nil {
		return "", fmt.Errorf("looking for the Sent folder: %w", err)
	}
	if name != "" {
		return name, nil
	}
	name = "Sent"
	if err := box.Create(ctx, name, mailbox.Sent); err != nil && !errors.Is(err, mailbox.ErrFolderExists) {
		return "", fmt.Errorf("making the Sent folder: %w", err)
	}
	return name, nil
}

// storeTx is the one transaction of a message.
func (s *Acceptor) storeTx(tx store.Writer, a *accepted, at places) error {
	m := a.message
	var err error
	if m.Body, err = a.content.StoreTx(tx); err != nil {
		return err
	}
	a.record.Time, a.record.Answer = m.Accepted, "250 2.0.0 "+string(m.ID)
	var items []queue.Item
	if a.sender != nil {
		item, err := s.sentTx(tx, a, at, m.Body)
		if err != nil {
			return err
		}
		items = append(items, item)
		if len(a.replies) > 0 {
			items = append(items, queue.Item{
				Route: queue.Answered, Account: a.sender.ID, Arg: strings.Join(a.replies, " "), State: queue.Waiting,
			})
		}
	}
	delivered := make(map[mail.AccountID]bool)
	for _, r := range a.to {
		item, err := s.recipientTx(tx, a, r, at, m.Body, delivered)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	if err := s.opt.Queue.EnqueueTx(tx, m, items); err != nil {
		return err
	}
	return s.letGo(tx, m.Body)
}

// letGo takes away the reference that StoreTx gave.
func (s *Acceptor) letGo(tx store.Writer, id body.ID) error {
	gone, err := s.opt.Bodies.Unref(tx, id)
	if err == nil && gone {
		err = mailbox.DropDetail(tx, id)
	}
	if err != nil {
		return fmt.Errorf("keeping the message: %w", err)
	}
	return nil
}

// sentTx puts the copy into the sender's Sent folder, or has the queue do so where that is on a server, notes it so that the client's
// own copy is recognised, and writes the trace of the sending.
func (s *Acceptor) sentTx(tx store.Writer, a *accepted, at places, id body.ID) (queue.Item, error) {
	record := a.record
	record.Count = int64(len(a.to))
	item := queue.Item{Route: queue.Sent, Account: a.sender.ID, Arg: sentArg(a.id, a.body), State: queue.Waiting}
	c := sent.Copy{ID: sent.ID{Mailbox: a.sender.ID, Person: a.person.ID, MessageID: a.id, Body: a.body}, Time: a.message.Accepted}
	if at.sent != nil {
		placed, err := at.sent.DeliverBodyTx(tx, at.folder, id, a.content.Size(), seen(), a.message.Accepted)
		if err != nil {
			return item, fmt.Errorf("copy for the Sent folder: %w", err)
		}
		item.State = queue.Delivered
		c.Folder, c.UIDValidity, c.UID = at.folder, placed.UIDValidity, placed.UID
		record.Folder, record.UIDValidity, record.UIDs = at.folder, placed.UIDValidity, fmt.Sprint(placed.UID)
	}
	if err := s.opt.Trace.AppendTx(tx, record); err != nil {
		return item, fmt.Errorf("tracing: %w", err)
	}
	if a.id == "" {
		return item, nil // a client that gives no id keeps no copy that could be recognised
	}
	return item, sent.PutTx(tx, c)
}

// sentArg is what the queue is to know of a copy to find it in store/sent.
func sentArg(id string, body header.Hash) string {
	if id == "" {
		return ""
	}
	return hex.EncodeToString(body[:]) + " " + id
}

// sentID reads it back; false when the copy is in no table.
func sentID(d queue.Delivery, it queue.Item) (sent.ID, bool) {
	sum, id, ok := strings.Cut(it.Arg, " ")
	octets, err := hex.DecodeString(sum)
	if !ok || err != nil || len(octets) != len(header.Hash{}) {
		return sent.ID{}, false
	}
	return sent.ID{Mailbox: it.Account, Person: d.Message.Person.ID, MessageID: id, Body: header.Hash(octets)}, true
}

func seen() mailbox.FlagSet { return mailbox.FlagSet{System: mailbox.Seen} }

// quietArg marks a delivery that waits, and that nobody is to be notified of.
const quietArg = "quiet"

// recipientTx delivers to one recipient of our own store, or has the queue do what cannot be done here and now. One whose two addresses
// were named gets the message once.
func (s *Acceptor) recipientTx(tx store.Writer, a *accepted, r recipient, at places, id body.ID, delivered map[mail.AccountID]bool) (queue.Item, error) {
	item := queue.Item{Route: queue.Relay, Recipient: r.Recipient, State: queue.Waiting}
	if r.local == nil {
		return item, nil
	}
	item.Route, item.Account = queue.Deliver, r.local.ID
	if a.quiet {
		item.Arg = quietArg
	}
	if delivered[r.local.ID] {
		item.State, item.Reply = queue.Delivered, "250 2.1.5 One mailbox, one copy"
		return item, nil
	}
	delivered[r.local.ID] = true
	box := at.inboxes[r.local.ID]
	if box == nil || r.Notify&wire.NotifySuccess != 0 { // a report of success is the queue's to make
		return item, nil
	}
	placed, err := box.DeliverBodyTx(tx, mailbox.Inbox, id, a.content.Size(), mailbox.FlagSet{}, a.message.Accepted)
	switch {
	case errors.Is(err, mailbox.ErrOverQuota):
		return item, nil // it waits for room
	case err != nil:
		return item, fmt.Errorf("delivery to a mailbox: %w", err)
	}
	item.State, item.Reply = queue.Delivered, "250 2.1.5 Delivered"
	record := a.record
	record.Action, record.Person, record.Mailbox = audit.Receive, audit.Party{}, party(r.local)
	record.Folder, record.UIDValidity, record.UIDs = mailbox.Inbox, placed.UIDValidity, fmt.Sprint(placed.UID)
	if err := s.opt.Trace.AppendTx(tx, record); err != nil {
		return item, fmt.Errorf("tracing: %w", err)
	}
	if s.opt.Notices != nil && !a.quiet {
		return item, s.opt.Notices.ReceivedTx(tx, r.local.ID)
	}
	return item, nil
}

// receivedField is the field that says that and when the message came through here. Of a submission it tells no more: the address of a person's
// computer, and how they logged in, is nobody's business.
func receivedField(hostname, from, protocol string, id queue.ID, at time.Time) string {
	var b strings.Builder
	b.WriteString("Received: ")
	if from != "" {
		b.WriteString("from " + from + "\r\n\t")
	}
	fmt.Fprintf(&b, "by %s (balorg) with %s id %s;\r\n\t%s\r\n", hostname, protocol, id, at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return b.String()
}

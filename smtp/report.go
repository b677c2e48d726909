package smtp

import (
	"context"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/policy"
	"balorg/smtp/bounce"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
)

// reporter tells senders what became of their messages: another operator's by mail; of what was sent as a mailbox its INBOX, since the
// team has to see to it, and the INBOX of the person who wrote it.
type reporter struct {
	s        *Acceptor
	composer *bounce.Composer
}

// Reporter makes the queue's reporter.
func (s *Acceptor) Reporter() (queue.Reporter, error) {
	composer, err := bounce.New(s.opt.Hostname)
	if err != nil {
		return nil, fmt.Errorf("making reports: %w", err)
	}
	return reporter{s, composer}, nil
}

// Report implements queue.Reporter.
func (r reporter) Report(ctx context.Context, kind queue.ReportKind, d queue.Delivery) (*queue.Draft, error) {
	if d.Message.From.Address == "" {
		return nil, nil // nobody is told of a report, or of a receipt
	}
	items, language := r.readers(d)
	if len(items) == 0 {
		return nil, nil
	}
	now := r.s.now()
	id := queue.NewID(now)
	report := &bounce.Report{
		Kind: bounce.Kind(kind), ID: string(id), Reference: string(d.Message.ID), To: d.Message.From.Address, Language: language,
		Date: now, Arrived: d.Message.Accepted, EnvelopeID: d.Message.From.EnvID, Omit: []string{"Bcc"},
	}
	for _, it := range d.Items {
		report.Recipients = append(report.Recipients, bounce.Recipient{
			Address: it.Recipient.Address, Original: it.Recipient.Original, Reply: it.Reply, Peer: it.Peer, Tried: it.Tried,
			Until: d.Message.Accepted.Add(r.s.opt.Queue.Lifetime()), Relayed: kind == queue.ReportSuccess && it.Route == queue.Relay,
		})
	}
	head, err := r.head(ctx, d)
	if err != nil {
		return nil, err
	}
	report.Header = head
	return r.draft(ctx, report, id, d, items, now)
}

// readers answers who gets the report, and the language it is in.
func (r reporter) readers(d queue.Delivery) (items []queue.Item, language string) {
	snap := r.s.opt.Snapshot()
	if d.Message.Origin != queue.Submission {
		to := d.Message.From.Address
		return []queue.Item{{Route: queue.Relay, State: queue.Waiting, Recipient: wire.Recipient{Address: to, Notify: wire.NotifyNever}}}, "en"
	}
	add := func(id mail.AccountID) {
		account, ok := snap.ByID(id)
		if !ok || len(items) > 0 && items[0].Account == id {
			return
		}
		if language == "" {
			language = r.s.language(account)
		}
		items = append(items, queue.Item{
			Route: queue.Deliver, Account: id, State: queue.Waiting,
			Recipient: wire.Recipient{Address: account.Published(), Notify: wire.NotifyNever},
		})
	}
	add(d.Message.Mailbox.ID)
	if person, ok := snap.ByID(d.Message.Person.ID); ok && person.Kind != policy.App {
		add(person.ID)
	}
	return items, language
}

// head is the header of the message; nil when it cannot be read any more, which keeps nobody from being told.
func (r reporter) head(ctx context.Context, d queue.Delivery) (*header.Header, error) {
	octets, err := d.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	defer octets.Close() //nolint:errcheck // it was only read
	h, _, err := header.Read(octets)
	if err != nil {
		return nil, nil
	}
	return h, nil
}

func (r reporter) draft(ctx context.Context, report *bounce.Report, id queue.ID, d queue.Delivery, items []queue.Item, now time.Time) (*queue.Draft, error) {
	content, err := r.s.opt.Boxes.NewMessage(ctx)
	if err != nil {
		return nil, err
	}
	err = r.composer.Compose(content, report)
	if err == nil {
		err = content.Finish()
	}
	if err != nil {
		content.Discard()
		return nil, fmt.Errorf("writing a report: %w", err)
	}
	m := queue.Message{ID: id, Size: content.Size(), From: report.Envelope().From, Origin: queue.Report, Accepted: now}
	if d.Message.Origin == queue.Submission {
		m.Mailbox = d.Message.Mailbox
	}
	return &queue.Draft{Message: m, Content: content, Items: items}, nil
}

package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/mailbox"
	"balorg/store/sent"
)

// Carriers answers who carries the routes within the platform.
func (s *Acceptor) Carriers() map[queue.Route]queue.Carrier {
	return map[queue.Route]queue.Carrier{
		queue.Deliver: inboxCarrier{s}, queue.Sent: sentCarrier{s}, queue.Answered: answeredCarrier{s},
	}
}

// within names where an item of the platform goes: each mail store by itself, so that one that is down holds up no other.
func (s *Acceptor) within(it queue.Item) string {
	account, ok := s.opt.Snapshot().ByID(it.Account)
	if !ok {
		return ""
	}
	return account.Mailstore
}

// each carries items one by one.
func each(d queue.Delivery, one func(queue.Item) queue.Outcome) []queue.Outcome {
	all := make([]queue.Outcome, len(d.Items))
	for i, it := range d.Items {
		all[i] = one(it)
	}
	return all
}

func deferred(code int, enhanced string, err error) queue.Outcome {
	return queue.Outcome{Reply: *wire.NewReply(code, enhanced, "%v", err)}
}

func failed(code int, enhanced, text string) queue.Outcome {
	return queue.Outcome{Result: queue.ResultFailed, Reply: *wire.NewReply(code, enhanced, "%s", text)}
}

// inboxCarrier delivers what could not be delivered when the message was accepted: to servers, and to mailboxes that were full.
type inboxCarrier struct{ s *Acceptor }

// Destination implements queue.Carrier.
func (c inboxCarrier) Destination(it queue.Item) string { return c.s.within(it) }

// Carry implements queue.Carrier.
func (c inboxCarrier) Carry(ctx context.Context, d queue.Delivery) []queue.Outcome {
	return each(d, func(it queue.Item) queue.Outcome {
		account, ok := c.s.opt.Snapshot().ByID(it.Account)
		if !ok {
			return failed(550, "5.1.1", "There is no such mailbox any more")
		}
		done := queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.1.5", "Delivered")}
		server := c.s.opt.Home(account)
		if server == nil {
			box, err := c.s.opt.Boxes.Account(ctx, account.ID, account.Quota)
			if err != nil {
				return deferred(451, "4.3.0", err)
			}
			done.Commit = func(tx store.Writer) error {
				_, err := box.DeliverBodyTx(tx, mailbox.Inbox, d.Message.Body, d.Message.Size, mailbox.FlagSet{}, d.Message.Accepted)
				if err == nil && c.s.opt.Notices != nil && d.Message.Origin != queue.Report && it.Arg != quietArg {
					err = c.s.opt.Notices.ReceivedTx(tx, account.ID)
				}
				return err
			}
			return done
		}
		if _, err := server.Append(ctx, account, c.s.copyOf(ctx, d, it, Inbox)); err != nil {
			return refusedBy(account.Mailstore, err)
		}
		done.Peer = account.Mailstore
		return done
	})
}

// refusedBy is an attempt to deliver to a server that failed: for good when the server says so itself.
func refusedBy(peer string, err error) queue.Outcome {
	if reply, ok := errors.AsType[*wire.Reply](err); ok {
		o := queue.Outcome{Reply: *reply, Peer: peer}
		if reply.Permanent() {
			o.Result = queue.ResultFailed
		}
		return o
	}
	return deferred(451, "4.4.0", err)
}

// copyOf is a message as a server gets it.
func (s *Acceptor) copyOf(ctx context.Context, d queue.Delivery, it queue.Item, folder Folder) Copy {
	return Copy{
		Folder: folder, Seen: folder == Sent, Date: d.Message.Accepted, Size: d.Message.Size, Mark: " id " + string(d.Message.ID),
		Retry:  it.Attempts > 0 || s.mayHaveTried(d.Message),
		Sender: d.Message.From,
		Open:   func() (io.ReadCloser, error) { return d.Open(ctx) },
	}
}

// unwritten is less than the queue lets an item rest after an attempt that it could not write down.
const unwritten = 30 * time.Second

// mayHaveTried tells whether an attempt may have been made of which nothing is written down: by a daemon that was killed in the middle of it,
// or by this one, when the store took nothing.
func (s *Acceptor) mayHaveTried(m queue.Message) bool {
	return m.Accepted.Before(s.started) || s.now().Sub(m.Accepted) >= unwritten
}

// sentCarrier puts the copy into the Sent folder of a mailbox that lives on a server.
type sentCarrier struct{ s *Acceptor }

// Destination implements queue.Carrier.
func (c sentCarrier) Destination(it queue.Item) string { return c.s.within(it) }

// Carry implements queue.Carrier.
func (c sentCarrier) Carry(ctx context.Context, d queue.Delivery) []queue.Outcome {
	return each(d, func(it queue.Item) queue.Outcome {
		account, ok := c.s.opt.Snapshot().ByID(it.Account)
		if !ok {
			return failed(550, "5.1.1", "There is no such mailbox any more")
		}
		server := c.s.opt.Home(account)
		if server == nil {
			return c.within(ctx, account, d)
		}
		msg := c.s.copyOf(ctx, d, it, Sent)
		withBcc, err := c.addBcc(ctx, d, it, &msg)
		if err != nil {
			return deferred(451, "4.3.0", err)
		}
		place, err := server.Append(ctx, account, msg)
		if err != nil {
			return deferred(451, "4.4.0", err)
		}
		return queue.Outcome{
			Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.1.5", "Kept in %s", place.Folder), Peer: account.Mailstore,
			Commit: func(tx store.Writer) error { return c.placeTx(tx, d, it, place, withBcc && !place.Found) },
		}
	})
}

// within is for a mailbox that has moved into our own store since.
func (c sentCarrier) within(ctx context.Context, account *policy.Account, d queue.Delivery) queue.Outcome {
	box, err := c.s.opt.Boxes.Account(ctx, account.ID, account.Quota)
	if err != nil {
		return deferred(451, "4.3.0", err)
	}
	folder, err := sentFolder(ctx, box)
	if err != nil {
		return deferred(451, "4.3.0", err)
	}
	return queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.1.5", "Kept"), Commit: func(tx store.Writer) error {
		_, err := box.DeliverBodyTx(tx, folder, d.Message.Body, d.Message.Size, seen(), d.Message.Accepted)
		return err
	}}
}

// addBcc puts a Bcc field, which the client's own copy brought meanwhile, in front of ours.
func (c sentCarrier) addBcc(ctx context.Context, d queue.Delivery, it queue.Item, msg *Copy) (added bool, err error) {
	id, ok := sentID(d, it)
	if !ok {
		return false, nil
	}
	record, err := c.s.opt.Sent.Find(ctx, id, time.Time{})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || len(record.Bcc) == 0 {
		return false, err
	}
	open := msg.Open
	msg.Size += int64(len(record.Bcc))
	msg.Open = func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return prefixed{io.MultiReader(bytes.NewReader(record.Bcc), r), r}, nil
	}
	return true, nil
}

type prefixed struct {
	io.Reader
	io.Closer
}

// placeTx notes where the copy is. A Bcc that came while it was on its way there is lost, as it is when a client keeps no copy of its own.
func (c sentCarrier) placeTx(tx store.Writer, d queue.Delivery, it queue.Item, place Place, withBcc bool) error {
	id, ok := sentID(d, it)
	if !ok {
		return nil
	}
	_, err := sent.PlaceTx(tx, id, place.Folder, place.UIDValidity, place.UID, withBcc)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it was sent too long ago
	}
	return err
}

// answeredCarrier marks the messages that one that was sent replies to, so that the team sees that they have been dealt with. It is a
// courtesy: messages that are not found are nobody's failure.
type answeredCarrier struct{ s *Acceptor }

// Destination implements queue.Carrier.
func (c answeredCarrier) Destination(it queue.Item) string { return c.s.within(it) }

// Carry implements queue.Carrier.
func (c answeredCarrier) Carry(ctx context.Context, d queue.Delivery) []queue.Outcome {
	return each(d, func(it queue.Item) queue.Outcome {
		account, ok := c.s.opt.Snapshot().ByID(it.Account)
		if !ok {
			return failed(550, "5.1.1", "There is no such mailbox any more")
		}
		ids := strings.Fields(it.Arg)
		var err error
		if server := c.s.opt.Home(account); server != nil {
			err = server.MarkAnswered(ctx, account, ids)
		} else {
			err = c.mark(ctx, account, ids)
		}
		if err != nil {
			return deferred(451, "4.3.0", err)
		}
		return queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.0.0", "Marked")}
	})
}

// maxLooked is how many messages of a folder are looked at for the one that was answered, from the newest on.
const maxLooked = 5000

// mark looks for the messages in our own store: in INBOX, then in the other folders, until all are found.
func (c answeredCarrier) mark(ctx context.Context, account *policy.Account, ids []string) error {
	box, err := c.s.opt.Boxes.Account(ctx, account.ID, account.Quota)
	if err != nil {
		return err
	}
	folders, err := box.Folders(ctx)
	if err != nil {
		return err
	}
	want := make(map[string]bool)
	for _, id := range ids {
		want[id] = true
	}
	for _, f := range folders {
		if f.NoSelect || f.Messages == 0 || f.SpecialUse == mailbox.Drafts || f.SpecialUse == mailbox.Sent {
			continue
		}
		if len(want) == 0 {
			break
		}
		uids, err := find(ctx, box, f.Name, want)
		if err == nil && len(uids) > 0 {
			err = box.AddFlagsTo(ctx, f.Name, uids, mailbox.FlagSet{System: mailbox.Answered})
		}
		if err != nil && !errors.Is(err, mailbox.ErrNoFolder) {
			return err
		}
	}
	return nil
}

// find answers the messages of a folder with one of the wanted ids, in ascending order, and takes their ids out of want.
func find(ctx context.Context, box *mailbox.Account, folder string, want map[string]bool) (uids []uint32, err error) {
	v, err := box.Select(ctx, folder, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	n := v.Len()
	var seqs []uint32
	for seq := n; seq > 0 && n-seq < maxLooked; seq-- {
		seqs = append(seqs, seq)
	}
	errFound := errors.New("all are found")
	err = v.Details(ctx, seqs, mailbox.WantHeader, func(seq uint32, d *mailbox.Detail) error {
		if d == nil || d.Header == nil {
			return nil
		}
		h, _, err := header.Read(bytes.NewReader(d.Header))
		if err != nil {
			return nil //nolint:nilerr // whatever it is, it cannot be told which message it is
		}
		id := h.MessageID()
		if id == "" || !want[id] {
			return nil
		}
		delete(want, id)
		uids = append([]uint32{v.UID(seq)}, uids...)
		if len(want) == 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return uids, err
}

// Hop is the way to other systems.
type Hop interface {
	// Destination names where mail for an address goes.
	Destination(to mail.Address) string
	// Send tries once and answers an outcome for each recipient, in their order.
	Send(ctx context.Context, d queue.Delivery) []queue.Outcome
}

// relayCarrier carries to other operators, as far as the trust space reaches now.
type relayCarrier struct {
	s   *Acceptor
	hop Hop
}

// Relay makes the carrier of the route to other operators.
func (s *Acceptor) Relay(hop Hop) queue.Carrier { return relayCarrier{s, hop} }

// Destination implements queue.Carrier.
func (c relayCarrier) Destination(it queue.Item) string {
	return c.hop.Destination(it.Recipient.Address)
}

// Carry implements queue.Carrier.
func (c relayCarrier) Carry(ctx context.Context, d queue.Delivery) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(d.Items))
	snap := c.s.opt.Snapshot()
	as := policy.SendDecision{Allowed: true, OffPlatform: true}
	if id := d.Message.Mailbox.ID; id != "" {
		account, ok := snap.ByID(id)
		if ok && account.State == policy.Suspended {
			return each(d, func(queue.Item) queue.Outcome {
				return queue.Outcome{Result: queue.ResultHeld, Reply: *wire.NewReply(450, "4.7.1", "The sender's mailbox is suspended")}
			})
		}
		as.Mailbox = account
	}
	var going []int
	left := d
	left.Items = nil
	for i, it := range d.Items {
		if to := snap.Recipient(as, it.Recipient.Address, c.s.opt.Trusted); !to.Allowed || to.Local != nil {
			outcomes[i] = failed(550, "5.7.1", fmt.Sprintf("%s is not, or no longer, in the trust space", it.Recipient.Address.Domain()))
			continue
		}
		going = append(going, i)
		left.Items = append(left.Items, it)
	}
	if len(going) == 0 {
		return outcomes
	}
	for j, o := range c.hop.Send(ctx, left) {
		outcomes[going[j]] = o
	}
	return outcomes
}

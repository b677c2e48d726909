package notice

import (
	"context"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
)

// Letter is what a person is written beside notices, by the same way.
type Letter string

// The letters.
const (
	Invitation Letter = "invitation" // a link by which to choose the first password
	Reminder   Letter = "reminder"   // another, since nobody used the one before
	Inactive   Letter = "inactive"   // that the mailbox will be deleted
)

// letterLife is the age at which a letter is no longer sent: its link works as long.
const letterLife = 7 * 24 * time.Hour

// letterFacts are all that the text of a letter knows.
type letterFacts struct{ Name, Address, Link string }

// Write queues a letter to the ordinary address of a person.
func (s *Service) Write(ctx context.Context, l Letter, person *policy.Account, link string) error {
	text := s.templates.Load().of(l, person.Language, s.opt.Language)
	if text == nil {
		return fmt.Errorf("there is no text of a letter %q", l)
	}
	subject, body, err := execute(text, letterFacts{oneLine(person.Label), string(person.Address), link})
	if err != nil {
		return err
	}
	at := s.now()
	id := queue.NewID(at)
	octets, err := s.message(person.Notify, id, at, subject, body)
	if err != nil {
		return err
	}
	content, err := s.content(ctx, octets)
	if err != nil {
		return err
	}
	defer content.Discard()
	party := audit.Party{ID: person.ID, Address: person.Address}
	m := queue.Message{ID: id, Size: content.Size(), From: wire.Sender{Body: wire.Body7Bit}, Mailbox: party, Origin: queue.Notice, Accepted: at}
	item := queue.Item{
		Route: queue.Notify, Recipient: wire.Recipient{Address: person.Notify, Notify: wire.NotifyNever}, Account: person.ID, Arg: letterArg + string(l),
		State: queue.Waiting,
	}
	err = s.opt.Store.Update(ctx, func(tx store.Writer) error { return s.enqueueTx(tx, m, item, content) })
	if err != nil {
		return fmt.Errorf("queue a letter: %w", err)
	}
	return nil
}

// letterArg begins the argument of the items of letters. No account's id does.
const letterArg = "letter/"

// stillTo tells whether a letter may go to an address: it is still the person's.
func (s *Service) stillTo(account mail.AccountID, to mail.Address) bool {
	person, ok := s.opt.Snapshot().ByID(account)
	return ok && person.Notify == to && person.State != policy.Suspended
}

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/imapproxy"
	"balorg/imapproxy/origin"
	"balorg/mail"
	"balorg/policy"
	"balorg/smtp"
	"balorg/smtp/relay"
	"balorg/smtp/wire"
)

// mailServer is an IMAP server as those see it who put mail into its mailboxes. It is logged in to as the mailbox, as for a session; what
// comes in goes there over LMTP where the server has it, so that its own rules for new mail apply.
type mailServer struct {
	store *origin.Store
	lmtp  *localDelivery // nil: by APPEND
}

// localDelivery is the way of new mail into a server by LMTP.
type localDelivery struct {
	*relay.Relay
	mssante bool // the server knows mailboxes by their MSSanté addresses
}

func (l *localDelivery) address(account *policy.Account) mail.Address {
	if l.mssante {
		return account.Published()
	}
	return account.Address
}

// serverTime bounds one visit to a server, a large message included.
const serverTime = 10 * time.Minute

// visit runs fn on a connection that is logged in as the account.
func (m mailServer) visit(ctx context.Context, account *policy.Account, fn func(*imapclient.Client, imapproxy.Names) error) error {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	conn, err := m.store.Open(ctx, origin.Who{Address: account.Address})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // that is the point
	defer stop()
	client := imapclient.New(conn, nil)
	defer client.Close() //nolint:errcheck // what was to be done has been answered
	if err := client.WaitGreeting(); err != nil {
		return fmt.Errorf("opening the mailbox: %w", err)
	}
	if err := fn(client, imapproxy.Names(conn.Names())); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// Append implements smtp.MailServer.
func (m mailServer) Append(ctx context.Context, account *policy.Account, c smtp.Copy) (place smtp.Place, err error) {
	if m.lmtp != nil && c.Folder == smtp.Inbox {
		return m.deliver(ctx, account, c)
	}
	err = m.visit(ctx, account, func(client *imapclient.Client, names imapproxy.Names) error {
		folder, err := folderOf(client, c.Folder, names)
		if err != nil {
			return err
		}
		if c.Retry {
			found, uid, validity, err := lookFor(client, folder, c.Mark)
			if place = (smtp.Place{Folder: folder, UIDValidity: validity, UID: uid, Found: found}); err != nil || found {
				return err
			}
		}
		data, err := appendTo(client, folder, c)
		if err != nil {
			return err
		}
		place = smtp.Place{Folder: folder, UIDValidity: data.UIDValidity, UID: uint32(data.UID)}
		return nil
	})
	return place, err
}

// deliver hands a message over by LMTP. One whose answer was lost is looked for first, by IMAP.
func (m mailServer) deliver(ctx context.Context, account *policy.Account, c smtp.Copy) (place smtp.Place, err error) {
	if c.Retry {
		err := m.visit(ctx, account, func(client *imapclient.Client, _ imapproxy.Names) (err error) {
			place.Folder = string(smtp.Inbox)
			place.Found, place.UID, place.UIDValidity, err = lookFor(client, place.Folder, c.Mark)
			return err
		})
		if err != nil || place.Found {
			return place, err
		}
	}
	to := []wire.Recipient{{Address: m.lmtp.address(account), Notify: wire.NotifyNever}}
	sender := c.Sender
	sender.EnvID, sender.Return = "", ""
	skip, err := returnPath(c.Open)
	if err != nil {
		return place, err
	}
	message := relay.Message{ID: c.Mark, Sender: sender, Size: c.Size - skip, Open: func() (io.ReadCloser, error) { return openBehind(c.Open, skip) }}
	out := m.lmtp.Send(ctx, message, to)[0]
	if out.Result != relay.Delivered {
		return place, &out.Reply
	}
	return place, nil
}

// returnPath is how long the field is that a message begins with when it came from outside: whoever delivers last writes it (RFC 5321, 4.4), and
// over LMTP that is not us.
func returnPath(open func() (io.ReadCloser, error)) (int64, error) {
	r, err := open()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("reading the message: %w", err)
	}
	if !strings.HasPrefix(line, "Return-Path: ") {
		return 0, nil
	}
	return int64(len(line)), nil
}

// openBehind opens a message behind its first octets.
func openBehind(open func() (io.ReadCloser, error), skip int64) (io.ReadCloser, error) {
	r, err := open()
	if err == nil && skip > 0 {
		if _, err = io.CopyN(io.Discard, r, skip); err != nil {
			err = errors.Join(fmt.Errorf("reading the message: %w", err), r.Close())
		}
	}
	return r, err
}

// folderOf answers the server's name of a folder, made where there is no Sent yet.
func folderOf(client *imapclient.Client, f smtp.Folder, names imapproxy.Names) (string, error) {
	if f == smtp.Inbox {
		return string(smtp.Inbox), nil
	}
	listed, err := client.List("", "*", nil).Collect()
	if err != nil {
		return "", fmt.Errorf("looking for the Sent folder: %w", err)
	}
	for _, l := range listed {
		if slices.Contains(l.Attrs, imap.MailboxAttrSent) {
			return l.Mailbox, nil
		}
	}
	usual := []string{"Sent", "Envoyés", "Sent Messages", "Sent Items", "Éléments envoyés"}
	for _, name := range usual {
		for _, l := range listed {
			if l.Mailbox == names.Prefix+name {
				return l.Mailbox, nil
			}
		}
	}
	name := names.Prefix + usual[0]
	if err := client.Create(name, nil).Wait(); err != nil {
		return "", fmt.Errorf("making the Sent folder: %w", err)
	}
	return name, nil
}

// lookFor looks for a message that an earlier attempt put into a folder.
func lookFor(client *imapclient.Client, folder, mark string) (found bool, uid, validity uint32, err error) {
	selected, err := client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return false, 0, 0, fmt.Errorf("opening a folder: %w", err)
	}
	data, err := client.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Received", Value: mark}}}, nil).Wait()
	if err != nil {
		return false, 0, 0, fmt.Errorf("looking for the message: %w", err)
	}
	uids := data.AllUIDs()
	if len(uids) == 0 {
		return false, 0, selected.UIDValidity, nil
	}
	return true, uint32(uids[0]), selected.UIDValidity, nil
}

func appendTo(client *imapclient.Client, folder string, c smtp.Copy) (*imap.AppendData, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	opt := &imap.AppendOptions{Time: c.Date}
	if c.Seen {
		opt.Flags = []imap.Flag{imap.FlagSeen}
	}
	cmd := client.Append(folder, c.Size, opt)
	if _, err := io.Copy(cmd, r); err != nil {
		// Half a literal: only the end of the connection undoes the command.
		return nil, fmt.Errorf("appending the message: %w", err)
	}
	if err := cmd.Close(); err != nil {
		return nil, fmt.Errorf("appending the message: %w", err)
	}
	data, err := cmd.Wait()
	if err != nil {
		return nil, fmt.Errorf("appending the message: %w", err)
	}
	return data, nil
}

// MarkAnswered implements smtp.MailServer: in INBOX, where what is answered was received, and where a folder of another name holds it no more
// than once.
func (m mailServer) MarkAnswered(ctx context.Context, account *policy.Account, ids []string) error {
	return m.visit(ctx, account, func(client *imapclient.Client, _ imapproxy.Names) error {
		listed, err := client.List("", "*", nil).Collect()
		if err != nil {
			return fmt.Errorf("listing folders: %w", err)
		}
		left := slices.Clone(ids)
		for _, folder := range searched(listed) {
			if len(left) == 0 {
				return nil
			}
			if left, err = mark(client, folder, left); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxSearched bounds the folders that are looked through for a message that was answered.
const maxSearched = 50

// searched are the folders in which a message that is answered may be: INBOX first.
func searched(listed []*imap.ListData) []string {
	names := []string{string(smtp.Inbox)}
	for _, l := range listed {
		if l.Mailbox == string(smtp.Inbox) || slices.ContainsFunc(l.Attrs, func(a imap.MailboxAttr) bool {
			return a == imap.MailboxAttrNoSelect || a == imap.MailboxAttrNonExistent || a == imap.MailboxAttrSent || a == imap.MailboxAttrDrafts || a == imap.MailboxAttrAll
		}) {
			continue
		}
		names = append(names, l.Mailbox)
	}
	return names[:min(len(names), maxSearched)]
}

// mark sets \Answered on the messages of a folder that have one of the ids, and answers the ids that it has not.
func mark(client *imapclient.Client, folder string, ids []string) (left []string, err error) {
	if _, err := client.Select(folder, nil).Wait(); err != nil {
		if _, no := errors.AsType[*imap.Error](err); no {
			return ids, nil // it went away, or is not for us
		}
		return nil, fmt.Errorf("opening a folder: %w", err)
	}
	for _, id := range ids {
		data, err := client.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: id}}}, nil).Wait()
		if err != nil {
			return nil, fmt.Errorf("looking for what was answered: %w", err)
		}
		uids := data.AllUIDs()
		if len(uids) == 0 {
			left = append(left, id)
			continue
		}
		flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagAnswered}}
		if err := client.Store(imap.UIDSetNum(uids...), flags, nil).Close(); err != nil {
			return nil, fmt.Errorf("marking what was answered: %w", err)
		}
	}
	return left, nil
}

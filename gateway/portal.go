package gateway

import (
	"context"
	"io"
	"log/slog"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/gateway/portal"
	"balorg/gateway/sheet"
	"balorg/imapproxy"
	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/store/mailbox"
)

// choose keeps what a person has chosen, and puts it into effect.
func (g *Gateway) choose(ctx context.Context, choices ...policy.Choice) error {
	for _, c := range choices {
		if err := g.st.settings.SetChoice(ctx, storedChoice(c)); err != nil {
			return err
		}
	}
	return g.refresh(ctx)
}

// unread answers how many messages of a mailbox's INBOX nobody has read, or false when its mail store does not say so before ctx ends.
func (g *Gateway) unread(ctx context.Context, account *policy.Account) (count int, known bool) {
	n, err := g.countUnread(ctx, account)
	if err != nil {
		g.log.DebugContext(ctx, "counting unread messages", slog.Any("mailbox", account.Address), slog.Any("error", err))
		return 0, false
	}
	return n, true
}

func (g *Gateway) countUnread(ctx context.Context, account *policy.Account) (n int, err error) {
	server, ok := g.servers[account.Mailstore]
	if !ok {
		box, err := g.st.boxes.Account(ctx, account.ID, account.Quota)
		if err != nil {
			return 0, err
		}
		folder, err := box.Status(ctx, mailbox.Inbox)
		return int(folder.Unseen), err
	}
	err = mailServer{store: server}.visit(ctx, account, func(client *imapclient.Client, _ imapproxy.Names) error {
		status, err := client.Status("INBOX", &imap.StatusOptions{NumUnseen: true}).Wait()
		if err == nil && status.NumUnseen != nil {
			n = int(*status.NumUnseen)
		}
		return err
	})
	return n, err
}

// deviceTokens are the tokens as the portal sees them.
type deviceTokens struct{ g *Gateway }

func (d deviceTokens) Add(ctx context.Context, person mail.Address, name string, scopes []string, mailbox mail.Address) (string, error) {
	secret, _, err := d.g.addToken(ctx, person, name, scopes, mailbox)
	return secret, err
}

func (d deviceTokens) List(ctx context.Context, person mail.Address) ([]policy.Token, error) {
	kept, err := d.g.listTokens(ctx, person)
	all := make([]policy.Token, len(kept))
	for i, t := range kept {
		all[i] = policyToken(t)
	}
	return all, err
}

func (d deviceTokens) Revoke(ctx context.Context, person mail.Address, id string) error {
	return d.g.revokeToken(ctx, person, id)
}

// administration is the daemon as the portal's administrators see it.
type administration struct{ g *Gateway }

func (a administration) LastLogins(ctx context.Context) (map[mail.AccountID]time.Time, error) {
	return a.g.st.lastLogins(ctx, false)
}

func (a administration) Queue(ctx context.Context) ([]portal.Queued, error) {
	var all []portal.Queued
	err := a.g.st.queue.List(ctx, false, func(e queue.Entry) bool {
		for _, item := range e.Items {
			if item.State != queue.Waiting {
				continue
			}
			q := portal.Queued{
				Message: string(e.ID), Mailbox: e.Mailbox.Address, Recipient: string(item.Recipient.Address), Accepted: e.Accepted.Local(), Attempts: item.Attempts,
				Reply: item.Reply, Held: e.Held,
			}
			if !item.Next.IsZero() {
				q.Next = item.Next.Local()
			}
			if q.Recipient == "" {
				q.Recipient = string(addressOf(a.g.snapshot.Load(), item.Account))
			}
			all = append(all, q)
		}
		return true
	})
	return all, err
}

func (a administration) Problems() []string {
	_, problems := Load(a.g.path)
	all := make([]string, len(problems))
	for i, p := range problems {
		all[i] = p.String()
	}
	return all
}

// exportAccounts writes what the files say of the accounts that a filter selects.
func (g *Gateway) exportAccounts(w io.Writer, format string, f policy.Filter) error {
	_, err := Export(g.path, w, sheet.Format(format), f)
	return err
}

// Invited implements portal.Inviter.
func (a administration) Invited(ctx context.Context) (map[mail.AccountID]time.Time, error) {
	links, err := a.g.st.links.All(ctx)
	if err != nil {
		return nil, err
	}
	made := make(map[mail.AccountID]time.Time, len(links))
	for id, link := range links {
		made[id] = link.Made
	}
	return made, nil
}

// Invite implements portal.Inviter.
func (a administration) Invite(ctx context.Context, person *policy.Account) (mail.Address, error) {
	i := a.g.inviter()
	if i.unreachable(person) != "" {
		return "", nil
	}
	made, err := a.Invited(ctx)
	if err != nil {
		return "", err
	}
	link, err := i.link(ctx, person)
	if err != nil {
		return "", err
	}
	return person.Notify, i.write(ctx, letterAfter(made[person.ID]), person, link)
}

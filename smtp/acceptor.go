package smtp

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/sent"
)

// Folder is a folder that mail is put into, whatever a mail store calls it.
type Folder string

// The folders.
const (
	Inbox Folder = "INBOX"
	Sent  Folder = `\Sent`
)

// Copy is a message to be put into a mailbox that lives on a server.
type Copy struct {
	Folder Folder
	Seen   bool
	Date   time.Time
	Size   int64
	// Open answers the octets, from the start.
	Open func() (io.ReadCloser, error)
	// Mark stands in a Received field of this message and of no other: with Retry the server is asked for it first, since an earlier attempt
	// may have put it there and lost the answer.
	Mark  string
	Retry bool
	// Sender is the envelope's, for servers that get what comes in by LMTP.
	Sender wire.Sender
}

// Place is where a message is.
type Place struct {
	Folder      string // as the mail store calls it, in UTF-8
	UIDValidity uint32
	UID         uint32
	Found       bool // an earlier attempt had put it there
}

// MailServer is where mailboxes live that are not in our own store.
type MailServer interface {
	// Append puts a message into a folder, or finds it there, and answers what the server calls the folder.
	Append(ctx context.Context, account *policy.Account, c Copy) (Place, error)
	// MarkAnswered sets \Answered on the messages with one of these ids, wherever in the mailbox they are.
	MarkAnswered(ctx context.Context, account *policy.Account, ids []string) error
}

// Notices tells those who asked that a mailbox received something.
type Notices interface {
	// ReceivedTx notes a message in a mailbox within the transaction that delivers it.
	ReceivedTx(tx store.Writer, mailbox mail.AccountID) error
}

// AcceptorOptions are what an Acceptor works with.
type AcceptorOptions struct {
	Hostname string
	Language string // of texts to people who have none of their own: fr or en
	// Postmaster is the account that gets what others write to postmaster at a domain of ours (RFC 5321, 4.5.1); empty: nobody does.
	Postmaster mail.Address
	Limits     Limits
	Snapshot   func() *policy.Snapshot
	Trusted    policy.Trusted
	Store      store.Store
	Bodies     *body.Bodies
	Boxes      *mailbox.Store
	Queue      *queue.Queue
	Sent       *sent.Table
	Trace      *audit.Log
	// Home answers where an account's mailbox lives, nil for our own store.
	Home    func(*policy.Account) MailServer
	Notices Notices // nil: nobody is notified
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time // nil: time.Now
}

// Limits are how much one person may send as one mailbox. The zero value means the defaults.
type Limits struct {
	MessagesPerHour   int `yaml:"messages_per_hour,positive"`
	RecipientsPerHour int `yaml:"recipients_per_hour,positive"`
}

// Acceptor decides on what sessions take, and accepts it. It is shared by all sessions.
type Acceptor struct {
	opt   AcceptorOptions
	log   *slog.Logger
	now   func() time.Time
	rates rates
	// blocks are what the bodies of messages are copied through.
	blocks sync.Pool
	// started is when this daemon began: what was accepted before, another one may have carried somewhere without writing it down.
	started time.Time
}

// NewAcceptor makes the Acceptor.
func NewAcceptor(opt AcceptorOptions) *Acceptor {
	s := &Acceptor{opt: opt, log: opt.Logger, now: opt.Now}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.rates, s.started = newRates(opt.Limits, s.now), s.now()
	return s
}

// language answers in which language a person reads.
func (s *Acceptor) language(a *policy.Account) string {
	if a != nil && a.Language != "" {
		return a.Language
	}
	return s.opt.Language
}

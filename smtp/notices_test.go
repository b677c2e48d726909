package smtp

import (
	"strings"
	"sync"
	"testing"

	"balorg/mail"
	"balorg/store"
)

// counted counts what mailboxes are said to have received.
type counted struct {
	mu  sync.Mutex
	got []mail.AccountID
}

func (c *counted) ReceivedTx(tx store.Writer, mailbox mail.AccountID) error {
	tx.AfterCommit(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got = append(c.got, mailbox)
	})
	return nil
}

// TestNoticesOfWhatWaited: a delivery that the queue makes later, here since a report of success is asked for, is noted like one at once:
// unless nobody wrote the message.
func TestNoticesOfWhatWaited(t *testing.T) {
	var noted counted
	o := newOffice(t, func(opt *AcceptorOptions) { opt.Notices = &noted })
	c := o.dial(t.Context(), Inbound)
	c.hello(Inbound)
	const to = "secretariat" + mssante
	for _, notify := range []string{"", " NOTIFY=SUCCESS"} {
		for _, field := range []string{"X-Other: x", "Auto-Submitted: auto-replied", "List-Id: <a.example.org>", "Precedence: bulk"} {
			c.do("MAIL FROM:<"+outside+">", "250")
			c.do("RCPT TO:<"+to+">"+notify, "250")
			c.do("DATA", "354")
			c.send(strings.ReplaceAll("From: <"+outside+">\n"+field+"\n\nBonjour\n.\n", "\n", "\r\n"))
			c.expect("250")
		}
	}
	o.until("eight messages", func() bool { return len(o.content(secretariat, "INBOX")) == 8 })
	noted.mu.Lock()
	defer noted.mu.Unlock()
	if len(noted.got) != 2 {
		t.Errorf("noted %v", noted.got)
	}
}

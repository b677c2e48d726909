package imapproxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"balorg/mail"
)

// brittleStore is a mail store that can go down for one account: nothing opens, and what is open is cut.
type brittleStore struct {
	MailStore
	mu    sync.Mutex
	down  mail.Address
	conns map[mail.Address][]io.Closer
}

func (b *brittleStore) Open(ctx context.Context, who Who) (io.ReadWriteCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.Address == b.down {
		return nil, errors.New("connection refused by mail7.intern")
	}
	conn, err := b.MailStore.Open(ctx, who)
	if err == nil {
		b.conns[who.Address] = append(b.conns[who.Address], conn)
	}
	return conn, err
}

// fail takes the store of an account down; "" brings it up again.
func (b *brittleStore) fail(account mail.Address) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = account
	for _, c := range b.conns[account] {
		c.Close()
	}
	delete(b.conns, account)
}

func newBrittle(t *testing.T) (*fixture, *brittleStore) {
	t.Helper()
	var b *brittleStore
	f := newFixture(t, func(o *Options) {
		b = &brittleStore{MailStore: o.Stores["local"], conns: make(map[mail.Address][]io.Closer)}
		o.Stores = map[string]MailStore{"local": b}
	})
	return f, b
}

// TestNoPartialList: a mail store that is down makes LIST fail until its folders have been seen once; then they are listed all the
// same, for clients unsubscribe what is missing.
func TestNoPartialList(t *testing.T) {
	f, store := newBrittle(t)
	store.fail(urgences)
	c := f.login(claire)
	got := c.do(`LIST "" "*"`)
	if len(got) != 1 || !strings.HasPrefix(got[0], "NO [UNAVAILABLE]") || strings.Contains(got[0], "intern") {
		t.Errorf("LIST with a store that was never there: %q", got)
	}
	store.fail("")
	whole := c.ok(`LIST "" "*"`)
	store.fail(urgences)
	if again := c.ok(`LIST "" "*"`); strings.Join(again, "\n") != strings.Join(whole, "\n") {
		t.Errorf("LIST with a store that is down:\n%s\nbefore:\n%s", strings.Join(again, "\n"), strings.Join(whole, "\n"))
	}
	c.no("SELECT Comptes/"+urgences+"/INBOX", "NO [UNAVAILABLE]")
	c.no("STATUS Comptes/"+urgences+"/INBOX (MESSAGES)", "NO [UNAVAILABLE]")
	// The others go on.
	c.ok("SELECT INBOX")
	c.ok("STATUS Comptes/" + secretariat + "/INBOX (MESSAGES)")
	store.fail("")
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
}

func TestStoreOfSelectedMailboxLost(t *testing.T) {
	f, store := newBrittle(t)
	c := f.login(claire)
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
	store.fail(urgences)
	got := c.until("* BYE")
	if strings.Contains(got[len(got)-1], "intern") {
		t.Errorf("BYE tells of the inside: %q", got)
	}
	if line := c.next(); line != "" {
		t.Errorf("after BYE: %q", line)
	}
}

func TestStoreOfAnotherMailboxLost(t *testing.T) {
	f, store := newBrittle(t)
	c := f.login(claire)
	c.append("INBOX", "one", "")
	c.ok("STATUS Comptes/" + urgences + "/INBOX (MESSAGES)")
	c.ok("SELECT INBOX")
	store.fail(urgences)
	c.no("COPY 1 Comptes/"+urgences+"/INBOX", "NO [UNAVAILABLE]")
	c.no("MOVE 1 Comptes/"+urgences+"/INBOX", "NO [UNAVAILABLE]")
	if got := c.ok("UID SEARCH ALL"); !has(got, "* SEARCH 1") {
		t.Errorf("the message went with the move that failed: %q", got)
	}
	store.fail("")
	c.ok("MOVE 1 Comptes/" + urgences + "/INBOX")
	if got := c.ok("UID SEARCH ALL"); !has(got, "* SEARCH") {
		t.Errorf("after the move: %q", got)
	}
}

package imapproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/mail"
)

// brittleStore is a mail store that can go down for one account: nothing opens, and what is open is cut.
type brittleStore struct {
	MailStore
	mu    sync.Mutex
	down  mail.Address
	conns map[mail.Address][]io.Closer
	wrap  func(mail.Address, io.ReadWriteCloser) io.ReadWriteCloser // nil: nothing comes between
}

// Capabilities are those of a store that cannot copy across accounts by itself: what goes from one to another passes through us.
func (b *brittleStore) Capabilities() []string {
	return slices.DeleteFunc(slices.Clone(b.MailStore.Capabilities()), func(c string) bool { return c == copiesAcross })
}

func (b *brittleStore) Open(ctx context.Context, who Who) (io.ReadWriteCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.Address == b.down {
		return nil, errors.New("connection refused by mail7.intern")
	}
	conn, err := b.MailStore.Open(ctx, who)
	if err != nil {
		return nil, err
	}
	b.conns[who.Address] = append(b.conns[who.Address], conn)
	if b.wrap != nil {
		conn = b.wrap(who.Address, conn)
	}
	return conn, nil
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

// meddle puts wrap around the connections opened from now on.
func (b *brittleStore) meddle(wrap func(mail.Address, io.ReadWriteCloser) io.ReadWriteCloser) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrap = wrap
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
	if got := c.ok(`LIST "" "*" RETURN (STATUS (MESSAGES))`); len(got) < len(whole) || strings.Contains(strings.Join(got, "\n"), "STATUS Comptes/"+urgences) {
		t.Errorf("LIST with the status of a store that is down: %q", got)
	}
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

// tapped is a connection to a mail store that somebody meddles with.
type tapped struct {
	io.ReadWriteCloser
	read  func([]byte)       // sees what comes
	write func([]byte) error // sees what goes, first
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	if t.read != nil {
		t.read(p[:n])
	}
	return n, err
}

func (t *tapped) Write(p []byte) (int, error) {
	if t.write != nil {
		if err := t.write(p); err != nil {
			return 0, err
		}
	}
	return t.ReadWriteCloser.Write(p)
}

// twoInINBOX logs in, with two messages to be moved, the second of which holds "zwei" and is large.
func twoInINBOX(f *fixture) *client {
	c := f.login(claire)
	c.append("INBOX", "eins", "")
	large := message("zwei") + strings.Repeat("More than any buffer between holds.\r\n", 4000)
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(large), large))
	c.ok("SELECT INBOX")
	return c
}

// atZwei calls do when the second message of twoInINBOX begins to be written to the mailbox of urgences; its error is the write's.
func (b *brittleStore) atZwei(do func() error) {
	b.meddle(func(account mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
		if account != urgences {
			return conn
		}
		return &tapped{ReadWriteCloser: conn, write: func(p []byte) error {
			if bytes.Contains(p, []byte("zwei")) {
				return do()
			}
			return nil
		}}
	})
}

// TestTransferDestinationBreaks: a destination that breaks in the middle of a message costs the command, not the session, and no message.
func TestTransferDestinationBreaks(t *testing.T) {
	f, store := newBrittle(t)
	c := twoInINBOX(f)
	store.atZwei(func() error { return errors.New("broken cable") })
	c.no("MOVE 1:2 Comptes/"+urgences+"/INBOX", "NO [UNAVAILABLE]")
	if got := c.ok("UID SEARCH ALL"); !has(got, "* SEARCH 1 2") {
		t.Errorf("in the source after a move that failed: %q", got)
	}
	store.meddle(nil)
	if got := c.ok("STATUS Comptes/" + urgences + "/INBOX (MESSAGES)"); !strings.Contains(got[0], "(MESSAGES 0)") {
		t.Errorf("in the destination after a move that failed: %q", got)
	}
}

// TestTransferWithdrawn: a session that loses the destination in the middle of a message ends, what had come over is removed again, and the
// source keeps all.
func TestTransferWithdrawn(t *testing.T) {
	f, store := newBrittle(t)
	c := twoInINBOX(f)
	reached, goOn := make(chan struct{}), make(chan struct{})
	store.atZwei(func() error {
		close(reached)
		<-goOn
		return nil
	})
	c.send("m MOVE 1:2 Comptes/" + urgences + "/INBOX\r\n")
	<-reached
	store.meddle(nil)
	f.sessions.End(f.sessions.List()[0].ID, "Enough")
	close(goOn)
	c.until("* BYE Enough")
	c.close()
	again := f.login(claire)
	if got := again.ok("STATUS Comptes/" + urgences + "/INBOX (MESSAGES)"); !strings.Contains(got[0], "(MESSAGES 0)") {
		t.Errorf("in the destination: %q", got)
	}
	if got := again.ok("STATUS INBOX (MESSAGES)"); !strings.Contains(got[0], "(MESSAGES 2)") {
		t.Errorf("in the source: %q", got)
	}
}

// TestFaultInReader: a fault of the program while a mail store's responses are read ends that session and no other.
func TestFaultInReader(t *testing.T) {
	f, store := newBrittle(t)
	other := f.login(paul)
	store.meddle(func(_ mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
		return &tapped{ReadWriteCloser: conn, read: func(p []byte) {
			if bytes.Contains(p, []byte("FETCH (")) {
				panic("a fault")
			}
		}}
	})
	c := twoInINBOX(f)
	c.send("f FETCH 1 FLAGS\r\n")
	c.until("* BYE")
	other.ok("NOOP")
}

// TestStoreStalls: a mail store that owes an answer and says nothing is given up, selected or not; one that has nothing to say is not.
func TestStoreStalls(t *testing.T) {
	const stall = 300 * time.Millisecond
	var store *brittleStore
	f := newFixture(t, func(o *Options) {
		o.StallTimeout = stall
		store = &brittleStore{MailStore: o.Stores["local"], conns: make(map[mail.Address][]io.Closer)}
		o.Stores = map[string]MailStore{"local": store}
	})
	c := f.login(claire)
	c.ok("SELECT INBOX")
	c.send("i IDLE\r\n")
	if line := c.next(); !strings.HasPrefix(line, "+") {
		t.Fatal(line)
	}
	<-time.After(2 * stall)
	c.send("DONE\r\n")
	c.until("i OK")
	// A message that its client takes long to send.
	m := message("slow")
	c.send(fmt.Sprintf("a APPEND INBOX {%d}\r\n", len(m)))
	c.until("+")
	<-time.After(2 * stall)
	c.send(m + "\r\n")
	c.until("a OK")
	c.ok("NOOP")

	deaf := func(account mail.Address, conn io.ReadWriteCloser) io.ReadWriteCloser {
		if account != urgences {
			return conn
		}
		return &deafConn{conn}
	}
	store.meddle(deaf)
	c.no("STATUS Comptes/"+urgences+"/INBOX (MESSAGES)", "NO [UNAVAILABLE]")
	c.ok("NOOP")
	store.meddle(nil)
	c.ok("SELECT Comptes/" + urgences + "/INBOX")
}

// deafConn takes no command.
type deafConn struct{ io.ReadWriteCloser }

func (*deafConn) Write(p []byte) (int, error) { return len(p), nil }

func (d *deafConn) SetReadDeadline(t time.Time) error {
	return d.ReadWriteCloser.(deadliner).SetReadDeadline(t)
}

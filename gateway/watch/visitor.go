package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/smtp/message"
	"balorg/smtp/notice"
	"balorg/store"
)

// visitor is one connection to a mailbox.
type visitor struct {
	w       *Watcher
	mailbox mail.AccountID
	conn    net.Conn
	client  *imapclient.Client
	news    chan struct{} // gets a token when the server tells of a message
	seen    notice.Seen
}

func newVisitor(w *Watcher, mailbox mail.AccountID, conn net.Conn) *visitor {
	v := &visitor{w: w, mailbox: mailbox, conn: conn, news: make(chan struct{}, 1)}
	v.client = imapclient.New(conn, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages == nil {
				return
			}
			select {
			case v.news <- struct{}{}:
			default: // it is known already
			}
		},
	}})
	return v
}

// cut ends the connection; whoever waits for an answer gets an error.
func (v *visitor) cut() { v.conn.Close() } //nolint:errcheck // that is the point

func (v *visitor) close() { v.client.Close() } //nolint:errcheck // nothing was left to be said

// step runs one dialogue with the server, which has its time.
func (v *visitor) step(what string, fn func() error) error {
	watchdog := time.AfterFunc(v.w.opt.StepTime, v.cut)
	defer watchdog.Stop()
	if err := fn(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// open opens INBOX, read-only, and counts what came since the last time.
func (v *visitor) open(ctx context.Context) error {
	var selected *imap.SelectData
	err := v.step("opening INBOX", func() (err error) {
		if err := v.client.WaitGreeting(); err != nil {
			return err
		}
		selected, err = v.client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	if err != nil {
		return err
	}
	if selected.UIDValidity == 0 {
		return errors.New("opening INBOX: the server says no UIDVALIDITY")
	}
	known := false
	err = v.w.opt.Store.View(ctx, func(r store.Reader) (err error) {
		v.seen, known, err = notice.SeenTx(r, v.mailbox)
		return err
	})
	if err != nil {
		return err
	}
	next := uint32(selected.UIDNext)
	// A lower UIDNEXT under the same UIDVALIDITY is a server that was put back to what it was once: it begins anew as well.
	if !known || v.seen.UIDValidity != selected.UIDValidity || next != 0 && next < v.seen.UIDNext {
		return v.begin(ctx, selected)
	}
	if next == v.seen.UIDNext {
		return nil
	}
	return v.look(ctx, next)
}

// begin takes what is in the folder for known.
func (v *visitor) begin(ctx context.Context, selected *imap.SelectData) error {
	next := uint32(selected.UIDNext)
	if next == 0 { // RFC 3501, 6.3.1: a server may leave it out
		next = 1
		if selected.NumMessages > 0 {
			uids, err := v.search(1)
			if err != nil {
				return err
			}
			if len(uids) > 0 {
				next = uint32(uids[len(uids)-1]) + 1
			}
		}
	}
	return v.note(ctx, notice.Seen{UIDValidity: selected.UIDValidity, UIDNext: next}, 0)
}

// part is how many messages are fetched and noted at a time, so that whatever a long absence has brought is worked off in steps.
const part = 200

// look counts the messages that came since the last time. Every message in the folder whose UID is below next is among them.
func (v *visitor) look(ctx context.Context, next uint32) error {
	uids, err := v.search(v.seen.UIDNext)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(uids, part) {
		n, err := v.count(some)
		if err != nil {
			return err
		}
		seen := v.seen
		seen.UIDNext = uint32(some[len(some)-1]) + 1
		if err := v.note(ctx, seen, n); err != nil {
			return err
		}
	}
	seen := v.seen
	seen.UIDNext = max(next, seen.UIDNext)
	return v.note(ctx, seen, 0)
}

// search answers the UIDs from one on, in order.
func (v *visitor) search(from uint32) (uids []imap.UID, err error) {
	err = v.step("looking for new messages", func() error {
		data, err := v.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(from), Stop: 0}}}}, nil).Wait()
		if err == nil {
			uids = data.AllUIDs()
		}
		return err
	})
	// from:* names the last message whatever its UID.
	uids = slices.DeleteFunc(uids, func(uid imap.UID) bool { return uint32(uid) < from })
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// automatic are the header fields that tell that nobody wrote a message.
var automatic = []string{
	"Auto-Submitted", "Precedence", "Return-Path", "List-Id", "List-Help", "List-Unsubscribe", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
}

// count answers how many of the messages somebody is to be told of. What the server says unasked of a message may come in the place of what
// was asked for: those are asked for again, once.
func (v *visitor) count(uids []imap.UID) (n int, err error) {
	n, left, err := v.fetch(uids)
	if err != nil || len(left) == 0 {
		return n, err
	}
	more, _, err := v.fetch(left)
	return n + more, err
}

// fetch is one command of count; left are the messages of which no header came.
func (v *visitor) fetch(uids []imap.UID) (n int, left []imap.UID, err error) {
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: automatic, Peek: true}
	left = slices.Clone(uids)
	err = v.step("looking at new messages", func() error {
		cmd := v.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}})
		defer cmd.Close() //nolint:errcheck // should this end by a panic, the client must not wait for it
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			uid, tell := counts(msg)
			if uid == 0 {
				continue
			}
			left = slices.DeleteFunc(left, func(u imap.UID) bool { return u == uid })
			if tell {
				n++
			}
		}
		return cmd.Close()
	})
	return n, left, err
}

// maxHeader bounds what is read of the fields of a message.
const maxHeader = 64 << 10

// counts tells of which message data is, zero when its header is not there, and whether somebody is to be told of it: nobody has read it yet,
// and somebody wrote it.
func counts(msg *imapclient.FetchMessageData) (uid imap.UID, tell bool) {
	read, fetched, quiet := false, false, false
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataFlags:
			read = slices.ContainsFunc(item.Flags, func(f imap.Flag) bool { return strings.EqualFold(string(f), string(imap.FlagSeen)) })
		case imapclient.FetchItemDataBodySection:
			fetched = true
			if item.Literal != nil {
				octets, err := io.ReadAll(io.LimitReader(item.Literal, maxHeader))
				quiet = err == nil && isAutomatic(octets)
			}
		}
	}
	if !fetched {
		return 0, false
	}
	return uid, !read && !quiet
}

func isAutomatic(octets []byte) bool {
	h, _, err := header.Read(bytes.NewReader(octets))
	if err != nil {
		return false // whatever it is, people are told
	}
	path, ok := h.Get("Return-Path")
	return message.Inspect(h).Automatic || ok && strings.TrimSpace(path.Text()) == "<>"
}

// errChanged is the answer to somebody else's having counted: never, while one daemon has the state.
var errChanged = errors.New("the mailbox was looked at by somebody else meanwhile")

// note writes down how far the mailbox was looked at, with the messages that were found.
func (v *visitor) note(ctx context.Context, seen notice.Seen, n int) error {
	if seen == v.seen && n == 0 {
		return nil
	}
	err := v.w.opt.Store.Update(ctx, func(tx store.Writer) error {
		now, _, err := notice.SeenTx(tx, v.mailbox)
		if err != nil {
			return err
		}
		if now != v.seen {
			return errChanged
		}
		if err := notice.SetSeenTx(tx, v.mailbox, seen); err != nil || n == 0 {
			return err
		}
		return v.w.opt.Notes.AddTx(tx, v.mailbox, n)
	})
	if err != nil {
		return fmt.Errorf("noting new messages: %w", err)
	}
	v.seen = seen
	return nil
}

// canIdle tells whether the server says by itself what comes.
func (v *visitor) canIdle() bool {
	caps := v.client.Caps()
	return caps != nil && caps.Has(imap.CapIdle)
}

// idle looks whenever the server tells of a message, until the connection or ctx ends.
func (v *visitor) idle(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var cmd *imapclient.IdleCommand
		err := v.step("beginning IDLE", func() (err error) {
			cmd, err = v.client.Idle()
			return err
		})
		if err != nil {
			return err
		}
		timer.Reset(v.w.opt.IdleFor)
		news := false
		select {
		case <-v.news:
			news = true
		case <-timer.C:
		case <-v.client.Closed():
		case <-ctx.Done():
		}
		err = v.step("ending IDLE", func() error {
			if err := cmd.Close(); err != nil {
				return err
			}
			return cmd.Wait()
		})
		if err != nil {
			return err
		}
		if news {
			if err := v.look(ctx, 0); err != nil {
				return err
			}
		}
	}
}

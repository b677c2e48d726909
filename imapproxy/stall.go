package imapproxy

import (
	"errors"
	"io"
	"slices"
	"time"

	"balorg/imapproxy/wire"
)

// defaultStall is how long a mail store may say nothing while it owes an answer: a search through a large folder without an index
// may take a minute, a server that hangs takes for ever.
const defaultStall = 3 * time.Minute

// slowest is the rate, in octets a second, below which a literal that is sent on by the system counts as stalled.
const slowest = 4 << 10

// deadliner is a connection whose reads can be bounded.
type deadliner interface{ SetReadDeadline(t time.Time) error }

// watched is a mail store's connection as its reader sees it: no read waits for ever while an answer is owed.
type watched struct{ u *upstream }

func (w watched) Read(p []byte) (int, error) {
	w.u.bound(0)
	return w.u.conn.Read(p)
}

// ReadBorrowed implements wire.Borrowing.
func (w watched) ReadBorrowed(from wire.Lender) (int, error) {
	conn, ok := w.u.conn.(wire.Borrowing)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	w.u.bound(0)
	return conn.ReadBorrowed(from)
}

// watchedCopier is watched for a connection that can send octets on by itself.
type watchedCopier struct{ watched }

// copier is what wire.ResponseReader asks of such a connection.
type copier interface {
	CopyNTo(w io.Writer, n int64) (int64, error)
}

func (w watchedCopier) CopyNTo(to io.Writer, n int64) (int64, error) {
	w.u.bound(time.Duration(n/slowest) * time.Second)
	return w.u.conn.(copier).CopyNTo(to, n) //nolint:errcheck,forcetypeassert // watch looked
}

// watch answers the connection for the reader.
func (u *upstream) watch() io.Reader {
	if _, ok := u.conn.(copier); ok {
		return watchedCopier{watched{u}}
	}
	return watched{u}
}

// bound sets until when the next read waits: for ever while nothing is owed, or while the mail store waits for us or the client.
func (u *upstream) bound(more time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.boundLocked(more)
}

func (u *upstream) boundLocked(more time.Duration) {
	d, ok := u.conn.(deadliner)
	if !ok || u.parking.Load() {
		return
	}
	owed := slices.ContainsFunc(u.queue, func(ex *exchange) bool { return !ex.waits })
	stall := u.s.p.opt.StallTimeout + more
	now := time.Now()
	switch {
	case !owed && u.boundUntil.IsZero(), owed && u.boundUntil.Sub(now) > stall-stall/16:
		return // as it is: setting it for each of a thousand pieces costs as much as reading them
	case owed:
		u.boundUntil = now.Add(stall)
	default:
		u.boundUntil = time.Time{}
	}
	d.SetReadDeadline(u.boundUntil) //nolint:errcheck // a connection that has ended is noticed by its reader
}

// owes says that the mail store has all it needs to answer ex.
func (u *upstream) owes(ex *exchange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ex.waits = false
	u.boundLocked(0)
}

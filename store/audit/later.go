package audit

import (
	"context"
	"sync"
	"time"

	"balorg/store"
)

// Bounds of what waits: a record is durable laterTime after it came at the latest, where the state can be written, and with more than
// laterMost waiting whoever brings the next writes them.
const (
	laterTime  = 50 * time.Millisecond
	laterRetry = time.Second
	laterMost  = 256
)

// later holds records whose answer nobody waits for, until another record is written or their time has come: a sync of their own would cost
// as much as what they tell of.
type later struct {
	mu      sync.Mutex
	records []Record
	timer   *time.Timer
	closed  bool
}

// Later adds a record that no answer depends on, such as the end of a session, or its beginning before anything was done in it. It is durable with the next one that is appended, or a
// moment later by itself; List, Verify, Export and Close see to it first. Nothing is dropped while the state can be written.
func (l *Log) Later(r Record) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	l.wait.mu.Lock()
	l.wait.records = append(l.wait.records, r)
	many := len(l.wait.records) > laterMost || l.wait.closed
	if l.wait.timer == nil && !many {
		l.wait.timer = time.AfterFunc(laterTime, l.due)
	}
	l.wait.mu.Unlock()
	if many {
		l.Flush(context.Background()) //nolint:errcheck // they wait on, and the next writer meets the error
	}
}

// due writes what waits, and tries again where the state cannot be written.
func (l *Log) due() {
	l.wait.mu.Lock()
	l.wait.timer = nil
	l.wait.mu.Unlock()
	if l.Flush(context.Background()) == nil {
		return
	}
	l.wait.mu.Lock()
	defer l.wait.mu.Unlock()
	if l.wait.timer == nil && !l.wait.closed {
		l.wait.timer = time.AfterFunc(laterRetry, l.due)
	}
}

// Flush makes durable what waits, and what was written and not waited for: records of store.Note.
func (l *Log) Flush(ctx context.Context) error {
	l.wait.mu.Lock()
	nothing := len(l.wait.records) == 0
	l.wait.mu.Unlock()
	if nothing {
		return l.st.Reclaim(ctx, func(store.Writer) error { return nil })
	}
	return l.write(ctx, nil)
}

// Close is Flush for the last time: a record that comes after it is written at once.
func (l *Log) Close(ctx context.Context) error {
	l.wait.mu.Lock()
	l.wait.closed = true
	if l.wait.timer != nil {
		l.wait.timer.Stop()
		l.wait.timer = nil
	}
	l.wait.mu.Unlock()
	return l.Flush(ctx)
}

// write appends what waits, and more behind it, in one transaction.
func (l *Log) write(ctx context.Context, more []Record) error {
	l.wait.mu.Lock()
	waiting := l.wait.records
	l.wait.records = nil
	l.wait.mu.Unlock()
	if len(waiting)+len(more) == 0 {
		return nil
	}
	err := l.st.Reclaim(ctx, func(tx store.Writer) error {
		for _, records := range [][]Record{waiting, more} {
			for _, r := range records {
				if err := l.AppendTx(tx, r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil && len(waiting) > 0 {
		l.wait.mu.Lock()
		l.wait.records = append(waiting, l.wait.records...)
		l.wait.mu.Unlock()
	}
	return err
}

// Package store keeps balorg's state: ordered keys and values under transactions. It knows keys and bytes; what a record
// means lives beside the logic that uses it (store/mailbox, store/audit, …). Engines promise what store/storetest checks,
// no more: the daemon's engine is Badger (Open), and none of its types leave this package.
package store

import (
	"context"
	"errors"
	"iter"
)

// The errors an engine answers. Callers compare with errors.Is.
var (
	// ErrNotFound: no such key.
	ErrNotFound = errors.New("no such key")
	// ErrFull: free space on the state's disk is below the guard; nothing was written. Deletions still go through
	// (Reclaim), so that space can be won back.
	ErrFull = errors.New("the state's disk is full")
	// ErrUnavailable: the engine met a write or sync error, or is closed, and takes nothing until it has been reopened. The
	// one Update during which the error was met may be found after the reopening or not: a disk that fails a sync does
	// not say what it kept.
	ErrUnavailable = errors.New("the state cannot be written")
	// ErrTooBig: one key, value or transaction is larger than an engine takes at once; nothing was written.
	ErrTooBig = errors.New("transaction too big")
)

// Limits every engine takes.
const (
	MaxKey   = 1 << 10   // octets of a key
	MaxValue = 256 << 10 // octets of a value
	MaxTx    = 4 << 20   // octets of keys and values one Update writes, EntryCost added for each key
	// EntryCost is what one key counts towards MaxTx beside its octets: an engine keeps a node for each.
	EntryCost = 128
)

// Reader is one consistent view of the state. It is valid, with all it yields, only until the function it was given to
// returns, except that slices from Get are the caller's own.
type Reader interface {
	// Get answers a copy of the value under key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Open answers the value under key, or ErrNotFound, for those that are not to be in memory as a whole. It stays readable until it is
	// closed, whatever becomes of the view and of the key.
	Open(key []byte) (*Value, error)
	// Keys is Scan without values, which are not read.
	Keys(from, to []byte) iter.Seq[[]byte]
	// Scan yields the pairs with from <= key < to in order of key (to nil: no upper bound). The slices yielded are
	// valid until the next step and are not to be changed. Stop with break. An error ends the sequence early and is
	// answered by Err; View and Update also answer it when their function answers nil.
	Scan(from, to []byte) iter.Seq2[[]byte, []byte]
	// ScanBack is Scan in descending order.
	ScanBack(from, to []byte) iter.Seq2[[]byte, []byte]
	// Err is the first error a scan of this view met.
	Err() error
}

// Writer is a Reader that sees its own writes. Keys may be written during a scan; whether the scan still meets those is
// not said.
type Writer interface {
	Reader
	// Set puts value under key. The writer keeps copies.
	Set(key, value []byte) error
	// Delete removes key; a key that is not there is no error.
	Delete(key []byte) error
	// AfterCommit runs fn once the transaction is durable, in the caller's goroutine, before Update returns. When Update
	// answers an error fn never runs.
	AfterCommit(fn func())
}

// Store is the state as its users see it. The functions given to View, Update and Reclaim call none of these methods.
type Store interface {
	// View runs fn on one consistent view.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn and makes its writes durable (synced) as one: when Update answers nil they survive a power cut, with all that was
	// committed before them; when it answers an error none of them is there. fn sees every transaction committed before it, runs serially with
	// all others, may run more than once, must not block on anything but its Writer, and its error is answered as it is.
	Update(ctx context.Context, fn func(Writer) error) error
	// Reclaim is Update for transactions that only free space; the free-space guard lets them through.
	Reclaim(ctx context.Context, fn func(Writer) error) error
	// Note is Reclaim for what may be done a second time when the power goes, and does no other harm: when it answers nil the writes are the
	// system's, so that they survive the end of the process, and readers see them; they are durable with the next Update, or some milliseconds
	// later by themselves. What survives a power cut is all that was committed up to some moment, so that nothing lacks what it was built on. A fn that
	// calls AfterCommit has an Update.
	Note(ctx context.Context, fn func(Writer) error) error
	// Watch answers a channel of capacity one that gets a token after each commit that touches a key under prefix (tokens
	// coalesce), and a function that ends the watch.
	Watch(prefix []byte) (changed <-chan struct{}, stop func())
}

// PrefixEnd is the smallest key above all keys that start with prefix: Scan(p, PrefixEnd(p)) yields them all. It is nil when
// there is none (prefix is empty or all 0xff).
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

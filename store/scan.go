package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
)

// view is a Reader over one Badger read transaction, and over what the engine has not been given yet.
type view struct {
	txn     *badger.Txn
	pending layers
	large   *segments
	among   *readers // nil: of who writes alone
	err     error
}

// end ends a view that others than who writes alone have.
func (v *view) end() {
	v.txn.Discard()
	v.among.leave()
}

func (v *view) Get(key []byte) ([]byte, error) {
	item, value, err := v.find(key)
	if item == nil || err != nil {
		return value, err
	}
	// The item is of this call alone and, as no value is in the value log, what it holds is a copy already: another one costs as much
	// as sending it.
	return v.value(item)
}

// Open implements Reader.
func (v *view) Open(key []byte) (*Value, error) {
	item, value, err := v.find(key)
	if err != nil {
		return nil, err
	}
	if item != nil {
		at, apart, err := placeOf(item)
		if err != nil {
			return nil, fmt.Errorf("open a value: %w", err)
		}
		if apart {
			return v.large.open(at)
		}
		if value, err = v.value(item); err != nil {
			return nil, err
		}
	}
	return newValue(value), nil
}

// find answers the item of a key, or where Badger does not have it yet its value.
func (v *view) find(key []byte) (item *badger.Item, value []byte, err error) {
	if value, known, err := v.pending.get(key); known {
		return nil, value, err
	}
	item, err = v.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, badger.ErrEmptyKey) {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read a key: %w", err)
	}
	return item, nil, nil
}

// value answers the value of an item. It is of the item.
func (v *view) value(item *badger.Item) (value []byte, err error) {
	at, apart, err := placeOf(item)
	if apart && err == nil {
		return v.large.read(at)
	}
	if err == nil {
		// Not within the function: a panic or break in the body of a scan's loop would have to pass through Badger.
		err = item.Value(func(b []byte) error { value = b; return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("read a value: %w", err)
	}
	return value, nil
}

func (v *view) Err() error { return v.err }

func (v *view) fail(err error) {
	if v.err == nil {
		v.err = fmt.Errorf("scan: %w", err)
	}
}

// Keys implements Reader.
func (v *view) Keys(from, to []byte) iter.Seq[[]byte] { return keys(v.span(from, to, false)) }

func keys(pairs iter.Seq2[[]byte, []byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for key := range pairs {
			if !yield(key) {
				return
			}
		}
	}
}

// Scan implements Reader.
func (v *view) Scan(from, to []byte) iter.Seq2[[]byte, []byte] { return v.span(from, to, true) }

// span is Scan, with values where they are wanted.
func (v *view) span(from, to []byte, values bool) iter.Seq2[[]byte, []byte] {
	return v.pending.over(v, v.scan(from, to, values), from, to, false)
}

func (v *view) ScanBack(from, to []byte) iter.Seq2[[]byte, []byte] {
	return v.pending.over(v, v.scanBack(from, to), from, to, true)
}

func (v *view) scan(from, to []byte, values bool) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		it := v.txn.NewIterator(iteratorOptions(from, to, false))
		defer it.Close()
		for it.Seek(from); it.Valid(); it.Next() {
			key := it.Item().Key()
			if to != nil && bytes.Compare(key, to) >= 0 {
				return
			}
			if !values {
				if !yield(key, nil) {
					return
				}
				continue
			}
			if !v.yield(it.Item(), yield) {
				return
			}
		}
	}
}

func (v *view) scanBack(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		if to != nil && len(to) == 0 {
			return // no key is below the empty one; Badger would start at the last
		}
		it := v.txn.NewIterator(iteratorOptions(from, to, true))
		defer it.Close()
		for it.Seek(to); it.Valid(); it.Next() {
			key := it.Item().Key()
			if bytes.Compare(key, from) < 0 {
				return
			}
			if to != nil && bytes.Equal(key, to) {
				continue
			}
			if !v.yield(it.Item(), yield) {
				return
			}
		}
	}
}

func (v *view) yield(item *badger.Item, yield func(key, value []byte) bool) (more bool) {
	value, err := v.value(item)
	if err != nil {
		v.fail(err)
		return false
	}
	return yield(item.Key(), value)
}

// iteratorOptions gives the iterator what from and to have in common, so that tables that hold none of it stay
// untouched. Values are read when stepped on: they lie beside their keys, and Badger prefetches each in a goroutine.
func iteratorOptions(from, to []byte, back bool) badger.IteratorOptions {
	n := 0
	for n < len(from) && n < len(to) && from[n] == to[n] {
		n++
	}
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false
	opt.Reverse = back
	if !back {
		opt.Prefix = from[:n]
	}
	return opt
}

package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Filter selects records. Zero fields select all.
type Filter struct {
	Since   time.Time // at or after
	Until   time.Time // before
	Mailbox mail.AccountID
	Person  mail.AccountID
	Action  Action
	After   uint64 // Seq above it: to go on where a listing ended
}

func (f Filter) matches(r *Record) bool {
	return (f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		(f.Until.IsZero() || r.Time.Before(f.Until)) &&
		(f.Mailbox == "" || r.Mailbox.ID == f.Mailbox) &&
		(f.Person == "" || r.Person.ID == f.Person) &&
		(f.Action == "" || r.Action == f.Action)
}

// List gives yield the records that match, in order, until it answers false. All are of one moment; time, mailbox and person
// are looked up, the rest is read through.
func (l *Log) List(ctx context.Context, f Filter, yield func(Record) bool) error {
	l.Flush(ctx) //nolint:errcheck // what cannot be written now is shown once it can
	err := l.st.View(ctx, func(r store.Reader) error {
		span, err := spanOf(r, f)
		if err != nil {
			return err
		}
		return scan(ctx, r, f, span, func(s stored) (bool, error) {
			record, err := s.record()
			if err != nil {
				return false, err
			}
			return !f.matches(&record) || yield(record), nil
		})
	})
	if err != nil {
		return fmt.Errorf("list the trace: %w", err)
	}
	return nil
}

// spanOf answers between which records those of the filter's time lie, by the hours they fall in.
func spanOf(r store.Reader, f Filter) (hour, error) {
	span := hour{first: f.After + 1, last: math.MaxUint64 - 1}
	if f.Since.IsZero() && f.Until.IsZero() {
		return span, nil
	}
	from, to := hourPrefix(), store.PrefixEnd(hourPrefix())
	if !f.Since.IsZero() {
		from = hourKey(f.Since)
	}
	if !f.Until.IsZero() {
		to = append(hourKey(f.Until), 0) // the hour itself is within
	}
	found := hour{first: math.MaxUint64}
	for _, v := range r.Scan(from, to) {
		h, err := decodeHour(v)
		if err != nil {
			return hour{}, err
		}
		found = hour{min(found.first, h.first), max(found.last, h.last)}
	}
	return hour{max(span.first, found.first), min(span.last, found.last)}, r.Err()
}

// scan calls fn for the stored records of the span that the filter's index holds, until it answers false.
func scan(ctx context.Context, r store.Reader, f Filter, span hour, fn func(stored) (bool, error)) error {
	if span.first > span.last {
		return nil
	}
	prefix, indexed := recordPrefix(), false
	switch {
	case f.Mailbox != "":
		prefix, indexed = mailboxPrefix(f.Mailbox), true
	case f.Person != "":
		prefix, indexed = personPrefix(f.Person), true
	}
	n := len(prefix)
	for k, v := range r.Scan(seqKey(prefix[:n:n], span.first), seqKey(prefix[:n:n], span.last+1)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if indexed {
			if len(k) != n+8 {
				return fmt.Errorf("index of the trace has a damaged key %q", k)
			}
			k = recordKey(binary.BigEndian.Uint64(k[n:]))
			var err error
			if v, err = r.Get(k); err != nil {
				return fmt.Errorf("record named by an index: %w", err)
			}
		}
		s, err := decodeStored(k, v)
		if err != nil {
			return err
		}
		if more, err := fn(s); err != nil || !more {
			return err
		}
	}
	return r.Err()
}

package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"balorg/store"
)

// Report is what Verify found.
type Report struct {
	Records uint64 // verified, up to the break if there is one
	First   uint64 // Seq of the oldest record kept
	Last    uint64 // Seq of the newest one verified
	Head    string // hash of Last, in hexadecimal: noted elsewhere, it proves later that the trace up to here was not rewritten
	Pruned  uint64 // records that left by age
	// Broken says what is wrong with the first record at fault, BrokenSeq which it is. Empty: the chain is whole.
	Broken    string
	BrokenSeq uint64
}

// Verify follows the chain from its checkpoint, or its first record, to its head.
func (l *Log) Verify(ctx context.Context) (Report, error) {
	var report Report
	l.Flush(ctx) //nolint:errcheck // what cannot be written now is of the chain once it can
	err := l.st.View(ctx, func(r store.Reader) (err error) {
		report, err = verify(ctx, r, func(stored, hash) error { return nil })
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify the trace: %w", err)
	}
	return report, nil
}

// verify follows the chain and calls each with the records found right and the hash before.
func verify(ctx context.Context, r store.Reader, each func(s stored, before hash) error) (Report, error) {
	at, err := readCheckpoint(r)
	report := Report{First: at.seq + 1, Last: at.seq, Pruned: at.seq}
	if err != nil {
		return report, report.note(err, at.seq)
	}
	prefix := recordPrefix()
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		s, err := follow(at, k, v)
		if err != nil {
			if err := report.note(err, at.seq+1); err != nil {
				return Report{}, err
			}
			break
		}
		if err := each(s, at.hash); err != nil {
			return Report{}, err
		}
		at = position{s.seq, s.hash}
		report.Records++
	}
	if err := r.Err(); err != nil {
		return Report{}, err
	}
	report.Last, report.Head = at.seq, hex.EncodeToString(at.hash[:])
	if report.Broken != "" {
		return report, nil
	}
	head, err := readHead(r)
	if err == nil {
		err = checkHead(head, at)
	}
	return report, report.note(err, at.seq+1)
}

// damage is what is wrong with the chain: found, not met on the way.
type damage string

func (d damage) Error() string { return string(d) }

func damaged(format string, args ...any) error { return damage(fmt.Sprintf(format, args...)) }

// note takes damage down in the report. It answers errors that are none.
func (report *Report) note(err error, seq uint64) error {
	var d damage
	if !errors.As(err, &d) {
		return err
	}
	report.Broken, report.BrokenSeq = string(d), seq
	return nil
}

// follow reads the record after at.
func follow(at position, k, v []byte) (stored, error) {
	s, err := decodeStored(k, v)
	if err != nil {
		return stored{}, err
	}
	if s.seq != at.seq+1 {
		return stored{}, damaged("record %d is missing", at.seq+1)
	}
	if chain(at.hash, s.octets) != s.hash {
		return stored{}, damaged("record %d does not fit its hash and the record before", s.seq)
	}
	r, err := s.record()
	if err != nil {
		return stored{}, err
	}
	if r.Seq != s.seq {
		return stored{}, damaged("record %d says it is %d", s.seq, r.Seq)
	}
	return s, nil
}

// checkHead tells whether the chain was cut at its end, or goes on behind its head.
func checkHead(head, at position) error {
	switch {
	case head.seq > at.seq:
		return damaged("records %d to %d are missing at the end", at.seq+1, head.seq)
	case head != at:
		return damaged("the head names record %d, not the last one", head.seq)
	}
	return nil
}

// Export writes the trace as lines of JSON, oldest first:
//
//	{"prev":"<64 digits>","hash":"<64 digits>","record":{…}}
//
// where hash is SHA-256 over prev's 32 octets and the octets of the record as they stand on the line. After pruning the first
// line holds the signed checkpoint instead. Export stops with an error at a record that does not fit the chain.
func (l *Log) Export(ctx context.Context, w io.Writer) error {
	l.Flush(ctx) //nolint:errcheck // as above
	err := l.st.View(ctx, func(r store.Reader) error {
		if err := exportCheckpoint(r, w); err != nil {
			return err
		}
		report, err := verify(ctx, r, func(s stored, before hash) error {
			_, err := fmt.Fprintf(w, "{\"prev\":\"%x\",\"hash\":\"%x\",\"record\":%s}\n", before, s.hash, s.octets)
			return err
		})
		if err == nil && report.Broken != "" {
			err = fmt.Errorf("chain is broken: %s", report.Broken)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("export the trace: %w", err)
	}
	return nil
}

// Checker verifies the chain, and that every record is found by its indexes and every index has its record. It is a
// store.Checker.
func (l *Log) Checker() store.Checker { return checker{} }

type checker struct{}

func (checker) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	indexed := 0
	got, err := verify(ctx, r, func(s stored, _ hash) error {
		record, err := s.record()
		if err != nil {
			return err
		}
		for _, k := range indexKeys(record) {
			if _, err := r.Get(k); err != nil {
				report(fmt.Sprintf("audit: record %d is not in its index", s.seq))
				continue
			}
			indexed++
		}
		if h, known, err := readHour(r, record.Time); err != nil || !known || s.seq < h.first || s.seq > h.last {
			report(fmt.Sprintf("audit: record %d is not in its hour", s.seq))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got.Broken != "" {
		report("audit: " + got.Broken)
		return nil
	}
	for _, kind := range []string{"m/", "p/"} {
		prefix := []byte(store.PrefixAudit + kind)
		for range r.Scan(prefix, store.PrefixEnd(prefix)) {
			indexed--
		}
	}
	if indexed != 0 {
		report(fmt.Sprintf("audit: the indexes hold %d rows without a record", -indexed))
	}
	return r.Err()
}

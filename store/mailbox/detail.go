package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox/structure"
)

// Detail is what was found in a message when it arrived. Copies of a message share it, by their body. Its slices are not the
// caller's to change.
type Detail struct {
	Envelope      []byte // IMAP text, may hold literals
	Body          []byte
	BodyStructure []byte
	Header        []byte // the header block with its empty line; nil when it was too long to keep: Section says where it is
	References    []byte // the end of the field References; nil when the message arrived before that was kept

	parts []byte
}

// With is d with another reading of the message's structure.
func (d *Detail) With(res structure.Result) *Detail {
	return &Detail{
		Envelope: res.Envelope, Body: res.Body, BodyStructure: res.BodyStructure, Header: d.Header, References: d.References,
		parts: structure.AppendParts(nil, res.Parts),
	}
}

// Parts answers the parts of the message, in their order, the message itself first.
func (d *Detail) Parts() ([]structure.Part, error) { return structure.DecodeParts(d.parts) }

// Section answers which octets of the message are the section of the part that path names ([1 2] for 1.2; empty: the message
// itself). It answers false when there is no such part or it has no such section.
func (d *Detail) Section(path []int, what structure.Section) (off, n int64, ok bool) {
	parts, err := d.Parts()
	if err != nil {
		return 0, 0, false
	}
	return structure.Find(parts, path, what)
}

// piece is how much of a detail one row holds: rows stay well below store.MaxValue.
const piece = 128 << 10

// pieces cuts b for rows; the first begins with the number of those that follow.
func pieces(b []byte) [][]byte {
	first := min(len(b), piece)
	out := [][]byte{append([]byte{byte((len(b) - first + piece - 1) / piece)}, b[:first]...)}
	for rest := range slices.Chunk(b[first:], piece) {
		out = append(out, rest)
	}
	return out
}

func setPieces(tx store.Writer, table string, id body.ID, list [][]byte) error {
	for i, b := range list {
		if err := tx.Set(bodyKey(table, id, byte(i)), b); err != nil {
			return fmt.Errorf("write message structure: %w", err)
		}
	}
	return nil
}

// DropDetail removes what is stored about the message in a body. Whoever lets the last reference to a body go calls it in the
// same transaction.
func DropDetail(tx store.Writer, id body.ID) error {
	for _, table := range []string{tableStructure, tableHeader} {
		first, err := tx.Get(bodyKey(table, id, 0))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read message structure: %w", err)
		}
		for i := range int(first[0]) + 1 {
			if err := tx.Delete(bodyKey(table, id, byte(i))); err != nil {
				return fmt.Errorf("delete message structure: %w", err)
			}
		}
	}
	return nil
}

func encodeStructure(res *structure.Result) []byte {
	parts := structure.AppendParts(nil, res.Parts)
	b := make([]byte, 0, len(res.Envelope)+len(res.Body)+len(res.BodyStructure)+len(parts)+len(res.References)+32)
	b = append(b, structureVersion)
	for _, text := range [][]byte{res.Envelope, res.Body, res.BodyStructure, parts, res.References} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

func (d *Detail) decode(b []byte) error {
	dec, version := newDecoderOf(b, structureVersion)
	d.Envelope, d.Body, d.BodyStructure, d.parts = dec.bytes(), dec.bytes(), dec.bytes(), dec.bytes()
	if version > rowVersion {
		d.References = dec.bytes()
	}
	return dec.end("message structure")
}

// Bounds of what Details reads in one view of the store and holds in memory until it has been handed on.
const (
	batchMessages = 256
	batchOctets   = 1 << 20
)

// Details calls fn for the messages of seqs, in that order, with what is stored of them and wanted; with nil for a message
// that has been expunged. It reads in batches and calls fn outside any transaction, so that fn may write to a slow client;
// an error of fn ends it and is answered as it is. ErrUnreadable is of the message behind the last that fn got, or of one soon after it.
func (v *View) Details(ctx context.Context, seqs []uint32, want Want, fn func(seq uint32, d *Detail) error) error {
	for len(seqs) > 0 {
		var ids []body.ID
		for _, seq := range seqs[:min(len(seqs), batchMessages)] {
			m, ok := v.Message(seq)
			if !ok {
				return ErrNoMessage
			}
			ids = append(ids, m.Body)
		}
		var details []*Detail
		err := v.a.s.st.View(ctx, func(r store.Reader) (err error) {
			details, err = readDetails(r, ids, want)
			return err
		})
		if errors.Is(err, errRow) {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if err != nil {
			return fmt.Errorf("read message structures: %w", err)
		}
		for i, d := range details {
			if d == nil {
				if there, err := v.holds(ctx, v.UID(seqs[i])); err != nil {
					return fmt.Errorf("read message structures: %w", err)
				} else if there {
					return fmt.Errorf("%w: it has no structure", ErrUnreadable)
				}
			}
			if err := fn(seqs[i], d); err != nil {
				return err
			}
		}
		seqs = seqs[len(details):]
	}
	return nil
}

// Detail is Details of one message; ErrExpunged when it has been expunged.
func (v *View) Detail(ctx context.Context, seq uint32, want Want) (*Detail, error) {
	var found *Detail
	err := v.Details(ctx, []uint32{seq}, want, func(_ uint32, d *Detail) error {
		if found = d; d == nil {
			return ErrExpunged
		}
		return nil
	})
	return found, err
}

// readDetails answers the details of the first of ids, as many as fit a batch, at least one.
func readDetails(r store.Reader, ids []body.ID, want Want) ([]*Detail, error) {
	details := make([]*Detail, len(ids))
	n := len(ids)
	for _, part := range []struct {
		want  Want
		table string
	}{{WantStructure, tableStructure}, {WantHeader, tableHeader}} {
		if want&part.want == 0 {
			continue
		}
		values, err := readPieces(r, part.table, ids[:n])
		if err != nil {
			return nil, err
		}
		n = len(values)
		for i, b := range values {
			if b == nil {
				continue
			}
			if details[i] == nil {
				details[i] = &Detail{}
			}
			if part.want == WantHeader {
				details[i].Header = b
			} else if err := details[i].decode(b); err != nil {
				return nil, fmt.Errorf("body %d: %w", ids[i], err)
			}
		}
	}
	// A long header block has no row: that a message is there must not depend on it.
	for i := range n {
		if details[i] == nil && want&WantStructure == 0 {
			if _, err := r.Get(bodyKey(tableStructure, ids[i], 0)); err == nil {
				details[i] = &Detail{}
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		}
	}
	return details[:n], nil
}

// readPieces answers the rows of the first of ids, put together, nil where there is none. Messages that arrived one after
// another have neighbouring rows, which a scan reads some ten times faster than single reads.
func readPieces(r store.Reader, table string, ids []body.ID) (values [][]byte, err error) {
	octets := 0
	for i := 0; i < len(ids) && (i == 0 || octets < batchOctets); {
		run := ascending(ids[i:])
		if run < 4 {
			b, err := readOne(r, table, ids[i])
			if err != nil {
				return nil, err
			}
			values, octets, i = append(values, b), octets+len(b), i+1
			continue
		}
		got, size, err := readRun(r, table, ids[i:i+run], batchOctets-octets)
		if err != nil {
			return nil, err
		}
		values, octets, i = append(values, got...), octets+size, i+len(got)
	}
	return values, nil
}

// ascending answers how many of ids are ascending with small gaps only.
func ascending(ids []body.ID) int {
	n := 1
	for n < len(ids) && ids[n] > ids[n-1] && ids[n]-ids[n-1] <= dense {
		n++
	}
	return n
}

func readOne(r store.Reader, table string, id body.ID) ([]byte, error) {
	b, err := r.Get(bodyKey(table, id, 0))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, errRow
	}
	count, b := int(b[0]), b[1:]
	for i := range count {
		more, err := r.Get(bodyKey(table, id, byte(i+1)))
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("body %d: %w", id, errRow)
		}
		if err != nil {
			return nil, err
		}
		b = append(b, more...)
	}
	return b, nil
}

// readRun reads the rows of ids, which ascend, until they exceed limit; it answers those of the ids it came to, one at least.
func readRun(r store.Reader, table string, ids []body.ID, limit int) (values [][]byte, octets int, err error) {
	values = make([][]byte, 0, len(ids))
	for key, row := range r.Scan(bodyKey(table, ids[0], 0), bodyKey(table, ids[len(ids)-1]+1, 0)) {
		id := body.ID(binary.BigEndian.Uint64(key[len(key)-9:]))
		first := key[len(key)-1] == 0
		if first && len(row) == 0 {
			return nil, 0, fmt.Errorf("body %d: %w", id, errRow)
		}
		if first && octets >= limit && len(values) > 0 {
			return values, octets, nil
		}
		for len(values) < len(ids) && ids[len(values)] < id {
			values = append(values, nil) // expunged
		}
		switch {
		case first && len(values) < len(ids) && ids[len(values)] == id:
			values = append(values, slices.Clone(row[1:]))
			octets += len(row)
		case !first && len(values) > 0 && ids[len(values)-1] == id:
			values[len(values)-1] = append(values[len(values)-1], row...)
			octets += len(row)
		}
	}
	for len(values) < len(ids) {
		values = append(values, nil)
	}
	return values, octets, r.Err()
}

package directory

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/index"
	"balorg/store"
)

// The national directory in the state. An import writes a new generation beside the one that is served, and then, in one transaction, makes it the one: whatever
// happens before leaves the old one, and octets that the next import or start removes.
//
// Keys:
//
//	d/c                       → JSON of Import: the generation that is served
//	d/t                       → JSON of Turn: what the schedule of imports remembers
//	d/b/<generation><number>  → a block of records: both big-endian, of 8 and 4 octets
//
// A block is a number of records (package entry), each with its length before it as a varint, compressed.
const (
	keyCurrent  = store.PrefixDirectory + "c"
	keyTurn     = store.PrefixDirectory + "t"
	prefixBlock = store.PrefixDirectory + "b/"
)

// blockSize is how many octets of records a block has before it is compressed: far below a value's limit, since text never grows by it.
const blockSize = 128 << 10

// batchSize bounds what one transaction writes.
const batchSize = store.MaxTx / 4

// Import is what the state knows of the directory that is served.
type Import struct {
	Generation uint64    `json:"generation"`
	File       string    `json:"file"`     // its name, without folder
	Date       time.Time `json:"date"`     // when it was made, or fetched where the name does not tell
	Imported   time.Time `json:"imported"` // when it was taken
	Rows       int       `json:"rows"`     // that were right
	Bad        int       `json:"bad"`      // that were left out
	Warned     int       `json:"warned"`   // warnings about rows that were taken
	Entries    int       `json:"entries"`  // mailboxes they come to
	Blocks     int       `json:"blocks"`
	Source     string    `json:"source"` // the path or URL it came from
}

// Turn is what the schedule of imports remembers of the source it looks at.
type Turn struct {
	Source  string    `json:"source"`           // its path or URL: another one begins anew
	Version Version   `json:"version"`          // of the file that was taken last
	Looked  time.Time `json:"looked"`           // when it was last looked at, and all was well
	Failed  time.Time `json:"failed,omitzero"`  // since when it has not been
	Reason  string    `json:"reason,omitempty"` // why; empty while all is well
}

// Version is by what one file of a source is told from the next. A server's has what it says of it (RFC 9110, 8.8), one on disk its time and size.
type Version struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Size         int64  `json:"size,omitempty"`
	Name         string `json:"name,omitempty"`
}

// ErrDamaged is a directory in the state that cannot be read.
var ErrDamaged = errors.New("the national directory in the state is damaged")

func blockKey(generation uint64, n int) []byte {
	key := binary.BigEndian.AppendUint64([]byte(prefixBlock), generation)
	return binary.BigEndian.AppendUint32(key, uint32(n))
}

// Table keeps the national directory.
type Table struct{ st store.Store }

// NewTable answers the one kept in st.
func NewTable(st store.Store) *Table { return &Table{st} }

// Current answers what is served, or store.ErrNotFound.
func (t *Table) Current(ctx context.Context) (Import, error) {
	var i Import
	err := t.st.View(ctx, func(r store.Reader) error { return readCurrent(r, &i) })
	return i, err
}

func readCurrent(r store.Reader, i *Import) error { return readRow(r, keyCurrent, i) }

func readRow(r store.Reader, key string, into any) error {
	b, err := r.Get([]byte(key))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Turn answers what the schedule remembers; the zero value when it has never looked, or what it knew cannot be read.
func (t *Table) Turn(ctx context.Context) (Turn, error) {
	var turn Turn
	err := t.st.View(ctx, func(r store.Reader) error { return readRow(r, keyTurn, &turn) })
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrDamaged) {
		return Turn{}, nil
	}
	return turn, err
}

// SetTurn keeps what the schedule has found.
func (t *Table) SetTurn(ctx context.Context, turn Turn) error {
	row, err := json.Marshal(turn)
	if err != nil {
		return err
	}
	if err := t.st.Update(ctx, func(tx store.Writer) error { return tx.Set([]byte(keyTurn), row) }); err != nil {
		return fmt.Errorf("noting the import's turn: %w", err)
	}
	return nil
}

// replace writes the records of a builder and makes them the directory that is served. Its generation and number of blocks are set in i.
func (t *Table) replace(ctx context.Context, i *Import, b *index.Builder, progress func(done, of int)) error {
	var before Import
	if current, err := t.Current(ctx); err == nil {
		before = current
	} else if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err := t.sweep(ctx, before.Generation); err != nil {
		return err
	}
	i.Generation, i.Entries = before.Generation+1, b.Len()
	if err := t.writeBlocks(ctx, i, b, progress); err != nil {
		t.sweep(ctx, before.Generation) //nolint:errcheck // the next import does it
		return err
	}
	row, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if err := t.st.Update(ctx, func(tx store.Writer) error { return tx.Set([]byte(keyCurrent), row) }); err != nil {
		return fmt.Errorf("making the import the directory: %w", err)
	}
	if err := t.sweep(ctx, i.Generation); err != nil {
		return fmt.Errorf("removing the former directory: %w", err)
	}
	return nil
}

// writeBlocks writes the blocks of a generation, several to a transaction.
func (t *Table) writeBlocks(ctx context.Context, i *Import, b *index.Builder, progress func(done, of int)) error {
	var (
		block   []byte
		pending [][]byte
		size    int
		press   compressor
	)
	write := func() error {
		err := t.st.Update(ctx, func(tx store.Writer) error {
			for n, value := range pending {
				if err := tx.Set(blockKey(i.Generation, i.Blocks+n), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("writing the directory: %w", err)
		}
		i.Blocks += len(pending)
		pending, size = pending[:0], 0
		return ctx.Err()
	}
	pack := func() error {
		packed, err := press.pack(block)
		if err != nil {
			return err
		}
		pending, block = append(pending, packed), block[:0]
		if size += len(packed); size >= batchSize {
			return write()
		}
		return nil
	}
	for n := range b.Len() {
		record := b.Record(n)
		block = append(binary.AppendUvarint(block, uint64(len(record))), record...)
		if len(block) >= blockSize {
			if err := pack(); err != nil {
				return err
			}
			progress(n, b.Len())
		}
	}
	if len(block) > 0 {
		if err := pack(); err != nil {
			return err
		}
	}
	return write()
}

// sweep removes the blocks of all generations but one.
func (t *Table) sweep(ctx context.Context, keep uint64) error {
	for {
		n := 0
		err := t.st.Reclaim(ctx, func(tx store.Writer) error {
			n = 0
			var old [][]byte
			prefix := []byte(prefixBlock)
			for key := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
				if generation, _, ok := parseBlockKey(key); !ok || generation != keep {
					old = append(old, bytes.Clone(key))
				}
				if len(old) == 1000 {
					break
				}
			}
			n = len(old)
			for _, key := range old {
				if err := tx.Delete(key); err != nil {
					return err
				}
			}
			return tx.Err()
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

func parseBlockKey(key []byte) (generation uint64, n int, ok bool) {
	rest, ok := bytes.CutPrefix(key, []byte(prefixBlock))
	if !ok || len(rest) != 12 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(rest), int(binary.BigEndian.Uint32(rest[8:])), true
}

// read calls fn with each record of the directory that is served.
func (t *Table) read(ctx context.Context, i Import, fn func(record []byte) error) error {
	return t.st.View(ctx, func(r store.Reader) error { return readRecords(ctx, r, i, fn) })
}

func readRecords(ctx context.Context, r store.Reader, i Import, fn func(record []byte) error) error {
	blocks, records := 0, 0
	var plain bytes.Buffer
	from := blockKey(i.Generation, 0)
	for key, value := range r.Scan(from, blockKey(i.Generation+1, 0)) {
		if _, n, ok := parseBlockKey(key); !ok || n != blocks {
			return ErrDamaged
		}
		blocks++
		plain.Reset()
		if _, err := io.Copy(&plain, io.LimitReader(flate.NewReader(bytes.NewReader(value)), 16<<20)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		n, err := eachRecord(plain.Bytes(), fn)
		if err != nil {
			return err
		}
		records += n
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if blocks != i.Blocks || records != i.Entries {
		return fmt.Errorf("%w: it has %d entries in %d blocks, and should have %d in %d", ErrDamaged, records, blocks, i.Entries, i.Blocks)
	}
	return nil
}

func eachRecord(block []byte, fn func([]byte) error) (n int, err error) {
	for len(block) > 0 {
		length, size := binary.Uvarint(block)
		if size <= 0 || length > uint64(len(block)-size) {
			return n, ErrDamaged
		}
		record := block[size : size+int(length)]
		if err := fn(record); err != nil {
			return n, err
		}
		block = block[size+int(length):]
		n++
	}
	return n, nil
}

// compressor packs blocks: fast, since an import waits for it, and in memory that is used again, of which it needs ten times a block's.
type compressor struct {
	w      *flate.Writer
	packed bytes.Buffer
}

func (c *compressor) pack(block []byte) ([]byte, error) {
	c.packed.Reset()
	if c.w == nil {
		w, err := flate.NewWriter(&c.packed, flate.BestSpeed)
		if err != nil {
			return nil, err
		}
		c.w = w
	} else {
		c.w.Reset(&c.packed)
	}
	if _, err := c.w.Write(block); err != nil {
		return nil, err
	}
	if err := c.w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(c.packed.Bytes()), nil
}

// Check implements store.Checker: the directory that is served is whole. Blocks of an import that was cut off are none of it.
func (t *Table) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	var i Import
	err := readCurrent(r, &i)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil:
		err = readRecords(ctx, r, i, func(record []byte) error {
			if _, err := entry.ParseRecord(record); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			return nil
		})
	}
	if errors.Is(err, ErrDamaged) {
		report(err.Error())
		return nil
	}
	return err
}

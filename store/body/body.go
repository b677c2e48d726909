// Package body keeps message bodies, each once: mailboxes, and whatever else holds a message, refer to a body by its id, and
// the last reference that goes takes the body with it.
//
// A body of up to InlineLimit octets is a value of the store, but for those that come when very many do at a time. A larger one is a file, written and synced under its final
// name before the transaction that refers to it, so that a row never names a file that is not there; files no row
// names (a crash came between) are removed by Sweep.
//
// Keys, below store.PrefixBody; numbers are big-endian:
//
//	b/n            the next id, 8 octets
//	b/r/<id 8>     row: references 4, size 8, CRC-32C 4, then the file's name, empty when inline
//	b/v/<id 8>     the octets of an inline body (store.PrefixLarge)
//
// Files: <dir>/<first two digits>/<32 hexadecimal digits>, and <dir>/tmp/<the same> while they are written.
package body

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"balorg/store"
)

// ID names a body. Ids grow, so that bodies near in time are near on disk.
type ID uint64

// InlineLimit is the size, in octets, up to which a body is kept as a value of the store, which is written twice, to its journal and to a segment, and
// synced once. A file costs a sync more, and the file system's work for its name: with ten writers it is as fast at 100 KB, and half as fast at
// 50 KB (BenchmarkPut); with one, submission as a whole is a fifth faster without it.
const InlineLimit = 128 << 10

// A body is gathered in memory until it is known whether it is inline. One above smallLimit needs one of the buffers for that, of which there are
// so many: where all of them are taken it becomes a file as larger ones do.
const (
	smallLimit = 16 << 10
	maxLent    = 128 // 16 MiB
	maxSpare   = 16
)

// Options of Bodies. The zero value works.
type Options struct {
	// Room answers store.ErrFull when n more octets do not fit on the disk of the files. nil: the store's own guard when it
	// has one (a method Room), else there is none.
	Room func(n int64) error
}

// Bodies is the table of bodies and the folder of their files. Its methods may be used by many goroutines.
type Bodies struct {
	st   store.Store
	dir  string
	room func(n int64) error

	mu      sync.Mutex
	pending map[string]struct{} // names of files no row may name yet: Sweep leaves them alone
	lent    int                 // buffers in use
	spare   [][]byte            // buffers that were
	checks  int                 // Checkers at work
	moved   map[string]struct{} // names of files that came or went while some Checker was at work
	keepers int                 // those who want files to stay
	kept    []string            // names of files that stay for them alone
}

// New answers the bodies of st, whose files are under dir, made when it is not there. It reads nothing else: call Sweep
// once at start.
func New(st store.Store, dir string, opt Options) (*Bodies, error) {
	if dir == "" {
		return nil, errors.New("bodies need a folder for their files")
	}
	if opt.Room == nil {
		opt.Room = func(int64) error { return nil }
		if guard, ok := st.(interface{ Room(n int64) error }); ok {
			opt.Room = guard.Room
		}
	}
	if err := makeFolders(dir); err != nil {
		return nil, fmt.Errorf("make the folders of bodies: %w", err)
	}
	return &Bodies{st: st, dir: dir, room: opt.Room, pending: make(map[string]struct{})}, nil
}

// row is what the store knows of a body.
type row struct {
	refs uint32
	size int64
	sum  uint32
	file string // empty: inline
}

const rowHeader = 4 + 8 + 4

func (r row) encode() []byte {
	b := make([]byte, 0, rowHeader+len(r.file))
	b = binary.BigEndian.AppendUint32(b, r.refs)
	b = binary.BigEndian.AppendUint64(b, uint64(r.size))
	b = binary.BigEndian.AppendUint32(b, r.sum)
	return append(b, r.file...)
}

func decodeRow(b []byte) (row, error) {
	if len(b) < rowHeader {
		return row{}, fmt.Errorf("row of %d octets is too short", len(b))
	}
	r := row{
		refs: binary.BigEndian.Uint32(b),
		size: int64(binary.BigEndian.Uint64(b[4:])),
		sum:  binary.BigEndian.Uint32(b[12:]),
		file: string(b[rowHeader:]),
	}
	if r.file != "" && !validName(r.file) {
		return row{}, errors.New("row names no file of ours")
	}
	return r, nil
}

func key(kind string, id ID) []byte {
	return binary.BigEndian.AppendUint64([]byte(store.PrefixBody+kind), uint64(id))
}

// Size answers how many octets a body has.
func Size(r store.Reader, id ID) (int64, error) {
	got, err := readRow(r, id)
	return got.size, err
}

// Kept tells whether a body is there.
func Kept(r store.Reader, id ID) (bool, error) {
	_, err := r.Get(rowKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func rowKey(id ID) []byte { return key("r/", id) }
func valueKey(id ID) []byte {
	return binary.BigEndian.AppendUint64([]byte(store.PrefixLarge), uint64(id))
}
func nextKey() []byte { return []byte(store.PrefixBody + "n") }

func readRow(r store.Reader, id ID) (row, error) {
	b, err := r.Get(rowKey(id))
	if err != nil {
		return row{}, fmt.Errorf("body %d: %w", id, err)
	}
	got, err := decodeRow(b)
	if err != nil {
		return row{}, fmt.Errorf("body %d: %w", id, err)
	}
	return got, nil
}

// nextID takes the next id.
func nextID(tx store.Writer) (ID, error) {
	id := ID(1)
	b, err := tx.Get(nextKey())
	switch {
	case err == nil && len(b) == 8:
		id = ID(binary.BigEndian.Uint64(b))
	case err == nil:
		return 0, fmt.Errorf("next id of bodies has %d octets", len(b))
	case !errors.Is(err, store.ErrNotFound):
		return 0, fmt.Errorf("next id of bodies: %w", err)
	}
	return id, tx.Set(nextKey(), binary.BigEndian.AppendUint64(nil, uint64(id)+1))
}

// Ref adds a reference to a body.
func (b *Bodies) Ref(tx store.Writer, id ID) error {
	r, err := readRow(tx, id)
	if err != nil {
		return err
	}
	r.refs++
	return tx.Set(rowKey(id), r.encode())
}

// Unref takes a reference away and tells whether it was the last: then the body is gone with the transaction. Those who
// have it open read on.
func (b *Bodies) Unref(tx store.Writer, id ID) (gone bool, err error) {
	r, err := readRow(tx, id)
	if err != nil {
		return false, err
	}
	if r.refs > 1 {
		r.refs--
		return false, tx.Set(rowKey(id), r.encode())
	}
	if err := tx.Delete(rowKey(id)); err != nil {
		return false, err
	}
	if r.file == "" {
		return true, tx.Delete(valueKey(id))
	}
	tx.AfterCommit(func() { b.drop(r.file) })
	return true, nil
}

// Open answers a reader of a body, or store.ErrNotFound. The body stays readable until Close whatever happens to its
// references.
func (b *Bodies) Open(ctx context.Context, id ID) (*Reader, error) {
	var r row
	var value *store.Value
	err := b.st.View(ctx, func(view store.Reader) (err error) {
		if r, err = readRow(view, id); err != nil || r.file != "" {
			return err
		}
		value, err = view.Open(valueKey(id))
		if errors.Is(err, store.ErrNotFound) { // damage, which must not look like a body that was let go
			return fmt.Errorf("body %d has a row and no value", id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.file == "" {
		return value, nil
	}
	f, err := os.Open(b.path(r.file))
	if errors.Is(err, os.ErrNotExist) && b.gone(ctx, id) {
		return nil, fmt.Errorf("body %d: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open body %d: %w", id, err)
	}
	return store.NewFileValue(f, 0, r.size), nil
}

// gone tells whether the body lost its last reference since its row was read.
func (b *Bodies) gone(ctx context.Context, id ID) bool {
	err := b.st.View(ctx, func(view store.Reader) error {
		_, err := readRow(view, id)
		return err
	})
	return errors.Is(err, store.ErrNotFound)
}

// castagnoli is made on each use: crc32 keeps the one table it is made from.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// idOf reads the id at the end of a key of a row or value.
func idOf(k []byte) (ID, error) {
	const start = len(store.PrefixBody) + len("r/")
	if len(k) != start+8 {
		return 0, fmt.Errorf("key of a body has %d octets", len(k))
	}
	return ID(binary.BigEndian.Uint64(k[start:])), nil
}

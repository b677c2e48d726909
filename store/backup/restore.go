package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"balorg/store"
	"balorg/store/body"
)

// Restore makes an empty state what a stream holds, and looks at the end whether it was whole. What it has written when it answers an error is
// good for nothing.
func Restore(ctx context.Context, st store.Store, bodies *body.Bodies, r io.Reader) (Summary, error) {
	in := &reader{st: st, bodies: bodies, r: bufio.NewReaderSize(r, frameHeader+maxFrame), sum: sha256.New()}
	head := make([]byte, len(title))
	if _, err := io.ReadFull(in.r, head); err != nil || string(head) != title {
		return Summary{}, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	defer in.closeFile() //nolint:errcheck // open still when something went wrong, which is told
	for {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		whole, err := in.frame(ctx)
		if err != nil {
			return Summary{}, err
		}
		if whole {
			return in.done, nil
		}
	}
}

type reader struct {
	st     store.Store
	bodies *body.Bodies
	r      *bufio.Reader
	sum    hash.Hash
	block  []byte
	file   *body.Incoming
	done   Summary
}

// frame takes one frame, and tells whether it was the last.
func (in *reader) frame(ctx context.Context) (whole bool, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(in.r, head[:]); err != nil {
		return false, fmt.Errorf("%w: it ends in the middle: %w", ErrDamaged, err)
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxFrame {
		return false, fmt.Errorf("%w: a frame of %d octets", ErrDamaged, length)
	}
	in.block = append(in.block[:0], make([]byte, length)...)
	if _, err := io.ReadFull(in.r, in.block); err != nil {
		return false, fmt.Errorf("%w: it ends in the middle: %w", ErrDamaged, err)
	}
	if head[0] == frameEnd {
		return true, in.end()
	}
	in.sum.Write(head[:])  // never fails (hash.Hash)
	in.sum.Write(in.block) // as above
	switch head[0] {
	case frameRows:
		return false, in.rows(ctx)
	case frameFile:
		return false, in.begin()
	case frameData:
		if in.file == nil {
			return false, fmt.Errorf("%w: octets of no file", ErrDamaged)
		}
		in.done.Octets += uint64(length)
		_, err := in.file.Write(in.block)
		return false, err
	}
	return false, fmt.Errorf("%w: a frame of kind %q", ErrDamaged, head[0])
}

// batchSize keeps a transaction below store.MaxTx, which counts what keys cost, too.
const batchSize = store.MaxTx / 2

// rows writes a frame of rows.
func (in *reader) rows(ctx context.Context) error {
	if err := in.closeFile(); err != nil {
		return err
	}
	for rest := in.block; len(rest) > 0; {
		var after []byte
		err := in.st.Update(ctx, func(tx store.Writer) (err error) {
			after, err = batch(tx, rest)
			return err
		})
		if err != nil {
			return err
		}
		n, octets := count(rest[:len(rest)-len(after)])
		in.done.Rows += n
		in.done.Octets += octets
		rest = after
	}
	return nil
}

// batch writes rows until a transaction is full, and answers those that are left.
func batch(tx store.Writer, rows []byte) (rest []byte, err error) {
	for cost := 0; len(rows) > 0 && cost < batchSize; {
		k, v, after, ok := pair(rows)
		if !ok {
			return nil, fmt.Errorf("%w: a row ends in the middle", ErrDamaged)
		}
		if err := tx.Set(k, v); err != nil {
			return nil, err
		}
		cost += len(k) + len(v) + store.EntryCost
		rows = after
	}
	return rows, nil
}

// count counts rows that have been looked at.
func count(rows []byte) (n, octets uint64) {
	for len(rows) > 0 {
		_, v, after, _ := pair(rows)
		n++
		octets += uint64(len(v))
		rows = after
	}
	return n, octets
}

func pair(b []byte) (k, v, rest []byte, ok bool) {
	if k, b, ok = sized(b); !ok || len(k) == 0 {
		return nil, nil, nil, false
	}
	v, rest, ok = sized(b)
	return k, v, rest, ok
}

func sized(b []byte) (content, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}

func (in *reader) begin() (err error) {
	if err := in.closeFile(); err != nil {
		return err
	}
	in.done.Files++
	if in.file, err = in.bodies.Take(string(in.block)); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func (in *reader) closeFile() error {
	if in.file == nil {
		return nil
	}
	f := in.file
	in.file = nil
	return f.Close()
}

func (in *reader) end() error {
	if err := in.closeFile(); err != nil {
		return err
	}
	if !bytes.Equal(in.block, in.done.encode(in.sum.Sum(nil))) {
		return fmt.Errorf("%w: its sum is another", ErrDamaged)
	}
	if _, err := in.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	return nil
}

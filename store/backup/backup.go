// Package backup writes one moment of a state to a stream, while the state is in use, and makes a state of such a stream.
//
// A stream is the line "balorg backup 1\n" and then frames: one octet for the kind, four for the length, and so many octets. Numbers are
// big-endian.
//
//	r  rows: for each the length of its key (uvarint), the key, the length of its value (uvarint), the value
//	f  a file of a body begins: its name
//	d  the next octets of that file
//	e  the end: rows (8), files (8), octets of values and files (8), SHA-256 of all frames before it (32)
//
// A stream without its end is not one, so that what was cut off is never taken for the whole.
package backup

import (
	"bufio"
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

const (
	title     = "balorg backup 1\n"
	frameRows = 'r'
	frameFile = 'f'
	frameData = 'd'
	frameEnd  = 'e'

	frameHeader = 1 + 4
	endLength   = 3*8 + sha256.Size
	// blockSize is how many octets of rows or of a file are gathered into one frame.
	blockSize = 256 << 10
	// maxFrame bounds what is read into memory of a stream that somebody may have made up.
	maxFrame = blockSize + store.MaxKey + store.MaxValue + 2*binary.MaxVarintLen64
)

// ErrDamaged is what Restore answers of a stream that is no backup, or not a whole one.
var ErrDamaged = errors.New("not a whole backup")

// Summary is what a backup holds.
type Summary struct {
	Rows   uint64
	Files  uint64 // large messages
	Octets uint64 // of values and files
}

// Write writes the state at one moment: all rows of st, and the files of bodies that they name. Readers and writers go on meanwhile; what is
// deleted takes up room until it ends.
func Write(ctx context.Context, st store.Store, bodies *body.Bodies, w io.Writer) (Summary, error) {
	release := bodies.Keep() // before the view: no file that it names may go
	defer release()
	out := &writer{w: bufio.NewWriterSize(w, frameHeader+maxFrame), sum: sha256.New()}
	if _, err := out.w.WriteString(title); err != nil {
		return Summary{}, err
	}
	err := st.View(ctx, func(r store.Reader) error {
		if err := out.rows(ctx, r); err != nil {
			return err
		}
		return bodies.Files(ctx, r, func(name string, content io.Reader) error { return out.file(ctx, name, content) })
	})
	if err != nil {
		return Summary{}, fmt.Errorf("write a backup: %w", err)
	}
	return out.done, out.end()
}

type writer struct {
	w     *bufio.Writer
	sum   hash.Hash
	block []byte
	done  Summary
}

func (o *writer) frame(kind byte, content []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content)))
	for _, b := range [][]byte{head, content} {
		o.sum.Write(b) // never fails (hash.Hash)
		if _, err := o.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (o *writer) rows(ctx context.Context, r store.Reader) error {
	o.block = make([]byte, 0, maxFrame)
	for k, v := range r.Scan(nil, nil) {
		o.block = append(binary.AppendUvarint(o.block, uint64(len(k))), k...)
		o.block = append(binary.AppendUvarint(o.block, uint64(len(v))), v...)
		o.done.Rows++
		o.done.Octets += uint64(len(v))
		if len(o.block) < blockSize {
			continue
		}
		if err := errors.Join(ctx.Err(), o.frame(frameRows, o.block)); err != nil {
			return err
		}
		o.block = o.block[:0]
	}
	if err := r.Err(); err != nil || len(o.block) == 0 {
		return err
	}
	return o.frame(frameRows, o.block)
}

func (o *writer) file(ctx context.Context, name string, content io.Reader) error {
	if err := o.frame(frameFile, []byte(name)); err != nil {
		return err
	}
	o.done.Files++
	for {
		n, err := io.ReadFull(content, o.block[:blockSize])
		if n > 0 {
			o.done.Octets += uint64(n)
			if err := errors.Join(ctx.Err(), o.frame(frameData, o.block[:n])); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (o *writer) end() error {
	if err := o.frame(frameEnd, o.done.encode(o.sum.Sum(nil))); err != nil {
		return err
	}
	return o.w.Flush()
}

func (s Summary) encode(sum []byte) []byte {
	b := make([]byte, 0, endLength)
	for _, n := range []uint64{s.Rows, s.Files, s.Octets} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, sum...)
}

package body

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"balorg/store"
)

// Referrer is a table that refers to bodies: it calls fn for each reference it holds.
type Referrer interface {
	Bodies(ctx context.Context, r store.Reader, fn func(ID)) error
}

// Checker verifies that each row has its octets, each file its row, and, when Referrers holds every table that refers to
// bodies, that the counts are their sums. It is a store.Checker. Files that come and go while it looks are no problem.
type Checker struct {
	Bodies    *Bodies
	Referrers []Referrer
	Contents  bool // read all octets and compare their checksums
	// Damaged, when it is there, is told of each body whose octets are lost or not what they were.
	Damaged func(ID)
}

func (c Checker) damaged(id ID) {
	if c.Damaged != nil {
		c.Damaged(id)
	}
}

// Prepare implements store.Preparer: from now on it is noted which files come and go, for the view knows nothing of it.
func (c Checker) Prepare() (done func()) {
	b := c.Bodies
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.checks++; b.checks == 1 {
		b.moved = make(map[string]struct{})
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.checks--; b.checks == 0 {
			b.moved = nil
		}
	}
}

// noteMoved says that a file goes, before it does.
func (b *Bodies) noteMoved(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.checks > 0 {
		b.moved[name] = struct{}{}
	}
}

// hasMoved tells whether a file came or went since a Checker at work was prepared.
func (b *Bodies) hasMoved(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.moved[name]
	return ok
}

// Check implements store.Checker.
func (c Checker) Check(ctx context.Context, r store.Reader, report func(problem string)) error {
	files, err := c.Bodies.files()
	if err != nil {
		return fmt.Errorf("list the files of bodies: %w", err)
	}
	unnamed := make(map[string]found, len(files))
	for _, f := range files {
		if !c.Bodies.held(f.name) && !c.Bodies.hasMoved(f.name) {
			unnamed[f.name] = f
		}
	}
	refs := make(map[ID]uint32)
	for _, t := range c.Referrers {
		if err := t.Bodies(ctx, r, func(id ID) { refs[id]++ }); err != nil {
			return fmt.Errorf("references of %T: %w", t, err)
		}
	}
	var last ID
	err = rows(ctx, r, func(id ID, got row) error {
		last = id
		c.checkRow(r, id, got, unnamed, func(problem string) {
			c.damaged(id)
			report(problem)
		})
		if got.refs == 0 {
			report(fmt.Sprintf("body %d: no references", id))
		}
		if len(c.Referrers) > 0 && refs[id] != got.refs {
			report(fmt.Sprintf("body %d: counts %d references, has %d", id, got.refs, refs[id]))
		}
		delete(refs, id)
		return nil
	}, func(problem error) error {
		report(problem.Error())
		return nil
	})
	if err != nil {
		return err
	}
	for id := range refs {
		c.damaged(id)
		report(fmt.Sprintf("body %d: is referred to and has no row", id))
	}
	for _, f := range unnamed {
		report("body file " + f.name + ": no row names it")
	}
	return checkKeys(r, last, report)
}

// checkRow looks for the octets of one body and takes its file out of unnamed.
func (c Checker) checkRow(r store.Reader, id ID, got row, unnamed map[string]found, report func(string)) {
	var size int64
	var content io.Reader
	if got.file == "" {
		value, err := r.Get(valueKey(id))
		if errors.Is(err, store.ErrNotFound) {
			report(fmt.Sprintf("body %d: no value", id))
			return
		}
		if err != nil {
			report(fmt.Sprintf("body %d: its value cannot be read: %v", id, err))
			return
		}
		size, content = int64(len(value)), bytes.NewReader(value)
	} else {
		if f, ok := unnamed[got.file]; ok && !f.temp {
			delete(unnamed, got.file)
		}
		f, err := os.Open(c.Bodies.path(got.file))
		if errors.Is(err, fs.ErrNotExist) && c.Bodies.hasMoved(got.file) {
			return // the body has been let go meanwhile
		}
		if err != nil {
			report(fmt.Sprintf("body %d: its file cannot be opened: %v", id, errors.Unwrap(err)))
			return
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			report(fmt.Sprintf("body %d: its file cannot be read: %v", id, err))
			return
		}
		size, content = info.Size(), f
	}
	if size != got.size {
		report(fmt.Sprintf("body %d: has %d octets instead of %d", id, size, got.size))
		return
	}
	if c.Contents {
		checkSum(id, got, content, report)
	}
}

func checkSum(id ID, got row, content io.Reader, report func(string)) {
	sum := crc32.New(castagnoli())
	if _, err := io.Copy(sum, content); err != nil {
		report(fmt.Sprintf("body %d: cannot be read: %v", id, err))
	} else if sum.Sum32() != got.sum {
		report(fmt.Sprintf("body %d: its octets have changed", id))
	}
}

// checkKeys looks for values without row, and for ids that would be given twice.
func checkKeys(r store.Reader, last ID, report func(string)) error {
	prefix := []byte(store.PrefixLarge)
	for k := range r.Keys(prefix, store.PrefixEnd(prefix)) {
		id, err := idOf(k)
		if err != nil {
			report(err.Error())
			continue
		}
		if got, err := readRow(r, id); err != nil || got.file != "" {
			report(fmt.Sprintf("body %d: value without a row that needs it", id))
		}
	}
	next, err := r.Get(nextKey())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if last > 0 && (len(next) != 8 || ID(binary.BigEndian.Uint64(next)) <= last) {
		report(fmt.Sprintf("bodies: the next id is not above the last, %d", last))
	}
	return r.Err()
}

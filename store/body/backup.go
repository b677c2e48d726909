package body

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"balorg/store"
)

// Keep keeps the files of bodies that are let go until release is called: whoever reads them in a view of before finds them.
func (b *Bodies) Keep() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keepers++
	return func() {
		b.mu.Lock()
		var names []string
		if b.keepers--; b.keepers == 0 {
			names, b.kept = b.kept, nil
		}
		b.mu.Unlock()
		for _, name := range names {
			b.remove(name)
		}
	}
}

// drop removes a file that no row names any more, or leaves that to the last of the keepers.
func (b *Bodies) drop(name string) {
	b.mu.Lock()
	if b.keepers > 0 {
		b.kept = append(b.kept, name)
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	b.remove(name)
}

// remove removes a file. One that cannot be removed now is an orphan, and the next Sweep's.
func (b *Bodies) remove(name string) {
	b.noteMoved(name)
	_ = os.Remove(b.path(name))
}

// Files calls fn with each file that the rows of a view name. The caller keeps them (Keep), since before the view.
func (b *Bodies) Files(ctx context.Context, r store.Reader, fn func(name string, content io.Reader) error) error {
	return rows(ctx, r, func(id ID, got row) error {
		if got.file == "" {
			return nil
		}
		f, err := os.Open(b.path(got.file))
		if err != nil {
			return fmt.Errorf("body %d: %w", id, err)
		}
		defer f.Close() //nolint:errcheck // read only
		return fn(got.file, f)
	}, func(problem error) error { return problem })
}

// Incoming is a file that comes from elsewhere under the name it has there.
type Incoming struct {
	b    *Bodies
	name string
	f    *os.File
}

// Take makes a file of that name, which no body has yet.
func (b *Bodies) Take(name string) (*Incoming, error) {
	if !validName(name) {
		return nil, errors.New("no name of a body's file")
	}
	f, err := os.OpenFile(b.temp(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take a file: %w", err)
	}
	return &Incoming{b, name, f}, nil
}

// Write adds octets.
func (i *Incoming) Write(p []byte) (int, error) {
	if err := i.b.room(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := i.f.Write(p)
	return n, noRoom(err)
}

// Close makes the file durable in its place.
func (i *Incoming) Close() error {
	if err := errors.Join(i.b.place(i.name, i.f), i.f.Close()); err != nil {
		return fmt.Errorf("keep a file: %w", noRoom(err))
	}
	return nil
}

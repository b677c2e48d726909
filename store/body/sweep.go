package body

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"balorg/store"
)

// found is a file in the folder of bodies.
type found struct {
	name string
	path string
	temp bool
	size int64
}

// Sweep removes the files no row names and answers how many: what a crash left between a file and its row. It may run
// while bodies are written. A row that cannot be read is an error, and nothing is removed then.
func (b *Bodies) Sweep(ctx context.Context) (int, error) {
	// The order matters: a file seen here that is pending no more when held is asked had its row committed before, so
	// the rows read last have it.
	files, err := b.files()
	if err != nil {
		return 0, fmt.Errorf("sweep bodies: %w", err)
	}
	orphans := make(map[string]found)
	for _, f := range files {
		if !b.held(f.name) {
			orphans[f.name] = f
		}
	}
	if err := b.st.View(ctx, func(r store.Reader) error { return dropNamed(ctx, r, orphans) }); err != nil {
		return 0, fmt.Errorf("sweep bodies: %w", err)
	}
	for _, f := range orphans {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("sweep bodies: %w", err)
		}
	}
	return len(orphans), nil
}

// dropNamed takes the files a row names out of orphans. A file under its temporary name is never named.
func dropNamed(ctx context.Context, r store.Reader, orphans map[string]found) error {
	return rows(ctx, r, func(_ ID, got row) error {
		if f, ok := orphans[got.file]; ok && !f.temp {
			delete(orphans, got.file)
		}
		return nil
	}, func(problem error) error { return problem }) // what a damaged row names cannot be told from an orphan
}

// rows calls fn for each row, and damaged for those that cannot be read.
func rows(ctx context.Context, r store.Reader, fn func(ID, row) error, damaged func(error) error) error {
	prefix := []byte(store.PrefixBody + "r/")
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, err := idOf(k)
		var got row
		if err == nil {
			if got, err = decodeRow(v); err != nil {
				err = fmt.Errorf("body %d: %w", id, err)
			}
		}
		if err != nil {
			err = damaged(err)
		} else {
			err = fn(id, got)
		}
		if err != nil {
			return err
		}
	}
	return r.Err()
}

// files lists the files of bodies, finished and temporary.
func (b *Bodies) files() ([]found, error) {
	var all []found
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || d.IsDir() || !validName(d.Name()) {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		temp := filepath.Base(filepath.Dir(path)) == tempFolder
		all = append(all, found{name: d.Name(), path: path, temp: temp, size: info.Size()})
		return nil
	})
	return all, err
}

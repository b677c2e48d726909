package body_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"balorg/store"
	"balorg/store/body"
)

// BenchmarkPut stores bodies durably with ten writers at a time, on the disk of $TMPDIR: give it one that is no tmpfs.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 20 << 10, 50 << 10, 100 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkPut(b, size) })
	}
}

func benchmarkPut(b *testing.B, size int) {
	b.Helper()
	dir := b.TempDir()
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	bodies, err := body.New(st, filepath.Join(dir, "bodies"), body.Options{})
	if err != nil {
		b.Fatal(err)
	}
	content := octets(size)
	b.SetBytes(int64(size))
	b.SetParallelism(5) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := putOne(b.Context(), st, bodies, content); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func putOne(ctx context.Context, st store.Store, bodies *body.Bodies, content []byte) error {
	p, err := bodies.Create(ctx)
	if err != nil {
		return err
	}
	defer p.Discard()
	if _, err := p.Write(content); err != nil {
		return err
	}
	if err := p.Finish(); err != nil {
		return err
	}
	return st.Update(ctx, func(tx store.Writer) error {
		_, err := p.Put(tx)
		return err
	})
}

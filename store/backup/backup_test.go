package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"balorg/store"
	"balorg/store/body"
)

// place is a state with bodies.
type place struct {
	db     *store.DB
	bodies *body.Bodies
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(store.Options{Dir: dir, MinFree: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	bodies, err := body.New(db, filepath.Join(dir, "bodies"), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return place{db, bodies}
}

// content is n octets that compress badly and are the same for the same n.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	r.Read(b) // never fails (rand.ChaCha8)
	return b
}

func (p place) put(t *testing.T, n int) body.ID {
	t.Helper()
	pending, err := p.bodies.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Discard()
	if _, err := pending.Write(content(n)); err != nil {
		t.Fatal(err)
	}
	if err := pending.Finish(); err != nil {
		t.Fatal(err)
	}
	var id body.ID
	err = p.db.Update(t.Context(), func(tx store.Writer) (err error) {
		id, err = pending.Put(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (p place) read(ctx context.Context, id body.ID) ([]byte, error) {
	r, err := p.bodies.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// rows are all of a state.
func (p place) rows(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := p.db.View(t.Context(), func(r store.Reader) error {
		for k, v := range r.Scan(nil, nil) {
			all[string(k)] = string(v)
		}
		return r.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// filled is a state with rows and bodies of all sizes.
func filled(t *testing.T) (p place, sizes map[body.ID]int) {
	t.Helper()
	p, sizes = newPlace(t), map[body.ID]int{}
	for _, n := range []int{0, 1, 900, 5_000, body.InlineLimit, body.InlineLimit + 1, 3 * blockSize, 3*blockSize + 1} {
		sizes[p.put(t, n)] = n
	}
	err := p.db.Update(t.Context(), func(tx store.Writer) error {
		for i := range 3000 {
			if err := tx.Set(fmt.Appendf(nil, "u/%d", i), content(i%700)); err != nil {
				return err
			}
		}
		return tx.Set([]byte("u/large"), content(store.MaxValue))
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, sizes
}

func TestRoundTrip(t *testing.T) {
	from, sizes := filled(t)
	var stream bytes.Buffer
	wrote, err := Write(t.Context(), from.db, from.bodies, &stream)
	if err != nil {
		t.Fatal(err)
	}
	to := newPlace(t)
	read, err := Restore(t.Context(), to.db, to.bodies, &stream)
	if err != nil || read != wrote || read.Files != 3 {
		t.Fatalf("restored %+v of %+v: %v", read, wrote, err)
	}
	want, got := from.rows(t), to.rows(t)
	if uint64(len(want)) != wrote.Rows || len(got) != len(want) {
		t.Errorf("%d rows of %d, and %d are told", len(got), len(want), wrote.Rows)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("row %q is another", k)
		}
	}
	for id, n := range sizes {
		if b, err := to.read(t.Context(), id); err != nil || !bytes.Equal(b, content(n)) {
			t.Errorf("the body of %d octets is another: %v", n, err)
		}
	}
	if problems, err := store.Check(t.Context(), to.db, body.Checker{Bodies: to.bodies, Contents: true}); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
}

// busy calls fn once, in the middle of what is written to it.
type busy struct {
	bytes.Buffer
	fn func()
}

func (b *busy) Write(p []byte) (int, error) {
	if fn := b.fn; fn != nil {
		b.fn = nil
		fn()
	}
	return b.Buffer.Write(p)
}

// TestMoment: what is written and deleted meanwhile is not in a backup, and is as it was.
func TestMoment(t *testing.T) {
	from, sizes := filled(t)
	want := from.rows(t)
	var name body.ID
	stream := &busy{fn: func() {
		for id, n := range sizes {
			if n <= body.InlineLimit && n != 900 {
				continue
			}
			err := from.db.Update(t.Context(), func(tx store.Writer) error {
				_, err := from.bodies.Unref(tx, id)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			name = id
		}
		from.put(t, 2*blockSize)
	}}
	if _, err := Write(t.Context(), from.db, from.bodies, stream); err != nil {
		t.Fatal(err)
	}
	if _, err := from.read(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was deleted meanwhile: %v", err)
	}
	if problems, err := store.Check(t.Context(), from.db, body.Checker{Bodies: from.bodies}); err != nil || len(problems) > 0 {
		t.Errorf("files stay: %q, %v", problems, err)
	}
	to := newPlace(t)
	if _, err := Restore(t.Context(), to.db, to.bodies, stream); err != nil {
		t.Fatal(err)
	}
	if got := to.rows(t); len(got) != len(want) {
		t.Errorf("%d rows of %d", len(got), len(want))
	}
	for id, n := range sizes {
		if b, err := to.read(t.Context(), id); err != nil || !bytes.Equal(b, content(n)) {
			t.Errorf("the body of %d octets: %v", n, err)
		}
	}
}

func TestDamaged(t *testing.T) {
	p := newPlace(t)
	p.put(t, 200)
	p.put(t, body.InlineLimit+1)
	var stream bytes.Buffer
	if _, err := Write(t.Context(), p.db, p.bodies, &stream); err != nil {
		t.Fatal(err)
	}
	whole := stream.Bytes()
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"something else":      content(4000),
		"the title alone":     whole[:len(title)],
		"cut in a frame":      whole[:len(whole)/2],
		"cut before its end":  whole[:len(whole)-endLength-frameHeader],
		"cut in its end":      whole[:len(whole)-1],
		"more than its end":   append(bytes.Clone(whole), 'x'),
		"another octet":       changed(whole, len(whole)/2),
		"another octet early": changed(whole, len(title)+frameHeader+10),
		"a huge frame":        append(bytes.Clone(whole[:len(title)]), frameRows, 0xff, 0xff, 0xff, 0xff),
		"octets of no file":   append(bytes.Clone(whole[:len(title)]), frameData, 0, 0, 0, 1, 'x'),
		"a path":              append(bytes.Clone(whole[:len(title)]), append([]byte{frameFile, 0, 0, 0, 9}, "../../etc"...)...),
	} {
		to := newPlace(t)
		if _, err := Restore(t.Context(), to.db, to.bodies, bytes.NewReader(b)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func changed(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

package body_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/storetest"
)

func newBodies(t *testing.T) (*store.DB, *body.Bodies, string) {
	t.Helper()
	st, dir := storetest.New(t), t.TempDir()
	b, err := body.New(st, dir, body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	storetest.CheckAtEnd(t, st, body.Checker{Bodies: b, Contents: true})
	return st, b, dir
}

func octets(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	src.Read(b)
	return b
}

func write(t *testing.T, b *body.Bodies, content []byte) *body.Pending {
	t.Helper()
	p, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(p, struct{ io.Reader }{bytes.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t *testing.T, st store.Store, b *body.Bodies, content []byte) body.ID {
	t.Helper()
	p := write(t, b, content)
	defer p.Discard()
	var id body.ID
	err := st.Update(t.Context(), func(tx store.Writer) (err error) {
		id, err = p.Put(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func unref(t *testing.T, st store.Store, b *body.Bodies, id body.ID) (gone bool) {
	t.Helper()
	err := st.Update(t.Context(), func(tx store.Writer) (err error) {
		gone, err = b.Unref(tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSizes(t *testing.T) {
	st, b, dir := newBodies(t)
	for _, c := range []struct{ size, files int }{
		{0, 0},
		{1, 0},
		{body.InlineLimit - 1, 0},
		{body.InlineLimit, 0},
		{body.InlineLimit + 1, 1},
		{3 << 20, 1},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			want := octets(c.size)
			id := put(t, st, b, want)
			if got := len(files(t, dir)); got != c.files {
				t.Errorf("%d files, want %d", got, c.files)
			}
			r, err := b.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if r.Size() != int64(c.size) {
				t.Errorf("size %d", r.Size())
			}
			if gone := unref(t, st, b, id); !gone {
				t.Error("the last reference left the body there")
			}
			got, err := io.ReadAll(r) // open since before it went
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d octets, %v", len(got), err)
			}
			half := make([]byte, c.size/2)
			if n, _ := r.ReadAt(half, int64(c.size-len(half))); n != len(half) || !bytes.Equal(half, want[c.size-len(half):]) {
				t.Errorf("read %d octets of the second half", n)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if _, err := b.Open(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("open a body that is gone: %v", err)
			}
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestMemoryIsBounded: when very many bodies come at a time, those that are not small become files.
func TestMemoryIsBounded(t *testing.T) {
	st, b, dir := newBodies(t)
	const many = 200
	content := octets(20 << 10)
	var all []*body.Pending
	for range many {
		all = append(all, write(t, b, content))
	}
	taken := len(files(t, dir))
	if taken == 0 || taken == many {
		t.Errorf("%d of %d bodies are files", taken, many)
	}
	for _, p := range all {
		var id body.ID
		err := st.Update(t.Context(), func(tx store.Writer) (err error) {
			id, err = p.Put(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Discard()
		r, err := b.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("read %d octets, %v", len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	write(t, b, content).Discard() // the buffers are back
	if got := len(files(t, dir)); got != taken {
		t.Errorf("%d files instead of %d once no body is written", got, taken)
	}
}

// TestDamagedValue: octets that have changed on the disk are reported, and the rest is checked.
func TestDamagedValue(t *testing.T) {
	dir := t.TempDir()
	var small, other body.ID
	open := func() (*store.DB, *body.Bodies) {
		st, err := store.Open(store.Options{Dir: filepath.Join(dir, "db")})
		if err != nil {
			t.Fatal(err)
		}
		b, err := body.New(st, filepath.Join(dir, "bodies"), body.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return st, b
	}
	st, b := open()
	content := octets(5000)
	small, other = put(t, st, b, content), put(t, st, b, octets(100))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, filepath.Join(dir, "db")) {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(whole, content); at >= 0 {
			whole[at+100] ^= 1
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	st, b = open()
	problems, err := store.Check(t.Context(), st, body.Checker{Bodies: b, Referrers: []body.Referrer{referrer{small, other}}, Contents: true})
	if err != nil || len(problems) != 1 || !strings.HasPrefix(problems[0], fmt.Sprintf("body %d: its value cannot be read", small)) {
		t.Errorf("found %q, %v", problems, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func TestReferences(t *testing.T) {
	st, b, _ := newBodies(t)
	id := put(t, st, b, octets(10))
	err := st.Update(t.Context(), func(tx store.Writer) error { return errors.Join(b.Ref(tx, id), b.Ref(tx, id)) })
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true} {
		if got := unref(t, st, b, id); got != want {
			t.Errorf("unref %d: gone is %v", i, got)
		}
	}
	err = st.Update(t.Context(), func(tx store.Writer) error { return b.Ref(tx, id) })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ref of a body that is gone: %v", err)
	}
}

// TestLostValue: a body whose octets are lost is not one that was let go.
func TestLostValue(t *testing.T) {
	st := storetest.New(t)
	b, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := put(t, st, b, octets(10))
	err = st.Update(t.Context(), func(tx store.Writer) error { return tx.Delete([]byte("b/v/\x00\x00\x00\x00\x00\x00\x00\x01")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), id); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
}

func TestIDsGrow(t *testing.T) {
	st, b, _ := newBodies(t)
	first := put(t, st, b, octets(1))
	unref(t, st, b, first)
	if second := put(t, st, b, octets(1)); second <= first {
		t.Errorf("id %d after %d", second, first)
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	st, b, dir := newBodies(t)
	refused := errors.New("over quota")
	for name, end := range map[string]func(p *body.Pending) error{
		"written":  func(*body.Pending) error { return nil },
		"finished": func(p *body.Pending) error { return p.Finish() },
		"put, refused": func(p *body.Pending) error {
			err := p.Finish()
			uerr := st.Update(t.Context(), func(tx store.Writer) error {
				if _, err := p.Put(tx); err != nil {
					return err
				}
				return refused
			})
			if !errors.Is(uerr, refused) {
				return fmt.Errorf("update: %w", uerr)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := b.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(octets(2 * body.InlineLimit)); err != nil {
				t.Fatal(err)
			}
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			if n, err := b.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("sweep took %d files of a body being written, %v", n, err)
			}
			p.Discard()
			p.Discard()
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if _, err := p.Write([]byte("x")); err == nil {
				t.Error("written after Discard")
			}
		})
	}
}

// doubtful is a store whose disk fails on every Update, after it has kept the writes.
type doubtful struct{ store.Store }

type silent struct{ store.Writer }

func (silent) AfterCommit(func()) {}

func (d doubtful) Update(ctx context.Context, fn func(store.Writer) error) error {
	return errors.Join(d.Store.Update(ctx, func(tx store.Writer) error { return fn(silent{tx}) }), store.ErrUnavailable)
}

// TestDiscardInDoubt keeps the file of a body whose transaction was durable although it answered an error.
func TestDiscardInDoubt(t *testing.T) {
	st, b, _ := newBodies(t)
	want := octets(body.InlineLimit + 1)
	p := write(t, b, want)
	var id body.ID
	err := doubtful{st}.Update(t.Context(), func(tx store.Writer) (err error) {
		id, err = p.Put(tx)
		return err
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	p.Discard()
	r, err := b.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d octets, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestPutOrder(t *testing.T) {
	st, b, _ := newBodies(t)
	p, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Discard()
	err = st.Update(t.Context(), func(tx store.Writer) error {
		_, err := p.Put(tx)
		return err
	})
	if err == nil {
		t.Error("put before Finish")
	}
}

func TestSweep(t *testing.T) {
	st, b, dir := newBodies(t)
	kept := put(t, st, b, octets(body.InlineLimit+1))
	orphan := strings.Repeat("ab", 16)
	for _, path := range []string{filepath.Join(dir, "ab", orphan), filepath.Join(dir, "tmp", strings.Repeat("cd", 16))} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := store.Check(t.Context(), st, body.Checker{Bodies: b})
	if err != nil || len(problems) != 2 {
		t.Errorf("check reports %q, %v", problems, err)
	}
	if n, err := b.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	r, err := b.Open(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestFull(t *testing.T) {
	st, dir := storetest.New(t), t.TempDir()
	left := int64(1 << 20)
	b, err := body.New(st, dir, body.Options{Room: func(n int64) error {
		if n > left {
			return store.ErrFull
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	storetest.CheckAtEnd(t, st, body.Checker{Bodies: b})
	p, err := b.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Discard()
	if _, err := p.Write(octets(2 << 20)); !errors.Is(err, store.ErrFull) {
		t.Errorf("write: %v", err)
	}
	left = -1
	if _, err := b.Create(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Errorf("create: %v", err)
	}
}

// referrer refers to each of its bodies once.
type referrer []body.ID

func (r referrer) Bodies(_ context.Context, _ store.Reader, fn func(body.ID)) error {
	for _, id := range r {
		fn(id)
	}
	return nil
}

// meanwhile is a checker that does something once the view to be checked has been taken.
type meanwhile func()

func (m meanwhile) Check(context.Context, store.Reader, func(string)) error {
	done := make(chan struct{})
	go func() { defer close(done); m() }()
	<-done
	return nil
}

// TestCheckWhileBodiesMove: bodies that come and go while the state of a running daemon is checked are no problem.
func TestCheckWhileBodiesMove(t *testing.T) {
	st, b, _ := newBodies(t)
	old := put(t, st, b, octets(body.InlineLimit+1))
	problems, err := store.Check(t.Context(), st, meanwhile(func() {
		unref(t, st, b, old)
		put(t, st, b, octets(body.InlineLimit+2))
	}), body.Checker{Bodies: b, Contents: true})
	if err != nil || len(problems) > 0 {
		t.Errorf("found %q, %v", problems, err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	dir := t.TempDir()
	b, err := body.New(st, dir, body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	small, large := put(t, st, b, octets(10)), put(t, st, b, octets(body.InlineLimit+1))
	check := func(refs ...body.ID) []string {
		t.Helper()
		problems, err := store.Check(t.Context(), st, body.Checker{Bodies: b, Referrers: []body.Referrer{referrer(refs)}, Contents: true})
		if err != nil {
			t.Fatal(err)
		}
		return problems
	}
	if got := check(small, large); len(got) != 0 {
		t.Fatalf("sound state: %q", got)
	}
	if got := check(small, large, large, 99); len(got) != 2 {
		t.Errorf("wrong counts: %q", got)
	}
	path := files(t, dir)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[100] ^= 1
	for name, damage := range map[string]func() error{
		"changed":   func() error { return os.WriteFile(path, whole, 0o600) },
		"truncated": func() error { return os.Truncate(path, 5) },
		"removed":   func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if got := check(small, large); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("body %d:", large)) {
			t.Errorf("%s: %q", name, got)
		}
	}
	err = st.Update(t.Context(), func(tx store.Writer) error {
		return tx.Set([]byte("b/r/\x00\x00\x00\x00\x00\x00\x00\x01"), []byte("x"))
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(check(small, large), "\n")
	if !strings.Contains(got, "body 1: row of 1 octets is too short") || !strings.Contains(got, fmt.Sprintf("body %d:", large)) {
		t.Errorf("with a damaged row: %s", got)
	}
}

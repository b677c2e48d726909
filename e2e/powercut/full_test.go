//go:build powercut

package powercut_test

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"balorg/store"
	"balorg/store/body"
)

// TestDiskFull fills a small disk with bodies until the store refuses, frees some, and goes on: on a disk where a fault would
// be a fault.
func TestDiskFull(t *testing.T) {
	work := t.TempDir()
	disk := filepath.Join(work, "disk")
	makeDisk(t, disk, 700<<20)
	dir, _ := mount(t, work, disk)
	st, bodies, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() }) // or the disk could not be taken out when the test failed
	var kept []body.ID
	for round := range 3 {
		more := fillUp(t, st, bodies)
		t.Logf("round %d: %d bodies until the disk was full", round+1, len(more))
		if len(more) == 0 {
			t.Fatal("nothing can be written")
		}
		kept = append(kept, more...)
		gone := kept[:len(kept)/2]
		kept = kept[len(kept)/2:]
		for _, id := range gone {
			err := st.Reclaim(t.Context(), func(tx store.Writer) error {
				_, err := bodies.Unref(tx, id)
				return err
			})
			if err != nil {
				t.Fatalf("free space on a full disk: %v", err)
			}
		}
	}
	problems, err := store.Check(t.Context(), st, body.Checker{Bodies: bodies, Contents: true})
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	command(t, "umount", dir)
}

// fillUp writes until the disk is full for each of some writers, and answers what was kept.
func fillUp(t *testing.T, st store.Store, bodies *body.Bodies) []body.ID {
	t.Helper()
	var mu sync.Mutex
	var ids []body.ID
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				size := rand.IntN(body.InlineLimit)
				if rand.IntN(3) == 0 {
					size = 1 << 20
				}
				id, err := keep(t.Context(), st, bodies, content(size, rand.Uint64()))
				if errors.Is(err, store.ErrFull) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return ids
}

// TestNoInodes: a disk that has room and no inode for a file more is as full as any other.
func TestNoInodes(t *testing.T) {
	st, err := store.Open(store.Options{Dir: t.TempDir(), MinFree: minFree})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	dir := t.TempDir()
	command(t, "mount", "-t", "tmpfs", "-o", "nr_inodes=300", "tmpfs", dir)
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	bodies, err := body.New(st, dir, body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	large := content(body.InlineLimit+1, 1)
	for range 300 {
		if _, err = keep(t.Context(), st, bodies, large); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("without inodes: %v", err)
	}
	if _, err := keep(t.Context(), st, bodies, large[:1]); err != nil {
		t.Errorf("a body that needs none: %v", err)
	}
	problems, err := store.Check(t.Context(), st, body.Checker{Bodies: bodies, Contents: true})
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
}

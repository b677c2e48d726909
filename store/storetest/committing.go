package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/store"
)

func testFailed(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "a", "1")
	refused := errors.New("refused")
	err := st.Update(t.Context(), func(tx store.Writer) error {
		if err := setAll(tx, "a", "2", "b", "2"); err != nil {
			return err
		}
		if err := tx.Delete([]byte("a")); err != nil {
			return err
		}
		tx.AfterCommit(func() { t.Error("AfterCommit of a failed transaction ran") })
		return refused
	})
	if err != refused { //nolint:errorlint // the promise is the error as it is
		t.Errorf("update: %v", err)
	}
	if err := st.View(t.Context(), func(store.Reader) error { return refused }); err != refused { //nolint:errorlint // as above
		t.Errorf("view: %v", err)
	}
	set(t, st, "c", "3")
	view(t, st, func(r store.Reader) {
		if got := dump(r, nil, nil, false); got != "a=1 c=3" {
			t.Errorf("after a failed update: %q", got)
		}
	})
}

func testPanic(t *testing.T, st store.Store) {
	t.Helper()
	func() {
		defer func() {
			if got := recover(); got != "oh" {
				t.Errorf("recovered %v", got)
			}
		}()
		_ = st.Update(t.Context(), func(tx store.Writer) error {
			if err := setAll(tx, "a", "1"); err != nil {
				return err
			}
			panic("oh")
		})
	}()
	set(t, st, "b", "1")
	view(t, st, func(r store.Reader) { get(t, r, "a", ""); get(t, r, "b", "1") })
}

func testGoexit(t *testing.T, st store.Store) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = st.Update(context.Background(), func(tx store.Writer) error {
			if err := setAll(tx, "a", "1"); err != nil {
				return err
			}
			runtime.Goexit() // as t.FailNow does
			return nil
		})
	})
	wg.Wait()
	set(t, st, "b", "1")
	view(t, st, func(r store.Reader) { get(t, r, "a", ""); get(t, r, "b", "1") })
}

func testAfterCommit(t *testing.T, st store.Store) {
	t.Helper()
	var order []string // not guarded: the functions run in this goroutine
	update(t, st, func(tx store.Writer) error {
		order = nil
		tx.AfterCommit(func() {
			order = append(order, "first")
			view(t, st, func(r store.Reader) { get(t, r, "a", "1") })
		})
		tx.AfterCommit(func() { order = append(order, "second") })
		return setAll(tx, "a", "1")
	})
	if got := strings.Join(order, " "); got != "first second" {
		t.Errorf("ran: %q", got)
	}
}

// testNote: what is noted is an update like others, to who looks and to who writes next; an error leaves nothing, and what comes afterwards comes.
func testNote(t *testing.T, st store.Store) {
	t.Helper()
	note := func(want error, fn func(store.Writer) error) {
		t.Helper()
		if err := st.Note(t.Context(), fn); !errors.Is(err, want) {
			t.Errorf("note: %v, want %v", err, want)
		}
	}
	note(nil, func(tx store.Writer) error { return setAll(tx, "a", "1", "b", "1") })
	view(t, st, func(r store.Reader) { get(t, r, "a", "1") })
	failure := errors.New("no")
	note(failure, func(tx store.Writer) error { return errors.Join(setAll(tx, "a", "2"), failure) })
	update(t, st, func(tx store.Writer) error {
		get(t, tx, "a", "1")
		return tx.Delete([]byte("b"))
	})
	after := false
	note(nil, func(tx store.Writer) error {
		get(t, tx, "b", "")
		tx.AfterCommit(func() { after = true })
		return setAll(tx, "a", "3")
	})
	if !after {
		t.Error("what is to be done after the commit was not")
	}
	view(t, st, func(r store.Reader) { get(t, r, "a", "3") })
}

// testSerial has many writers add to one counter, which they could not if two ran at once.
func testSerial(t *testing.T, st store.Store) {
	t.Helper()
	set(t, st, "n", "0")
	const writers, rounds = 16, 20
	refused := errors.New("refused")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				err := st.Update(t.Context(), func(tx store.Writer) error {
					b, err := tx.Get([]byte("n"))
					if err != nil {
						return err
					}
					var n int
					if _, err := fmt.Sscan(string(b), &n); err != nil {
						return err
					}
					if err := setAll(tx, "n", fmt.Sprint(n+1)); err != nil {
						return err
					}
					if (w+i)%4 == 0 {
						return refused
					}
					return nil
				})
				if err != nil && !errors.Is(err, refused) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view(t, st, func(r store.Reader) { get(t, r, "n", fmt.Sprint(writers*rounds*3/4)) })
}

// testTogether has writers of their own keys read them back at once.
func testTogether(t *testing.T, st store.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 30 {
				key := fmt.Sprintf("%d/%03d", w, i)
				if err := st.Update(t.Context(), func(tx store.Writer) error { return setAll(tx, key, key) }); err != nil {
					t.Error(err)
				}
				view(t, st, func(r store.Reader) { get(t, r, key, key) })
			}
		})
	}
	wg.Wait()
	view(t, st, func(r store.Reader) {
		if got := strings.Count(dump(r, nil, nil, false), "="); got != 240 {
			t.Errorf("%d keys", got)
		}
	})
}

func testContext(t *testing.T, st store.Store) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	unwanted := func(store.Writer) error { t.Error("the function of an ended context ran"); return nil }
	if err := st.Update(ended, unwanted); !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}
	if err := st.View(ended, func(store.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("view: %v", err)
	}

	// One update holds the turn; a second one waits, gives up and never runs; the first, whose context ends while it
	// runs, gets its true result.
	running, end := context.WithCancel(t.Context())
	defer end()
	in, out, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first <- st.Update(running, func(tx store.Writer) error {
			close(in)
			<-out
			return setAll(tx, "a", "1")
		})
	}()
	<-in
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := st.Update(soon, unwanted); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("update that waits: %v", err)
	}
	end()
	close(out)
	if err := <-first; err != nil {
		t.Errorf("update that ran: %v", err)
	}
	view(t, st, func(r store.Reader) { get(t, r, "a", "1") })
}

func testWatch(t *testing.T, st store.Store) {
	t.Helper()
	woken := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	all, stopAll := st.Watch(nil)
	defer stopAll()
	b, stopB := st.Watch([]byte("b/"))
	again, stopAgain := st.Watch([]byte("b/"))
	defer stopAgain()
	set(t, st, "b", "1", "b0", "1")
	if !woken(all) || woken(b) || woken(again) {
		t.Error("keys beside the prefix")
	}
	set(t, st, "b/1", "1")
	set(t, st, "b/2", "1")
	if !woken(b) || !woken(again) || woken(b) {
		t.Error("two commits leave one token")
	}
	update(t, st, func(tx store.Writer) error { return tx.Delete([]byte("b/1")) })
	if !woken(b) {
		t.Error("a deletion is a change")
	}
	set(t, st, "b/", "1")
	if !woken(b) {
		t.Error("the prefix itself is a key under it")
	}
	_ = st.Update(t.Context(), func(tx store.Writer) error { return errors.Join(setAll(tx, "b/3", "1"), errors.New("refused")) })
	if !woken(all) || woken(all) || woken(b) {
		t.Error("what failed is none")
	}
	stopB()
	stopB()
	set(t, st, "b/4", "1")
	if woken(b) || !woken(again) || !woken(all) {
		t.Error("only the watch that was stopped ends")
	}
}

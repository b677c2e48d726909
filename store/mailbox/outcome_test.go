package mailbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/mailbox"
)

// TestDeliveredAllTheSame: a message whose commit was fine is answered so, though the disk fails right after it.
func TestDeliveredAllTheSame(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	st := &failingStore{Store: f.st}
	a, err := mailbox.New(st, f.bodies, mailbox.Options{}).Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	v, err := a.Select(t.Context(), "INBOX", true)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	deliver := func() (mailbox.Placed, error) {
		return a.Append(t.Context(), "INBOX", strings.NewReader("\r\nx"), mailbox.FlagSet{}, time.Now())
	}
	st.update = store.ErrUnavailable
	if _, err := deliver(); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err) // from now on what sessions know is in doubt
	}
	st.update, st.view = nil, store.ErrUnavailable
	if p, err := deliver(); err != nil || p.UID != 1 {
		t.Errorf("placed as %+v, %v", p, err)
	}
	if _, err := v.Sync(t.Context(), true); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a session that looks meanwhile: %v", err)
	}
	st.view = nil
	if got := events(t, v, true); got != "exists 1, recent 1" {
		t.Errorf("then it is told %q", got)
	}
}

// failingStore answers these errors to what is asked of it.
type failingStore struct {
	store.Store
	view, update error
}

func (s *failingStore) View(ctx context.Context, fn func(store.Reader) error) error {
	if s.view != nil {
		return s.view
	}
	return s.Store.View(ctx, fn)
}

func (s *failingStore) Update(ctx context.Context, fn func(store.Writer) error) error {
	if s.update != nil {
		return s.update
	}
	return s.Store.Update(ctx, fn)
}

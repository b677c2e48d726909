package queue

import (
	"context"
	"testing"

	"balorg/smtp/wire"
	"balorg/store"
)

// classes counts the transactions whose sync is waited for, and the others.
type classes struct {
	store.Store
	synced, noted int
}

func (c *classes) Update(ctx context.Context, fn func(store.Writer) error) error {
	c.synced++
	return c.Store.Update(ctx, fn)
}

func (c *classes) Note(ctx context.Context, fn func(store.Writer) error) error {
	c.noted++
	return c.Store.Note(ctx, fn)
}

// TestWhatIsDurable: only that others have taken a message is written down without waiting for the disk.
func TestWhatIsDurable(t *testing.T) {
	f := newFixture(t, nil)
	st := &classes{Store: f.st}
	f.opt.Store = st
	taken := Outcome{Result: ResultDelivered}
	ours := Outcome{Result: ResultDelivered, Commit: func(store.Writer) error { return nil }}
	for _, c := range []struct {
		what     string
		outcomes []Outcome
		noted    bool
	}{
		{"all are taken", []Outcome{taken, taken}, true},
		{"one is to be tried again", []Outcome{taken, {Result: ResultDeferred}}, false},
		{"one failed", []Outcome{taken, {Result: ResultFailed}}, false},
		{"one is held", []Outcome{taken, {Result: ResultHeld}}, false},
		{"one is delivered to us", []Outcome{taken, ours}, false},
	} {
		id := f.put(wire.Recipient{Address: "a@x.fr"}, wire.Recipient{Address: "b@x.fr"})
		d, err := f.delivery(t.Context(), []ref{{id: id}, {id: id, n: 1}})
		if err != nil {
			t.Fatal(err)
		}
		*st = classes{Store: f.st}
		if _, err := f.record(t.Context(), d, c.outcomes); err != nil {
			t.Fatal(err)
		}
		if c.noted != (st.noted == 1) || c.noted == (st.synced == 1) {
			t.Errorf("%s: %d transactions synced and %d noted", c.what, st.synced, st.noted)
		}
	}
}

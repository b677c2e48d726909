package audit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/store"
	"balorg/store/audit"
	"balorg/store/storetest"
)

// refusing is a store that refuses writes while told to.
type refusing struct {
	store.Store
	refuse bool
}

var errRefused = errors.New("no")

func (r *refusing) Reclaim(ctx context.Context, fn func(store.Writer) error) error {
	if r.refuse {
		return errRefused
	}
	return r.Store.Reclaim(ctx, fn)
}

// actions answers the actions of all records, in order.
func actions(t *testing.T, log *audit.Log) (all []audit.Action) {
	t.Helper()
	err := log.List(t.Context(), audit.Filter{}, func(r audit.Record) bool {
		all = append(all, r.Action)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestListingIsDurable: what was noted and not synced is made durable before anybody is shown it; a trace that was exported never loses its end.
func TestListingIsDurable(t *testing.T) {
	st := &counting{Store: storetest.New(t)}
	log := audit.New(st)
	storetest.CheckAtEnd(t, st, log.Checker())
	err := st.Note(t.Context(), func(tx store.Writer) error { return log.AppendTx(tx, audit.Record{Action: audit.Deliver}) })
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(t, log); len(got) != 1 || st.synced != 1 {
		t.Errorf("%v after %d synced transactions", got, st.synced)
	}
}

// counting counts transactions whose sync is waited for.
type counting struct {
	store.Store
	synced int
}

func (c *counting) Reclaim(ctx context.Context, fn func(store.Writer) error) error {
	c.synced++
	return c.Store.Reclaim(ctx, fn)
}

// TestLater: what nobody waits for is written ahead of the next record, when somebody looks, and at the end; a refused write loses
// none of it.
func TestLater(t *testing.T) {
	st := &refusing{Store: storetest.New(t)}
	log := audit.New(st)
	storetest.CheckAtEnd(t, st, log.Checker())
	log.Later(audit.Record{Action: audit.SessionEnd})
	if err := log.Append(t.Context(), audit.Record{Action: audit.Login}); err != nil {
		t.Fatal(err)
	}
	st.refuse = true
	log.Later(audit.Record{Action: audit.SessionEnd})
	if err := log.Append(t.Context(), audit.Record{Action: audit.Open}); !errors.Is(err, errRefused) {
		t.Errorf("a write that is refused: %v", err)
	}
	st.refuse = false
	want := []audit.Action{audit.SessionEnd, audit.Login, audit.SessionEnd}
	if diff := cmp.Diff(want, actions(t, log)); diff != "" {
		t.Error(diff)
	}
	log.Later(audit.Record{Action: audit.SessionEnd})
	if err := log.Close(t.Context()); err != nil {
		t.Error(err)
	}
	log.Later(audit.Record{Action: audit.Refusal}) // too late to wait
	want = append(want, audit.SessionEnd, audit.Refusal)
	if diff := cmp.Diff(want, actions(t, audit.New(st))); diff != "" {
		t.Error(diff)
	}
	if report, err := log.Verify(t.Context()); err != nil || report.Broken != "" {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestLaterByItself: nothing else happens, and it is durable all the same.
func TestLaterByItself(t *testing.T) {
	st := storetest.New(t)
	log := audit.New(st)
	changed, stop := st.Watch([]byte(store.PrefixAudit))
	defer stop()
	log.Later(audit.Record{Action: audit.SessionEnd})
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is written")
	}
	if got := actions(t, audit.New(st)); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

package mailbox_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// crowded is a folder of n messages that share one body, on disk.
func crowded(tb testing.TB, n int) (*fixture, *mailbox.Account) {
	tb.Helper()
	dir := tb.TempDir()
	st, err := store.Open(store.Options{Dir: dir + "/state"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { st.Close() })
	bodies, err := body.New(st, dir+"/bodies", body.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	f := &fixture{tb, st, bodies, mailbox.New(st, bodies, mailbox.Options{})}
	a := f.account(mail.AccountID("crowded"), 0)
	p := f.append(a, "INBOX", "Subject: x\r\n\r\nx")
	for done := 1; done < n; {
		last := min(done+2000, n)
		err := st.Update(tb.Context(), func(tx store.Writer) error {
			for i := done; i < last; i++ {
				if _, err := a.DeliverBodyTx(tx, "INBOX", p.Body, 15, mailbox.FlagSet{}, time.Unix(int64(i), 0)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
		done = last
	}
	return f, a
}

// heap is what is alive.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestOthersGoOn: while all messages of a large folder are changed, with their rows since there are marks enough, and removed, others append without
// waiting for the end of it.
func TestOthersGoOn(t *testing.T) {
	const n = 30_000
	f, a := crowded(t, n)
	f.Store = mailbox.New(f.st, f.bodies, mailbox.Options{MarkMost: 1})
	a = f.account(a.ID(), 0)
	v := f.open(a, "INBOX", false)
	uids := make([]uint32, 0, n)
	for seq := uint32(1); seq <= v.Len(); seq++ {
		uids = append(uids, v.UID(seq))
	}
	if _, err := v.StoreFlags(t.Context(), uids, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Seen}); err != nil {
		t.Fatal(err)
	}
	other := f.account(noemie, 0)
	for _, tt := range []struct {
		what string
		do   func() error
	}{
		{"STORE", func() error {
			_, err := v.StoreFlags(t.Context(), uids, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted})
			return err
		}},
		{"EXPUNGE", func() error {
			gone, err := v.Expunge(t.Context(), nil)
			if err == nil && len(gone) != n {
				err = fmt.Errorf("%d are gone", len(gone))
			}
			return err
		}},
	} {
		appended, done := 0, make(chan error, 1)
		go func() { done <- tt.do() }()
		for ended := false; !ended; appended++ {
			if _, err := other.Append(t.Context(), "INBOX", strings.NewReader("Subject: meanwhile\r\n\r\n"), mailbox.FlagSet{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if ended = true; err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		if appended < 5 {
			t.Errorf("%s: others appended %d messages meanwhile", tt.what, appended)
		}
	}
}

// BenchmarkHalfMillion is what a folder of 500 000 messages costs.
func BenchmarkHalfMillion(b *testing.B) {
	const n = 500_000
	f, a := crowded(b, n)
	before := heap()
	var v *mailbox.View
	b.Run("first select", func(b *testing.B) {
		for b.Loop() {
			f.Store = mailbox.New(f.st, f.bodies, mailbox.Options{})
			a = f.account(mail.AccountID("crowded"), 0)
			var err error
			if v, err = a.Select(b.Context(), "INBOX", false); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/1e6, "MB")
	})
	b.Run("another select", func(b *testing.B) {
		for b.Loop() {
			w, err := a.Select(b.Context(), "INBOX", false)
			if err != nil {
				b.Fatal(err)
			}
			_ = w.Folder()
			_ = w.FirstUnseen()
			_ = w.Close()
		}
	})
	uids := make([]uint32, 0, n)
	for seq := uint32(1); seq <= v.Len(); seq++ {
		uids = append(uids, v.UID(seq))
	}
	for i, op := range []mailbox.FlagOp{mailbox.AddFlags, mailbox.RemoveFlags, mailbox.AddFlags} {
		start := time.Now()
		if _, err := v.StoreFlags(b.Context(), uids, op, mailbox.FlagSet{System: mailbox.Deleted}); err != nil {
			b.Fatal(err)
		}
		b.Logf("STORE 1:* %d: %v, %d MB more", i, time.Since(start), (heap()-before)/1e6)
	}
	start := time.Now()
	if _, err := v.Expunge(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("EXPUNGE: %v, %d MB more", time.Since(start), (heap()-before)/1e6)
}

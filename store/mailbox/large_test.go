package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
)

// TestLargeMessage: 50 MB go in and out while the heap grows by a small part of that.
func TestLargeMessage(t *testing.T) {
	const size, ceiling = 50 << 20, 8 << 20
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	head := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	line := strings.Repeat("QUJD", 19) + "\r\n"
	var peak uint64
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	lines := size / len(line)
	src := io.MultiReader(strings.NewReader(head), &watched{r: io.LimitReader(&repeat{text: line}, int64(lines*len(line))), peak: &peak}, strings.NewReader("--b--\r\n"))
	if _, err := a.Append(t.Context(), "INBOX", src, mailbox.FlagSet{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	v := f.open(a, "INBOX", true)
	d, err := v.Detail(t.Context(), 1, mailbox.WantStructure)
	if err != nil {
		t.Fatal(err)
	}
	off, n, ok := d.Section([]int{1}, structure.All)
	if want := int64(lines*len(line) - 2); !ok || off != int64(len(head)) || n != want {
		t.Errorf("its attachment is %d+%d (%v), want %d+%d", off, n, ok, len(head), want)
	}
	r, err := v.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, &watched{r: r, peak: &peak}); err != nil || n != int64(len(head)+lines*len(line)+7) {
		t.Errorf("read %d octets, %v", n, err)
	}
	if grown := int64(peak) - int64(before.HeapAlloc); grown > ceiling {
		t.Errorf("the heap grew by %d octets", grown)
	}
}

// repeat yields text without end.
type repeat struct {
	text string
	i    int
}

func (r *repeat) Read(b []byte) (n int, err error) {
	for n < len(b) {
		k := copy(b[n:], r.text[r.i:])
		n, r.i = n+k, (r.i+k)%len(r.text)
	}
	return n, nil
}

// watched notes the live heap every megabyte read.
type watched struct {
	r    io.Reader
	n    int
	peak *uint64
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if w.n += n; w.n > 4<<20 {
		w.n = 0
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		*w.peak = max(*w.peak, m.HeapAlloc)
	}
	return n, err
}

// fill puts n messages into a folder, many per transaction.
func (f *fixture) fill(a *mailbox.Account, name string, n int) {
	f.t.Helper()
	for i := 0; i < n; {
		var batch []*mailbox.Message
		for ; i < n && len(batch) < 500; i++ {
			m, err := f.NewMessage(f.t.Context())
			if err != nil {
				f.t.Fatal(err)
			}
			fmt.Fprintf(m, "Subject: message %d\r\nFrom: Claire Durand <claire.durand@example.net>\r\nTo: secretariat@example.net\r\nMessage-ID: <%d@example.net>\r\n\r\n%s", i, i, strings.Repeat("x", i%7))
			if err := m.Finish(); err != nil {
				f.t.Fatal(err)
			}
			batch = append(batch, m)
		}
		err := f.st.Update(f.t.Context(), func(tx store.Writer) error {
			for _, m := range batch {
				if _, err := a.DeliverTx(tx, name, m, mailbox.FlagSet{}, time.Unix(int64(i), 0)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, m := range batch {
			m.Discard()
		}
	}
}

// TestThousands: sets larger than one transaction.
func TestThousands(t *testing.T) {
	const n = 5000
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", n)
	v := f.open(a, "INBOX", false)
	all := make([]uint32, 0, n)
	for seq := uint32(1); seq <= v.Len(); seq++ {
		all = append(all, v.UID(seq))
	}
	if changed, err := v.StoreFlags(t.Context(), all, mailbox.AddFlags, flagSet(t, `\Seen`)); err != nil || len(changed) != n {
		t.Fatalf("stored %d, %v", len(changed), err)
	}
	c, err := v.Copy(t.Context(), all, a, "Archives")
	if err != nil || !slices.Equal(c.Source, all) || len(c.Target) != n || !slices.IsSorted(c.Target) {
		t.Fatalf("copied %d, %v", len(c.Target), err)
	}
	quota, err := a.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The last chunk of this copy is over quota: what the first ones copied must go again.
	tight := f.account(noemie, quota.Octets/2-1)
	if _, err := v.Copy(t.Context(), all, tight, "INBOX"); !errors.Is(err, mailbox.ErrOverQuota) {
		t.Fatalf("a copy over quota: %v", err)
	}
	if u, err := tight.Usage(t.Context()); err != nil || u.Messages != 0 || u.Octets != 0 {
		t.Errorf("it left %+v, %v", u, err)
	}
	if c, err = v.Move(t.Context(), all, a, "Corbeille"); err != nil || len(c.Target) != n {
		t.Fatalf("moved %d, %v", len(c.Target), err)
	}
	if list, err := v.Sync(t.Context(), true); err != nil || len(list) != n || v.Len() != 0 {
		t.Errorf("%d events, %d messages left, %v", len(list), v.Len(), err)
	}
	var seqs []uint32
	trash, subjects := f.open(a, "Corbeille", true), 0
	for seq := trash.Len(); seq > 0; seq -= 3 { // descending and with gaps: single reads
		if seqs = append(seqs, seq); seq < 4 {
			break
		}
	}
	for seq := uint32(1); seq <= trash.Len(); seq++ { // ascending: scans
		seqs = append(seqs, seq)
	}
	err = trash.Details(t.Context(), seqs, mailbox.WantStructure|mailbox.WantHeader, func(seq uint32, d *mailbox.Detail) error {
		subject := fmt.Sprintf("message %d", seq-1)
		if !strings.HasPrefix(string(d.Envelope), `(NIL "`+subject+`"`) || !strings.HasPrefix(string(d.Header), "Subject: "+subject+"\r\n") || seq != seqs[subjects] {
			return fmt.Errorf("message %d has ENVELOPE %s", seq, d.Envelope)
		}
		subjects++
		return nil
	})
	if err != nil || subjects != len(seqs) {
		t.Errorf("%d of %d details, %v", subjects, len(seqs), err)
	}
	if err := a.Delete(t.Context(), "Corbeille"); err != nil {
		t.Fatal(err)
	}
	if u, err := a.Usage(t.Context()); err != nil || u.Messages != n {
		t.Errorf("after the deletion %+v, %v", u, err)
	}
}

// TestManyParts: a structure that needs several rows comes back whole, alone and within a run.
func TestManyParts(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	big := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 9000)
	for _, msg := range []string{"\r\n1", big, "\r\n3", "Subject: " + strings.Repeat("x\r\n ", 100_000) + "\r\n\r\n4", "\r\n5"} {
		f.append(a, "INBOX", msg)
	}
	v := f.open(a, "INBOX", true)
	var parts []int
	err := v.Details(t.Context(), []uint32{1, 2, 3, 4, 5, 2}, mailbox.WantStructure|mailbox.WantHeader, func(seq uint32, d *mailbox.Detail) error {
		list, err := d.Parts()
		parts = append(parts, len(list))
		if (d.Header == nil) != (seq == 4) {
			t.Errorf("message %d: header block of %d octets", seq, len(d.Header))
		}
		return err
	})
	if err != nil || !slices.Equal(parts, []int{1, 9001, 1, 1, 1, 9001}) {
		t.Errorf("parts %v, %v", parts, err)
	}
	if d, err := v.Detail(t.Context(), 4, mailbox.WantHeader); err != nil || d.Header != nil {
		t.Errorf("a header block too long to keep: %+v, %v", d, err)
	}
}

// TestRemoveHugeStructures: messages whose structures are many rows, more than one transaction can remove, can be expunged and
// deleted with their folder all the same.
func TestRemoveHugeStructures(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	for _, name := range []string{"INBOX", "Archives"} {
		f.fill(a, name, 500)
	}
	err := f.st.Update(t.Context(), func(tx store.Writer) error { // as if each had 100 rows
		for k, v := range tx.Scan([]byte("m/d/"), store.PrefixEnd([]byte("m/d/"))) {
			if err := tx.Set(slices.Clone(k), append([]byte{99}, v[1:]...)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v := f.open(a, "INBOX", false)
	var all []uint32
	for seq := range v.Len() {
		all = append(all, v.UID(seq+1))
	}
	if _, err := v.StoreFlags(t.Context(), all, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted}); err != nil {
		t.Fatal(err)
	}
	if gone, err := v.Expunge(t.Context(), nil); err != nil || !slices.Equal(gone, all) {
		t.Errorf("expunged %d, %v", len(gone), err)
	}
	if err := a.Delete(t.Context(), "Archives"); err != nil {
		t.Error(err)
	}
	if u, err := a.Usage(t.Context()); err != nil || u.Messages != 0 {
		t.Errorf("left %+v, %v", u, err)
	}
}

// TestInterruptedDelete: a deletion that a crash cut short is finished when the account is opened.
func TestInterruptedDelete(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.fill(a, "Archives", 4500)
	v := f.open(a, "Archives", true)
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	cut := mailbox.New(&cutStore{Store: f.st, left: 2}, f.bodies, mailbox.Options{})
	b, err := cut.Account(ctx, claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "Archives"); !errors.Is(err, errCut) {
		t.Fatalf("the deletion was not cut: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	b, err = mailbox.New(f.st, f.bodies, mailbox.Options{}).Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := b.Usage(t.Context()); err != nil || u.Messages != 0 {
		t.Errorf("after opening the account again %+v, %v", u, err)
	}
}

var errCut = errors.New("cut")

// cutStore fails every reclaim after the first few, as a crash would.
type cutStore struct {
	store.Store
	left int
}

func (c *cutStore) Reclaim(ctx context.Context, fn func(store.Writer) error) error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return c.Store.Reclaim(ctx, fn)
}

// TestUnknownOutcome: when the engine cannot tell whether a commit was made, sessions read the folder again and are right.
func TestUnknownOutcome(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	s := mailbox.New(&lyingStore{Store: f.st}, f.bodies, mailbox.Options{})
	a, err := s.Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.append(a, "INBOX", "\r\n1")
	v, err := a.Select(t.Context(), "INBOX", false)
	if err != nil {
		t.Fatal(err)
	}
	for i, do := range []func() error{
		func() error {
			_, err := v.StoreFlags(t.Context(), []uint32{1}, mailbox.AddFlags, flagSet(t, `\Flagged`, "lie"))
			return err
		},
		func() error {
			_, err := a.Append(t.Context(), "INBOX", strings.NewReader("\r\n2"), flagSet(t, "lie2"), time.Now())
			return err
		},
	} {
		if err := do(); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("step %d: %v", i, err)
		}
		want := []string{"keywords 0, flags 1", "exists 2, recent 2, keywords 0"}[i]
		if got := events(t, v, true); got != want {
			t.Errorf("step %d: told %q, want %q", i, got, want)
		}
	}
	if err := v.Close(); err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
}

// lyingStore commits transactions that write a keyword of lies, and says it does not know.
type lyingStore struct{ store.Store }

func (l *lyingStore) Update(ctx context.Context, fn func(store.Writer) error) error {
	lie := false
	err := l.Store.Update(ctx, func(tx store.Writer) error {
		w := &lieFinder{Writer: tx}
		err := fn(w)
		lie = w.found
		return err
	})
	if err == nil && lie {
		return store.ErrUnavailable
	}
	return err
}

type lieFinder struct {
	store.Writer
	found bool
}

func (w *lieFinder) Set(key, value []byte) error {
	if strings.HasPrefix(string(key), "m/f/") && strings.Contains(string(value), "lie") {
		w.found = true
	}
	return w.Writer.Set(key, value)
}

// AfterCommit drops fn where the outcome will be unknown, as an engine does.
func (w *lieFinder) AfterCommit(fn func()) {
	w.Writer.AfterCommit(func() {
		if !w.found {
			fn()
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	f := newFixture(b, mailbox.Options{})
	a := f.account(mail.AccountID("bench"), 0)
	f.fill(a, "INBOX", 10_000)
	v := f.open(a, "INBOX", true)
	seqs := make([]uint32, v.Len())
	for i := range seqs {
		seqs[i] = uint32(i + 1)
	}
	b.Run("flags of 10 000", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			for _, seq := range seqs {
				m, _ := v.Message(seq)
				buf = mailbox.AppendFlags(buf[:0], m.Flags, nil)
			}
		}
	})
	b.Run("headers of 10 000", func(b *testing.B) {
		n := 0
		for b.Loop() {
			if err := v.Details(b.Context(), seqs, mailbox.WantHeader, func(_ uint32, d *mailbox.Detail) error {
				n += len(d.Header)
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("select", func(b *testing.B) {
		for b.Loop() {
			w, err := a.Select(b.Context(), "INBOX", true)
			if err != nil {
				b.Fatal(err)
			}
			_ = w.Close()
		}
	})
}

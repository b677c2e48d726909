package mailbox_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/text"
	"balorg/store/storetest"
)

// known answers which UIDs signatures cover, and which of them may hold a word.
func known(tb testing.TB, v *mailbox.View, word string) (covered, may []uint32) {
	tb.Helper()
	grams := mailbox.GramsOf([]byte(text.Fold(word)))
	err := v.Signatures(tb.Context(), 1, 1<<32-1, func(from, to uint32, s *mailbox.Signature) {
		for seq := v.SeqAtLeast(from); v.UID(seq) > 0 && v.UID(seq) <= to; seq++ {
			covered = append(covered, v.UID(seq))
			if s.HeadersMay(grams) || s.PartsMay(grams) {
				may = append(may, v.UID(seq))
			}
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return covered, may
}

func uidRange(from, to uint32) (all []uint32) {
	for uid := from; uid <= to; uid++ {
		all = append(all, uid)
	}
	return all
}

func (f *fixture) sign(a *mailbox.Account, name string) {
	f.t.Helper()
	if err := a.Sign(f.t.Context(), name); err != nil {
		f.t.Fatal(err)
	}
}

// rows answers how many rows there are under a prefix, and their octets.
func (f *fixture) rows(prefix string) (n, octets int) {
	f.t.Helper()
	err := f.st.View(f.t.Context(), func(r store.Reader) error {
		for k, v := range r.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix))) {
			n, octets = n+1, octets+len(k)+len(v)
		}
		return r.Err()
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return n, octets
}

// TestSignatures: whole stretches are signed, a rare word is looked for in its own only, what is left of a folder's signatures goes with its
// messages, and with the folder.
func TestSignatures(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 100)
	f.append(a, "INBOX", "Subject: Ordonnance\r\n\r\nAmoxicilline")
	f.fill(a, "INBOX", 227)
	f.sign(a, "INBOX")
	v := f.open(a, "INBOX", false)
	covered, may := known(t, v, "amoxiCILLINE")
	if !slices.Equal(covered, uidRange(1, 320)) || !slices.Equal(may, uidRange(65, 128)) {
		t.Errorf("covered %v, may hold %v", covered, may)
	}
	if _, may := known(t, v, "message"); !slices.Equal(may, covered) {
		t.Errorf("a word of all is looked for in %v", may)
	}
	if err := a.Sign(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.rows("m/s/"); n != 5 {
		t.Errorf("%d rows", n)
	}
	// The second stretch goes as a whole, half of the third.
	if _, err := v.StoreFlags(t.Context(), uidRange(65, 160), mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.fill(a, "INBOX", 100)
	f.sign(a, "INBOX")
	if _, err := v.Sync(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	covered, may = known(t, v, "amoxicilline")
	if want := append(uidRange(1, 64), uidRange(161, 384)...); !slices.Equal(covered, want) || len(may) > 0 {
		t.Errorf("later covered %v, may hold %v", covered, may)
	}
	if _, err := v.Copy(t.Context(), uidRange(1, 300), a, "Archives"); err != nil {
		t.Fatal(err)
	}
	f.sign(a, "Archives")
	before, _ := f.rows("m/s/")
	if err := a.Delete(t.Context(), "Archives"); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.rows("m/s/"); n != 5 || before <= n {
		t.Errorf("%d rows before a folder was deleted, %d after", before, n)
	}
}

// TestSignatureSize: signatures are a few hundredths of the mail at most.
func TestSignatureSize(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	octets := 0
	for i := range 130 {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Subject: %d\r\n\r\n", i)
		for k := range 3000 * (1 + i%5) { // text in which hardly anything comes twice
			fmt.Fprintf(&b, "%x ", uint32(i*100_003+k)*2_654_435_761)
		}
		octets += b.Len()
		f.append(a, "INBOX", b.String())
	}
	f.sign(a, "INBOX")
	n, size := f.rows("m/s/")
	if n < 20 || size*100 > octets*5 {
		t.Errorf("%d rows of %d octets for %d octets of mail", n, size, octets)
	}
	if covered, _ := known(t, f.open(a, "INBOX", true), "x"); len(covered) < 100 {
		t.Errorf("only %d are signed", len(covered))
	}
}

// TestUnreadable: of what cannot be read anything may be said, and a signature that is damaged counts for nothing.
func TestUnreadable(t *testing.T) {
	for _, tt := range []struct {
		what, prefix string
		change       func(v []byte) []byte
		after        bool // the signatures were made
	}{
		{"structure gone", "m/d/", func([]byte) []byte { return nil }, false},
		{"structure damaged", "m/d/", func(v []byte) []byte { return v[:2] }, false},
		{"value gone", "b/v/", func([]byte) []byte { return nil }, false},
		{"signature damaged", "m/s/", func(v []byte) []byte { v[40] ^= 1; return v }, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			st := storetest.New(t)
			bodies, err := body.New(st, t.TempDir(), body.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &fixture{t, st, bodies, mailbox.New(st, bodies, mailbox.Options{})}
			a := f.account(claire, 0)
			f.fill(a, "INBOX", 64)
			damage := func(tx store.Writer) error {
				for k, v := range tx.Scan([]byte(tt.prefix), store.PrefixEnd([]byte(tt.prefix))) {
					if v = tt.change(slices.Clone(v)); v == nil {
						return tx.Delete(slices.Clone(k))
					}
					return tx.Set(slices.Clone(k), v)
				}
				return nil
			}
			if tt.after {
				f.sign(a, "INBOX")
			}
			if err := st.Update(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
			f.sign(a, "INBOX")
			v := f.open(a, "INBOX", true)
			covered, may := known(t, v, "amoxicilline")
			if tt.after && len(covered) > 0 || !tt.after && (len(covered) != 64 || len(may) != 64) {
				t.Errorf("covered %v, may hold %v", covered, may)
			}
			problems, err := store.Check(t.Context(), st, f)
			if err != nil || strings.Contains(strings.Join(problems, "\n"), "signature") != tt.after {
				t.Errorf("found %q, %v", problems, err)
			}
		})
	}
}

// TestSigningInBackground: opening a folder is enough, and a rest is taken in between.
func TestSigningInBackground(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 300)
	v := f.open(a, "INBOX", true)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	changed, forget := f.st.Watch([]byte("m/s/"))
	defer forget()
	go func() {
		defer close(done)
		f.RunSigning(ctx, func(err error) { t.Error(err) })
	}()
	<-changed
	stop()
	<-done
	if covered, _ := known(t, v, "x"); len(covered) != 256 {
		t.Errorf("%d are signed", len(covered))
	}
}

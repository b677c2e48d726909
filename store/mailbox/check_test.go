package mailbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// TestDamagedDetails: rows of details that are damaged are an error to who reads them, one or many.
func TestDamagedDetails(t *testing.T) {
	st, err := store.Open(store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t, st, bodies, mailbox.New(st, bodies, mailbox.Options{})}
	a := f.account(claire, 0)
	f.fill(a, "INBOX", 5)
	err = st.Update(t.Context(), func(tx store.Writer) error {
		for k := range tx.Scan([]byte("m/h/"), store.PrefixEnd([]byte("m/h/"))) {
			if err := tx.Set(slices.Clone(k), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v := f.open(a, "INBOX", true)
	for _, seqs := range [][]uint32{{1}, {1, 2, 3, 4, 5}} {
		err := v.Details(t.Context(), seqs, mailbox.WantHeader, func(seq uint32, _ *mailbox.Detail) error {
			t.Errorf("message %d is answered", seq)
			return nil
		})
		if err == nil {
			t.Errorf("%d messages: no error", len(seqs))
		}
	}
}

// TestCheckFinds breaks one thing at a time and expects Check to see it.
func TestCheckFinds(t *testing.T) {
	edit := func(prefix string, change func(key, value []byte) ([]byte, []byte)) func(tx store.Writer) error {
		return func(tx store.Writer) error {
			for k, v := range tx.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix))) {
				key, value := change(slices.Clone(k), slices.Clone(v))
				if value == nil {
					return tx.Delete(k)
				}
				return tx.Set(key, value)
			}
			return fmt.Errorf("no row under %s", prefix)
		}
	}
	drop := func(_, _ []byte) ([]byte, []byte) { return nil, nil }
	for _, tt := range []struct {
		what string
		do   func(tx store.Writer) error
		want string
	}{
		{"message gone", edit("m/m/", drop), "its row says"},
		{"name gone", edit("m/n/", drop), "cannot be found by its name"},
		{"structure gone", edit("m/d/", drop), "no structure"},
		{"account gone", edit("m/a/", drop), "belongs to no account"},
		{"folder gone", edit("m/f/", drop), "which is not there"},
		{"name of nothing", edit("m/n/", func(k, v []byte) ([]byte, []byte) { return append(k, 'x'), v }), "not called so"},
		{"structure of nothing", edit("m/h/", func(k, v []byte) ([]byte, []byte) { k[len(k)-2]++; return k, v }), "a body that is gone"},
		{"UID not given yet", edit("m/m/", func(k, v []byte) ([]byte, []byte) { k[len(k)-1] = 9; return k, v }), "not given yet"},
		{"keyword without name", edit("m/m/", func(k, v []byte) ([]byte, []byte) { v[2] = 1; return k, v }), "keyword without name"},
		{"account damaged", edit("m/a/", func(k, _ []byte) ([]byte, []byte) { return k, []byte{9} }), "account: stored row is damaged"},
		{"folder damaged", edit("m/f/", func(k, _ []byte) ([]byte, []byte) { return k, []byte{9} }), "folder 1: folder: stored row is damaged"},
		{"message damaged", edit("m/m/", func(k, _ []byte) ([]byte, []byte) { return k, []byte{9} }), "message 1: message: stored row is damaged"},
		{"expunged damaged", func(tx store.Writer) error {
			return tx.Set([]byte("m/x/"+string(claire)+"/\x00\x00\x00\x01\x00"), []byte{1, 1})
		}, "is damaged"},
		{"expunged and not given", func(tx store.Writer) error {
			return tx.Set([]byte("m/x/"+string(claire)+"/\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{1, 7})
		}, "not given yet"},
		{"expunged and there", func(tx store.Writer) error {
			return tx.Set([]byte("m/x/"+string(claire)+"/\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{1, 1})
		}, "is there"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			st, err := store.Open(store.Options{InMemory: true})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			bodies, err := body.New(st, t.TempDir(), body.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &fixture{t, st, bodies, mailbox.New(st, bodies, mailbox.Options{})}
			f.append(f.account(claire, 0), "INBOX", "Subject: x\r\n\r\n1")
			if problems, err := store.Check(t.Context(), st, f); err != nil || len(problems) > 0 {
				t.Fatalf("before: %v, %v", problems, err)
			}
			if err := st.Update(t.Context(), tt.do); err != nil {
				t.Fatal(err)
			}
			problems, err := store.Check(t.Context(), st, f)
			if err != nil || !strings.Contains(strings.Join(problems, "\n"), tt.want) {
				t.Errorf("found %q, %v; want %q", problems, err, tt.want)
			}
		})
	}
}

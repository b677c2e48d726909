package mailbox

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/storetest"
)

// TestForgetExpunged: the record of expunged messages does not grow for ever, and keeps what is recent.
func TestForgetExpunged(t *testing.T) {
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(st, bodies, Options{})
	storetest.CheckAtEnd(t, st, s)
	a, err := s.Account(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	const now = 3*keptChanges - 1 // the next change is one at which the record is looked through
	key := folderKey{"a", 1}
	err = st.Update(t.Context(), func(tx store.Writer) error {
		row, err := readFolder(tx, key)
		if err != nil {
			return err
		}
		row.HighestModSeq, row.UIDNext = now, 10
		for i, modseq := range []uint64{2, now - keptChanges, now - keptChanges + 1, now} {
			if err := tx.Set(key.expunged(modseq), encodeUIDs([]uint32{uint32(i + 1)})); err != nil {
				return err
			}
		}
		return tx.Set(key.in(tableFolder), row.encode())
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Append(t.Context(), Inbox, strings.NewReader("\r\n"), FlagSet{}, time.Now())
	if err != nil || p.ModSeq != now+1 {
		t.Fatalf("%+v, %v", p, err)
	}
	var kept []uint64
	err = st.View(t.Context(), func(r store.Reader) error {
		prefix := key.in(tableExpunged)
		for k := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			kept = append(kept, binary.BigEndian.Uint64(k[len(prefix):]))
		}
		return nil
	})
	if want := []uint64{now - keptChanges + 1, now}; err != nil || !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v, %v", kept, want, err)
	}
}

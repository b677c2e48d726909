package sent_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/sent"
	"balorg/store/storetest"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func copyOf(person mail.AccountID, id string, at time.Time) sent.Copy {
	return sent.Copy{ID: sent.ID{Mailbox: "secretariat", Person: person, MessageID: id, Body: [32]byte{1, 2, 255}}, Time: at}
}

func fixture(t *testing.T, copies ...sent.Copy) (*store.DB, *sent.Table) {
	t.Helper()
	st := storetest.New(t)
	table := sent.New(st)
	storetest.CheckAtEnd(t, st, table)
	for _, c := range copies {
		if err := st.Update(t.Context(), func(tx store.Writer) error { return sent.PutTx(tx, c) }); err != nil {
			t.Fatal(err)
		}
	}
	return st, table
}

// TestRowOfBefore: a row that is JSON, as all were once, is read.
func TestRowOfBefore(t *testing.T) {
	c := copyOf("noemie", "<a@b>", noon)
	st, table := fixture(t, c)
	err := st.Update(t.Context(), func(tx store.Writer) error {
		for k := range tx.Scan([]byte(store.PrefixSent), store.PrefixEnd([]byte(store.PrefixSent))) {
			return tx.Set(k, fmt.Appendf(nil, `{"mailbox":"secretariat","person":"noemie","message_id":"\u003ca@b\u003e","time":"2026-11-24T12:00:00Z","folder":"Envoyés",`+
				`"uid_validity":7,"uid":9,"bcc":"QmNjOiBhQGINCg==","body":"%x"}`, c.Body))
		}
		return errors.New("no row")
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Folder, c.UIDValidity, c.UID, c.Bcc = "Envoyés", 7, 9, []byte("Bcc: a@b\r\n")
	got, err := table.Find(t.Context(), c.ID, noon)
	if diff := gocmp.Diff(c, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestFind(t *testing.T) {
	c := copyOf("noemie", "<a@b>", noon)
	c.Folder, c.UIDValidity, c.UID = "Envoyés", 7, 9
	other := c.ID
	other.Body[31] = 1
	_, table := fixture(t, c)
	got, err := table.Find(t.Context(), c.ID, noon)
	if diff := gocmp.Diff(c, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for name, id := range map[string]sent.ID{
		"another body": other, "another id": copyOf("noemie", "<c@b>", noon).ID, "another person": copyOf("claire", "<a@b>", noon).ID, "no id": copyOf("noemie", "", noon).ID,
	} {
		if _, err := table.Find(t.Context(), id, noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := table.Find(t.Context(), c.ID, noon.Add(1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("too old: %v", err)
	}
	for _, tt := range []struct {
		mailbox, person mail.AccountID
		since           time.Time
		want            bool
	}{
		{"secretariat", "noemie", noon, true}, {"secretariat", "noemie", noon.Add(1), false}, {"secretariat", "claire", noon, false}, {"noemie", "noemie", noon, false}, {"secret", "noemie", noon, false},
	} {
		if got, err := table.Any(t.Context(), tt.mailbox, tt.person, tt.since); got != tt.want || err != nil {
			t.Errorf("any of %v: %v, %v", tt, got, err)
		}
	}
}

func TestPlace(t *testing.T) {
	c := copyOf("noemie", "<a@b>", noon)
	st, table := fixture(t, c)
	if err := table.SetBcc(t.Context(), c.ID, []byte("Bcc: x@y.fr\r\n")); err != nil {
		t.Fatal(err)
	}
	var before sent.Copy
	err := st.Update(t.Context(), func(tx store.Writer) (err error) {
		before, err = sent.PlaceTx(tx, c.ID, "Envoyés", 7, 9, false)
		return err
	})
	want := c
	want.Bcc = []byte("Bcc: x@y.fr\r\n")
	if diff := gocmp.Diff(want, before); diff != "" || err != nil {
		t.Error(err, diff)
	}
	want.Folder, want.UIDValidity, want.UID = "Envoyés", 7, 9
	if got, err := table.Find(t.Context(), c.ID, noon); err != nil || gocmp.Diff(want, got) != "" {
		t.Error(err, gocmp.Diff(want, got))
	}
	if err := table.Place(t.Context(), c.ID, "Envoyés", 7, 10, true); err != nil {
		t.Fatal(err)
	}
	want.UID, want.Bcc = 10, nil
	if got, err := table.Find(t.Context(), c.ID, noon); err != nil || gocmp.Diff(want, got) != "" {
		t.Error(err, gocmp.Diff(want, got))
	}
	unknown := copyOf("claire", "<a@b>", noon).ID
	if err := cmp.Or(table.Place(t.Context(), unknown, "x", 1, 1, true), table.SetBcc(t.Context(), unknown, nil)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a copy that is not there: %v", err)
	}
}

func TestAwait(t *testing.T) {
	c := copyOf("noemie", "<a@b>", noon)
	_, table := fixture(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := table.Await(ctx, c.ID); err != nil || got.UID != 0 {
		t.Errorf("not placed in time: %v, %v", got, err)
	}
	placed := make(chan error, 1)
	go func() {
		placed <- cmp.Or(table.SetBcc(t.Context(), c.ID, nil), table.Place(t.Context(), c.ID, "Sent", 7, 9, false))
	}()
	if got, err := table.Await(t.Context(), c.ID); err != nil || got.UID != 9 {
		t.Errorf("placed: %v, %v", got, err)
	}
	if err := <-placed; err != nil {
		t.Error(err)
	}
	if _, err := table.Await(t.Context(), copyOf("claire", "", noon).ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("not there: %v", err)
	}
}

func TestPruneAndForget(t *testing.T) {
	st, table := fixture(t, copyOf("noemie", "<1@b>", noon), copyOf("claire", "<2@b>", noon.Add(time.Hour)), copyOf("paul", "<3@b>", noon.Add(time.Hour)))
	err := st.Update(t.Context(), func(tx store.Writer) error {
		for i := range 2500 {
			if err := sent.PutTx(tx, copyOf("noemie", fmt.Sprint(i), noon)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := table.Prune(t.Context(), noon.Add(time.Hour)); n != 2501 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	owners := func() (all []string) {
		err := st.View(t.Context(), func(r store.Reader) error {
			return table.Owners(t.Context(), r, func(_ string, id mail.AccountID) { all = append(all, string(id)) })
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	if got := owners(); !slices.Equal(got, []string{"claire", "paul", "secretariat"}) {
		t.Errorf("owners %q", got)
	}
	forget(t, st, "claire")
	if got := owners(); !slices.Equal(got, []string{"paul", "secretariat"}) {
		t.Errorf("without a person: %q", got)
	}
	forget(t, st, "secretariat")
	if got := owners(); len(got) > 0 {
		t.Errorf("without the mailbox: %q", got)
	}
}

func forget(t *testing.T, st store.Store, id mail.AccountID) {
	t.Helper()
	err := st.Update(t.Context(), func(tx store.Writer) error {
		more, err := sent.Forget(tx, id)
		if more {
			t.Error("more than there are")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := sent.New(st)
	err := st.Update(t.Context(), func(tx store.Writer) error {
		return cmp.Or(tx.Set([]byte("e/a/b/c"), []byte("{")), tx.Set([]byte("e/a/b/d"), []byte(`{"body":"00"}`)), sent.PutTx(tx, copyOf("", "", noon)), sent.PutTx(tx, copyOf("noemie", "", noon)))
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(t.Context(), st, table)
	if err != nil || len(problems) != 3 {
		t.Errorf("%q, %v", problems, err)
	}
	if _, err := table.Prune(t.Context(), noon); err == nil {
		t.Error("a damaged row is passed over")
	}
}

package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/identity"
	"balorg/store/storetest"
)

func TestIdentities(t *testing.T) {
	st := storetest.New(t)
	since := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	former := identity.Identity{ID: "aaaaaaaaaaaaaaaa", Address: "marc@a.fr", State: "parked", Since: since}
	live := identity.Identity{ID: "bbbbbbbbbbbbbbbb", Address: "marc@a.fr", State: "live", Since: since}
	update(t, st, func(tx store.Writer) error {
		return errors.Join(identity.Put(tx, live), identity.Put(tx, former))
	})
	check := func(want ...identity.Identity) {
		t.Helper()
		view(t, st, func(r store.Reader) error {
			got, err := identity.All(r)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identities (-want +got):\n%s", diff)
			}
			return err
		})
	}
	check(former, live)
	live.State = "closed"
	update(t, st, func(tx store.Writer) error {
		return errors.Join(identity.Put(tx, live), identity.Delete(tx, former.ID))
	})
	check(live)
	view(t, st, func(r store.Reader) error {
		got, err := identity.Get(r, live.ID)
		if diff := cmp.Diff(live, got); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		if _, err := identity.Get(r, former.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an identity that was deleted: %v", err)
		}
		return err
	})
	err := st.Update(t.Context(), func(tx store.Writer) error {
		return identity.Put(tx, identity.Identity{ID: mail.AccountID(""), Address: "a@b.fr"})
	})
	if err == nil {
		t.Error("an identity without id was taken")
	}
}

func update(t *testing.T, st store.Store, fn func(store.Writer) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, st store.Store, fn func(store.Reader) error) {
	t.Helper()
	if err := st.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// owner holds something of each of its accounts.
type owner []mail.AccountID

func (o owner) Owners(_ context.Context, _ store.Reader, fn func(string, mail.AccountID)) error {
	for _, id := range o {
		fn("thing", id)
	}
	return nil
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	marc := identity.Identity{ID: "aaaaaaaaaaaaaaaa", Address: "marc@a.fr", State: "live"}
	for _, tt := range []struct {
		key, value string
		owners     owner
		want       []string
	}{
		{owners: owner{marc.ID}},
		{owners: owner{marc.ID, "gone"}, want: []string{"thing of account gone: it has no identity"}},
		{key: "i/bbbb", value: `{"id":"aaaa","address":"a@b.fr","state":"live"}`, want: []string{"identity bbbb: its row is damaged"}},
		{key: "i/bbbb", value: `{`, owners: owner{"bbbb"}, want: []string{"identity bbbb: its row is damaged"}},
	} {
		update(t, st, func(tx store.Writer) error {
			if tt.key != "" {
				return tx.Set([]byte(tt.key), []byte(tt.value))
			}
			return identity.Put(tx, marc)
		})
		problems, err := store.Check(t.Context(), st, identity.Checker{Owners: []identity.Owner{tt.owners}})
		if diff := cmp.Diff(tt.want, problems); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.key, err, diff)
		}
	}
}

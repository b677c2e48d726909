package subscription_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/storetest"
	"balorg/store/subscription"
)

const (
	noemie = mail.AccountID("noemienoemienoem")
	claire = mail.AccountID("claireclaireclai")
	shared = mail.AccountID("secretariatsecre")
)

func TestSubscriptions(t *testing.T) {
	st := storetest.New(t)
	table := subscription.New(st)
	ctx := t.Context()
	for _, s := range []struct {
		person, account mail.AccountID
		folder          string
		subscribed      bool
	}{
		{noemie, shared, "INBOX", true},
		{noemie, shared, "Éléments/archivés", true},
		{noemie, shared, "INBOX", false},
		{noemie, noemie, "Brouillons", true},
		{claire, shared, "INBOX", true},
	} {
		if err := table.Set(ctx, s.person, s.account, s.folder, s.subscribed); err != nil {
			t.Fatal(err)
		}
	}
	check := func(person, account mail.AccountID, want map[string]bool) {
		t.Helper()
		got, err := table.Overrides(ctx, person, account)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in %s (-want +got):\n%s", person, account, diff)
		}
	}
	check(noemie, shared, map[string]bool{"INBOX": false, "Éléments/archivés": true})
	check(noemie, noemie, map[string]bool{"Brouillons": true})
	check(claire, claire, map[string]bool{})

	if err := table.Set(ctx, noemie, shared, strings.Repeat("x", 1000), true); !errors.Is(err, subscription.ErrLongName) {
		t.Errorf("a name of 1000 octets: %v", err)
	}
	forget(t, st, shared)
	check(noemie, shared, map[string]bool{})
	check(noemie, noemie, map[string]bool{"Brouillons": true})
	check(claire, shared, map[string]bool{})
	forget(t, st, noemie)
	check(noemie, noemie, map[string]bool{})
}

// forget answers how many transactions it took.
func forget(t *testing.T, st store.Store, id mail.AccountID) (times int) {
	t.Helper()
	for more := true; more; times++ {
		err := st.Update(t.Context(), func(tx store.Writer) (err error) {
			more, err = subscription.Forget(tx, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return times
}

// TestMany: a client that says something of ever more folders is stopped, and what many persons said of one account can be forgotten,
// though it is more than one transaction takes.
func TestMany(t *testing.T) {
	st := storetest.New(t)
	table := subscription.New(st)
	const persons, folders = 2, 4000 // 5 MB of deletions
	for p := range persons {
		for from := 0; from < folders; from += 2000 {
			err := st.Update(t.Context(), func(tx store.Writer) error {
				for i := from; i < from+2000; i++ {
					if err := tx.Set(fmt.Appendf(nil, "s/person%d/%s/%0500d", p, shared, i), []byte{0}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		folder string
		want   error
	}{
		{"one more", subscription.ErrTooMany},
		{fmt.Sprintf("%0500d", 7), nil}, // said before
	} {
		if err := table.Set(t.Context(), "person0", shared, tt.folder, false); !errors.Is(err, tt.want) {
			t.Errorf("%.10s: %v, want %v", tt.folder, err, tt.want)
		}
	}
	if err := table.Set(t.Context(), "person0", claire, "another account", false); err != nil {
		t.Error(err)
	}
	if n := forget(t, st, shared); n < 2 {
		t.Errorf("forgotten in %d transactions", n)
	}
	if said, err := table.Overrides(t.Context(), "person1", shared); err != nil || len(said) > 0 {
		t.Errorf("%d are left, %v", len(said), err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := subscription.New(st)
	if err := table.Set(t.Context(), noemie, shared, "a/b", true); err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), st, table); err != nil || len(problems) > 0 {
		t.Fatalf("sound state: %q, %v", problems, err)
	}
	err := st.Update(t.Context(), func(tx store.Writer) error {
		return errors.Join(tx.Set([]byte("s/x/y"), []byte{1}), tx.Set([]byte("s/x/y/"), []byte{1}), tx.Set([]byte("s/x/y/z"), []byte{2}))
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(t.Context(), st, table)
	if err != nil || len(problems) != 3 {
		t.Errorf("found %q, %v", problems, err)
	}
	var owners []string
	err = st.View(t.Context(), func(r store.Reader) error {
		return table.Owners(t.Context(), r, func(what string, id mail.AccountID) { owners = append(owners, string(id)) })
	})
	want := []string{string(noemie), string(shared), "x", "y", "x", "y", "x", "y"}
	if diff := cmp.Diff(want, owners); err != nil || diff != "" {
		t.Errorf("owners: %v\n%s", err, diff)
	}
}

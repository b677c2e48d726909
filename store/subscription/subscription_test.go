package subscription_test

import (
	"errors"
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
	err := st.Update(ctx, func(tx store.Writer) error { return subscription.Forget(tx, shared) })
	if err != nil {
		t.Fatal(err)
	}
	check(noemie, shared, map[string]bool{})
	check(noemie, noemie, map[string]bool{"Brouillons": true})
	check(claire, shared, map[string]bool{})
	if err := st.Update(ctx, func(tx store.Writer) error { return subscription.Forget(tx, noemie) }); err != nil {
		t.Fatal(err)
	}
	check(noemie, noemie, map[string]bool{})
}

package lock_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/lock"
	"balorg/store/storetest"
)

func TestKeep(t *testing.T) {
	st := storetest.New(t)
	table := lock.New(st)
	ward, six := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")
	since := time.UnixMilli(1_764_000_000_123)
	all := []lock.Lock{
		{Key: lock.Key{Kind: lock.Account, Account: "claire@example.net"}, Since: since, Failures: 3},
		{Key: lock.Key{Kind: lock.Network, Network: six}, Since: since, Failures: 200},
		{Key: lock.Key{Kind: lock.Pair, Account: "claire@example.net"}, Since: since, Failures: 1}, // a connection without an address
		{Key: lock.Key{Kind: lock.Pair, Network: ward}, Since: since, Failures: 20},                // a name that is no address
		{Key: lock.Key{Kind: lock.Pair, Network: ward, Account: "claire@example.net"}, Success: since},
	}
	if err := table.Keep(t.Context(), all, nil); err != nil {
		t.Fatal(err)
	}
	compare := func(want []lock.Lock) {
		t.Helper()
		got, err := table.All(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("kept %+v, %v; want %+v", got, err, want)
		}
		for i := range want {
			if got[i].Key != want[i].Key || got[i].Failures != want[i].Failures || !got[i].Since.Equal(want[i].Since) || !got[i].Success.Equal(want[i].Success) {
				t.Errorf("kept %+v, want %+v", got[i], want[i])
			}
		}
		if problems, err := store.Check(t.Context(), st, table); err != nil || len(problems) > 0 {
			t.Errorf("the state: %q, %v", problems, err)
		}
	}
	compare(all)
	all[0].Failures = 4
	if err := table.Keep(t.Context(), all[:1], []lock.Key{all[1].Key, all[4].Key}); err != nil {
		t.Fatal(err)
	}
	compare([]lock.Lock{all[0], all[2], all[3]})
}

func TestKeepMany(t *testing.T) {
	table := lock.New(storetest.New(t))
	var many []lock.Lock
	var gone []lock.Key
	for i := range 4500 {
		many = append(many, lock.Lock{Key: lock.Key{Kind: lock.Account, Account: mail.Address(fmt.Sprintf("a%d@example.net", i))}, Failures: 1})
		gone = append(gone, many[i].Key)
	}
	if err := table.Keep(t.Context(), many, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := table.All(t.Context()); err != nil || len(got) != 4500 {
		t.Errorf("%d kept, %v", len(got), err)
	}
	if err := table.Keep(t.Context(), nil, gone); err != nil {
		t.Fatal(err)
	}
	if got, err := table.All(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%d left, %v", len(got), err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := lock.New(st)
	err := st.Update(t.Context(), func(tx store.Writer) error {
		return errors.Join(
			tx.Set([]byte("l/x"), nil), tx.Set([]byte("l/x/y"), []byte("{}")), tx.Set([]byte("l/n/192.0.2.0"), []byte("{}")), tx.Set([]byte("l/a/a@b"), []byte("no")),
			tx.Set([]byte("l/a/c@d"), []byte("{}")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(t.Context(), st, table); err != nil || len(problems) != 4 {
		t.Errorf("found %q, %v", problems, err)
	}
	if got, err := table.All(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("read %+v, %v", got, err)
	}
}

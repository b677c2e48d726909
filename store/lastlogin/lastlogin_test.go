package lastlogin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/lastlogin"
)

func TestNote(t *testing.T) {
	db, err := store.Open(store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	table := lastlogin.New(db)
	if logins, upTo, err := table.All(t.Context()); err != nil || len(logins) > 0 || upTo != 0 {
		t.Fatalf("at first: %v, %d, %v", logins, upTo, err)
	}
	first := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	many := map[mail.AccountID]time.Time{}
	for i := range 4500 {
		many[mail.AccountID(fmt.Sprintf("a%d", i))] = first
	}
	if err := table.Note(t.Context(), many, 7); err != nil {
		t.Fatal(err)
	}
	if err := table.Note(t.Context(), map[mail.AccountID]time.Time{"a1": first.Add(time.Hour)}, 9); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx store.Writer) error { return lastlogin.Forget(tx, "a2") }); err != nil {
		t.Fatal(err)
	}
	logins, upTo, err := table.All(t.Context())
	if err != nil || upTo != 9 || len(logins) != 4499 || !logins["a1"].Equal(first.Add(time.Hour)) || !logins["a3"].Equal(first) {
		t.Errorf("%d logins, %d, %v, a1 %v", len(logins), upTo, err, logins["a1"])
	}
	if problems, err := store.Check(t.Context(), db, table); err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
	if err := db.Update(t.Context(), func(tx store.Writer) error { return tx.Set([]byte("u/l/x"), []byte("never")) }); err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(context.Background(), db, table); err != nil || len(problems) != 1 {
		t.Errorf("check of a damaged row: %q, %v", problems, err)
	}
}

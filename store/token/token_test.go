package token_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/storetest"
	"balorg/store/token"
)

const (
	noemie = mail.AccountID("noemienoemienoem")
	claire = mail.AccountID("claireclaireclai")
	shared = mail.AccountID("secretariatsecre")
)

var day = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func hash(secret string) token.Hash { return sha256.Sum256([]byte(secret)) }

func add(t *testing.T, table *token.Table, tok token.Token, secret string) {
	t.Helper()
	if err := table.Add(t.Context(), tok, hash(secret)); err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T, table *token.Table, account mail.AccountID) (all []string) {
	t.Helper()
	list, err := table.List(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range list {
		all = append(all, tok.ID)
	}
	return all
}

func sound(t *testing.T, st store.Store, table *token.Table) {
	t.Helper()
	if problems, err := store.Check(t.Context(), st, table); err != nil || len(problems) > 0 {
		t.Errorf("the state: %q, %v", problems, err)
	}
}

func TestTokens(t *testing.T) {
	st := storetest.New(t)
	table := token.New(st)
	scanner := token.Token{ID: "b", Account: noemie, Name: "scanner", Scopes: []string{"smtp"}, Mailbox: shared, Created: day}
	phone := token.Token{ID: "a", Account: noemie, Name: "phone", Scopes: []string{"imap"}, Created: day.Add(time.Hour)}
	add(t, table, scanner, "s")
	add(t, table, phone, "p")
	add(t, table, token.Token{ID: "c", Account: claire, Name: "phone", Created: day.Add(2 * time.Hour)}, "c")

	if got, err := table.ByHash(t.Context(), hash("s")); err != nil || !cmp.Equal(got, scanner) {
		t.Errorf("by its secret: %+v, %v", got, err)
	}
	if _, err := table.ByHash(t.Context(), hash("other")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown secret: %v", err)
	}
	if diff := cmp.Diff([]string{"b", "a"}, ids(t, table, noemie)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b", "a", "c"}, ids(t, table, "")); diff != "" {
		t.Error(diff)
	}
	if err := table.Add(t.Context(), token.Token{ID: "d", Account: noemie, Name: "phone"}, hash("d")); !errors.Is(err, token.ErrNameTaken) {
		t.Errorf("a name twice: %v", err)
	}
	sound(t, st, table)

	if ok, err := table.Revoke(t.Context(), claire, "b"); ok || err != nil {
		t.Errorf("another's token was revoked: %v", err)
	}
	for i, want := range []bool{true, false} {
		if ok, err := table.Revoke(t.Context(), noemie, "b"); ok != want || err != nil {
			t.Errorf("revoked for the %d. time: %v, %v", i+1, ok, err)
		}
	}
	if _, err := table.ByHash(t.Context(), hash("s")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a revoked secret: %v", err)
	}
	sound(t, st, table)
}

func TestUsed(t *testing.T) {
	st := storetest.New(t)
	table := token.New(st)
	add(t, table, token.Token{ID: "a", Account: noemie, Name: "phone", Created: day}, "p")
	for _, step := range []struct{ at, noted time.Duration }{{0, 0}, {30 * time.Minute, 0}, {time.Hour, time.Hour}, {90 * time.Minute, time.Hour}} {
		tok, err := table.ByHash(t.Context(), hash("p"))
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Used(t.Context(), tok, day.Add(step.at)); err != nil {
			t.Fatal(err)
		}
		if tok, err = table.ByHash(t.Context(), hash("p")); err != nil || !tok.LastUsed.Equal(day.Add(step.noted)) {
			t.Errorf("used after %v: noted %v, %v", step.at, tok.LastUsed, err)
		}
	}
	// One that is revoked while it is used stays away.
	tok, _ := table.ByHash(t.Context(), hash("p"))
	if _, err := table.Revoke(t.Context(), noemie, "a"); err != nil {
		t.Fatal(err)
	}
	if err := table.Used(t.Context(), tok, day.Add(24*time.Hour)); err != nil || len(ids(t, table, "")) > 0 {
		t.Errorf("a revoked token came back: %v", err)
	}
}

func TestRemoveUnusedAndForget(t *testing.T) {
	st := storetest.New(t)
	table := token.New(st)
	for i, tok := range []token.Token{
		{ID: "old", Account: noemie, Created: day},
		{ID: "used", Account: noemie, Created: day, LastUsed: day.Add(48 * time.Hour)},
		{ID: "new", Account: claire, Created: day.Add(48 * time.Hour), Mailbox: shared},
		{ID: "newer", Account: claire, Created: day.Add(49 * time.Hour)},
	} {
		tok.Name = tok.ID
		add(t, table, tok, fmt.Sprint(i))
	}
	if err := table.RemoveUnused(t.Context(), day.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"used", "new", "newer"}, ids(t, table, "")); diff != "" {
		t.Errorf("after removing unused ones: %s", diff)
	}
	forget := func(id mail.AccountID) {
		t.Helper()
		err := st.Update(t.Context(), func(tx store.Writer) error {
			more, err := token.Forget(tx, id)
			if more {
				t.Error("more than one transaction for four")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	forget(shared)
	forget(noemie)
	if diff := cmp.Diff([]string{"newer"}, ids(t, table, "")); diff != "" {
		t.Errorf("after forgetting two: %s", diff)
	}
	sound(t, st, table)
}

func TestTooMany(t *testing.T) {
	table := token.New(storetest.New(t))
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = table.Add(t.Context(), token.Token{ID: fmt.Sprint(n), Account: noemie, Name: fmt.Sprint(n)}, hash(fmt.Sprint(n)))
	}
	if !errors.Is(err, token.ErrTooMany) || n != 51 {
		t.Errorf("after %d: %v", n, err)
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := token.New(st)
	add(t, table, token.Token{ID: "a", Account: noemie, Name: "phone", Mailbox: shared}, "p")
	lost := hash("p")
	var owners []string
	err := st.View(t.Context(), func(r store.Reader) error {
		return table.Owners(t.Context(), r, func(what string, id mail.AccountID) { owners = append(owners, what+" "+string(id)) })
	})
	want := []string{"device token " + string(noemie), "mailbox of a device token " + string(shared)}
	if diff := cmp.Diff(want, owners); err != nil || diff != "" {
		t.Errorf("owners: %v\n%s", err, diff)
	}
	err = st.Update(t.Context(), func(tx store.Writer) error {
		return errors.Join(
			tx.Delete(append([]byte("k/h/"), lost[:]...)), tx.Set([]byte("k/h/x"), []byte("y/z")), tx.Set([]byte("k/t/x/y"), []byte("{}")), tx.Set([]byte("k/x"), nil))
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(context.Background(), st, table)
	if err != nil || len(problems) != 4 {
		t.Errorf("found %q, %v", problems, err)
	}
}

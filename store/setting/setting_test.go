package setting_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/setting"
	"balorg/store/storetest"
)

const (
	noemie      = mail.AccountID("noemienoemienoem")
	claire      = mail.AccountID("claireclaireclai")
	secretariat = mail.AccountID("secretariatsecre")
	urgences    = mail.AccountID("urgencesurgences")
)

func TestPasswords(t *testing.T) {
	table := setting.New(storetest.New(t))
	ctx := t.Context()
	if _, err := table.Password(ctx, noemie); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no password: %v", err)
	}
	for _, hash := range []string{"$argon2id$one", "$argon2id$two"} {
		if err := table.SetPassword(ctx, noemie, hash); err != nil {
			t.Fatal(err)
		}
		if got, err := table.Password(ctx, noemie); got != hash || err != nil {
			t.Errorf("password %q, %v", got, err)
		}
	}
	if _, err := table.Password(ctx, claire); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("somebody else's password: %v", err)
	}
	if err := table.SetPassword(ctx, noemie, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Password(ctx, noemie); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("password removed: %v", err)
	}
}

func TestChoices(t *testing.T) {
	st := storetest.New(t)
	table := setting.New(st)
	ctx := t.Context()
	check := func(want ...setting.Choice) {
		t.Helper()
		got, err := table.Choices(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("choices (-want +got):\n%s", diff)
		}
	}
	set := func(c setting.Choice) {
		t.Helper()
		if err := table.SetChoice(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	first := setting.Choice{Kind: setting.KindDefault, Person: noemie, Mailbox: urgences, FileDefault: secretariat}
	second := setting.Choice{Kind: setting.KindDefault, Person: noemie, Mailbox: noemie, FileDefault: secretariat}
	here := setting.Choice{Kind: "notify", Person: noemie, Mailbox: secretariat, FileNotify: true}
	there := setting.Choice{Kind: "notify", Person: noemie, Mailbox: urgences, On: true}
	other := setting.Choice{Kind: "notify", Person: claire, Mailbox: noemie, On: true}
	for _, c := range []setting.Choice{first, here, there, other, second} {
		set(c)
	}
	check(other, second, here, there)
	if err := table.DeleteChoices(ctx, first, here); err != nil {
		t.Fatal(err)
	}
	check(other, second, there) // first had been replaced: what replaced it stays
	err := st.Update(ctx, func(tx store.Writer) error { return setting.Forget(tx, noemie) })
	if err != nil {
		t.Fatal(err)
	}
	check()
	if err := table.SetChoice(ctx, setting.Choice{Kind: "notify"}); err == nil {
		t.Error("a choice of nobody was taken")
	}
}

func TestCheckFinds(t *testing.T) {
	st := storetest.New(t)
	table := setting.New(st)
	ctx := t.Context()
	if err := table.SetPassword(ctx, noemie, "$argon2id$one"); err != nil {
		t.Fatal(err)
	}
	if err := table.SetChoice(ctx, setting.Choice{Kind: "notify", Person: claire, Mailbox: urgences}); err != nil {
		t.Fatal(err)
	}
	if problems, err := store.Check(ctx, st, table); err != nil || len(problems) > 0 {
		t.Fatalf("sound state: %q, %v", problems, err)
	}
	err := st.Update(ctx, func(tx store.Writer) error {
		return errors.Join(tx.Set([]byte("p/x"), nil), tx.Set([]byte("c/x/notify/y"), []byte(`{"kind":"notify","person":"x"}`)), tx.Set([]byte("c/z"), []byte("{")))
	})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := store.Check(ctx, st, table)
	want := []string{`choice "c/x/notify/y": its row is damaged`, `choice "c/z": its row is damaged`, "password of account x: it is empty"}
	if diff := cmp.Diff(want, problems); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var owners []string
	err = st.View(ctx, func(r store.Reader) error {
		return table.Owners(ctx, r, func(what string, id mail.AccountID) { owners = append(owners, what+" "+string(id)) })
	})
	want = []string{"password " + string(noemie), "password x", "choice " + string(claire), "choice x", "choice z"}
	if diff := cmp.Diff(want, owners); err != nil || diff != "" {
		t.Errorf("owners: %v\n%s", err, diff)
	}
}

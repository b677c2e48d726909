package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store"
	"balorg/store/mailbox"
	"balorg/store/sent"
	"balorg/store/setting"
)

const (
	sophie  = mail.Address("sophie.moreau@clinique-des-sapins.fr")
	keeping = 30 * 24 * time.Hour
)

var day0 = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// newState is an empty state, checked when the test ends.
func newState(t *testing.T, cfg *Config) *state {
	t.Helper()
	st, err := openState(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if problems, err := st.check(context.WithoutCancel(t.Context())); err != nil || len(problems) > 0 {
			t.Errorf("the state at the end: %q, %v", problems, err)
		}
		st.close()
	})
	return st
}

// demoFolder answers the demo's configuration, and the same without Sophie's account.
func demoFolder(t *testing.T) (all, without *Loaded) {
	t.Helper()
	path := folder(t, withDemo(t, "state: state\nstore: {min_free: 1MB}\n"))
	load := func() *Loaded {
		loaded, problems := Load(path)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return loaded
	}
	all = load()
	others, _, _ := strings.Cut(example(t, "demo/accounts.yaml"), "  - address: "+string(sophie))
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "accounts.yaml"), []byte(others), 0o600); err != nil {
		t.Fatal(err)
	}
	return all, load()
}

func snapshotOf(t *testing.T, st *state, l *Loaded, now time.Time) *policy.Snapshot {
	t.Helper()
	snap, _, err := st.snapshot(t.Context(), l, now, true)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// fill gives an account a password, a choice, a subscription, a message, and one that it sends a long time later.
func fill(t *testing.T, st *state, id mail.AccountID) {
	t.Helper()
	box, err := st.boxes.Account(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, appendErr := box.Append(t.Context(), mailbox.Inbox, strings.NewReader("Subject: x\r\n\r\ny\r\n"), mailbox.FlagSet{}, day0)
	if err := errors.Join(
		appendErr,
		st.settings.SetPassword(t.Context(), id, "a hash"),
		st.settings.SetChoice(t.Context(), setting.Choice{Kind: string(policy.ChoiceDefault), Person: id, Mailbox: id, On: true}),
		st.subscriptions.Set(t.Context(), id, id, "INBOX", false),
		putSent(t, st, id, day0.Add(10*keeping)),
	); err != nil {
		t.Fatal(err)
	}
}

func putSent(t *testing.T, st *state, id mail.AccountID, at time.Time) error {
	t.Helper()
	return st.db.Update(t.Context(), func(tx store.Writer) error {
		return sent.PutTx(tx, sent.Copy{ID: sent.ID{Mailbox: id, Person: id}, Time: at})
	})
}

// left says what there is of an account.
func left(t *testing.T, st *state, id mail.AccountID) (kept []string) {
	t.Helper()
	box, err := st.boxes.Account(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := box.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if usage.Messages > 0 {
		kept = append(kept, "mail")
	} else if err := st.boxes.Remove(t.Context(), id); err != nil { // looking made an empty one
		t.Fatal(err)
	}
	if _, err := st.settings.Password(t.Context(), id); err == nil {
		kept = append(kept, "password")
	} else if !errors.Is(err, auth.ErrUnset) {
		t.Fatal(err)
	}
	choices, err := st.settings.Choices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(choices) > 0 {
		kept = append(kept, "choice")
	}
	said, err := st.subscriptions.Overrides(t.Context(), id, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) > 0 {
		kept = append(kept, "subscription")
	}
	if found, err := st.sent.Any(t.Context(), id, id, time.Time{}); err != nil {
		t.Fatal(err)
	} else if found {
		kept = append(kept, "sent message")
	}
	return kept
}

// TestRemovedAccount: what hangs on an account is kept while it is parked, and goes whole when it has been for too long.
func TestRemovedAccount(t *testing.T) {
	all, without := demoFolder(t)
	st := newState(t, all.Config)
	before, ok := snapshotOf(t, st, all, day0).Account(sophie)
	if !ok || before.ID == "" {
		t.Fatalf("%+v", before)
	}
	fill(t, st, before.ID)
	everything := []string{"mail", "password", "choice", "subscription", "sent message"}
	for _, tt := range []struct {
		after time.Duration
		want  []string
	}{
		{0, everything},
		{keeping, everything},
		{keeping + time.Second, nil},
		{keeping + time.Hour, nil}, // a second time there is nothing to remove
	} {
		snap := snapshotOf(t, st, without, day0.Add(tt.after))
		if _, ok := snap.Account(sophie); ok {
			t.Error("the address is still an account's")
		}
		if err := st.removeExpired(t.Context(), st.log); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, left(t, st, before.ID)); diff != "" {
			t.Errorf("after %v: %s", tt.after, diff)
		}
	}
	known, err := st.identities(t.Context())
	if err != nil || len(known) != 8 {
		t.Errorf("%d identities, %v", len(known), err)
	}
	again, ok := snapshotOf(t, st, all, day0.Add(keeping+2*time.Hour)).Account(sophie)
	if !ok || again.ID == "" || again.ID == before.ID || again.State != policy.Active {
		t.Errorf("the address, given anew: %+v", again)
	}
}

// TestRemovedAccountWithoutReload: the time of a parked account ends also while the files stay as they are.
func TestRemovedAccountWithoutReload(t *testing.T) {
	all, without := demoFolder(t)
	st := newState(t, all.Config)
	before, _ := snapshotOf(t, st, all, day0).Account(sophie)
	fill(t, st, before.ID)
	snapshotOf(t, st, without, day0)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{keeping, 5}, {keeping + time.Second, 0}} {
		if err := st.housekeep(t.Context(), all.Config, day0.Add(tt.after)); err != nil {
			t.Fatal(err)
		}
		if got := left(t, st, before.ID); len(got) != tt.want {
			t.Errorf("after %v: %q", tt.after, got)
		}
	}
}

// TestSentForgotten: what was sent is remembered for a day.
func TestSentForgotten(t *testing.T) {
	all, _ := demoFolder(t)
	st := newState(t, all.Config)
	account, _ := snapshotOf(t, st, all, day0).Account(sophie)
	if err := putSent(t, st, account.ID, day0); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{sent.Keep, sent.Keep + time.Second} {
		if err := st.housekeep(t.Context(), all.Config, day0.Add(after)); err != nil {
			t.Fatal(err)
		}
		if found, err := st.sent.Any(t.Context(), account.ID, account.ID, time.Time{}); found != (after == sent.Keep) || err != nil {
			t.Errorf("after %v: %v, %v", after, found, err)
		}
	}
}

// TestIdentitiesStay: a reload gives nobody another id.
func TestIdentitiesStay(t *testing.T) {
	all, _ := demoFolder(t)
	st := newState(t, all.Config)
	ids := func(now time.Time) map[mail.Address]mail.AccountID {
		got := make(map[mail.Address]mail.AccountID)
		for _, a := range snapshotOf(t, st, all, now).Accounts() {
			got[a.Address] = a.ID
		}
		return got
	}
	if diff := cmp.Diff(ids(day0), ids(day0.Add(time.Hour))); diff != "" {
		t.Error(diff)
	}
}

// TestLookWritesNothing: a question is answered as if the accounts had ids, and leaves none behind.
func TestLookWritesNothing(t *testing.T) {
	all, _ := demoFolder(t)
	st := newState(t, all.Config)
	snap, err := st.look(t.Context(), all, day0)
	if err != nil {
		t.Fatal(err)
	}
	if e := snap.Explain(policy.Question{Person: sophie}); !e.Allowed() {
		t.Errorf("%+v", e)
	}
	if known, err := st.identities(t.Context()); err != nil || len(known) > 0 {
		t.Errorf("%d identities, %v", len(known), err)
	}
}

func TestQuotas(t *testing.T) {
	path := folder(t, withDemo(t, "state: state\nstore: {min_free: 1MB}\nlimits: {quota: 3MB}\n"))
	accounts := strings.Replace(example(t, "demo/accounts.yaml"), "    nom: Durand\n", "    nom: Durand\n    quota: 5MB\n", 1)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "accounts.yaml"), []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, problems := Load(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	st := newState(t, loaded.Config)
	for _, a := range snapshotOf(t, st, loaded, day0).Accounts() {
		want := int64(3e6)
		if a.Nom == "Durand" {
			want = 5e6
		}
		if a.Quota != want {
			t.Errorf("%s: %d", a.Address, a.Quota)
		}
	}
	for _, a := range loaded.Roster.Accounts {
		if a.Quota != 0 && a.Nom != "Durand" {
			t.Errorf("the roster itself was changed: %s", a.Address)
		}
	}
}

// TestSweepAtStart: files that no message refers to are gone after a start.
func TestSweepAtStart(t *testing.T) {
	all, _ := demoFolder(t)
	first, err := openState(all.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first.close()
	orphan := filepath.Join(all.Config.StateDir(), "bodies", "ab", strings.Repeat("ab", 16))
	held := filepath.Join(all.Config.StateDir(), "spool", "append-1")
	for _, file := range []string{orphan, held} {
		if err := os.WriteFile(file, []byte("half a message"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newState(t, all.Config)
	for _, file := range []string{orphan, held} {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestDamagedState: a state with a row that cannot be read opens, so that mail is served and check-store can say what is wrong.
func TestDamagedState(t *testing.T) {
	all, _ := demoFolder(t)
	st, err := openState(all.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = st.db.Update(t.Context(), func(tx store.Writer) error {
		return tx.Set([]byte("b/r/\x00\x00\x00\x00\x00\x00\x00\x07"), []byte("x"))
	})
	if err != nil {
		t.Fatal(err)
	}
	st.close()
	var said strings.Builder
	if st, err = openState(all.Config, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
		t.Fatal(err)
	}
	defer st.close()
	if !strings.Contains(said.String(), "balorg check-store") {
		t.Errorf("the log says %q", said.String())
	}
	problems, err := st.check(t.Context())
	if err != nil || len(problems) != 1 || !strings.HasPrefix(problems[0], "body 7: row of 1 octets is too short") {
		t.Errorf("found %q, %v", problems, err)
	}
	var done []string
	problems, err = st.repair(t.Context(), func(what string) { done = append(done, what) })
	if err != nil || len(problems) > 0 || len(done) == 0 {
		t.Errorf("repaired %q, left %q, %v", done, problems, err)
	}
}

// TestManyAccounts: a platform whose accounts do not fit into one transaction starts, and all its people can leave by force.
func TestManyAccounts(t *testing.T) {
	const n = 40
	all, _ := demoFolder(t)
	st := newState(t, all.Config)
	st.maxChanges = 3
	crowd, roster := *all, *all.Roster
	roster.Accounts = slices.Clone(roster.Accounts)
	for i := range n {
		roster.Accounts = append(roster.Accounts, &policy.Account{
			Address: mail.Address(fmt.Sprintf("person%d@clinique-des-sapins.fr", i)), Kind: policy.Med, State: policy.Active,
		})
	}
	crowd.Roster = &roster
	for _, a := range snapshotOf(t, st, &crowd, day0).Accounts() {
		if a.ID == "" || a.State == policy.Closed {
			t.Fatalf("%s is %s", a.Address, a.State)
		}
	}
	for _, tt := range []struct {
		force bool
		held  int
	}{{false, n}, {true, 0}} {
		if _, held, err := st.snapshot(t.Context(), all, day0, tt.force); err != nil || held != tt.held {
			t.Errorf("without the crowd, by force %v: %d accounts held, %v", tt.force, held, err)
		}
	}
	if err := st.expire(t.Context(), day0.Add(keeping+time.Second), keeping); err != nil {
		t.Error(err)
	}
	states := make(map[policy.IdentityState]int)
	known, err := st.identities(t.Context())
	for _, i := range known {
		states[i.State]++
	}
	if err != nil || states[policy.IdentityExpired] != n || states[policy.IdentityLive] != 9 {
		t.Errorf("%v, %v", states, err)
	}
}

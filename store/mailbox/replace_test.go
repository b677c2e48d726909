package mailbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/mailbox"
)

// incoming is a message that has come in.
func (f *fixture) incoming(text string, flags ...string) mailbox.Incoming {
	f.t.Helper()
	m, err := f.NewMessage(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(m.Discard)
	if _, err := m.Write([]byte(text)); err != nil {
		f.t.Fatal(err)
	}
	set, err := mailbox.ParseFlags(flags)
	if err != nil {
		f.t.Fatal(err)
	}
	return mailbox.Incoming{Message: m, Flags: set, Date: time.Unix(1, 0)}
}

// counts are the messages and octets of a folder, and the octets of its account.
func counts(t *testing.T, a *mailbox.Account, name string) string {
	t.Helper()
	s, err := a.Status(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	u, err := a.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %d %d", s.Messages, s.Size, u.Octets)
}

// TestReplace: the one comes and the other goes, or nothing happens.
func TestReplace(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a, b := f.account(claire, 100), f.account(noemie, 50)
	f.append(a, "INBOX", strings.Repeat("x", 60))
	f.append(a, "INBOX", strings.Repeat("y", 30))
	one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
	p, err := one.Replace(t.Context(), 1, a, "INBOX", f.incoming(strings.Repeat("z", 70), `\Draft`, "Blue"))
	if err != nil || p.UID != 3 || counts(t, a, "INBOX") != "2 100 100" {
		t.Fatalf("%+v, %v; %s", p, err, counts(t, a, "INBOX"))
	}
	for _, v := range []*mailbox.View{one, two} {
		if got := events(t, v, true); got != "expunge 1, exists 2, recent 1, keywords 0" && got != "expunge 1, exists 2, recent 2, keywords 0" && got != "expunge 1, exists 2, keywords 0" {
			t.Errorf("told %q", got)
		}
		if got := flagsOf(v, 2); got != `\Draft Blue` {
			t.Errorf("flags %q", got)
		}
	}
	before := counts(t, a, "INBOX")
	ro := f.open(a, "INBOX", true)
	for _, tt := range []struct {
		v    *mailbox.View
		uid  uint32
		dst  *mailbox.Account
		name string
		size int
		want error
	}{
		{one, 1, a, "INBOX", 1, mailbox.ErrExpunged},
		{one, 9, a, "INBOX", 1, mailbox.ErrExpunged},
		{one, 2, a, "INBOX", 31, mailbox.ErrOverQuota},
		{one, 2, a, "nowhere", 1, mailbox.ErrNoFolder},
		{one, 2, a, "", 1, mailbox.ErrNoFolder},
		{one, 2, b, "INBOX", 51, mailbox.ErrOverQuota},
		{ro, 2, a, "INBOX", 1, mailbox.ErrReadOnly},
	} {
		if _, err := tt.v.Replace(t.Context(), tt.uid, tt.dst, tt.name, f.incoming(strings.Repeat("w", tt.size))); !errors.Is(err, tt.want) {
			t.Errorf("%d by %d octets in %q: %v, want %v", tt.uid, tt.size, tt.name, err, tt.want)
		}
	}
	if got := counts(t, a, "INBOX"); got != before {
		t.Errorf("after what failed: %s, want %s", got, before)
	}
	if _, err := one.Replace(t.Context(), 2, b, "INBOX", f.incoming(strings.Repeat("w", 50))); err != nil || counts(t, a, "INBOX") != "1 70 70" || counts(t, b, "INBOX") != "1 50 50" {
		t.Errorf("into another account: %v; %s and %s", err, counts(t, a, "INBOX"), counts(t, b, "INBOX"))
	}
}

// TestDeliverAll: all are there, in their order, or none.
func TestDeliverAll(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 200)
	deliver := func(name string, sizes ...int) ([]mailbox.Placed, error) {
		var all mailbox.Together
		defer all.Discard()
		for _, size := range sizes {
			if err := all.Add(f.incoming(strings.Repeat("x", size))); err != nil {
				return nil, err
			}
		}
		return a.DeliverAll(t.Context(), name, &all)
	}
	if placed, err := deliver("INBOX", 10, 20, 30); err != nil || len(placed) != 3 || placed[0].UID != 1 || placed[2].UID != 3 || placed[2].ModSeq != placed[0].ModSeq+2 {
		t.Errorf("%+v, %v", placed, err)
	}
	for name, want := range map[string]error{"INBOX": mailbox.ErrOverQuota, "nowhere": mailbox.ErrNoFolder} {
		if _, err := deliver(name, 50, 50, 50); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if got := counts(t, a, "INBOX"); got != "3 60 60" {
		t.Errorf("%s", got)
	}
	var many mailbox.Together
	defer many.Discard()
	var err error
	for n := 0; err == nil && n < 10_000; n++ {
		in := f.incoming("X: " + strings.Repeat("x", 100_000) + "\r\n\r\n")
		if err = many.Add(in); err != nil {
			in.Message.Discard()
		}
	}
	if !errors.Is(err, store.ErrTooBig) || many.Len() < 10 || many.Len() > 100 {
		t.Errorf("%d with long headers, %v", many.Len(), err)
	}
}

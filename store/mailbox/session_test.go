package mailbox_test

import (
	"errors"
	"fmt"
	"testing"

	"balorg/store/mailbox"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTwoSessions(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	for i := range 4 {
		f.append(a, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
	if one.Recent() != 4 || two.Recent() != 0 {
		t.Errorf("recent: %d and %d, want 4 and 0", one.Recent(), two.Recent())
	}
	changed, err := one.StoreFlags(t.Context(), []uint32{1, 3, 9}, mailbox.AddFlags, flagSet(t, `\Deleted`, "Urgent"))
	if diff := cmp.Diff([]uint32{1, 3}, changed); err != nil || diff != "" {
		t.Fatalf("store: %v\n%s", err, diff)
	}
	if got := events(t, one, true); got != "keywords 0" {
		t.Errorf("the session that stored is told %q", got)
	}
	<-two.Changed()
	if got := events(t, two, true); got != "keywords 0, flags 1, flags 3" {
		t.Errorf("the other is told %q", got)
	}
	gone, err := one.Expunge(t.Context(), nil)
	if diff := cmp.Diff([]uint32{1, 3}, gone); err != nil || diff != "" {
		t.Fatalf("expunge: %v\n%s", err, diff)
	}
	f.append(a, "INBOX", "\r\nnew")
	<-two.Changed()
	if got := events(t, two, false); got != "exists 5, recent 1" {
		t.Errorf("with expunges held back the other is told %q", got)
	}
	if m, ok := two.Message(3); !ok || m.UID != 3 {
		t.Errorf("an expunged message it was not told of: %+v, %v", m, ok)
	}
	if _, err := two.Open(t.Context(), 3); !errors.Is(err, mailbox.ErrExpunged) {
		t.Errorf("opening it: %v", err)
	}
	if _, err := two.Detail(t.Context(), 3, mailbox.WantHeader); !errors.Is(err, mailbox.ErrExpunged) {
		t.Errorf("its detail: %v", err)
	}
	if got := events(t, two, true); got != "expunge 1, expunge 2" {
		t.Errorf("then %q", got)
	}
	if got := events(t, one, true); got != "expunge 1, expunge 2, exists 3" {
		t.Errorf("the first is told %q", got)
	}
	if one.Seq(2) != 1 || one.Seq(3) != 0 || one.UID(3) != 5 || one.UID(4) != 0 || one.SeqAtLeast(3) != 2 {
		t.Error("sequence numbers after the expunge are wrong")
	}
	if err := a.Delete(t.Context(), "Corbeille"); err != nil {
		t.Fatal(err)
	}
}

// TestForeignChangeUnderOwn: flags another session set are told even where this session has stored to the same message since.
func TestForeignChangeUnderOwn(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.append(a, "INBOX", "\r\nx")
	one, two := f.open(a, "INBOX", false), f.open(a, "INBOX", false)
	for _, s := range []struct {
		v    *mailbox.View
		flag string
	}{{two, `\Flagged`}, {one, `\Seen`}} {
		if _, err := s.v.StoreFlags(t.Context(), []uint32{1}, mailbox.AddFlags, flagSet(t, s.flag)); err != nil {
			t.Fatal(err)
		}
	}
	if got := events(t, one, true); got != "flags 1" {
		t.Errorf("told %q", got)
	}
	if got := flagsOf(one, 1); got != `\Seen \Flagged` {
		t.Errorf("flags %q", got)
	}
}

func TestRecent(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.append(a, "INBOX", "\r\n1")
	recent := func() uint32 {
		s, err := a.Status(t.Context(), "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		return s.Recent
	}
	if v := f.open(a, "INBOX", true); v.Recent() != 1 || recent() != 1 {
		t.Error("a read-only session took the recent message")
	}
	v := f.open(a, "INBOX", false)
	if v.Recent() != 1 || recent() != 0 {
		t.Errorf("a read-write session has %d recent messages, and STATUS %d", v.Recent(), recent())
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	again := mailbox.New(f.st, f.bodies, mailbox.Options{})
	b, err := again.Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Status(t.Context(), "INBOX")
	if err != nil || s.Recent != 0 {
		t.Errorf("after a restart %d messages are recent again, %v", s.Recent, err)
	}
}

func TestCopyAndMove(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a, b := f.account(claire, 0), f.account(noemie, 0)
	for i := range 3 {
		f.append(a, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), "Blue", `\Seen`)
	}
	f.append(b, "Archives", "\r\nx", "Red")
	v, other := f.open(a, "INBOX", false), f.open(b, "Archives", false)
	c, err := v.Copy(t.Context(), []uint32{1, 3}, b, "Archives")
	if diff := cmp.Diff(mailbox.Copied{Source: []uint32{1, 3}, Target: []uint32{2, 3}}, c, cmpopts.IgnoreFields(c, "UIDValidity")); err != nil || diff != "" {
		t.Fatalf("copy: %v\n%s", err, diff)
	}
	if got := events(t, other, true); got != "exists 3, recent 3, keywords 0" {
		t.Errorf("the target's session is told %q", got)
	}
	if got := flagsOf(other, 3); got != `\Seen Blue` {
		t.Errorf("a copy has flags %q", got)
	}
	if c, err = v.Move(t.Context(), []uint32{2, 3}, b, "Archives"); err != nil || c.UIDValidity != other.Folder().UIDValidity {
		t.Fatalf("move: %+v, %v", c, err)
	}
	if got := events(t, v, true); got != "expunge 2, expunge 2" {
		t.Errorf("the source's session is told %q", got)
	}
	if c, err = v.Move(t.Context(), []uint32{1}, a, "INBOX"); err != nil || c.Target[0] != 4 {
		t.Errorf("move within the folder: %+v, %v", c, err)
	}
	if got := events(t, v, true); got != "expunge 1, exists 1, recent 1" {
		t.Errorf("then it is told %q", got)
	}
	for name, want := range map[string]error{"nowhere": mailbox.ErrNoFolder, "": mailbox.ErrNoFolder} {
		if _, err := v.Copy(t.Context(), []uint32{4}, b, name); !errors.Is(err, want) {
			t.Errorf("copy to %q: %v", name, err)
		}
		if _, err := v.Move(t.Context(), nil, b, name); !errors.Is(err, want) {
			t.Errorf("move of nothing to %q: %v", name, err)
		}
	}
	ro := f.open(a, "INBOX", true)
	_, errStore := ro.StoreFlags(t.Context(), []uint32{4}, mailbox.AddFlags, mailbox.FlagSet{})
	_, errExpunge := ro.Expunge(t.Context(), nil)
	_, errMove := ro.Move(t.Context(), []uint32{4}, a, "Archives")
	for _, err := range []error{errStore, errExpunge, errMove} {
		if !errors.Is(err, mailbox.ErrReadOnly) {
			t.Errorf("a read-only session: %v", err)
		}
	}
}

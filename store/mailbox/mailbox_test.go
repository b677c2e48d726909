package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
	"balorg/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	claire = mail.AccountID("claireclaireclai")
	noemie = mail.AccountID("noemienoemienoem")
)

// fixture is a mail store in memory; every invariant of it is checked when the test ends.
type fixture struct {
	t      testing.TB
	st     *store.DB
	bodies *body.Bodies
	*mailbox.Store
}

func newFixture(tb testing.TB, opt mailbox.Options) *fixture {
	tb.Helper()
	st := storetest.New(tb)
	bodies, err := body.New(st, tb.TempDir(), body.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if opt.Now == nil {
		opt.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	}
	f := &fixture{tb, st, bodies, mailbox.New(st, bodies, opt)}
	storetest.CheckAtEnd(tb, st, f, body.Checker{Bodies: bodies, Referrers: []body.Referrer{f}})
	return f
}

func (f *fixture) account(id mail.AccountID, quota int64) *mailbox.Account {
	f.t.Helper()
	a, err := f.Account(f.t.Context(), id, quota)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *fixture) append(a *mailbox.Account, name, msg string, flags ...string) mailbox.Placed {
	f.t.Helper()
	p, err := a.Append(f.t.Context(), name, strings.NewReader(msg), flagSet(f.t, flags...), time.Unix(1_700_000_000, 0))
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) open(a *mailbox.Account, name string, readOnly bool) *mailbox.View {
	f.t.Helper()
	v, err := a.Select(f.t.Context(), name, readOnly)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := v.Close(); err != nil {
			f.t.Errorf("close view: %v", err)
		}
	})
	return v
}

func flagSet(tb testing.TB, names ...string) mailbox.FlagSet {
	tb.Helper()
	set, err := mailbox.ParseFlags(names)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// events writes what Sync says in short: "expunge 1, exists 3".
func events(tb testing.TB, v *mailbox.View, allowExpunge bool) string {
	tb.Helper()
	list, err := v.Sync(tb.Context(), allowExpunge)
	if err != nil {
		tb.Fatal(err)
	}
	words := []string{"expunge", "exists", "recent", "keywords", "flags"}
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %d", words[e.Kind], e.Seq))
	}
	return strings.Join(out, ", ")
}

func flagsOf(v *mailbox.View, seq uint32) string {
	m, _ := v.Message(seq)
	return string(mailbox.AppendFlags(nil, m.Flags, v.Keywords()))
}

func names(tb testing.TB, a *mailbox.Account) (out []string) {
	tb.Helper()
	list, err := a.Folders(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range list {
		name := f.Name
		if f.NoSelect {
			name = "(" + name + ")"
		}
		out = append(out, name)
	}
	return out
}

func TestFirstUse(t *testing.T) {
	for _, tt := range []struct {
		names mailbox.Names
		want  map[string]mailbox.SpecialUse
	}{
		{mailbox.FrenchNames, map[string]mailbox.SpecialUse{"INBOX": "", "Brouillons": `\Drafts`, "Envoyés": `\Sent`, "Indésirables": `\Junk`, "Corbeille": `\Trash`, "Archives": `\Archive`}},
		{mailbox.EnglishNames, map[string]mailbox.SpecialUse{"INBOX": "", "Drafts": `\Drafts`, "Sent": `\Sent`, "Junk": `\Junk`, "Trash": `\Trash`, "Archive": `\Archive`}},
	} {
		f := newFixture(t, mailbox.Options{Names: tt.names})
		f.account(claire, 0)
		list, err := f.account(claire, 0).Folders(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]mailbox.SpecialUse{}
		for _, folder := range list {
			got[folder.Name] = folder.SpecialUse
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || list[0].Name != mailbox.Inbox {
			t.Errorf("folders of a new account, the first %s (-want +got):\n%s", list[0].Name, diff)
		}
	}
}

func TestAppendAndRead(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	msg := "Subject: un\r\nFrom: a@b\r\n\r\nbonjour\r\n"
	date := time.Date(2026, 11, 2, 10, 0, 0, 0, time.FixedZone("", 3600))
	p, err := a.Append(t.Context(), "inbox", strings.NewReader(msg), flagSet(t, `\seen`, "Urgent"), date)
	if err != nil {
		t.Fatal(err)
	}
	v := f.open(a, "InBox", false)
	m, ok := v.Message(1)
	if !ok || m.UID != p.UID || m.Size != int64(len(msg)) || !m.Recent || !m.Date.Equal(date) || m.Date.Format("-0700") != "+0100" {
		t.Errorf("message 1 is %+v, placed as %+v", m, p)
	}
	if got := flagsOf(v, 1); got != `\Seen Urgent` {
		t.Errorf("its flags are %q", got)
	}
	d, err := v.Detail(t.Context(), 1, mailbox.WantStructure|mailbox.WantHeader)
	if err != nil {
		t.Fatal(err)
	}
	wantEnv := `(NIL "un" ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`
	if string(d.Envelope) != wantEnv || string(d.Header) != msg[:len(msg)-9] {
		t.Errorf("ENVELOPE %s, header %q", d.Envelope, d.Header)
	}
	off, n, ok := d.Section([]int{1}, structure.All)
	if !ok || msg[off:off+n] != "bonjour\r\n" {
		t.Errorf("section 1 is %d+%d, %v", off, n, ok)
	}
	r, err := v.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != msg {
		t.Errorf("octets read: %q, %v", got, err)
	}
	want := mailbox.Folder{
		Name: "INBOX", UIDValidity: p.UIDValidity, UIDNext: 2, HighestModSeq: p.ModSeq, Messages: 1, Recent: 1, Size: int64(len(msg)),
		Keywords: []string{"Urgent"}, ID: p.Folder,
	}
	if diff := cmp.Diff(want, v.Folder()); diff != "" {
		t.Errorf("folder (-want +got):\n%s", diff)
	}
	if u, err := a.Usage(t.Context()); err != nil || u != (mailbox.Usage{Messages: 1, Octets: int64(len(msg))}) {
		t.Errorf("usage %+v, %v", u, err)
	}
}

func TestLimitsOfDelivery(t *testing.T) {
	f := newFixture(t, mailbox.Options{MaxMessage: 100})
	a := f.account(claire, 150)
	try := func(name string, size int, keywords ...string) error {
		_, err := a.Append(t.Context(), name, strings.NewReader(strings.Repeat("x", size)), mailbox.FlagSet{Keywords: keywords}, time.Now())
		return err
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	for _, tt := range []struct {
		what string
		err  error
		want error
	}{
		{"fits", try("INBOX", 100), nil},
		{"larger than one message may be", try("INBOX", 101), mailbox.ErrTooLarge},
		{"over quota", try("INBOX", 51), mailbox.ErrOverQuota},
		{"fits exactly", try("INBOX", 49), nil},
		{"no folder", try("nowhere", 1), mailbox.ErrNoFolder},
		{"no name", try("", 1), mailbox.ErrNoFolder},
		{"too many keywords", try("INBOX", 1, many...), mailbox.ErrTooManyKeywords},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.err, tt.want)
		}
	}
	_, err := f.open(a, "INBOX", false).Copy(t.Context(), []uint32{1, 2}, a, "Corbeille")
	if !errors.Is(err, mailbox.ErrOverQuota) {
		t.Errorf("a copy over quota: %v", err)
	}
	if c, err := f.open(a, "INBOX", false).Move(t.Context(), []uint32{1, 2}, a, "Corbeille"); err != nil || len(c.Target) != 2 {
		t.Errorf("a move at quota: %+v, %v", c, err)
	}
}

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

func TestTree(t *testing.T) {
	f := newFixture(t, mailbox.Options{Names: mailbox.EnglishNames})
	a := f.account(claire, 0)
	ctx := t.Context()
	f.append(a, "INBOX", "\r\n1")
	create := func(name string) func() error { return func() error { return a.Create(ctx, name, mailbox.NoUse) } }
	rename := func(from, to string) func() error { return func() error { return a.Rename(ctx, from, to) } }
	remove := func(name string) func() error { return func() error { return a.Delete(ctx, name) } }
	const standard = "INBOX Archive Drafts Junk Sent Trash"
	for _, tt := range []struct {
		what string
		do   func() error
		want error
		tree string // besides the standard folders; "" where it stays
	}{
		{"create with levels", create("a/b/c"), nil, "(a) (a/b) a/b/c"},
		{"create a level", create("a/"), nil, "a (a/b) a/b/c"},
		{"create again", create("a"), mailbox.ErrFolderExists, ""},
		{"create inbox", create("inbox"), mailbox.ErrFolderExists, ""},
		{"empty level", create("a//b"), mailbox.ErrBadName, ""},
		{"wildcard", create("a*"), mailbox.ErrBadName, ""},
		{"control", create("a\x00"), mailbox.ErrBadName, ""},
		{"long", create(strings.Repeat("a", 501)), mailbox.ErrBadName, ""},
		{"rename with children", rename("a", "z/y"), nil, "(z) z/y (z/y/b) z/y/b/c"},
		{"rename below itself", rename("z", "z/y/q"), mailbox.ErrInbox, ""},
		{"rename over another", rename("z", "Sent"), mailbox.ErrFolderExists, ""},
		{"rename what is not there", rename("a", "b"), mailbox.ErrNoFolder, ""},
		{"rename over inbox", rename("z", "INBOX"), mailbox.ErrInbox, ""},
		{"delete with children", remove("z/y"), nil, "(z) (z/y) (z/y/b) z/y/b/c"},
		{"delete a level with children", remove("z/y"), mailbox.ErrHasChildren, ""},
		{"rename leaves no empty level", rename("z/y/b/c", "c"), nil, "c"},
		{"rename inbox", rename("INBOX", "INBOX/old"), nil, "INBOX/old c"},
		{"delete inbox", remove("INBOX"), mailbox.ErrInbox, ""},
		{"delete", remove("c"), nil, "INBOX/old"},
		{"delete again", remove("c"), mailbox.ErrNoFolder, ""},
	} {
		before := strings.Join(names(t, a), " ")
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
		got := strings.Join(names(t, a), " ")
		if tt.want != nil {
			if got != before {
				t.Errorf("%s changed the folders to %s", tt.what, got)
			}
			continue
		}
		want := map[string]bool{}
		for name := range strings.FieldsSeq(standard + " " + tt.tree) {
			want[name] = true
		}
		have := map[string]bool{}
		for name := range strings.FieldsSeq(got) {
			have[name] = true
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
	old, err := a.Status(ctx, "INBOX/old")
	inbox, err2 := a.Status(ctx, "INBOX")
	if err != nil || err2 != nil || old.Messages != 1 || inbox.Messages != 0 || old.UIDValidity == inbox.UIDValidity {
		t.Errorf("after the rename INBOX is %+v, the other %+v", inbox, old)
	}
}

func TestUIDValidityIsNeverGivenTwice(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	seen := map[uint32]bool{}
	for range 5 {
		if err := a.Create(t.Context(), "a", mailbox.NoUse); err != nil {
			t.Fatal(err)
		}
		p := f.append(a, "a", "\r\n")
		if seen[p.UIDValidity] || p.UID != 1 {
			t.Errorf("UIDVALIDITY %d, UID %d", p.UIDValidity, p.UID)
		}
		seen[p.UIDValidity] = true
		v := f.open(a, "a", false)
		if err := a.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		<-v.Changed()
		if _, err := v.Sync(t.Context(), true); !errors.Is(err, mailbox.ErrNoFolder) {
			t.Errorf("a session in a deleted folder: %v", err)
		}
		if _, err := v.StoreFlags(t.Context(), []uint32{1}, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Seen}); !errors.Is(err, mailbox.ErrNoFolder) {
			t.Errorf("a store in a deleted folder: %v", err)
		}
	}
}

func TestRemove(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	f.append(a, "INBOX", "\r\n1")
	v := f.open(a, "INBOX", false)
	c, err := v.Copy(t.Context(), []uint32{1}, f.account(noemie, 0), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Remove(t.Context(), claire); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Sync(t.Context(), true); !errors.Is(err, mailbox.ErrNoFolder) {
		t.Errorf("a session of a removed mailbox: %v", err)
	}
	if _, err := f.open(f.account(noemie, 0), "INBOX", true).Open(t.Context(), c.Target[0]); err != nil {
		t.Errorf("the copy in another mailbox: %v", err)
	}
}

func TestParallelAppends(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	v := f.open(a, "INBOX", false)
	const writers, each = 8, 25
	errs := make(chan error)
	for range writers {
		go func() {
			var err error
			for range each {
				_, e := a.Append(context.WithoutCancel(t.Context()), "INBOX", strings.NewReader("\r\nx"), mailbox.FlagSet{}, time.Now())
				err = errors.Join(err, e)
			}
			errs <- err
		}()
	}
	for running := writers; running > 0; {
		select {
		case err := <-errs:
			running--
			if err != nil {
				t.Error(err)
			}
		case <-v.Changed():
			events(t, v, true)
			for seq := uint32(1); seq <= v.Len(); seq++ {
				if v.UID(seq) != seq {
					t.Fatalf("message %d has UID %d", seq, v.UID(seq))
				}
			}
		}
	}
	events(t, v, true)
	if v.Len() != writers*each {
		t.Errorf("%d messages, want %d", v.Len(), writers*each)
	}
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want mailbox.FlagSet
		err  error
	}{
		{`\SEEN \Recent \draft`, mailbox.FlagSet{System: mailbox.Seen | mailbox.Draft}, nil},
		{`$Label1 $label1 b`, mailbox.FlagSet{Keywords: []string{"$Label1", "b"}}, nil},
		{`\Foo`, mailbox.FlagSet{}, mailbox.ErrBadFlag},
		{`é`, mailbox.FlagSet{}, mailbox.ErrBadFlag},
		{strings.Repeat("k", 129), mailbox.FlagSet{}, mailbox.ErrBadFlag},
	} {
		got, err := mailbox.ParseFlags(strings.Fields(tt.in))
		if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v\n%s", tt.in, err, diff)
		}
	}
}

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
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"

	"github.com/google/go-cmp/cmp"
)

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

func TestUIDValidityDiffersBetweenAccounts(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	seen := map[uint32]bool{}
	for _, id := range []mail.AccountID{claire, "anotheraccountid"} {
		folders, err := f.account(id, 0).Folders(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if seen[folder.UIDValidity] {
				t.Errorf("%s of %s has the UIDVALIDITY %d of another folder", folder.Name, id, folder.UIDValidity)
			}
			seen[folder.UIDValidity] = true
		}
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

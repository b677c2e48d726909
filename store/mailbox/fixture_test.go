package mailbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
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

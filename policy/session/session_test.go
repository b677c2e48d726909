package session_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/policy"
	"balorg/policy/session"
)

// fake is a session that notes what it is told.
type fake struct {
	info session.Info

	mu      sync.Mutex
	ended   []string
	checked []*policy.Snapshot
}

func (f *fake) Info() session.Info { return f.info }

func (f *fake) Recheck(s *policy.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = append(f.checked, s)
}

func (f *fake) End(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, why)
}

// said is what End was called with.
func (f *fake) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ended)
}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const (
	claire = mail.Address("claire.durand@clinique-des-sapins.fr")
	paul   = mail.Address("paul.bernard@clinique-des-sapins.fr")
)

func newFake(id string, person mail.Address, since time.Time) *fake {
	return &fake{info: session.Info{ID: id, Protocol: "imap", Person: person, Mailbox: person, Since: since}}
}

func ids(infos []session.Info) []string {
	var all []string
	for _, i := range infos {
		all = append(all, i.ID)
	}
	return all
}

func TestListIsInOrderOfAge(t *testing.T) {
	var table session.Table
	if got := table.List(); len(got) != 0 || table.Len() != 0 {
		t.Errorf("an empty table lists %v", got)
	}
	for _, f := range []*fake{
		newFake("young", claire, noon.Add(time.Hour)), newFake("b", paul, noon), newFake("a", claire, noon),
		newFake("old", paul, noon.Add(-time.Hour)),
	} {
		table.Add(f.info.ID, f)
	}
	want := []string{"old", "a", "b", "young"}
	if diff := cmp.Diff(want, ids(table.List())); diff != "" {
		t.Error(diff)
	}
	if table.Len() != 4 {
		t.Errorf("%d sessions", table.Len())
	}
}

func TestListAnswersWhatSessionsSay(t *testing.T) {
	var table session.Table
	f := newFake("one", claire, noon)
	f.info.Using = []mail.Address{paul}
	f.info.Client = netip.MustParseAddrPort("192.0.2.7:4711")
	table.Add("one", f)
	byAddr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff([]session.Info{f.info}, table.List(), byAddr); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	var table session.Table
	first, second := newFake("one", claire, noon), newFake("two", paul, noon)
	remove := table.Add("one", first)
	table.Add("two", second)
	remove()
	remove() // a session may close twice
	if diff := cmp.Diff([]string{"two"}, ids(table.List())); diff != "" {
		t.Error(diff)
	}
	if table.End("one", "late") {
		t.Error("a session that is gone was ended")
	}
	if len(first.ended) > 0 {
		t.Errorf("it was told %q", first.ended)
	}
}

func TestEnd(t *testing.T) {
	var table session.Table
	first, second := newFake("one", claire, noon), newFake("two", claire, noon)
	table.Add("one", first)
	table.Add("two", second)
	if table.End("three", "why") {
		t.Error("an unknown session was ended")
	}
	if !table.End("two", "by an administrator") {
		t.Error("a known session was not found")
	}
	if diff := cmp.Diff([]string{"by an administrator"}, second.ended); diff != "" {
		t.Error(diff)
	}
	if len(first.ended) > 0 {
		t.Errorf("another session was told %q", first.ended)
	}
	if table.Len() != 2 {
		t.Error("a session leaves the table when it has ended, not when it is told to")
	}
}

func TestEndPerson(t *testing.T) {
	var table session.Table
	theirs, theirsToo, other := newFake("one", claire, noon), newFake("two", claire, noon), newFake("three", paul, noon)
	other.info.Mailbox = claire // works in Claire's mailbox, as himself
	for _, f := range []*fake{theirs, theirsToo, other} {
		table.Add(f.info.ID, f)
	}
	table.EndPerson(claire, "password changed")
	for _, f := range []*fake{theirs, theirsToo} {
		if diff := cmp.Diff([]string{"password changed"}, f.ended); diff != "" {
			t.Errorf("%s: %s", f.info.ID, diff)
		}
	}
	if len(other.ended) > 0 {
		t.Errorf("another person's session was told %q", other.ended)
	}
}

// TestRecheckAsksEverySession also lets a session leave the table while it is asked: the table's lock is not held then.
func TestRecheckAsksEverySession(t *testing.T) {
	var table session.Table
	first := newFake("one", claire, noon)
	leaving := &leaver{fake: newFake("two", paul, noon)}
	table.Add("one", first)
	leaving.leave = table.Add("two", leaving)
	snap := policy.NewSnapshot(&policy.Roster{}, nil, nil)
	table.Recheck(snap)
	for _, f := range []*fake{first, leaving.fake} {
		if len(f.checked) != 1 || f.checked[0] != snap {
			t.Errorf("%s looked at %d snapshots", f.info.ID, len(f.checked))
		}
	}
	if diff := cmp.Diff([]string{"one"}, ids(table.List())); diff != "" {
		t.Error(diff)
	}
}

type leaver struct {
	*fake
	leave func()
}

func (l *leaver) Recheck(s *policy.Snapshot) {
	l.fake.Recheck(s)
	l.leave()
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	var table session.Table
	snap := policy.NewSnapshot(&policy.Roster{}, nil, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				id := session.NewID()
				remove := table.Add(id, newFake(id, claire, noon))
				table.Recheck(snap)
				table.List()
				if !table.End(id, "done") {
					t.Errorf("session %s is not there", id)
				}
				remove()
			}
		})
	}
	wg.Wait()
	if table.Len() != 0 {
		t.Errorf("%d sessions are left", table.Len())
	}
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := session.NewID()
		if len(id) != 12 || seen[id] {
			t.Fatalf("id %q", id)
		}
		for _, r := range id {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				t.Fatalf("id %q holds %q", id, r)
			}
		}
		seen[id] = true
	}
}

// TestEndCredential ends the sessions of one credential, those included that were about to be added.
func TestEndCredential(t *testing.T) {
	var table session.Table
	with := func(id, credential string) *fake {
		f := newFake(id, claire, noon)
		f.info = f.info.With(policy.Means{Method: policy.MethodToken, ID: credential, Name: "scanner"})
		table.Add(id, f)
		return f
	}
	scanner, phone, password := with("a", "token/scanner"), with("b", "token/phone"), with("c", "")
	table.EndCredential("token/scanner")
	late, other := with("d", "token/scanner"), with("e", "")
	for _, tt := range []struct {
		f    *fake
		ends int
	}{{scanner, 1}, {phone, 0}, {password, 0}, {late, 1}, {other, 0}} {
		if len(tt.f.said()) != tt.ends {
			t.Errorf("%s: ended %q", tt.f.info.ID, tt.f.said())
		}
	}
	if info := table.List()[0]; info.Device != "scanner" || info.Method != policy.MethodToken {
		t.Errorf("listed as %+v", info)
	}
}

// TestUntil: a session whose time is over ends, and one that has left is left alone.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table session.Table
		stays, leaves := newFake("stays", claire, time.Now()), newFake("leaves", claire, time.Now())
		for _, f := range []*fake{stays, leaves} {
			f.info = f.info.With(policy.Means{Until: time.Now().Add(time.Hour)})
		}
		table.Add("stays", stays)
		table.Add("leaves", leaves)()
		<-time.After(time.Hour - 1)
		synctest.Wait()
		if len(stays.said()) > 0 {
			t.Error("ended too early")
		}
		<-time.After(1)
		synctest.Wait()
		if len(stays.said()) != 1 || len(leaves.said()) != 0 {
			t.Errorf("ended %q and %q", stays.said(), leaves.said())
		}
	})
}

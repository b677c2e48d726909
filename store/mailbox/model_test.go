package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"balorg/mail"
	"balorg/store/mailbox"
)

// The model: what a person with a pencil would write down of two folders.
type (
	modelMessage struct {
		flags  string // in the order AppendFlags writes them
		text   string
		modseq uint64
	}
	modelFolder struct {
		messages map[uint32]modelMessage
		uidNext  uint32
		modseq   uint64
		used     map[uint32]bool
		gone     map[uint32]uint64 // when each expunged message went
	}
	// modelView is what a client believes: it applies what Sync tells it and nothing else.
	modelView struct {
		*mailbox.View
		folder string
		uids   []uint32
		flags  map[uint32]string
	}
	model struct {
		t       *rapid.T
		f       *fixture
		opt     mailbox.Options
		id      mail.AccountID
		a       *mailbox.Account
		folders map[string]*modelFolder
		views   []*modelView
		text    int
	}
)

var modelFolders = []string{"INBOX", "Archives"}

func (m *model) folderName() string { return rapid.SampledFrom(modelFolders).Draw(m.t, "folder") }

func (m *model) drawFlags() mailbox.FlagSet {
	set, err := mailbox.ParseFlags(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{`\Seen`, `\Deleted`, `\Flagged`, "Blue", "Red"}), 0, 3, rapid.ID[string]).Draw(m.t, "flags"))
	if err != nil {
		m.t.Fatal(err)
	}
	return set
}

// words are the flags of a set, sorted: the order of keywords differs between folders.
func words(s string) string {
	list := strings.Fields(s)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func setWords(set mailbox.FlagSet) string {
	return words(string(mailbox.AppendFlags(nil, mailbox.Flags{System: set.System}, nil)) + " " + strings.Join(set.Keywords, " "))
}

func (m *model) check(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) view() *modelView {
	if len(m.views) == 0 {
		m.t.Skip("no view")
	}
	return rapid.SampledFrom(m.views).Draw(m.t, "view")
}

func (m *model) append(*rapid.T) {
	name, set := m.folderName(), m.drawFlags()
	m.text++
	text := fmt.Sprintf("Subject: %d\r\n\r\n", m.text)
	p, err := m.a.Append(m.f.t.Context(), name, strings.NewReader(text), set, time.Unix(1, 0))
	m.check(err)
	m.put(name, p.UID, modelMessage{setWords(set), text, p.ModSeq})
}

// highest is the folder's modification sequence: that of what the last command changed there.
func (m *model) highest(name string) uint64 {
	s, err := m.a.Status(m.f.t.Context(), name)
	m.check(err)
	return s.HighestModSeq
}

func (m *model) put(name string, uid uint32, msg modelMessage) {
	f := m.folders[name]
	if f.used[uid] || uid < f.uidNext {
		m.t.Fatalf("UID %d of %s is given again", uid, name)
	}
	f.used[uid], f.uidNext, f.messages[uid] = true, uid+1, msg
}

func (m *model) open(*rapid.T) {
	if len(m.views) == 4 {
		m.t.Skip("enough views")
	}
	name := m.folderName()
	v, err := m.a.Select(m.f.t.Context(), name, false)
	m.check(err)
	mv := &modelView{View: v, folder: name, flags: map[uint32]string{}}
	for seq := uint32(1); seq <= v.Len(); seq++ {
		mv.learn(m, seq)
	}
	m.views = append(m.views, mv)
}

// learn fetches message seq, which the client knows to be there.
func (v *modelView) learn(m *model, seq uint32) {
	meta, ok := v.Message(seq)
	if !ok {
		m.t.Fatalf("message %d of %d is not there", seq, v.Len())
	}
	if int(seq) > len(v.uids) {
		v.uids = append(v.uids, meta.UID)
	}
	v.flags[v.uids[seq-1]] = words(string(mailbox.AppendFlags(nil, meta.Flags, v.Keywords())))
}

func (m *model) close(*rapid.T) {
	v := m.view()
	m.check(v.Close())
	m.views = slices.DeleteFunc(m.views, func(o *modelView) bool { return o == v })
}

func (v *modelView) draw(m *model) []uint32 {
	if len(v.uids) == 0 {
		m.t.Skip("empty view")
	}
	uids := rapid.SliceOfNDistinct(rapid.SampledFrom(v.uids), 1, 4, rapid.ID[uint32]).Draw(m.t, "uids")
	slices.Sort(uids)
	return uids
}

func (m *model) store(*rapid.T) {
	v := m.view()
	uids, set, op := v.draw(m), m.drawFlags(), m.drawOp()
	changed, err := v.StoreFlags(m.f.t.Context(), uids, op, set)
	m.check(err)
	m.stored(v, uids, op, set, changed)
}

// storeAll changes all messages that the client knows of.
func (m *model) storeAll(*rapid.T) {
	v := m.view()
	set, op := m.drawFlags(), m.drawOp()
	changed, err := v.StoreFlags(m.f.t.Context(), v.uids, op, set)
	m.check(err)
	m.stored(v, v.uids, op, set, changed)
}

// fold has the rows say what changes of many messages at once did.
func (m *model) fold(*rapid.T) { m.check(m.a.Fold(m.f.t.Context(), m.folderName())) }

// foldPart does so in part, and ends the store.
func (m *model) foldPart(t *rapid.T) {
	if err := m.a.FoldPart(m.f.t.Context(), m.folderName()); err != nil && !errors.Is(err, context.Canceled) {
		m.check(err)
	}
	m.reopen(t)
}

func (m *model) drawOp() mailbox.FlagOp {
	return rapid.SampledFrom([]mailbox.FlagOp{mailbox.AddFlags, mailbox.RemoveFlags, mailbox.ReplaceFlags}).Draw(m.t, "op")
}

// storeUnchanged is a STORE on what has not changed since 0, some message's sequence, or one beside it.
func (m *model) storeUnchanged(*rapid.T) {
	v := m.view()
	uids, set, op, f := v.draw(m), m.drawFlags(), m.drawOp(), m.folders[v.folder]
	since := uint64(0)
	if rapid.IntRange(0, 3).Draw(m.t, "not zero") > 0 {
		msg := f.messages[rapid.SampledFrom(uids).Draw(m.t, "since")]
		since = msg.modseq + uint64(rapid.IntRange(0, 1).Draw(m.t, "after"))
	}
	changed, modified, err := v.StoreUnchanged(m.f.t.Context(), uids, op, set, since)
	m.check(err)
	var pass, want []uint32
	for _, uid := range uids {
		msg, ok := f.messages[uid]
		has := slices.ContainsFunc(set.Keywords, func(k string) bool { return slices.Contains(strings.Fields(msg.flags), k) })
		absent := since == 0 && op != mailbox.ReplaceFlags && set.System == 0 && len(set.Keywords) > 0 && !has
		switch {
		case !ok:
		case msg.modseq <= since || absent:
			pass = append(pass, uid)
		default:
			want = append(want, uid)
		}
	}
	if !slices.Equal(want, modified) {
		m.t.Fatalf("store on what has not changed since %d: modified are %v, want %v", since, modified, want)
	}
	m.stored(v, pass, op, set, changed)
}

// stored has the model do what a STORE on these messages does, and holds what changed against it.
func (m *model) stored(v *modelView, uids []uint32, op mailbox.FlagOp, set mailbox.FlagSet, changed []uint32) {
	f, arg := m.folders[v.folder], strings.Fields(setWords(set))
	modseq := m.highest(v.folder)
	var want []uint32
	for _, uid := range uids {
		msg, ok := f.messages[uid]
		if !ok {
			continue
		}
		have := strings.Fields(msg.flags)
		switch op {
		case mailbox.AddFlags:
			have = slices.Compact(slices.Sorted(slices.Values(append(have, arg...))))
		case mailbox.RemoveFlags:
			have = slices.DeleteFunc(have, func(s string) bool { return slices.Contains(arg, s) })
		default:
			have = arg
		}
		if next := strings.Join(have, " "); next != msg.flags {
			want = append(want, uid)
			f.messages[uid] = modelMessage{next, msg.text, modseq}
		}
	}
	if !slices.Equal(want, changed) {
		m.t.Fatalf("store changed %v, want %v", changed, want)
	}
	for _, uid := range changed { // the server answers the STORE with these
		v.learn(m, v.Seq(uid))
	}
}

func (m *model) expunge(*rapid.T) {
	v := m.view()
	var uids []uint32
	if rapid.Bool().Draw(m.t, "uid expunge") {
		uids = v.draw(m)
	}
	gone, err := v.Expunge(m.f.t.Context(), uids)
	m.check(err)
	f, modseq := m.folders[v.folder], m.highest(v.folder)
	var want []uint32
	for _, uid := range slices.Sorted(maps.Keys(f.messages)) {
		if strings.Contains(f.messages[uid].flags, `\Deleted`) && (uids == nil || slices.Contains(uids, uid)) {
			want = append(want, uid)
			delete(f.messages, uid)
			f.gone[uid] = modseq
		}
	}
	if !slices.Equal(want, gone) {
		m.t.Fatalf("expunged %v, want %v", gone, want)
	}
}

func (m *model) transfer(move bool) {
	v, to := m.view(), m.folderName()
	uids := v.draw(m)
	do := v.Copy
	if move {
		do = v.Move
	}
	c, err := do(m.f.t.Context(), uids, m.a, to)
	m.check(err)
	from := m.folders[v.folder]
	var want []uint32
	for _, uid := range uids {
		if _, ok := from.messages[uid]; ok {
			want = append(want, uid)
		}
	}
	if !slices.Equal(want, c.Source) {
		m.t.Fatalf("transferred %v, want %v", c.Source, want)
	}
	modseq := m.highest(to)
	for i, uid := range c.Source {
		msg := from.messages[uid]
		msg.modseq = modseq
		m.put(to, c.Target[i], msg)
		if move {
			delete(from.messages, uid)
			from.gone[uid] = m.highest(v.folder)
		}
	}
}

// vanished asks what has gone since some time that a client knew of.
func (m *model) vanished(*rapid.T) {
	v := m.view()
	since := rapid.Uint64Range(0, m.highest(v.folder)+1).Draw(m.t, "since")
	uids, complete, err := v.Vanished(m.f.t.Context(), since)
	m.check(err)
	var want []uint32
	for _, uid := range slices.Sorted(maps.Keys(m.folders[v.folder].gone)) {
		if m.folders[v.folder].gone[uid] > since && !slices.Contains(v.uids, uid) {
			want = append(want, uid)
		}
	}
	if !complete || !slices.Equal(want, uids) {
		m.t.Fatalf("gone since %d are %v (all: %v), want %v", since, uids, complete, want)
	}
}

func (m *model) copy(*rapid.T) { m.transfer(false) }
func (m *model) move(*rapid.T) { m.transfer(true) }

// sync has a client apply what it is told, and compares what it then believes with the model.
func (m *model) sync(*rapid.T) {
	m.syncView(m.view(), rapid.Bool().Draw(m.t, "expunge allowed"))
}

func (m *model) syncView(v *modelView, allow bool) {
	list, err := v.Sync(m.f.t.Context(), allow)
	m.check(err)
	for _, e := range list {
		switch e.Kind {
		case mailbox.EventExpunge:
			if !allow || v.uids[e.Seq-1] != e.UID {
				m.t.Fatalf("expunge of %d (UID %d) in %v, allowed: %v", e.Seq, e.UID, v.uids, allow)
			}
			v.uids = slices.Delete(v.uids, int(e.Seq-1), int(e.Seq))
			delete(v.flags, e.UID)
		case mailbox.EventExists:
			for seq := uint32(len(v.uids) + 1); seq <= e.Seq; seq++ {
				v.learn(m, seq)
			}
		case mailbox.EventFlags:
			v.learn(m, e.Seq)
		case mailbox.EventRecent, mailbox.EventKeywords:
		}
	}
	if int(v.Len()) != len(v.uids) {
		m.t.Fatalf("the view has %d messages, its client %v", v.Len(), v.uids)
	}
	f := m.folders[v.folder]
	for i, uid := range v.uids {
		if v.UID(uint32(i+1)) != uid || v.Seq(uid) != uint32(i+1) {
			m.t.Fatalf("message %d has UID %d, its client says %d", i+1, v.UID(uint32(i+1)), uid)
		}
		msg, ok := f.messages[uid]
		if !ok && allow {
			m.t.Fatalf("UID %d is gone and its client was not told", uid)
		}
		if ok && v.flags[uid] != msg.flags {
			m.t.Fatalf("UID %d has flags %q, its client believes %q", uid, msg.flags, v.flags[uid])
		}
	}
	for uid := range f.messages {
		if !slices.Contains(v.uids, uid) {
			m.t.Fatalf("UID %d is there and its client was not told", uid)
		}
	}
	if n := v.Folder().HighestModSeq; n < f.modseq {
		m.t.Fatalf("the modification sequence went from %d to %d", f.modseq, n)
	}
}

// reopen is a restart: all views end, and a new Store reads everything from disk.
func (m *model) reopen(*rapid.T) {
	for _, v := range m.views {
		m.check(v.Close())
	}
	m.views = nil
	m.f.Store = mailbox.New(m.f.st, m.f.bodies, m.opt)
	a, err := m.f.Account(m.f.t.Context(), m.id, 0)
	m.check(err)
	m.a = a
}

// compare holds the store against the model.
func (m *model) compare(*rapid.T) {
	for name, f := range m.folders {
		s, err := m.a.Status(m.f.t.Context(), name)
		m.check(err)
		want := mailbox.Folder{ID: s.ID, Name: name, SpecialUse: s.SpecialUse, UIDValidity: s.UIDValidity, UIDNext: f.uidNext, HighestModSeq: s.HighestModSeq, Recent: s.Recent, Keywords: s.Keywords}
		for _, msg := range f.messages {
			want.Messages++
			want.Size += int64(len(msg.text))
			if !strings.Contains(msg.flags, `\Seen`) {
				want.Unseen++
			}
			if strings.Contains(msg.flags, `\Deleted`) {
				want.Deleted++
			}
		}
		if diff := cmp.Diff(want, s); diff != "" || s.HighestModSeq < f.modseq {
			m.t.Fatalf("%s, modification sequence %d before (-want +got):\n%s", name, f.modseq, diff)
		}
		f.modseq = s.HighestModSeq
	}
	for _, v := range m.views {
		for i := range v.uids {
			meta, ok := v.Message(uint32(i + 1))
			if !ok {
				m.t.Fatalf("message %d of %d is not answered", i+1, len(v.uids))
			}
			if msg, ok := m.folders[v.folder].messages[meta.UID]; ok && msg.modseq != meta.ModSeq {
				m.t.Fatalf("UID %d has the modification sequence %d, want %d", meta.UID, meta.ModSeq, msg.modseq)
			}
		}
	}
}

// TestModel: whatever sessions do at once, no client ever believes anything wrong, through restarts too. Each round has an
// account of its own in one store.
func TestModel(t *testing.T) {
	t.Run("rows", func(t *testing.T) { testModel(t, mailbox.Options{}) })
	t.Run("marks", func(t *testing.T) { testModel(t, mailbox.Options{MarkFrom: 2, MarkMost: 4}) })
}

func testModel(t *testing.T, opt mailbox.Options) {
	t.Helper()
	f := newFixture(t, opt)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		id := mail.AccountID(fmt.Sprintf("round%d", round))
		m := &model{t: rt, f: f, opt: opt, id: id, a: f.account(id, 0), folders: map[string]*modelFolder{}}
		for _, name := range modelFolders {
			m.folders[name] = &modelFolder{messages: map[uint32]modelMessage{}, used: map[uint32]bool{}, gone: map[uint32]uint64{}, uidNext: 1}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "open": m.open, "close": m.close, "store": m.store, "store unchanged": m.storeUnchanged, "expunge": m.expunge,
			"copy": m.copy, "move": m.move, "sync": m.sync, "reopen": m.reopen, "vanished": m.vanished,
			"store all": m.storeAll, "fold": m.fold, "fold in part": m.foldPart, "": m.compare,
		})
		for _, v := range m.views {
			m.syncView(v, true)
			m.check(v.Close())
		}
	})
}

package embedded_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"balorg/imapproxy/embedded"
	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

// The model: what is in a folder, written down by hand, and what each client believes of it, who has nothing but what it is told.
type (
	imapModel struct {
		t       *rapid.T
		tb      testing.TB
		boxes   func() *mailbox.Store
		srv     *embedded.Server
		account mail.AccountID
		truth   map[uint32]string // flags by UID
		next    uint32            // the next UID
		clients []*believer
	}
	// believer is a client with INBOX open. Of one that uses QRESYNC the belief outlives its connection.
	believer struct {
		*client
		m        *imapModel
		qresync  bool
		online   bool
		uids     []uint32          // by sequence number; 0: not asked for yet
		flags    map[uint32]string // by UID
		validity string
		highest  uint64
		earlier  bool // VANISHED (EARLIER) may come
		opening  bool // … of messages that it believes to be there
		numbered bool // no message may be renumbered now
	}
)

func (b *believer) fail(format string, args ...any) {
	b.m.t.Fatalf("%s (client believes %v)", fmt.Sprintf(format, args...), b.uids)
}

// run sends a command and believes what it hears; it answers the tagged line.
func (b *believer) run(format string, args ...any) string {
	command := fmt.Sprintf(format, args...)
	b.numbered = strings.HasPrefix(command, "FETCH") || strings.HasPrefix(command, "STORE") || strings.HasPrefix(command, "SEARCH")
	lines := b.do("%s", command)
	for _, line := range lines[:len(lines)-1] {
		b.believe(line)
	}
	last := lines[len(lines)-1]
	b.code(last)
	b.learn() // before it hears that any of them is gone again
	return last
}

// code takes up where the server says that the client stands.
func (b *believer) code(line string) {
	if _, text, found := strings.Cut(line, "[UIDVALIDITY "); found {
		b.validity, _, _ = strings.Cut(text, "]")
	}
	_, text, found := strings.Cut(line, "[HIGHESTMODSEQ ")
	if !found {
		return
	}
	digits, _, _ := strings.Cut(text, "]")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		b.fail("%s: %v", line, err)
	}
	b.highest = n
}

func (b *believer) believe(line string) {
	var n uint32
	var word string
	switch {
	case strings.HasPrefix(line, "* VANISHED "):
		b.vanished(strings.TrimPrefix(line, "* VANISHED "))
	case strings.HasPrefix(line, "* OK "):
		b.code(line)
	default:
		if count, _ := fmt.Sscanf(line, "* %d %s", &n, &word); count != 2 {
			return
		}
	}
	switch word {
	case "EXISTS":
		if int(n) < len(b.uids) {
			b.fail("%s: there were more", line)
		}
		b.uids = append(b.uids, make([]uint32, int(n)-len(b.uids))...)
	case "EXPUNGE":
		if b.qresync || b.numbered || n == 0 || int(n) > len(b.uids) {
			b.fail("%s may not be told now", line)
		}
		b.forget(int(n) - 1)
	case "FETCH":
		b.fetched(n, line)
	}
}

func (b *believer) forget(i int) {
	delete(b.flags, b.uids[i])
	b.uids = slices.Delete(b.uids, i, i+1)
}

func (b *believer) vanished(text string) {
	set, earlier := strings.CutPrefix(text, "(EARLIER) ")
	if !b.qresync || earlier && !b.earlier || b.numbered {
		b.fail("VANISHED %s may not be told now", text)
	}
	s, err := wire.ParseNumSet(set)
	if err != nil {
		b.fail("VANISHED %s: %v", text, err)
	}
	for _, r := range s.Resolve(0) {
		for uid := r.First; uid <= r.Last; uid++ {
			i := slices.Index(b.uids, uid)
			switch {
			case i >= 0 && earlier && !b.opening:
				b.fail("VANISHED %s: its numbers count %d still", text, uid)
			case i >= 0:
				b.forget(i)
			case !earlier:
				b.fail("VANISHED %s: the client does not have %d", text, uid)
			}
		}
	}
}

// fetched takes up UID, flags and modification sequence of "* n FETCH (…)".
func (b *believer) fetched(n uint32, line string) {
	_, items, _ := strings.Cut(line, "FETCH ")
	p := wire.NewParser([]byte(items))
	var uid uint32
	flags, told := "", false
	err := p.List(func() error {
		name, err := p.Word()
		if err == nil {
			err = p.SP()
		}
		if err != nil {
			return err
		}
		switch name {
		case "UID":
			uid, err = p.Number()
		case "FLAGS":
			var list []string
			list, err = p.FlagList()
			list = slices.DeleteFunc(list, func(f string) bool { return f == `\Recent` })
			slices.Sort(list)
			flags, told = strings.Join(list, " "), true
		case "MODSEQ":
			err = p.List(func() error {
				modseq, err := p.Number64()
				b.highest = max(b.highest, uint64(modseq))
				return err
			})
		}
		return err
	})
	switch {
	case err != nil || n == 0 || int(n) > len(b.uids):
		b.fail("%s: %v", line, err)
	case uid > 0 && b.uids[n-1] == 0:
		b.uids[n-1] = uid
	case uid > 0 && b.uids[n-1] != uid:
		b.fail("%s is told of what is %d", line, b.uids[n-1])
	}
	if uid = b.uids[n-1]; told && uid > 0 {
		b.flags[uid] = flags
	}
}

// learn asks for what came since.
func (b *believer) learn() {
	if i := slices.Index(b.uids, 0); i >= 0 {
		b.run("FETCH %d:* (UID FLAGS)", i+1)
	}
}

// open connects, and opens INBOX; who has seen it before catches up with it.
func (b *believer) open() {
	b.client = dial(b.m.tb, b.m.srv, embedded.Who{Account: b.m.account})
	b.online = true
	if b.qresync {
		b.run("ENABLE QRESYNC")
	}
	if !b.qresync || b.highest == 0 {
		b.uids, b.flags = nil, map[uint32]string{}
		b.run("SELECT INBOX")
		return
	}
	// Sequence numbers are found from UIDs once all that is gone is known: EXISTS and FETCH come beside.
	lines := b.do("SELECT INBOX (QRESYNC (%s %d))", b.validity, b.highest)
	b.earlier, b.opening = true, true
	for _, line := range lines {
		if strings.HasPrefix(line, "* VANISHED ") {
			b.believe(line)
		}
	}
	b.earlier, b.opening = false, false
	for _, line := range lines {
		var n uint32
		switch {
		case strings.HasSuffix(line, " EXISTS"):
			b.believe(line)
		case strings.Contains(line, " FETCH "):
			if _, err := fmt.Sscanf(line, "* %d ", &n); err != nil {
				b.fail("%s: %v", line, err)
			}
			b.believe(line)
		}
	}
	for _, line := range lines {
		b.code(line)
	}
	b.learn()
}

// check holds what the client believes against what is there, once it has heard all news.
func (b *believer) check() {
	if !b.online {
		return
	}
	b.run("NOOP")
	want := slices.Sorted(maps.Keys(b.m.truth))
	if !slices.Equal(want, b.uids) {
		b.fail("there are %v", want)
	}
	for uid, flags := range b.m.truth {
		if b.flags[uid] != flags {
			b.fail("%d has flags %q, and is believed to have %q", uid, flags, b.flags[uid])
		}
	}
}

func (m *imapModel) draw() *believer {
	online := slices.DeleteFunc(slices.Clone(m.clients), func(b *believer) bool { return !b.online })
	if len(online) == 0 {
		m.t.Skip("nobody is there")
	}
	return rapid.SampledFrom(online).Draw(m.t, "client")
}

// messages draws messages that a client knows: their sequence numbers and UIDs.
func (b *believer) messages() (seqs, uids []uint32) {
	if len(b.uids) == 0 {
		b.m.t.Skip("empty")
	}
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(b.uids)-1), 1, 3, rapid.ID[int]).Draw(b.m.t, "messages") {
		seqs, uids = append(seqs, uint32(i+1)), append(uids, b.uids[i])
	}
	slices.Sort(seqs)
	slices.Sort(uids)
	return seqs, uids
}

func (m *imapModel) drawFlags() string {
	list := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{`\Seen`, `\Deleted`, `\Flagged`, "Bleu"}), 1, 3, rapid.ID[string]).Draw(m.t, "flags")
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (m *imapModel) arrive(flags string) {
	m.truth[m.next] = flags
	m.next++
}

func (m *imapModel) append(*rapid.T) {
	flags := m.drawFlags()
	m.draw().run("APPEND INBOX (%s) %s", flags, literal(fmt.Sprintf("Subject: %d\r\n\r\n", m.next)))
	m.arrive(flags)
}

func (m *imapModel) appendTwo(*rapid.T) {
	one, two := m.drawFlags(), m.drawFlags()
	m.draw().run("APPEND INBOX (%s) %s (%s) %s", one, literal("a: b\r\n\r\n"), two, literal("c: d\r\n\r\n"))
	m.arrive(one)
	m.arrive(two)
}

func (m *imapModel) store(*rapid.T) {
	b := m.draw()
	seqs, uids := b.messages()
	flags, op := m.drawFlags(), rapid.SampledFrom([]string{"+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "-FLAGS.SILENT"}).Draw(m.t, "op")
	command := fmt.Sprintf("STORE %s %s (%s)", wire.FormatNumbers(seqs), op, flags)
	if rapid.Bool().Draw(m.t, "by UID") {
		command = fmt.Sprintf("UID STORE %s %s (%s)", wire.FormatNumbers(uids), op, flags)
	}
	b.run("%s", command)
	for _, uid := range uids {
		if have, there := m.truth[uid]; there {
			m.truth[uid] = changed(have, op, flags)
			if strings.HasSuffix(op, "SILENT") && slices.Contains(b.uids, uid) { // the client knows what it did, on what it knew
				b.flags[uid] = changed(b.flags[uid], op, flags)
			}
		}
	}
}

func changed(have, op, flags string) string {
	old, arg := strings.Fields(have), strings.Fields(flags)
	switch strings.TrimSuffix(op, ".SILENT") {
	case "+FLAGS":
		old = append(old, arg...)
	case "-FLAGS":
		old = slices.DeleteFunc(old, func(f string) bool { return slices.Contains(arg, f) })
	default:
		old = arg
	}
	slices.Sort(old)
	return strings.Join(slices.Compact(old), " ")
}

func (m *imapModel) expunge(*rapid.T) {
	b := m.draw()
	var among []uint32
	command := "EXPUNGE"
	if len(b.uids) > 0 && rapid.Bool().Draw(m.t, "by UID") {
		_, among = b.messages()
		command = "UID EXPUNGE " + wire.FormatNumbers(among)
	}
	b.run("%s", command)
	m.gone(among)
}

// gone takes the deleted messages out, all or those among some UIDs.
func (m *imapModel) gone(among []uint32) {
	for uid, flags := range m.truth {
		if strings.Contains(flags, `\Deleted`) && (among == nil || slices.Contains(among, uid)) {
			delete(m.truth, uid)
		}
	}
}

func (m *imapModel) move(*rapid.T) {
	b := m.draw()
	_, uids := b.messages()
	b.run("UID MOVE %s Archives", wire.FormatNumbers(uids))
	for _, uid := range uids {
		delete(m.truth, uid)
	}
}

func (m *imapModel) copy(*rapid.T) {
	b := m.draw()
	seqs, uids := b.messages()
	last := b.run("COPY %s INBOX", wire.FormatNumbers(seqs))
	lost := slices.ContainsFunc(uids, func(uid uint32) bool { _, there := m.truth[uid]; return !there })
	if lost != strings.HasPrefix(last, "NO ") {
		b.fail("COPY of %v: %s", uids, last)
	}
	for _, uid := range uids {
		if !lost {
			m.arrive(m.truth[uid])
		}
	}
}

func (m *imapModel) replace(*rapid.T) {
	b := m.draw()
	seqs, uids := b.messages()
	flags := m.drawFlags()
	last := b.run("REPLACE %d INBOX (%s) %s", seqs[0], flags, literal("e: f\r\n\r\n"))
	if _, there := m.truth[uids[0]]; there != strings.HasPrefix(last, "OK ") {
		b.fail("REPLACE of %d: %s", uids[0], last)
	} else if there {
		delete(m.truth, uids[0])
		m.arrive(flags)
	}
}

// fetch looks at messages without news of numbers.
func (m *imapModel) fetch(*rapid.T) {
	b := m.draw()
	seqs, _ := b.messages()
	b.run("FETCH %s %s", wire.FormatNumbers(seqs), rapid.SampledFrom([]string{"(UID FLAGS)", "(MODSEQ)", "FLAGS"}).Draw(m.t, "items"))
}

// fetchVanished asks what has changed and gone since some time.
func (m *imapModel) fetchVanished(*rapid.T) {
	b := m.draw()
	if !b.qresync || b.highest == 0 {
		m.t.Skip("no QRESYNC")
	}
	b.earlier = true
	b.run("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", rapid.Uint64Range(1, b.highest).Draw(m.t, "since"))
	b.earlier = false
}

// storeUnchanged changes what has not changed since the client last looked, or some time before.
func (m *imapModel) storeUnchanged(*rapid.T) {
	b := m.draw()
	_, uids := b.messages()
	flags := m.drawFlags()
	before := make(map[uint32]string, len(uids))
	for _, uid := range uids {
		before[uid] = b.flags[uid]
	}
	last := b.run("UID STORE %s (UNCHANGEDSINCE %d) +FLAGS.SILENT (%s)", wire.FormatNumbers(uids), rapid.Uint64Range(1, b.highest+1).Draw(m.t, "since"), flags)
	_, text, _ := strings.Cut(last, "[MODIFIED ")
	text, _, _ = strings.Cut(text, "]")
	modified, err := wire.ParseNumSet(text)
	if text != "" && err != nil {
		b.fail("%s: %v", last, err)
	}
	for _, uid := range uids {
		have, there := m.truth[uid]
		if !there || modified.Contains(uid, 0) {
			continue
		}
		m.truth[uid] = changed(have, "+FLAGS", flags)
		if slices.Contains(b.uids, uid) && b.flags[uid] == before[uid] { // unless it has been told since
			b.flags[uid] = changed(before[uid], "+FLAGS", flags)
		}
	}
}

// search looks for flags, by what the client knows of numbers.
func (m *imapModel) search(*rapid.T) {
	b := m.draw()
	b.run("SEARCH FLAGGED")
	b.run("SORT (ARRIVAL) UTF-8 ALL")
}

// leave ends a client's session: in order, or cut off.
func (m *imapModel) leave(*rapid.T) {
	b := m.draw()
	switch rapid.IntRange(0, 2).Draw(m.t, "how") {
	case 0:
		deleted := slices.DeleteFunc(slices.Clone(b.uids), func(uid uint32) bool { return !strings.Contains(b.flags[uid], `\Deleted`) })
		last := b.run("CLOSE")
		m.gone(nil)
		if b.qresync && strings.Contains(last, "[HIGHESTMODSEQ ") { // it has seen all but what it removed, which it knows
			for _, uid := range deleted {
				if _, there := m.truth[uid]; !there {
					b.forget(slices.Index(b.uids, uid))
				}
			}
		}
	case 1:
		b.run("UNSELECT")
	}
	b.conn.Close()
	b.online = false
}

func (m *imapModel) enter(*rapid.T) {
	away := slices.DeleteFunc(slices.Clone(m.clients), func(b *believer) bool { return b.online })
	if len(away) == 0 {
		m.t.Skip("all are there")
	}
	b := rapid.SampledFrom(away).Draw(m.t, "client")
	b.open()
	b.check()
}

// restart is another server on the same state.
func (m *imapModel) restart(*rapid.T) {
	for _, b := range m.clients {
		if b.online {
			b.conn.Close()
			b.online = false
		}
	}
	m.srv = embedded.New(m.boxes(), embedded.Options{})
	for _, b := range m.clients {
		b.open()
	}
}

// TestModel: whatever several clients do at once, to one message or to all, none believes anything wrong: not by sequence numbers, nor by UIDs,
// nor by modification sequences when it comes back.
func TestModel(t *testing.T) {
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	boxes := func() *mailbox.Store {
		return mailbox.New(st, bodies, mailbox.Options{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	}
	storetest.CheckAtEnd(t, st, boxes(), body.Checker{Bodies: bodies, Referrers: []body.Referrer{boxes()}})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &imapModel{t: rt, tb: t, boxes: boxes, srv: embedded.New(boxes(), embedded.Options{}), account: mail.AccountID(fmt.Sprintf("modelround%06d", round)), truth: map[uint32]string{}, next: 1}
		for _, qresync := range []bool{true, true, false} {
			b := &believer{m: m, qresync: qresync, flags: map[uint32]string{}}
			m.clients = append(m.clients, b)
			b.open()
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append two": m.appendTwo, "store": m.store, "store again": m.store, "expunge": m.expunge, "move": m.move, "copy": m.copy, "replace": m.replace,
			"fetch": m.fetch, "fetch vanished": m.fetchVanished, "store unchanged": m.storeUnchanged, "search": m.search, "leave": m.leave, "enter": m.enter, "enter again": m.enter, "restart": m.restart,
			"check": func(*rapid.T) { m.draw().check() },
		})
		for _, b := range m.clients {
			if !b.online {
				b.open()
			}
			b.check()
			b.conn.Close()
		}
	})
}

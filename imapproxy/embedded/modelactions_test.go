package embedded_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

func (d *dialogue) connect(*rapid.T) {
	if len(d.clients) == 4 {
		d.t.Skip("enough clients")
	}
	d.dial(rapid.IntRange(plainMode, qresyncMode).Draw(d.t, "mode"))
}

// leave ends a connection; the last one stays.
func (d *dialogue) leave(*rapid.T) {
	if len(d.clients) == 1 {
		d.t.Skip("the last client")
	}
	c := d.anyClient()
	c.ok("LOGOUT")
	c.conn.Close()
	d.clients = slices.DeleteFunc(d.clients, func(o *believer) bool { return o == c })
}

// open selects a folder; a client that knows it of before has it told what has changed (RFC 7162, 3.2.5), and that must be all.
func (d *dialogue) open(*rapid.T) {
	c, name := d.anyClient(), d.drawName()
	f := d.folders[name]
	c.folder, c.uids, c.flags, c.follow = name, nil, map[uint32]string{}, nil
	known, resync := c.known[name]
	if !resync || c.mode != qresyncMode {
		verb := "SELECT %s"
		if c.mode == condStoreMode {
			verb = "SELECT %s (CONDSTORE)"
		}
		_, tagged := d.run(c, true, verb, name)
		d.must(tagged, "OK [READ-WRITE]")
		return
	}
	told, tagged := answered(c.do("SELECT %s (QRESYNC (%s %d))", name, f.validity, known.modseq))
	d.must(tagged, "OK [READ-WRITE]")
	have := maps.Clone(known.flags)
	for _, line := range told {
		if m := vanishedLine.FindStringSubmatch(line); m != nil {
			for _, uid := range d.numbers(m[2]) {
				delete(have, uid)
			}
		} else if uid := uidItem.FindStringSubmatch(line); uid != nil {
			n, _ := strconv.Atoi(uid[1])
			have[uint32(n)] = sortedWords(strings.Fields(flagsItem.FindStringSubmatch(line)[1]))
		}
	}
	d.hear(c, "SELECT", told, true)
	d.ask(c)
	want := map[uint32]string{}
	for uid, msg := range f.messages {
		want[uid] = msg.flags
	}
	if !maps.Equal(have, want) {
		d.t.Fatalf("SELECT (QRESYNC) of what was known at %d tells %q: the client has %v, want %v", known.modseq, told, have, want)
	}
}

func (d *dialogue) unselect(*rapid.T) {
	c := d.anyClient()
	if c.folder == "" {
		d.t.Skip("nothing is open")
	}
	c.ok("UNSELECT")
	c.folder, c.uids, c.flags, c.follow = "", nil, nil, nil
}

// append adds one message or several, each with a modification sequence of its own.
func (d *dialogue) append(*rapid.T) {
	c, name := d.anyClient(), d.drawName()
	f := d.folders[name]
	command := "APPEND " + name
	first := f.uidNext
	for range rapid.IntRange(1, 3).Draw(d.t, "messages") {
		d.subject++
		f.highest++
		flags, subject := d.drawFlags(), fmt.Sprint(d.subject)
		text := "Subject: " + subject + "\r\n\r\n"
		command += fmt.Sprintf(" (%s) {%d+}\r\n%s", strings.Join(flags, " "), len(text), text)
		f.messages[f.uidNext] = modelMessage{sortedWords(flags), subject, f.highest}
		f.uidNext++
	}
	_, tagged := d.run(c, true, "%s", command)
	want := fmt.Sprint(first)
	if f.uidNext-first > 1 {
		want = fmt.Sprintf("%d:%d", first, f.uidNext-1)
	}
	d.must(tagged, fmt.Sprintf("OK [APPENDUID %s %s]", f.validity, want))
}

// drawSet names some of the messages that a client knows of, by number or by UID.
func (d *dialogue) drawSet(c *believer) (uids []uint32, verb, set string) {
	seqs := rapid.SliceOfNDistinct(rapid.IntRange(1, len(c.uids)), 1, rapid.SampledFrom([]int{4, len(c.uids)}).Draw(d.t, "most"), rapid.ID[int]).Draw(d.t, "messages")
	slices.Sort(seqs)
	byUID := rapid.Bool().Draw(d.t, "by UID")
	var names []string
	for _, n := range seqs {
		uids = append(uids, c.uids[n-1])
		if byUID {
			n = int(c.uids[n-1])
		}
		names = append(names, fmt.Sprint(n))
	}
	if byUID {
		verb = "UID "
	}
	return uids, verb, strings.Join(names, ",")
}

func (d *dialogue) store(*rapid.T) {
	c := d.selected()
	f := d.folders[c.folder]
	uids, verb, set := d.drawSet(c)
	op, flags := rapid.SampledFrom([]string{"+", "-", ""}).Draw(d.t, "op"), d.drawFlags()
	silent := rapid.SampledFrom([]string{"", ".SILENT"}).Draw(d.t, "silent")
	since, condition := uint64(1<<62), ""
	if c.mode != plainMode && rapid.Bool().Draw(d.t, "conditional") {
		since = max(2, f.messages[uids[0]].modseq) - uint64(rapid.IntRange(0, 1).Draw(d.t, "before"))
		condition = fmt.Sprintf("(UNCHANGEDSINCE %d) ", since)
	}
	changed, missing := false, false
	var modified []uint32
	for _, uid := range uids {
		msg, there := f.messages[uid]
		missing = missing || !there
		if !there {
			continue
		}
		if msg.modseq > since {
			modified = append(modified, uid)
			continue
		}
		if now := changeFlags(msg.flags, op, flags); now != msg.flags {
			f.messages[uid] = modelMessage{now, msg.subject, f.highest + 1}
			changed = true
		}
	}
	if changed {
		f.highest++
	}
	before := slices.Clone(c.uids)
	_, tagged := d.run(c, verb != "", "%sSTORE %s %s%sFLAGS%s (%s)", verb, set, condition, op, silent, strings.Join(flags, " "))
	if !missing || verb != "" {
		d.must(tagged, "OK ")
	}
	told := ""
	for _, uid := range modified {
		if verb == "" {
			uid = uint32(slices.Index(before, uid) + 1)
		}
		told += fmt.Sprintf(" %d", uid)
	}
	if code := modifiedCode.FindStringSubmatch(tagged); (code != nil) != (told != "") || code != nil && fmt.Sprint(d.numbers(code[1])) != "["+told[1:]+"]" {
		d.t.Fatalf("%q, want those modified:%s", tagged, told)
	}
	if silent != "" { // it is not told, and knows
		for _, uid := range uids {
			_, known := c.flags[uid]
			if msg, there := f.messages[uid]; there && known && !slices.Contains(modified, uid) {
				c.flags[uid] = msg.flags
			}
		}
	}
}

var (
	modifiedCode = regexp.MustCompile(`\[MODIFIED ([0-9,:]+)\]`)
	copyCode     = regexp.MustCompile(`\[COPYUID (\d+) ([0-9,:]+) ([0-9,:]+)\]`)
)

func changeFlags(have, op string, flags []string) string {
	list := strings.Fields(have)
	switch op {
	case "+":
		list = append(list, flags...)
	case "-":
		list = slices.DeleteFunc(list, func(s string) bool { return slices.Contains(flags, s) })
	default:
		list = flags
	}
	list = slices.Sorted(slices.Values(list))
	return sortedWords(slices.Compact(list))
}

// expunge removes what is marked, of the whole folder or of some messages.
func (d *dialogue) expunge(*rapid.T) {
	c := d.selected()
	f := d.folders[c.folder]
	command, uids := "EXPUNGE", f.sortedUIDs()
	if rapid.Bool().Draw(d.t, "some") {
		list := rapid.SliceOfNDistinct(rapid.SampledFrom(c.uids), 1, 4, rapid.ID[uint32]).Draw(d.t, "messages")
		slices.Sort(list)
		command = "UID EXPUNGE " + strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ",")
		uids = list
	}
	gone := false
	for _, uid := range uids {
		if msg, there := f.messages[uid]; there && strings.Contains(msg.flags, `\Deleted`) {
			delete(f.messages, uid)
			gone = true
		}
	}
	if gone {
		f.highest++
	}
	_, tagged := d.run(c, true, "%s", command)
	d.must(tagged, "OK ")
	d.upToDate(c, command)
}

// copy copies or moves into the other folder.
func (d *dialogue) copy(*rapid.T) {
	c := d.selected()
	uids, verb, set := d.drawSet(c)
	move := rapid.Bool().Draw(d.t, "move")
	command := verb + map[bool]string{false: "COPY", true: "MOVE"}[move]
	from, name := d.folders[c.folder], modelNames[0]
	if c.folder == name {
		name = modelNames[1]
	}
	to := d.folders[name]
	there := slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool { _, ok := from.messages[uid]; return !ok })
	refused := verb == "" && len(there) < len(uids)
	first := to.uidNext
	if len(there) > 0 && !refused {
		to.highest++
		for _, uid := range there {
			msg := from.messages[uid]
			to.messages[to.uidNext] = modelMessage{msg.flags, msg.subject, to.highest}
			to.uidNext++
			if move {
				delete(from.messages, uid)
			}
		}
		if move {
			from.highest++
		}
	}
	told, tagged := d.run(c, true, "%s %s %s", command, set, name)
	if refused {
		d.must(tagged, "NO [EXPUNGEISSUED]")
		return
	}
	d.must(tagged, "OK ")
	code := copyCode.FindStringSubmatch(strings.Join(append(told, tagged), "\n"))
	if (code != nil) != (len(there) > 0) || code != nil && (code[1] != to.validity || !slices.Equal(d.numbers(code[2]), there) || d.numbers(code[3])[0] != first) {
		d.t.Fatalf("%s %s: %q %q, want %v from %d on", command, set, told, tagged, there, first)
	}
}

// search looks for a flag; what others have expunged may be found or not until the client is told.
func (d *dialogue) search(*rapid.T) {
	c := d.selected()
	flag := rapid.SampledFrom([]string{"SEEN", "DELETED", "FLAGGED", "KEYWORD Blue"}).Draw(d.t, "key")
	word := map[string]string{"SEEN": `\Seen`, "DELETED": `\Deleted`, "FLAGGED": `\Flagged`, "KEYWORD Blue": "Blue"}[flag]
	byUID := rapid.SampledFrom([]string{"", "UID "}).Draw(d.t, "by UID")
	before := slices.Clone(c.uids)
	told, tagged := d.run(c, byUID != "", "%sSEARCH %s", byUID, flag)
	d.must(tagged, "OK ")
	found := map[uint32]bool{}
	for _, n := range d.searched(c, told[0]) {
		if byUID == "" {
			n = before[n-1]
		}
		found[n] = true
	}
	for _, uid := range before {
		msg, there := d.folders[c.folder].messages[uid]
		if there && found[uid] != strings.Contains(msg.flags, word) {
			d.t.Fatalf("SEARCH %s: %q, but UID %d has %q", flag, told, uid, msg.flags)
		}
	}
}

// fetch asks again for what the client knows; numbers may not change meanwhile.
func (d *dialogue) fetch(*rapid.T) {
	c := d.selected()
	items := "(UID FLAGS)"
	if c.mode != plainMode {
		items = "(UID FLAGS MODSEQ)"
	}
	before := len(c.uids)
	told, tagged := d.run(c, false, "FETCH 1:* %s", items)
	d.must(tagged, "OK ")
	if len(told) < before {
		d.t.Fatalf("FETCH 1:*: %d responses for %d messages", len(told), before)
	}
}

// noop brings a client up to date: from then on it knows all.
func (d *dialogue) noop(*rapid.T) {
	c := d.selected()
	_, tagged := d.run(c, true, "NOOP")
	d.must(tagged, "OK ")
	d.upToDate(c, "NOOP")
	c.known[c.folder] = snapshot{slices.Clone(c.uids), maps.Clone(c.flags), d.folders[c.folder].highest}
}

func (d *dialogue) upToDate(c *believer, command string) {
	f := d.folders[c.folder]
	if want := f.sortedUIDs(); !slices.Equal(c.uids, want) {
		d.t.Fatalf("after %s the client believes in %v, there are %v", command, c.uids, want)
	}
	for _, uid := range c.uids {
		if c.flags[uid] != f.messages[uid].flags {
			d.t.Fatalf("after %s the client believes that %d has %q, it has %q", command, uid, c.flags[uid], f.messages[uid].flags)
		}
	}
}

// compare holds what any client can ask for against the model.
func (d *dialogue) compare(*rapid.T) {
	c := d.clients[0]
	for name, f := range d.folders {
		unseen := 0
		for _, msg := range f.messages {
			if !strings.Contains(msg.flags, `\Seen`) {
				unseen++
			}
		}
		want := map[string]string{
			"MESSAGES": fmt.Sprint(len(f.messages)), "UIDNEXT": fmt.Sprint(f.uidNext), "UIDVALIDITY": f.validity, "UNSEEN": fmt.Sprint(unseen), "HIGHESTMODSEQ": fmt.Sprint(f.highest),
		}
		if c.folder != "" { // what is told beside must be true as well
			d.run(c, true, "NOOP")
		}
		if got := d.status(c, name); !maps.Equal(got, want) {
			d.t.Fatalf("STATUS %s: %v, want %v", name, got, want)
		}
	}
}

// reopen is a restart: every connection ends, and everything is read from disk, now and then by an engine opened anew.
func (d *dialogue) reopen(*rapid.T) {
	known := map[string]snapshot{}
	for _, c := range d.clients {
		if c.mode == qresyncMode { // what a client has remembered outlives the server
			maps.Copy(known, c.known)
		}
		c.conn.Close()
	}
	d.clients = nil
	if d.host.reopens++; d.host.reopens%8 == 0 {
		d.host.close()
	}
	d.host.open()
	c := d.dial(qresyncMode)
	c.known = known
}

// TestDialogues: several clients give random commands, with restarts in between. UIDs, counts, flags, modification sequences and what has
// vanished are what the model says, and no client is ever told a number that is not the message's.
func TestDialogues(t *testing.T) {
	t.Run("rows", func(t *testing.T) { testDialogues(t, mailbox.Options{}) })
	t.Run("marks", func(t *testing.T) { testDialogues(t, mailbox.Options{MarkFrom: 2, MarkMost: 8}) })
}

func testDialogues(t *testing.T, opt mailbox.Options) {
	t.Helper()
	host := &modelHost{t: t, dir: t.TempDir(), opt: opt}
	host.open()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		d := &dialogue{t: rt, host: host, account: mail.AccountID(fmt.Sprintf("model%011d", round))}
		d.begin()
		rt.Repeat(map[string]func(*rapid.T){
			"": d.compare, "connect": d.connect, "leave": d.leave, "open": d.open, "open 2": d.open, "unselect": d.unselect, "append": d.append, "append 2": d.append,
			"store": d.store, "store 2": d.store, "expunge": d.expunge, "copy": d.copy, "search": d.search, "fetch": d.fetch, "noop": d.noop, "noop 2": d.noop, "reopen": d.reopen,
			"follow": d.follow, "follow 2": d.follow, "cancel": d.cancel,
		})
		for _, c := range d.clients {
			c.conn.Close()
		}
	})
	problems, err := store.Check(t.Context(), host.db, host.boxes, body.Checker{Bodies: host.bodies, Referrers: []body.Referrer{host.boxes}})
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %q, %v", problems, err)
	}
	host.close()
}

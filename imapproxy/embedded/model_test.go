package embedded_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"balorg/imapproxy/embedded"
	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// The model of a mailbox: what somebody with a pencil would write down.
type (
	modelMessage struct {
		flags   string // sorted, without \Recent
		subject string
		modseq  uint64
	}
	modelFolder struct {
		messages map[uint32]modelMessage
		uidNext  uint32
		highest  uint64
		validity string
	}
	// believer is a client with what it believes of its folder: what the server has told it and nothing else.
	believer struct {
		*client
		mode   int // plain, condStore or qresync
		folder string
		uids   []uint32 // by sequence number; 0: not known yet
		flags  map[uint32]string
		known  map[string]snapshot // of folders, as they were when all was known
		follow map[string]*result  // of searches that it is kept informed of, by tag
	}
	snapshot struct {
		uids   []uint32
		flags  map[uint32]string
		modseq uint64
	}
	dialogue struct {
		t       *rapid.T
		host    *modelHost
		account mail.AccountID
		folders map[string]*modelFolder
		clients []*believer
		subject int
	}
	// modelHost is the store on disk, which is closed and opened again.
	modelHost struct {
		t       *testing.T
		dir     string
		db      *store.DB
		boxes   *mailbox.Store
		bodies  *body.Bodies
		srv     *embedded.Server
		reopens int
		opt     mailbox.Options
		rest    func() // ends what runs in the background
	}
)

const (
	plainMode = iota
	condStoreMode
	qresyncMode
)

func (h *modelHost) open() {
	h.t.Helper()
	if h.rest != nil {
		h.rest()
	}
	var err error
	if h.db == nil {
		if h.db, err = store.Open(store.Options{Dir: h.dir + "/state"}); err != nil {
			h.t.Fatal(err)
		}
	}
	if h.bodies, err = body.New(h.db, h.dir+"/bodies", body.Options{}); err != nil {
		h.t.Fatal(err)
	}
	h.boxes = mailbox.New(h.db, h.bodies, h.opt)
	h.srv = embedded.New(h.boxes, embedded.Options{})
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.boxes.RunFolding(ctx, func(err error) { h.t.Errorf("folding: %v", err) })
	}()
	h.rest = func() {
		cancel()
		<-ended
	}
}

func (h *modelHost) close() {
	h.t.Helper()
	h.rest()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.db = nil
}

var modelNames = []string{"INBOX", "Archives"}

func (d *dialogue) begin() {
	d.folders = map[string]*modelFolder{}
	c := d.dial(plainMode)
	for _, name := range modelNames {
		c.ok("SELECT %s", name)
		d.folders[name] = &modelFolder{messages: map[uint32]modelMessage{}, uidNext: 1, highest: 1}
		d.folders[name].validity = d.status(c, name)["UIDVALIDITY"]
	}
	c.ok("UNSELECT")
	for range 4 {
		d.append(nil)
	}
	for _, c := range []*believer{c, d.dial(condStoreMode), d.dial(qresyncMode)} { // so that they are at it from the start
		c.folder, c.flags = modelNames[0], map[uint32]string{}
		d.run(c, true, "SELECT %s", c.folder)
	}
}

func (d *dialogue) dial(mode int) *believer {
	conn, err := d.host.srv.Open(d.host.t.Context(), embedded.Who{Account: d.account, Person: noemie})
	if err != nil {
		d.t.Fatal(err)
	}
	b := &believer{client: greeted(d.host.t, conn), mode: mode, known: map[string]snapshot{}}
	switch mode {
	case qresyncMode:
		b.ok("ENABLE QRESYNC")
	case condStoreMode: // it speaks IMAP4rev2, too
		b.ok("ENABLE IMAP4rev2")
	}
	d.clients = append(d.clients, b)
	return b
}

func (d *dialogue) drawName() string { return rapid.SampledFrom(modelNames).Draw(d.t, "folder") }

func (d *dialogue) anyClient() *believer {
	return rapid.SampledFrom(d.clients).Draw(d.t, "client")
}

// selected is a client that has a folder open, in which it knows of some message.
func (d *dialogue) selected() *believer {
	c := d.anyClient()
	if c.folder == "" || len(c.uids) == 0 {
		d.t.Skip("nothing is open")
	}
	return c
}

var modelFlags = []string{`\Seen`, `\Deleted`, `\Flagged`, "Blue"}

func (d *dialogue) drawFlags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelFlags), 0, 3, rapid.ID[string]).Draw(d.t, "flags")
}

func sortedWords(list []string) string {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == `\Recent` })
	slices.Sort(list)
	return strings.Join(list, " ")
}

// answered splits what a command heard into what was told and how it ended.
func answered(lines []string) (told []string, tagged string) {
	return lines[:len(lines)-1], lines[len(lines)-1]
}

var (
	countLine    = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|RECENT)$`)
	fetchLine    = regexp.MustCompile(`^\* (\d+) FETCH \(`)
	uidItem      = regexp.MustCompile(`[( ]UID (\d+)`)
	flagsItem    = regexp.MustCompile(`[( ]FLAGS \(([^)]*)\)`)
	modseqItem   = regexp.MustCompile(`[( ]MODSEQ \((\d+)\)`)
	vanishedLine = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
)

// hear takes up what the server told. While numbers may not change, a message that goes is a lie.
func (d *dialogue) hear(c *believer, command string, told []string, renumber bool) {
	for _, line := range told {
		if m := countLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch {
			case m[2] == "RECENT" && c.mode == condStoreMode:
				d.t.Fatalf("%s: %q to a client of IMAP4rev2", command, line)
			case m[2] == "EXISTS" && n < len(c.uids):
				d.t.Fatalf("%s: %q, but the client knows of %d", command, line, len(c.uids))
			case m[2] == "EXISTS":
				c.uids = append(c.uids, make([]uint32, n-len(c.uids))...)
			case m[2] == "EXPUNGE" && (!renumber || n < 1 || n > len(c.uids) || c.mode == qresyncMode):
				d.t.Fatalf("%s: %q of %d messages", command, line, len(c.uids))
			case m[2] == "EXPUNGE":
				delete(c.flags, c.uids[n-1])
				d.drop(c, command, n)
			}
			continue
		}
		if d.hearResult(c, command, line) {
			continue
		}
		if m := vanishedLine.FindStringSubmatch(line); m != nil {
			d.vanish(c, command, line, m[1] != "", d.numbers(m[2]), renumber)
			continue
		}
		if m := fetchLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			d.learn(c, command, line, n)
		}
	}
}

func (d *dialogue) numbers(set string) (all []uint32) {
	parsed, err := wire.NewParser([]byte(set)).NumSet()
	if err != nil {
		d.t.Fatalf("set %q: %v", set, err)
	}
	for _, r := range parsed.Resolve(1<<32 - 1) {
		for n := r.First; n <= r.Last; n++ {
			all = append(all, n)
		}
	}
	return all
}

func (d *dialogue) vanish(c *believer, command, line string, earlier bool, uids []uint32, renumber bool) {
	if c.mode != qresyncMode || !earlier && !renumber {
		d.t.Fatalf("%s: %q", command, line)
	}
	for _, uid := range uids {
		i := slices.Index(c.uids, uid)
		if !earlier && i < 0 {
			d.t.Fatalf("%s: %q, but the client knows %v", command, line, c.uids)
		}
		if _, there := d.folders[c.folder].messages[uid]; there {
			d.t.Fatalf("%s: %q, but %d is there", command, line, uid)
		}
		if i >= 0 {
			d.drop(c, command, i+1)
			delete(c.flags, uid)
		}
	}
}

// learn takes up a FETCH response.
func (d *dialogue) learn(c *believer, command, line string, n int) {
	if n < 1 || n > len(c.uids) {
		d.t.Fatalf("%s: %q, but the client knows of %d", command, line, len(c.uids))
	}
	uid := c.uids[n-1]
	if m := uidItem.FindStringSubmatch(line); m != nil {
		told, _ := strconv.Atoi(m[1])
		if uid != 0 && uid != uint32(told) {
			d.t.Fatalf("%s: %q, but the client knows it as UID %d", command, line, uid)
		}
		uid = uint32(told)
		c.uids[n-1] = uid
	}
	msg, there := d.folders[c.folder].messages[uid]
	if m := flagsItem.FindStringSubmatch(line); m != nil && uid != 0 {
		c.flags[uid] = sortedWords(strings.Fields(m[1]))
		if there && c.flags[uid] != msg.flags {
			d.t.Fatalf("%s: %q, but it has %q", command, line, msg.flags)
		}
	}
	if m := modseqItem.FindStringSubmatch(line); m != nil && there && m[1] != fmt.Sprint(msg.modseq) {
		d.t.Fatalf("%s: %q, but its modification sequence is %d", command, line, msg.modseq)
	}
}

// run does a command and takes up what it tells. Commands that name messages by number may not renumber.
func (d *dialogue) run(c *believer, renumber bool, format string, args ...any) (told []string, tagged string) {
	command := fmt.Sprintf(format, args...)
	told, tagged = answered(c.do("%s", command))
	d.hear(c, command, told, renumber)
	d.ask(c)
	d.compareResults(c, command)
	return told, tagged
}

// ask asks for what the client does not know of messages it has been told of.
func (d *dialogue) ask(c *believer) {
	first := slices.Index(c.uids, 0)
	if first < 0 {
		return
	}
	command := fmt.Sprintf("FETCH %d:%d (UID FLAGS)", first+1, len(c.uids))
	told, tagged := answered(c.do("%s", command))
	d.hear(c, command, told, false)
	if left := slices.Index(c.uids, 0); left >= 0 || !strings.HasPrefix(tagged, "OK ") {
		d.t.Fatalf("%s: message %d is not told: %q %s", command, left+1, told, tagged)
	}
}

func (d *dialogue) must(tagged, want string) {
	if !strings.HasPrefix(tagged, want) {
		d.t.Fatalf("%q, want %s", tagged, want)
	}
}

func (d *dialogue) status(c *believer, name string) map[string]string {
	told, tagged := answered(c.do("STATUS %s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)", name))
	d.must(tagged, "OK ")
	all := map[string]string{}
	for _, line := range told {
		if _, list, ok := strings.Cut(line, "* STATUS "+name+" ("); ok {
			fields := strings.Fields(strings.TrimSuffix(list, ")"))
			for i := 0; i+1 < len(fields); i += 2 {
				all[fields[i]] = fields[i+1]
			}
		}
	}
	return all
}

// sortedUIDs are the UIDs of a folder.
func (f *modelFolder) sortedUIDs() []uint32 { return slices.Sorted(maps.Keys(f.messages)) }

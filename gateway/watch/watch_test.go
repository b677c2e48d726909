package watch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/notice"
	"balorg/store"
	"balorg/store/storetest"
)

// letter is a message on the scripted server.
type letter struct {
	uid    uint32
	seen   bool
	header string
}

// fakeServer is an IMAP server of one INBOX. It takes the commands of a watcher and no others.
type fakeServer struct {
	t  *testing.T
	mu sync.Mutex

	idle     bool // offers IDLE
	validity uint32
	next     uint32
	letters  []letter
	sessions map[*fakeSession]bool
	opened   int
	down     bool
	script   func(command string) (answer string, ok bool) // in place of the usual one
	commands []string
}

type fakeSession struct {
	conn   net.Conn
	idling string // the tag of IDLE
	known  int
}

func newServer(t *testing.T) *fakeServer {
	t.Helper()
	return &fakeServer{t: t, idle: true, validity: 7, next: 1, sessions: make(map[*fakeSession]bool)}
}

func (s *fakeServer) open(context.Context, *policy.Account) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	if s.down {
		return nil, errors.New("down")
	}
	ours, theirs, err := pipe()
	if err != nil {
		return nil, err
	}
	session := &fakeSession{conn: theirs}
	s.sessions[session] = true
	go s.serve(session)
	return ours, nil
}

// pipe is a connection with room for what nobody has read yet.
func pipe() (ours, theirs net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if ours, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	theirs, err = l.Accept()
	return ours, theirs, err
}

func (s *fakeServer) serve(session *fakeSession) {
	defer func() {
		session.conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session)
	}()
	caps := "IMAP4rev1 UIDPLUS"
	if s.idle {
		caps += " IDLE"
	}
	fmt.Fprintf(session.conn, "* PREAUTH [CAPABILITY %s] ready\r\n", caps)
	lines := bufio.NewScanner(session.conn)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		if tag == "DONE" {
			s.mu.Lock()
			tag, session.idling = session.idling, ""
			s.mu.Unlock()
			command = "DONE"
		}
		if answer := s.answer(session, tag, command); answer != "" {
			if _, err := session.conn.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
}

// answer answers a command and, like real servers, tells of messages with it.
func (s *fakeServer) answer(session *fakeSession, tag, command string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, command)
	if s.script != nil {
		if answer, ok := s.script(command); ok {
			return strings.ReplaceAll(answer, "TAG", tag)
		}
	}
	fields := strings.Fields(command)
	var b strings.Builder
	news := func() {
		if session.known != len(s.letters) {
			session.known = len(s.letters)
			fmt.Fprintf(&b, "* %d EXISTS\r\n", session.known)
		}
	}
	switch {
	case strings.HasPrefix(command, "EXAMINE "):
		session.known = len(s.letters)
		fmt.Fprintf(&b, "* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* OK [UIDVALIDITY %d] x\r\n", len(s.letters), s.validity)
		if s.next > 0 {
			fmt.Fprintf(&b, "* OK [UIDNEXT %d] x\r\n", s.next)
		}
		return b.String() + tag + " OK [READ-ONLY] done\r\n"
	case strings.HasPrefix(command, "UID SEARCH UID "):
		from, _ := strconv.Atoi(strings.TrimSuffix(fields[3], ":*"))
		b.WriteString("* SEARCH")
		for i, l := range s.letters {
			if int(l.uid) >= from || i == len(s.letters)-1 {
				fmt.Fprintf(&b, " %d", l.uid)
			}
		}
		b.WriteString("\r\n")
	case strings.HasPrefix(command, "UID FETCH ") && strings.Contains(command, "BODY.PEEK[HEADER.FIELDS ("):
		for i, l := range s.letters {
			if !within(fields[2], l.uid) {
				continue
			}
			flags := ""
			if l.seen {
				flags = `\Seen`
			}
			section := command[strings.Index(command, "PEEK")+4 : strings.Index(command, "]")+1]
			fmt.Fprintf(&b, "* %d FETCH (UID %d FLAGS (%s) BODY%s {%d}\r\n%s)\r\n", i+1, l.uid, flags, section, len(l.header), l.header)
		}
	case command == "IDLE":
		session.idling = tag
		b.WriteString("+ idling\r\n")
		news()
		return b.String()
	case command == "DONE":
	default:
		s.t.Errorf("command %q", command)
		return tag + " BAD\r\n"
	}
	news()
	return b.String() + tag + " OK done\r\n"
}

func within(set string, uid uint32) bool {
	for r := range strings.SplitSeq(set, ",") {
		from, to, ranged := strings.Cut(r, ":")
		a, _ := strconv.Atoi(from)
		b, _ := strconv.Atoi(to)
		if !ranged {
			b = a
		}
		if int(uid) >= a && int(uid) <= b {
			return true
		}
	}
	return false
}

// deliver puts messages into INBOX and tells those who idle.
func (s *fakeServer) deliver(headers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range headers {
		seen := strings.HasPrefix(h, "SEEN ")
		s.letters = append(s.letters, letter{uid: s.next, seen: seen, header: strings.TrimPrefix(h, "SEEN ") + "\r\n"})
		s.next++
	}
	for session := range s.sessions {
		if session.idling != "" {
			session.known = len(s.letters)
			fmt.Fprintf(session.conn, "* %d EXISTS\r\n", session.known)
		}
	}
}

// cut ends all connections.
func (s *fakeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		session.conn.Close()
	}
}

func (s *fakeServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeServer) idlers() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.idling != "" {
			n++
		}
	}
	return n
}

// lines counts what is logged.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(1)
	return len(p), nil
}

// fixture is a watcher on a scripted server.
type fixture struct {
	*fakeServer
	t    *testing.T
	st   *store.DB
	reg  *prometheus.Registry
	w    *Watcher
	log  *lines
	stop func()

	mu     sync.Mutex
	wanted []*policy.Account
	told   map[mail.AccountID]int
	fails  error
}

func newFixture(t *testing.T, ids ...mail.AccountID) *fixture {
	t.Helper()
	f := &fixture{fakeServer: newServer(t), t: t, st: storetest.New(t, notice.Table{}), told: make(map[mail.AccountID]int)}
	f.want(ids...)
	return f
}

func (f *fixture) want(ids ...mail.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = nil
	for _, id := range ids {
		f.wanted = append(f.wanted, &policy.Account{ID: id, Address: mail.Address(id + "@x.fr"), Mailstore: "hospital"})
	}
}

// AddTx implements Notes.
func (f *fixture) AddTx(tx store.Writer, mailbox mail.AccountID, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tx.AfterCommit(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told[mailbox] += n
	})
	return f.fails
}

func (f *fixture) run(change func(*Options)) {
	f.t.Helper()
	f.reg, f.log = prometheus.NewRegistry(), &lines{}
	opt := Options{
		Wanted: func() []*policy.Account { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.wanted) },
		Open:   f.open, Notes: f, Store: f.st, PollEvery: 20 * time.Millisecond, FirstRest: 2 * time.Millisecond, MaxRest: 20 * time.Millisecond, Metrics: f.reg,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	if change != nil {
		change(&opt)
	}
	f.w = New(opt)
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.w.Run(ctx) }()
	f.stop = sync.OnceFunc(func() { cancel(); <-done })
	f.t.Cleanup(f.stop)
}

func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("%s does not come about", what)
		}
	}
}

func (f *fixture) count(id mail.AccountID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told[id]
}

func (f *fixture) seen(id mail.AccountID) (s notice.Seen) {
	f.t.Helper()
	if err := f.st.View(f.t.Context(), func(r store.Reader) (err error) { s, _, err = notice.SeenTx(r, id); return err }); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// looked waits until the mailbox has been looked at up to a UID, and holds that so many messages have been told of.
func (f *fixture) looked(id mail.AccountID, next uint32, told int) {
	f.t.Helper()
	f.until(fmt.Sprintf("a look up to %d", next), func() bool { return f.seen(id).UIDNext == next })
	if got := f.count(id); got != told {
		f.t.Fatalf("told of %d messages, want %d", got, told)
	}
}

// metric answers a value by its name and first label.
func (f *fixture) metric(name, label string) float64 {
	f.t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	f.t.Fatalf("no metric %s", name)
	return 0
}

const person = "X-Other: x\r\n"

// TestIdle: what was there is nobody's news; what comes is counted, but for what is read or nobody wrote.
func TestIdle(t *testing.T) {
	f := newFixture(t, "a")
	f.deliver(person, person)
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.looked("a", 3, 0)
	f.deliver(person)
	f.looked("a", 4, 1)
	f.deliver(
		"Auto-Submitted: auto-replied\r\n", "List-Id: <x.example.org>\r\n", "Precedence: bulk\r\n", "Return-Path: <>\r\n", "SEEN "+person,
		"Auto-Submitted: no\r\n", "Return-Path: <a@example.org>\r\n", "what is no header\r\n", "",
	)
	f.looked("a", 13, 5)
	if got := f.metric("balorg_gateway_watched_mailboxes_count", "idle"); got != 1 {
		t.Errorf("%v mailboxes idle", got)
	}
	f.set(func() {
		for _, c := range f.commands {
			if strings.HasPrefix(c, "UID FETCH") && !strings.HasPrefix(c[strings.Index(c, "("):], "(UID FLAGS BODY.PEEK[HEADER.FIELDS (") {
				t.Errorf("fetched %q", c)
			}
		}
	})
}

// TestPoll: a server without IDLE is asked now and then.
func TestPoll(t *testing.T) {
	f := newFixture(t, "a")
	f.set(func() { f.idle = false })
	f.run(nil)
	f.until("the first look", func() bool { return f.seen("a").UIDNext == 1 })
	f.deliver(person, person)
	f.looked("a", 3, 2)
	f.deliver(person)
	f.looked("a", 4, 3)
	if got := f.metric("balorg_gateway_watched_mailboxes_count", "poll"); got != 1 {
		t.Errorf("%v mailboxes polled", got)
	}
}

// TestRestart: what comes while nobody looks is told of afterwards, once.
func TestRestart(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.deliver(person)
	f.looked("a", 2, 1)
	f.stop()
	f.deliver(person, person)
	f.run(nil)
	f.looked("a", 4, 3)
	f.stop()
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.looked("a", 4, 3)
}

// TestReconnect: neither a connection that is lost nor a server that is down loses or repeats anything.
func TestReconnect(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.set(func() { f.down = true })
	f.cut()
	f.until("failures", func() bool { return f.metric("balorg_gateway_watch_failures_total", "") >= 4 })
	if n := f.log.n.Load(); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	f.deliver(person, person)
	f.set(func() { f.down = false })
	f.looked("a", 3, 2)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.cut()
	f.until("IDLE again", func() bool {
		f.fakeServer.mu.Lock()
		n := f.opened
		f.fakeServer.mu.Unlock()
		return n >= 4 && f.idlers() == 1
	})
	f.deliver(person)
	f.looked("a", 4, 3)
}

// TestValidity: another UIDVALIDITY, or a UIDNEXT that has gone back, is another beginning.
func TestValidity(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.deliver(person)
	f.looked("a", 2, 1)
	f.set(func() { f.validity, f.letters, f.next = 8, []letter{{uid: 20, header: person + "\r\n"}}, 21 })
	f.cut()
	f.until("the other beginning", func() bool { return f.seen("a") == notice.Seen{UIDValidity: 8, UIDNext: 21} })
	f.set(func() { f.letters, f.next = []letter{{uid: 5, header: person + "\r\n"}}, 6 })
	f.cut()
	f.looked("a", 6, 1)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.deliver(person)
	f.looked("a", 7, 2)
}

// TestNoUIDNext: a server may leave it out.
func TestNoUIDNext(t *testing.T) {
	f := newFixture(t, "a")
	f.deliver(person, person)
	f.set(func() {
		f.script = func(c string) (string, bool) {
			return fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nTAG OK done\r\n", len(f.letters)), strings.HasPrefix(c, "EXAMINE")
		}
	})
	f.run(nil)
	f.looked("a", 3, 0)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.deliver(person)
	f.looked("a", 4, 1)
	f.stop()
	f.deliver(person)
	f.run(nil)
	f.looked("a", 5, 2)
}

// TestMany works off what a long absence has brought in steps, each of which is noted.
func TestMany(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.stop()
	f.deliver(slices.Repeat([]string{person}, 2*part+part/2)...)
	fetches := 0
	f.set(func() {
		f.script = func(c string) (string, bool) {
			if strings.HasPrefix(c, "UID FETCH") {
				fetches++
			}
			return "TAG NO not now\r\n", strings.HasPrefix(c, "UID FETCH") && fetches == 2
		}
	})
	f.run(nil)
	f.looked("a", 2*part+part/2+1, 2*part+part/2)
	if got := f.metric("balorg_gateway_watch_failures_total", ""); got < 1 {
		t.Error("nothing failed")
	}
}

// TestUnasked: what a server says of a message unasked does not stand for the answer.
func TestUnasked(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	asked := 0
	f.set(func() {
		f.script = func(c string) (string, bool) {
			if strings.HasPrefix(c, "UID FETCH") {
				asked++
			}
			return "* 1 FETCH (UID 1 FLAGS (\\Recent))\r\nTAG OK done\r\n", strings.HasPrefix(c, "UID FETCH") && asked == 1
		}
	})
	f.deliver(person)
	f.looked("a", 2, 1)
}

// TestIdleRefused: a server that offers IDLE and refuses it is asked now and then, and not without end.
func TestIdleRefused(t *testing.T) {
	f := newFixture(t, "a")
	f.set(func() { f.script = func(c string) (string, bool) { return "TAG NO no\r\n", c == "IDLE" } })
	f.run(nil)
	f.until("failures", func() bool { return f.metric("balorg_gateway_watch_failures_total", "") >= 3 })
	f.deliver(person)
	f.looked("a", 2, 1)
}

// TestBroken: answers that make no sense, or none at all, end a visit and nothing else.
func TestBroken(t *testing.T) {
	for name, answer := range map[string]string{
		"no answer": "", "nonsense": "* ((((\r\n", "BYE": "* BYE\r\n", "another tag": "Z99 OK\r\n", "no such folder": "TAG NO [NONEXISTENT] x\r\n",
		"no UIDVALIDITY": "* 1 EXISTS\r\nTAG OK done\r\n", "endless literal": "* 1 FETCH (BODY[HEADER] {99999999999}\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "a")
			broken := true
			f.set(func() {
				f.script = func(c string) (string, bool) { return answer, broken && strings.HasPrefix(c, "EXAMINE") }
			})
			f.run(func(opt *Options) { opt.StepTime = 30 * time.Millisecond })
			f.until("two failures", func() bool { return f.metric("balorg_gateway_watch_failures_total", "") >= 2 })
			f.set(func() { broken = false })
			f.until("IDLE", func() bool { return f.idlers() == 1 })
		})
	}
}

// TestIdleAnew: IDLE is begun anew before a server grows tired of it, and a server that does not answer then is left.
func TestIdleAnew(t *testing.T) {
	f := newFixture(t, "a")
	f.run(func(opt *Options) { opt.IdleFor, opt.StepTime = 5*time.Millisecond, 50*time.Millisecond })
	times := func(command string) (n int) {
		f.set(func() {
			for _, c := range f.commands {
				if c == command {
					n++
				}
			}
		})
		return n
	}
	f.until("several IDLEs", func() bool { return times("DONE") >= 3 })
	if n := times("EXAMINE INBOX"); n != 1 {
		t.Errorf("%d connections", n)
	}
	f.set(func() { f.script = func(c string) (string, bool) { return "", c == "DONE" } })
	f.until("another connection", func() bool { return times("EXAMINE INBOX") > 1 })
}

// TestStore: what cannot be noted is looked at again.
func TestStore(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.mu.Lock()
	f.fails = store.ErrFull
	f.mu.Unlock()
	f.deliver(person)
	f.until("failures", func() bool { return f.metric("balorg_gateway_watch_failures_total", "") >= 2 })
	f.looked("a", 1, 0)
	f.mu.Lock()
	f.fails = nil
	f.mu.Unlock()
	f.looked("a", 2, 1)
}

// TestPanic: a fault of ours ends a visit.
func TestPanic(t *testing.T) {
	f := newFixture(t, "a")
	first := true
	f.run(func(opt *Options) {
		open := opt.Open
		opt.Open = func(ctx context.Context, a *policy.Account) (net.Conn, error) {
			if first {
				first = false
				panic("a fault")
			}
			return open(ctx, a)
		}
	})
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	if f.metric("balorg_gateway_watch_failures_total", "") != 1 {
		t.Error("the fault is not counted")
	}
}

// TestChanges starts and stops with those who want to be notified. Whoever wants it later is not told of what came before.
func TestChanges(t *testing.T) {
	f := newFixture(t, "a")
	f.run(nil)
	f.until("IDLE", func() bool { return f.idlers() == 1 })
	f.want("a", "b")
	f.w.Changed()
	f.until("a second", func() bool { return f.idlers() == 2 })
	f.want("b")
	f.w.Changed()
	f.until("the first's end", func() bool { return f.idlers() == 1 && f.seen("a") == notice.Seen{} })
	f.deliver(person)
	f.looked("b", 2, 1)
	f.want("a")
	f.w.Changed()
	f.looked("a", 2, 0)
	f.stop()
	if f.idlers() != 0 {
		f.until("the end of connections", func() bool { return f.idlers() == 0 })
	}
	f.want()
	f.run(nil)
	f.until("nothing noted", func() bool { return f.seen("a") == notice.Seen{} })
}

// TestRoom: with few connections some have one of their own, and the others are polled.
func TestRoom(t *testing.T) {
	f := newFixture(t, "a", "b", "c", "d")
	most := 0
	f.run(func(opt *Options) {
		opt.MaxConnections = 3
		open := opt.Open
		opt.Open = func(ctx context.Context, a *policy.Account) (net.Conn, error) {
			conn, err := open(ctx, a)
			f.set(func() { most = max(most, len(f.sessions)) })
			return conn, err
		}
	})
	f.until("one that idles, and three polled", func() bool {
		return f.metric("balorg_gateway_watched_mailboxes_count", "idle") == 1 && f.metric("balorg_gateway_watched_mailboxes_count", "poll") == 3
	})
	f.deliver(person)
	for _, id := range []mail.AccountID{"a", "b", "c", "d"} {
		f.looked(id, 2, 1)
	}
	f.stop()
	f.set(func() {
		if most > 4 { // three, and one whose end the server has not seen yet
			t.Errorf("%d connections at a time", most)
		}
	})
}

package smtp

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/sent"
	"balorg/store/storetest"
)

const (
	paul     = "paul.bernard" + domain
	lea      = "lea.petit" + domain
	urgences = "urgences" + domain
	outside  = "dr.martin@chu-exemple.mssante.fr"
	mssante  = "@sapins.mssante.fr"
)

// carried is a message as it left.
type carried struct {
	from   mail.Address
	to     []mail.Address
	octets string
	params string // ENVID, and ORCPT of each recipient
}

// fakeHop keeps what leaves, or answers what a test says.
type fakeHop struct {
	mu     sync.Mutex
	got    []carried
	answer func(mail.Address) queue.Outcome
}

func (h *fakeHop) Destination(to mail.Address) string { return to.Domain() }

func (h *fakeHop) Send(ctx context.Context, d queue.Delivery) []queue.Outcome {
	r, err := d.Open(ctx)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	octets, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := carried{from: d.Message.From.Address, octets: string(octets), params: d.Message.From.EnvID}
	var outcomes []queue.Outcome
	for _, it := range d.Items {
		m.to = append(m.to, it.Recipient.Address)
		m.params += " " + it.Recipient.Original
		o := queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.0.0", "taken")}
		if h.answer != nil {
			o = h.answer(it.Recipient.Address)
		}
		outcomes = append(outcomes, o)
	}
	h.got = append(h.got, m)
	return outcomes
}

func (h *fakeHop) left() []carried {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// office is a server over real tables: only the next hop is a fake.
type office struct {
	*fixture
	acceptor *Acceptor
	boxes    *mailbox.Store
	queue    *queue.Queue
	trace    *audit.Log
	hop      fakeHop
	trustMu  sync.Mutex
	trust    map[string]bool
}

func newOffice(t *testing.T, change func(*AcceptorOptions)) *office {
	t.Helper()
	o := &office{trust: map[string]bool{"chu-exemple.mssante.fr": true}}
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.boxes, o.trace = mailbox.New(st, bodies, mailbox.Options{}), audit.New(st)
	o.queue = queue.New(queue.Options{Store: st, Bodies: bodies, Trace: o.trace})
	table := sent.New(st)
	o.fixture = newFixture(t, func(s *Service) {
		s.NewHandler = func(c *Client) Handler {
			if c.Role == Submission {
				return o.acceptor.Submission(c)
			}
			return o.acceptor.Inbound(c, Gate{Unix: true, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		}
	})
	opt := AcceptorOptions{
		Hostname: "mx.example.fr", Language: "fr", Snapshot: o.snapshot, Trusted: o.trusted, Store: st, Bodies: bodies, Boxes: o.boxes,
		Queue: o.queue, Sent: table, Trace: o.trace, Home: func(*policy.Account) MailServer { return nil },
	}
	if change != nil {
		change(&opt)
	}
	o.acceptor = NewAcceptor(opt)
	carriers := o.acceptor.Carriers()
	carriers[queue.Relay] = o.acceptor.Relay(&o.hop)
	reporter, err := o.acceptor.Reporter()
	if err != nil {
		t.Fatal(err)
	}
	o.queue.Use(queue.Ways{Carriers: carriers, Reporter: reporter})
	storetest.CheckAtEnd(t, st, o.boxes, o.queue, table, o.trace.Checker(),
		body.Checker{Bodies: bodies, Referrers: []body.Referrer{o.boxes, o.queue}, Contents: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.queue.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the queue: %v", err)
		}
	})
	return o
}

func (o *office) trusted(domain string) bool {
	o.trustMu.Lock()
	defer o.trustMu.Unlock()
	return o.trust[domain]
}

// login opens a session of submission as one person, whom authzid may have open another mailbox.
func (o *office) login(person, authzid string) *client {
	o.t.Helper()
	c := o.dial(o.t.Context(), Submission)
	c.do("EHLO client", "250-")
	c.do("AUTH PLAIN "+plain(authzid, person, "ok"), "235 2.7.0")
	return c
}

// submit sends a message and answers the first reply that is no success, or the last one.
func (c *client) submit(from string, to []string, message string) string {
	c.t.Helper()
	c.send("RSET\r\nMAIL FROM:<" + from + ">\r\n")
	c.expect("250")
	if reply := c.next(); !strings.HasPrefix(reply, "250") {
		return "MAIL " + reply
	}
	for _, r := range to {
		c.send("RCPT TO:<" + r + ">\r\n")
		if reply := c.next(); !strings.HasPrefix(reply, "250") {
			return "RCPT " + reply
		}
	}
	c.do("DATA", "354")
	c.send(strings.ReplaceAll(message, "\n", "\r\n") + "\r\n.\r\n")
	return c.next()
}

func (o *office) account(address string) *mailbox.Account {
	o.t.Helper()
	a, ok := o.snapshot().Account(mail.Address(address))
	if !ok {
		o.t.Fatalf("no account %s", address)
	}
	box, err := o.boxes.Account(o.t.Context(), a.ID, 0)
	if err != nil {
		o.t.Fatal(err)
	}
	return box
}

// content answers the messages of a folder, whole.
func (o *office) content(address, folder string) []string {
	o.t.Helper()
	v, err := o.account(address).Select(o.t.Context(), folder, true)
	if err != nil {
		o.t.Fatal(err)
	}
	defer v.Close()
	var all []string
	for seq := uint32(1); seq <= v.Len(); seq++ {
		r, err := v.Open(o.t.Context(), seq)
		if err != nil {
			o.t.Fatal(err)
		}
		octets, err := io.ReadAll(r)
		if err != nil {
			o.t.Fatal(err)
		}
		r.Close()
		all = append(all, string(octets))
	}
	return all
}

// records answers the trace as text, one record a line.
func (o *office) records() string {
	o.t.Helper()
	var b strings.Builder
	err := o.trace.List(o.t.Context(), audit.Filter{}, func(r audit.Record) bool {
		fmt.Fprintf(&b, "%s person=%s mailbox=%s folder=%s %s -> %s %s\n", r.Action, r.Person.Address, r.Mailbox.Address, r.Folder, r.Request, r.Answer, r.Reason)
		return true
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return b.String()
}

func (o *office) until(what string, ok func() bool) {
	o.t.Helper()
	deadline := time.After(clientTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			o.t.Fatalf("%s does not come true", what)
		}
	}
}

const sentFolderName = "Envoyés"

// letter is a message from an address.
func letter(from string) string {
	return "From: Noémie <" + from + ">\nTo: <" + outside + ">, " + claire + "\nSubject: rendez-vous\nMessage-ID: <1@poste>\nX-MSS-NIL: 12\n\nBonjour\n"
}

func TestSubmission(t *testing.T) {
	o := newOffice(t, nil)
	reply := o.login(noemie, "").submit(secretariat, []string{outside, claire}, letter(secretariat))
	if !strings.HasPrefix(reply, "250 2.0.0 Ok: queued as ") {
		t.Fatalf("reply %q", reply)
	}
	id := queue.ID(strings.TrimPrefix(reply, "250 2.0.0 Ok: queued as "))
	o.until("the relay", func() bool { return len(o.hop.left()) == 1 })
	o.until("the row", func() bool { e, err := o.queue.Show(t.Context(), id); return err == nil && e.Waiting == 0 })

	left := o.hop.left()[0]
	if left.from != "secretariat"+mssante || len(left.to) != 1 || left.to[0] != outside {
		t.Errorf("envelope: from %s to %v", left.from, left.to)
	}
	for folder, got := range map[string][]string{
		"Sent": o.content(secretariat, sentFolderName), "INBOX of claire": o.content(claire, mailbox.Inbox), "the next hop": {left.octets},
	} {
		if len(got) != 1 || got[0] != left.octets {
			t.Errorf("%s has %d messages: %q", folder, len(got), got)
		}
	}
	head, _, _ := strings.Cut(left.octets, "\r\n\r\n")
	for _, want := range []string{
		"From: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=", "<secretariat" + mssante + ">", "Message-ID: <1@poste>", "X-MSS-NIL: 12", "Date: ",
		"by mx.example.fr (balorg) with ESMTPA id " + string(id), "claire.durand" + mssante, "Subject: rendez-vous",
	} {
		if !strings.Contains(strings.ToLower(head), strings.ToLower(want)) {
			t.Errorf("the header lacks %q:\n%s", want, head)
		}
	}
	for _, secret := range []string{"noemie", "Noémie", "Martin,", "pipe", "client"} {
		if strings.Contains(head, secret) {
			t.Errorf("the header tells %q:\n%s", secret, head)
		}
	}
	for _, want := range []string{
		"send person=" + noemie + " mailbox=" + secretariat + " folder=" + sentFolderName + " MAIL FROM:<secretariat" + mssante + "> RCPT TO:<" + outside + ">,<" + claire + "> -> 250 2.0.0 " + string(id),
		"receive person= mailbox=" + claire + " folder=INBOX",
		"deliver person= mailbox=" + secretariat + " folder= relay " + outside + " -> 250 2.0.0 taken",
	} {
		if got := o.records(); !strings.Contains(got, want) {
			t.Errorf("the trace lacks %q:\n%s", want, got)
		}
	}
	v, err := o.account(secretariat).Select(t.Context(), sentFolderName, true)
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := v.Message(1); m.Flags.System != mailbox.Seen {
		t.Errorf("flags of the copy: %v", m.Flags)
	}
	v.Close()
}

// TestSentAgain hands over the same message again, as a client does that lost the answer.
func TestSentAgain(t *testing.T) {
	o := newOffice(t, nil)
	c := o.login(noemie, "")
	first := c.submit(secretariat, []string{claire}, letter(secretariat))
	if again := o.login(noemie, "").submit(secretariat, []string{claire}, letter(secretariat)); again != first {
		t.Errorf("again: %q, first %q", again, first)
	}
	other := strings.Replace(letter(secretariat), "<1@poste>", "<2@poste>", 1)
	if third := c.submit(secretariat, []string{claire}, other); third == first || !strings.HasPrefix(third, "250") {
		t.Errorf("another message: %q", third)
	}
	if n := len(o.content(claire, mailbox.Inbox)); n != 2 {
		t.Errorf("claire has %d messages", n)
	}
	if n := len(o.content(secretariat, sentFolderName)); n != 2 {
		t.Errorf("Sent has %d messages", n)
	}
}

func TestRefusals(t *testing.T) {
	o := newOffice(t, nil)
	for _, tt := range []struct {
		name, person, authzid, from, header string
		to                                  []string
		want                                string
	}{
		{"sender not allowed", paul, "", claire, claire, nil, "MAIL 553 5.7.1 Vous ne pouvez pas envoyer de message en tant que claire.durand"},
		{"reading gives no sending", paul, "", secretariat, secretariat, nil, "MAIL 553 5.7.1"},
		{"unknown sender", noemie, "", "x@example.net", "", nil, "MAIL 553 5.7.1"},
		{"outside the trust space", noemie, "", secretariat, "", []string{"a@example.net"}, "RCPT 550 5.7.1 a@example.net: le domaine example.net"},
		{"below a trusted domain", noemie, "", secretariat, "", []string{"a@x.chu-exemple.mssante.fr"}, "RCPT 550 5.7.1"},
		{"nobody here", noemie, "", secretariat, "", []string{"nobody" + domain}, "RCPT 550 5.1.1"},
		{"without MSSanté address", claire, "", urgences, "", []string{outside}, "RCPT 550 5.7.1 " + outside + ": votre boite n'a pas d'adresse MSSante"},
		{"header From not allowed", noemie, "", secretariat, claire, []string{claire}, "550 5.7.1 header From: vous ne pouvez pas"},
		{"the header changes to one without MSSanté address", claire, "", secretariat, urgences, []string{outside}, "550 5.7.1 " + outside},
		{"no From", noemie, "", secretariat, "none", []string{claire}, "550 5.7.1 header From"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			message := letter(tt.header)
			if tt.header == "none" {
				message = "Subject: x\n\nx\n"
			}
			if got := o.login(tt.person, tt.authzid).submit(tt.from, tt.to, message); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if n := len(o.content(claire, mailbox.Inbox)) + len(o.hop.left()); n != 0 {
		t.Errorf("%d messages went through", n)
	}
	if got := o.records(); !strings.Contains(got, "refusal person="+paul+" mailbox="+secretariat+" folder= MAIL FROM:<"+secretariat+"> -> 553 5.7.1 the delegation of "+secretariat+" to "+paul+" gives no sending") {
		t.Errorf("the trace lacks the true reason:\n%s", got)
	}
}

// TestTrustEndsBeforeAttempt takes the domain out of the trust space between RCPT and the attempt.
func TestTrustEndsBeforeAttempt(t *testing.T) {
	o := newOffice(t, nil)
	o.hop.answer = func(mail.Address) queue.Outcome {
		t.Error("sent out of the trust space")
		return queue.Outcome{}
	}
	c := o.login(noemie, "")
	c.do("MAIL FROM:<"+secretariat+">", "250")
	c.do("RCPT TO:<"+outside+">", "250")
	c.do("DATA", "354")
	c.send("From: " + secretariat + "\r\nTo: x <" + outside + ">\r\n\r\nx\r\n")
	o.trustMu.Lock()
	delete(o.trust, "chu-exemple.mssante.fr")
	o.trustMu.Unlock()
	c.do(".", "550 5.7.1 "+outside)

	// And once more, after the message was accepted.
	o.trustMu.Lock()
	o.trust["chu-exemple.mssante.fr"] = true
	o.trustMu.Unlock()
	d := queue.Delivery{
		Message: queue.Message{ID: queue.NewID(time.Now()), Mailbox: audit.Party{Address: secretariat}},
		Items:   []queue.Item{{Recipient: wire.Recipient{Address: outside}}},
	}
	o.trustMu.Lock()
	delete(o.trust, "chu-exemple.mssante.fr")
	o.trustMu.Unlock()
	got := o.acceptor.Relay(&o.hop).Carry(t.Context(), d)
	if len(got) != 1 || got[0].Result != queue.ResultFailed || got[0].Reply.Code != 550 {
		t.Errorf("outcome %+v", got)
	}
}

func TestRate(t *testing.T) {
	o := newOffice(t, func(opt *AcceptorOptions) { opt.Limits = Limits{MessagesPerHour: 2, RecipientsPerHour: 3} })
	c := o.login(noemie, "")
	send := func(id string, to ...string) string {
		return c.submit(secretariat, to, strings.Replace(letter(secretariat), "<1@", "<"+id+"@", 1))
	}
	for i, tt := range []struct {
		to   []string
		want string
	}{
		{[]string{claire, outside}, "250"}, {[]string{claire, outside}, "RCPT 450 4.7.1"}, {[]string{claire}, "250"}, {[]string{claire}, "MAIL 450 4.7.1"},
	} {
		if got := send(fmt.Sprint(i), tt.to...); !strings.HasPrefix(got, tt.want) {
			t.Errorf("message %d: %q, want %s", i, got, tt.want)
		}
	}
	if got := o.login(claire, "").submit(secretariat, []string{claire}, letter(secretariat)); !strings.HasPrefix(got, "250") {
		t.Errorf("another person as the same mailbox: %q", got)
	}
}

func TestAnswered(t *testing.T) {
	o := newOffice(t, nil)
	box := o.account(secretariat)
	for _, id := range []string{"<q1@chu>", "<q2@chu>"} {
		_, err := box.Append(t.Context(), mailbox.Inbox, strings.NewReader("Message-ID: "+id+"\r\nSubject: question\r\n\r\nx\r\n"), mailbox.FlagSet{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
	reply := strings.Replace(letter(secretariat), "X-MSS-NIL: 12", "In-Reply-To: <q2@chu>", 1)
	if got := o.login(noemie, "").submit(secretariat, []string{claire}, reply); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	flags := func() (all []mailbox.System) {
		v, err := box.Select(t.Context(), mailbox.Inbox, true)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for seq := uint32(1); seq <= v.Len(); seq++ {
			m, _ := v.Message(seq)
			all = append(all, m.Flags.System)
		}
		return all
	}
	o.until(`\Answered`, func() bool { return slices.Equal(flags(), []mailbox.System{0, mailbox.Answered}) })
}

// TestFullMailboxes: a sender's that has no room for the copy refuses; a recipient's has the message wait.
func TestFullMailboxes(t *testing.T) {
	o := newOffice(t, nil)
	quota := func(address string, octets int64) {
		f := o.fixture
		f.mu.Lock()
		defer f.mu.Unlock()
		a, _ := f.snap.Account(mail.Address(address))
		a.Quota = octets
	}
	quota(claire, 10)
	reply := o.login(noemie, "").submit(secretariat, []string{claire, outside}, letter(secretariat))
	if !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	id := queue.ID(strings.TrimPrefix(reply, "250 2.0.0 Ok: queued as "))
	o.until("the row", func() bool {
		e, err := o.queue.Show(t.Context(), id)
		return err == nil && e.Waiting == 1 && e.Items[1].Reply == "452 4.2.2 The mailbox is full"
	})
	quota(claire, 0)
	if err := o.queue.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	o.until("the delivery", func() bool { return len(o.content(claire, mailbox.Inbox)) == 1 })
	quota(secretariat, 10)
	other := strings.Replace(letter(secretariat), "<1@poste>", "<2@poste>", 1)
	if got := o.login(noemie, "").submit(secretariat, []string{claire}, other); !strings.HasPrefix(got, "452 4.2.2 La boite secretariat@") {
		t.Errorf("the sender's is full: %q", got)
	}
}

func TestInbound(t *testing.T) {
	o := newOffice(t, nil)
	message := func(from string) string { return "From: <" + from + ">\nSubject: x\nX-MSS-INS: 1\n\nBonjour\n" }
	for _, tt := range []struct {
		name, from, header string
		to                 []string
		want               string
	}{
		{"in the trust space", outside, outside, []string{"secretariat" + mssante, claire}, "250 2.0.0 Ok: accepted as "},
		{"a notice", "", outside, []string{"secretariat" + mssante}, "250 2.0.0"},
		{"outside", "a@example.net", outside, nil, "MAIL 550 5.7.1"},
		{"of a local domain", claire, outside, nil, "MAIL 550 5.7.1"},
		{"header outside", outside, "a@example.net", []string{claire}, "550 5.7.1 header From"},
		{"header of a local domain", outside, "claire.durand" + mssante, []string{claire}, "550 5.7.1 header From"},
		{"nobody here", outside, outside, []string{"x" + mssante}, "RCPT 550 5.1.1"},
		{"not to be relayed", outside, outside, []string{outside}, "RCPT 550 5.1.1"},
	} {
		for _, role := range []Role{Inbound, LMTP} {
			t.Run(tt.name+" by "+string(role), func(t *testing.T) {
				c := o.dial(t.Context(), role)
				c.hello(role)
				if got := c.submit(tt.from, tt.to, message(tt.header)); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		}
	}
	got := o.content(secretariat, mailbox.Inbox)
	if len(got) != 4 || len(o.content(claire, mailbox.Inbox)) != 2 {
		t.Fatalf("%d messages for the secretariat", len(got))
	}
	if !strings.HasPrefix(got[0], "Return-Path: <"+outside+">\r\nReceived: from client.example.fr\r\n\tby mx.example.fr (balorg) with ESMTP id ") ||
		!strings.HasSuffix(got[0], "\r\nFrom: <"+outside+">\r\nSubject: x\r\nX-MSS-INS: 1\r\n\r\nBonjour\r\n\r\n") {
		t.Errorf("delivered %q", got[0])
	}
	if all := o.records(); strings.Count(all, "receive person= mailbox="+secretariat) != 4 {
		t.Errorf("the trace:\n%s", all)
	}
}

// TestGate: without certificate only the networks configured may send.
func TestGate(t *testing.T) {
	c := &Client{Address: netip.MustParseAddrPort("192.0.2.7:1")}
	gate := Gate{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	if !gate.admits(c, "a.fr") || (Gate{}).admits(c, "a.fr") || (Gate{Unix: true}).admits(c, "a.fr") {
		t.Error("networks")
	}
	if c.Address = (netip.AddrPort{}); gate.admits(c, "a.fr") || !(Gate{Unix: true}).admits(c, "a.fr") {
		t.Error("unix sockets")
	}
}

// TestBounce has the next hop refuse: the mailbox and the person who wrote as it are told, and a stranger by mail.
func TestBounce(t *testing.T) {
	o := newOffice(t, nil)
	o.hop.answer = func(mail.Address) queue.Outcome {
		return queue.Outcome{Result: queue.ResultFailed, Reply: *wire.NewReply(550, "5.1.1", "no such doctor"), Peer: "mx.chu-exemple.mssante.fr"}
	}
	if got := o.login(noemie, "").submit(secretariat, []string{outside}, letter(secretariat)); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	o.until("the reports", func() bool {
		return len(o.content(secretariat, mailbox.Inbox)) == 1 && len(o.content(noemie, mailbox.Inbox)) == 1
	})
	report := o.content(secretariat, mailbox.Inbox)[0]
	for _, want := range []string{
		"Content-Type: multipart/report", "Auto-Submitted: auto-replied", "Final-Recipient: rfc822;" + outside, "Action: failed", "Status: 5.1.1",
		"Diagnostic-Code: smtp; 550 5.1.1 no such doctor", "Message-ID: <1@poste>", "To: <secretariat" + mssante + ">",
	} {
		if !strings.Contains(strings.ReplaceAll(report, "; ", ";"), strings.ReplaceAll(want, "; ", ";")) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	for _, secret := range []string{"noemie", "Bonjour"} {
		if strings.Contains(report, secret) {
			t.Errorf("the report tells %q:\n%s", secret, report)
		}
	}
	if got := o.records(); !strings.Contains(got, "undelivered person= mailbox="+secretariat+" folder= relay "+outside+" -> 550 5.1.1 no such doctor") {
		t.Errorf("the trace:\n%s", got)
	}
}

// TestSuccessReport: who asks to be told of a delivery is, whether the mailbox is here or the next hop tells nobody.
func TestSuccessReport(t *testing.T) {
	o := newOffice(t, nil)
	o.hop.answer = func(mail.Address) queue.Outcome {
		return queue.Outcome{Result: queue.ResultDelivered, Reply: *wire.NewReply(250, "2.0.0", "taken"), Relayed: true}
	}
	c := o.login(noemie, "")
	c.do("MAIL FROM:<"+secretariat+"> ENVID=rdv-1", "250")
	c.do("RCPT TO:<"+claire+"> NOTIFY=SUCCESS", "250")
	c.do("RCPT TO:<"+outside+"> NOTIFY=SUCCESS,FAILURE", "250")
	c.do("RCPT TO:<"+lea+"> NOTIFY=NEVER", "250")
	c.do("DATA", "354")
	c.send(strings.ReplaceAll(letter(secretariat), "\n", "\r\n") + ".\r\n")
	c.expect("250")
	o.until("both reports", func() bool { return len(o.content(secretariat, mailbox.Inbox)) == 2 })
	all := strings.Join(o.content(secretariat, mailbox.Inbox), "\n")
	for _, want := range []string{"Action: delivered", "claire.durand", "Action: relayed", outside, "Original-Envelope-Id: rdv-1"} {
		if !strings.Contains(all, want) {
			t.Errorf("the reports lack %q:\n%s", want, all)
		}
	}
	if strings.Contains(all, "Action: failed") || strings.Contains(all, "lea.petit") {
		t.Errorf("the reports tell too much:\n%s", all)
	}
	if n := len(o.content(claire, mailbox.Inbox)); n != 1 {
		t.Errorf("claire has %d messages", n)
	}
}

// TestSuspendedHolds: what waits of a mailbox that was suspended is not sent, and does not fail, until it is active again.
func TestSuspendedHolds(t *testing.T) {
	o := newOffice(t, nil)
	state := func(s policy.State) {
		o.mu.Lock()
		defer o.mu.Unlock()
		a, _ := o.snap.Account(secretariat)
		a.State = s
	}
	o.hop.answer = func(mail.Address) queue.Outcome { return queue.Outcome{Reply: *wire.NewReply(451, "4.3.0", "later")} }
	reply := o.login(noemie, "").submit(secretariat, []string{outside}, letter(secretariat))
	if !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	id := queue.ID(strings.TrimPrefix(reply, "250 2.0.0 Ok: queued as "))
	item := func() queue.Item {
		e, err := o.queue.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return e.Items[len(e.Items)-1]
	}
	o.until("the first attempt", func() bool { return item().Attempts == 1 })
	state(policy.Suspended)
	if err := o.queue.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	o.until("the hold", func() bool { return strings.Contains(item().Reply, "suspended") })
	if it := item(); it.State != queue.Waiting || it.Attempts != 1 || len(o.hop.left()) != 1 {
		t.Errorf("held: %+v, %d attempts at the next hop", it, len(o.hop.left()))
	}
	state(policy.Active)
	o.hop.mu.Lock()
	o.hop.answer = nil
	o.hop.mu.Unlock()
	if err := o.queue.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	o.until("the delivery", func() bool { return item().State == queue.Delivered })
}

// TestPostmaster: who is named as such gets mail for the postmaster of every domain of ours, and where nobody is there is none.
func TestPostmaster(t *testing.T) {
	for _, who := range []mail.Address{"", claire} {
		o := newOffice(t, func(opt *AcceptorOptions) { opt.Postmaster = who })
		want := "250"
		if who == "" {
			want = "550 5.1.1"
		}
		c := o.dial(t.Context(), Inbound)
		c.hello(Inbound)
		c.do("MAIL FROM:<"+outside+">", "250")
		c.do("RCPT TO:<Postmaster@sapins.mssante.fr>", want)
		c.do("RCPT TO:<postmaster@chu-exemple.mssante.fr>", "550 5.1.1")
		if who == "" {
			continue
		}
		c.do("DATA", "354")
		c.send("From: <" + outside + ">\r\n\r\nx\r\n.\r\n")
		c.expect("250")
		if n := len(o.content(claire, mailbox.Inbox)); n != 1 {
			t.Errorf("%d messages", n)
		}
	}
}

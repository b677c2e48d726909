package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// dovecotInClear is a listener without TLS beside that with it: a cutter sees there what the server says.
const dovecotInClear = dovecotNamespace + `
ssl = yes
disable_plaintext_auth = no
service imap-login {
  inet_listener clear {
    address = 127.0.0.1
    port = %d
  }
}
`

// fragile is a daemon two of whose mailboxes, those of urgences and paul, live on a Dovecot behind a cutter. That of the secretariat
// lives on the same Dovecot with nothing between, all others on the embedded store.
type fragile struct {
	*daemon
	cable   *cutter
	dovecot *origin
}

// startFragile runs it; with down the cable is out from the beginning.
func startFragile(t *testing.T, down bool) *fragile {
	t.Helper()
	clear := freePort(t)
	o := startDovecot(t, fmt.Sprintf(dovecotInClear, clear), nil)
	cable := newCutter(t, fmt.Sprintf("127.0.0.1:%d", clear))
	if down {
		cable.refuse()
	}
	d := withStores(t, map[string]string{urgences: "brittle", paul: "brittle", secretariat: "steady"}, func(d *daemon) string {
		brittle := *o
		brittle.address = cable.address
		return brittle.mailstore("brittle", "insecure_no_tls: true, "+d.withCredentials("master")) + o.mailstore("steady", d.withCredentials("master"))
	})
	return &fragile{d, cable, o}
}

// comesBack waits until a command is done: the store is left alone for a while after failures.
func (f *fragile) comesBack(c *client, command string) {
	f.t.Helper()
	f.eventually(backTimeout, command, func() error {
		if a := c.do("%s", command); a.status != "OK" {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
}

// backTimeout is longer than any time for which a store that failed is left alone.
const backTimeout = 20 * time.Second

// unavailable checks that a command fails because a store is down, tells nothing else, and says nothing of the store.
func unavailable(t *testing.T, c *client, command string) {
	t.Helper()
	a := c.do("%s", command)
	if a.short() != "NO UNAVAILABLE" || len(a.untagged) > 0 || strings.Contains(a.text, "127.0.0.1") {
		t.Errorf("%s: %s", command, a)
	}
}

// TestStoreDownAtLogin: who logs in while the store of their own mailbox is down has all others, and gets it when it is back.
func TestStoreDownAtLogin(t *testing.T) {
	f := startFragile(t, true)
	own, other := login(t, f.daemon, paul), login(t, f.daemon, claire)
	for _, command := range []string{"SELECT INBOX", "STATUS INBOX (MESSAGES)", `LIST "" "*"`, `LSUB "" "*"`, `LIST "" "%" RETURN (STATUS (MESSAGES))`, "CREATE x", "GETQUOTAROOT INBOX"} {
		unavailable(t, own, command)
	}
	if a := own.append("INBOX", "", message("d1@test", "perdu", 500)); a.short() != "NO UNAVAILABLE" {
		t.Errorf("APPEND: %s", a)
	}
	own.ok("SELECT %s", shared(secretariat, "INBOX"))
	unavailable(t, other, `LIST "" "*"`)
	unavailable(t, other, "SELECT "+shared(urgences, "INBOX"))
	other.ok("SELECT INBOX")
	other.ok("COPY 1 %s", shared(secretariat, "INBOX"))
	if a := own.ok("NOOP"); !strings.Contains(a.String(), "* 1 EXISTS") {
		t.Errorf("a message for the other mailbox: %s", a)
	}
	f.cable.heal()
	f.comesBack(own, "SELECT INBOX")
	f.comesBack(other, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
	whole := other.ok(`LIST "" "*"`).String()
	for _, folder := range []string{shared(urgences, "INBOX"), shared(urgences, "Sent"), shared(secretariat, "INBOX")} {
		if !strings.Contains(whole, folder) {
			t.Errorf("no %s in\n%s", folder, whole)
		}
	}
	// What was seen once is listed while the store is down: clients unsubscribe what is missing.
	f.cable.refuse()
	if again := other.ok(`LIST "" "*"`).String(); again != whole {
		t.Errorf("while the store is down:\n%s\nbefore:\n%s", again, whole)
	}
}

// TestStoreCutInList: wherever the connection breaks, LIST answers all or fails.
func TestStoreCutInList(t *testing.T) {
	f := startFragile(t, false)
	direct := f.dovecot.direct("", address(urgences)+"*"+gatewayUser, gatewayPassword)
	for i := range 30 {
		direct.ok("CREATE Dossier%d", i)
	}
	for _, at := range []int{0, 1, 7, 60, 300, 700} {
		c := login(t, f.daemon, claire)
		f.comesBack(c, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)") // which tells the gateway of no folder
		f.cable.cutBehind("* LIST", 1, at)
		unavailable(t, c, `LIST "" "*"`)
		c.ok("SELECT INBOX")
		f.cable.heal()
	}
	c := login(t, f.daemon, claire)
	f.comesBack(c, `STATUS `+shared(urgences, "INBOX")+` (MESSAGES)`)
	if got := strings.Count(c.ok(`LIST "" "*"`).String(), shared(urgences, "Dossier")); got != 30 {
		t.Errorf("%d folders, want 30", got)
	}
}

// TestStoreLostWhileSelected: only who has a mailbox of the store open is told good-bye, in IDLE too.
func TestStoreLostWhileSelected(t *testing.T) {
	f := startFragile(t, false)
	selected, idling := login(t, f.daemon, claire), login(t, f.daemon, paul)
	elsewhere, elsewhereIdling := login(t, f.daemon, claire), login(t, f.daemon, noemie)
	selected.ok("SELECT %s", shared(urgences, "INBOX"))
	elsewhere.ok("STATUS %s (MESSAGES)", shared(urgences, "INBOX")) // has a connection to the store, and another mailbox open
	elsewhere.ok("SELECT %s", shared(secretariat, "INBOX"))
	idling.ok("SELECT INBOX")
	elsewhereIdling.ok("SELECT INBOX")
	idling.send("i IDLE\r\n")
	elsewhereIdling.send("i IDLE\r\n")
	for _, c := range []*client{idling, elsewhereIdling} {
		if line := c.line(); !strings.HasPrefix(line, "+") {
			t.Fatalf("IDLE: %s", line)
		}
	}
	f.cable.cutAll()
	for _, c := range []*client{selected, idling} {
		said := c.gone(replyTimeout)
		if len(said) != 1 || !strings.HasPrefix(said[0], "* BYE ") || strings.Contains(said[0], "127.0.0.1") {
			t.Errorf("the last words: %q", said)
		}
	}
	unavailable(t, elsewhere, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
	elsewhere.append(shared(secretariat, "INBOX"), "", message("s1@test", "toujours", 500))
	if line := elsewhereIdling.line(); line != "* 1 EXISTS" {
		t.Errorf("in the IDLE of another mailbox: %s", line)
	}
	f.cable.heal()
	f.comesBack(elsewhere, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
	elsewhere.ok("UID COPY 1 %s", shared(urgences, "INBOX"))
}

// TestStoreCutInLiteral: a message that is cut off is not made up with anything else.
func TestStoreCutInLiteral(t *testing.T) {
	f := startFragile(t, false)
	text := message("l1@test", "Long", 1_000_000)
	c := login(t, f.daemon, claire)
	if a := c.append(shared(urgences, "INBOX"), "", text); a.status != "OK" {
		t.Fatal(a)
	}
	for _, at := range []int{0, 1, 3000, 500_000, len(text) - 30, len(text) - 1} {
		c := login(t, f.daemon, claire)
		f.comesBack(c, "SELECT "+shared(urgences, "INBOX"))
		announced := fmt.Sprintf("BODY[] {%d}\r\n", len(text))
		f.cable.cutBehind(announced, 1, at)
		c.send("f UID FETCH 1 BODY.PEEK[]\r\n")
		said := strings.Join(c.gone(replyTimeout), "\n")
		if _, got, ok := strings.Cut(said, announced); ok && !strings.HasPrefix(text, got) {
			t.Errorf("cut behind %d octets: they go on with %q", at, got[len(got)-min(len(got), 100):])
		}
		f.cable.heal()
	}
	c = login(t, f.daemon, claire)
	f.comesBack(c, "SELECT "+shared(urgences, "INBOX"))
	if c.body("1") != text {
		t.Error("the message is not what it was")
	}
}

// TestStoreCutInCopy: wherever the connection breaks, no message is lost, and none stands in both mailboxes for good.
func TestStoreCutInCopy(t *testing.T) {
	f := startFragile(t, false)
	brittle, steady := shared(urgences, "Sent"), shared(secretariat, "Sent")
	c := login(t, f.daemon, claire)
	for i := range 5 {
		for _, folder := range []string{brittle, steady} {
			if a := c.append(folder, "", message(fmt.Sprintf("k%d@test", i), "À copier", 100_000)); a.status != "OK" {
				t.Fatal(a)
			}
		}
	}
	for _, command := range []string{"COPY", "MOVE"} {
		for _, times := range []int{1, 3, 5} {
			for _, octets := range []int{0, 50_000} {
				f.cutWhile(command, brittle, steady, "BODY[] {", times, octets)
			}
			f.cutWhile(command, steady, brittle, "+ OK", times, 0)
		}
		f.cutWhile(command, brittle, steady, "INTERNALDATE", 3, 0)
	}
	// What could not be undone while the store was away is at the next start.
	f.stop()
	f.serve()
	f.holds(map[string]int{brittle: 5, steady: 5})

	// A store that has the message and cannot say so any more: the gateway does not know under which UID.
	for _, command := range []string{"COPY", "MOVE"} {
		f.cutWhile(command, steady, brittle, "APPENDUID", 3, 0)
	}
	f.stop()
	f.serve()
	f.holds(map[string]int{brittle: 7, steady: 5})
}

// cutWhile copies or moves all of a folder, in whose midst the cable is cut, and puts it back in. Who has the mailbox open that is lost
// is told good-bye, and perhaps before that what all others are told: that the command was not done.
func (f *fragile) cutWhile(command, from, to, text string, times, octets int) {
	f.t.Helper()
	c := login(f.t, f.daemon, claire)
	f.comesBack(c, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
	c.ok("SELECT %s", from)
	f.cable.cutBehind(text, times, octets)
	what := fmt.Sprintf("%s 1:* %s", command, to)
	tag := c.tag()
	c.send(tag + " " + what + "\r\n")
	if from == shared(urgences, "Sent") {
		said := c.gone(replyTimeout)
		if len(said) > 1 && strings.HasPrefix(said[0], tag+" NO [UNAVAILABLE] ") {
			said = said[1:]
		}
		if len(said) != 1 || !strings.HasPrefix(said[0], "* BYE ") {
			f.t.Errorf("%s: the last words: %q", what, said)
		}
	} else if a := c.await(tag); a.short() != "NO UNAVAILABLE" || len(a.untagged) > 0 {
		f.t.Errorf("%s: %s", what, a)
	}
	f.cable.heal()
}

// holds waits until folders have so many messages.
func (f *fragile) holds(want map[string]int) {
	f.t.Helper()
	c := login(f.t, f.daemon, claire)
	f.eventually(backTimeout, fmt.Sprint(want), func() error {
		for folder, n := range want {
			if a := c.do("STATUS %s (MESSAGES)", folder); !strings.Contains(a.String(), fmt.Sprintf("(MESSAGES %d)", n)) {
				return fmt.Errorf("%s", a)
			}
		}
		return nil
	})
}

// TestStoreStalls: a store that says nothing any more costs those who ask for it some seconds, and nobody else anything.
func TestStoreStalls(t *testing.T) {
	f := startFragile(t, false)
	asking, other := login(t, f.daemon, claire), login(t, f.daemon, claire)
	f.cable.hold()
	asking.send("s SELECT " + shared(urgences, "INBOX") + "\r\n")
	start := time.Now()
	other.ok("SELECT INBOX")
	other.ok("UID COPY 1 %s", shared(secretariat, "INBOX"))
	own := login(t, f.daemon, paul)
	own.ok("STATUS %s (MESSAGES)", shared(secretariat, "INBOX"))
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("others waited for %v", d)
	}
	if a := asking.await("s"); a.short() != "NO UNAVAILABLE" {
		t.Errorf("SELECT of a store that stalls: %s", a)
	}
	asking.ok("SELECT INBOX")
	f.cable.heal()
	f.comesBack(asking, "SELECT "+shared(urgences, "INBOX"))
}

// kept is how many connections wait for the next session of the same mailbox.
const kept = 4

// TestStoreIsLeftAlone: a store that is down is not asked again and again, the answer is quick, and nothing is left behind when it is back.
func TestStoreIsLeftAlone(t *testing.T) {
	f := startFragile(t, false)
	before := f.metric("go_goroutines")
	var clients []*client
	for range 10 {
		c := login(t, f.daemon, claire)
		c.ok("STATUS %s (MESSAGES)", shared(urgences, "INBOX"))
		c.ok("SELECT %s", shared(secretariat, "INBOX"))
		clients = append(clients, c)
	}
	f.cable.cutAll()
	earlier, _ := f.cable.counts()
	start, asked := time.Now(), 0
	for time.Since(start) < 3*time.Second {
		for _, c := range clients {
			unavailable(t, c, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
			asked++
		}
	}
	tries, _ := f.cable.counts()
	if tries -= earlier; tries > 20 || asked < 10*tries {
		t.Errorf("asked %d times, the store was tried %d times", asked, tries)
	}
	f.cable.heal()
	for _, c := range clients {
		f.comesBack(c, "STATUS "+shared(urgences, "INBOX")+" (MESSAGES)")
		c.ok("LOGOUT")
	}
	f.eventually(backTimeout, "the end of all connections", func() error {
		if _, open := f.cable.counts(); open > kept {
			return fmt.Errorf("%d connections to the store are open", open)
		}
		if n := f.metric("go_goroutines"); n > before+5 {
			return fmt.Errorf("%v goroutines, %v before", n, before)
		}
		return nil
	})
}

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// Parallel writers of TestKill, and what they write: small bodies stand in the store itself, large ones in files.
const (
	killWriters = 10
	smallBody   = 1_000
	largeBody   = 200_000
	// longestRound bounds how long they write before the daemon is killed.
	longestRound = 800 * time.Millisecond
)

// ledger is what the writers of one round have sent, by Message-ID, and which of it was answered OK.
type ledger struct {
	mu                 sync.Mutex
	sent, acknowledged map[string]bool
}

func (l *ledger) note(in map[string]bool, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[id] = true
}

// TestKill: of messages that were answered OK, none is lost and none doubled by SIGKILL, and none that was removed before comes
// back.
func TestKill(t *testing.T) {
	d := startDemo(t)
	sent, acknowledged := 0, 0
	for round := range *killRounds {
		l := &ledger{sent: make(map[string]bool), acknowledged: make(map[string]bool)}
		var writing sync.WaitGroup
		kill := time.After(time.Duration(rand.Int64N(int64(longestRound))))
		for w := range killWriters {
			c := login(t, d, claire)
			writing.Go(func() { c.appendUntilCut(fmt.Sprintf("r%d-w%d", round, w), l) })
		}
		<-kill
		d.kill()
		writing.Wait()
		d.serve()
		verifyOnce(t, d, l)
		d.checkStore()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		sent, acknowledged = sent+len(l.sent), acknowledged+len(l.acknowledged)
	}
	t.Logf("%d rounds: %d messages sent, %d answered OK, all there once", *killRounds, sent, acknowledged)
	if acknowledged == 0 {
		t.Error("no message was answered OK: nothing was tested")
	}
}

// appendUntilCut files messages until the connection ends.
func (c *client) appendUntilCut(prefix string, l *ledger) {
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-m%d@test", prefix, i)
		size := smallBody
		if i%4 == 3 {
			size = largeBody
		}
		m := message(id, "Essai de coupure", size)
		l.note(l.sent, id)
		if c.write(fmt.Sprintf("a%d APPEND INBOX {%d+}\r\n%s\r\n", i, len(m), m)) != nil {
			return
		}
		for {
			line, err := c.read(replyTimeout)
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "* ") {
				continue
			}
			if !strings.HasPrefix(line, fmt.Sprintf("a%d OK ", i)) {
				c.t.Errorf("APPEND: %s", line)
				return
			}
			break
		}
		l.note(l.acknowledged, id)
	}
}

// verifyOnce reads the mailbox back: bodies whole, acknowledged messages there, none twice, none of an earlier round. Then it
// removes them.
func verifyOnce(t *testing.T, d *daemon, l *ledger) {
	t.Helper()
	c := login(t, d, claire)
	c.ok("SELECT INBOX")
	found := make(map[string]int)
	for _, line := range c.ok("UID FETCH 1:* (RFC822.SIZE BODY.PEEK[])").untagged {
		_, after, ok := strings.Cut(line, "Message-ID: <")
		id, _, _ := strings.Cut(after, ">")
		if !ok || !strings.HasSuffix(id, "@test") {
			continue // the demo's own
		}
		found[id]++
		if !l.sent[id] {
			t.Errorf("message %s was not sent in this round", id)
		}
		size := smallBody
		var round, writer, n int
		if _, err := fmt.Sscanf(id, "r%d-w%d-m%d@test", &round, &writer, &n); err == nil && n%4 == 3 {
			size = largeBody
		}
		if !strings.Contains(line, message(id, "Essai de coupure", size)) {
			t.Errorf("message %s is not what was sent", id)
		}
	}
	for id, n := range found {
		if n > 1 {
			t.Errorf("message %s is there %d times", id, n)
		}
	}
	for id := range l.acknowledged {
		if found[id] == 0 {
			t.Errorf("message %s was answered OK and is lost", id)
		}
	}
	if len(found) > 0 {
		c.ok(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`)
		c.ok("EXPUNGE")
	}
}

// movedMessages is how many TestKillDuringMove has to move: more than it can before the daemon is killed.
const movedMessages = 300

// TestKillDuringMove: a message that moves between accounts of the embedded store when the daemon is killed is in one of them, never in
// both and never in none.
func TestKillDuringMove(t *testing.T) {
	killDuringMove(t, startDemo(t), 0)
}

// TestKillDuringMoveToServer: to another mail store, the one message on its way may be left in both; what else the restart finds half
// done is finished or undone.
func TestKillDuringMoveToServer(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, nil)
	killDuringMove(t, withStores(t, map[string]string{secretariat: "dovecot"}, func(d *daemon) string {
		return o.mailstore("dovecot", d.withCredentials("master"))
	}), 1)
}

// killDuringMove kills the daemon while messages move from one mailbox to another. mayTwice is how many may be in both then.
func killDuringMove(t *testing.T, d *daemon, mayTwice int) {
	t.Helper()
	from, to := shared(urgences, "INBOX"), shared(secretariat, "INBOX")
	c := login(t, d, claire)
	for i := range movedMessages {
		if a := c.append(from, "", message(fmt.Sprintf("v%d@test", i), "En route", 2_000)); a.status != "OK" {
			t.Fatal(a)
		}
	}
	c.ok("SELECT %q", from)
	uids := c.uids(`SUBJECT "En route"`)
	moved := make(chan struct{}, len(uids)) // something for each move that is answered OK
	go func() {
		defer close(moved)
		c.moveUntilCut(uids, to, moved)
	}()
	answered := 0
	for range 1 + rand.IntN(movedMessages/3) {
		<-moved
		answered++
	}
	<-time.After(time.Duration(rand.Int64N(int64(10 * time.Millisecond)))) // into the middle of one
	d.kill()
	for range moved {
		answered++
	}
	d.serve()

	c = login(t, d, claire)
	twice := 0
	d.eventually(newsTimeout, "the end of what was left half done", func() error {
		places := make(map[string]int)
		for _, folder := range []string{from, to} {
			c.ok("EXAMINE %q", folder)
			for _, line := range c.ok(`UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])`).untagged {
				if _, after, ok := strings.Cut(line, "<v"); ok {
					places[after]++
				}
			}
		}
		if len(places) != movedMessages {
			t.Fatalf("%d messages of %d are there", len(places), movedMessages)
		}
		twice = 0
		for _, n := range places {
			twice += n - 1
		}
		if twice > mayTwice {
			return fmt.Errorf("%d messages are in both mailboxes", twice)
		}
		return nil
	})
	t.Logf("%d moves answered, %d messages twice", answered, twice)
	if answered == movedMessages {
		t.Error("every move was answered: the kill fell on none")
	}
}

// moveUntilCut moves messages one by one until the connection ends.
func (c *client) moveUntilCut(uids []string, to string, moved chan<- struct{}) {
	for i, uid := range uids {
		if c.write(fmt.Sprintf("m%d UID MOVE %s %q\r\n", i, uid, to)) != nil {
			return
		}
		for {
			line, err := c.read(replyTimeout)
			if err != nil {
				return
			}
			if rest, ok := strings.CutPrefix(line, fmt.Sprintf("m%d ", i)); ok {
				if !strings.HasPrefix(rest, "OK ") {
					c.t.Errorf("MOVE: %s", line)
				}
				moved <- struct{}{}
				break
			}
		}
	}
}

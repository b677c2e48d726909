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

// TestKill: of messages that were answered OK, none is lost and none doubled by SIGKILL.
func TestKill(t *testing.T) {
	d := startDemo(t)
	acknowledged := make(map[string]bool) // Message-IDs, over all rounds
	sent := make(map[string]bool)
	for round := range *killRounds {
		writers := make([]*client, killWriters)
		for w := range writers {
			writers[w] = login(t, d, claire)
		}
		kill := time.After(time.Duration(rand.Int64N(int64(longestRound))))
		var writing sync.WaitGroup
		var mu sync.Mutex
		for w, c := range writers {
			writing.Go(func() { c.appendUntilCut(fmt.Sprintf("r%d-w%d", round, w), &mu, sent, acknowledged) })
		}
		<-kill
		d.kill()
		writing.Wait()
		d.serve()
		verifyOnce(t, d, sent, acknowledged)
		d.checkStore()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	t.Logf("%d rounds: %d messages sent, %d answered OK, all there once", *killRounds, len(sent), len(acknowledged))
	if len(acknowledged) == 0 {
		t.Error("no message was answered OK: nothing was tested")
	}
}

// appendUntilCut files messages until the connection ends.
func (c *client) appendUntilCut(prefix string, mu *sync.Mutex, sent, acknowledged map[string]bool) {
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-m%d@test", prefix, i)
		size := smallBody
		if i%4 == 3 {
			size = largeBody
		}
		m := message(id, "Essai de coupure", size)
		mu.Lock()
		sent[id] = true
		mu.Unlock()
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
		mu.Lock()
		acknowledged[id] = true
		mu.Unlock()
	}
}

// verifyOnce reads the mailbox back: bodies whole, acknowledged messages there, none twice.
func verifyOnce(t *testing.T, d *daemon, sent, acknowledged map[string]bool) {
	t.Helper()
	c := login(t, d, claire)
	c.ok("SELECT INBOX")
	found := make(map[string]int)
	for _, line := range c.ok("FETCH 1:* (RFC822.SIZE BODY.PEEK[])").untagged {
		_, after, ok := strings.Cut(line, "Message-ID: <")
		id, _, _ := strings.Cut(after, ">")
		if !ok || !strings.HasSuffix(id, "@test") {
			continue // the demo's own
		}
		found[id]++
		if !sent[id] {
			t.Errorf("message %s was never sent", id)
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
	for id := range acknowledged {
		if found[id] == 0 {
			t.Errorf("message %s was answered OK and is lost", id)
		}
	}
}

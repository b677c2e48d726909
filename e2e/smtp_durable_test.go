package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/e2e/exchange"
)

const (
	submitters = 20
	// doubtTime is the time before a kill in which a next hop's 250 may not have been written down yet: a transaction of the store on a busy
	// machine.
	doubtTime = 500 * time.Millisecond
	// longestSubmission bounds how long a round submits before the daemon is killed.
	longestSubmission = 1500 * time.Millisecond
	// drainTimeout is how long the queue of a round may take to empty.
	drainTimeout = 60 * time.Second
)

// submissions is what the submitters of one round have sent, and under which id it was answered 250.
type submissions struct {
	mu       sync.Mutex
	sent     map[string]string // Message-ID to content
	answered map[string]string // Message-ID to the queue's id
}

// TestKillSubmission: of messages that were answered 250, none is lost by SIGKILL: each is delivered, and stands once in the sender's Sent
// folder, in the local recipient's INBOX and in the trace. Those that were not answered are sent again by their clients, and then the same
// holds for them. A next hop gets a message twice only when the daemon was killed between the next hop's 250 and its own record of it.
func TestKillSubmission(t *testing.T) {
	d := startDemo(t)
	sink := startSink(t)
	d.relayTo(sink.Address())
	total := tally{}
	for round := range *killRounds {
		s := &submissions{sent: make(map[string]string), answered: make(map[string]string)}
		began, before := time.Now(), len(sink.Taken())
		var sending sync.WaitGroup
		for n := range submitters {
			c := submit(t, d, noemie, secretariat)
			sending.Go(func() { submitUntilCut(t, c, fmt.Sprintf("r%d-s%d", round, n), s) })
		}
		<-time.After(time.Duration(rand.Int64N(int64(longestSubmission))))
		killed := time.Now()
		d.kill()
		sending.Wait()
		d.serve()
		again := sendAgain(t, d, s)
		d.drained()
		got := sink.Taken()[before:]
		ids := s.verifySink(t, got, killed, &total)
		s.verifyBoxes(t, d, ids)
		verifySends(t, d, began, ids)
		d.checkStore()
		if bad := sink.Bad(); len(bad) > 0 {
			t.Errorf("the next hop got %q", bad)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		total.sent, total.answered, total.again = total.sent+len(s.sent), total.answered+len(s.answered)-again, total.again+again
	}
	t.Logf("%d rounds: %d messages sent, %d answered 250 before the kill and none lost, %d sent again by their clients; %d delivered twice by the unavoidable window, the earliest %v before its kill",
		*killRounds, total.sent, total.answered, total.again, total.doubled, total.earliest.Round(time.Millisecond))
	if total.answered == 0 {
		t.Error("no message was answered 250: nothing was tested")
	}
}

// tally is what all rounds came to.
type tally struct {
	sent, answered, again, doubled int
	earliest                       time.Duration // before its kill, of the first deliveries of those that were doubled
}

// submitUntilCut submits messages until the connection ends.
func submitUntilCut(t *testing.T, c *exchange.Submitter, prefix string, s *submissions) {
	t.Helper()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-m%d@test", prefix, i)
		size := smallBody
		if i%4 == 3 {
			size = largeBody
		}
		content := numbered(id, size)
		s.mu.Lock()
		s.sent[id] = content
		s.mu.Unlock()
		queued, err := c.Send(content, address(claire), remote)
		if exchange.CutOff(err) {
			return
		}
		if err != nil {
			t.Errorf("message %s: %v", id, err)
			return
		}
		s.mu.Lock()
		s.answered[id] = queued
		s.mu.Unlock()
	}
}

// sendAgain does what clients do about messages that were not answered, and answers how many there were.
func sendAgain(t *testing.T, d *daemon, s *submissions) (again int) {
	t.Helper()
	c := submit(t, d, noemie, secretariat)
	for id, content := range s.sent {
		if s.answered[id] != "" {
			continue
		}
		queued, err := c.Send(content, address(claire), remote)
		if err != nil {
			t.Errorf("message %s again: %v", id, err)
			continue
		}
		s.answered[id] = queued
		again++
	}
	return again
}

// drained waits until nothing waits in the queue.
func (d *daemon) drained() {
	d.t.Helper()
	d.eventually(drainTimeout, "the end of the queue", func() error {
		if n := d.metric("balorg_smtp_queue_waiting_count"); n > 0 {
			return fmt.Errorf("%v recipients wait", n)
		}
		return nil
	})
	out, err := d.balorg("queue list")
	if err != nil || strings.TrimSpace(out) != "" {
		d.t.Errorf("the queue after its end: %v\n%s", err, tail(out))
	}
}

// verifySink holds what arrived at the next hop against what was sent, and answers the ids it went out under, by Message-ID.
func (s *submissions) verifySink(t *testing.T, got []exchange.Delivery, killed time.Time, total *tally) map[string]string {
	t.Helper()
	ids := make(map[string]string)
	arrivals := make(map[string][]exchange.Delivery)
	for _, one := range got {
		arrivals[one.MessageID] = append(arrivals[one.MessageID], one)
		if former, ok := ids[one.MessageID]; ok && former != one.QueueID {
			t.Errorf("message %s went out as %s and as %s: it was accepted twice", one.MessageID, former, one.QueueID)
		}
		ids[one.MessageID] = one.QueueID
		if s.sent[one.MessageID] == "" {
			t.Errorf("message %s was not sent in this round", one.MessageID)
		}
		if n := len(strings.ReplaceAll(s.sent[one.MessageID], "\r\n", "\n")); one.Octets < n-200 {
			t.Errorf("message %s arrived with %d octets of %d", one.MessageID, one.Octets, n)
		}
	}
	doubled := 0
	for id, all := range arrivals {
		if len(all) == 1 {
			continue
		}
		doubled++
		early := killed.Sub(all[0].At)
		total.earliest = max(total.earliest, early)
		if len(all) > 2 || early > doubtTime {
			t.Errorf("message %s arrived %d times, the first time %v before the kill", id, len(all), early)
		}
	}
	if total.doubled += doubled; doubled > perDestination {
		t.Errorf("%d messages arrived twice, where no more than %d can have been on their way to one next hop", doubled, perDestination)
	}
	for id, queued := range s.answered {
		if ids[id] != queued {
			t.Errorf("message %s was answered 250 as %s, and went out as %q", id, queued, ids[id])
		}
	}
	return ids
}

// perDestination is how many attempts there are to one destination at a time.
const perDestination = 20

// verifyBoxes reads the sender's Sent folder and the local recipient's INBOX, each of which has what went out once; then it empties them.
func (s *submissions) verifyBoxes(t *testing.T, d *daemon, ids map[string]string) {
	t.Helper()
	c := login(t, d, claire)
	for _, folder := range []string{shared(secretariat, sentFolder), "INBOX"} {
		c.ok("SELECT %q", folder)
		found := make(map[string]int)
		for _, line := range c.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID RECEIVED)])").untagged {
			_, after, ok := strings.Cut(line, "Message-ID: <")
			id, _, _ := strings.Cut(after, ">")
			if !ok || !strings.HasSuffix(id, "@test") {
				continue // the demo's own
			}
			found[id]++
			if queued := ids[id]; queued == "" || !strings.Contains(line, " id "+queued+";") {
				t.Errorf("message %s in %s is not the one that went out as %q", id, folder, queued)
			}
		}
		for id := range ids {
			if found[id] != 1 {
				t.Errorf("message %s is in %s %d times", id, folder, found[id])
			}
		}
		if len(found) > 0 {
			c.ok(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`)
			c.ok("EXPUNGE")
		}
	}
}

// verifySends reads the trace of the sendings, which has what went out once.
func verifySends(t *testing.T, d *daemon, since time.Time, ids map[string]string) {
	t.Helper()
	out, err := d.balorg("audit list", "--action", "send", "--json", "--since", since.UTC().Format(time.RFC3339))
	if err != nil {
		t.Fatalf("audit list: %v\n%s", err, tail(out))
	}
	records := make(map[string]int)
	for line := range strings.Lines(out) {
		var r struct {
			Answer string
			Person struct{ Address string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Person.Address != address(noemie) {
			t.Errorf("the trace says that %s sent", r.Person.Address)
		}
		records[strings.TrimPrefix(r.Answer, "250 2.0.0 ")]++
	}
	for id, queued := range ids {
		if records[queued] != 1 {
			t.Errorf("the trace has message %s, queued as %s, %d times", id, queued, records[queued])
		}
	}
}

// TestLostAnswer: a client whose connection is cut right behind the final dot sends its message again, and there is one message all the
// same: whether the first had been accepted by then, or comes to its end at the same time.
func TestLostAnswer(t *testing.T) {
	d := startDemo(t)
	sink := startSink(t)
	d.relayTo(sink.Address())
	s := &submissions{sent: make(map[string]string), answered: make(map[string]string)}
	began := time.Now()
	for n := range 20 {
		id := fmt.Sprintf("lost-%d@test", n)
		s.sent[id] = numbered(id, []int{smallBody, largeBody}[n%2])
		c, next := submit(t, d, noemie, secretariat), submit(t, d, noemie, secretariat)
		if err := c.Envelope(address(claire), remote); err != nil {
			t.Fatal(err)
		}
		if err := c.Write(s.sent[id] + ".\r\n"); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if n%4 < 2 {
			d.eventually(newsTimeout, "the first message", func() error {
				if got := sink.Taken(); len(got) == 0 || got[len(got)-1].MessageID != id {
					return fmt.Errorf("it has not left")
				}
				return nil
			})
		}
		queued, err := next.Send(s.sent[id], remote, address(claire)) // in whatever order
		if err != nil {
			t.Fatal(err)
		}
		s.answered[id] = queued
	}
	d.drained()
	got := sink.Taken()
	if len(got) != len(s.sent) {
		t.Errorf("%d messages left, of %d", len(got), len(s.sent))
	}
	ids := s.verifySink(t, got, time.Now(), &tally{})
	s.verifyBoxes(t, d, ids)
	verifySends(t, d, began, ids)

	// Another message is another one, whatever its id says.
	other := submit(t, d, noemie, secretariat)
	if queued, err := other.Send(numbered("lost-0@test", smallBody+500), address(claire), remote); err != nil || queued == s.answered["lost-0@test"] {
		t.Errorf("another text under the same id: %q, %v", queued, err)
	}
}

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hop is Postfix's smtp-sink as a next hop that behaves as its arguments say. It is started anew for each behaviour, at the same port.
type hop struct {
	t       *testing.T
	dir     string // messages it took, one a file
	address string
	stop    func()
}

func newHop(t *testing.T) *hop {
	t.Helper()
	h := &hop{t: t, dir: newOrigin(t).dir, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), stop: func() {}}
	if err := os.Chmod(h.dir, 0o777); err != nil { // it runs as nobody
		t.Fatal(err)
	}
	t.Cleanup(func() { h.stop() })
	return h
}

// behave replaces the sink by another one.
func (h *hop) behave(args ...string) {
	h.t.Helper()
	h.stop()
	all := append(append([]string{"-u", "nobody"}, args...), "-d", filepath.Join(h.dir, "took."), h.address, "100")
	cmd := exec.Command("smtp-sink", all...)
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("%v: see peers.sh", err)
	}
	h.stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
		h.stop = func() {}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTimeout); ; <-tick.C {
		conn, err := net.Dial("tcp", h.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("smtp-sink %q does not listen: %v\n%s", args, err, out)
		}
	}
}

// took answers the messages with a Message-ID that the sink has taken, in all its lives.
func (h *hop) took(id string) (all []string) {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "took.*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range files {
		octets, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.Contains(string(octets), "\nMessage-ID: <"+id+">\n") {
			all = append(all, string(octets))
		}
	}
	return all
}

// relayTo is the section relay that has mail leave in the clear to a next hop, with time-outs.
func relayTo(h *hop, timeouts string) string {
	return fmt.Sprintf("relay:\n  smarthost: %q\n  insecure_no_tls: true\n  timeouts: %s\n", h.address, timeouts)
}

// tried waits for the first attempt to deliver a message to the one recipient that is not ours.
func (d *daemon) tried(id string) (state, reply string) {
	d.t.Helper()
	d.eventually(newsTimeout, "an attempt to deliver "+id, func() error {
		it := d.entry(id).Items[1]
		if it.Attempts == 0 {
			return fmt.Errorf("%+v", it)
		}
		state, reply = string(it.State), it.Reply
		return nil
	})
	return state, reply
}

// misbehaviour is what a next hop does, and what is to become of a message.
type misbehaviour struct {
	args  string // with _ in the place of spaces in one
	state string // after the first attempt
	reply string // holds this
	kept  bool   // the sink keeps what it does not take
	ascii bool   // the message is
	size  int    // of the message, 0 for a small one
}

// arguments are those of smtp-sink.
func (m misbehaviour) arguments() []string {
	all := strings.Fields(m.args)
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "_", " ")
	}
	return all
}

// misbehave has a message meet each misbehaviour, and then a next hop that does as it should.
func misbehave(t *testing.T, d *daemon, h *hop, all []misbehaviour) {
	t.Helper()
	m := submitter(t, d, noemie, "")
	team := login(t, d, noemie)
	ids := make([]string, len(all))
	waiting, unreached := 0, false
	for i, tt := range all {
		t.Run("smtp-sink "+tt.args, func(t *testing.T) {
			h.behave(tt.arguments()...)
			id := fmt.Sprintf("saut-%d-@poste", i)
			message := composed(address(secretariat), id)
			if tt.ascii {
				message = strings.NewReplacer("é", "e", "8bit", "7bit").Replace(message)
			}
			const line = "Une ligne de plus dans le compte rendu.\r\n"
			message += strings.Repeat(line, tt.size/len(line))
			ids[i] = queued(t, m.submit(address(secretariat), []string{outside}, stuffed(message)))
			if unreached { // then nobody tries for a while
				if out, err := d.balorg("queue retry", ids[i]); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			state, reply := d.tried(ids[i])
			unreached = strings.HasPrefix(reply, "451 4.4.1")
			if state != tt.state || !strings.Contains(reply, tt.reply) {
				t.Errorf("%s: %q, want %s: %q", state, reply, tt.state, tt.reply)
			}
			if state == "waiting" {
				waiting++
			}
			if state == "failed" {
				team.one(d, "INBOX", "Non remis")
				team.ok(`SELECT INBOX`)
				team.ok(`UID STORE %s +FLAGS (\Deleted)`, team.uids(`SUBJECT "Non remis"`)[0])
				team.ok("EXPUNGE")
			}
			if n := len(h.took(id)); state == "delivered" && n != 1 || n > 0 && state != "delivered" && !tt.kept {
				t.Errorf("%s, and taken %d times", state, n)
			}
		})
	}
	h.behave()
	if out, err := d.balorg("queue list"); err != nil || strings.Count(out, "relay "+outside+"  waiting") != waiting {
		t.Errorf("%d messages are to wait: %v\n%s", waiting, err, out)
	}
	if out, err := d.balorg("queue retry", "--all"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for i, tt := range all {
		if ids[i] == "" {
			continue
		}
		e := d.settled(ids[i])
		id := fmt.Sprintf("saut-%d-@poste", i)
		n := len(h.took(id))
		want := 1
		if tt.kept {
			want = e.Items[1].Attempts
		} else if tt.state == "failed" {
			want = 0
		}
		if n != want || e.Items[1].Attempts > 2 {
			t.Errorf("smtp-sink %s: %q, taken %d times in %d attempts, want %d", tt.args, states(e), n, e.Items[1].Attempts, want)
		}
		if got := team.find(sentFolder, id); len(got) != 1 {
			t.Errorf("smtp-sink %s: %d copies in Sent", tt.args, len(got))
		}
	}
	if panics := d.metric("balorg_smtp_queue_panics_total"); panics != 0 {
		t.Errorf("%v faults of the program", panics)
	}
}

// TestHostileHop: permanent and temporary rejections, drops and farewells at each stage, servers of old.
func TestHostileHop(t *testing.T) {
	t.Parallel()
	h := newHop(t)
	d := startDemo(t)
	d.setRelay(relayTo(h, "{connect: 20s}"))
	var all []misbehaviour
	for _, stage := range []string{"MAIL", "RCPT", "DATA", "."} {
		all = append(all,
			misbehaviour{args: "-f " + stage, state: "failed", reply: "500 5.3.0 Error: command failed", kept: stage == "."},
			misbehaviour{args: "-r " + stage, state: "waiting", reply: "450 4.3.0 Error: command failed", kept: stage == "."},
			misbehaviour{args: "-q " + stage, state: "waiting", reply: "451 4.4.2 Connection lost", kept: stage == "."},
			misbehaviour{args: "-Q " + stage, state: "waiting", reply: "421 4.0.0", kept: stage == "."},
		)
	}
	for _, stage := range []string{"CONNECT", "EHLO,HELO"} {
		for _, how := range []string{"-f ", "-r ", "-q ", "-Q "} {
			all = append(all, misbehaviour{args: how + stage, state: "waiting", reply: "451 4.4.1 No next hop: "})
		}
	}
	for _, old := range []string{"-f EHLO", "-P", "-e", "-8"} { // they offer nothing, and no 8BITMIME among it
		all = append(all,
			misbehaviour{args: old, state: "delivered", reply: "250", ascii: true},
			misbehaviour{args: old, state: "failed", reply: "554 5.6.3 The message needs 8BITMIME"},
		)
	}
	all = append(all,
		misbehaviour{args: "-q QUIT", state: "delivered", reply: "250"},
		misbehaviour{args: "-f QUIT,RSET,NOOP", state: "delivered", reply: "250"},
		misbehaviour{args: "-p", state: "delivered", reply: "250"},
		misbehaviour{args: "-N -E -C -F", state: "delivered", reply: "250"},
		misbehaviour{args: "-A 0", state: "failed", reply: "550"},
		misbehaviour{args: "-T 600", state: "delivered", reply: "250", size: 300_000},
		misbehaviour{args: "-b 421_4.3.2_Closing -r RCPT", state: "waiting", reply: "421 4.3.2 Closing"},
		misbehaviour{args: "-b 452_4.3.1_Full -r .", state: "waiting", reply: "452 4.3.1 Full", kept: true},
		misbehaviour{args: "-B 552_5.2.2_Too_many -f RCPT", state: "waiting", reply: "552 5.2.2 Too many"}, // RFC 5321, 4.5.3.1.10
	)
	misbehave(t, d, h, all)

	m := submitter(t, d, noemie, "")
	m.do("MAIL FROM:<"+address(secretariat)+"> SMTPUTF8", "250")
	m.do("RCPT TO:<café@chu-exemple.mssante.fr>", "250")
	m.do("DATA", "354")
	m.send(stuffed(composed(address(secretariat), "saut-accent@poste")) + ".\r\n")
	if state, reply := d.tried(queued(t, m.reply())); state != "failed" || !strings.HasPrefix(reply, "553 5.6.7") {
		t.Errorf("without SMTPUTF8: %s, %q", state, reply)
	}
	h.behave("-N")
	m.do("MAIL FROM:<"+address(secretariat)+">", "250")
	m.do("RCPT TO:<"+outside+"> NOTIFY=SUCCESS", "250")
	m.do("DATA", "354")
	m.send(stuffed(composed(address(secretariat), "saut-avis@poste")) + ".\r\n")
	d.settled(queued(t, m.reply()))
	if report := login(t, d, noemie).one(d, "INBOX", "Message remis").octets; !strings.Contains(report, "Action: relayed\r\n") {
		t.Errorf("the report on what went on without DSN:\n%s", report)
	}
}

// TestSlowHop: a next hop that does not answer, or takes nothing, is left in time.
func TestSlowHop(t *testing.T) {
	t.Parallel()
	h := newHop(t)
	d := startDemo(t)
	d.setRelay(relayTo(h, "{connect: 20s, greeting: 1s, command: 1s, data: 1s, block: 1s, final: 1s, total: 6s}"))
	var all []misbehaviour
	for _, stage := range []string{"MAIL", "RCPT", "DATA"} {
		all = append(all, misbehaviour{args: "-p -W " + stage + ":5", state: "waiting", reply: "451 4.4.2 Connection lost"})
	}
	all = append(all,
		misbehaviour{args: "-W EHLO:5", state: "waiting", reply: "451 4.4.1 No next hop"},
		misbehaviour{args: "-W .:5", state: "waiting", reply: "451 4.4.2 Connection lost after the end of the message, which may have arrived", kept: true},
		misbehaviour{args: "-w 5", state: "waiting", reply: "451 4.4.2 Connection lost"},
		misbehaviour{args: "-H 5 -T 600", state: "waiting", reply: "451 4.4.2 Connection lost: sending the message: ", size: 8 << 20},
		misbehaviour{args: "-A 5", state: "waiting", reply: "451 4.4.2 Connection lost"},
	)
	misbehave(t, d, h, all)
	if n := d.metric("balorg_smtp_relay_doubtful_total"); n != 2 {
		t.Errorf("%v messages of whose arrival nobody knows", n)
	}
}

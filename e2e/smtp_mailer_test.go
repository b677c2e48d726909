package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"balorg/gateway"
)

// MSSanté addresses and the secretariat's name, as they stand in what leaves.
const (
	mssanteDomain   = "sapins.mssante.fr"
	outside         = "accueil@chu-exemple.mssante.fr" // of the trust space
	secretariatName = "From: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=\r\n <secretariat@sapins.mssante.fr>\r\n"
)

// mssante is an account's MSSanté address.
func mssante(local string) string { return local + "@" + mssanteDomain }

// mailer is a raw SMTP or LMTP connection: it sends what it is told and adds nothing of its own.
type mailer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dialMail connects and reads the greeting.
func dialMail(t *testing.T, network, address string, config *tls.Config) *mailer {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() }) // the test is over
	m := &mailer{t: t, conn: conn, r: bufio.NewReader(conn)}
	m.expect("220 ")
	return m
}

// submitter logs in as a person, who opens a mailbox by authorization identity, or their default when that is "".
func submitter(t *testing.T, d *daemon, person, authzid string) *mailer {
	t.Helper()
	m := dialMail(t, "tcp", d.listeners.Submissions[0], d.tls())
	m.do("EHLO poste", "250-")
	if authzid != "" {
		authzid = address(authzid)
	}
	m.do("AUTH PLAIN "+plain(authzid, address(person), password(person)), "235 ")
	return m
}

// operator is another operator's server, in the networks that mail is taken from.
func operator(t *testing.T, d *daemon) *mailer {
	t.Helper()
	m := dialMail(t, "tcp", d.listeners.Inbound[0], nil)
	m.do("EHLO mx.chu-exemple.mssante.fr", "250-")
	return m
}

func (m *mailer) send(text string) {
	m.t.Helper()
	if err := m.conn.SetWriteDeadline(time.Now().Add(replyTimeout)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := io.WriteString(m.conn, text); err != nil {
		m.t.Fatal(err)
	}
}

// read reads one reply, its lines joined by LF; "" and an error at the end of the connection.
func (m *mailer) read() (string, error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return "", err
	}
	var lines []string
	for {
		line, err := m.r.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n"), err
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) > 3 && line[3] != '-' {
			return strings.Join(lines, "\n"), nil
		}
	}
}

func (m *mailer) reply() string {
	m.t.Helper()
	reply, err := m.read()
	if err != nil {
		m.t.Fatalf("reading a reply: %v (after %q)", err, reply)
	}
	return reply
}

// expect reads a reply and fails the test when it does not begin as it should.
func (m *mailer) expect(want string) string {
	m.t.Helper()
	reply := m.reply()
	if !strings.HasPrefix(reply, want) {
		m.t.Fatalf("reply %q, want %q", reply, want)
	}
	return reply
}

// ask says a command and answers the reply to it.
func (m *mailer) ask(command string) string {
	m.t.Helper()
	m.send(command + "\r\n")
	return m.reply()
}

// do is ask for a reply that is known.
func (m *mailer) do(command, want string) string {
	m.t.Helper()
	m.send(command + "\r\n")
	return m.expect(want)
}

// submit sends a message, whose lines end in CRLF, and answers the first reply that is no success, or the last one.
func (m *mailer) submit(from string, to []string, message string) string {
	m.t.Helper()
	if reply := m.ask("MAIL FROM:<" + from + ">"); !strings.HasPrefix(reply, "250") {
		return reply
	}
	for _, r := range to {
		if reply := m.ask("RCPT TO:<" + r + ">"); !strings.HasPrefix(reply, "250") {
			return reply
		}
	}
	m.do("DATA", "354")
	m.send(message + ".\r\n")
	return m.reply()
}

// queued is the id in a reply to a message.
func queued(t *testing.T, reply string) string {
	t.Helper()
	_, id, ok := strings.Cut(reply, "queued as ")
	if !ok || !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("reply %q", reply)
	}
	return id
}

// composed is a message as a person's mail program writes it: with their name, as it knows it.
func composed(from, id string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Message-ID: <%s>\r\nDate: Mon, 16 Nov 2026 10:00:00 +0100\r\nFrom: Noémie Martin <%s>\r\nTo: %s\r\nSubject: %s\r\n", id, from, outside, id)
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nLe rendez-vous est confirmé.\r\n.\r\n..\r\nFin\r\n")
	return b.String()
}

// stuffed is a message as DATA carries it (RFC 5321, 4.5.2).
func stuffed(message string) string {
	message = strings.ReplaceAll(message, "\r\n.", "\r\n..")
	if strings.HasPrefix(message, ".") {
		message = "." + message
	}
	return message
}

// stored is a message in a folder.
type stored struct {
	uid, flags, octets string
}

// find answers the messages of a folder with a subject.
func (c *client) find(folder, subject string) (all []stored) {
	c.t.Helper()
	c.ok("EXAMINE %q", folder)
	for _, uid := range c.uids(fmt.Sprintf("SUBJECT %q", subject)) {
		_, flags, _ := strings.Cut(c.ok("UID FETCH %s FLAGS", uid).String(), "FLAGS (")
		flags, _, _ = strings.Cut(flags, ")")
		flags = strings.TrimSpace(strings.ReplaceAll(flags, `\Recent`, "")) // which is the session's
		all = append(all, stored{uid: uid, flags: flags, octets: c.body(uid)})
	}
	return all
}

// one is find of a message that must be there once, now or soon.
func (c *client) one(d *daemon, folder, subject string) stored {
	c.t.Helper()
	var got []stored
	d.eventually(newsTimeout, "the message "+subject+" in "+folder, func() error {
		if got = c.find(folder, subject); len(got) == 0 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	if len(got) != 1 {
		c.t.Errorf("%s is %d times in %s", subject, len(got), folder)
	}
	return got[0]
}

// left is a message that left the platform, as the demo's sink got it.
type left struct {
	from, to, octets string
}

// sink answers the messages that came to the demo's next hop and hold a text.
func (d *daemon) sink(text string) (all []left) {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "sink", "*.eml"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, name := range files {
		octets, err := os.ReadFile(name)
		if err != nil {
			d.t.Fatal(err)
		}
		from, rest, _ := strings.Cut(strings.TrimPrefix(string(octets), "X-Envelope-From: "), "\r\nX-Envelope-To: ")
		to, message, _ := strings.Cut(rest, "\r\n")
		if strings.Contains(message, text) {
			all = append(all, left{from, to, message})
		}
	}
	return all
}

// sunk is sink of a message that must be there once, now or soon.
func (d *daemon) sunk(text string) left {
	d.t.Helper()
	var got []left
	d.eventually(newsTimeout, "the message "+text+" at the sink", func() error {
		if got = d.sink(text); len(got) == 0 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	if len(got) != 1 {
		d.t.Errorf("%s came %d times to the sink", text, len(got))
	}
	return got[0]
}

// record is what tests look at of a record of the trace.
type record struct {
	Means   string `json:"means"`
	Action  string
	Person  struct{ Address string }
	Mailbox struct{ Address string }
	Folder  string
	UIDs    string `json:"uids"`
	Request string
	Answer  string
	Reason  string
}

// jsonLines runs a command that prints JSON, one value a line.
func jsonLines[T any](d *daemon, command string, args ...string) (all []T) {
	d.t.Helper()
	out, err := d.balorg(command, append(args, "--json")...)
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(out)))
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			d.t.Fatalf("%s: %v\n%s", command, err, out)
		}
		all = append(all, v)
	}
	return all
}

// trace answers the records of the trace that some arguments choose.
func (d *daemon) trace(args ...string) []record {
	d.t.Helper()
	return jsonLines[record](d, "audit list", args...)
}

// entry answers what the queue knows of a message.
func (d *daemon) entry(id string) gateway.QueueEntry {
	d.t.Helper()
	all := jsonLines[gateway.QueueEntry](d, "queue show", id)
	if len(all) != 1 {
		d.t.Fatalf("queue show %s: %d messages", id, len(all))
	}
	return all[0]
}

// states answers what has become of a message's recipients, in their order: "relay delivered 250".
func states(e gateway.QueueEntry) (all []string) {
	for _, it := range e.Items {
		code, _, _ := strings.Cut(it.Reply, " ")
		all = append(all, strings.TrimSpace(fmt.Sprint(it.Route, " ", it.State, " ", code)))
	}
	return all
}

// settled waits until nothing of a message waits any more.
func (d *daemon) settled(id string) gateway.QueueEntry {
	d.t.Helper()
	var e gateway.QueueEntry
	d.eventually(newsTimeout, "the end of message "+id, func() error {
		if e = d.entry(id); e.Waiting > 0 {
			return fmt.Errorf("%q", states(e))
		}
		return nil
	})
	return e
}

package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// domain is the demo's.
const domain = "clinique-des-sapins.fr"

// The demo's people and organisational mailboxes, by local part.
const (
	claire      = "claire.durand"
	noemie      = "noemie.martin"
	paul        = "paul.bernard"
	lea         = "lea.petit"
	secretariat = "secretariat"
	urgences    = "urgences"
)

// address is an account's.
func address(local string) string { return local + "@" + domain }

// password is an account's in the demo.
func password(local string) string { return "demo-" + local }

// shared is a folder of a mailbox that is not the session's own.
func shared(local, folder string) string { return "Comptes/" + address(local) + "/" + folder }

// replyTimeout is how long an answer may take before the test fails.
const replyTimeout = 30 * time.Second

// client is a raw IMAP connection: it sends what it is told and adds nothing of its own.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	tags int
}

// answer is a command's tagged line with what came before it.
type answer struct {
	status   string   // OK, NO or BAD
	text     string   // behind the status
	untagged []string // whole lines without their end; literals stand in them as sent
}

// code is the response code without brackets.
func (a answer) code() string {
	if code, ok := strings.CutPrefix(a.text, "["); ok {
		code, _, _ = strings.Cut(code, "]")
		return code
	}
	return ""
}

// short is OK, or another status with the response code's name, as tables of tests want them.
func (a answer) short() string {
	if a.status == "OK" {
		return a.status
	}
	name, _, _ := strings.Cut(a.code(), " ")
	return strings.TrimSpace(a.status + " " + name)
}

func (a answer) String() string {
	return strings.Join(append(a.untagged, a.status+" "+a.text), "\n")
}

// dial connects over TLS and reads the greeting.
func dial(t *testing.T, d *daemon) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", d.imaps(), d.tls())
	if err != nil {
		t.Fatal(err)
	}
	return greeted(t, conn)
}

// dialPlain connects to the listener that has STARTTLS.
func dialPlain(t *testing.T, d *daemon) *client {
	t.Helper()
	conn, err := net.Dial("tcp", d.imap())
	if err != nil {
		t.Fatal(err)
	}
	return greeted(t, conn)
}

func greeted(t *testing.T, conn net.Conn) *client {
	t.Helper()
	c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	t.Cleanup(func() { conn.Close() }) // the test is over
	if line := c.line(); !strings.HasPrefix(line, "* OK ") {
		t.Fatalf("greeting %q", line)
	}
	return c
}

// login opens a session of one of the demo's people, in the mailbox that is their default.
func login(t *testing.T, d *daemon, local string) *client {
	t.Helper()
	c := dial(t, d)
	c.ok("LOGIN %s %s", address(local), password(local))
	return c
}

// open opens a session of a person in a mailbox of their choice.
func open(t *testing.T, d *daemon, person, mailbox string) *client {
	t.Helper()
	c := dial(t, d)
	c.ok("LOGIN \"%s*%s\" %s", address(mailbox), address(person), password(person))
	return c
}

// plain is the initial response of AUTHENTICATE PLAIN.
func plain(authzid, authcid, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(authzid + "\x00" + authcid + "\x00" + password))
}

// send writes octets as they are.
func (c *client) send(text string) {
	c.t.Helper()
	if err := c.write(text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) write(text string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, text)
	return err
}

// line reads one response with its literals.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.read(replyTimeout)
	if err != nil {
		c.t.Fatalf("reading a response: %v (after %q)", err, line)
	}
	return line
}

// read reads one response with its literals, within a time.
func (c *client) read(timeout time.Duration) (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	var whole strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		text := strings.TrimSuffix(line, "\r\n")
		whole.WriteString(text)
		if err != nil {
			return whole.String(), err
		}
		size, ok := literalSize(text)
		if !ok {
			return whole.String(), nil
		}
		whole.WriteString("\r\n")
		if _, err := io.CopyN(&whole, c.r, size); err != nil {
			return whole.String(), err
		}
	}
}

// literalSize reads "{12}" at the end of a line.
func literalSize(line string) (int64, bool) {
	if !strings.HasSuffix(line, "}") {
		return 0, false
	}
	at := strings.LastIndexByte(line, '{')
	if at < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(line[at+1:len(line)-1], 10, 64)
	return n, err == nil
}

// tag answers a new tag.
func (c *client) tag() string {
	c.tags++
	return fmt.Sprintf("t%d", c.tags)
}

// do sends a command and reads up to its tagged answer. Commands whose arguments may hold a % go as a single argument.
func (c *client) do(format string, args ...any) answer {
	c.t.Helper()
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	tag := c.tag()
	c.send(tag + " " + format + "\r\n")
	return c.await(tag)
}

// await reads up to a tagged answer.
func (c *client) await(tag string) answer {
	c.t.Helper()
	var a answer
	for {
		line := c.line()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			a.status, a.text, _ = strings.Cut(rest, " ")
			return a
		}
		a.untagged = append(a.untagged, line)
	}
}

// ok is do, and fails the test at any other answer than OK.
func (c *client) ok(format string, args ...any) answer {
	c.t.Helper()
	a := c.do(format, args...)
	if a.status != "OK" {
		c.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), a)
	}
	return a
}

// append files a message with a synchronising literal. options are flags and date, or "".
func (c *client) append(folder, options, message string) answer {
	c.t.Helper()
	if options != "" {
		options += " "
	}
	tag := c.tag()
	c.send(fmt.Sprintf("%s APPEND %q %s{%d}\r\n", tag, folder, options, len(message)))
	line := c.line()
	for strings.HasPrefix(line, "* ") {
		line = c.line()
	}
	if !strings.HasPrefix(line, "+") {
		status, text, _ := strings.Cut(strings.TrimPrefix(line, tag+" "), " ")
		return answer{status: status, text: text}
	}
	c.send(message + "\r\n")
	return c.await(tag)
}

// uids answers a UID SEARCH of the selected folder.
func (c *client) uids(criteria string) []string {
	c.t.Helper()
	for _, line := range c.ok("UID SEARCH %s", criteria).untagged {
		if rest, ok := strings.CutPrefix(line, "* SEARCH"); ok {
			return strings.Fields(rest)
		}
	}
	c.t.Fatalf("UID SEARCH %s: no SEARCH response", criteria)
	return nil
}

// body fetches a message's octets without setting \Seen.
func (c *client) body(uid string) string {
	c.t.Helper()
	for _, line := range c.ok("UID FETCH %s BODY.PEEK[]", uid).untagged {
		if _, after, ok := strings.Cut(line, "BODY[] {"); ok {
			size, rest, _ := strings.Cut(after, "}\r\n")
			n, err := strconv.Atoi(size)
			if err != nil || n > len(rest) {
				c.t.Fatalf("literal {%s} of %d octets", size, len(rest))
			}
			return rest[:n]
		}
	}
	c.t.Fatalf("message %s has no body", uid)
	return ""
}

// gone waits until the connection has ended, and answers what was said before.
func (c *client) gone(timeout time.Duration) []string {
	c.t.Helper()
	var said []string
	for {
		line, err := c.read(timeout)
		if line != "" {
			said = append(said, line)
		}
		var timedOut net.Error
		switch {
		case err == nil:
		case errors.As(err, &timedOut) && timedOut.Timeout():
			c.t.Fatalf("the connection lives after %v; it said %q", timeout, said)
		default:
			return said
		}
	}
}

// message makes one with a Message-ID and a body of about size octets.
func message(id, subject string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: Dr Claire DURAND <claire.durand@sapins.mssante.fr>\r\nTo: secretariat@sapins.mssante.fr\r\n")
	fmt.Fprintf(&b, "Subject: %s\r\nMessage-ID: <%s>\r\nDate: Mon, 16 Nov 2026 10:00:00 +0100\r\n", mime.QEncoding.Encode("utf-8", subject), id)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for line := 0; b.Len() < size; line++ {
		fmt.Fprintf(&b, "Ligne %06d du compte rendu : température normale, cicatrisation régulière.\r\n", line)
	}
	return b.String()
}

// Package exchange holds both ends of the mail that tests send through a daemon: a person's client that submits, and a next hop that
// remembers what it has taken. Both do what a test tells them and nothing of their own, so that they can be cut off at any octet.
package exchange

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// replyTimeout is how long an answer may take.
const replyTimeout = 30 * time.Second

// Submitter is a client that has logged in.
type Submitter struct {
	conn net.Conn
	r    *textproto.Reader
	from string
}

// Submit greets and logs in on a connection that is protected already, to send as from.
func Submit(conn net.Conn, user, password, from string) (*Submitter, error) {
	s := &Submitter{conn: conn, r: textproto.NewReader(bufio.NewReader(conn)), from: from}
	if err := s.conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := s.answer(220); err != nil {
		return nil, err
	}
	if _, err := s.Do(250, "EHLO client.example\r\n"); err != nil {
		return nil, err
	}
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if _, err := s.Do(235, "AUTH PLAIN "+response+"\r\n"); err != nil {
		return nil, err
	}
	return s, nil
}

// Close cuts the connection.
func (s *Submitter) Close() error { return s.conn.Close() }

// Do says something and reads the answer, which must have the code.
func (s *Submitter) Do(code int, text string) (string, error) {
	if err := s.Write(text); err != nil {
		return "", err
	}
	return s.answer(code)
}

// Write says something and waits for no answer.
func (s *Submitter) Write(text string) error {
	if err := s.conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(s.conn, text)
	return err
}

func (s *Submitter) answer(code int) (string, error) {
	_, text, err := s.r.ReadResponse(code)
	return text, err
}

// Envelope says everything up to the answer to DATA.
func (s *Submitter) Envelope(to ...string) error {
	if _, err := s.Do(250, "MAIL FROM:<"+s.from+">\r\n"); err != nil {
		return err
	}
	for _, r := range to {
		if _, err := s.Do(250, "RCPT TO:<"+r+">\r\n"); err != nil {
			return err
		}
	}
	_, err := s.Do(354, "DATA\r\n")
	return err
}

// Send sends a message and answers the id it is queued under.
func (s *Submitter) Send(content string, to ...string) (id string, err error) {
	if err := s.Envelope(to...); err != nil {
		return "", err
	}
	text, err := s.Do(250, content+".\r\n")
	if err != nil {
		return "", err
	}
	_, id, ok := strings.Cut(text, "queued as ")
	if !ok {
		return "", fmt.Errorf("the answer %q tells no id", text)
	}
	return id, nil
}

// CutOff tells whether an error is a lost connection, which a test that kills the daemon expects, and no refusal.
func CutOff(err error) bool {
	var refusal *textproto.Error
	return err != nil && !errors.As(err, &refusal)
}

// Refused tells whether an error is the answer with this code and enhanced code.
func Refused(err error, code int, enhanced string) bool {
	var refusal *textproto.Error
	return errors.As(err, &refusal) && refusal.Code == code && strings.HasPrefix(refusal.Msg, enhanced+" ")
}

// Letter is a message of about so many octets, no line of which begins with a dot.
func Letter(id, from, to string, octets int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: Compte rendu\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: <%s>\r\n\r\n", from, to, id)
	for i := 0; b.Len() < octets; i++ {
		fmt.Fprintf(&b, "%s, ligne %d. Les réponses du laboratoire sont jointes.\r\n", id, i)
	}
	return b.String()
}

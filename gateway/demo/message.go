// Package demo makes the demo's sample mail: what a secretariat and an emergency ward receive in a week, with accents, PDF and
// IHE_XDM.ZIP attachments, threads and one large message. The same mail every time, but for the dates, which count back
// from the day it is made.
package demo

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// Message is one sample message and where it lies.
type Message struct {
	Mailbox string // local part of the account
	Folder  string // a special use such as sent, or "" for INBOX
	Flags   []string
	Date    time.Time

	from, to, cc, subject, id, answers string
	body                               string
	attachments                        []attachment
}

type attachment struct {
	name, kind string
	content    func(io.Writer) error
}

const boundary = "=_balorg_demo_7f3a"

// Encode writes the message in Internet message format, lines ending in CRLF.
func (m Message) Encode(w io.Writer) error {
	h := &bytes.Buffer{}
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(h, "%s: %s\r\n", name, value)
		}
	}
	field("Date", m.Date.Format(time.RFC1123Z))
	field("From", m.from)
	field("To", m.to)
	field("Cc", m.cc)
	field("Subject", encodeWord(m.subject))
	field("Message-ID", "<"+m.id+">")
	if m.answers != "" {
		field("In-Reply-To", "<"+m.answers+">")
		field("References", "<"+m.answers+">")
	}
	field("MIME-Version", "1.0")
	if len(m.attachments) == 0 {
		h.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
		if _, err := w.Write(h.Bytes()); err != nil {
			return err
		}
		return writeText(w, m.body)
	}
	fmt.Fprintf(h, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n", boundary)
	fmt.Fprintf(h, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	if _, err := w.Write(h.Bytes()); err != nil {
		return err
	}
	if err := writeText(w, m.body); err != nil {
		return err
	}
	for _, a := range m.attachments {
		if err := a.write(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "--%s--\r\n", boundary)
	return err
}

func (a attachment) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"%[3]s\"\r\n\r\n", boundary, a.kind, a.name)
	if err != nil {
		return err
	}
	lines := &lineWriter{w: w}
	enc := base64.NewEncoder(base64.StdEncoding, lines)
	if err := a.content(enc); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return lines.end()
}

func writeText(w io.Writer, text string) error {
	enc := quotedprintable.NewWriter(w)
	if _, err := io.WriteString(enc, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}

// encodeWord writes a subject as RFC 2047 words where it must be, folded.
func encodeWord(s string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

// base64Line is the length of a line of base64 (RFC 2045, 6.8).
const base64Line = 76

// lineWriter breaks base64 into lines.
type lineWriter struct {
	w io.Writer
	n int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	var out bytes.Buffer
	for _, c := range p {
		out.WriteByte(c)
		if l.n++; l.n == base64Line {
			out.WriteString("\r\n")
			l.n = 0
		}
	}
	if _, err := l.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lineWriter) end() error {
	if l.n == 0 {
		return nil
	}
	_, err := io.WriteString(l.w, "\r\n")
	return err
}

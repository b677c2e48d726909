// Package bounce writes reports to senders (RFC 3464 in a multipart/report of RFC 6522; RFC 6533 when an address is not ASCII): that a message
// could not be delivered, that it waits, that it has arrived or gone on.
//
// Invariants:
//   - Nobody is told of a message with the null sender, and the report has it itself: two servers never report to each other.
//   - A report holds the header of the message at most, never its content, whatever RET asked for.
//   - What strangers said stands in it as text on lines of its own, and makes no field and no part.
package bounce

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"text/template"
	"time"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/smtp/wire"
)

// Kind says what a report tells.
type Kind string

// The kinds.
const (
	Failure Kind = "failure"
	Delay   Kind = "delay"
	Success Kind = "success"
)

// Recipient is what a report tells about one recipient.
type Recipient struct {
	Address  mail.Address
	Original string // ORCPT as wire.Recipient has it; empty: none
	Reply    string // the last one, as wire.Reply prints it
	Peer     string // who said it; empty: we did
	Tried    time.Time
	Until    time.Time // of a delay: when it is given up
	Relayed  bool      // of a success: to a next hop that sends no reports
}

// Report is what a report tells.
type Report struct {
	Kind       Kind
	ID         string // of the report itself: Message-ID and boundary are made of it, so it cannot be guessed
	Reference  string // of the message, as our log has it
	To         mail.Address
	From       mail.Address // empty: mailer-daemon at our host's name
	Language   string       // fr or en
	Date       time.Time    // of the report; its location is the one that times are told in
	Arrived    time.Time
	EnvelopeID string
	Recipients []Recipient
	Header     *header.Header // of the message; nil: it is left out
	// Omit are fields that the report leaves out of the header.
	Omit []string
	// Anonymous leaves out what the sending client said of itself in the envelope: its id of the message, and how it called the recipients.
	Anonymous bool
}

// Errors of Compose.
var (
	// ErrNullSender is a report to nobody.
	ErrNullSender = errors.New("a message with the null sender is not reported on")
	// ErrNothing is a report that tells of no recipient.
	ErrNothing = errors.New("a report tells of one recipient at least")
)

//go:embed text/*.txt
var texts embed.FS

// Composer composes the reports of one host.
type Composer struct {
	hostname string
	texts    map[string]*template.Template
}

// New makes the Composer of a host.
func New(hostname string) (*Composer, error) {
	c := &Composer{hostname: hostname, texts: make(map[string]*template.Template)}
	for _, language := range []string{"fr", "en"} {
		t, err := template.ParseFS(texts, "text/"+language+".txt")
		if err != nil {
			return nil, fmt.Errorf("texts of reports: %w", err)
		}
		c.texts[language] = t
	}
	return c, nil
}

// Envelope answers how a report travels: from nobody, and with no report on it in turn (RFC 3461, 6.1).
func (r *Report) Envelope() wire.Envelope {
	from := wire.Sender{Body: wire.Body8Bit, UTF8: r.utf8()}
	return wire.Envelope{From: from, To: []wire.Recipient{{Address: r.To, Notify: wire.NotifyNever}}}
}

// utf8 tells whether the report needs the forms of RFC 6533.
func (r *Report) utf8() bool {
	if !isASCII(string(r.To)) || !isASCII(string(r.From)) {
		return true
	}
	for _, to := range r.Recipients {
		if !isASCII(string(to.Address)) {
			return true
		}
	}
	return false
}

// Compose writes the report as a message whose lines end in CRLF.
func (c *Composer) Compose(w io.Writer, r *Report) error {
	switch {
	case r.To == "":
		return ErrNullSender
	case len(r.Recipients) == 0:
		return ErrNothing
	}
	text := c.texts[r.Language]
	if text == nil {
		text = c.texts["fr"]
	}
	out := &writer{w: w, boundary: "=_report_" + r.ID}
	if err := c.head(out, r, text); err != nil {
		return err
	}
	out.part("text/plain; charset=utf-8", "quoted-printable")
	if err := c.text(out, r, text); err != nil {
		return err
	}
	kind := "message/delivery-status"
	headers := "text/rfc822-headers"
	encoding := "7bit"
	if r.utf8() {
		kind, headers, encoding = "message/global-delivery-status", "message/global-headers", "8bit"
	}
	out.part(kind, encoding)
	c.status(out, r)
	if r.Header != nil {
		out.part(headers, "8bit")
		out.header(r.Header, r.Omit)
	}
	out.end()
	return out.err
}

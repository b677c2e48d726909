package notice

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	ours "balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/store/mailbox"
)

// From is whom notices are from.
type From struct {
	Name    string
	Address ours.Address
}

// letter is a notice that is to be written.
type letter struct {
	to       ours.Address
	box      *policy.Account
	language string
	count    int
	id       queue.ID
	at       time.Time
}

// compose writes a notice. It is finished; the caller discards it.
func (s *Service) compose(ctx context.Context, l letter) (*mailbox.Message, error) {
	octets, err := s.write(l)
	if err != nil {
		return nil, err
	}
	return s.content(ctx, octets)
}

// content keeps the octets of a message of ours. It is finished; the caller discards it.
func (s *Service) content(ctx context.Context, octets []byte) (*mailbox.Message, error) {
	content, err := s.opt.Boxes.NewMessage(ctx)
	if err != nil {
		return nil, fmt.Errorf("write a notification: %w", err)
	}
	if _, err = content.Write(octets); err == nil {
		err = content.Finish()
	}
	if err != nil {
		content.Discard()
		return nil, fmt.Errorf("write a notification: %w", err)
	}
	return content, nil
}

// write answers the octets of a notice. All of what comes from elsewhere is the mailbox's label and address of its reader.
func (s *Service) write(l letter) ([]byte, error) {
	subject, body, err := render(s.templates.Load().of(notices, l.language, s.opt.Language), Facts{Label: l.box.Label, Count: l.count, Link: s.opt.Link})
	if err != nil {
		return nil, err
	}
	return s.message(l.to, l.id, l.at, subject, body)
}

// message answers the octets of a message of ours.
func (s *Service) message(to ours.Address, id queue.ID, at time.Time, subject, body string) ([]byte, error) {
	from := s.opt.From
	sender := mail.Address{Name: oneLine(from.Name), Address: string(from.Address)}
	var b bytes.Buffer
	for _, f := range [][2]string{
		{"Date", at.Format(time.RFC1123Z)},
		{"From", sender.String()},
		{"To", "<" + string(to) + ">"},
		{"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Message-ID", fmt.Sprintf("<%s.notice@%s>", id, from.Address.Domain())},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834, 5
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
	} {
		field(&b, f[0], f[1])
	}
	if plain(body) {
		field(&b, "Content-Transfer-Encoding", "7bit")
		b.WriteString("\r\n" + strings.ReplaceAll(body, "\n", "\r\n"))
		return b.Bytes(), nil
	}
	field(&b, "Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, err := w.Write([]byte(strings.ReplaceAll(body, "\n", "\r\n")))
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}

// lineLength is that of a header's lines (RFC 5322, 2.1.1).
const lineLength = 78

// field writes a header field, folded at spaces.
func field(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ":")
	column := len(name) + 1
	for i, word := range strings.Fields(value) {
		if column+1+len(word) > lineLength && i > 0 {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteString("\r\n")
}

// plain tells whether a text can be sent as it is: US-ASCII in lines of the recommended length.
func plain(body string) bool {
	for line := range strings.Lines(body) {
		if len(line) > lineLength {
			return false
		}
		for _, c := range []byte(line) {
			if c >= 0x80 {
				return false
			}
		}
	}
	return true
}

package bounce

import (
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"text/template"
	"time"
)

// view is what the texts speak of.
type view struct {
	Kind       string
	Hostname   string
	Date       string
	Reference  string
	Recipients []viewRecipient
}

type viewRecipient struct {
	Address, Action, Reason, Said, Until string
}

// head writes the report's own header.
func (c *Composer) head(out *writer, r *Report, text *template.Template) error {
	var subject, name strings.Builder
	if err := text.ExecuteTemplate(&subject, "subject", view{Kind: string(r.Kind)}); err != nil {
		return err
	}
	if err := text.ExecuteTemplate(&name, "name", nil); err != nil {
		return err
	}
	from := string(r.From)
	if from == "" {
		from = "mailer-daemon@" + c.hostname
	}
	out.field("Date", r.Date.Format(dateTime))
	out.field("From", mime.QEncoding.Encode("utf-8", name.String())+" <"+from+">")
	out.field("To", "<"+string(r.To)+">")
	out.field("Subject", mime.QEncoding.Encode("utf-8", subject.String()))
	out.field("Message-ID", "<"+r.ID+"@"+c.hostname+">")
	if r.Header != nil {
		if id := clean(r.Header.MessageID(), false); strings.HasPrefix(id, "<") && strings.HasSuffix(id, ">") && !strings.Contains(id, " ") && len(id) < maxLine {
			out.line("In-Reply-To: " + id)
			out.line("References: " + id)
		}
	}
	out.field("Auto-Submitted", "auto-replied") // RFC 3834, 5
	out.line("MIME-Version: 1.0")
	kind := "delivery-status"
	if r.utf8() {
		kind = "global-delivery-status" // RFC 6533, 6
	}
	out.line("Content-Type: multipart/report; report-type=" + kind + ";")
	out.line("\tboundary=\"" + out.boundary + "\"")
	out.line("Content-Transfer-Encoding: 8bit")
	return out.err
}

// text writes the part for people.
func (c *Composer) text(out *writer, r *Report, text *template.Template) error {
	date := func(t time.Time) (string, error) {
		if t.IsZero() {
			return "", nil
		}
		var b strings.Builder
		err := text.ExecuteTemplate(&b, "date", t.In(r.Date.Location()))
		return b.String(), err
	}
	v := view{Kind: string(r.Kind), Hostname: c.hostname, Reference: r.Reference}
	var err error
	if v.Date, err = date(r.Arrived); err != nil {
		return err
	}
	for _, to := range r.Recipients {
		one := viewRecipient{Address: string(to.Address), Action: r.action(to), Reason: r.reason(to)}
		if one.Until, err = date(to.Until); err != nil {
			return err
		}
		if one.Action == failed || one.Action == delayed {
			one.Said = clean(to.Reply, true)
		}
		v.Recipients = append(v.Recipients, one)
	}
	encoded := quotedprintable.NewWriter(out)
	if err := text.ExecuteTemplate(encoded, "body", v); err != nil {
		return fmt.Errorf("text of a report: %w", err)
	}
	return encoded.Close()
}

// reason names why a recipient was refused, as the texts know it.
func (r *Report) reason(to Recipient) string {
	status := r.statusOf(to)
	if status == expired {
		return "expired"
	}
	_, detail, _ := strings.Cut(status, ".")
	switch detail {
	case "1.1", "1.3", "1.6":
		return "unknown"
	case "1.2", "1.10", "4.4":
		return "domain"
	case "2.2":
		return "full"
	case "2.3", "3.4":
		return "large"
	case "6.1", "6.3", "6.7", "6.9":
		return "content"
	}
	if strings.HasPrefix(detail, "7.") {
		return "refused"
	}
	return "other"
}

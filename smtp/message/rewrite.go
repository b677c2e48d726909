package message

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/mail/header"
)

// Rewrite says how the header of a submission changes. From is written anew, Sender is as policy says, Bcc and Return-Path are removed, Date and
// Message-ID added when missing. To and Cc may change for Public. All else passes as it is, unless a Person is given.
type Rewrite struct {
	From   mail.Address
	Name   string       // display name of From
	Sender mail.Address // empty: no field Sender
	// Person wrote the message, and the mailbox is not theirs; nil: it is. Then their addresses become From in Reply-To and all fields that
	// ask for an answer. Without Sender, nothing is to name them: those in To and Cc become From too, ids that name them are replaced or removed,
	// and so is any field that the author did not write as content.
	Person *Person
	// Public answers the MSSanté address of a local account by its identifier, for To and Cc; nil: the message stays on the platform.
	Public func(mail.Address) (mail.Address, bool)
	Date   time.Time // for a message without
	// MessageID makes an id, with its angle brackets, when the message has none or one that names the person; nil: a random one at
	// From's domain.
	MessageID func() string
}

// Result is a rewritten header.
type Result struct {
	Header    *header.Header
	MessageID string // with its angle brackets
	// Former is the id that the client's own copy has: another than MessageID when that was replaced, empty when there was none.
	Former string
}

// Apply answers h rewritten. h itself stays as it is, and has been through Check.
func (r *Rewrite) Apply(h *header.Header) Result {
	w := rewriting{Rewrite: r, out: &header.Header{Alone: h.Alone}}
	if r.Person != nil {
		w.person = r.Person.naming()
		w.hides = r.Sender == ""
	}
	sender := h.Count("Sender") > 0
	for _, f := range h.Fields {
		w.field(f)
		if f.Is("From") && !sender && r.Sender != "" {
			w.add("Sender", string(r.Sender))
		}
	}
	if h.Count("Date") == 0 {
		w.add("Date", r.Date.Format(time.RFC1123Z))
	}
	if w.messageID == "" {
		w.messageID = r.newID()
		w.add("Message-ID", w.messageID)
	}
	return Result{w.out, w.messageID, h.MessageID()}
}

func (r *Rewrite) newID() string {
	if r.MessageID != nil {
		return r.MessageID()
	}
	return "<" + strings.ToLower(rand.Text()) + "@" + r.From.Domain() + ">"
}

// rewriting is one application of a Rewrite.
type rewriting struct {
	*Rewrite
	person    *naming // nil: the mailbox is the person's own
	hides     bool    // nothing may name the person
	out       *header.Header
	messageID string
}

func (w *rewriting) add(name, value string) {
	w.out.Fields = append(w.out.Fields, header.Field{Name: name, Raw: []byte(name + ": " + value + "\r\n")})
}

func (w *rewriting) keep(f header.Field) { w.out.Fields = append(w.out.Fields, f) }

// field takes one field of the header.
func (w *rewriting) field(f header.Field) {
	switch strings.ToLower(f.Name) {
	case "from":
		w.add(f.Name, mailbox(len(f.Name)+2, w.Name, w.From))
	case "sender":
		if w.Sender != "" {
			w.add(f.Name, string(w.Sender))
		}
	case "bcc", "return-path": // the latter is for who delivers (RFC 5321, 4.4)
	case "to", "cc":
		w.recipients(f)
	case "message-id":
		w.id(f)
	case "in-reply-to", "references":
		w.references(f)
	case "subject", "date", "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-language":
		w.keep(f)
	default:
		w.other(f)
	}
}

// id keeps the message's id, unless it names the person.
func (w *rewriting) id(f header.Field) {
	w.messageID = (&header.Header{Fields: []header.Field{f}}).MessageID()
	if w.messageID == "" || w.hides && w.person.in(string(f.Raw)) {
		w.messageID = w.newID()
		w.add(f.Name, w.messageID)
		return
	}
	w.keep(f)
}

// references keeps the ids of other messages, but for those that name the person.
func (w *rewriting) references(f header.Field) {
	if !w.hides || !w.person.in(string(f.Raw)) {
		w.keep(f)
		return
	}
	ids := slices.DeleteFunc(header.IDs(f.Text()), w.person.in)
	if len(ids) > 0 {
		w.add(f.Name, strings.Join(ids, "\r\n "))
	}
}

// recipients keeps To or Cc. Who is hidden becomes the mailbox; accounts by their identifiers get their MSSanté addresses.
func (w *rewriting) recipients(f header.Field) {
	if w.hides && w.person.in(string(f.Raw)) {
		w.list(f, w.person.is)
		return
	}
	if w.Public != nil {
		f = w.public(f)
	}
	w.keep(f)
}

// public puts MSSanté addresses in the place of identifiers, and leaves all else of the field.
func (w *rewriting) public(f header.Field) header.Field {
	list, err := ParseAddressList(f.Value())
	if err != nil {
		return f
	}
	value := f.Value()
	raw := []byte(f.Name + ":")
	done := 0
	for _, m := range list.Mailboxes {
		if published, ok := w.publish(m.Address); ok {
			raw = append(append(raw, value[done:m.Spec]...), published...)
			done = m.SpecEnd
		}
	}
	if done == 0 {
		return f
	}
	return header.Field{Name: f.Name, Raw: append(append(raw, value[done:]...), "\r\n"...)}
}

func (w *rewriting) publish(a mail.Address) (mail.Address, bool) {
	if w.Public == nil || a == "" {
		return a, false
	}
	published, ok := w.Public(a)
	return published, ok && published != a
}

// other takes a field of no meaning of its own here.
func (w *rewriting) other(f header.Field) {
	switch {
	case w.person == nil || !w.person.in(string(f.Raw)):
		w.keep(f)
	case answerable(f.Name):
		w.list(f, func(a mail.Address) bool {
			// Another address of theirs, which nobody here knows of, gives itself away by its name.
			return w.person.is(a) || w.hides && w.person.in(a.Local())
		})
	case !w.hides:
		w.keep(f)
	}
}

// answerable tells whether a field says where an answer of some kind is to go.
func answerable(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "generate-delivery-report", "prevent-nondelivery-report", "return-receipt", "read-receipt":
		return true
	}
	return strings.HasSuffix(name, "-to")
}

// list writes a field of addresses anew that names the person: addresses that are theirs become the mailbox's, once, and a
// name that is theirs is taken off any other. Of others' mailboxes the octets stay.
func (w *rewriting) list(f header.Field, theirs func(mail.Address) bool) {
	value := f.Value()
	list, err := ParseAddressList(value)
	if !w.hides && !slices.ContainsFunc(list.Mailboxes, func(m Mailbox) bool { return theirs(m.Address) }) {
		w.keep(f)
		return
	}
	if err != nil {
		return
	}
	var all []string
	named := false
	for _, m := range list.Mailboxes {
		whole := string(bytes.TrimSpace(value[m.Start:m.End]))
		switch {
		case theirs(m.Address):
			if !named {
				all = append(all, mailbox(1, w.Name, w.From))
			}
			named = true
			continue
		case w.hides && m.Address == "" && w.person.in(whole): // no mail reaches it in any case
			continue
		case w.hides && w.person.in(string(value[m.Start:m.Spec])):
			whole = string(value[m.Spec:m.SpecEnd])
		}
		if f.Is("To") || f.Is("Cc") {
			if published, ok := w.publish(m.Address); ok {
				whole = strings.Replace(whole, string(value[m.Spec:m.SpecEnd]), string(published), 1)
			}
		}
		all = append(all, whole)
	}
	if len(all) > 0 {
		w.add(f.Name, strings.Join(all, ",\r\n "))
	}
}

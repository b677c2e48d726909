// Package message is the header of a message on its way: read whole, checked, and rewritten so that it says what policy has decided,
// while the body streams past.
//
// Invariants:
//   - A header that programs read in different ways is refused, so that the address that is checked is the one that is shown.
//   - Rewriting is pure, and every field it does not have to change leaves octet for octet, in its place.
//   - Of a message sent as a mailbox, no field but those its author wrote as content (Subject, and the names of attachments in
//     Content-Type and Content-Disposition) names the person, see Rewrite.
package message

import (
	"io"
	"strings"

	"balorg/mail"
	"balorg/mail/header"
)

// Read reads the header of the message that r begins with, as header.Read does. The error is a *Fault, or one of r.
func Read(r io.Reader) (*header.Header, io.Reader, error) {
	h, body, err := header.Read(r)
	if err != nil {
		return nil, nil, unread(err)
	}
	return h, body, nil
}

// singletons are the fields that may stand once only (RFC 5322, 3.6).
var singletons = [...]string{
	"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject", "Date",
}

// Check answers who a submitted message says it is from. The error is a *Fault.
func Check(h *header.Header) (mail.Address, error) {
	for _, name := range singletons {
		if h.Count(name) > 1 {
			if name == "From" {
				return "", badFrom("several fields")
			}
			return "", twice(name)
		}
	}
	for _, f := range h.Fields {
		if len(f.Name) > 7 && strings.EqualFold(f.Name[:7], "Resent-") {
			return "", resent(f.Name)
		}
	}
	if sender, ok := h.Get("Sender"); ok {
		if _, err := one(sender.Value()); err != nil {
			return "", badSender(err.Error())
		}
	}
	from, ok := h.Get("From")
	if !ok {
		return "", badFrom("none")
	}
	address, err := one(from.Value())
	if err != nil {
		return "", badFrom(err.Error())
	}
	return address, nil
}

// Authors answers every address of the header From of a message that another system sends. The error is a *Fault: there must be
// exactly one field, and every address in it must be one that mail can be sent to.
func Authors(h *header.Header) ([]mail.Address, error) {
	if n := h.Count("From"); n != 1 {
		return nil, badFrom("not one field")
	}
	from, _ := h.Get("From")
	list, err := ParseAddressList(from.Value())
	if err != nil {
		return nil, badFrom(err.Error())
	}
	authors := make([]mail.Address, len(list.Mailboxes))
	for i, m := range list.Mailboxes {
		if m.Address == "" {
			return nil, badFrom("an address that mail cannot be sent to")
		}
		authors[i] = m.Address
	}
	if len(authors) == 0 {
		return nil, badFrom("no address")
	}
	return authors, nil
}

// Facts are what a header says beside whom the message is from.
type Facts struct {
	MessageID string   // with its angle brackets; empty: none
	InReplyTo []string // the messages it replies to, likewise
	// Automatic tells that no person wrote it: nothing may answer it by itself (RFC 3834), and nobody is notified of it.
	Automatic bool
	Received  int  // how many systems it has passed
	NonASCII  bool // needs SMTPUTF8 (RFC 6531)
}

// Inspect answers the facts.
func Inspect(h *header.Header) Facts {
	facts := Facts{MessageID: h.MessageID(), Received: h.Count("Received")}
	for _, f := range h.Fields {
		facts.Automatic = facts.Automatic || automatic(f)
		if f.Is("In-Reply-To") {
			facts.InReplyTo = append(facts.InReplyTo, header.IDs(f.Text())...)
		}
		for _, c := range f.Raw {
			facts.NonASCII = facts.NonASCII || c >= 0x80
		}
	}
	return facts
}

func automatic(f header.Field) bool {
	switch {
	case f.Is("Auto-Submitted"):
		return keyword(f) != "no"
	case f.Is("Precedence"):
		value := keyword(f)
		return value == "bulk" || value == "list" || value == "junk" || value == "auto_reply"
	}
	return len(f.Name) > 5 && strings.EqualFold(f.Name[:5], "List-")
}

// keyword is the value of a field without its parameters.
func keyword(f header.Field) string {
	value, _, _ := strings.Cut(strings.ToLower(f.Text()), ";")
	return strings.TrimSpace(value)
}

// Recipients answers the addresses of To, Cc and Bcc. A field that cannot be read has none.
func Recipients(h *header.Header) []mail.Address {
	var all []mail.Address
	for _, f := range h.Fields {
		if !f.Is("To") && !f.Is("Cc") && !f.Is("Bcc") {
			continue
		}
		list, err := ParseAddressList(f.Value())
		if err != nil {
			continue
		}
		for _, m := range list.Mailboxes {
			if m.Address != "" {
				all = append(all, m.Address)
			}
		}
	}
	return all
}

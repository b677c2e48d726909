package message_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/smtp/message"
)

// changed are the fields that Apply may change, or leave out, in a message whose mailbox is the author's own.
var changed = []string{"from", "sender", "bcc", "return-path"}

// TestRewriteKeepsTheRest: whatever stands in a header, every field that Apply has no business with leaves octet for octet, and in the
// same order; and of a message sent as a mailbox, no field is left that tells an address or both names of the person's.
func TestRewriteKeepsTheRest(t *testing.T) {
	name := rapid.SampledFrom([]string{
		"From", "Sender", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "X-Sender", "X-A", "Received", "Content-Type",
		"Return-Path", "Disposition-Notification-To", "Organization", "Comments",
	})
	word := rapid.SampledFrom([]string{
		"noemie.martin@clinique-des-sapins.fr", "N.Martin@Sapins.mssante.fr", "Noémie", "Martin", "<", ">", "a@b.fr", ",", "\"", "(", ")", ":", ";", "\r\n ", "\r\n\tx", " ", "=?utf-8?q?No=C3=A9mie_Martin?=",
		"<1@x>", "\xe9", "\\", "<noemie.martin@clinique-des-sapins.fr>", "=", "%40",
	})
	start := rapid.SampledFrom([]string{"", " ", " x", " x "})
	rapid.Check(t, func(t *rapid.T) {
		var in []string
		for range rapid.IntRange(0, 12).Draw(t, "fields") {
			value := strings.Join(rapid.SliceOfN(word, 0, 8).Draw(t, "value"), "")
			in = append(in, name.Draw(t, "name")+":"+start.Draw(t, "start")+value+"\r\n")
		}
		h, _, err := message.Read(strings.NewReader(strings.Join(in, "") + "\r\n"))
		if err != nil {
			return // white lines
		}
		before := string(h.Bytes())
		r := as()
		hidden := r.Apply(h)
		r.Person = nil
		own := r.Apply(h)
		if string(h.Bytes()) != before {
			t.Fatal("Apply changed its argument")
		}
		if got, want := kept(own.Header), kept(h); !slices.Equal(got, want) {
			t.Fatalf("kept %q of %q", got, want)
		}
		for _, f := range hidden.Header.Fields {
			low := strings.ToLower(string(f.Raw))
			if f.Is("Subject") || f.Is("Content-Type") || f.Is("Date") {
				continue
			}
			for _, a := range []mail.Address{"noemie.martin@clinique-des-sapins.fr", "n.martin@sapins.mssante.fr"} {
				if strings.Contains(low, string(a)) && !part(f, a) {
					t.Fatalf("%q holds %s", f.Raw, a)
				}
			}
			all := strings.FieldsFunc(low, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != utf8.RuneError })
			recipients := f.Is("To") || f.Is("Cc") // whose own addresses stay, whatever they are made of
			if !recipients && slices.Contains(all, "noémie") && slices.Contains(all, "martin") {
				t.Fatalf("%q holds the person's names", f.Raw)
			}
			if !slices.ContainsFunc(h.Fields, func(g header.Field) bool { return string(g.Raw) == string(f.Raw) }) && f.Is("X-A") {
				t.Fatalf("%q was not there", f.Raw)
			}
		}
	})
}

// part tells whether an address that a field of addresses holds is but a part of another's.
func part(f header.Field, a mail.Address) bool {
	if !f.Is("Cc") && !strings.HasSuffix(strings.ToLower(f.Name), "to") {
		return false
	}
	list, err := message.ParseAddressList(f.Value())
	return err == nil && !slices.ContainsFunc(list.Mailboxes, func(m message.Mailbox) bool { return m.Address == a })
}

func kept(h *header.Header) []string {
	var all []string
	for _, f := range h.Fields {
		if slices.Contains(changed, strings.ToLower(f.Name)) || f.Is("Date") || f.Is("Message-ID") {
			continue
		}
		all = append(all, string(f.Raw))
	}
	return all
}

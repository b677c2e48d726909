package message_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"balorg/mail"
	"balorg/mail/header"
	"balorg/smtp/message"
)

// read reads the header of lines.
func read(t *testing.T, lines ...string) *header.Header {
	t.Helper()
	h, _, err := message.Read(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestFrom: whatever is done to make an address look like another, the one that is answered is the one that mail programs show as the
// address, or the message is refused.
func TestFrom(t *testing.T) {
	const ours = "secretariat@clinique-des-sapins.fr"
	for _, tt := range []struct {
		lines []string
		want  mail.Address // empty: refused
	}{
		{[]string{"From: " + ours}, ours},
		{[]string{"from: SECRETARIAT@Clinique-des-Sapins.FR"}, ours},
		{[]string{"From:\r\n <" + ours + ">"}, ours},
		{[]string{`From: "` + ours + `" <evil@out.fr>`}, "evil@out.fr"},
		{[]string{"From: =?utf-8?q?secretariat=40clinique-des-sapins=2Efr?= <evil@out.fr>"}, "evil@out.fr"},
		{[]string{"From: =?utf-8?b?PHNlY3JldGFyaWF0QGNsaW5pcXVlLWRlcy1zYXBpbnMuZnI+?= <evil@out.fr>"}, "evil@out.fr"},
		{[]string{"From: (" + ours + ") evil@out.fr"}, "evil@out.fr"},
		{[]string{"From: evil@out.fr (" + ours + ")"}, "evil@out.fr"},
		{[]string{`From: "` + ours + `>, \" (" <evil@out.fr>`}, "evil@out.fr"},
		{[]string{"From: =?utf-8?q?secretariat=40clinique-des-sapins=2Efr?="}, ""},
		{[]string{"From: " + ours + ", evil@out.fr"}, ""},
		{[]string{"From: " + ours + ","}, ""},
		{[]string{"From: <" + ours + "> <evil@out.fr>"}, ""},
		{[]string{"From: " + ours + " <evil@out.fr>"}, ""},
		{[]string{"From: <" + ours + ">evil@out.fr"}, ""},
		{[]string{"From: <@evil.fr:" + ours + ">"}, ""},
		{[]string{"From: <" + ours + "@evil.fr>"}, ""},
		{[]string{"From: x: " + ours + ";"}, ""},
		{[]string{"From: x:;"}, ""},
		{[]string{`From: "secretariat"@clinique-des-sapins.fr`}, ""},
		{[]string{`From: "secretariat@clinique-des-sapins.fr"@evil.fr`}, ""},
		{[]string{"From: secretariat@[127.0.0.1]"}, ""},
		{[]string{"From: secretariat%clinique-des-sapins.fr@evil.fr"}, ""},
		{[]string{"From: secretariat (x) @clinique-des-sapins.fr"}, ""},
		{[]string{"From: secretariat@clinique-des-sapins.fr."}, ""},
		{[]string{"From: Claire"}, ""},
		{[]string{"From:"}, ""},
		{[]string{"From: <>"}, ""},
		{[]string{"Subject: no From"}, ""},
		{[]string{"From: " + ours, "From: evil@out.fr"}, ""},
		{[]string{"From: " + ours, "FROM: " + ours}, ""},
		{[]string{"From: " + ours, "Sender: evil@out.fr"}, ours}, // Sender is not believed, and written anew
		{[]string{"From: " + ours, "Sender: a@b.fr, c@d.fr"}, ""},
		{[]string{"From: " + ours, "Sender: a@b.fr", "Sender: a@b.fr"}, ""},
		{[]string{"From: " + ours, "Resent-From: evil@out.fr"}, ""},
		{[]string{"From: " + ours, "resent-to: evil@out.fr"}, ""},
		{[]string{"From: " + ours, "To: a@b.fr", "To: c@d.fr"}, ""},
		{[]string{"From: " + ours, "Subject: a", "subject: b"}, ""},
		{[]string{"From: " + ours, "Message-ID: <a@b>", "Message-Id: <c@d>"}, ""},
	} {
		got, err := message.Check(read(t, tt.lines...))
		var fault *message.Fault
		if got != tt.want || (tt.want == "") != errors.As(err, &fault) {
			t.Errorf("%q: %q, %v; want %q", tt.lines, got, err, tt.want)
		}
	}
	// What cannot even be read in one way.
	for _, text := range []string{
		"From : " + ours + "\r\n\r\n", "From\r\n : " + ours + "\r\n\r\n", "From: " + ours + "\nFrom: evil@out.fr\r\n\r\n", "From: " + ours + "\r\n \r\nFrom: evil@out.fr\r\n\r\n",
		"From: " + ours + "\rFrom: evil@out.fr\r\n\r\n", " From: " + ours + "\r\n\r\n", "From: evil@out.fr\x00\r\n\r\n",
	} {
		_, _, err := message.Read(strings.NewReader(text))
		var fault *message.Fault
		if !errors.As(err, &fault) || fault.Reply("fr").Code != 554 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFault(t *testing.T) {
	_, err := message.Check(read(t, "From: a@b.fr, c@d.fr"))
	var fault *message.Fault
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	if got := fault.Reply("en").String(); !strings.HasPrefix(got, "550 5.7.1 header From: the sender") {
		t.Errorf("english: %s", got)
	}
	if got := fault.Reply("fr").String(); !strings.HasPrefix(got, "550 5.7.1 header From: l'expediteur") {
		t.Errorf("french: %s", got)
	}
	_, _, err = message.Read(strings.NewReader("To: " + strings.Repeat("a@b.fr,", header.Max)))
	if !errors.As(err, &fault) || fault.Reply("fr").Code != 552 {
		t.Errorf("too large: %v", err)
	}
}

func TestAuthors(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  []mail.Address // none: refused
	}{
		{[]string{"From: X <a@b.fr>"}, []mail.Address{"a@b.fr"}},
		{[]string{"From: a@b.fr, C <c@d.fr>"}, []mail.Address{"a@b.fr", "c@d.fr"}},
		{[]string{"From: a@b.fr, \"x\"@d.fr"}, nil},
		{[]string{"From: a@b.fr <c@d.fr>"}, nil},
		{[]string{"From: x:;"}, nil},
		{[]string{"From: a@b.fr", "From: a@b.fr"}, nil},
		{[]string{"To: a@b.fr"}, nil},
	} {
		got, err := message.Authors(read(t, tt.lines...))
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v, %v", tt.lines, got, err)
		}
	}
}

func TestInspect(t *testing.T) {
	h := read(t, "Received: one", "Received: two", "Message-ID: <a@b>", "In-Reply-To: <1@x>\r\n <2@x>", "Subject: hi")
	facts := message.Inspect(h)
	if facts.MessageID != "<a@b>" || !slices.Equal(facts.InReplyTo, []string{"<1@x>", "<2@x>"}) || facts.Received != 2 || facts.NonASCII || facts.Automatic {
		t.Errorf("%+v", facts)
	}
	for line, want := range map[string]bool{
		"Auto-Submitted: no": false, "Auto-Submitted: auto-replied; owner=x": true, "auto-submitted: Auto-Generated": true,
		"Precedence: bulk": true, "Precedence: first-class": false, "List-Id: <x.y>": true, "Listing: x": false,
	} {
		if got := message.Inspect(read(t, line)).Automatic; got != want {
			t.Errorf("%s: automatic %v", line, got)
		}
	}
	if !message.Inspect(read(t, "Subject: \u00e9")).NonASCII {
		t.Error("eight bits are not seen")
	}
	got := message.Recipients(read(t, "To: a@b.fr, g: C <C@d.fr>;", "cc: broken", "Bcc: e@f.fr", "Reply-To: x@y.fr"))
	if !slices.Equal(got, []mail.Address{"a@b.fr", "c@d.fr", "e@f.fr"}) {
		t.Errorf("recipients %v", got)
	}
}

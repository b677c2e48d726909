package demo

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"balorg/configs"
)

func TestMessagesAreWellFormed(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	all := Messages(now)
	if len(all) < 12 {
		t.Errorf("%d messages", len(all))
	}
	var large, zips, accented int
	for _, m := range all {
		var b bytes.Buffer
		if err := m.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 10<<20 {
			large++
		}
		if bytes.Contains(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%s: a line does not end in CRLF", m.id)
		}
		msg, err := mail.ReadMessage(&b)
		if err != nil {
			t.Fatalf("%s: %v", m.id, err)
		}
		if _, err := msg.Header.AddressList("From"); err != nil {
			t.Errorf("%s: From: %v", m.id, err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		if err != nil || subject != m.subject {
			t.Errorf("%s: subject %q, %v", m.id, subject, err)
		}
		if subject != msg.Header.Get("Subject") {
			accented++
		}
		zips += strings.Count(partNames(t, msg), "IHE_XDM.ZIP")
	}
	if large != 1 || zips != 2 || accented < 3 {
		t.Errorf("%d large messages, %d archives, %d accented subjects", large, zips, accented)
	}
}

func partNames(t *testing.T, msg *mail.Message) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return ""
	}
	var names []string
	r := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, p.FileName())
	}
}

// TestSampleMailCanBeAnswered: the demo's trust space has whoever writes to its mailboxes.
func TestSampleMailCanBeAnswered(t *testing.T) {
	config, err := configs.Examples.ReadFile("demo/balorg.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range Messages(time.Now()) {
		from, err := mail.ParseAddress(m.from)
		if err != nil {
			t.Fatal(err)
		}
		_, domain, _ := strings.Cut(from.Address, "@")
		local := domain == "sapins.mssante.fr" || domain == "clinique-des-sapins.fr"
		if !local && !strings.Contains(string(config), "\n    - "+domain+"\n") {
			t.Errorf("an answer to %s would be refused", from)
		}
	}
}

package bounce

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail/header"
	"balorg/smtp/wire"
)

func paris() *time.Location { return time.FixedZone("CET", 3600) }

func original(t *testing.T, text string) *header.Header {
	t.Helper()
	h, _, err := header.Read(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const head = `Received: from [192.0.2.7] by mail.sapins.fr id 1
From: =?utf-8?q?Secr=C3=A9tariat?= <secretariat@sapins.mssante.fr>
To: x@chu.fr
Subject: confidential
Message-ID: <m1@sapins.fr>
X-MSS-NIL: 1
`

// reports are one of each kind.
func reports(t *testing.T) map[string]*Report {
	t.Helper()
	arrived := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	base := func(kind Kind, to ...Recipient) *Report {
		return &Report{
			Kind: kind, ID: "r1", Reference: "q1", To: "secretariat@sapins.mssante.fr", Language: "fr", Date: arrived.Add(2 * time.Hour).In(paris()),
			Arrived: arrived, EnvelopeID: "env+1", Recipients: to, Header: original(t, head), Omit: []string{"Received"},
		}
	}
	tried := arrived.Add(time.Hour)
	all := map[string]*Report{
		"failure": base(Failure,
			Recipient{Address: "x@chu.fr", Original: "rfc822;X@chu.fr", Reply: "550 5.1.1 <x@chu.fr>: unknown / go away", Peer: "mx.chu.fr [192.0.2.1:25]", Tried: tried},
			Recipient{Address: "y@none.fr", Reply: "550 5.1.2 The domain none.fr has no mail server", Tried: tried},
			Recipient{Address: "z@chu.fr", Reply: "451 4.4.2 Connection lost", Peer: "192.0.2.1:25", Tried: tried}),
		"delay": base(Delay, Recipient{Address: "x@chu.fr", Reply: "451 try later", Peer: "mx.chu.fr [192.0.2.1:25]", Tried: tried, Until: arrived.Add(120 * time.Hour)}),
		"success": base(Success, Recipient{Address: "x@chu.fr", Reply: "250 2.0.0 queued", Peer: "mx.chu.fr [[2001:db8::1]:25]", Relayed: true, Tried: tried},
			Recipient{Address: "y@sapins.fr", Reply: "250 2.1.5 Delivered"}),
	}
	utf8 := base(Failure, Recipient{Address: "hélène@chu.fr", Original: "utf-8;Hélène@chu.fr", Reply: "553 5.6.7 SMTPUTF8", Tried: tried})
	utf8.Language, utf8.Header = "en", original(t, head+"X-Name: é\n")
	all["utf8"] = utf8
	return all
}

func compose(t *testing.T, r *Report) string {
	t.Helper()
	c, err := New("mail.sapins.fr")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Compose(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGolden compares with testdata; a file that is to change is deleted and written anew by a run that fails.
func TestGolden(t *testing.T) {
	for name, r := range reports(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".eml")
			got := compose(t, r)
			want, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				err = errors.Join(err, os.WriteFile(path, []byte(got), 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\r\n"), strings.Split(got, "\r\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// parts reads a report as any client does.
func parts(t *testing.T, text string) (head mail.Header, kinds, bodies []string) {
	t.Helper()
	if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") || strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
		t.Error("a line does not end in CRLF")
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatal(kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return m.Header, kinds, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		kinds, bodies = append(kinds, kind), append(bodies, string(body))
	}
}

// status reads the groups of fields of the machine's part.
func status(t *testing.T, body string) []textproto.MIMEHeader {
	t.Helper()
	var all []textproto.MIMEHeader
	for group := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n") {
		m, err := mail.ReadMessage(strings.NewReader(group + "\r\n\r\n"))
		if err != nil {
			t.Fatalf("%q: %v", group, err)
		}
		all = append(all, textproto.MIMEHeader(m.Header))
	}
	return all
}

func TestParsesBack(t *testing.T) {
	for name, test := range map[string]struct{ kinds, status string }{
		"failure": {
			"text/plain message/delivery-status text/rfc822-headers",
			"rfc822; x@chu.fr failed 5.1.1 dns; mx.chu.fr|rfc822; y@none.fr failed 5.1.2 |rfc822; z@chu.fr failed 4.4.7 dns; [192.0.2.1]",
		},
		"delay":   {"text/plain message/delivery-status text/rfc822-headers", "rfc822; x@chu.fr delayed 4.0.0 dns; mx.chu.fr"},
		"success": {"text/plain message/delivery-status text/rfc822-headers", "rfc822; x@chu.fr relayed 2.0.0 dns; mx.chu.fr|rfc822; y@sapins.fr delivered 2.1.5 "},
		"utf8":    {"text/plain message/global-delivery-status message/global-headers", "utf-8; hélène@chu.fr failed 5.6.7 "},
	} {
		t.Run(name, func(t *testing.T) {
			r := reports(t)[name]
			head, kinds, bodies := parts(t, compose(t, r))
			if strings.Join(kinds, " ") != test.kinds {
				t.Errorf("parts %q", kinds)
			}
			from, err := head.AddressList("From")
			if err != nil || from[0].Address != "mailer-daemon@mail.sapins.fr" || head.Get("Auto-Submitted") != "auto-replied" || head.Get("In-Reply-To") != "<m1@sapins.fr>" {
				t.Errorf("header %v, %v", head, err)
			}
			groups := status(t, bodies[1])
			if mta := groups[0].Get("Reporting-MTA"); mta != "dns; mail.sapins.fr" || groups[0].Get("Original-Envelope-Id") != "env+1" || groups[0].Get("Arrival-Date") == "" {
				t.Errorf("%v", groups[0])
			}
			var got []string
			for _, g := range groups[1:] {
				got = append(got, fmt.Sprint(g.Get("Final-Recipient"), " ", g.Get("Action"), " ", g.Get("Status"), " ", g.Get("Remote-MTA")))
			}
			if strings.Join(got, "|") != test.status {
				t.Errorf("status %q", got)
			}
			if !strings.Contains(bodies[2], "X-MSS-NIL: 1\r\n") || strings.Contains(bodies[2], "Received") {
				t.Errorf("header of the message: %q", bodies[2])
			}
			for _, to := range r.Recipients {
				if !strings.Contains(bodies[0], string(to.Address)) {
					t.Errorf("the text does not name %s: %s", to.Address, bodies[0])
				}
			}
			if strings.Contains(bodies[0], "confidential") || strings.Contains(head.Get("Subject"), "confidential") {
				t.Error("the text tells the subject")
			}
		})
	}
}

// TestNothingIsInjected: what strangers say makes no field, no part and no group.
func TestNothingIsInjected(t *testing.T) {
	evil := "x\r\n\r\n--=_report_r1\r\nContent-Type: text/html\r\n\r\nFinal-Recipient: rfc822; evil@chu.fr\x00\x1b[1m" + strings.Repeat("é", 2000)
	for _, utf8 := range []bool{false, true} {
		r := reports(t)["failure"]
		r.EnvelopeID = evil
		r.Header = original(t, "Subject: x\nMessage-ID: <a b\n c@x>\n")
		r.Recipients = []Recipient{{Address: "x@chu.fr", Original: "rfc822;" + evil, Reply: "550 " + evil, Peer: evil}}
		if utf8 {
			r.Recipients[0].Address = "é@chu.fr"
		}
		text := compose(t, r)
		head, kinds, bodies := parts(t, text)
		if len(kinds) != 3 || len(status(t, bodies[1])) != 2 || head.Get("In-Reply-To") != "" {
			t.Errorf("%q", text)
		}
		if g := status(t, bodies[1])[1]; len(g["Final-Recipient"]) != 1 || strings.Contains(g.Get("Final-Recipient"), "evil") {
			t.Errorf("%q", g)
		}
		if strings.ContainsAny(text, "\x00\x1b") {
			t.Error("control characters pass")
		}
		if !utf8 && strings.Contains(bodies[1], "é") {
			t.Error("a part that is ASCII holds other signs")
		}
	}
}

func TestAnonymous(t *testing.T) {
	r := reports(t)["failure"]
	r.Anonymous, r.Header = true, nil
	_, kinds, bodies := parts(t, compose(t, r))
	if len(kinds) != 2 || strings.Contains(bodies[1], "Original-") {
		t.Errorf("%q %q", kinds, bodies)
	}
}

func TestNobodyIsTold(t *testing.T) {
	c, err := New("mail.sapins.fr")
	if err != nil {
		t.Fatal(err)
	}
	r := reports(t)["failure"]
	r.To = ""
	if err := c.Compose(io.Discard, r); !errors.Is(err, ErrNullSender) {
		t.Error(err)
	}
	if err := c.Compose(io.Discard, &Report{To: "a@sapins.fr"}); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	full := errors.New("disk full")
	for n := range 40 { // wherever it happens
		if err := c.Compose(&limited{n * 50, full}, reports(t)["failure"]); !errors.Is(err, full) {
			t.Errorf("after %d octets: %v", n*50, err)
		}
	}
	e := reports(t)["utf8"].Envelope()
	if e.From.Address != "" || !e.From.UTF8 || len(e.To) != 1 || e.To[0].Notify != wire.NotifyNever || e.To[0].Address != "secretariat@sapins.mssante.fr" {
		t.Errorf("%+v", e)
	}
}

// limited takes some octets.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, l.err
	}
	l.left -= len(p)
	return len(p), nil
}

// TestReasons: every reason has its sentence, in both languages.
func TestReasons(t *testing.T) {
	for _, language := range []string{"fr", "en", "xx"} {
		seen := make(map[string]string)
		for _, reply := range []string{"550 5.1.1 x", "550 5.1.2 x", "550 5.7.1 x", "552 5.2.2 x", "552 5.3.4 x", "554 5.6.3 x", "451 4.4.1 x", "554 x", "nonsense", ""} {
			r := reports(t)["failure"]
			r.Language, r.Recipients = language, []Recipient{{Address: "x@chu.fr", Reply: reply}}
			_, _, bodies := parts(t, compose(t, r))
			_, after, _ := strings.Cut(bodies[0], "  x@chu.fr\r\n    ")
			sentence, _, _ := strings.Cut(after, "\r\n")
			if sentence == "" || strings.Contains(bodies[0], "<no value>") {
				t.Errorf("%s, %q: %s", language, reply, bodies[0])
			}
			seen[sentence] = reply
		}
		if len(seen) != 8 {
			t.Errorf("%s: %q", language, seen)
		}
	}
}

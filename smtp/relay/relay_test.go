package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"

	"balorg/policy/auth"
	"balorg/smtp/wire"
)

// told is outcomes as a table has them: the result and the code of each.
func told(outcomes []Outcome) string {
	var all []string
	for _, o := range outcomes {
		word := fmt.Sprintf("%s %d", o.Result, o.Reply.Code)
		if o.Unreachable {
			word += " unreachable"
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

func doubts(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestStages: a next hop that refuses, drops, stalls or babbles at each stage, for two recipients.
func TestStages(t *testing.T) {
	const both = ", "
	lost := "deferred 451" + both + "deferred 451"
	unreachable := "deferred 451 unreachable, deferred 451 unreachable"
	lines := hello("SIZE 1000000")      // command by command
	pipe := hello("PIPELINING", "SIZE") // in one write
	bdat := hello("PIPELINING", "CHUNKING")
	mail, a, b := "> MAIL FROM:<a@sapins.fr>", "> RCPT TO:<x@chu.fr>", "> RCPT TO:<y@chu.fr>"
	upTo := func(s script) script { return s.then(mail, "250 ok", a, "250 ok", b, "250 ok", "> DATA", "354 go") }
	for _, test := range []struct {
		name   string
		server script
		want   string
		doubt  float64
		taken  int
	}{
		{"delivered", upTo(lines).then("!data", "250 2.0.0 queued"), "delivered 250, delivered 250", 0, 1},
		{"delivered, pipelined", upTo(pipe).then("!data", "250 2.0.0 queued"), "delivered 250, delivered 250", 0, 1},
		{"delivered in a chunk", bdat.then(mail, "250", a, "250", b, "250", "!chunk", "250 ok"), "delivered 250, delivered 250", 0, 1},
		{"no greeting", script{"!stall"}, unreachable, 0, 0},
		{"dropped at once", script{"!drop"}, unreachable, 0, 0},
		{"reset at once", script{"!reset"}, unreachable, 0, 0},
		{"greeted with 554", script{"554 no"}, unreachable, 0, 0},
		{"greeted with 421", script{"421 busy"}, unreachable, 0, 0},
		{"greeted with something else", script{"HTTP/1.1 400 Bad Request"}, unreachable, 0, 0},
		{"greeted for ever", script{strings.Repeat("220-x\r\n", 200)}, unreachable, 0, 0},
		{"greeted with a line that never ends", script{strings.Repeat("220 ", 4000)}, unreachable, 0, 0},
		{"EHLO and HELO refused", script{"220 x", "> EHLO", "502 no", "> HELO gw.sapins.fr", "550 no"}, unreachable, 0, 0},
		{"EHLO put off", script{"220 x", "> EHLO", "451 later"}, unreachable, 0, 0},
		{"EHLO stalls", script{"220 x", "> EHLO", "!stall"}, unreachable, 0, 0},
		{"HELO is enough", script{"220 x", "> EHLO", "500 what", "> HELO", "250 x"}.then(mail, "250", a, "250", b, "250", "> DATA", "354", "!data", "250"), "delivered 250, delivered 250", 0, 1},
		{"MAIL refused", lines.then(mail, "550 5.7.1 no", "> QUIT"), "failed 550, failed 550", 0, 0},
		{"MAIL refused, pipelined", pipe.then(mail, "550 5.7.1 no", a, "503", b, "503", "> DATA", "503", "> QUIT"), "failed 550, failed 550", 0, 0},
		{"MAIL refused, DATA taken", pipe.then(mail, "550 5.7.1 no", a, "503", b, "503", "> DATA", "354"), "failed 550, failed 550", 0, 0},
		{"MAIL put off", lines.then(mail, "451 later", "> QUIT"), "deferred 451, deferred 451", 0, 0},
		{"MAIL 421", lines.then(mail, "421 bye", "!drop"), "deferred 421, deferred 421", 0, 0},
		{"MAIL 3xx", lines.then(mail, "354 what"), "deferred 354, deferred 354", 0, 0},
		{"MAIL drops", lines.then(mail, "!drop"), lost, 0, 0},
		{"MAIL stalls", pipe.then(mail, "!stall"), lost, 0, 0},
		{"MAIL answered with two codes", lines.then(mail, "250-a\r\n251 b"), lost, 0, 0},
		{"one RCPT refused", lines.then(mail, "250", a, "550 5.1.1 unknown", b, "250", "> DATA", "354", "!data", "250 ok"), "failed 550, delivered 250", 0, 1},
		{"one RCPT put off, pipelined", pipe.then(mail, "250", a, "250", b, "451 later", "> DATA", "354", "!data", "250 ok"), "delivered 250, deferred 451", 0, 1},
		{"one refused, one put off", pipe.then(mail, "250", a, "550", b, "450", "> DATA", "503 none", "> QUIT"), "failed 550, deferred 450", 0, 0},
		{"both refused, DATA taken", pipe.then(mail, "250", a, "550", b, "550", "> DATA", "354"), "failed 550, failed 550", 0, 0},
		{"both refused, by line", lines.then(mail, "250", a, "550", b, "550", "> QUIT"), "failed 550, failed 550", 0, 0},
		{"both refused, in chunks", bdat.then(mail, "250", a, "550", b, "550", "> QUIT"), "failed 550, failed 550", 0, 0},
		{"too many recipients", lines.then(mail, "250", a, "250", b, "452 4.5.3 enough", "> DATA", "354", "!data", "250"), "delivered 250, deferred 452", 0, 1},
		{"too many recipients, of old", lines.then(mail, "250", a, "250", b, "552 enough", "> DATA", "354", "!data", "250"), "delivered 250, deferred 552", 0, 1},
		{"RCPT 421", pipe.then(mail, "250", a, "550 no", b, "421 bye", "!drop"), "failed 550, deferred 421", 0, 0},
		{"RCPT drops", pipe.then(mail, "250", a, "550 no", "!drop"), "failed 550, deferred 451", 0, 0},
		{"RCPT stalls", lines.then(mail, "250", a, "!stall"), lost, 0, 0},
		{"DATA refused", pipe.then(mail, "250", a, "250", b, "550", "> DATA", "554 5.5.1 no", "> QUIT"), "failed 554, failed 550", 0, 0},
		{"DATA put off", lines.then(mail, "250", a, "250", b, "250", "> DATA", "451", "> QUIT"), "deferred 451, deferred 451", 0, 0},
		{"DATA answered 250", lines.then(mail, "250", a, "250", b, "250", "> DATA", "250", "> QUIT"), "deferred 250, deferred 250", 0, 0},
		{"DATA 421", lines.then(mail, "250", a, "250", b, "250", "> DATA", "421"), "deferred 421, deferred 421", 0, 0},
		{"DATA drops", lines.then(mail, "250", a, "250", b, "250", "> DATA", "!drop"), lost, 0, 0},
		{"DATA stalls", pipe.then(mail, "250", a, "250", b, "250", "> DATA", "!stall"), lost, 0, 0},
		{"the message is refused", upTo(pipe).then("!data", "554 5.6.0 no"), "failed 554, failed 554", 0, 1},
		{"the message is put off", upTo(pipe).then("!data", "451 4.3.0 later"), "deferred 451, deferred 451", 0, 1},
		{"the chunk is refused", bdat.then(mail, "250", a, "250", b, "550", "!chunk", "552 5.3.4 no"), "failed 552, failed 550", 0, 1},
		{"421 after the message", upTo(lines).then("!data", "421 bye"), "deferred 421, deferred 421", 0, 1},
		{"dropped after the message", upTo(lines).then("!data", "!drop"), lost, 2, 1},
		{"stalled after the message", upTo(pipe).then("!data", "!stall"), lost, 2, 1},
		{"babble after the message", upTo(pipe).then("!data", "OK"), lost, 2, 1},
		{"dropped after the chunk", bdat.then(mail, "250", a, "250", b, "550", "!chunk", "!drop"), "deferred 451, failed 550", 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, nil, test.server)
			reg := prometheus.NewRegistry()
			opt := s.options()
			opt.Metrics = reg
			r := newRelay(t, opt)
			got := r.Send(t.Context(), message(content), recipients("x@chu.fr", "y@chu.fr"))
			if told(got) != test.want {
				t.Errorf("%s, want %s: %+v", told(got), test.want, got)
			}
			if n := doubts(t, reg); n != test.doubt {
				t.Errorf("%v in doubt, want %v", n, test.doubt)
			}
			messages := s.taken()
			if len(messages) != test.taken {
				t.Fatalf("the server took %q", messages)
			}
			for _, m := range messages {
				if m != content {
					t.Errorf("the server took %q", m)
				}
			}
		})
	}
}

// TestHostileFlow: next hops that take the message badly. None ever gets the end of it.
func TestHostileFlow(t *testing.T) {
	const rcpt = "> RCPT TO:<x@chu.fr>"
	big := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 200_000)
	upTo := hello("PIPELINING").then("> MAIL", "250", rcpt, "250", "> DATA", "354")
	for _, test := range []struct {
		name   string
		server script
		want   string
	}{
		{"takes nothing", upTo.then("!hang"), "deferred 451"},
		{"takes octet by octet", upTo.then("!slow"), "deferred 451"},
		{"resets", upTo.then("!reset"), "deferred 451"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, nil, test.server)
			opt := s.options()
			opt.Timeouts.Total = time.Second
			reg := prometheus.NewRegistry()
			opt.Metrics = reg
			r := newRelay(t, opt)
			start := time.Now()
			if got := r.Send(t.Context(), message(big), recipients("x@chu.fr")); told(got) != test.want {
				t.Errorf("%+v", got)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %s", d)
			}
			if doubts(t, reg) != 0 {
				t.Error("the end of the message was not sent, and counts as doubtful")
			}
		})
	}
}

// TestUnreadableMessage: a message whose octets cannot be read is never ended.
func TestUnreadableMessage(t *testing.T) {
	fault := errors.New("disk fault")
	for name, server := range map[string]script{
		"DATA": hello("PIPELINING").then("> MAIL", "250", "> RCPT", "250", "> DATA", "354"),
		"BDAT": hello("PIPELINING", "CHUNKING").then("> MAIL", "250", "> RCPT", "250"),
	} {
		for _, test := range []struct {
			name  string
			read  io.Reader
			short bool
		}{
			{"an error in the middle", io.MultiReader(strings.NewReader("Subject: x\r\n\r\n"), failing{fault}), false},
			{"too short", strings.NewReader("short\r\n"), name == "DATA"},
			{"too long", strings.NewReader(strings.Repeat("long\r\n", 100)), name == "DATA"},
		} {
			if test.short {
				continue // what DATA takes needs no size
			}
			t.Run(name+", "+test.name, func(t *testing.T) {
				s := serve(t, nil, server)
				r := newRelay(t, s.options())
				m := message(content)
				m.Open = func() (io.ReadCloser, error) { return io.NopCloser(test.read), nil }
				got := r.Send(t.Context(), m, recipients("x@chu.fr"))
				if told(got) != "deferred 451" || got[0].Reply.Enhanced != "4.3.0" {
					t.Errorf("%+v", got)
				}
			})
		}
	}
	s := serve(t, nil, hello())
	m := message(content)
	m.Open = func() (io.ReadCloser, error) { return nil, fault }
	if got := newRelay(t, s.options()).Send(t.Context(), m, recipients("x@chu.fr")); told(got) != "deferred 451" || got[0].Reply.Enhanced != "4.3.0" {
		t.Errorf("%+v", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestParameters(t *testing.T) {
	accept := func(s script, mail, rcpt string) script {
		return s.then("> "+mail+"\r", "250", "> "+rcpt+"\r", "250", "> DATA", "354", "!data", "250 ok")
	}
	const (
		mailAll = "MAIL FROM:<hélène@sapins.fr> SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+20c"
		rcptAll = "RCPT TO:<x@chu.fr> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;X+2By+3Dz@chu.fr"
	)
	original := wire.Recipient{Address: "x@chu.fr", Notify: wire.NotifySuccess | wire.NotifyDelay, Original: "rfc822;X+y=z@chu.fr"}
	for _, test := range []struct {
		name    string
		server  script
		from    wire.Sender
		to      wire.Recipient
		content string
		want    string
		relayed bool
	}{
		{
			"all of it", accept(hello("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN"), mailAll, rcptAll),
			wire.Sender{Address: "hélène@sapins.fr", Body: wire.Body8Bit, UTF8: true, Return: wire.ReturnHeaders, EnvID: "a+b c"},
			original, "X: é\r\n\r\n", "delivered 250", false,
		},
		{
			"none of it", accept(hello(), "MAIL FROM:<a@sapins.fr>", "RCPT TO:<x@chu.fr>"),
			wire.Sender{Address: "a@sapins.fr", Body: wire.Body8Bit, UTF8: true, Return: wire.ReturnFull, EnvID: "x"},
			original, "X: e\r\n\r\ne", "delivered 250", true,
		},
		{
			"null sender, UTF-8 original", accept(hello("DSN"), "MAIL FROM:<>", `RCPT TO:<x@chu.fr> NOTIFY=NEVER ORCPT=utf-8;h\x{E9}l@chu.fr`),
			wire.Sender{},
			wire.Recipient{Address: "x@chu.fr", Notify: wire.NotifyNever, Original: "utf-8;hél@chu.fr"},
			"X: e\r\n\r\ne", "delivered 250", false,
		},
		{"8 bits in the body", hello(), wire.Sender{Address: "a@sapins.fr", Body: wire.Body8Bit}, original, "X: e\r\n\r\né", "failed 554", false},
		{"8 bits in a long line", hello(), wire.Sender{Address: "a@sapins.fr", Body: wire.Body8Bit}, original, "X: e\r\n\r\n" + strings.Repeat("x", 10000) + "é", "failed 554", false},
		{"UTF-8 in the header", hello("8BITMIME"), wire.Sender{Address: "a@sapins.fr", Body: wire.Body8Bit, UTF8: true}, original, "X: é\r\n\r\ne", "failed 553", false},
		{
			"UTF-8 in the body alone", accept(hello("8BITMIME"), "MAIL FROM:<a@sapins.fr> BODY=8BITMIME", "RCPT TO:<x@chu.fr>"),
			wire.Sender{Address: "a@sapins.fr", Body: wire.Body8Bit, UTF8: true},
			original, "X: e\r\n\r\né", "delivered 250", true,
		},
		{"UTF-8 in the sender", hello("8BITMIME"), wire.Sender{Address: "é@sapins.fr", UTF8: true}, original, "X: e\r\n\r\ne", "failed 553", false},
		{"UTF-8 in the recipient", hello("8BITMIME"), wire.Sender{Address: "a@sapins.fr", UTF8: true}, wire.Recipient{Address: "é@chu.fr"}, "X: e\r\n\r\ne", "failed 553", false},
		{"binary", hello("8BITMIME", "CHUNKING"), wire.Sender{Address: "a@sapins.fr", Body: wire.BodyBinary}, original, "x", "failed 554", false},
		{"too large", hello("SIZE 8"), wire.Sender{Address: "a@sapins.fr"}, original, "123456789", "failed 552", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, nil, test.server)
			r := newRelay(t, s.options())
			m := message(test.content)
			m.Sender = test.from
			got := r.Send(t.Context(), m, []wire.Recipient{test.to})
			if told(got) != test.want || got[0].Relayed != test.relayed {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestOneOfTwoNeedsUTF8: only the recipient that cannot be written fails.
func TestOneOfTwoNeedsUTF8(t *testing.T) {
	s := serve(t, nil, hello().then("> MAIL FROM:<a@sapins.fr>\r", "250", "> RCPT TO:<x@chu.fr>", "250", "> DATA", "354", "!data", "250"))
	got := newRelay(t, s.options()).Send(t.Context(), message(content), recipients("é@chu.fr", "x@chu.fr"))
	if told(got) != "failed 553, delivered 250" {
		t.Errorf("%+v", got)
	}
}

func TestReuse(t *testing.T) {
	one := []string{"> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!data", "250 ok"}
	send := func(r *Relay) string {
		return told(r.Send(t.Context(), message(content), recipients("x@chu.fr")))
	}
	t.Run("the same connection", func(t *testing.T) {
		s := serve(t, nil, hello("PIPELINING").then(one...).then(one...).then("> MAIL", "550 no", "> RCPT", "503", "> DATA", "503", "> QUIT"))
		r := newRelay(t, s.options())
		if got := send(r) + send(r) + send(r); got != "delivered 250delivered 250failed 550" {
			t.Error(got)
		}
	})
	for name, end := range map[string][]string{
		"it has closed":           {"!drop"},
		"it has said farewell":    {"421 idle"},
		"421 to the next message": {"> MAIL", "421 idle"},
		"dropped at the next":     {"> MAIL", "!reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, hello().then(one...).then(end...), hello().then(one...))
			r := newRelay(t, s.options())
			if got := send(r) + send(r); got != "delivered 250delivered 250" {
				t.Error(got)
			}
		})
	}
}

func TestLimitOfConnections(t *testing.T) {
	s := serve(t, nil, script{"!stall"}, script{"!stall"})
	opt := s.options()
	opt.MaxConnections = 1
	opt.Timeouts.Greeting = patience
	r := newRelay(t, opt)
	ctx, stop := context.WithCancel(t.Context())
	release, err := r.pool.acquire(ctx, smarthostName)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	go func() { done <- told(r.Send(ctx, message(content), recipients("x@chu.fr"))) }()
	select {
	case got := <-done:
		t.Fatalf("it did not wait: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	stop()
	if got := <-done; got != "deferred 451" {
		t.Error(got)
	}
	release()
	if len(r.pool.places) != 0 {
		t.Error("the destination is still known")
	}
}

// TestStopped: the end of the context ends an attempt wherever it is.
func TestStopped(t *testing.T) {
	for name, server := range map[string]script{
		"greeting": {"!stall"},
		"MAIL":     hello().then("> MAIL", "!stall"),
		"DATA":     hello().then("> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!stall"),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, server)
			opt := s.options()
			opt.Timeouts = Timeouts{}
			r := newRelay(t, opt)
			ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer stop()
			start := time.Now()
			got := r.Send(ctx, message(content), recipients("x@chu.fr"))
			if got[0].Result != Deferred || time.Since(start) > 5*time.Second {
				t.Errorf("%+v after %s", got, time.Since(start))
			}
		})
	}
}

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	begin := script{"220 mx", "> EHLO", "250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS", "> STARTTLS", "220 go"}
	inside := script{"> EHLO", "250 PIPELINING"}.then("> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!data", "250 ok")
	matches := func(domain string, cert *x509.Certificate) bool {
		return domain == "chu.fr" && cert.Subject.CommonName == "operator"
	}
	for _, test := range []struct {
		name     string
		server   script
		config   *tls.Config
		security Security
		matches  func(string, *x509.Certificate) bool
		want     string
	}{
		{"STARTTLS", begin.then("!tls").then(inside...), ca.server(t, "operator", "mx.chu.fr"), StartTLS, nil, "delivered 250"},
		{"from the start", script{"!tls", "220 mx"}.then(inside...), ca.server(t, "operator", "mx.chu.fr"), TLS, nil, "delivered 250"},
		{"not offered", hello("SIZE"), nil, StartTLS, nil, "deferred 451 unreachable"},
		{"only HELO", script{"220 mx", "> EHLO", "500 what"}, nil, StartTLS, nil, "deferred 451 unreachable"},
		{"refused", begin[:4].then("454 no TLS now"), nil, StartTLS, nil, "deferred 451 unreachable"},
		{"more behind the 220", begin[:4].then("220 go\r\n250 injected", "!tls").then(inside...), ca.server(t, "operator", "mx.chu.fr"), StartTLS, nil, "deferred 451 unreachable"},
		{"no handshake", begin.then("!stall"), nil, StartTLS, nil, "deferred 451 unreachable"},
		{"another name", begin.then("!tls"), ca.server(t, "operator", "mx.other.fr"), StartTLS, nil, "deferred 451 unreachable"},
		{"another authority", begin.then("!tls"), stranger.server(t, "operator", "mx.chu.fr"), StartTLS, nil, "deferred 451 unreachable"},
		{"the operator, whatever the name", begin.then("!tls").then(inside...), ca.server(t, "operator", "mx.other.fr"), StartTLS, matches, "delivered 250"},
		{"not the operator", begin.then("!tls"), ca.server(t, "somebody", "mx.chu.fr"), StartTLS, matches, "deferred 451 unreachable"},
		{"the operator of another authority", begin.then("!tls"), stranger.server(t, "operator", "mx.chu.fr"), StartTLS, matches, "deferred 451 unreachable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.config, test.server)
			host, port, _ := net.SplitHostPort(s.address)
			opt := Options{
				Hostname: "gw.sapins.fr", Security: test.security, TLS: ca.trusted(), Matches: test.matches, Timeouts: short(), Port: port,
				Resolver: dns{mx: map[string][]*net.MX{"chu.fr": {{Host: "mx.chu.fr.", Pref: 10}}}, host: map[string][]string{"mx.chu.fr": {host}}},
			}
			opt.Timeouts.Greeting = time.Second
			got := newRelay(t, opt).Send(t.Context(), message(content), recipients("x@chu.fr"))
			if told(got) != test.want || got[0].Result == Delivered && (got[0].TLS != "TLS 1.3" || !strings.HasPrefix(got[0].Peer, "mx.chu.fr [")) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestOperatorLost: a connection that waits is not used once the whitelist names another operator.
func TestOperatorLost(t *testing.T) {
	ca := newAuthority(t)
	inside := []string{"> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!data", "250 ok"}
	begin := script{"220 mx", "> EHLO", "250-mx\r\n250 STARTTLS", "> STARTTLS", "220 go", "!tls", "> EHLO", "250 mx"}
	s := serve(t, ca.server(t, "operator"), begin.then(inside...), begin[:6])
	host, port, _ := net.SplitHostPort(s.address)
	named := true
	r := newRelay(t, Options{
		Hostname: "gw.sapins.fr", TLS: ca.trusted(), Timeouts: short(), Port: port, Matches: func(string, *x509.Certificate) bool { return named },
		Resolver: dns{host: map[string][]string{"chu.fr": {host}}},
	})
	first := told(r.Send(t.Context(), message(content), recipients("x@chu.fr", "x@other.fr")))
	named = false
	if second := told(r.Send(t.Context(), message(content), recipients("x@chu.fr"))); first+" "+second != "delivered 250, deferred 451 deferred 451 unreachable" {
		t.Errorf("%s, then %s", first, second)
	}
}

func TestAuth(t *testing.T) {
	for _, test := range []struct {
		name   string
		server script
		want   string
	}{
		{"in", hello("AUTH PLAIN").then("> AUTH PLAIN AGd3AHMzY3JldA==\r", "235 in", "> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!data", "250"), "delivered 250"},
		{"refused", hello("AUTH LOGIN PLAIN").then("> AUTH", "535 no"), "deferred 451 unreachable"},
		{"not offered", hello("AUTH LOGIN"), "deferred 451 unreachable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			opt := serve(t, nil, test.server).options()
			opt.User, opt.Password = "gw", auth.NewSecret("s3cret")
			got := newRelay(t, opt).Send(t.Context(), message(content), recipients("x@chu.fr"))
			if told(got) != test.want || strings.Contains(fmt.Sprint(got), "s3cret") || strings.Contains(fmt.Sprint(got), "AGd3") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestLMTP: one reply for each recipient, over a socket.
func TestLMTP(t *testing.T) {
	begin := script{"220 box", "> LHLO gw.sapins.fr", "250-box\r\n250-PIPELINING\r\n250 DSN"}
	rcpts := []string{"> MAIL", "250", "> RCPT", "250", "> RCPT", "550 5.1.1 unknown", "> RCPT", "250", "> DATA", "354", "!data"}
	for _, test := range []struct {
		name  string
		end   []string
		want  string
		doubt float64
	}{
		{"each its own", []string{"250 ok", "452 4.2.2 full"}, "delivered 250, failed 550, deferred 452", 0},
		{"cut between", []string{"250 ok", "!drop"}, "delivered 250, failed 550, deferred 451", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lmtp")
			serveOn(t, "unix", path, nil, begin.then(rcpts...).then(test.end...))
			reg := prometheus.NewRegistry()
			r := newRelay(t, Options{Hostname: "gw.sapins.fr", Smarthost: "unix:" + path, LMTP: true, Security: InsecureNone, Timeouts: short(), Metrics: reg})
			got := r.Send(t.Context(), message(content), recipients("x@chu.fr", "y@chu.fr", "z@chu.fr"))
			if told(got) != test.want || doubts(t, reg) != test.doubt {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestRealServer: a library's server takes what we say.
func TestRealServer(t *testing.T) {
	b := &backend{got: make(chan string, 10)}
	server := gosmtp.NewServer(b)
	server.Domain, server.EnableDSN, server.EnableSMTPUTF8 = "mx.chu.fr", true, true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	defer func() { server.Close(); <-ended }()
	r := newRelay(t, Options{Hostname: "gw.sapins.fr", Smarthost: listener.Addr().String(), Security: InsecureNone})
	for _, body := range []string{content, strings.Repeat(content, 10_000), "x\r\n"} {
		to := recipients("x@chu.fr", "refused@chu.fr")
		to[0].Notify, to[0].Original = wire.NotifyFailure, "rfc822;x@chu.fr"
		if got := r.Send(t.Context(), message(body), to); told(got) != "delivered 250, failed 550" {
			t.Fatalf("%+v", got)
		}
		if got := <-b.got; got != "a@sapins.fr x@chu.fr "+body {
			t.Errorf("the server took %d octets: %.80q", len(got), got)
		}
	}
	if b.sessions != 1 {
		t.Errorf("%d connections", b.sessions)
	}
}

type backend struct {
	got      chan string
	sessions int
}

func (b *backend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	b.sessions++
	return &peer{b: b}, nil
}

type peer struct {
	b        *backend
	from, to string
}

func (p *peer) Mail(from string, _ *gosmtp.MailOptions) error { p.from = from; return nil }

func (p *peer) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "refused") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "unknown"}
	}
	p.to = to
	return nil
}

func (p *peer) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	p.b.got <- p.from + " " + p.to + " " + string(content)
	return err
}

func (p *peer) Reset()        {}
func (p *peer) Logout() error { return nil }

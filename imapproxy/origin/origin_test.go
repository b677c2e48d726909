package origin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"balorg/mail"
	"balorg/policy/auth"
)

const box = mail.Address("urgences@sapins.fr")

// script is a server's side of a dialogue: lines that begin with "> " are expected, all others are said.
type script []string

func (s script) play(t *testing.T, conn net.Conn) {
	t.Helper()
	in := bufio.NewReader(conn)
	for _, line := range s {
		want, expected := strings.CutPrefix(line, "> ")
		if !expected {
			if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
				return
			}
			continue
		}
		got, err := in.ReadString('\n')
		if err != nil {
			t.Errorf("waiting for %q: %v", want, err)
			return
		}
		if strings.TrimRight(got, "\r\n") != want {
			t.Errorf("the gateway says %q, want %q", got, want)
		}
	}
}

// scripted is a store whose server follows a script.
func scripted(t *testing.T, opt Options, s script) *Store {
	t.Helper()
	opt.Addresses, opt.Security = []string{"mail.intern:143"}, InsecureNone
	if opt.Login == "" {
		opt.Login = LoginAuthzid
	}
	opt.User, opt.Password = "balorg", auth.NewSecret("s3cret")
	opt.Dial = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			s.play(t, theirs)
			if _, err := io.Copy(io.Discard, theirs); err != nil {
				t.Error(err)
			}
		}()
		return ours, nil
	}
	return New(opt)
}

func plain(fields ...string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Join(fields, "\x00")))
}

func TestLogin(t *testing.T) {
	const namespace = `* NAMESPACE (("" "/")) NIL NIL`
	for _, test := range []struct {
		name   string
		opt    Options
		server script
	}{
		{"authorization identity, in one packet", Options{}, script{
			"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ID] ready",
			`> o1 ID ("name" "balorg" "x-originating-ip" "192.0.2.7" "x-originating-port" "4711")`, "* ID NIL", "o1 OK",
			"> o2 AUTHENTICATE PLAIN " + plain(string(box), "balorg", "s3cret"), "o2 OK [CAPABILITY IMAP4rev1 IDLE NAMESPACE] in",
			"> o3 NAMESPACE", namespace, "o3 OK",
		}},
		{"a server that must be asked for everything", Options{Login: LoginMaster}, script{
			"* OK hello", "> o1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN", "o1 OK",
			"> o2 AUTHENTICATE PLAIN", "+ ", "> " + plain("", string(box)+"*balorg", "s3cret"), "* 0 RECENT", "o2 OK in",
			"> o3 CAPABILITY", "* capability imap4REV1 idle namespace", "o3 OK",
			"> o4 NAMESPACE", namespace, "o4 OK",
		}},
		{"another separator", Options{Login: LoginMaster, Separator: "%"}, script{
			"* OK [CAPABILITY SASL-IR AUTH=PLAIN]", "> o1 AUTHENTICATE PLAIN " + plain("", string(box)+"%balorg", "s3cret"),
			"o1 OK [CAPABILITY IMAP4rev1 IDLE NAMESPACE]", "> o2 NAMESPACE", namespace, "o2 OK",
		}},
		{"a secret for each, a name of the server's", Options{
			Login: LoginSecret, Mailbox: mail.Address.Local,
			Secret: func(a mail.Address) (auth.Secret, error) { return auth.NewSecret("of " + string(a)), nil },
		}, script{
			"* OK [CAPABILITY SASL-IR AUTH=PLAIN]", "> o1 AUTHENTICATE PLAIN " + plain("", "urgences", "of "+string(box)),
			"o1 OK [CAPABILITY IMAP4rev1 IDLE NAMESPACE]", "> o2 NAMESPACE", namespace, "o2 OK",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scripted(t, test.opt, test.server)
			c, err := s.Open(t.Context(), Who{Address: box, Client: netip.MustParseAddrPort("192.0.2.7:4711")})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "* PREAUTH [CAPABILITY IMAP4REV1 IDLE NAMESPACE]") {
				t.Errorf("the stream begins with %q, %v", line, err)
			}
			if !reflect.DeepEqual(s.Capabilities(), []string{"IMAP4REV1", "IDLE", "NAMESPACE"}) {
				t.Errorf("capabilities %q", s.Capabilities())
			}
			if !reflect.DeepEqual(c.Names(), Names{Delimiter: '/'}) {
				t.Errorf("names %+v", c.Names())
			}
		})
	}
}

// packets plays a server that is given a chance to see what comes together: each of its steps is what it must find in one packet, and what
// it says to that.
func packets(t *testing.T, conn net.Conn, steps ...[2]string) {
	t.Helper()
	defer conn.Close()
	buf := make([]byte, 4<<10)
	for _, step := range steps {
		if step[0] != "" {
			n, err := conn.Read(buf)
			if err != nil || string(buf[:n]) != step[0] {
				t.Errorf("the gateway says %q (%v), want %q", buf[:n], err, step[0])
				return
			}
		}
		if _, err := io.WriteString(conn, step[1]); err != nil {
			return
		}
	}
	io.Copy(io.Discard, conn) // until the other side leaves
}

// TestLoginAtOnce: a server that is known is sent all of a log-in in one packet. One that loses what comes early is logged in to step by
// step, at once and from then on.
func TestLoginAtOnce(t *testing.T) {
	const (
		greeting  = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ID] ready\r\n"
		id        = "o1 ID (\"name\" \"balorg\")\r\n"
		in        = "o2 OK [CAPABILITY IMAP4rev1 NAMESPACE] in\r\n"
		namespace = "* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\no3 OK\r\n"
	)
	login := "o2 AUTHENTICATE PLAIN " + plain(string(box), "balorg", "s3cret") + "\r\n"
	stepwise := [][2]string{{"", greeting}, {id, "o1 OK\r\n"}, {login, in}, {"o3 NAMESPACE\r\n", namespace}}
	for _, test := range []struct {
		name  string
		conns [][][2]string // of each connection, what it is to see and to say
	}{
		{"a server as it should be", [][][2]string{
			{{"", greeting}, {id + login, "* ID NIL\r\no1 OK\r\n" + in}, {"o3 NAMESPACE\r\n", namespace}},
			{{"", greeting}, {id + login + "o3 NAMESPACE\r\n", "o1 OK\r\n* 0 RECENT\r\n" + in + namespace}},
		}},
		{"a server that tells its capabilities only when asked", [][][2]string{
			{{"", greeting}, {id + login, "o1 OK\r\n" + in}, {"o3 NAMESPACE\r\n", namespace}},
			{
				{"", greeting},
				{id + login + "o3 NAMESPACE\r\n", "o1 OK\r\no2 OK in\r\n" + namespace},
				{"o4 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 NAMESPACE\r\no4 OK\r\n"},
			},
		}},
		{"a server that loses what comes early", [][][2]string{
			{{"", greeting}, {id + login, "o1 OK\r\n* BYE\r\n"}},
			stepwise,
			stepwise,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			conns := test.conns
			s := New(Options{
				Addresses: []string{"mail.intern:143"}, Security: InsecureNone, Login: LoginAuthzid, User: "balorg", Password: auth.NewSecret("s3cret"),
				Dial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go packets(t, theirs, conns[0]...)
					conns = conns[1:]
					return ours, nil
				},
			})
			for range 2 {
				c, err := s.Open(t.Context(), Who{Address: box})
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(c.Names(), Names{Prefix: "INBOX.", Delimiter: '.'}) || !reflect.DeepEqual(s.Capabilities(), []string{"IMAP4REV1", "NAMESPACE"}) {
					t.Errorf("names %+v, capabilities %q", c.Names(), s.Capabilities())
				}
				c.Close()
			}
			if len(conns) > 0 {
				t.Errorf("%d connections were not made", len(conns))
			}
		})
	}
}

// TestHangAtOnce: a server that hangs costs one log-in more, and no third.
func TestHangAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialled := 0
		s := New(Options{
			Addresses: []string{"mail.intern:143"}, Security: InsecureNone, Login: LoginAuthzid,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				dialled++
				ours, theirs := net.Pipe()
				go packets(t, theirs, [2]string{"", "* OK [CAPABILITY SASL-IR AUTH=PLAIN ID]\r\n"})
				return ours, nil
			},
		})
		start := time.Now()
		if c, err := s.Open(t.Context(), Who{Address: box}); err == nil {
			c.Close()
			t.Error("it is open")
		}
		if took := time.Since(start); dialled != 2 || took != 2*loginTimeout {
			t.Errorf("%d connections, %v", dialled, took)
		}
	})
}

// TestFailures: what goes wrong is told without the credentials, and a refusal is told from a server that is down.
func TestFailures(t *testing.T) {
	const greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready"
	credentials := plain(string(box), "balorg", "s3cret")
	for _, test := range []struct {
		name    string
		server  script
		refused bool
	}{
		{"wrong credentials", script{greeting, "> o1 AUTHENTICATE PLAIN " + credentials, "o1 NO [AUTHENTICATIONFAILED] no"}, true},
		{"no mechanism", script{"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED]"}, true},
		{"a server that is busy", script{greeting, "> o1 AUTHENTICATE PLAIN " + credentials, "o1 NO [UNAVAILABLE] later"}, false},
		{"a server that leaves", script{greeting, "> o1 AUTHENTICATE PLAIN " + credentials, "* BYE"}, false},
		{"no IMAP", script{"220 mail ESMTP"}, false},
		{"a line without end", script{strings.Repeat("x", 2*maxLine)}, false},
		{"answers without end", append(script{greeting, "> o1 AUTHENTICATE PLAIN " + credentials}, strings.Split(strings.Repeat("* OK\n", maxLines), "\n")...), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			s := scripted(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, test.server)
			c, err := s.Open(t.Context(), Who{Address: box})
			if err == nil {
				c.Close()
				t.Fatal("it is open")
			}
			if errors.Is(err, ErrRefused) != test.refused {
				t.Errorf("refused: %v; %v", !test.refused, err)
			}
			for _, secret := range []string{"s3cret", credentials} {
				if strings.Contains(err.Error()+log.String(), secret) {
					t.Errorf("the credentials are in %q or the log", err)
				}
			}
			if len(s.slots) != 0 {
				t.Error("a connection that failed is still counted")
			}
		})
	}
}

// TestFailover: the next address is tried, and one that failed is left alone for longer and longer.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled []string
		up := map[string]bool{"b:143": true}
		s := New(Options{Addresses: []string{"a:143", "b:143"}, Security: InsecureNone, Login: LoginAuthzid, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			if !up[address] {
				return nil, errors.New("connection refused")
			}
			ours, theirs := net.Pipe()
			go func() {
				script{"* OK [CAPABILITY SASL-IR AUTH=PLAIN]", "> o1 AUTHENTICATE PLAIN " + plain(string(box), "", ""), "o1 OK [CAPABILITY IMAP4rev1]"}.play(t, theirs)
				theirs.Close()
			}()
			return ours, nil
		}})
		open := func(want string) {
			t.Helper()
			dialled = nil
			c, err := s.Open(t.Context(), Who{Address: box})
			if err == nil {
				c.Close()
			}
			if got := fmt.Sprint(dialled, err == nil); got != want {
				t.Errorf("dialled %s, want %s: %v", got, want, err)
			}
		}
		open("[a:143 b:143] true")
		open("[b:143] true") // a is left alone
		up["b:143"] = false
		open("[b:143] false")
		open("[] false") // both are: the answer takes no time
		<-time.After(2 * firstRest)
		open("[a:143 b:143] false")
		<-time.After(2 * firstRest)
		open("[] false") // longer than before
		up["a:143"] = true
		<-time.After(2 * maxRest)
		open("[a:143] true")
		open("[a:143] true")
	})
}

// TestConnectionLimit: who finds all connections taken waits a little, and gets one that is given back.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, Options{MaxConnections: 1}, script{
			"* OK [CAPABILITY SASL-IR AUTH=PLAIN]", "> o1 AUTHENTICATE PLAIN " + plain(string(box), "balorg", "s3cret"), "o1 OK [CAPABILITY IMAP4rev1]",
		})
		first, err := s.Open(t.Context(), Who{Address: box})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := s.Open(t.Context(), Who{Address: box}); err == nil || time.Since(start) != slotTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		time.AfterFunc(time.Second, func() { first.Close() })
		second, err := s.Open(t.Context(), Who{Address: box})
		if err != nil {
			t.Fatal(err)
		}
		second.Close()
		second.Close() // gives back once
		if len(s.slots) != 0 {
			t.Errorf("%d connections are counted", len(s.slots))
		}
	})
}

func TestParseNamespace(t *testing.T) {
	for text, want := range map[string]Names{
		`(("" "/")) NIL NIL`:                          {Delimiter: '/'},
		`(("INBOX." ".")) (("user." ".")) (("" "."))`: {"INBOX.", '.', []string{"user."}},
		`(("" "/")("#mh/" "/" "X-PARAM" ("FLAG1" "FLAG2"))) (("~" "/")) (("#shared/" "/")("" ""))`: {},
		`(("" NIL)) NIL NIL`: {Delimiter: '/'},
		`(("" "/")("#mh/" "/" "X-PARAM" ("FLAG1" "FLAG2"))) (("~" "/")) (("#shared/" "/"))`: {"", '/', []string{"#mh/", "~", "#shared/"}},
		`NIL NIL NIL`:          {},
		`(("" "/")) NIL`:       {},
		`(("" "/")) NIL NIL x`: {},
		`((`:                   {},
	} {
		got, err := parseNamespace(text)
		if want.Delimiter == 0 {
			if err == nil && got.Delimiter != 0 {
				t.Errorf("%s: %+v", text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

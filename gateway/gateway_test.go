package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/gateway"
	"balorg/gateway/control"
	"balorg/gateway/gatewaytest"
	"balorg/mail"
	"balorg/store"
	"balorg/store/audit"
)

// Local parts of the demo's accounts.
const (
	claire      = "claire.durand"
	noemie      = "noemie.martin"
	paul        = "paul.bernard"
	lea         = "lea.petit"
	sophie      = "sophie.moreau"
	secretariat = "secretariat"
	urgences    = "urgences"
)

func address(local string) mail.Address { return gatewaytest.Address(local) }

// dial answers a client that has not logged in.
func dial(t *testing.T, g *gatewaytest.Gateway) *imapclient.Client {
	t.Helper()
	c := imapclient.New(g.DialIMAPS(), nil)
	t.Cleanup(func() { c.Close() })
	return c
}

// login answers a client of a person, who opens what they open by default.
func login(t *testing.T, g *gatewaytest.Gateway, person string) *imapclient.Client {
	t.Helper()
	c := dial(t, g)
	if err := c.Login(string(address(person)), gatewaytest.Password(person)).Wait(); err != nil {
		t.Fatalf("logging in as %s: %v", person, err)
	}
	return c
}

// opened tells which mailbox the newest session of a person has opened.
func opened(g *gatewaytest.Gateway, person string) mail.Address {
	for _, s := range slices.Backward(g.Sessions()) {
		if s.Person == address(person) {
			return s.Mailbox
		}
	}
	return ""
}

func trace(t *testing.T, g *gatewaytest.Gateway, args gateway.AuditArgs) []audit.Record {
	t.Helper()
	var all []audit.Record
	err := g.Call(gateway.OpAuditList, args, func(v json.RawMessage) {
		var r audit.Record
		if err := json.Unmarshal(v, &r); err != nil {
			t.Error(err)
		}
		all = append(all, r)
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("the trace has %d records, %v", len(all), err)
	}
	return all
}

// wire is a client that sees the very lines.
type wire struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func rawLogin(t *testing.T, g *gatewaytest.Gateway, person, folder string) *wire {
	t.Helper()
	conn := g.DialIMAPS()
	w := &wire{t, conn, bufio.NewReader(conn)}
	w.until("* OK ")
	w.send("a LOGIN " + string(address(person)) + " " + gatewaytest.Password(person))
	w.until("a OK ")
	w.send("b SELECT " + folder)
	w.until("b OK ")
	return w
}

func (w *wire) send(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w, line+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
}

// until reads lines up to one that starts with prefix.
func (w *wire) until(prefix string) string {
	w.t.Helper()
	w.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		line, err := w.in.ReadString('\n')
		if strings.HasPrefix(line, prefix) {
			return strings.TrimRight(line, "\r\n")
		}
		if err != nil {
			w.t.Fatalf("waiting for %q: read %q, %v", prefix, line, err)
		}
	}
}

func TestEndSession(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	w := rawLogin(t, g, claire, "INBOX")
	sessions := g.Sessions()
	if len(sessions) != 1 || sessions[0].Protocol != "imap" || sessions[0].Client.String() != w.LocalAddr().String() {
		t.Fatalf("%+v", sessions)
	}
	if err := g.Call(gateway.OpEndSession, gateway.EndSessionArgs{ID: sessions[0].ID}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.until("* BYE"); got != "* BYE Ended by an administrator" {
		t.Errorf("told %q", got)
	}
	g.Eventually("the session's end", func() bool { return len(g.Sessions()) == 0 })
	if err := g.Call(gateway.OpEndSession, gateway.EndSessionArgs{ID: sessions[0].ID}, nil); err == nil {
		t.Error("a session was ended twice")
	}
}

func TestConnectionLimit(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + "imap: {max_connections_per_address: 2}\n"}, claire)
	for range 2 {
		login(t, g, claire)
	}
	conn, err := net.Dial("tcp", g.Listeners().IMAP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The limit is each service's: this is the first connection to the other one.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK ") {
		t.Errorf("%q, %v", line, err)
	}
	third, err := net.Dial("tcp", g.Listeners().IMAPS[0])
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if got, err := io.ReadAll(third); err != nil || string(got) != "* BYE Too many connections\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got := g.Metrics()[`balorg_gateway_connections_refused_total{service="imaps"}`]; got != 1 {
		t.Errorf("%v refused", got)
	}
}

// TestStop: sessions are told, and another daemon can take the state over, with all that is in it.
func TestStop(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	w := rawLogin(t, g, claire, "INBOX")
	w.send("c IDLE")
	w.until("+ ")
	a := rawLogin(t, g, claire, "INBOX")
	message := "Subject: hello\r\n\r\nworld\r\n"
	a.send(fmt.Sprintf("c APPEND INBOX {%d+}\r\n%s", len(message), message))
	if ok := a.until("c OK "); !strings.Contains(ok, "APPENDUID") {
		t.Errorf("answered %q", ok)
	}
	g.Stop()
	if got := w.until("* BYE "); got != "* BYE Server is shutting down" {
		t.Errorf("told %q", got)
	}
	if g.Status("/healthz") != 0 {
		t.Error("HTTP still answers")
	}
	if _, err := control.Dial(t.Context(), g.Dir+"/state"); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("the control socket: %v", err)
	}

	again := gatewaytest.Run(t, g.Dir)
	found := rawLogin(t, again, claire, "INBOX")
	found.send("c FETCH * BODY[TEXT]")
	if line := found.until("* "); !strings.Contains(line, "BODY[TEXT] {7}") {
		t.Errorf("fetched %q", line)
	}
	ends := trace(t, again, gateway.AuditArgs{Action: string(audit.SessionEnd)})
	if len(ends) != 2 {
		t.Errorf("%d ends of sessions in the trace", len(ends))
	}
}

// TestWithoutDaemon: operations on the state need none.
func TestWithoutDaemon(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	login(t, g, claire)
	g.Stop()
	caller, err := gateway.Connect(t.Context(), g.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	var report audit.Report
	err = caller.Call(t.Context(), gateway.OpAuditVerify, nil, func(v json.RawMessage) error { return json.Unmarshal(v, &report) })
	if err != nil || report.Broken != "" || report.Records == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := caller.Call(t.Context(), gateway.OpReload, gateway.ReloadArgs{}, nil); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("a reload of nobody: %v", err)
	}
	err = caller.Call(t.Context(), gateway.OpPassword, gateway.PasswordArgs{Address: address(claire), Password: "while it was down"}, nil)
	if err != nil {
		t.Error(err)
	}
	if err := caller.Close(); err != nil {
		t.Error(err)
	}
	again := gatewaytest.Run(t, g.Dir)
	if err := dial(t, again).Login(string(address(claire)), "while it was down").Wait(); err != nil {
		t.Error(err)
	}
}

// TestTwoGateways: a process may hold several, which share nothing.
func TestTwoGateways(t *testing.T) {
	one, two := gatewaytest.Start(t, nil, claire), gatewaytest.Start(t, nil, claire)
	login(t, one, claire)
	if n := len(two.Sessions()); n != 0 {
		t.Errorf("the other has %d sessions", n)
	}
	one.Stop()
	login(t, two, claire)
}

// TestStateInUse: a second daemon does not start, and the first does not notice.
func TestStateInUse(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	if _, err := gateway.New(gateway.Options{ConfigPath: g.Config, Output: io.Discard}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opening the state a second time: %v", err)
	}
	login(t, g, claire)
}

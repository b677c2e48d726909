package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/gateway/gatewaytest"
	"balorg/policy/session"
	"balorg/smtp"
	smtpwire "balorg/smtp/wire"
)

// mailbag is a smarthost that keeps what it is given.
type mailbag struct {
	mu   sync.Mutex
	got  []string // envelope, an empty line, octets
	addr string
}

func newMailbag(t *testing.T) *mailbag {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbag{addr: l.Addr().String()}
	server := smtp.New(smtp.Options{
		Services: map[smtp.Role]smtp.Service{smtp.Inbound: {NewHandler: func(*smtp.Client) smtp.Handler { return b }}},
		Sessions: &session.Table{}, Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Hostname: "bag.example",
	})
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { server.Serve(ctx, conn, smtp.Inbound) })
		}
	})
	t.Cleanup(func() {
		stop()
		l.Close()
		serving.Wait()
	})
	return b
}

// Mail implements smtp.Handler.
func (b *mailbag) Mail(context.Context, smtpwire.Sender) error { return nil }

// Rcpt implements smtp.Handler.
func (b *mailbag) Rcpt(context.Context, smtpwire.Recipient) error { return nil }

// Data implements smtp.Handler.
func (b *mailbag) Data(_ context.Context, env *smtpwire.Envelope, content io.Reader) ([]smtpwire.Reply, error) {
	octets, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, fmt.Sprintf("from <%s> to %v\n\n%s", env.From.Address, env.To[0].Address, octets))
	return []smtpwire.Reply{*smtpwire.NewReply(250, "2.0.0", "Ok")}, nil
}

func (b *mailbag) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// notifying is a balorg.yaml that notifies people through the mailbag.
func (b *mailbag) notifying(more string) string {
	return gatewaytest.Balorg + fmt.Sprintf("notifications: {from: Clinique <notifications@clinique.example>, link: \"https://mail.example/\", smarthost: %q, insecure_no_tls: true%s}\n", b.addr, more)
}

// secretText is what no notification may hold.
var secretText = []string{"Resultats", "Dupont", "hemoglobine", ".mssante.fr"}

// lmtp delivers a message that another operator sent to a mailbox.
func lmtp(t *testing.T, g *gatewaytest.Gateway, to, fields string) {
	t.Helper()
	conn, err := net.Dial("tcp", g.Listeners().LMTP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	expect := func(code string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, code) {
				t.Fatalf("%q, %v; want %s", line, err, code)
			}
			if line[3] == ' ' {
				return
			}
		}
	}
	const from = "dr.dupont@chu-exemple.mssante.fr"
	expect("220")
	for _, c := range [][2]string{
		{"LHLO client.example", "250"},
		{"MAIL FROM:<" + from + ">", "250"},
		{"RCPT TO:<" + to + ">", "250"},
		{"DATA", "354"},
		{"From: Dr Dupont <" + from + ">\r\nSubject: Resultats de M. Durand\r\n" + fields + "\r\nTaux d'hemoglobine\r\n.", "250"},
		{"QUIT", "221"},
	} {
		if _, err := fmt.Fprintf(conn, "%s\r\n", c[0]); err != nil {
			t.Fatal(err)
		}
		expect(c[1])
	}
}

// notice holds that the mailbag has so many notifications, of which the last is for Noémie, and answers it.
func (b *mailbag) notice(t *testing.T, g *gatewaytest.Gateway, n int) string {
	t.Helper()
	g.Eventually(fmt.Sprintf("notification %d", n), func() bool { return len(b.all()) >= n })
	all := b.all()
	if len(all) != n {
		t.Fatalf("%d notifications, want %d: %q", len(all), n, all)
	}
	last := all[n-1]
	if !strings.HasPrefix(last, "from <> to noemie.martin@example.net\n\n") || !strings.Contains(last, "\nAuto-Submitted: auto-generated\r\n") {
		t.Errorf("notification %q", last)
	}
	for _, secret := range secretText {
		if strings.Contains(strings.ToLower(last), strings.ToLower(secret)) {
			t.Errorf("a notification tells of %s: %q", secret, last)
		}
	}
	return last
}

// TestNotification: who wants to be told is told that a mailbox received something, and nothing else of it.
func TestNotification(t *testing.T) {
	b := newMailbag(t)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": b.notifying(", every: 2s")}, claire)
	to := string(address(secretariat))
	lmtp(t, g, to, "Auto-Submitted: auto-replied\r\n")
	lmtp(t, g, string(address(urgences)), "")
	lmtp(t, g, to, "")
	if text := b.notice(t, g, 1); !strings.Contains(text, "Un nouveau message est arriv") || !strings.Contains(text, "https://mail.example/") {
		t.Errorf("notification %q", text)
	}
	lmtp(t, g, to, "")
	if err := submit(t, g, claire, string(address(claire)), to); err != nil {
		t.Fatal(err)
	}
	if text := b.notice(t, g, 2); !strings.Contains(text, "2 nouveaux messages") {
		t.Errorf("coalesced: %q", text)
	}
	if strings.Contains(g.Log.String(), "noemie.martin@example.net") {
		t.Error("the log names a person's own address")
	}
	g.Edit("delegations.yaml", ", notify: true", "")
	g.Eventually("the reload", func() bool { return g.Metrics()["balorg_gateway_reloads_total"] == 1 })
	lmtp(t, g, to, "")
	g.Eventually("quiet", func() bool { return g.Metrics()[`balorg_smtp_queue_waiting_count`] == 0 })
	b.notice(t, g, 2)
}

// TestNoNotifications: without the section nothing is noted, and what was noted before is forgotten.
func TestNoNotifications(t *testing.T) {
	b := newMailbag(t)
	dir := gatewaytest.Folder(t, map[string]string{"balorg.yaml": b.notifying("")})
	g := gatewaytest.Run(t, dir)
	lmtp(t, g, string(address(secretariat)), "")
	b.notice(t, g, 1)
	lmtp(t, g, string(address(secretariat)), "")
	g.Stop()
	g.Write("balorg.yaml", gatewaytest.Balorg)
	g = gatewaytest.Run(t, dir)
	lmtp(t, g, string(address(secretariat)), "")
	g.Stop()
	g.Write("balorg.yaml", b.notifying(""))
	g = gatewaytest.Run(t, dir)
	lmtp(t, g, string(address(secretariat)), "")
	if text := b.notice(t, g, 2); !strings.Contains(text, "Un nouveau message") {
		t.Errorf("told of what came while nobody was to be told: %q", text)
	}
}

// TestTemplatesReload: a text that is changed is used from then on; a broken one is refused like any other file.
func TestTemplatesReload(t *testing.T) {
	b := newMailbag(t)
	dir := gatewaytest.Folder(t, map[string]string{"balorg.yaml": b.notifying(", templates: texts")})
	if err := os.Mkdir(filepath.Join(dir, "texts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "texts", "en.txt"), []byte("Subject: x\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := gatewaytest.Run(t, dir)
	g.Write("texts/fr.txt", "Subject: {{.Count}} pour {{.Nobody}}\n\nRien\n")
	g.Eventually("the refusal", func() bool { return g.Metrics()["balorg_gateway_reload_failed_bool"] == 1 })
	if _, err := g.Reload(t.Context(), false); err == nil || !strings.Contains(err.Error(), "texts/fr.txt:1:28: ") {
		t.Errorf("the refusal says %v", err)
	}
	g.Write("texts/fr.txt", "Subject: {{.Count}} pour vous\n\nRien\n")
	g.Eventually("the reload", func() bool { return g.Metrics()["balorg_gateway_reload_failed_bool"] == 0 })
	lmtp(t, g, string(address(secretariat)), "")
	if text := b.notice(t, g, 1); !strings.Contains(text, "\nSubject: 1 pour vous\r\n") {
		t.Errorf("notification %q", text)
	}
}

// TestNotificationsFrozen: the section takes a restart.
func TestNotificationsFrozen(t *testing.T) {
	b := newMailbag(t)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": b.notifying("") + "# a comment\n"})
	g.Write("balorg.yaml", "\n"+b.notifying(""))
	g.Eventually("a reload, as only places have changed", func() bool { return g.Metrics()["balorg_gateway_reloads_total"] == 1 })
	for _, section := range []string{"notifications", "relay"} {
		text := b.notifying(", every: 1h")
		if section == "relay" {
			text = b.notifying("") + "relay: {smarthost: \"127.0.0.1:1\"}\n"
		}
		g.Write("balorg.yaml", text)
		if _, err := g.Reload(t.Context(), false); err == nil || err.Error() != section+" has changed, which takes a restart" {
			t.Errorf("%s: %v", section, err)
		}
	}
}

// TestNotificationFromServer: a mailbox that lives on an IMAP server, here another gateway, is watched, also over a restart of ours.
func TestNotificationFromServer(t *testing.T) {
	b := newMailbag(t)
	hospital := gatewaytest.Start(t, nil, claire)
	to := string(address(secretariat))
	lmtp(t, hospital, to, "")
	files := gatewaytest.Files(t)
	accounts := strings.ReplaceAll(files["accounts.yaml"], "    kind:", "    mailstore: local\n    kind:")
	accounts = strings.Replace(accounts, "- address: "+to+"\n    mailstore: local", "- address: "+to+"\n    mailstore: hospital", 1)
	dir := gatewaytest.Folder(t, map[string]string{
		"accounts.yaml": accounts, "password": gatewaytest.Password(claire) + "\n", "hospital-ca.pem": hospital.Read("tls/ca.pem"),
		"balorg.yaml": b.notifying(", every: 1s") + fmt.Sprintf("mailstores:\n  local: {type: embedded}\n  hospital: {type: imap, addresses: %q, ca: hospital-ca.pem, server_name: localhost, user: %s, password_file: password}\n",
			hospital.Listeners().IMAPS[0], address(claire)),
	})
	g := gatewaytest.Run(t, dir)
	idle := func() bool { return g.Metrics()[`balorg_gateway_watched_mailboxes_count{mode="idle"}`] == 1 }
	g.Eventually("IDLE", idle)
	lmtp(t, hospital, to, "")
	if text := b.notice(t, g, 1); !strings.Contains(text, "Un nouveau message") {
		t.Errorf("notification %q", text)
	}
	lmtp(t, hospital, to, "Precedence: bulk\r\n")
	g.Stop()
	lmtp(t, hospital, to, "")
	lmtp(t, hospital, to, "List-Id: <x.example>\r\n")
	lmtp(t, hospital, to, "")
	g = gatewaytest.Run(t, dir)
	if text := b.notice(t, g, 2); !strings.Contains(text, "2 nouveaux messages") {
		t.Errorf("after a restart: %q", text)
	}
	g.Eventually("IDLE", idle)
	g.Edit("delegations.yaml", ", notify: true", "")
	g.Eventually("the end of watching", func() bool { return !idle() })
}

package gateway_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/policy"
)

// browser is one that trusts the gateway.
type browser struct {
	t    *testing.T
	http *http.Client
	at   string
}

func newBrowser(t *testing.T, g *gatewaytest.Gateway) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.Roots()}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Transport: transport, Jar: jar}, "https://" + g.Listeners().HTTPS[0]}
}

func (b *browser) read(resp *http.Response, err error) (where, body string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.Request.URL.Path, string(content)
}

func (b *browser) get(path string) (where, body string) {
	b.t.Helper()
	return b.read(b.http.Get(b.at + path))
}

func (b *browser) send(path string, form url.Values) (where, body string) {
	b.t.Helper()
	return b.read(b.http.PostForm(b.at+path, form))
}

// csrf is the token of a page's forms.
func (b *browser) csrf(path string) string {
	b.t.Helper()
	_, body := b.get(path)
	_, rest, _ := strings.Cut(body, `name="csrf" value="`)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok {
		b.t.Fatalf("%s has no form:\n%s", path, body)
	}
	return token
}

func (b *browser) logIn(local string) (where string) {
	b.t.Helper()
	where, _ = b.send("/login", url.Values{"user": {string(address(local))}, "password": {gatewaytest.Password(local)}})
	return where
}

// TestPortalLogin: with the passwords of everything else, until the password is changed.
func TestPortalLogin(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	b := newBrowser(t, g)
	if where := b.logIn(secretariat); where != "/login" {
		t.Errorf("the secretariat is at %s", where)
	}
	if where := b.logIn(claire); where != "/" {
		t.Fatalf("Claire is at %s", where)
	}
	if all := g.Sessions(); len(all) != 1 || all[0].Protocol != "portal" {
		t.Errorf("sessions: %+v", all)
	}
	g.SetPassword(address(claire), "another-password")
	if where, _ := b.get("/"); where != "/login" {
		t.Errorf("after the change she is at %s", where)
	}
	if got := g.Metrics()[`balorg_gateway_portal_logins_total{outcome="refused"}`]; got != 1 {
		t.Errorf("%v refusals counted", got)
	}
}

// TestPortalStops: a browser that keeps its connection open does not hold up the end.
func TestPortalStops(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	newBrowser(t, g).get("/login")
	g.Stop()
	if strings.Contains(g.Log.String(), "cutting connections") {
		t.Error("the connection was cut")
	}
}

// TestPortalDefault: what is chosen on the page is what the next log-in opens, and the red list hides at once.
func TestPortalDefault(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire, noemie)
	mine := string(address(claire))
	if err := submit(t, g, claire, mine, mine, mine); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, g)
	b.logIn(claire)
	if _, body := b.get("/"); !strings.Contains(body, "<strong>1</strong>") {
		t.Errorf("the page does not tell of the unread message:\n%s", body)
	}
	login(t, g, claire)
	if got := opened(g, claire); got != address(claire) {
		t.Fatalf("opens %s", got)
	}
	b.send("/choices", url.Values{"csrf": {b.csrf("/")}, "default": {string(address(urgences))}})
	conn := login(t, g, claire)
	if err := conn.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	all := g.Sessions()
	if got := all[len(all)-1]; got.Protocol != "imap" || got.Mailbox != address(urgences) {
		t.Errorf("the next log-in opens %s", got.Mailbox)
	}
	b.send("/redlist", url.Values{"csrf": {b.csrf("/")}, "hidden": {"yes"}})
	if _, body := b.get("/"); !strings.Contains(body, "à votre demande") {
		t.Error("she is not on the red list")
	}
	var answer policy.Explanation
	err := g.Call(gateway.OpExplain, policy.Question{Person: address(noemie), See: address(claire)}, func(v json.RawMessage) {
		if err := json.Unmarshal(v, &answer); err != nil {
			t.Error(err)
		}
	})
	if err != nil || !strings.Contains(fmt.Sprint(answer), "by their own wish") {
		t.Errorf("explained: %+v, %v", answer, err)
	}
}

// TestPortalDevice: a token made on the page logs in over the protocol it is for and no other, never to the portal, and not once it is revoked.
func TestPortalDevice(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	b := newBrowser(t, g)
	b.logIn(claire)
	_, body := b.send("/devices", url.Values{
		"csrf": {b.csrf("/devices")}, "name": {"scanner"}, "scope": {"smtp"}, "mailbox": {string(address(secretariat))},
	})
	_, rest, _ := strings.Cut(body, "<code tabindex=\"0\">")
	secret, _, ok := strings.Cut(rest, "<")
	if !ok || !strings.HasPrefix(secret, "bal-") {
		t.Fatalf("no token in\n%s", body)
	}
	if _, err := tokenSMTP(t, g, string(address(claire)), secret); err != nil {
		t.Errorf("over SMTP: %v", err)
	}
	if _, err := tokenIMAP(t, g, string(address(claire)), secret); err == nil {
		t.Error("a token for SMTP logs in over IMAP")
	}
	stranger := newBrowser(t, g)
	if where, _ := stranger.send("/login", url.Values{"user": {string(address(claire))}, "password": {secret}}); where != "/login" {
		t.Errorf("a token opens %s of the portal", where)
	}
	_, body = b.get("/devices")
	_, rest, _ = strings.Cut(body, `name="id" value="`)
	id, _, _ := strings.Cut(rest, `"`)
	b.send("/devices/revoke", url.Values{"csrf": {b.csrf("/devices")}, "id": {id}})
	if _, err := tokenSMTP(t, g, string(address(claire)), secret); err == nil {
		t.Error("a revoked token logs in")
	}
}

// TestPortalPassword: the password that is chosen on the page is the one that holds everywhere.
func TestPortalPassword(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	b := newBrowser(t, g)
	b.logIn(claire)
	next := "trois mots choisis"
	where, _ := b.send("/password", url.Values{"csrf": {b.csrf("/password")}, "former": {gatewaytest.Password(claire)}, "next": {next}, "again": {next}})
	if where != "/password" {
		t.Fatalf("at %s", where)
	}
	if where, _ := b.get("/history"); where != "/history" {
		t.Errorf("the browser is at %s", where)
	}
	c := dial(t, g)
	if err := c.Login(string(address(claire)), gatewaytest.Password(claire)).Wait(); err == nil {
		t.Error("the old password logs in")
	}
	if err := dial(t, g).Login(string(address(claire)), next).Wait(); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if _, body := b.get("/history"); !strings.Contains(body, "connexion") {
		t.Errorf("the history does not tell of log-ins:\n%s", body)
	}
	if strings.Contains(g.Log.String(), next) {
		t.Error("the password is in the log")
	}
}

// TestPortalAutoconfig: programs are told the ports that are listened on.
func TestPortalAutoconfig(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	_, body := newBrowser(t, g).get("/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=" + string(address(claire)))
	for _, at := range []string{g.Listeners().IMAPS[0], g.Listeners().Submissions[0]} {
		_, port, _ := strings.Cut(at, ":")
		if !strings.Contains(body, "<port>"+port+"</port>") {
			t.Errorf("port %s is not told:\n%s", port, body)
		}
	}
	if strings.Contains(body, "STARTTLS") {
		t.Error("programs are sent to STARTTLS where there is TLS from the first octet")
	}
}

// TestPortalAdmin: an administrator sees what the daemon has, and the files as they are on the disk.
func TestPortalAdmin(t *testing.T) {
	files := map[string]string{"balorg.yaml": gatewaytest.Balorg + "relay: {smarthost: \"127.0.0.1:1\"}\n"}
	g := gatewaytest.Start(t, files, claire, sophie)
	mine := string(address(claire))
	if err := submit(t, g, claire, mine, mine, "a@chu-exemple.mssante.fr"); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, g)
	b.logIn(sophie)
	if _, body := b.get("/admin/comptes.csv?q=durand"); strings.Count(body, "\n") != 2 || !strings.Contains(body, "claire.durand@clinique-des-sapins.fr;") {
		t.Errorf("exported:\n%s", body)
	}
	g.Edit("accounts.yaml", "kind: org", "kind: organisation")
	for path, want := range map[string]string{
		"/admin": "lea.petit@", "/admin/queue": "a@chu-exemple.mssante.fr", "/admin/sessions": "portal", "/admin/files": "is not a kind of account", "/admin/delegations": "on-behalf",
	} {
		if where, body := b.get(path); where != path || !strings.Contains(body, want) {
			t.Errorf("%s, at %s, lacks %q:\n%s", path, where, want, body)
		}
	}
}

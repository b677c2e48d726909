package gateway_test

import (
	"encoding/json"
	"io"
	"mime/quotedprintable"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/policy"
)

// marc is preregistered, and has an ordinary address.
const (
	marc     = "marc.roux"
	marcs    = "state: preregistered"
	notified = "notify: marc.roux@example.net\n    state: preregistered"
)

var activationLink = regexp.MustCompile(`https://\S+/activation/\S+`)

// mailedLink is the path of the link in the last letter of the bag.
func mailedLink(t *testing.T, g *gatewaytest.Gateway, b *mailbag, n int) string {
	t.Helper()
	g.Eventually("the letter", func() bool { return len(b.all()) >= n })
	letter := b.all()[n-1]
	head, body, _ := strings.Cut(letter, "\r\n\r\n")
	if !strings.HasPrefix(head, "from <> to marc.roux@example.net\n\n") || !strings.Contains(head, "\nAuto-Submitted: auto-generated\r\n") {
		t.Errorf("the letter begins %q", head)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(activationLink.FindString(string(text)))
	if err != nil || link.Path == "" {
		t.Fatalf("the letter has no link: %s, %v", text, err)
	}
	return link.Path
}

func accountState(t *testing.T, g *gatewaytest.Gateway, local string) (e gateway.AccountEntry) {
	t.Helper()
	err := g.Call(gateway.OpAccountList, gateway.AccountsArgs{Address: address(local)}, func(v json.RawMessage) {
		if err := json.Unmarshal(v, &e); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestActivation: from the mailed link to the first login; once, with a password that is fit, and until the file says something else.
func TestActivation(t *testing.T) {
	b := newMailbag(t)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": b.notifying("")})
	g.Edit("accounts.yaml", marcs, notified)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	invite := func(n int) string {
		t.Helper()
		if err := g.Call(gateway.OpInvite, gateway.InviteArgs{Address: address(marc)}, nil); err != nil {
			t.Fatal(err)
		}
		return mailedLink(t, g, b, n)
	}
	former, link := invite(1), invite(2)
	page := newBrowser(t, g)
	choose := func(link, password string) (where, body string) {
		t.Helper()
		return page.send(link, url.Values{"next": {password}, "again": {password}})
	}
	page.get(link) // looking uses nothing up
	for what, try := range map[string][2]string{
		"a former link":   {former, gatewaytest.Password(marc)},
		"another link":    {"/activation/AAAAAAAAAAAAAAAAAAAAAAAAAA", gatewaytest.Password(marc)},
		"a weak password": {link, "short"},
	} {
		if where, _ := choose(try[0], try[1]); where == "/login" {
			t.Errorf("%s activates", what)
		}
	}
	if where, body := choose(link, gatewaytest.Password(marc)); where != "/login" {
		t.Fatalf("the link leads to %s: %s", where, body)
	}
	if where := page.logIn(marc); where != "/" {
		t.Errorf("logged in at %s", where)
	}
	if e := accountState(t, g, marc); e.State != string(policy.Active) {
		t.Errorf("the account is %s", e.State)
	}
	if where, _ := choose(link, "another long password"); where == "/login" {
		t.Error("the link works twice")
	}
	if err := g.Call(gateway.OpInvite, gateway.InviteArgs{Address: address(marc)}, nil); err == nil || !strings.Contains(err.Error(), "has a password already") {
		t.Errorf("invited again: %v", err)
	}
	for _, secret := range []string{strings.TrimPrefix(link, "/activation/"), strings.TrimPrefix(former, "/activation/"), "marc.roux@example.net"} {
		if strings.Contains(g.Log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	// The administrator has the last word: what was activated does not come back with the file's old value.
	for _, edit := range [][2]string{{marcs, "state: suspended"}, {"state: suspended", marcs}} {
		g.Edit("accounts.yaml", edit[0], edit[1])
		if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if e := accountState(t, g, marc); e.State != string(policy.Preregistered) {
		t.Errorf("the account is %s", e.State)
	}
}

// TestRemind: who is preregistered gets a new link, and it is told when they had the last.
func TestRemind(t *testing.T) {
	b := newMailbag(t)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": b.notifying("")})
	g.Edit("accounts.yaml", marcs, notified)
	g.Edit("accounts.yaml", "admin: true", "state: preregistered")
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	remind := func(look bool) map[string]gateway.Reminded {
		t.Helper()
		all := map[string]gateway.Reminded{}
		err := g.Call(gateway.OpRemind, gateway.RemindArgs{Look: look}, func(v json.RawMessage) {
			var r gateway.Reminded
			if err := json.Unmarshal(v, &r); err != nil {
				t.Fatal(err)
			}
			all[r.Address.Local()] = r
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := remind(false)
	if r := first[marc]; len(first) != 2 || r.SentTo != "marc.roux@example.net" || !r.Last.IsZero() {
		t.Errorf("first: %+v", first)
	}
	if r := first["sophie.moreau"]; r.SentTo != "" || r.Why != "the account has no ordinary address (notify)" {
		t.Errorf("without an address: %+v", r)
	}
	mailedLink(t, g, b, 1)
	if r := remind(true)[marc]; r.SentTo != "" || r.Last.IsZero() {
		t.Errorf("look: %+v", r)
	}
	if n := len(b.all()); n != 1 {
		t.Errorf("%d letters", n)
	}
}

// TestOwnLetters: an administrator's texts invite and remind; a reminder is sent to who was invited before.
func TestOwnLetters(t *testing.T) {
	b := newMailbag(t)
	dir := gatewaytest.Folder(t, map[string]string{"balorg.yaml": b.notifying(", templates: texts")})
	if err := os.Mkdir(filepath.Join(dir, "texts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"invitation.fr.txt": "Subject: Bienvenue {{.Name}}\n\n{{.Link}}\n", "reminder.fr.txt": "Subject: Encore vous, {{.Name}}\n\n{{.Link}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "texts", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := gatewaytest.Run(t, dir)
	g.Edit("accounts.yaml", marcs, notified)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Subject: Bienvenue M. Marc Roux", "Subject: Encore vous, M. Marc Roux"} {
		if err := g.Call(gateway.OpRemind, gateway.RemindArgs{}, nil); err != nil {
			t.Fatal(err)
		}
		mailedLink(t, g, b, i+1)
		if letter := b.all()[i]; !strings.Contains(letter, "\r\n"+want+"\r\n") {
			t.Errorf("letter %d: %s", i, letter)
		}
	}
}

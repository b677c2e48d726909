package gateway_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/policy/auth"
)

// everybody may log in.
func everybody() []string { return []string{claire, noemie, paul, lea, sophie} }

// giveaways are what tells of somebody.
func giveaways(local string) []string {
	return map[string][]string{
		noemie: {"noemie", "Noémie", "Martin"},
		lea:    {"lea.petit", "Léa", "Petit", "319100015"},
	}[local]
}

var pageLink = regexp.MustCompile(`(?:href|action|src)="(/[^"#]*)"`)

// crawl answers every page that links lead a browser to, and that may be guessed, by address.
func (b *browser) crawl(more ...string) map[string]string {
	b.t.Helper()
	pages := map[string]string{}
	for todo := append([]string{"/"}, more...); len(todo) > 0; todo = todo[1:] {
		path := strings.ReplaceAll(todo[0], "&amp;", "&")
		if _, seen := pages[path]; seen || path == "/logout" {
			continue
		}
		_, pages[path] = b.get(path)
		for _, found := range pageLink.FindAllStringSubmatch(pages[path], -1) {
			todo = append(todo, found[1])
		}
	}
	return pages
}

// TestRedListedAreInvisible: whoever is on the red list stands in no page, file or answer of anybody who is no administrator, but for themselves and, in the
// history, those who manage the mailbox they work in.
func TestRedListedAreInvisible(t *testing.T) {
	g := gatewaytest.Start(t, nil, everybody()...)
	service := string(address(secretariat))
	if err := submit(t, g, noemie, string(address(noemie)), service, string(address(paul))); err != nil {
		t.Fatal(err)
	}
	guesses := []string{"/history", "/setup", "/devices", "/password", "/messagerie.mobileconfig", "/admin", "/admin/delegations", "/admin/sessions", "/admin/queue", "/admin/comptes.csv", "/admin/comptes.xlsx"}
	for _, box := range []string{claire, noemie, paul, lea, secretariat, urgences} {
		guesses = append(guesses, "/history?days=90&mailbox="+url.QueryEscape(string(address(box))))
	}
	visible := 0
	for _, viewer := range []string{claire, noemie, paul, lea} {
		b := newBrowser(t, g)
		b.logIn(viewer)
		pages := b.crawl(guesses...)
		if len(pages) < len(guesses) {
			t.Errorf("%s sees only %d pages", viewer, len(pages))
		}
		for path, body := range pages {
			works := viewer == claire && strings.HasPrefix(path, "/history") && strings.Contains(path, "mailbox="+url.QueryEscape(service))
			for _, listed := range []string{noemie, lea} {
				for _, word := range giveaways(listed) {
					shown := viewer != listed && strings.Contains(body, word)
					switch {
					case shown && works && listed == noemie:
						visible++
					case shown:
						t.Errorf("%s, who is %s, is told %q", path, viewer, word)
					}
				}
			}
		}
	}
	if visible == 0 {
		t.Error("who manages the secretariat does not see who works in it")
	}
	// Nobody who is not logged in learns more of them than of nobody at all.
	b := newBrowser(t, g)
	for _, path := range []string{"/mail/config-v1.1.xml?emailaddress=%s", "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=%s", "/history?mailbox=%s"} {
		ask := func(local string) string {
			where, body := b.get(fmt.Sprintf(path, url.QueryEscape(string(address(local)))))
			return where + strings.ReplaceAll(body, local, "WHO")
		}
		if a, b := ask(lea), ask("nobody.here"); a != b {
			t.Errorf("%s: %s\nand of nobody: %s", path, a, b)
		}
	}
}

// TestTokensOpenNoPage: neither a device's token, of whatever scopes, nor an access token, nor anything but the cookie of a session opens a page or changes what
// one logs in with.
func TestTokensOpenNoPage(t *testing.T) {
	g, p := withProvider(t, "")
	g.SetPassword(address(claire), gatewaytest.Password(claire))
	secrets := map[string]string{"an access token": claireToken(p)}
	for _, scopes := range [][]string{nil, {"imap"}, {"smtp"}, {"ldap"}} {
		secrets["a token for "+fmt.Sprint(scopes)] = newToken(t, g, gateway.TokenArgs{Person: address(claire), Name: fmt.Sprint(scopes), Scopes: scopes}).Secret
	}
	paths := []string{"/", "/password", "/devices", "/history", "/setup", "/messagerie.mobileconfig", "/admin", "/admin/comptes.csv"}
	for what, secret := range secrets {
		b := newBrowser(t, g)
		if where, _ := b.send("/login", url.Values{"user": {string(address(claire))}, "password": {secret}}); where != "/login" || b.secretOf() != "" {
			t.Errorf("%s logs in to the portal", what)
		}
		for _, path := range paths {
			for how, set := range map[string]func(*http.Request){
				"Basic":  func(r *http.Request) { r.SetBasicAuth(string(address(claire)), secret) },
				"Bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
				"cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-balorg", Value: secret}) },
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.at+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				set(req)
				if where, _ := b.read(b.http.Do(req)); where != "/login" {
					t.Errorf("%s as %s: at %s", what, how, where)
				}
			}
		}
		// Nor is it the old password of anybody who wants to choose a new one.
		in := newBrowser(t, g)
		in.logIn(claire)
		in.send("/password", url.Values{"csrf": {in.csrf("/password")}, "former": {secret}, "next": {"une phrase toute neuve"}, "again": {"une phrase toute neuve"}})
		if where := newBrowser(t, g).logIn(claire); where != "/" {
			t.Fatalf("%s has changed the password", what)
		}
	}
	if sessions := g.Sessions(); slices.ContainsFunc(everyMeans(g), func(m string) bool { return m == "token" || m == "oauth" }) {
		t.Errorf("sessions %+v", sessions)
	}
}

// everyMeans are by what live sessions of the portal were opened.
func everyMeans(g *gatewaytest.Gateway) (all []string) {
	for _, s := range g.Sessions() {
		if s.Protocol == "portal" {
			all = append(all, string(s.Method))
		}
	}
	return all
}

// TestGuessing: what is nearly a device's token, a session's cookie or an activation link is none, and who goes on guessing is not looked at any more.
func TestGuessing(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	secret := newToken(t, g, gateway.TokenArgs{Person: address(claire), Name: "phone"}).Secret
	near := func(s string) []string {
		last := map[bool]string{true: "1", false: "0"}[strings.HasSuffix(s, "0")]
		return []string{s[:len(s)-1], s + "0", s[:len(s)-1] + last, s[1:], strings.Repeat("0", len(s)), s + s}
	}
	user := string(address(claire))
	for _, guess := range near(secret) {
		if _, err := tokenSMTP(t, g, user, guess); err == nil {
			t.Errorf("%q instead of %q", guess, secret)
		}
	}
	b := newBrowser(t, g)
	b.logIn(claire)
	cookie := b.secretOf()
	for _, guess := range append(near(cookie), "", "*", strings.ToLower(cookie)) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(b.at)
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(at, []*http.Cookie{{Name: "__Host-balorg", Value: guess, Path: "/", Secure: true}})
		other := &browser{t, &http.Client{Transport: b.http.Transport, Jar: jar}, b.at}
		if where, _ := other.get("/"); where != "/login" {
			t.Errorf("a cookie of %q instead of %q", guess, cookie)
		}
	}
	var invited gateway.Invited
	err := g.Call(gateway.OpInvite, gateway.InviteArgs{Address: address(marc), Print: true}, func(raw json.RawMessage) {
		if err := json.Unmarshal(raw, &invited); err != nil {
			t.Error(err)
		}
	})
	_, link, ok := strings.Cut(invited.Link, "/activation/")
	if err != nil || !ok {
		t.Fatalf("invited: %+v, %v", invited, err)
	}
	for _, guess := range near(link) {
		where, _ := b.send("/activation/"+guess, url.Values{"next": {"une phrase toute neuve"}, "again": {"une phrase toute neuve"}})
		if where == "/login" {
			t.Errorf("a link with %q instead of %q", guess, link)
		}
	}
	throttled := false
	for range 40 {
		made, _ := auth.NewToken()
		_, err := tokenSMTP(t, g, user, made.Reveal())
		if err == nil {
			t.Fatal("a token was guessed")
		}
		throttled = throttled || strings.HasPrefix(err.Error(), "454")
	}
	if !throttled {
		t.Error("forty guesses were all looked at")
	}
	if _, err := tokenSMTP(t, g, user, secret); err != nil {
		t.Errorf("guessing keeps the device out: %v", err)
	}
}

// TestUnknownAccountsTakeAsLong: how long a refusal takes tells nobody which accounts there are.
func TestUnknownAccountsTakeAsLong(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{
		"balorg.yaml": gatewaytest.Balorg + "authentication: {failures_per_minute: 1000, network_failures_per_minute: 10000, account_failures_per_minute: 10000}\n",
	}, claire, lea)
	b := newBrowser(t, g)
	who := []string{"nobody.here", claire, lea, secretariat, marc, imagerie}
	const rounds = 11
	least := map[string]time.Duration{} // what the work takes; the rest is the machine, which is busy with other tests
	for round := range rounds {
		for _, local := range who {
			began := time.Now()
			if where, _ := b.send("/login", url.Values{"user": {string(address(local))}, "password": {fmt.Sprintf("wrong password %d", round)}}); where != "/login" {
				t.Fatalf("%s logs in", local)
			}
			if took := time.Since(began); round == 0 || took < least[local] {
				least[local] = took
			}
		}
	}
	// A refusal without the work would take a tenth. That it is the same work, policy/auth's own test holds.
	unknown := least[who[0]]
	for _, local := range who[1:] {
		if known := least[local]; known > 3*unknown || unknown > 3*known {
			t.Errorf("%s takes %v, nobody %v", local, known, unknown)
		}
	}
}

// TestNamesAreOneName: whatever a name holds, it is one display name of one address, in mail that leaves and in letters, and no formula in an export.
func TestNamesAreOneName(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire, sophie)
	b := newBrowser(t, g)
	b.logIn(sophie)
	mine := string(address(claire))
	before := "nom: Durand"
	for i, nom := range []string{
		`Durand" <x@evil.example>, "y`, `=?utf-8?q?Durand=0D=0ABcc:_x@evil.example?=`, `=HYPERLINK(1)`, `+33`, `-1+1`, `@SUM(A1)`, `Durand;"<>(),:@[]\`, `Durand <x@evil.example>`, `Étoile ★`,
	} {
		after := "nom: '" + nom + "'"
		g.Edit("accounts.yaml", before, after)
		before = after
		if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
			t.Fatalf("%s: %v", nom, err)
		}
		if err := submit(t, g, claire, mine, mine, mine); err != nil {
			t.Fatalf("%s: %v", nom, err)
		}
		c := dial(t, g)
		if err := c.Login(mine+"*"+mine, gatewaytest.Password(claire)).Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		section := &imap.FetchItemBodySection{Peek: true}
		got, err := c.Fetch(imap.SeqSetNum(uint32(i+1)), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d messages, %v", nom, len(got), err)
		}
		m, err := netmail.ReadMessage(strings.NewReader(string(got[0].FindBodySection(section))))
		if err != nil {
			t.Fatal(err)
		}
		from, err := m.Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != "claire.durand@sapins.mssante.fr" || from[0].Name != "Dr Claire "+nom {
			t.Errorf("%s: From: %q is %v, %v", nom, m.Header["From"], from, err)
		}
		if m.Header.Get("Bcc") != "" {
			t.Errorf("%s: a field of its own: %v", nom, m.Header)
		}
		c.Close()
		_, table := b.get("/admin/comptes.csv?q=claire.durand")
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(table, "\ufeff")))
		r.Comma = ';'
		rows, err := r.ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%s: %d rows, %v\n%s", nom, len(rows), err, table)
		}
		for _, cell := range rows[1] {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("%s: a program may run the cell %q", nom, cell)
			}
		}
	}
	for _, nom := range []string{`Durand\r\nBcc: x@evil.example`, `Durand\nBcc: x`, `Durand\u2028x`, `Durand\0`} {
		good := g.Read("accounts.yaml")
		g.Write("accounts.yaml", strings.Replace(good, before, `nom: "`+nom+`"`, 1))
		if _, err := g.Reload(t.Context(), false); err == nil || !strings.Contains(err.Error(), "the text holds the control character") {
			t.Errorf("%s: %v", nom, err)
		}
		g.Write("accounts.yaml", good)
	}
}

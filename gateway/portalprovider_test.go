package gateway_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/policy/auth/authtest"
	"balorg/store/audit"
)

// withPortalProvider runs a gateway to whose portal people log in at a real OpenID provider, and answers a browser that trusts both.
func withPortalProvider(t *testing.T) (*gatewaytest.Gateway, *authtest.Provider, *browser) {
	t.Helper()
	p := authtest.Start(t)
	section := fmt.Sprintf("authentication:\n  oidc:\n    issuer: %s\n    ca: provider.pem\n    acr: [eidas2]\n"+
		"    portal: {client: balorg, secret_file: portal-secret, name: Pro Santé Connect}\n", p.Issuer)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + section, "provider.pem": p.CA(), "portal-secret": "s3cret\n"}, claire)
	b := newBrowser(t, g)
	roots := g.Roots().Clone()
	roots.AppendCertsFromPEM([]byte(p.CA()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	b.http.Transport = transport
	b.at = strings.Replace(b.at, "127.0.0.1", "localhost", 1) // as links have it, and so cookies
	p.Register("balorg", "s3cret", b.at+"/login/return")
	p.Person(authtest.Claims{More: map[string]any{"acr": "eidas2", "SubjectNameID": "810003456786"}})
	return g, p, b
}

// secretOf is the cookie of a browser's session.
func (b *browser) secretOf() string {
	at, err := url.Parse(b.at)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(at) {
		if c.Name == "__Host-balorg" {
			return c.Value
		}
	}
	return ""
}

// TestPortalAtAProvider: a button on the page, the way there and back, a session of the person's, and out again.
func TestPortalAtAProvider(t *testing.T) {
	g, p, b := withPortalProvider(t)
	_, page := b.get("/login")
	if !strings.Contains(page, `<a class="button" href="/login/provider">Se connecter avec Pro Santé Connect</a>`) {
		t.Errorf("no button:\n%s", page)
	}
	where, page := b.get("/login/provider")
	if where != "/login/return" || !strings.Contains(page, "Vous êtes connecté") {
		t.Fatalf("back at %s:\n%s", where, page)
	}
	if where, page = b.get("/"); where != "/" || !strings.Contains(page, "Claire") {
		t.Fatalf("then at %s:\n%s", where, page)
	}
	if all := g.Sessions(); len(all) != 1 || all[0].Person != address(claire) || all[0].Until.IsZero() {
		t.Errorf("sessions %+v", all)
	}
	if last := trace(t, g, gateway.AuditArgs{Action: string(audit.Login)}); len(last) != 1 || last[0].Means != `oauth "balorg"` || last[0].Protocol != "portal" {
		t.Errorf("traced %+v", last)
	}
	where, page = b.send("/logout", url.Values{"csrf": {b.csrf("/")}})
	if where != "/login" || !strings.Contains(page, p.Issuer+"/end_session?") || !strings.Contains(page, "Se déconnecter aussi de Pro Santé Connect") {
		t.Errorf("logged out at %s:\n%s", where, page)
	}
	if len(g.Sessions()) != 0 || b.secretOf() != "" {
		t.Error("the session goes on")
	}
	p.Person(authtest.Claims{More: map[string]any{"acr": "eidas2", "SubjectNameID": "899999999999"}})
	if where, page = b.get("/login/provider"); where != "/login/return" || !strings.Contains(page, "n’ouvre aucun compte ici") || strings.Contains(page, "899999999999") {
		t.Errorf("somebody else at %s:\n%s", where, page)
	}
	for _, secret := range []string{"s3cret", "code="} {
		if strings.Contains(g.Log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// TestPortalProviderIsNoTrap: nobody is logged in as another, kept in a session that somebody else knows, or sent elsewhere.
func TestPortalProviderIsNoTrap(t *testing.T) {
	g, p, b := withPortalProvider(t)
	stop := *b.http
	var codes []string
	stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/login/return" {
			codes = append(codes, r.URL.RequestURI())
			return http.ErrUseLastResponse
		}
		return nil
	}
	departed := &browser{t, &stop, b.at}
	departed.get("/login/provider?next=https://evil.example.org")
	if len(codes) != 1 {
		t.Fatalf("came back %q", codes)
	}
	// The way back of one browser, taken by another: that of a victim.
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	victim := &browser{t, &http.Client{Transport: b.http.Transport, Jar: jar}, b.at}
	if _, page := victim.get(codes[0]); strings.Contains(page, "Vous êtes connecté") || victim.secretOf() != "" || len(g.Sessions()) != 0 {
		t.Error("somebody else's code logs a browser in")
	}
	// A session that was planted in the browser is not the one that opens.
	b.logIn(claire)
	planted := b.secretOf()
	departed.get("/login/provider")
	resp, err := b.http.Get(b.at + codes[1])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Request.URL.Host != strings.TrimPrefix(b.at, "https://") || resp.Header.Get("Refresh") != "0; url=/" {
		t.Errorf("goes on to %s, then %q", resp.Request.URL, resp.Header.Get("Refresh"))
	}
	if now := b.secretOf(); now == "" || now == planted {
		t.Errorf("the session of before goes on: %q", now)
	}
	if all := g.Sessions(); len(all) != 1 {
		t.Errorf("sessions %+v", all)
	}
	for _, c := range resp.Cookies() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.Name == "__Host-balorg" && c.SameSite != http.SameSiteStrictMode || c.Name == "__Host-balorg-login" && c.MaxAge >= 0 {
			t.Errorf("cookie %s", c)
		}
	}
	if _, page := b.get(codes[1]); strings.Contains(page, "Vous êtes connecté") {
		t.Error("the same way back works twice")
	}
	departed.get("/login/provider")
	p.Down(true)
	if _, page := b.get(codes[2]); !strings.Contains(page, "Réessayez dans une minute") {
		t.Errorf("with the provider down:\n%s", page)
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self'") {
		t.Errorf("the policy of the pages: %s", policy)
	}
}

func TestNoProviderNoWay(t *testing.T) {
	b := newBrowser(t, gatewaytest.Start(t, nil))
	for _, path := range []string{"/login/provider", "/login/return?state=x&code=y"} {
		resp, err := b.http.Get(b.at + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if _, page := b.get("/login"); strings.Contains(page, "/login/provider") {
		t.Error("a button leads nowhere")
	}
}

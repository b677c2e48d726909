package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/store/audit"
)

const publicURL = "public_url: https://Messagerie.Clinique-des-Sapins.fr:443/\n"

// TestPublicURL: links and records lead to the proxy, whose forms are taken under whatever name it asks.
func TestPublicURL(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + publicURL}, claire)
	var invited gateway.Invited
	err := g.Call(gateway.OpInvite, gateway.InviteArgs{Address: address(marc), Print: true}, func(raw json.RawMessage) {
		if err := json.Unmarshal(raw, &invited); err != nil {
			t.Error(err)
		}
	})
	if err != nil || !strings.HasPrefix(invited.Link, "https://messagerie.clinique-des-sapins.fr/activation/") {
		t.Fatalf("invited: %+v, %v", invited, err)
	}
	b := newBrowser(t, g)
	post := func(origin string) (status int, where string) {
		form := url.Values{"user": {string(address(claire))}, "password": {gatewaytest.Password(claire)}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.at+"/login", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		resp, err := b.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Request.URL.Path
	}
	if status, _ := post("https://messagerie.example.org"); status != http.StatusForbidden {
		t.Errorf("a form of another site: %d", status)
	}
	if status, where := post("https://messagerie.clinique-des-sapins.fr"); status != http.StatusOK || where != "/" {
		t.Errorf("a form through the proxy: %d at %s", status, where)
	}
	// Whom the proxy was asked by is who is limited and traced.
	if found := trace(t, g, gateway.AuditArgs{Action: string(audit.Login)}); len(found) != 1 || !strings.HasPrefix(found[0].Client, "127.0.0.1:") {
		t.Errorf("traced %+v", found)
	}
	loaded, problems := gateway.Load(g.Config)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	site, err := loaded.Site()
	if err != nil || site.Portal != "messagerie.clinique-des-sapins.fr" || site.Ports["https"] != 443 {
		t.Errorf("published: %+v, %v", site, err)
	}
}

// TestTrustedProxies: who asks through a proxy is limited and traced as themselves, and keeps out nobody else who does.
func TestTrustedProxies(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{
		"balorg.yaml": gatewaytest.Balorg + "trusted_proxies: 127.0.0.1\nauthentication: {failures_per_minute: 3, network_failures_per_minute: 3}\n",
	}, claire)
	at := newBrowser(t, g).at
	logIn := func(from, password string) int {
		t.Helper()
		b := newBrowser(t, g)
		form := url.Values{"user": {string(address(claire))}, "password": {password}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/login", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-For", "192.0.2.1, "+from)
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := b.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := range 3 {
		if status := logIn("203.0.113.9", fmt.Sprintf("guess %d", i)); status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d", i, status)
		}
	}
	if status := logIn("203.0.113.9", gatewaytest.Password(claire)); status != http.StatusTooManyRequests {
		t.Errorf("who has guessed: %d", status)
	}
	if status := logIn("198.51.100.7", gatewaytest.Password(claire)); status != http.StatusSeeOther {
		t.Errorf("Claire, by the same proxy: %d", status)
	}
	if found := trace(t, g, gateway.AuditArgs{Action: string(audit.Login)}); len(found) != 1 || found[0].Client != "198.51.100.7:0" {
		t.Errorf("traced %+v", found)
	}
	if all := g.Sessions(); len(all) != 1 || all[0].Client.Addr().String() != "198.51.100.7" {
		t.Errorf("sessions %+v", all)
	}
}

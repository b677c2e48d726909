package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
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
	loaded, problems := gateway.Load(g.Config)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	site, err := loaded.Site()
	if err != nil || site.Portal != "messagerie.clinique-des-sapins.fr" || site.Ports["https"] != 443 {
		t.Errorf("published: %+v, %v", site, err)
	}
}

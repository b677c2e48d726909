package portal

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"balorg/policy/auth"
)

// nowhere is a provider that nobody reaches.
type nowhere struct{}

func (nowhere) Depart(context.Context, string) (auth.Departure, error) {
	return auth.Departure{}, &auth.Unavailable{}
}

func (nowhere) Arrive(context.Context, auth.Arrival) (auth.Result, error) {
	return auth.Result{}, &auth.Refusal{}
}
func (nowhere) Leave(string) string { return "" }

// whole has a desk answer every page there is.
func whole(o *Options) {
	administered(o)
	o.Provider = &ProviderOptions{Provider: nowhere{}, Name: "P", Base: func() (string, error) { return "https://portal.example.org", nil }}
}

var pattern = regexp.MustCompile(`"(GET|POST) ([^"]+)"`)

// routed are the paths that the package's own code answers, by method, as it writes them.
func routed(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"GET": {departPath, returnPath}}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range pattern.FindAllStringSubmatch(string(code), -1) {
			path := strings.NewReplacer("{$}", "", "{secret}", "LINK").Replace(found[2])
			if !strings.HasSuffix(path, "provider") && !slices.Contains(all[found[1]], path) {
				all[found[1]] = append(all[found[1]], path)
			}
		}
	}
	if len(all["GET"]) < 15 || len(all["POST"]) < 10 {
		t.Fatalf("only %v found: the test looks in the wrong place", all)
	}
	return all
}

// TestEveryFormIsSigned: whatever page is added, what changes anything as somebody needs the token of their session, and comes from this very site.
func TestEveryFormIsSigned(t *testing.T) {
	d := newDesk(t, whole)
	b, other := d.as("sophie.moreau"), d.as("claire.durand")
	token := b.csrf()
	// They are of nobody who is logged in, or ask nothing of the session.
	free := []string{"/login", "/activation/LINK", "/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"}
	for _, path := range routed(t)["POST"] {
		if !slices.Contains(free, path) {
			for what, fields := range map[string][]string{"none": nil, "an empty one": {"csrf", ""}, "another's": {"csrf", other.csrf()}, "part of it": {"csrf", token[:len(token)-1]}} {
				if p := b.send(path, fields...); p.status != http.StatusForbidden {
					t.Errorf("%s with %s: %d", path, what, p.status)
				}
			}
			// In the address it is no part of the form: it would stand in histories and logs.
			if p := b.send(path + "?csrf=" + token); p.status != http.StatusForbidden {
				t.Errorf("%s with its token in the address: %d", path, p.status)
			}
		}
		if path == "/activation/LINK" { // who knows the link needs no other proof
			continue
		}
		for _, from := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
			b.header = from
			if p := b.send(path, "csrf", token); p.status != http.StatusForbidden {
				t.Errorf("%s of another site (%v): %d", path, from, p.status)
			}
		}
		b.header = http.Header{}
	}
	if d.sessions.Len() != 2 || len(d.chosen) != 0 || len(d.changed) != 0 || len(d.tokens) != 0 {
		t.Error("something has changed all the same")
	}
}

// TestNoWayElsewhere: nothing that is sent has the browser go to another site.
func TestNoWayElsewhere(t *testing.T) {
	d := newDesk(t, whole)
	evil := []string{"https://evil.example", "//evil.example", `/\evil.example`, `\\evil.example`, "javascript:alert(1)", "/%0d%0aLocation:https://evil.example"}
	inPath := []string{"//evil.example", "//evil.example/..", "/%2f%2fevil.example", `/%5cevil.example`, "//evil.example/%2e%2e", "/.//evil.example", "/login//evil.example", "/%0d%0aX-Evil:1"}
	looked := 0
	for who, b := range map[string]*browser{"nobody": d.browser(), "Sophie": d.as("sophie.moreau")} {
		judge := func(what string, p page) {
			t.Helper()
			looked++
			if to := p.header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") || strings.HasPrefix(strings.ToLower(to), "/%5c")) {
				t.Errorf("%s, %s: sent to %q", who, what, to)
			}
			if to := p.header.Get("Refresh"); to != "" && to != "0; url=/" {
				t.Errorf("%s, %s: sent to %q", who, what, to)
			}
			if p.header.Get("X-Evil") != "" {
				t.Errorf("%s, %s: a header of the asker's", who, what)
			}
		}
		for _, path := range inPath {
			judge(path, b.get(path))
		}
		all := routed(t)
		for _, to := range evil {
			for _, field := range []string{"next", "url", "return", "redirect_uri", "continue", "post_logout_redirect_uri", "mailbox", "state", "iss", "q"} {
				for _, path := range all["GET"] {
					judge(path+" "+field, b.get(path+"?"+url.Values{field: {to}}.Encode()))
				}
			}
			for _, path := range all["POST"] {
				if who != "nobody" && path == "/logout" {
					continue
				}
				fields := []string{"next", to, "url", to, "return", to, "address", to, "mailbox", to, "id", to}
				judge(path, b.send(path, fields...))
			}
		}
	}
	if looked < 1000 {
		t.Errorf("only %d answers were looked at", looked)
	}
}

// TestNoWayToFiles: an address leads to pages, and to no file beside them.
func TestNoWayToFiles(t *testing.T) {
	d := newDesk(t, whole)
	b := d.as("sophie.moreau")
	for _, path := range []string{
		"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/style.css/../frame.html", "/style.css%2f..%2fframe.html", "/pages/frame.html", "/frame.html", "/pages/",
		"/%2e%2e%5c%2e%2e%5cetc%5cpasswd", "/activation/..%2f..%2fetc%2fpasswd", "/admin/comptes.csv/../../../accounts.yaml", "/admin/comptes.yaml", "/admin/comptes.csv%00.html", "/accounts.yaml", "/tls/key.pem",
		"/style.css%00", "/.well-known/../accounts.yaml",
	} {
		p := b.get(path)
		for range 5 {
			if p.header.Get("Location") == "" {
				break
			}
			p = b.get(p.header.Get("Location"))
		}
		if strings.Contains(p.body, "root:") || strings.Contains(p.body, "{{define") || strings.Contains(p.body, "{{template") || strings.Contains(p.body, "accounts:") || strings.Contains(p.body, "PRIVATE KEY") {
			t.Errorf("%s: %d\n%s", path, p.status, p.body)
		}
	}
}

package gateway

import (
	"strings"
	"testing"
)

func TestPublicURLMistakes(t *testing.T) {
	for _, wrong := range []string{
		"messagerie.example.org", "http://messagerie.example.org", "https://", "https://u:p@example.org", "https://example.org/portal", "https://example.org?x",
		"https://example.org#x", "https://example.org:99999", "https://exa mple.org", "https://ex\\u0007ample.org",
	} {
		path := folder(t, withDemo(t, "public_url: \""+wrong+"\"\n"))
		if got := problemsOf(path); len(got) == 0 || !strings.HasPrefix(got[0], "balorg.yaml:1:13: ") || !strings.HasSuffix(got[0], "is not where browsers reach the portal (hint: https://messagerie.example.org, without a path)") {
			t.Errorf("%s: %q", wrong, got)
		}
	}
}

func TestTrustedProxyMistakes(t *testing.T) {
	path := folder(t, withDemo(t, "trusted_proxies: [192.0.2.10, 0.0.0.0/0, ::/0, nginx]\n"))
	got := problemsOf(path)
	want := []string{
		"balorg.yaml:1:31: everybody would be believed about where a request comes from (hint: the address of the proxy)",
		"balorg.yaml:1:42: everybody would be believed about where a request comes from (hint: the address of the proxy)",
		`balorg.yaml:1:48: an entry of trusted_proxies: "nginx" is no network; write 192.0.2.0/24, 2001:db8::/32 or one address`,
	}
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			t.Errorf("problems %q, want first %q", got, want)
			break
		}
	}
}

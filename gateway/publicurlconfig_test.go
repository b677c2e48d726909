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

package e2e

import (
	"strings"
	"testing"
)

// TestImaplib runs Python's client over everything it has a method for; the script says what it checks.
func TestImaplib(t *testing.T) {
	d := startDemo(t)
	out := run(t, "python3", "testdata/client.py", d.port(d.imaps()), d.port(d.imap()), d.ca(), address(claire), password(claire), address(secretariat))
	if !strings.Contains(out, "names in UTF-8") {
		t.Errorf("UTF8=ACCEPT was not tried:\n%s", out)
	}
}

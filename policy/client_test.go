package policy

import (
	"net/netip"
	"testing"
)

func TestClientOf(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::9":      "2001:db8:1:2::",
		"2001:db8:1:3::9":      "2001:db8:1:3::",
		"fe80::1%eth0":         "fe80::",
	} {
		if got := ClientOf(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", a, got, want)
		}
	}
	if got := ClientOf(netip.Addr{}); got.IsValid() {
		t.Errorf("no address counts as %s", got)
	}
}

package portal

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestAsked(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, tt := range []struct {
		from string
		said []string
		want string
	}{
		{"192.0.2.10:999", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"192.0.2.10:999", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9:0"}, // the first is the asker's word
		{"192.0.2.10:999", []string{"198.51.100.1", "203.0.113.9, 10.1.2.3"}, "203.0.113.9:0"},
		{"[2001:db8:1::1]:999", []string{"2001:db8:2::9"}, "[2001:db8:2::9]:0"},
		{"[2001:db8:1::1]:999", []string{"[2001:db8:2::9]:4711"}, "[2001:db8:2::9]:0"},
		{"[::ffff:10.0.0.1]:999", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"10.0.0.1:999", []string{"203.0.113.9:4711"}, "203.0.113.9:0"},
		{"10.0.0.1:999", []string{"203.0.113.9, nonsense"}, "10.0.0.1:999"},
		{"10.0.0.1:999", []string{"203.0.113.9, "}, "10.0.0.1:999"},
		{"10.0.0.1:999", []string{"10.2.3.4"}, "10.0.0.1:999"},
		{"10.0.0.1:999", nil, "10.0.0.1:999"},
		{"203.0.113.9:999", []string{"10.0.0.1"}, "203.0.113.9:999"}, // who is no proxy is not asked
		{"203.0.113.9:999", []string{"198.51.100.1"}, "203.0.113.9:999"},
	} {
		r := &http.Request{RemoteAddr: tt.from, Header: http.Header{}}
		for _, line := range tt.said {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := asked(r, proxies); got != tt.want {
			t.Errorf("%s says %q: %s, want %s", tt.from, tt.said, got, tt.want)
		}
	}
}

package mail

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	var many Parser
	for _, tt := range []struct {
		in   string
		want Address
	}{
		{"Claire.Durand@Clinique-des-Sapins.FR", "claire.durand@clinique-des-sapins.fr"},
		{"o'neil+x_y-z@a.fr", "o'neil+x_y-z@a.fr"},
		{"a@bücher.example", "a@xn--bcher-kva.example"},
		{"", ""},
		{"@a.fr", ""},
		{"a", ""},
		{"a@b", ""},
		{"a@b.", ""},
		{"a@.b.fr", ""},
		{"a@-b.fr", ""},
		{"a@b_c.fr", ""},
		{"a@b@c.fr", ""},
		{".a@b.fr", ""},
		{"a.@b.fr", ""},
		{"a..b@c.fr", ""},
		{"a b@c.fr", ""},
		{`"a"@c.fr`, ""},
		{"a%b@c.fr", ""},
		{"a*b@c.fr", ""},
		{"a/b@c.fr", ""},
		{"é@c.fr", ""},
		{"\u212Aarl@c.fr", ""}, // Kelvin sign
		{strings.Repeat("a", 64) + "@" + strings.Repeat("é.", 30) + "fr", ""},
		{"a@[127.0.0.1]", ""},
		{"a\x00@c.fr", ""},
		{"a@c.fr\r\n", ""},
		{strings.Repeat("a", 65) + "@c.fr", ""},
		{"a@" + strings.Repeat("b.", 130) + "fr", ""},
	} {
		got, err := ParseAddress(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("ParseAddress(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
		for range 2 { // not known yet, and remembered
			if a, e := many.Address(tt.in); a != got || (e == nil) != (err == nil) || e != nil && e.Error() != err.Error() {
				t.Errorf("Parser.Address(%q) = %q, %v; ParseAddress answers %q, %v", tt.in, a, e, got, err)
			}
		}
	}
}

// TestParserForgets: however many domains there are, the memory is bounded.
func TestParserForgets(t *testing.T) {
	var p Parser
	for i := range 2*maxRemembered + 10 {
		if a, err := p.Address(fmt.Sprintf("A@D%d.fr", i)); err != nil || a != Address(fmt.Sprintf("a@d%d.fr", i)) {
			t.Fatalf("%q, %v", a, err)
		}
	}
	if len(p.domains) > maxRemembered {
		t.Errorf("%d domains are remembered", len(p.domains))
	}
}

func TestAddressParts(t *testing.T) {
	a := Address("claire@b.fr")
	if a.Local() != "claire" || a.Domain() != "b.fr" {
		t.Errorf("parts of %q: %q, %q", a, a.Local(), a.Domain())
	}
}

func TestNewAccountID(t *testing.T) {
	a, b := NewAccountID(), NewAccountID()
	if a == b || len(a) != 16 || strings.Trim(string(a), "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("ids %q, %q", a, b)
	}
}

func TestParseForeign(t *testing.T) {
	for _, tt := range []struct {
		in   string
		utf8 bool
		want Address
	}{
		{"X.Y+z@CHU-Exemple.mssante.fr", false, "x.y+z@chu-exemple.mssante.fr"},
		{"a/b=c{d}~e'f&g#h$i*j?k^l`m|n_o-p@b.fr", false, "a/b=c{d}~e'f&g#h$i*j?k^l`m|n_o-p@b.fr"},
		{"jose\u0301@b.fr", true, "jos\u00e9@b.fr"},
		{"a@b\u00fccher.example", true, "a@xn--bcher-kva.example"},
		{"a@b\u00fccher.example", false, ""},
		{"a@m\u0455sante.fr", true, "a@xn--msante-ivf.fr"}, // a Cyrillic letter: another domain, and seen to be
		{"jos\u00e9@b.fr", false, ""},
		{"a@\xc5.fr", true, ""}, // no UTF-8
		{"a%b@c.fr", false, ""},
		{"b!a@c.fr", false, ""},
		{`"a"@c.fr`, false, ""},
		{`"a@x.fr"@c.fr`, true, ""},
		{"a@[127.0.0.1]", false, ""},
		{"a@c.fr.", false, ""},
		{"a@b@c.fr", false, ""},
		{"@x.fr:a@c.fr", false, ""},
		{"a..b@c.fr", false, ""},
		{"a b@c.fr", false, ""},
		{"a\x00@c.fr", true, ""},
		{"a\u200b@c.fr", true, ""},
		{"a\xff@c.fr", true, ""},
		{"a@c.fr\r\n", false, ""},
		{strings.Repeat("a", 65) + "@c.fr", false, ""},
		{"", false, ""},
	} {
		got, err := ParseForeign(tt.in, tt.utf8)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("ParseForeign(%q, %t) = %q, %v; want %q", tt.in, tt.utf8, got, err, tt.want)
		}
	}
}

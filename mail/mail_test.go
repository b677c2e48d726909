package mail

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
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

package imapproxy

import (
	"reflect"
	"testing"
)

// TestOffered: connections share what their mail store offers, until it offers something else.
func TestOffered(t *testing.T) {
	p := &Proxy{offers: make(map[string]offer)}
	first := p.offered("a", "IMAP4rev1 idle")
	if !first["IDLE"] || !first["IMAP4REV1"] || len(first) != 2 {
		t.Errorf("offered: %v", first)
	}
	same := func(a, b map[string]bool) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if again := p.offered("a", "IMAP4rev1 idle"); !same(again, first) {
		t.Error("the same list makes a set of its own")
	}
	if other := p.offered("b", ""); len(other) != 0 {
		t.Errorf("nothing offered: %v", other)
	}
	if changed := p.offered("a", "IMAP4rev1"); changed["IDLE"] || !changed["IMAP4REV1"] || !first["IDLE"] {
		t.Errorf("after a change: %v, and those from before %v", changed, first)
	}
}

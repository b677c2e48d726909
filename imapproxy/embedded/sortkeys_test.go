package embedded

import (
	"fmt"
	"testing"

	"balorg/imapproxy/order"
	"balorg/store/body"
)

func TestPackedKeys(t *testing.T) {
	all := []order.Criterion{{By: order.Date}}
	for _, by := range packedTexts {
		all = append(all, order.Criterion{By: by})
	}
	keys := packKeys([]byte("(\"1 Jan 1960 00:00:00 +0000\" {9}\r\nRe: \xc3\xa9t\xe9 ((\"a \\\"b\\\"\" NIL \"c\" \"d\")(NIL NIL \"x\" \"y\")) NIL NIL ((NIL NIL \"team\" NIL)(NIL NIL NIL NIL)) ((NIL \"@r\" \"e\" \"f\")) NIL NIL \"<a@b>\")"))
	m := order.Message{Sent: 5}
	keys.into(&m, all)
	got := fmt.Sprintf("%d %+q %+q %+q %+q %+q %+q", m.Sent, m.Text[order.Subject], m.Text[order.From], m.Text[order.To], m.Text[order.Cc], m.Text[order.DisplayFrom], m.Text[order.DisplayTo])
	if want := `-315619200 "A\u0303\u00a9TE\u0301" "C" "TEAM" "E" "A \"B\"" "TEAM"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	m = order.Message{Sent: 5}
	packKeys([]byte("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")).into(&m, all)
	packedKeys("").into(&m, all)
	if m != (order.Message{Sent: 5}) {
		t.Errorf("nothing is %+v", m)
	}
	for _, damaged := range []string{"", "(", `("`, `("a" {9}`, `("a" {99}` + "\r\nx", `("a" "b" ((`, `("a\`, "(((((", `("a" "b" (("c" NIL`} {
		packKeys([]byte(damaged)).into(&m, all)
	}
}

// TestSortKeysForget: what is remembered has a bound, and what was used lately stays longest.
func TestSortKeysForget(t *testing.T) {
	var s sortKeys
	big := packedKeys(make([]byte, maxKeyMemory/8))
	for id := range body.ID(12) {
		ids, keys := []body.ID{id, 0}, make([]packedKeys, 2)
		missing := s.find(ids, keys)
		if id > 0 && (len(missing) != 1 || missing[0] != 0) {
			t.Fatalf("body %d: %d missing", id, missing)
		}
		s.keep(ids, []packedKeys{big, big}, missing)
	}
	if n := len(s.newer) + len(s.older); n > 12 || n < 4 {
		t.Errorf("%d of 12 are remembered", n)
	}
	if len(s.find([]body.ID{1, 2, 11, 0}, make([]packedKeys, 4))) != 2 {
		t.Error("the first are not those that were forgotten")
	}
}
